"""How near both quantities come to the truth: how many labels are wrong, and how uncertain labels are where they lie.

    python benchmarks/noise_estimate.py [--json] [--seeds 3] [--first-seed 0] [--data FOLDER] [--rows 6000] [--small N]
        [--out LINES]

Eight kinds of noise on digits, on digits with rare classes, and on Gaussians of 2, 3 and 5 classes; with --data a
folder of Parquet files, noise of their own (`label` beside what is trained on) and five kinds put into clean ones. The
truth of the uncertainty is that of noise by class, 1 − max_j T[z, j] with T counted. For each set and quantity:
Spearman's correlation over the classes, the mean absolute error in points, the same of the error rate of held-out
predictions, and how many of the 95 % intervals of classes with 30 rows hold the truth, of all and of those shown; the
shown ones of wrong labels also by the rows of the class. --small keeps N rows of each class. --out keeps each estimate
as a line of a file; the same command then goes on from there, also in several processes with seeds of their own.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.datasets import load_digits

from common import hardware, show
from resumable import Line, Lines
from skedastic.evaluation.intervals import LEAST_ROWS
from skedastic.pipeline import estimate_noise
from skedastic.pipeline.prepare import network, open_data, settled
from skedastic.settings.reading import read

KINDS = ("none", "uniform 20", "uniform 40", "one way", "two ways", "rare noisy", "rare clean", "by class")
FEWER = ("none", "uniform 20", "one way", "two ways", "rare noisy")
GAUSSIANS = {"2 Gaussians": (2, 2.2), "3 Gaussians that overlap": (3, 1.6), "5 Gaussians": (5, 3.5)}
ONE_WAY, TWO_WAYS = (0.3, 0.2, 0.4, 0.1), (0.4, 0.25)
OWN = {  # file, the column that is trained on, columns that are left out
    "trec": ("trec_minilm", "noisy", ()),
    "youtube": ("youtube_minilm", "noisy", ()),
    "chemprot": ("chemprot_minilm", "noisy", ()),
    "music, majority": ("music_genre", "noisy", ("single", "annotators", "annotator_labels", "song")),
    "music, one answer": ("music_genre", "single", ("noisy", "annotators", "annotator_labels", "song")),
    "defects": ("defects", "noisy", ("weak", "bugs", "file", "release", "release_no")),
    "CIFAR-10N worse": ("cifar10_features_train", "worse", ("index", "aggre", "random1", "random2", "random3")),
    "CIFAR-10N aggre": ("cifar10_features_train", "aggre", ("index", "worse", "random1", "random2", "random3")),
    "CIFAR-10N random1": ("cifar10_features_train", "random1", ("index", "worse", "aggre", "random2", "random3")),
    "Hausa news": ("hausa_news", "noisy", ()),
}
CLEAN = ("imdb_features_train", "page_blocks", "hypothyroid", "yeast", "krk", "ecoli", "mammography", "wine_white")
ROWS = (LEAST_ROWS, 46, 81, 151)  # of a class, from each on to the next
NOT_FEATURES = ("split", "rating", "id", "index", "noisy", "weak")


class Measured(NamedTuple):
    """Of the classes of one set, [G]: rows, whether shown, and of each quantity truth, estimate and ends; seconds."""

    count: np.ndarray
    shown: np.ndarray
    errors: np.ndarray
    wrong: tuple[np.ndarray, ...]
    uncertainty: tuple[np.ndarray, ...]
    seconds: float

    def to_line(self) -> dict[str, Any]:
        """Return plain values."""
        return {k: np.asarray(v).tolist() for k, v in self._asdict().items()}

    @classmethod
    def from_line(cls, line: Line) -> Measured:
        """Return what `to_line` described."""
        both = {k: tuple(np.asarray(part, float) for part in line[k]) for k in ("wrong", "uncertainty")}
        arrays = {k: np.asarray(line[k]) for k in ("count", "shown", "errors")}
        return cls(**arrays, **both, seconds=line["seconds"])


def transitions(kind: str, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return T [true, given] of a kind of noise, for classes of so many rows."""
    classes = len(counts)
    t, rare, drawn = np.eye(classes), np.argsort(counts), rng.permutation(classes)

    def change(a: int, b: int, rate: float) -> None:
        t[a], t[a, a], t[a, b] = 0, 1 - rate, rate

    if kind.startswith("uniform"):
        rate = float(kind.split()[1]) / 100
        t = np.full((classes, classes), rate / (classes - 1))
        np.fill_diagonal(t, 1 - rate)
    elif kind == "one way":
        half = classes // 2
        for a, b, rate in zip(drawn[:half], drawn[half:], ONE_WAY, strict=False):
            change(a, b, rate)
    elif kind == "two ways":
        for i, rate in zip(range(0, classes - 1, 2), TWO_WAYS, strict=False):
            change(drawn[i], drawn[i + 1], rate)
            change(drawn[i + 1], drawn[i], rate)
    elif kind in ("rare noisy", "rare clean"):
        a, b = rare[:2] if kind == "rare noisy" else rare[-2:]
        change(a, b, 0.35)
        change(b, a, 0.35 * counts[a] / counts[b])
    elif kind == "by class":
        for c, rate in enumerate(rng.uniform(0, 0.5, classes)):
            t[c] = rate / (classes - 1)
            t[c, c] = 1 - rate
    return t


def with_noise(frame: pd.DataFrame, kind: str, name: str, seed: int) -> pd.DataFrame:
    """Return a frame with a column `noisy` beside its `label`."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {kind} {seed}".encode()))
    codes, names = pd.factorize(frame["label"], sort=True)
    t = transitions(kind, np.bincount(codes), rng)
    return frame.assign(noisy=np.asarray(names)[[rng.choice(len(t), p=t[z]) for z in codes]])


def simulated(seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield digits, digits with rare classes, and Gaussians, clean."""
    rng = np.random.default_rng(seed)
    x, y = load_digits(return_X_y=True)
    yield "digits", as_frame(x / 16, y)
    kept = ~np.isin(y, (1, 3, 8, 9)) | (rng.random(len(y)) < 1 / 6)
    yield "digits, four rare", as_frame(x[kept] / 16, y[kept])
    kept = rng.random(len(y)) < np.geomspace(1, 1 / 15, 10)[y]
    yield "digits, long tail", as_frame(x[kept] / 16, y[kept])
    for name, (classes, apart) in GAUSSIANS.items():
        means = rng.normal(size=(classes, 10))
        means *= apart / np.linalg.norm(means, axis=1, keepdims=True)
        z = rng.integers(0, classes, 2500)
        yield name, as_frame(rng.normal(size=(2500, 10)) + means[z], z)


def as_frame(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Return features and labels as columns."""
    return pd.DataFrame(x).add_prefix("f").assign(label=[f"c{c}" for c in y])


def of_their_own(folder: Path, rows: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield name and frame of sets with noise of their own, `noisy` beside `label`."""
    for name, (file, given, left_out) in OWN.items():
        frame = pd.read_parquet(folder / f"{file}.parquet")
        frame = frame[frame["split"] == "train"] if "split" in frame else frame
        frame = frame.drop(columns=[*left_out, *{"split"} & set(frame)]).rename(columns={given: "noisy"})
        frame = frame[frame["noisy"].notna()]
        yield name, frame.sample(min(rows, len(frame)), random_state=seed)


def clean_ones(names: Sequence[str], folder: Path, rows: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield name and frame of these clean sets."""
    for name in names:
        frame = pd.read_parquet(folder / f"{name}.parquet")
        frame = frame.drop(columns=[c for c in NOT_FEATURES if c in frame])
        yield name, frame.sample(min(rows, len(frame)), random_state=seed)


def real(folder: Path, rows: int, seed: int) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield kind, name and frame, with `noisy` beside `label`: noise of their own, and put into clean sets."""
    for name, frame in of_their_own(folder, rows, seed):
        yield "noise of their own", name, frame
    for file, frame in clean_ones(CLEAN, folder, rows, seed):
        for kind in FEWER:
            yield "noise put into data", f"{file}, {kind}", with_noise(frame, kind, file, seed)


def holds(m: Measured, name: str) -> np.ndarray:
    """Return whether the interval of a quantity, as it is shown, holds the truth, [G] bool."""
    truth, _, low, high = getattr(m, name)
    return (low - 0.005 <= truth) & (truth <= high + 0.005)


def by_rows(of: list[Measured]) -> dict[str, str]:
    """Return how many shown intervals of wrong labels hold, by the rows of the class."""
    rows = [(m.count, m.shown, holds(m, "wrong")) for m in of]
    count, shown, held = (np.concatenate(column) for column in zip(*rows, strict=True))
    lines = {}
    for least, end in zip(ROWS, (*ROWS[1:], np.inf), strict=True):
        there = (count >= least) & (count < end)
        if (shown & there).any():
            part = f"of {there.sum()} classes {(shown & there).sum()} shown, {held[shown & there].mean():.1%} hold"
            lines[f"{least} rows or more" if end == np.inf else f"{least} to {end - 1} rows"] = part
    return lines


def measured(frame: pd.DataFrame, seed: int, by: str = "model") -> Measured | None:
    """Return estimate and truth of each class; None where nothing is learned. by: as in `Estimation.by`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "set.parquet"
        frame.to_parquet(file)
        settings: dict[str, Any] = {"source": str(file), "target": "noisy", "truth": "label", "test": "none"}
        config = read(None, settings | {"seed": seed, "estimate.by": by})
        data = open_data(config)
        config = settled(config, data)
        found = estimate_noise(config, data, network(config, data))
    if not found.findings.learned:
        return None
    stats, y, true = found.stats, data.train.y.numpy(), data.truth.of(data.train.index).numpy()
    joint = np.zeros((len(stats.names),) * 2)
    np.add.at(joint, (true, y), 1)
    share = joint / joint.sum(1, keepdims=True).clip(1)
    n = np.bincount(y, minlength=len(joint)).clip(1)
    truths = (np.bincount(y, y != true, len(joint)) / n, np.bincount(y, (1 - share.max(1))[true], len(joint)) / n)
    columns = {
        name: (truth, *(getattr(stats, name + end).numpy() for end in ("", "_low", "_high")))
        for name, truth in zip(("wrong", "uncertainty"), truths, strict=True)
    }
    shown = np.array([figure is not None for figure in found.findings.wrong])
    errors = (stats.errors / stats.counted.clamp_min(1)).numpy()
    return Measured(stats.count.numpy(), shown, errors, **columns, seconds=found.seconds)


def summary(of: list[Measured]) -> dict[str, str]:
    """Return, of one or several sets together, each quantity in a line."""
    row = {}
    for name in ("wrong", "uncertainty"):
        ranks, errors, before, held, shown = [], [], [], [], []
        for m in of:
            truth, rate, *_ = getattr(m, name)
            there, enough = m.count > 0, m.count >= LEAST_ROWS
            if there.sum() > 2 and len(set(truth[there])) > 1 and len(set(rate[there])) > 1:
                ranks.append(spearmanr(rate[there], truth[there]).statistic)
            errors.append(np.abs(rate - truth)[there].mean())
            before.append(np.abs(m.errors - truth)[there].mean())
            held += list(holds(m, name)[enough])
            shown += list(holds(m, name)[enough & m.shown])
        spearman = f"ρ {np.mean(ranks):.2f}, " if ranks else ""
        of_shown = f"; of {len(shown)} shown {np.mean(shown):.0%}" if shown else ""
        row[name] = (
            f"{spearman}off by {100 * np.mean(errors):.1f} (error rate {100 * np.mean(before):.1f}), "
            f"{np.mean(held):.0%} of {len(held)} intervals hold{of_shown}"
        )
    return row


def measured_sets(arguments: argparse.Namespace, lines: Lines) -> dict[tuple[str, str], list[Measured]]:
    """Return the estimates of each kind and name, made or as the lines have them."""
    found: dict[tuple[str, str], list[Measured]] = {}
    known = {line["run"]: line for line in lines}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        sets = [(f"simulated, {k}", name, with_noise(f, k, name, seed)) for name, f in simulated(seed) for k in KINDS]
        if arguments.data is not None:
            sets += real(arguments.data, arguments.rows, seed)
        for kind, name, frame in sets:
            if (run := f"{kind}, {name}, {seed}") not in known:
                kept = frame if arguments.small is None else frame.groupby("label").head(arguments.small)
                result = measured(kept.reset_index(drop=True), seed)
                known[run] = {"run": run, "learned": result is not None, **(result.to_line() if result else {})}
                lines.add(known[run])
            if known[run]["learned"]:
                found.setdefault((kind, name), []).append(Measured.from_line(known[run]))
    return found


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--small", type=int)
    parser.add_argument("--out", type=Path, help="file that keeps each estimate as a line")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        found = measured_sets(arguments, Lines(arguments.out or Path(folder) / "lines.jsonl"))
    rows = {f"{name}, {kind}": summary(results) for (kind, name), results in found.items()}
    for kind in dict.fromkeys(kind for kind, _ in found):
        rows[f"ALL {kind}"] = summary([m for (k, _), results in found.items() if k == kind for m in results])
    rows["ALL simulated"] = summary([m for (k, _), ms in found.items() if k.startswith("simulated") for m in ms])
    rows["ALL wrong, shown"] = by_rows([m for results in found.values() for m in results])
    flat = {f"{name}: {quantity}": line for name, row in rows.items() for quantity, line in row.items()}
    show({**flat, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
