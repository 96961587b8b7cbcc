"""The share of wrong labels of each group, with an interval, where held-out predictions can tell it at all.

Held-out predictions disagree with labels that are wrong, and where they are wrong themselves. Their own errors are more
frequent where they are less confident; labels that are wrong by chance are not. So the disagreement is followed along
the confidence, within each fold and predicted class.

- Where it stays level over the more confident half, it is the labels' in that half. The interval reaches from there
  (the lower end of the 95 % interval of the more confident half, less what the disagreement rises within it) to the
  disagreement of all rows (the upper end of its 95 % interval), which counts every error of the model too.
- Where it rises by more than 8 points within that half, it tells the model's errors, and no share of wrong labels is
  given. The rise is the larger of that from the first to the second quarter, and that from the first eighth to the
  rest of the half. Nor is one given where more than half of the confident labels are disagreed with, where the
  interval is wider than 30 points, or for fewer than 30 rows or 10 confident ones.

All of it is done for two readings of the predictions, as they are and with each class predicted as often as it is
labelled (`confident.match_counts`); the interval holds both. They part where the one misses rare classes, and where the
other predicts them too often because noise made them frequent. Groups inform each other as in `group_noise`.

What no held-out prediction can tell is noise that follows from the features: a model learns it and agrees with it. The
interval is then too low. On data with known truth: `benchmarks/what_is_shown.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skedastic.evaluation.intervals import LEAST_ROWS, Interval
from skedastic.noise.group_noise import Rates, group_noise
from skedastic.noise.held_out import Integers, Judged

Floats = NDArray[np.floating[Any]]

MOST_RISE = 0.08
MOST_DISAGREED = 0.5
WIDEST = 0.3  # of an interval: ±15 points
SLACK = 0.005  # of both ends: no interval is taken more exactly than it is shown
LEAST_CONFIDENT = 10  # rows of a group in the more confident half

FEW, OWN_ERRORS, UNSURE, UNCERTAIN = "few rows", "own errors", "few confident", "uncertain"
MEANING = {
    FEW: f"there are fewer than {LEAST_ROWS} rows",
    OWN_ERRORS: "the model's own errors are among them",
    UNSURE: f"fewer than {LEAST_CONFIDENT} of its rows are predicted confidently",
    UNCERTAIN: f"the interval is wider than {100 * WIDEST:.0f} points",
}
"""Why no share of wrong labels is given: in a word for a table, and in a sentence about the labels in question."""


class Reading(NamedTuple):
    """How predictions of one reading disagree with labels: in the confident half, in all rows, along the confidence."""

    confident: Rates
    counted: Integers  # rows of each group in the confident half, [G]
    every: Rates
    rise: float
    disagreed: float  # share of the confident half


def wrong_label_shares(readings: Sequence[Floats], judged: Judged) -> tuple[list[Interval | None], list[str]]:
    """Return the share of wrong labels of each group, [G], or None, and why there is none, [G].

    Parameters
    ----------
    readings : sequence of ndarray
        Held-out class probabilities, [n, C], all finite: as they are, and with matched counts.
    judged : Judged
        Their n rows.
    """
    read = [_read(p, judged) for p in readings]
    rise = max(0.0, *(r.rise for r in read))
    low = (np.min([r.confident.low for r in read], axis=0) - rise - SLACK).clip(0, 1)
    high = (np.max([r.every.high for r in read], axis=0) + SLACK).clip(0, 1)
    middle = np.mean([r.confident.rate for r in read], axis=0).clip(low, high)
    counted = np.min([r.counted for r in read], axis=0)
    size = np.bincount(judged.group, minlength=judged.groups)
    own_errors = rise > MOST_RISE or max(r.disagreed for r in read) > MOST_DISAGREED
    causes = (
        (FEW, size < LEAST_ROWS),
        (OWN_ERRORS, np.full(judged.groups, own_errors)),
        (UNSURE, counted < LEAST_CONFIDENT),
        (UNCERTAIN, high - low > WIDEST),
    )
    reasons = [next((why for why, holds in causes if holds[g]), "") for g in range(judged.groups)]
    ends = zip(reasons, middle.tolist(), low.tolist(), high.tolist(), strict=True)
    return [None if why else Interval(mean=m, low=a, high=b) for why, m, a, b in ends], reasons


def _read(p: Floats, judged: Judged) -> Reading:
    y, fold, group, groups, _ = judged
    predicted = p.argmax(1)
    place = _by_confidence(p, predicted, fold)
    wrong, half = predicted != y, place < 0.5
    sizes = [np.bincount(group[rows], minlength=groups) for rows in (half & wrong, half, wrong, np.full(len(y), True))]
    parts = [_share(wrong[(place >= a) & (place < b)]) for a, b in ((0, 0.25), (0.25, 0.5), (0, 0.125), (0.125, 0.5))]
    rise = max(parts[1] - parts[0], parts[3] - parts[2])
    return Reading(group_noise(*sizes[:2]), sizes[1], group_noise(*sizes[2:]), rise, _share(wrong[half]))


def _by_confidence(p: Floats, predicted: Integers, fold: Integers) -> NDArray[np.float64]:
    """Return the place of each row among those of its fold and predicted class, from 0, the most confident, to 1."""
    two = np.partition(p, -2, axis=1)[:, -2:].astype(np.float64)
    order = np.lexsort((-(two[:, 1] - two[:, 0]), predicted, fold))
    key = (fold * p.shape[1] + predicted)[order]
    start = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    size = np.diff(np.r_[start, len(key)])
    place = np.empty(len(p))
    place[order] = (np.arange(len(key)) - np.repeat(start, size) + 0.5) / np.repeat(size, size)
    return place


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else 0.0
