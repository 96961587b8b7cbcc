"""What is shown of an estimate: nothing where nothing was learned, figures where something was, and whether they hold.

    python benchmarks/what_is_shown.py [--json] [--runs 40] [--data FOLDER]

First table: labels unrelated to the features, 2 to 10 classes, 60 to 5,000 rows, balanced and not; numbers too. The
share of runs in which nothing is shown (at least 95 % are to be). Second table: digits, the tables that scikit-learn
has, and with --data a folder of Parquet files with known truth (`label` beside `noisy`), with noise put in or their
own. For each: whether it counts as learned, the groups with a figure of disagreement, those with a share of wrong
labels, and how many of its 95 % intervals hold the known share.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from common import hardware, show
from skedastic.data import Classes, Dataset, Grouping, Numbers
from skedastic.noise.estimate import Estimate, estimate_groups
from skedastic.pipeline import estimate_noise
from skedastic.pipeline.gather import true_noise
from skedastic.pipeline.prepare import network, open_data, settled
from skedastic.settings.config import Estimation
from skedastic.settings.reading import read
from skedastic.training import TrainingConfig

FEATURES = 10
TRAINING = TrainingConfig(epochs=20, batch_size=64, device="cpu")
NULLS = [(60, 2, 1), (60, 4, 1), (200, 2, 9), (200, 5, 1), (1000, 10, 1), (1000, 3, 20), (5000, 2, 1), (5000, 10, 30)]
ONE_WAY = "1->8:0.3,2->7:0.2,3->9:0.4,0->6:0.1"
SETS: dict[str, dict[str, Any]] = {
    "digits": {"source": "digits"},
    "digits, uniform 20 %": {"source": "digits", "noise": "uniform:0.2"},
    "digits, uniform 40 %": {"source": "digits", "noise": "uniform:0.4"},
    "digits, one-way": {"source": "digits", "noise": ONE_WAY},
    "digits, rare noisy": {"source": "digits", "noise": "1<->8:0.4,3<->9:0.4", "imbalance": "step:9:1,3,8,9"},
    "digits, long tail": {"source": "digits", "noise": "pairs:0.3", "imbalance": "longtail:20"},
}
FILES = {
    "trec_minilm": ("split",),
    "youtube_minilm": ("split",),
    "chemprot_minilm": ("split",),
    "music_genre": ("single", "annotators", "annotator_labels", "song", "split"),
}
TABLES = ("page_blocks", "hypothyroid", "yeast", "krk", "ecoli", "mammography", "wine_white")


def unrelated(rows: int, classes: int, ratio: float, seed: int) -> Estimate:
    """Return the estimate for labels that the features say nothing of; one class stands for numbers."""
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.normal(size=(rows, FEATURES)), dtype=torch.float32)
    if classes == 1:
        y = torch.from_numpy(rng.lognormal(size=rows))
        target, group, names = Numbers().fit(y), torch.arange(rows) % 2, ("a", "b")
    else:
        share = np.geomspace(1, ratio, classes)
        y = torch.from_numpy(np.r_[np.arange(classes), rng.choice(classes, rows - classes, p=share / share.sum())])
        target, group, names = Classes(tuple(map(str, range(classes)))), y, tuple(map(str, range(classes)))
    data = Dataset(x, y, torch.arange(rows), group, target, Grouping(names), "table")

    def net() -> nn.Module:
        hidden = nn.Sequential(nn.Linear(FEATURES, 32), nn.BatchNorm1d(32), nn.ReLU())
        return nn.Sequential(hidden, nn.Linear(32, target.outputs), *[nn.Flatten(0)] * (classes == 1))

    return estimate_groups(data, net, TRAINING, Estimation(epochs=1.0), seed=seed)


def withheld(runs: int) -> dict[str, str]:
    """Return how often nothing is shown where there is nothing."""
    found = {}
    for rows, classes, ratio in [*NULLS, (60, 1, 1), (1000, 1, 1)]:
        learned = [unrelated(rows, classes, ratio, seed).findings.learned for seed in range(runs)]
        kind = "numbers" if classes == 1 else f"{classes} classes, 1 : {ratio}"
        found[f"unrelated, {rows} rows, {kind}"] = f"nothing shown in {runs - sum(learned)} of {runs}"
    return found


def shown(settings: Mapping[str, Any]) -> str:
    """Return what is shown of a data set with known truth."""
    config = read(None, {"test": "none", **settings})
    data = open_data(config)
    config = settled(config, data)
    estimated = estimate_noise(config, data, network(config, data))
    truth, found = true_noise(data) or [0.0] * len(data.train.groups), estimated.findings
    figures = [(w, t) for w, t in zip(found.wrong, truth, strict=True) if w is not None and t is not None]
    held = sum(w.low <= t <= w.high for w, t in figures)
    groups = sum(not why for why in found.withheld)
    return (
        f"{'learned' if found.learned else 'not learned'}; {groups} of {len(truth)} groups with a figure, "
        f"{len(figures)} of wrong labels, {held} of these hold the truth"
    )


def sets(folder: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the data sets by name, with their settings."""
    yield from SETS.items()
    if folder is None:
        return
    for name, ignore in FILES.items():
        yield name, {"source": str(folder / f"{name}.parquet"), "target": "noisy", "truth": "label", "ignore": ignore}
    for name in TABLES:
        source = {"source": str(folder / f"{name}.parquet"), "target": "label", "ignore": ("split",), "limit": 6000}
        yield name, source
        yield f"{name}, uniform 20 %", source | {"noise": "uniform:0.2"}
        yield f"{name}, uniform 40 %", source | {"noise": "uniform:0.4"}


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    results = withheld(arguments.runs) | {name: shown(settings) for name, settings in sets(arguments.data)}
    show({**results, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
