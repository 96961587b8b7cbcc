"""How strong the regularization is allowed to be: as strong as leaves every group fit as well as its noise allows.

Of the training labels of a group with noise ε_g, a share ε_g is wrong. A model that has learned all that the features
say, and none of the noise, errs on that share of them. One that errs on more was kept from learning its group: it is
regularized too much (the discrepancy principle of Morozov, 1966, for each group by itself). ε_g is not known; what is,
is how often a model errs on labels that it has not seen, Î_g ≥ ε_g. So the strength falls from one that is too much for
any data we tried, epoch by epoch, for as long as any group is fit worse than the upper end of the interval of Î_g; from
then on it stays. Where it is down to a hundredth and some group still is, the range is `exhausted`: a network that
learns slowly has lost its time to a strength that it can't bear, and should begin anew with a weaker one. The groups
are not averaged: of two classes whose labels are exchanged, too much strength gives all examples to one, and the mean
error of the two is then the same as that of a perfect model.

The falling itself does most of the good, as in annealing: what is learned while the strength is high is what many
examples agree on, and there is less time left to fit the noise. docs/guide/strength.md has the figures.
"""

from __future__ import annotations

import torch
from torch import Tensor

START = 10.0  # λ at the outset: three to thirty times what was best of a fixed one
WEAKER = 0.1  # of it, at a second attempt
FALL = 100.0  # the factor by which λ falls ...
WITHIN = 2 / 3  # ... in this fraction of the epochs, if no group is fit well enough before


def overdone(wrong: Tensor, seen: Tensor, allowed: Tensor) -> Tensor:
    """Return which groups are fit worse than their noise allows, [G] bool.

    wrong, seen: [G] training examples of the epoch that were predicted otherwise than labelled, and all of them.
    allowed: [G] error rates in [0, 1]. A group of which nothing was seen is not overdone.
    """
    return wrong > allowed * seen + 1e-6  # a whole number that equals the product must not be above it by rounding


def annealed(level: Tensor, wrong: Tensor, seen: Tensor, allowed: Tensor, epochs: int) -> Tensor:
    """Return λ for the next epoch: lower than `level` where a group is overdone, else the same.

    level: scalar. wrong, seen, allowed: [G], as in `overdone`. epochs: of the whole training, ≥ 1.
    """
    factor = FALL ** (-1 / (WITHIN * epochs))
    return torch.where(overdone(wrong, seen, allowed).any(), level * factor, level)


def exhausted(level: Tensor, start: float) -> bool:
    """Whether λ has fallen through the whole range from `start`, so that no strength in it was allowed. level: scalar."""
    return bool(level < start / FALL * (1 - 1e-5))  # not by rounding
