"""The true classes behind labels that go wrong: predicted afterwards, or learned by a corrected loss.

    python benchmarks/true_classes.py [--json] [--seeds 3] [--first-seed 8000] [--data FOLDER] [--rows 2000]

Digits and Gaussians with labels that go wrong one way and two ways; with --data a folder of Parquet files, noise of
their own and three kinds put into clean ones (those of `noise_estimate.py`). A third of the rows is the test set, with
true labels. The estimate, and with it T, is made once a seed. Prints for each kind and way the balanced accuracy and
the worst class over plain training in points, paired by run, with 95 % t-intervals and the least: plain training that
predicts the true classes (`--labels true`), and only where `auto` does; HAR at strength 1, and so that it predicts
them; cross entropy corrected by T (`loss=corrected`), and HAR at strength 1 on it; and the method auto, which chooses
between plain training, HAR, and HAR on the corrected loss. Then the same by set.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from common import hardware, show
from noise_estimate import real, simulated, with_noise
from skedastic.evaluation.intervals import paired
from skedastic.losses.corrected import Corrected
from skedastic.methods.auto import Auto
from skedastic.methods.bases.method import Method
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.pipeline import estimate_noise, train_and_evaluate
from skedastic.pipeline.prepare import Data, network, open_data, settled
from skedastic.settings.config import Config
from skedastic.settings.reading import read

METHODS: dict[str, Method] = {
    "plain": ERM(),
    "har": HAR(strength=1.0),
    "corrected": ERM(loss=Corrected()),
    "har, corrected": HAR(strength=1.0, loss=Corrected()),
    "auto": Auto(),
}
LEFT_OUT = ("none", "uniform 20")  # kinds without, or with little, for T to put right


class Outcome(NamedTuple):
    """Balanced accuracy and that of the worst class."""

    balanced: float
    worst: float


def sets(seed: int, folder: Path | None, rows: int) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield kind, name and frame, with `noisy` beside `label`."""
    for name, frame in simulated(seed):
        if name in ("digits", "3 Gaussians that overlap", "5 Gaussians"):
            for kind in ("one way", "two ways"):
                yield f"simulated, {kind}", f"{name}, {kind}", with_noise(frame, kind, name, seed)
    for kind, name, frame in () if folder is None else real(folder, rows * 3 // 2, seed):
        if not name.endswith(LEFT_OUT):
            yield kind, name, frame


def opened(frame: pd.DataFrame, seed: int) -> tuple[Config, Data]:
    """Return a frame as data to train on, a third of it the test set, with its true labels."""
    test = np.random.default_rng(seed).random(len(frame)) < 1 / 3
    frame = frame.assign(noisy=frame["noisy"].where(~test, frame["label"]), part=np.where(test, "test", "train"))
    known = set(frame["noisy"][~test])
    frame = frame[frame["noisy"].isin(known) & frame["label"].isin(known)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "set.parquet"
        frame.to_parquet(file)
        settings = {"source": str(file), "target": "noisy", "truth": "label", "split": "part", "seed": seed}
        config = read(None, settings)
        data = open_data(config)
    return settled(config, data), data


def outcomes(frame: pd.DataFrame, seed: int) -> dict[str, Outcome] | None:
    """Return the outcome of each way; None where nothing is learned."""
    config, data = opened(frame, seed)
    make_net = network(config, data)
    estimated = estimate_noise(config, data, make_net)
    if estimated.transitions is None:
        return None
    assert data.test is not None
    y, found = data.test.y, dict[str, Outcome]()
    for name, method in METHODS.items():
        result = train_and_evaluate(config, data, method, make_net, estimated)
        p = result.trained.predict(data.test.x)
        found[name] = _outcome(p, y)
        if name in ("plain", "har"):
            found[f"{name}, true classes"] = _outcome(result.calibration("true")(p), y)
        if name == "plain":
            found["plain, auto"] = _outcome(result.calibration("auto")(p), y)
    return found


def _outcome(p: Tensor, y: Tensor) -> Outcome:
    right = (p.argmax(1) == y).double()
    of_class = [float(right[y == c].mean()) for c in y.unique()]
    return Outcome(float(np.mean(of_class)), min(of_class))


def lines(runs: list[dict[str, Outcome]]) -> dict[str, str]:
    """Return a line for each way, from the runs of one or several sets."""
    mean, worst = (100 * np.mean([r["plain"][k] for r in runs]) for k in (0, 1))
    rows = {"plain": f"{mean:.1f}, worst class {worst:.1f}"}
    for way in (w for w in runs[0] if w != "plain"):
        over = [_over([r[way][k] for r in runs], [r["plain"][k] for r in runs]) for k in (0, 1)]
        rows[way] = f"{over[0]}, worst class {over[1]}"
    return rows


def _over(values: list[float], plain: list[float]) -> str:
    found = paired(values, plain)
    ends = "" if found["low"] is None else f" ({100 * found['low']:+.1f} to {100 * (found['high'] or 0):+.1f})"
    least = min(v - p for v, p in zip(values, plain, strict=True))
    return f"{100 * (found['mean'] or 0):+.1f}{ends}, least {100 * least:+.1f}"


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=8000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    of_kind, of_set = defaultdict(list), defaultdict(list)
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for kind, name, frame in sets(seed, arguments.data, arguments.rows):
            if (found := outcomes(frame, seed)) is not None:
                of_kind[kind].append(found)
                of_set[name].append(found)
    if arguments.json:
        show({"runs": of_set, "hardware": hardware()}, True)
        return
    every = {f"{kind} ({len(runs)} runs)": runs for kind, runs in of_kind.items()} | of_set
    rows = {f"{name}: {way}": line for name, runs in every.items() for way, line in lines(runs).items()}
    show(rows | {"seeds": f"{arguments.first_seed} + {arguments.seeds}"} | hardware(), False)


if __name__ == "__main__":
    main()
