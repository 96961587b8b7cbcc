"""Which of two ways of training is better, by the labels of examples that neither has seen.

Both predict every example by networks that were not trained on it. They are compared example by example, so that what
both find hard cancels, and group by group, so that a rare group counts as much as a frequent one. The labels are noisy:
a gain on them is smaller than on true ones. Where noise depends on the class alone and there are two classes, the
order of two ways by balanced accuracy is the same on noisy labels as on true ones (Menon, van Rooyen, Ong, Williamson,
"Learning from Corrupted Binary Labels via Class-Probability Estimation", ICML 2015, on the balanced error).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

COMMON = 5  # examples that the spread of all groups counts as, in that of each
LEAST_LABELS = 10  # of a class, below which nobody tells whether it was given up
LEAST_SHARE = 1e-6  # of a class
GIVEN_UP = 0.5  # of its predictions, or of its labels


Criterion = Literal["balanced", "accuracy"]


class Gain(NamedTuple):
    """How much better one way is than another, and the standard error of that.

    Of predictions it is how much more often they are right, in [−1, 1].
    """

    mean: float
    error: float


class Trial(NamedTuple):
    """A way of training that was held against another one.

    Parameters
    ----------
    name, other : str
        What they are, for the user.
    gain : Gain
        How much more often it is right about examples that neither has seen, the mean over groups.
    gives_up : bool
        Whether it gives up a class that the other does not.
    chosen : bool
        Whether it was taken, and not the other.
    criterion : {"balanced", "accuracy"}
        Whether the gain is the mean over groups, or over all rows.
    went_wrong : bool
        Whether it was trained on all rows, and is then right on them less often than on those not seen.
    """

    name: str
    other: str
    gain: Gain
    gives_up: bool
    chosen: bool
    criterion: Criterion = "balanced"
    went_wrong: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict() | {"gain": self.gain._asdict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """Return what `to_dict` described."""
        return cls(**{**values, "gain": Gain(**values["gain"])})


def made_up_for(probabilities: Tensor, share: Tensor, tau: float) -> Tensor:
    """Return the classes [n] that are predicted once the shares of the classes are made up for: argmax of p / π^τ.

    With τ = 1 it is the prediction of least balanced error (Menon et al., "Long-tail Learning via Logit Adjustment",
    ICLR 2021, equation 9).

    Parameters
    ----------
    probabilities : Tensor
        Of each class, [n, C].
    share : Tensor
        π, the share of each class, [C]. One without examples is predicted as if it had few.
    tau : float
        At least 0; with 0 it is the most probable class.
    """
    p = probabilities.double().clamp_min(torch.finfo(torch.float32).tiny)
    return (p.log() - tau * share.double().clamp_min(LEAST_SHARE).log()).argmax(1)


def paired_gain(right: Tensor, other: Tensor, group: Tensor, unit: Tensor | None = None) -> Gain:
    """Return by how much a way of training is right more often than another, the mean over groups.

    Parameters
    ----------
    right, other : Tensor
        Whether an example is predicted as it is labelled, by the one and by the other, [n] bool.
    group : Tensor
        The group of each example, [n] int64 ≥ 0. Groups without examples don't count.
    unit : Tensor, optional
        The unit of each example, [n] int64. Examples of one unit, such as a person, may err together: the standard
        error is then that of as many units.
    """
    difference = right.double() - other.double()
    count = torch.bincount(group)
    there, count = count > 0, count.clamp_min(1)
    mean = torch.bincount(group, difference) / count
    rest = difference - mean[group]
    # Of a few examples the spread is not known: of one it would be none.
    common = difference.var() if len(difference) > 1 else torch.tensor(1.0)
    variance = (torch.bincount(group, rest**2) + COMMON * common) / (count - 1 + COMMON) / count
    groups = int(there.sum())
    error = float(variance[there].sum().sqrt()) / groups
    if unit is not None:
        share = rest / count[group]  # of each example in the mean
        together = torch.bincount(torch.unique(unit, return_inverse=True)[1], share)
        alone = float((share**2).sum())
        error *= max(1.0, float((together**2).sum()) / alone) ** 0.5 if alone else 1.0
    return Gain(float(mean[there].sum()) / groups, error)


def gives_up_a_class(predicted: Tensor, other: Tensor, y: Tensor) -> bool:
    """Return whether a way of training predicts a class less than half as often as it is labelled, and as the other.

    Parameters
    ----------
    predicted, other : Tensor
        The predicted classes by the one and by the other, [n] int64.
    y : Tensor
        The labels, [n] int64. A class with fewer than ten is not judged.
    """
    classes = int(torch.stack([predicted, other, y]).max()) + 1
    own, others, labels = (torch.bincount(column, minlength=classes) for column in (predicted, other, y))
    return bool(((own < GIVEN_UP * torch.minimum(others, labels)) & (labels >= LEAST_LABELS)).any())
