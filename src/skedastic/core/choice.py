"""Which of two ways of training is better, by the labels of examples that neither has seen.

Both predict every example by networks that were not trained on it. They are compared example by example, so that what
both find hard cancels, and group by group, so that a rare group counts as much as a frequent one. The labels are noisy:
a gain on them is smaller than on true ones. Where noise depends on the class alone and there are two classes, the
order of two ways by balanced accuracy is the same on noisy labels as on true ones (Menon, van Rooyen, Ong, Williamson,
"Learning from Corrupted Binary Labels via Class-Probability Estimation", ICML 2015, on the balanced error).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

COMMON = 5  # examples that the spread of all groups counts as, in that of each
LEAST_LABELS = 10  # of a class, below which nobody tells whether it was given up
LEAST_SHARE = 1e-6  # of a class
GIVEN_UP = 0.5  # of its predictions, or of its labels
TAKEN_UP = 2  # classes for each that is given up, from which on it is a gain


class Gain(NamedTuple):
    """How much better one way is than another by a criterion (`skedastic.core.criteria`), and its standard error."""

    mean: float
    error: float


class Score(NamedTuple):
    """A criterion of n predictions.

    Parameters
    ----------
    value : float
        The criterion.
    influence : Tensor
        The influence of each example on it, [n] float64; their sum is 0.
    """

    value: float
    influence: Tensor


class Trial(NamedTuple):
    """A way of training that was held against another one.

    Parameters
    ----------
    name, other : str
        What they are, for the user.
    gain : Gain
        How much better it is on examples that neither has seen.
    gives_up : bool
        Whether it gives up classes that the other does not, and takes up fewer than twice as many (`gives_up_more`).
    chosen : bool
        Whether it was taken, and not the other.
    criterion : str
        The name of the criterion.
    went_wrong : bool
        Whether it was trained on all rows, and is then right on them less often than on those not seen.
    half : bool
        Whether it was trained on one half alone, since it was not ahead on the other.
    stage : str
        The name of the stage that trains it on all rows; empty in older runs.
    accuracy : float or None
        How much more often it is right over all rows, in [−1, 1]; None where that was not measured.
    left_out : str
        Why it was not held against the other, such as an error of its training; empty where it was.
    """

    name: str
    other: str
    gain: Gain
    gives_up: bool
    chosen: bool
    criterion: str = "balanced"
    went_wrong: bool = False
    half: bool = False
    stage: str = ""
    accuracy: float | None = None
    left_out: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict() | {"gain": self.gain._asdict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """Return what `to_dict` described; one without a stage has no accuracy, and 0 in its place in older runs."""
        measured = {} if values.get("stage") else {"accuracy": None}
        return cls(**{**values, **measured, "gain": Gain(**values["gain"])})


class Best(NamedTuple):
    """The way of training that is best of those that were tried so far.

    Parameters
    ----------
    name : str
        What it is, for the user.
    value : float
        The criterion of its predictions of labels not seen, the larger the better: costs and errors are negative.
    criterion : str
        The name of the criterion.
    trial : Trial or None
        How it did against what all are held against; None where it is that itself.
    """

    name: str
    value: float
    criterion: str
    trial: Trial | None


def made_up_for(probabilities: Tensor, share: Tensor, tau: float, target: Tensor | None = None) -> Tensor:
    """Return logits [n, C] that make up for the shares of the classes: log p − τ log (π / π').

    With τ = 1 and all classes alike in π', the largest is the prediction of least balanced error (Menon et al.,
    "Long-tail Learning via Logit Adjustment", ICLR 2021, equation 9).

    Parameters
    ----------
    probabilities : Tensor
        Of each class, [n, C].
    share : Tensor
        π, the share of each class, [C]. One without examples is never predicted.
    tau : float
        At least 0; with 0 the largest is the most probable class.
    target : Tensor, optional
        π', the shares to predict at, [C]; by default all alike.
    """
    p = probabilities.double().clamp_min(torch.finfo(torch.float32).tiny)
    ratio = share.double().clamp_min(LEAST_SHARE)
    if target is not None:
        ratio = ratio / target.double().clamp_min(LEAST_SHARE)
    return torch.where(share > 0, p.log() - tau * ratio.log(), -math.inf)


def paired_gain(
    right: Tensor, other: Tensor, group: Tensor, unit: Tensor | None = None, weight: Tensor | None = None
) -> Gain:
    """Return by how much a way of training is right more often than another, the mean over groups.

    Parameters
    ----------
    right, other : Tensor
        Whether an example is predicted as it is labelled, by the one and by the other, [n] bool; or what the
        predictions are worth, real.
    group : Tensor
        The group of each example, [n] int64 ≥ 0. Groups without examples don't count.
    unit : Tensor, optional
        The unit of each example, [n] int64. Examples of one unit, such as a person, may err together: the standard
        error is then that of as many units.
    weight : Tensor, optional
        How much each group counts, [G] ≥ 0; by default all alike. Those without examples don't.
    """
    difference = right.double() - other.double()
    count = torch.bincount(group)
    there, count = count > 0, count.clamp_min(1)
    mean = torch.bincount(group, difference) / count
    rest = difference - mean[group]
    # Of a few examples the spread is not known: of one it would be none.
    common = difference.var() if len(difference) > 1 else torch.tensor(1.0)
    variance = (torch.bincount(group, rest**2) + COMMON * common) / (count - 1 + COMMON) / count
    share = shares_of_groups(there, weight)
    error = float((share**2 * variance).sum().sqrt())
    return Gain(float((share * mean).sum()), error * together((share / count)[group] * rest, unit))


def shares_of_groups(there: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return how much each group counts in a mean over groups, [G] float64; their sum is 1.

    Parameters
    ----------
    there : Tensor
        Whether a group has examples, [G] bool.
    weight : Tensor, optional
        As in `paired_gain`.
    """
    own = there.double() if weight is None else weight[: len(there)].double() * there
    return own / own.sum()


def together(influence: Tensor, unit: Tensor | None) -> float:
    """Return the factor, at least 1, by which a standard error is larger because examples of a unit err together.

    Parameters
    ----------
    influence : Tensor
        The influence of each example on the figure, [n].
    unit : Tensor or None
        The unit of each example, [n] int64; None where each is its own.
    """
    alone = float((influence**2).sum())
    if unit is None or not alone:
        return 1.0
    of_unit = torch.bincount(torch.unique(unit, return_inverse=True)[1], influence)
    return math.sqrt(max(1.0, float((of_unit**2).sum()) / alone))


def gives_up_a_class(predicted: Tensor, other: Tensor, y: Tensor) -> bool:
    """Return whether a way of training predicts a class less than half as often as it is labelled, and as the other.

    Parameters
    ----------
    predicted, other : Tensor
        The predicted classes by the one and by the other, [n] int64.
    y : Tensor
        The labels, [n] int64. A class with fewer than ten is not judged.
    """
    return _given_up(predicted, other, y) > 0


def gives_up_more(predicted: Tensor, other: Tensor, y: Tensor) -> bool:
    """Return whether a way of training gives up classes, and does not take up twice as many that the other gives up.

    Of many classes any two ways differ in some.

    Parameters
    ----------
    predicted, other, y : Tensor
        As in `gives_up_a_class`.
    """
    given_up = _given_up(predicted, other, y)
    return given_up > 0 and _given_up(other, predicted, y) < TAKEN_UP * given_up


def _given_up(predicted: Tensor, other: Tensor, y: Tensor) -> int:
    """Return how many classes a way gives up."""
    classes = int(torch.stack([predicted, other, y]).max()) + 1
    own, others, labels = (torch.bincount(column, minlength=classes) for column in (predicted, other, y))
    return int(((own < GIVEN_UP * torch.minimum(others, labels)) & (labels >= LEAST_LABELS)).sum())
