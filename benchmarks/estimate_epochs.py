"""Does the ranking of the groups' noise survive a shorter estimate? Spearman's correlation with the full budget's.

    python benchmarks/estimate_epochs.py [--json] [--seeds 3] [--fractions 0.5,0.25,0.1] [--data digits,fashion,cifar]

Each data set's estimating models are trained with the full number of epochs and with fractions of it, on the same
folds. Prints for each fraction the correlation of the groups' estimated noise (and of the strengths τ) with the full
budget's, that with the true noise, and what the estimate cost as a fraction of training once with the full budget.
Fashion-MNIST is read from the Debian package dataset-fashion-mnist, CIFAR-10 from shared/data; absent ones are left
out.
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from common import CIFAR, hardware, show
from skedastic.data import Source, from_arrays
from skedastic.evaluation.intervals import mean_interval
from skedastic.methods.erm import ERM
from skedastic.pipeline import estimate_noise
from skedastic.pipeline.gather import true_noise
from skedastic.pipeline.prepare import network, open_data
from skedastic.settings.config import Config
from skedastic.settings.reading import read
from skedastic.training import train

FASHION = Path("/usr/share/datasets/fashion-mnist")
SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {
        "source": "digits",
        "noise": "1<->8:0.4,3<->9:0.4",
        "imbalance": "step:3:1,3,8,9",
        "model.name": "mlp",
        "train.epochs": 60,
        "train.batch_size": 256,
        "train.lr": 0.02,
    },
    "fashion": {
        "noise": "0<->6:0.4,2<->4:0.3,7->9:0.2",
        "imbalance": "step:3:0,2,4,6",
        "limit": 6000,
        "model.name": "mlp",
        "train.epochs": 40,
        "train.lr": 0.02,
    },
    "cifar": {
        "source": str(CIFAR),
        "target": "worse",
        "truth": "label",
        "limit": 4000,
        "model.name": "resnet32",
        "model.blocks": 1,
        "train.epochs": 20,
        "train.batch_size": 64,
        "train.augment": "none",
    },
}


def source(name: str) -> Source | None:
    """Return a data set that is not a file of ours."""
    if name != "fashion":
        return None
    with gzip.open(FASHION / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(FASHION / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return from_arrays(images, labels.astype(np.int64), None)


def is_here(name: str) -> bool:
    """Whether a data set is on this machine."""
    return {"cifar": CIFAR, "fashion": FASHION}.get(name, Path()).exists()


def measured(name: str, fractions: list[float], seed: int) -> dict[float, dict[str, float]]:
    """Return for each fraction of the budget how like the full one the estimate is."""
    config: Config = read(None, {**SETTINGS[name], "test": "none", "seed": seed})
    data = open_data(config, source(name))
    make_net = network(config, data)
    full_training = train(ERM(), data.train, make_net, config.train, seed=seed).seconds
    estimates = {}
    for fraction in [1.0, *fractions]:
        how = replace(config, estimate=replace(config.estimate, epochs=fraction))
        estimates[fraction] = estimate_noise(how, data, make_net)
    truth = np.array(true_noise(data))
    full = estimates[1.0].stats
    return {
        fraction: {
            "wrong": float(spearmanr(e.stats.wrong, full.wrong).statistic),
            "strengths": float(spearmanr(e.stats.strengths, full.strengths).statistic),
            "truth": float(spearmanr(e.stats.wrong, truth).statistic),
            "cost": e.seconds / full_training,
        }
        for fraction, e in estimates.items()
    }


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fractions", default="0.5,0.25,0.1")
    parser.add_argument("--data", default=",".join(SETTINGS))
    arguments = parser.parse_args()
    fractions = [float(f) for f in arguments.fractions.split(",")]
    start, results = time.perf_counter(), {}
    for name in arguments.data.split(","):
        if not is_here(name):
            continue
        runs = [measured(name, fractions, seed) for seed in range(arguments.seeds)]
        for fraction in [1.0, *fractions]:
            keys = runs[0][fraction]
            results[f"{name}, {fraction:g} of the budget"] = {
                key: mean_interval([run[fraction][key] for run in runs]) for key in keys
            }
    rows = {name: "; ".join(_words(key, value) for key, value in row.items()) for name, row in results.items()}
    facts = {"seeds": arguments.seeds, "minutes": (time.perf_counter() - start) / 60, **hardware()}
    show({"results": results, **facts} if arguments.json else {**rows, **facts}, arguments.json)


def _words(key: str, value: Mapping[str, Any]) -> str:
    names = {"wrong": "ρ(wrong, full)", "strengths": "ρ(τ, full)", "truth": "ρ(wrong, truth)", "cost": "cost"}
    lowest = f" (least {min(value['values']):.2f})" if key in ("wrong", "strengths") else ""
    return f"{names[key]} {value['mean']:.2f}{lowest}"


if __name__ == "__main__":
    main()
