"""Fit every kind of source with one seed, and tell whether a change left every result as it was, to the bit.

    python benchmarks/fingerprints.py --out before.json
    python benchmarks/fingerprints.py --against before.json

The first command runs the installed `skedastic` and keeps the SHA-256 of each run's `model.safetensors`, its test
metrics and its predictions. The second one runs it again, after the change, and fails where anything differs.
`../shared/data` is read where it is there. Training has one thread, since the last digits of a sum depend on how many
threads share it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits, load_wine

SHARED = Path(__file__).parents[2] / "shared" / "data"
SHORT = ["--epochs", "2", "--seed", "3"]
MENTOR = "mentornet"


def rows_of(name: str, rows: int) -> pd.DataFrame:
    """Return some rows of a file of `../shared/data`."""
    return pd.read_parquet(SHARED / f"{name}.parquet").sample(rows, random_state=0).reset_index(drop=True)


def as_csv(folder: Path) -> list[str]:
    """Numbers, categories and a target of two classes."""
    rows_of("adult", 1500).to_csv(folder / "adult.csv", index=False)
    return [str(folder / "adult.csv"), "--target", str(rows_of("adult", 1).columns[-1])]


def as_parquet(folder: Path) -> list[str]:
    """A target of numbers."""
    rows_of("diamonds", 1500).to_parquet(folder / "diamonds.parquet")
    return [str(folder / "diamonds.parquet"), "--target", "price"]


def as_json(folder: Path) -> list[str]:
    """JSON lines, with dates and bootstrapped missing cells."""
    frame = load_wine(as_frame=True).frame
    frame["day"] = pd.date_range("2020-01-01", periods=len(frame)).astype(str)
    frame.loc[::7, "alcohol"] = None
    frame.to_json(folder / "wine.jsonl", orient="records", lines=True)
    return [str(folder / "wine.jsonl"), "--target", "target"]


def texts(folder: Path) -> list[str]:
    """A column of texts."""
    rows_of("youtube", 600)[["text", "noisy"]].to_csv(folder / "texts.csv", index=False)
    return [
        str(folder / "texts.csv"),
        "--target",
        "noisy",
        "--text",
        "text",
        "--set",
        "model.name=bilstm",
        "--set",
        "tokens.length=32",
    ]


def folder_of_texts(folder: Path) -> list[str]:
    """A folder of text files for each class."""
    for i, row in enumerate(rows_of("trec", 300).itertuples()):
        path = folder / "texts" / f"class{row.label}"
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{i}.txt").write_text(str(row.text), "utf-8")
    return [str(folder / "texts"), "--set", "model.name=bilstm", "--set", "tokens.length=16"]


def folder_of_images(folder: Path) -> list[str]:
    """A folder of images for each class."""
    digits = load_digits()
    for i in range(400):
        path = folder / "images" / str(digits.target[i])
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[i] * 15).astype(np.uint8)).save(path / f"{i}.png")
    return [str(folder / "images"), "--model", "cnn"]


def images_of_parquet(folder: Path) -> list[str]:
    """A Parquet file with a column of encoded images."""
    rows_of("cifar10_train", 400).drop(columns=["index", "random1", "random2", "random3", "aggre"]).to_parquet(
        folder / "cifar.parquet"
    )
    return [str(folder / "cifar.parquet"), "--target", "worse", "--truth", "label", "--model", "cnn"]


def npz(folder: Path) -> list[str]:
    """Arrays."""
    digits = load_digits()
    np.savez(folder / "digits.npz", X=digits.data[:600].astype(np.float32), y=digits.target[:600])
    return [str(folder / "digits.npz")]


def embeddings(folder: Path) -> list[str]:
    """Frozen features of a text model."""
    rows_of("youtube_minilm", 600).to_parquet(folder / "minilm.parquet")
    clean = [name for name in ("label",) if name in rows_of("youtube_minilm", 1)]
    return [str(folder / "minilm.parquet"), "--target", "noisy", *(a for name in clean for a in ("--ignore", name))]


def annotators(folder: Path) -> list[str]:
    """Votes of several people."""
    frame = rows_of("cifar10_test", 300)
    frame.to_parquet(folder / "votes.parquet")
    named = [str(folder / "votes.parquet"), "--target", "label", "--ignore", "index", "--model", "cnn"]
    return [*named, "--annotators", "counts:cifar10h_counts"]


def ratings(folder: Path) -> list[str]:
    """Ratings of several people, in a list."""
    rows_of("vader_ratings", 400)[["text", "ratings", "std"]].to_parquet(folder / "ratings.parquet")
    named = [str(folder / "ratings.parquet"), "--task", "regression", "--annotators", "ratings", "--groups"]
    return [*named, "quantiles:std:5", "--set", "model.name=bilstm", "--set", "tokens.length=16"]


NOISY_DIGITS = ["digits", "--noise", "1<->8:0.4", "--imbalance", "step:5:3,5"]
CASES: dict[str, Callable[[Path], list[str]]] = {
    "csv": as_csv,
    "parquet-regression": as_parquet,
    "jsonl": as_json,
    "texts": texts,
    "folder-of-texts": folder_of_texts,
    "folder-of-images": folder_of_images,
    "parquet-of-images": images_of_parquet,
    "npz": npz,
    "embeddings": embeddings,
    "annotators": annotators,
    "ratings": ratings,
    "built-in": lambda folder: list(NOISY_DIGITS),
    "auto": lambda folder: [*NOISY_DIGITS, "--method", "har-auto"],
    "paper-estimate": lambda folder: [*NOISY_DIGITS, "--set", "estimate.kind=paper"],
    "clusters": lambda folder: ["digits", "--groups", "cluster:2"],
    "exact": lambda folder: [*NOISY_DIGITS, "--set", "method.gradient=exact", "--model", "cnn"],
    "erm": lambda folder: [*NOISY_DIGITS, "--method", "erm"],
    "absgd": lambda folder: [*NOISY_DIGITS, "--method", "absgd(loss=ldam,class_weights=deferred(inverse))"],
    "bbn": lambda folder: [*NOISY_DIGITS, "--method", "bbn"],
    "co-teaching": lambda folder: [*NOISY_DIGITS, "--method", "co-teaching"],
    "elr-plus": lambda folder: [*NOISY_DIGITS, "--method", "elr-plus"],
    "incv": lambda folder: [*NOISY_DIGITS, "--method", "incv"],
    MENTOR: lambda folder: [*NOISY_DIGITS, "--method", MENTOR, "--reference", "0.1"],
    "mw-net": lambda folder: [*NOISY_DIGITS, "--method", "mw-net", "--reference", "0.1"],
    "oltr": lambda folder: [*NOISY_DIGITS, "--method", "oltr"],
    "sam": lambda folder: [*NOISY_DIGITS, "--method", "sam"],
    "two-stage": lambda folder: [*NOISY_DIGITS, "--method", "crt"],
    "vat": lambda folder: [*NOISY_DIGITS, "--method", "vat"],
}


def fingerprint(name: str) -> dict[str, object]:
    """Return what one fit left behind."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = folder / "run"
        command = [sys.executable, "-m", "skedastic", "fit", *CASES[name](folder), *SHORT, "--out", str(run)]
        alone = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"failed": done.stderr.strip()[-300:]}
        digest = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()[:16]
        predictions = pd.read_parquet(run / "predictions.parquet")
        cells = hashlib.sha256(predictions.astype(str).to_csv().encode()).hexdigest()[:16]
        metrics = json.loads((run / "metrics.json").read_text("utf-8"))
        return {"model": digest, "predictions": cells, "overall": metrics["overall"]}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="file to write")
    parser.add_argument("--against", type=Path, help="file of an earlier run to hold this one against")
    parser.add_argument("--only", help="names of cases, by comma")
    given = parser.parse_args()
    before = {} if given.against is None else json.loads(given.against.read_text("utf-8"))
    now, different = {}, []
    for name in given.only.split(",") if given.only else CASES:
        now[name] = fingerprint(name)
        same = name not in before or before[name] == now[name]
        different += [] if same else [name]
        print(f"{name:20} {now[name]} {'' if same else f'BEFORE {before[name]}'}", flush=True)
    if given.out is not None:
        given.out.write_text(json.dumps(now, indent=2) + "\n", "utf-8")
    if before:
        print(f"{len(now) - len(different)} of {len(now)} are the same to the bit")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
