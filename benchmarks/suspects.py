"""How many of the labels called suspect are wrong, against cleanlab alone on the same held-out probabilities.

    python benchmarks/suspects.py [--json] [--seeds 3] [--limit 10000]

CIFAR-10 with its human labels, "worse" (40 % wrong) and "aggre" (9 %); clean labels tell which are wrong. Of a training set
with m wrong labels, the m most suspect are looked at, so that precision and recall are one number. `suspects` is our order,
confident learning's normalized margin; `cleanlab` is its own default order, self confidence; `flagged` are the labels that
either calls an issue. About 2 minutes a seed on two cores.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from common import CIFAR, hardware, show
from skedastic.config import read
from skedastic.evaluate import mean_interval
from skedastic.pipeline import estimate_noise
from skedastic.preparation import network, open_data

LABELS = ("worse", "aggre")


def found(labels: str, limit: int, seed: int) -> dict[str, float]:
    """Return the shares of wrong labels that each way finds, for one seed."""
    settings = {"source": str(CIFAR), "target": labels, "truth": "label", "test": "none", "limit": limit, "seed": seed}
    config = read(None, {**settings, "model": "cnn", "train.epochs": 20, "estimate.epochs": 1.0})
    data = open_data(config)
    estimated = estimate_noise(config, data, network(config, data))
    assert data.truth is not None
    wrong = (data.train.y != data.truth.of(data.train.index)).numpy()
    y, p, ours = data.train.y.numpy(), estimated.held_out.double().numpy(), estimated.suspects
    m = int(wrong.sum())
    ordered = {
        "suspects": pd.Series(wrong, data.train.index.numpy()).loc[ours["index"]].to_numpy(),
        "cleanlab": wrong[np.argsort(get_label_quality_scores(y, p), kind="stable")],
    }
    flagged = {"suspects": ordered["suspects"][ours["is_issue"]], "cleanlab": wrong[find_label_issues(y, p, n_jobs=1)]}
    figures = {"share wrong": m / len(wrong)}
    for way in ordered:
        figures |= {f"{way}, first {part}": float(ordered[way][:k].mean()) for part, k in (("m", m), ("m/10", m // 10))}
        figures[f"{way}, flagged, precision"] = float(flagged[way].mean())
        figures[f"{way}, flagged, recall"] = float(flagged[way].sum() / m)
    return figures


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=10_000)
    options = parser.parse_args()
    figures: dict[str, Any] = {"hardware": hardware(), "seeds": options.seeds, "images": options.limit}
    for labels in LABELS:
        runs = [found(labels, options.limit, seed) for seed in range(options.seeds)]
        for name in runs[0]:
            value = mean_interval([run[name] for run in runs])
            spread = "" if value["low"] is None else f" ± {value['high'] - value['mean']:.3f}"
            figures[f"{labels}: {name}"] = value if options.json else f"{value['mean']:.3f}{spread}"
    show(figures, options.json)


if __name__ == "__main__":
    main()
