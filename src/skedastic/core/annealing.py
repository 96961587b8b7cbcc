"""How strong the regularization may be: as strong as leaves every group fit as well as its noise allows.

Of the training labels of a group with noise ε_g, a share ε_g is wrong. A model that has learned everything the features
say, and none of the noise, errs on that share of them. A model that errs on more was kept from learning its group: the
group is regularized too much (the discrepancy principle of Morozov, 1966, for each group by itself). ε_g is not known,
but Î_g ≥ ε_g is: how often a model errs on labels that it has not seen. So the strength starts where it is too much for
any data we tried. It falls epoch by epoch for as long as any group is fit worse than the upper end of the interval of
Î_g; from then on it stays. If a group is still fit worse at a hundredth of the start, the range is `exhausted`: a
network that learns slowly has lost its time to a strength that it can't bear, and should begin from scratch with a
weaker one. The groups are not averaged. Where the labels of two classes are exchanged, too much strength gives all
examples to one of them, and the mean error of the two is then the same as that of a perfect model.

The falling itself does most of the good, as in annealing: while the strength is high, a network learns what many
examples agree on, and it has less time left to fit the noise. docs/guide/strength.md has the figures.
"""

from __future__ import annotations

import torch
from torch import Tensor

START = 10.0  # λ at the outset: three to thirty times the best fixed one
WEAKER = 0.1  # of it, at a second attempt
FALL = 100.0  # the factor by which λ falls ...
WITHIN = 2 / 3  # ... in this fraction of the epochs, if no group is fit well enough before


def overdone(wrong: Tensor, seen: Tensor, allowed: Tensor) -> Tensor:
    """Return which groups are fit worse than their noise allows, [G] bool.

    A group of which nothing was seen is not overdone.

    Parameters
    ----------
    wrong : Tensor
        Training examples of the epoch that were predicted otherwise than labelled, [G] ≥ 0.
    seen : Tensor
        All training examples of the epoch, [G] ≥ 0.
    allowed : Tensor
        Error rates that the noise allows, [G] in [0, 1].
    """
    return wrong > allowed * seen + 1e-6  # a whole number that equals the product must not be above it by rounding


def annealed(level: Tensor, wrong: Tensor, seen: Tensor, allowed: Tensor, epochs: int) -> Tensor:
    """Return λ for the next epoch, a scalar: lower than `level` where a group is overdone, else the same.

    Parameters
    ----------
    level : Tensor
        λ of this epoch, a scalar above 0.
    wrong, seen, allowed : Tensor
        As in `overdone`, [G].
    epochs : int
        Epochs of the whole training, at least 1.
    """
    factor = FALL ** (-1 / (WITHIN * epochs))
    return torch.where(overdone(wrong, seen, allowed).any(), level * factor, level)


def exhausted(level: Tensor, start: float) -> bool:
    """Return whether λ has fallen through the whole range, so that no strength in it was allowed.

    Parameters
    ----------
    level : Tensor
        λ as it stands, a scalar.
    start : float
        λ at the outset, above 0.
    """
    return bool(level < start / FALL * (1 - 1e-5))  # not by rounding
