"""What HAR costs as a whole, estimate and training, against plain training and the paper's recipe.

    python benchmarks/har_cost.py [--json] [--rounds 1] [--epochs 20] [--limit 2500]

A subset of CIFAR-10 (shared/data), step imbalance 100 (five classes cut to a hundredth), ResNet-32, batches of 128.
Each round runs the whole `skedastic fit` of plain training, of HAR as it comes, and of the paper's recipe (one half
split at the full budget, double backward), in turn; `ratio` is the median of fit(HAR) / fit(plain), `paper_ratio` that
of the recipe.
"""

from __future__ import annotations

import argparse
import statistics
import time

from common import CIFAR, hardware, show
from skedastic.pipeline import fit_config
from skedastic.settings.reading import read

KINDS = {
    "erm": {"method.name": "erm", "estimate.kind": "none"},
    "har": {"method.name": "har"},
    "paper": {
        "method.name": "har",
        "method.gradient": "exact",
        "method.select": 1.0,
        "estimate.kind": "paper",
        "estimate.epochs": 1.0,
    },
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--limit", type=int, default=2500)
    arguments = parser.parse_args()
    settings = {
        "source": str(CIFAR),
        "target": "label",
        "imbalance": "step:100:airplane,automobile,bird,cat,deer",
        "limit": arguments.limit,
        "test": "none",
        "model.name": "resnet32",
        "train.epochs": arguments.epochs,
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    estimated: list[float] = []
    trained = 0
    for seed in range(arguments.rounds):
        for kind, more in KINDS.items():
            start = time.perf_counter()
            result = fit_config(read(None, {**settings, **more, "seed": seed}))
            seconds[kind].append(time.perf_counter() - start)
            trained = sum(result.train_count)
            if kind == "har":
                estimated.append((seconds[kind][-1] - result.trained.seconds) / seconds["erm"][-1])
                regularized = result.strengths
    ratios = {k: [a / b for a, b in zip(seconds[k], seconds["erm"], strict=True)] for k in ("har", "paper")}
    figures: dict[str, object] = {
        "ratio": statistics.median(ratios["har"]),
        "ratio_range": [round(min(ratios["har"]), 3), round(max(ratios["har"]), 3)],
        "of_it_estimate": statistics.median(estimated),
        "paper_ratio": statistics.median(ratios["paper"]),
        "paper_ratio_range": [round(min(ratios["paper"]), 3), round(max(ratios["paper"]), 3)],
        "erm_seconds": statistics.median(seconds["erm"]),
        "examples": trained,
        "enforced_strengths": [round(float(s), 3) for s in regularized],
        "epochs": arguments.epochs,
        "rounds": arguments.rounds,
    }
    show(figures | hardware(), arguments.json)


if __name__ == "__main__":
    main()
