"""Co-teaching: two networks, each trained on those examples of a batch whose loss is small in the other.

Source: Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama, "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy
Labels", NeurIPS 2018, Algorithm 1: each network picks the R(T) share of the batch with the smallest losses, and its peer is
trained on the mean of those. R(T) = 1 − τ min(T^c/T_k, 1): networks fit clean labels first, so at the beginning all are kept.

Compared with github.com/bhanML/Co-teaching (commit 7c7fbe2): the same examples are chosen, and the gradients are the same but for
a factor. Its loss is the mean over those kept, divided once more by how many they are: a fault that hardly matters under its
Adam, and under SGD divides the learning rate by a hundred; here it is the mean. Its schedule rises evenly to τ^c in the first T_k
epochs, and then jumps to τ; here, as in the paper, c is on the epochs, and T counts from 0. The optimizer is the training configuration's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from skedastic.core.epochs import epoch_of
from skedastic.core.small_loss import forget_rate, smallest
from skedastic.errors import UserError, suggestion
from skedastic.methods.bases.method import (
    GROUP_STATS,
    MIXED,
    PERTURBED,
    Batch,
    Card,
    Clock,
    Objective,
    Out,
    State,
    Task,
)
from skedastic.methods.bases.one_network import AXES
from skedastic.methods.bases.two_networks import TwoNetworks, TwoNetworksState

Rate = float | Literal["auto"]
MUCH = 1 / 3  # of a batch, left out by an estimate
MOST = 0.9  # of a batch is left out by an estimate, however high
RATE = (
    "τ in [0, 1), the share of a batch to leave out, such as the share of wrong labels; auto: what the estimate says, from "
    "held-out predictions; 0 leaves none out"
)
GRADUAL = (
    "T_k, over how long the share rises from 0 to τ: a fraction of the epochs if below 1, else epochs; 0 begins with τ"
)


class ForgettingState(TwoNetworksState):
    """Two networks, and the share of a batch to leave out in the end."""

    rate: Tensor

    def __init__(
        self, net: nn.Module, other: nn.Module, known: tuple[Tensor | None, Tensor | None], rate: float
    ) -> None:
        super().__init__(net, other, known)
        self.register_buffer("rate", torch.tensor(rate, dtype=torch.float64))


@dataclass(frozen=True, kw_only=True)
class CoTeaching(TwoNetworks):
    """Train two networks, each on what the other finds easy."""

    forget_rate: Rate = "auto"
    gradual: float = 0.05
    exponent: float = 1.0

    card: ClassVar[Card] = Card(
        name="co-teaching",
        title="Two networks, each trained on the other's small losses",
        paper="Han et al., Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels, NeurIPS 2018",
        equations="mean of ℓ over the R(T) B smallest of the peer, R(T) = 1 − τ min(T^c/T_k, 1) (Algorithm 1)",
        family="noise cleaning",
        needs=frozenset({GROUP_STATS}),
        supports=frozenset({"classification", "regression"}),
        incompatible_with={
            PERTURBED: "it chooses examples by their losses, and at other weights would choose others",
            MIXED: "it chooses labels by their losses, and a mixture has two labels",
        },
        never_erm="two networks draw their dropout from one stream; without dropout, forget_rate=0 is plain training to the bit",
        parameters={**AXES, "forget_rate": RATE, "gradual": GRADUAL, "exponent": "c > 0, of T in R(T); 1 rises evenly"},
        cost="2.0 × the step of plain training on ResNet-32 (two cores), and with forget_rate=auto the estimate",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(type(self).__name__, self.forget_rate, self.gradual, self.exponent)

    @property
    def needs(self) -> frozenset[str]:
        """An estimate, where the rate is to be had from one."""
        return self.card.needs if self.forget_rate == "auto" else frozenset()

    @property
    def supports(self) -> frozenset[str]:
        """Those of its parts; classification alone where wrong labels are counted."""
        return super().supports & {"classification"} if self.forget_rate == "auto" else super().supports

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> ForgettingState:
        """Return two fresh networks, and the rate."""
        fresh = super().init(task, make_net)
        return ForgettingState(
            fresh.net, fresh.other, self.known(task), rate_of(self.forget_rate, task, self.card.name)
        )

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return the sum of both networks' means over what the other keeps."""
        assert isinstance(state, ForgettingState)
        forgotten = forget_rate(float(state.rate), clock.epoch, epoch_of(self.gradual, clock.epochs), self.exponent)
        first, other = self.both_weighted(state, batch, out.extra, clock)
        total = first[smallest(other, forgotten)].mean() + other[smallest(first, forgotten)].mean()
        logs = {"forgotten": torch.tensor(forgotten)}
        return Objective(total, out.extra.losses[0].detach(), logs)

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Say so where an estimate has much left out."""
        found = super().notes(rows, batch_size)
        if self.forget_rate != "auto" or not rows or rows[-1].get("forgotten", 0.0) <= MUCH:
            return found
        return (
            *found,
            f"{self.card.name}: forget_rate=auto leaves out more than a third of each batch, since so many held-out rows are predicted "
            "otherwise than labelled: for wrong labels, or because the network can't do better in this time. Give the rate if you know it.",
        )


def check_rate(cls: str, rate: Rate, gradual: float = 0.0, exponent: float = 1.0) -> None:
    """Raise UserError where that can't be what is forgotten, and when."""
    if isinstance(rate, str):
        if rate != "auto":
            hint = suggestion(rate, ["auto"])
            raise UserError(f"{cls}(forget_rate={rate!r}): forget_rate must be a number in [0, 1), or auto{hint}")
    elif not 0 <= rate < 1:
        raise UserError(
            f"{cls}(forget_rate={rate}): forget_rate must be in [0, 1), the share of labels to leave out as wrong; or auto"
        )
    if not 0 <= gradual < float("inf"):
        raise UserError(
            f"{cls}(gradual={gradual}): gradual must be at least 0: a fraction of the epochs if below 1, else epochs"
        )
    if not 0 < exponent < float("inf"):
        raise UserError(f"{cls}(exponent={exponent}): exponent must be above 0; 1 rises evenly")


def rate_of(rate: Rate, task: Task, name: str) -> float:
    """Return the share to forget: as given, or the share of wrong labels in the whole training set as it was estimated.

    Raises UserError, naming the method, where nothing was estimated.
    """
    if not isinstance(rate, str):
        return rate
    if task.stats is None:
        raise UserError(
            f"{name}(forget_rate=auto) needs an estimate of the noise: task.stats is None; run estimate first, or give a rate"
        )
    wrong = (task.stats.count.double() * task.stats.noise.double()).sum() / task.stats.count.sum()
    return min(float(wrong), MOST)
