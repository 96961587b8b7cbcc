"""Mixup: training on mixtures of two examples and of their labels, around any method that takes them.

Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018, equation 2 and Figure
1a: x̃ = λ x_i + (1 − λ) x_j, ỹ = λ y_i + (1 − λ) y_j, with λ ~ Beta(α, α) drawn once for a batch, and j from a
permutation of it. The authors' code (github.com/facebookresearch/mixup-cifar10) minimizes λ ℓ(ŷ, y_i) + (1 − λ) ℓ(ŷ,
y_j), which for cross entropy is the loss of ỹ; here labels are mixed, so that any loss of soft labels will do, and
real targets are mixed as numbers. The name and the group of a mixture are those of its larger part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skedastic.configurable import setting
from skedastic.errors import UserError
from skedastic.methods.bases.card import MIXED, PERTURBED, REAL_INPUTS, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.step import Batch, Clock, Logs, State
from skedastic.methods.bases.wrapper import Wrapper


def mixture(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Return share · a + (1 − share) · b; images of whole numbers 0..255 as reals in [0, 1]."""
    if not a.is_floating_point():
        a, b = a.float() / 255, b.float() / 255
    return share * a + (1 - share) * b


def mixed(batch: Batch, other: Tensor, share: Tensor) -> Batch:
    """Return `batch` mixed with its own examples `other` [B]; share: of the first in each, a number in [0, 1].

    Both are on the CPU, where they were drawn.
    """
    y, on_host = batch.y, batch.group_on_host
    if not y.is_floating_point():
        if not batch.classes:
            rule = "the batch has labels, and does not say of how many classes; set Batch.classes"
            raise UserError(rule, setting="Batch.classes", value=0, given="mixup")
        y = F.one_hot(y, batch.classes).to(torch.get_default_dtype())
    larger = torch.where(share >= 0.5, torch.arange(len(other)), other)
    groups = None if on_host is None else on_host[larger]
    other, share, larger = (drawn.to(y.device, non_blocking=True) for drawn in (other, share, larger))
    return replace(
        batch,
        x=mixture(batch.x, batch.x[other], share),
        y=mixture(y, y[other], share),
        index=batch.index[larger],
        group=batch.group[larger],
        group_on_host=groups,
    )


@dataclass(frozen=True, kw_only=True)
class Mixup(Wrapper):
    """Train `base` on mixtures of two examples."""

    alpha: float = setting(
        1.0,
        "α: 0 is `base` as it is, small values mix little, 1 draws λ uniformly (the authors' for CIFAR-10)",
        "[0, inf)",
    )
    way: ClassVar[str] = MIXED

    card: ClassVar[Card] = Card(
        name="mixup",
        title="Training on mixtures of two examples, around any method",
        paper="Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018",
        equations="x̃ = λ x_i + (1 − λ) x_j, ỹ = λ y_i + (1 − λ) y_j, λ ~ Beta(α, α) (eq. 2)",
        family="around another method",
        capabilities=Capabilities(
            takes=(REAL_INPUTS,),
            incompatible_with={
                MIXED: "its batches are mixtures already",
                PERTURBED: "its steps mix again each time; turn them round, as in mixup(base=sam)",
            },
        ),
        reduces_to_erm=({"alpha": 0.0},),
        cost="1.0 × the step of `base`",
    )

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step of `base` on mixtures."""
        if self.alpha > 0:
            share = torch.distributions.Beta(*torch.full((2,), self.alpha)).sample()
            batch = mixed(batch, torch.randperm(len(batch.y)), share)
        return self.base.step(state, batch, clock, engine)
