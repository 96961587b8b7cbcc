"""How near the estimated noise comes to the truth: confident predictions counted, or all, at several budgets.

    python benchmarks/noise_estimate.py [--json] [--seeds 6] [--cifar-seeds 2]

Digits with noise put in by hand, and CIFAR-10 with its human labels ("worse", 40 % wrong; examples/cifar_noise.toml,
about 9 minutes a seed on two cores). For each: Spearman's correlation of the estimated and the true
noise of the classes, and the mean absolute difference in points, both averaged over seeds with a 95 % interval. One
training of the estimating models serves both ways of counting.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from common import CIFAR, hardware, show
from skedastic.evaluation.intervals import mean_interval
from skedastic.noise.by_target import count_errors, held_out_predictions
from skedastic.pipeline import estimate_noise
from skedastic.pipeline.gather import true_noise
from skedastic.pipeline.prepare import network, open_data
from skedastic.settings.reading import read

ONE_WAY = "1->8:0.3,2->7:0.2,3->9:0.4,0->6:0.1"
DIGITS: dict[str, dict[str, Any]] = {
    "the demo's": {"noise": "1<->8:0.4,3<->9:0.4", "imbalance": "step:3:1,3,8,9"},
    "one-way": {"noise": ONE_WAY},
    "uniform": {"noise": "uniform:0.3"},
    "long tail, pairs": {"noise": "pairs:0.3", "imbalance": "longtail:20"},
    "rare, one-way": {"noise": ONE_WAY, "imbalance": "step:10:1,2,3,4,5"},
}
CIFAR_NOISE = Path(__file__).parent.parent / "examples" / "cifar_noise.toml"
WAYS = ("confident", "all")


def measured(file: Path | None, overrides: Mapping[str, Any], seeds: int) -> dict[str, Any]:
    """Return, for each way of counting, how near the estimate comes over seeds."""
    values: dict[str, dict[str, list[float]]] = {way: {"spearman": [], "points off": []} for way in WAYS}
    for seed in range(seeds):
        config = read(file, {**overrides, "seed": seed})
        data = open_data(config)
        estimated = estimate_noise(config, data, network(config, data))
        truth = np.array(true_noise(data))
        held_out = held_out_predictions(data.train, estimated.held_out, estimated.fold)
        for way in WAYS:
            how = replace(config.estimate, counted=way)
            noise = count_errors(data.train, held_out, how).noise.numpy()
            values[way]["spearman"].append(float(spearmanr(noise, truth).statistic))
            values[way]["points off"].append(float(np.abs(noise - truth).mean() * 100))
    return {f"{way}, {name}": mean_interval(v) for way in WAYS for name, v in values[way].items()}


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--cifar-seeds", type=int, default=2, help="0 leaves CIFAR out")
    arguments = parser.parse_args()
    results = {}
    for epochs in (60, 15, 5):
        for name, settings in DIGITS.items():
            train = {
                "estimate.epochs": 1.0,
                "train.epochs": epochs,
                "train.batch_size": 256,
                "train.lr": 0.02 if epochs == 60 else 0.05,
            }
            overrides = {"source": "digits", "test": "0.3", **settings, **train}
            results[f"digits, {name}, {epochs} epochs"] = measured(None, overrides, arguments.seeds)
    if arguments.cifar_seeds and CIFAR.exists():
        overrides = {"source": str(CIFAR), "test": "none"}
        results["CIFAR-10, human labels"] = measured(CIFAR_NOISE, overrides, arguments.cifar_seeds)
    rows = {
        name: "; ".join(f"{key} {v['mean']:.2f}" + _spread(v) for key, v in row.items())
        for name, row in results.items()
    }
    show({"results": results, **hardware()} if arguments.json else {**rows, **hardware()}, arguments.json)


def _spread(value: Mapping[str, Any]) -> str:
    return "" if value["low"] is None else f" ± {value['high'] - value['mean']:.2f}"


if __name__ == "__main__":
    main()
