"""Where an estimate of wrong and of uncertain labels may be shown, and where it is the model's word alone.

A held-out prediction differs from a label that is wrong, and where it is wrong itself. `true_labels` tells the two
apart by how sure the model is. The more of the disagreement it takes for the model's own errors, the more rests on how
sure that model is rightly, and the less on the labels. So nothing is shown

- where more than 20 points of a group's disagreement are taken for the model's own errors,
- where held-out predictions disagree with more than half of all labels: they know too little,
- where more than half of a group's labels look wrong, and more than 20 points of the disagreement of all groups
  together are the model's own errors, or more than 35 % of all labels are disagreed with: it may have given up the
  class, whose labels all look wrong then,
- of two classes, whose wrong labels are each other's, where that holds of the other one, or where much of both is the
  model's own errors (see `trusted`),
- where the interval is wider than 30 points, for which there is another word if models are also surer of their
  predictions than these are right, by more than 15 points (`overconfidence`): its lower end tells nothing then,
- where more than 60 % of a group's labels look wrong, as do all labels of a class that the models have given up,
- where more than half of a group's labels look like those of one other class: so do wrong labels, and so do right ones
  of a class that the features don't tell from that other one, or
- of fewer than 30 rows.

Held-out likelihood hardly tells classes that overlap from labels that are wrong: a model without wrong labels, only
less sure of its predictions, explains labels about as well. Labels to check are wanted all the same. Where more
than 10 points of the disagreement of all groups are taken for the model's own errors, and these are more than 45 % of
it or more than 25 points (`trusted`), half as many of each class are to be checked. The limits are chosen on data with
known truth: what they find and accuse is in docs/guide/label_issues.md.

What no held-out prediction can tell is noise that follows from the features: a model learns it and agrees with it. The
interval is then too low. Test labels that are made in another way tell it (`told_by_test`). How many intervals hold, on
data with known truth: benchmarks/noise_estimate.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.evaluation.intervals import LEAST_ROWS, Interval

MOST_OWN = 0.2  # of the disagreement, taken for the model's own errors
MOST_OF_A_GROUP = 0.6  # of its labels look wrong, whatever the other groups are like
WIDEST = 0.3  # of an interval: ±15 points
MOST_LABELS = 0.5  # of a group look wrong, where the model may have given it up, or like one other class
MOST, MANY = 0.5, 0.35  # of all labels are disagreed with, where little is known, and where a class may be given up
LITTLE_OWN, MUCH_OWN = 0.1, 0.25  # of all labels: disagreement of all groups, taken for the model's own errors
LEAST_WRONG = 0.55  # of that disagreement, taken for wrong labels, where own errors are between these two
DOUBTED = 0.5  # of the labels to check are left where much is the model's own errors
PAIR = 2
MUCH_EASIER = 0.1  # are training labels to predict than test labels
MUCH_SURER = 0.15  # are models than they are right
SLACK = 0.005  # of both ends: no interval is taken more exactly than it is shown

FEW, OWN_ERRORS, UNCERTAIN = "few rows", "own errors", "wide interval"
OF_ALL = "own errors of all"
LIKE_ANOTHER = "like another class"
OF_BOTH = "own errors of both"
MOSTLY = "most disagree"
UNLIKE_TEST = "unlike the test"
OVERCONFIDENT = "overconfident"
GIVEN_UP = "given up"
MEANING = {
    FEW: f"there are fewer than {LEAST_ROWS} rows",
    OWN_ERRORS: "too many of these are the model's own errors",
    OF_ALL: "in all groups together, too many are the model's own errors, and it may have given this one up",
    LIKE_ANOTHER: "more than half look like one other class, which the features may not tell from this one",
    MOSTLY: "held-out predictions disagree with more than half of all labels",
    OF_BOTH: "of two classes the wrong labels of one are the other's, and too many of both are the model's own errors",
    UNLIKE_TEST: "in the mean over groups, test labels are predicted far less well than training labels",
    OVERCONFIDENT: "held-out predictions are far surer than labels bear out, and may contradict right ones for sure",
    GIVEN_UP: f"more than {MOST_OF_A_GROUP:.0%} look wrong, as do all labels of a class that the model has given up",
    UNCERTAIN: f"the interval is wider than {100 * WIDEST:.0f} points",
}
"""Why a figure is not given: in a word for a table, and in a sentence about labels that are disagreed with."""


def shown_rates(
    stats: GroupStats,
    quantity: str,
    *,
    of_classes: bool = False,
    alike: Tensor | None = None,
    surer: Tensor | None = None,
) -> tuple[list[Interval | None], list[str]]:
    """Return a quantity of the labels of each group with its interval, [G], or None, and why there is none, [G].

    Parameters
    ----------
    stats : GroupStats
        Of labels, by held-out predictions.
    quantity : str
        "wrong" or "uncertainty".
    of_classes : bool
        Whether the groups are the classes.
    alike : Tensor, optional
        The largest share of each group's labels that are taken for wrong and one class's, [G]; by default 0.
    surer : Tensor, optional
        By how much models are surer than right in each group, [G] in [0, 1], by `overconfidence`; by default 0.
    """
    assert stats.errors is not None, "targets are labels"
    assert stats.wrong is not None
    rate, low, high = (getattr(stats, name) for name in (quantity, f"{quantity}_low", f"{quantity}_high"))
    low, high = (low - SLACK).clamp_min(0), (high + SLACK).clamp_max(1)
    own = stats.errors / stats.counted.clamp_min(1) - stats.wrong
    of_all = (own * stats.counted).sum() / stats.counted.sum().clamp_min(1)
    too_many = own > MOST_OWN
    disagreed = float(stats.errors.sum() / stats.counted.sum().clamp_min(1))
    alike, surer = (torch.zeros_like(own) if given is None else given for given in (alike, surer))
    too_wide = high - low > WIDEST
    of_two = of_classes and len(stats.names) == PAIR
    causes: tuple[tuple[str, Tensor], ...] = (
        (FEW, stats.counted < LEAST_ROWS),
        (OWN_ERRORS, too_many),
        (OF_ALL, (stats.wrong > MOST_LABELS) & ((of_all > MOST_OWN) | (disagreed > MANY))),
        (MOSTLY, torch.full_like(too_many, disagreed > MOST)),
        (OF_BOTH, torch.full_like(too_many, of_two and bool(too_many.any() or not trusted(stats)))),
        (GIVEN_UP, (stats.wrong > MOST_OF_A_GROUP) & (alike <= MOST_LABELS)),
        (OVERCONFIDENT, too_wide & (surer > MUCH_SURER)),
        (UNCERTAIN, too_wide),
        (LIKE_ANOTHER, alike > MOST_LABELS),
    )
    reasons = [next((why for why, holds in causes if holds[g]), "") for g in range(len(stats.names))]
    ends = zip(reasons, rate.tolist(), low.tolist(), high.tolist(), strict=True)
    return [None if why else Interval(mean=m, low=a, high=b) for why, m, a, b in ends], reasons


def told_by_test(told: Sequence[tuple[float, int, float, int]]) -> float | None:
    """Return by how much less well test labels are predicted than training labels, the mean over groups, if it is much.

    Noise that the features have no part in makes held-out training labels harder to predict than right test labels.
    Where they are easier by more than 10 points, and by three standard errors, labels are wrong by a rule that models
    learn, or the test rows are of another kind.

    Parameters
    ----------
    told : sequence of tuple
        Of each group the share of held-out training labels that the estimating models give, the number of their units,
        the share of test labels that the same models give, and the number of their units. Two groups with 30 of both
        are needed.
    """
    groups = [(a, n, b, m) for a, n, b, m in told if min(n, m) >= LEAST_ROWS]
    if len(groups) < PAIR:
        return None
    easier = sum(a - b for a, _, b, _ in groups) / len(groups)
    error = sum(_variance(a, n) + _variance(b, m) for a, n, b, m in groups) ** 0.5 / len(groups)
    return easier if easier > max(MUCH_EASIER, 3 * error) else None


def _variance(share: float, count: int) -> float:
    """Return the variance of a share, as if there were one more of both (Laplace)."""
    share = (share * count + 1) / (count + 2)
    return share * (1 - share) / count


def trusted(stats: GroupStats) -> bool:
    """Return whether little of the disagreement of all groups is taken for the model's own errors.

    Parameters
    ----------
    stats : GroupStats
        Of labels, by held-out predictions.
    """
    assert stats.errors is not None, "targets are labels"
    assert stats.wrong is not None
    wrong, errors = float((stats.wrong * stats.counted).sum()), float(stats.errors.sum())
    own = (errors - wrong) / max(1, int(stats.counted.sum()))
    return own <= LITTLE_OWN or (own <= MUCH_OWN and wrong >= LEAST_WRONG * errors)
