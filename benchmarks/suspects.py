"""How many of the labels called suspect are wrong, against cleanlab alone on the same held-out probabilities.

    python benchmarks/suspects.py [--json] [--seeds 3] [--limit 10000]

CIFAR-10 with its human labels, "worse" (40 % wrong) and "aggre" (9 %), where clean labels tell which are wrong, and
digits with noise put in by hand: two pairs of classes exchanged, with and without imbalance, one direction only, and
all classes alike. Of a training set with m wrong labels, the m most suspect are looked at, so that precision and recall
are one number. `suspects` is our order; `cleanlab` and `cleanlab's margin` are its two, self confidence (the default)
and normalized margin; `flagged` are the labels that are called issues; `suggested` is the share of wrong labels whose
suggestion is the clean one. Our order was chosen on seeds 0 to 4; the default here begins at 10. About 2 minutes a seed
on two cores.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from common import CIFAR, hardware, show
from skedastic.evaluation.intervals import mean_interval
from skedastic.pipeline import estimate_noise
from skedastic.pipeline.prepare import network, open_data, settled
from skedastic.settings.reading import read

PEOPLE = {
    "truth": "label",
    "source": str(CIFAR),
    "test": "none",
    "model": "cnn",
    "train.epochs": 20,
    "estimate.epochs": 1.0,
}
DIGITS = {"source": "digits"}
PAIRS = "1<->8:0.4,3<->5:0.4"
DATA: dict[str, dict[str, Any]] = {
    "worse": PEOPLE | {"target": "worse"},
    "aggre": PEOPLE | {"target": "aggre"},
    "digits, pairs": DIGITS | {"noise": PAIRS},
    "digits, pairs, rare": DIGITS | {"noise": PAIRS, "imbalance": "step:10:1,8,3,5"},
    "digits, one way": DIGITS | {"noise": "3->5:0.4,1->8:0.3"},
    "digits, all": DIGITS | {"noise": "uniform:0.2"},
}


def figures_of_seed(settings: dict[str, Any], limit: int, seed: int) -> dict[str, float]:
    """Return the shares of wrong labels that each way finds, for one seed."""
    if settings["source"] != "digits":
        settings = settings | {"limit": limit}
    config = read(None, settings | {"seed": seed})
    data = open_data(config)
    config = settled(config, data)
    estimated = estimate_noise(config, data, network(config, data))
    assert data.truth is not None
    clean = data.truth.of(data.train.index).numpy()
    y, p = data.train.y.numpy(), estimated.held_out.double().numpy()
    wrong, ours = y != clean, estimated.label_issues.set_index("index").loc[data.train.index.numpy()]
    m = int(wrong.sum())
    score = {
        "suspects": ours["rank"].to_numpy(),
        "cleanlab": get_label_quality_scores(y, p),
        "cleanlab's margin": get_label_quality_scores(y, p, method="normalized_margin"),
    }
    flagged = {"suspects": ours["is_issue"].to_numpy(), "cleanlab": find_label_issues(y, p, n_jobs=1)}
    names = np.asarray(data.train.classes, dtype=object)
    likeliest = p.copy()
    likeliest[np.arange(len(y)), y] = -1
    suggested = {"suspects": ours["suggested"].to_numpy(), "cleanlab": names[likeliest.argmax(1)]}
    figures = {"share wrong": m / len(wrong)}
    for part, k in (("m", m), ("m/10", max(1, m // 10))):
        for way, of in score.items():
            figures[f"first {part}, {way}"] = float(wrong[np.argsort(of, kind="stable")[:k]].mean())
    for way, called in flagged.items():
        figures[f"flagged, precision, {way}"] = float(wrong[called].mean()) if called.any() else 0.0
        figures[f"flagged, recall, {way}"] = float(wrong[called].sum() / m)
    for way, classes in suggested.items():
        figures[f"suggested, {way}"] = float((classes == names[clean])[wrong].mean())
    return figures


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=10)
    parser.add_argument("--limit", type=int, default=10_000, help="images of CIFAR-10")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    figures: dict[str, Any] = {"hardware": hardware(), "seeds": list(seeds), "images": options.limit}
    for data, settings in DATA.items():
        runs = [figures_of_seed(settings, options.limit, seed) for seed in seeds]
        for name in runs[0]:
            value = mean_interval([run[name] for run in runs])
            spread = "" if value["low"] is None else f" ± {value['high'] - value['mean']:.3f}"
            figures[f"{data}: {name}"] = value if options.json else f"{value['mean']:.3f}{spread}"
    show(figures, options.json)


if __name__ == "__main__":
    main()
