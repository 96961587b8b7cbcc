"""How near the estimate of wrong labels comes by networks of the model, by trees, and by logistic regression.

    python benchmarks/estimate_with.py --data FOLDER [--json] [--seeds 2] [--rows 3000]

FOLDER has Parquet files: four sets with noise of their own (`label` beside what is trained on), and four clean ones, in
which 20 % of all labels are made wrong, or labels of some classes one way. For each set and each value of
`--estimate-with`, over the classes with 30 rows: the mean absolute error of the share of wrong labels in points,
Spearman's correlation where there are three classes or more, how many 95 % intervals hold the truth, and the seconds of
the estimate; means over seeds.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from common import hardware, show
from noise_estimate import NOT_FEATURES, Measured, measured, with_noise
from skedastic.evaluation.intervals import LEAST_ROWS
from skedastic.settings.config import Estimator

OWN = {  # file, and the columns that are left out
    "music_genre": ("single", "annotators", "annotator_labels", "song"),
    "defects": ("weak", "bugs", "file", "release", "release_no"),
    "trec": ("weak", "wrench_split", "n_votes", "vote_counts"),
    "youtube": ("weak", "n_votes", "vote_counts"),
}
CLEAN = ("page_blocks", "krk", "adult", "hypothyroid")
KINDS = ("uniform 20", "one way")
LEAST = 4  # rows of a class that stays: two in each fold


def sets(folder: Path, rows: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield name and frame, with `noisy` beside `label`."""
    for name, left_out in OWN.items():
        frame = pd.read_parquet(folder / f"{name}.parquet")
        frame = frame[(frame["split"] == "train") & frame["noisy"].notna()].drop(columns=[*left_out, "split"])
        yield name, frame.sample(min(rows, len(frame)), random_state=seed)
    for name in CLEAN:
        frame = pd.read_parquet(folder / f"{name}.parquet")
        frame = frame.drop(columns=[c for c in NOT_FEATURES if c in frame])
        frame = frame.sample(min(rows, len(frame)), random_state=seed)
        frame = frame[frame["label"].map(frame["label"].value_counts()) >= LEAST]
        for kind in KINDS:
            yield f"{name}, {kind}", with_noise(frame, kind, name, seed)


def figures(m: Measured) -> tuple[float, float, float, float]:
    """Return the error in points, Spearman's correlation or NaN, the share of intervals that hold, and seconds."""
    truth, rate, low, high = m.wrong
    enough = m.count >= LEAST_ROWS
    told = enough.sum() > 2 and len(set(truth[enough])) > 1 and len(set(rate[enough])) > 1
    rank = float(spearmanr(rate[enough], truth[enough]).statistic) if told else np.nan
    holds = ((low - 0.005 <= truth) & (truth <= high + 0.005))[enough]
    return 100 * float(np.abs(rate - truth)[enough].mean()), rank, float(holds.mean()), m.seconds


def line(of: list[tuple[float, float, float, float]]) -> str:
    """Return the means of the figures in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two classes, whose order is no correlation
        off, rank, held, seconds = np.nanmean(np.array(of), 0)
    spearman = "" if np.isnan(rank) else f", ρ {rank:.2f}"
    return f"off by {off:.1f}{spearman}, {held:.0%} of intervals hold, {seconds:.1f} s"


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=3000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    ways, found = get_args(Estimator), dict[str, dict[str, list[tuple[float, float, float, float]]]]()
    for seed in range(arguments.seeds):
        for name, frame in sets(arguments.data, arguments.rows, seed):
            results = {by: measured(frame, seed, by) for by in ways}
            for by, result in results.items():
                if result is not None:
                    found.setdefault(name, {}).setdefault(by, []).append(figures(result))
    rows = {f"{name}: {by}": line(of) for name, by_way in found.items() for by, of in by_way.items()}
    for by in ways:
        rows[f"ALL: {by}"] = line([f for by_way in found.values() for f in by_way.get(by, [])])
    show({**rows, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
