"""Whether `--groups cluster:K` finds sub-classes that nobody has named, where it is known what they are.

    python benchmarks/clusters.py [--json] [--seeds 3]

Odd and even digits (five digits each), and vehicles and animals in 6,000 images of CIFAR-10 (four and six classes) with
the network `cnn`: the adjusted Rand index of a class's clusters with what its examples are, mean over both classes (0:
chance, 1: the same), and the share of rows on which the estimating networks agree. About 2 minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from common import CIFAR, hardware, show
from skedastic.evaluation.intervals import mean_interval
from skedastic.pipeline import estimate
from skedastic.settings.reading import read

VEHICLES = (0, 1, 8, 9)


def index_and_agreement(path: Path, kinds: np.ndarray, settings: dict[str, Any], seed: int) -> tuple[float, float]:
    """Return the mean index over the classes, and the agreement; kinds: what each row of the file is."""
    estimated, data = estimate(read(None, {"source": str(path), "target": "class", "seed": seed} | settings))
    assert estimated.clusters is not None
    y, group, kind = data.train.y.numpy(), data.train.group.numpy(), kinds[data.train.index.numpy()]
    indices = [adjusted_rand_score(kind[y == c], group[y == c]) for c in np.unique(y)]
    return float(np.mean(indices)), estimated.clusters.agreement


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    digits = load_digits()
    pixels = {f"p{i}": digits.data[:, i] for i in range(64)}
    sets = [
        (
            "digits",
            pa.table(pixels | {"class": np.where(digits.target % 2, "odd", "even")}),
            digits.target,
            {"groups": "cluster:5"},
        )
    ]
    if CIFAR.exists():
        table = pq.read_table(CIFAR, columns=["image", "label"])
        label = table["label"].to_numpy()
        named = pa.table({"image": table["image"], "class": np.where(np.isin(label, VEHICLES), "vehicle", "animal")})
        sets.append(("CIFAR-10", named, label, {"groups": "cluster:5", "model": "cnn", "limit": 6000}))
    figures: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        for name, table, kinds, settings in sets:
            pq.write_table(table, Path(folder) / f"{name}.parquet")
            for epochs in (5, 20):
                given = settings | {"train.epochs": epochs, "estimate.epochs": 1.0}
                runs = [
                    index_and_agreement(Path(folder) / f"{name}.parquet", kinds, given, seed)
                    for seed in range(arguments.seeds)
                ]
                for what, values in zip(("index", "agreement"), zip(*runs, strict=True), strict=True):
                    value = mean_interval(list(values))
                    spread = "" if value["low"] is None else f" ± {value['high'] - value['mean']:.2f}"
                    figures[f"{name}, {epochs} epochs, {what}"] = (
                        value if arguments.json else f"{value['mean']:.2f}{spread}"
                    )
    show(figures | {"seeds": arguments.seeds, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
