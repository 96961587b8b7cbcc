"""Where an estimate of wrong and of uncertain labels may be shown, and where it is the model's word alone.

A held-out prediction differs from a label that is wrong, and where it is wrong itself. `true_labels` tells the two
apart by how sure the model is. The more of the disagreement it takes for the model's own errors, the more rests on how
sure that model is rightly, and the less on the labels. So nothing is shown

- where more than 20 points of a group's disagreement are taken for the model's own errors,
- where more than 20 points are in all groups together: then no part of the model of the noise is sure, and a class
  that is never predicted looks as if all of its labels were wrong,
- where the interval is wider than 30 points, or
- of fewer than 30 rows.

What no held-out prediction can tell is noise that follows from the features: a model learns it and agrees with it. The
interval is then too low. How many intervals hold, on data with known truth: benchmarks/noise_estimate.py.
"""

from __future__ import annotations

from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.evaluation.intervals import LEAST_ROWS, Interval

MOST_OWN = 0.2  # of the disagreement, taken for the model's own errors
WIDEST = 0.3  # of an interval: ±15 points
SLACK = 0.005  # of both ends: no interval is taken more exactly than it is shown

FEW, OWN_ERRORS, UNCERTAIN = "few rows", "own errors", "wide interval"
OF_ALL = "own errors of all"
MEANING = {
    FEW: f"there are fewer than {LEAST_ROWS} rows",
    OWN_ERRORS: "too many of these are the model's own errors",
    OF_ALL: "in all groups together, too many are the model's own errors",
    UNCERTAIN: f"the interval is wider than {100 * WIDEST:.0f} points",
}
"""Why a figure is not given: in a word for a table, and in a sentence about labels that are disagreed with."""


def shown_rates(stats: GroupStats, quantity: str) -> tuple[list[Interval | None], list[str]]:
    """Return a quantity of the labels of each group with its interval, [G], or None, and why there is none, [G].

    Parameters
    ----------
    stats : GroupStats
        Of labels, by held-out predictions.
    quantity : str
        "wrong" or "uncertainty".
    """
    assert stats.errors is not None, "targets are labels"
    assert stats.wrong is not None
    rate, low, high = (getattr(stats, name) for name in (quantity, f"{quantity}_low", f"{quantity}_high"))
    low, high = (low - SLACK).clamp_min(0), (high + SLACK).clamp_max(1)
    own = stats.errors / stats.counted.clamp_min(1) - stats.wrong
    of_all = (own * stats.counted).sum() / stats.counted.sum().clamp_min(1)
    causes: tuple[tuple[str, Tensor], ...] = (
        (FEW, stats.counted < LEAST_ROWS),
        (OWN_ERRORS, own > MOST_OWN),
        (OF_ALL, (of_all > MOST_OWN).expand(len(own))),
        (UNCERTAIN, high - low > WIDEST),
    )
    reasons = [next((why for why, holds in causes if holds[g]), "") for g in range(len(stats.names))]
    ends = zip(reasons, rate.tolist(), low.tolist(), high.tolist(), strict=True)
    return [None if why else Interval(mean=m, low=a, high=b) for why, m, a, b in ends], reasons
