"""An exported file and its description alone predict raw rows as the run does: nothing of the package encodes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import skedastic as sk
from skedastic.runs.export import export_run
from skedastic.runs.predict import predict_source

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
N = 160
KIND = np.arange(N) % 2
RNG = np.random.default_rng(0)
Rows = dict[str, list[Any]]


def described(about: dict[str, Any], rows: Rows) -> NDArray[np.float32]:
    """Return the input that a description makes of raw cells, by its rules."""
    (width,), n = about["shape"], len(next(iter(rows.values())))
    x = np.full((n, width), np.nan, dtype=np.float32)
    for block in about["blocks"]:
        x[:, block["from"] : block["to"]] = np.array(list(encoded(block, rows)), np.float32).reshape(n, -1)
    return x


def encoded(block: dict[str, Any], rows: Rows) -> Iterator[Any]:
    for cell in rows[block["column"]] if "column" in block else texts(block, rows):
        if block["kind"] in ("number", "date"):
            value = block["median"] if cell in ("", None) else part_of(cell, block.get("part", ""))
            z = (value - block["center"]) / block["scale"]
            yield block["weight"] * z / np.sqrt(1 + (z / block["bound"]) ** 2)
        elif block["kind"] == "missing":
            yield float(cell in ("", None))
        elif block["kind"] == "list":
            mean = np.array(block["mean"])
            yield np.zeros(len(mean)) if cell is None else (np.array(cell) - mean) / np.array(block["scale"])
        elif block["kind"] == "indicators":
            yield [float(cell == value) for value in block["values"]]
        elif block["kind"] == "id":
            yield block["values"].index(cell) + 1 if cell in block["values"] else 0
        else:
            yield tokens(cell, block)


def part_of(cell: str, part: str) -> float:
    if not part:
        return float({"True": 1, "False": 0}.get(cell, cell))
    date = pd.Timestamp(cell)
    if part == "days":
        return (date - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")
    turn = {"year": (date.day_of_year - 1) / 365.25, "week": date.day_of_week / 7}[part.split()[0]]
    return float({"sin": np.sin, "cos": np.cos}[part.split()[1]](2 * np.pi * turn))


def texts(block: dict[str, Any], rows: Rows) -> list[str]:
    return ["\n".join(p for p in parts if p) for parts in zip(*(rows[c] for c in block["columns"]), strict=True)]


def tokens(text: str, block: dict[str, Any]) -> list[int]:
    tokenizers = pytest.importorskip("tokenizers")
    room = block["to"] - block["from"]
    ids = tokenizers.Tokenizer.from_str(json.dumps(block["tokenizer"])).encode(text).ids[:room]
    return [i + 1 for i in ids] + [0] * (room - len(ids))


def table() -> dict[str, Any]:
    """Return columns of every kind that a table has; the last rows hold what training does not see."""
    days = pd.Timestamp("2021-03-01") + pd.to_timedelta(RNG.integers(0, 900, N), "D")
    return {
        "size": [None if i % 9 == 0 else round(v, 4) for i, v in enumerate(RNG.normal(size=N) + KIND)],
        "whole": RNG.integers(0, 90, N).tolist(),
        "bought": days.strftime("%Y-%m-%d").tolist(),
        "colour": [["red", "green, pale", "", "blue"][i % 4] for i in RNG.integers(0, 4, N)],
        "town": [f"town {i}" for i in RNG.integers(0, 40, N)],
        "on": [str(bool(i)) for i in RNG.integers(0, 2, N)],
    }


def fitted(folder: Path, columns: dict[str, Any], y: Any, ending: str = "csv", **settings: Any) -> tuple[Path, Rows]:
    """Train on columns, write the run, and a file of new rows; return it, and its cells as they are written."""
    frame = pd.DataFrame({**columns, "y": y})
    new = frame.drop(columns="y").iloc[::3].reset_index(drop=True)
    for name, value in (("colour", "never seen"), ("town", "nowhere"), ("size", None)):
        if name in new:
            new.loc[0, name] = value
    write = {"csv": lambda f, p: f.to_csv(p, index=False), "parquet": lambda f, p: f.to_parquet(p)}[ending]
    write(frame, folder / f"old.{ending}")
    write(new, folder / f"new.{ending}")
    train = {"epochs": 3, "batch_size": 32}
    sk.fit(folder / f"old.{ending}", target="y", test=0.3, train=train, **settings).save(folder / "run")
    if ending == "csv":
        read = pd.read_csv(folder / "new.csv", dtype=str, keep_default_na=False)
        return folder / "new.csv", read.to_dict("list")  # type: ignore[return-value]
    cells = new.astype(object).where(new.notna(), None)
    return folder / f"new.{ending}", cells.to_dict("list")  # type: ignore[return-value]


CASES: dict[str, dict[str, Any]] = {
    "table": {"columns": table(), "y": np.where(KIND, "good", "not, good"), "method": "erm"},
    "chosen": {"columns": table(), "y": np.where(KIND, "good", "not, good"), "method": None},
    "numbers": {"columns": table(), "y": np.round(KIND + RNG.normal(size=N), 3), "method": None},
    "tokens": {
        "columns": {"title": ["fine" if k else "poor" for k in KIND], "body": [f"it is {i}!" for i in range(N)]},
        "y": np.where(KIND, "good", "bad"),
        "method": "erm",
        "text": ["title", "body"],
        "model": {"name": "bilstm", "width": 8},
    },
    "embeddings": {
        "columns": {
            "v": [None if i % 20 == 3 else row for i, row in enumerate((RNG.normal(size=(N, 40)) + 1).tolist())],
            "size": RNG.normal(size=N).tolist(),
        },
        "y": np.where(KIND, "good", "bad"),
        "method": "erm",
        "ending": "parquet",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_raw_rows_are_predicted_by_the_file_alone(case: str, tmp_path: Path) -> None:
    file, rows = fitted(tmp_path, **CASES[case])
    result = sk.load(tmp_path / "run")
    said = export_run(result, "onnx", tmp_path / "net.onnx")
    assert said.endswith(f"What it reads and gives: {tmp_path / 'net.onnx.json'}")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    about = json.loads(session.get_modelmeta().custom_metadata_map["skedastic"])
    assert about == json.loads((tmp_path / "net.onnx.json").read_text("utf-8"))
    output = session.run(None, {"x": described(about["x"], rows)})[0].astype(np.float64)
    for calibrated in (False, True)[: 1 + ("temperature" in about["output"])]:
        predict_source(result, str(file), tmp_path / "out.parquet", calibrated=calibrated, force=True)
        expected = pd.read_parquet(tmp_path / "out.parquet")
        if about["output"]["kind"] == "number":
            np.testing.assert_allclose(output.reshape(-1), expected["predicted"], rtol=1e-4, atol=1e-4)
            continue
        scaled = np.exp(output / (about["output"]["temperature"] if calibrated else 1.0))
        named = expected[[f"p_{name}" for name in about["output"]["classes"]]]
        np.testing.assert_allclose(scaled / scaled.sum(1, keepdims=True), named, atol=1e-4)


@pytest.mark.parametrize("form", ["safetensors", "torch-export"])
def test_what_is_not_in_a_file_is_said(form: str, tmp_path: Path) -> None:
    texts = [f"{'fine' if k else 'poor'} words {i % 7}" for i, k in enumerate(KIND)]
    fitted(tmp_path, {"text": texts}, KIND, method="erm", text=["text"], model={"name": "mlp", "width": 8})
    said = export_run(sk.load(tmp_path / "run"), form, tmp_path / "net")
    assert said.endswith("; the numbers of its texts are by the run's encoder alone, which is in no export")
    about = json.loads((tmp_path / "net.json").read_text("utf-8"))
    assert [block["kind"] for block in about["x"]["blocks"]] == ["words"]
    assert about["x"]["blocks"][0]["to"] == about["x"]["shape"][0]


def test_the_description_of_images_has_their_shape_and_their_numbers(tmp_path: Path) -> None:
    x = RNG.integers(0, 255, (60, 5, 6), dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", X=x, y=np.arange(60) % 3)
    sk.fit(tmp_path / "pictures.npz", method="erm", model="mlp", train={"epochs": 1}).save(tmp_path / "run")
    export_run(sk.load(tmp_path / "run"), "safetensors", tmp_path / "run" / "exported.safetensors")
    about = json.loads((tmp_path / "run" / "exported.safetensors.json").read_text("utf-8"))
    assert (about["x"]["shape"], about["x"]["type"]) == ([1, 5, 6], "uint8")
    sk.load(tmp_path / "run").save(tmp_path / "run", force=True)  # the description is ours, and so is the folder
