"""Co-teaching: two networks, each trained on those examples of a batch whose loss is small in the other.

Source: Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama, "Co-teaching: Robust Training of Deep Neural Networks with
Extremely Noisy Labels", NeurIPS 2018, Algorithm 1: each network picks the R(T) share of the batch with the smallest
losses, and its peer is trained on the mean of those. R(T) = 1 − τ min(T^c/T_k, 1): networks fit clean labels first, so
at the beginning all are kept.

Compared with github.com/bhanML/Co-teaching (commit 7c7fbe2): the same examples are chosen, and the gradients are the
same but for a factor. Its loss is the mean over those kept, divided once more by how many they are: a fault that
hardly matters under its Adam, and under SGD divides the learning rate by a hundred; here it is the mean. Its schedule
rises evenly to τ^c in the first T_k epochs, and then jumps to τ; here, as in the paper, c is on the epochs, and T
counts from 0. The optimizer is the training configuration's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.epochs import epoch_of
from skedastic.core.small_loss import forget_rate, smallest
from skedastic.errors import UserError
from skedastic.methods.bases.card import CLASSIFICATION, GROUP_STATS, MIXED, PERTURBED, Capabilities, Card
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants
from skedastic.methods.bases.step import Objective, Step
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.two_networks import TwoNetworks, TwoNetworksState

Rate = float | Literal["auto"]
BY_ESTIMATE = Capabilities(tasks=CLASSIFICATION, needs=frozenset({GROUP_STATS}))  # wrong labels are counted
MUCH = 1 / 3  # of a batch, left out by an estimate
MOST = 0.9  # of a batch is left out by an estimate, however high


class ForgettingState(TwoNetworksState):
    """Two networks, and the share of a batch to leave out in the end."""

    rate: Tensor

    def __init__(self, net: nn.Module, other: nn.Module, constants: ClassConstants, rate: float) -> None:
        super().__init__(net, other, constants)
        self.register_buffer("rate", torch.tensor(rate, dtype=torch.float64))
        self.share = rate  # the same on the CPU, which waits for no device


@dataclass(frozen=True, kw_only=True)
class CoTeaching(TwoNetworks[ForgettingState]):
    """Train two networks, each on the examples that are easy for the other."""

    forget_rate: Rate = setting(
        "auto",
        "τ, the share of a batch to leave out, such as the share of wrong labels; auto: the estimate's, from "
        "held-out predictions; 0 leaves none out",
        "[0, 1)",
    )
    gradual: float = setting(
        0.05,
        "T_k, over how long the share rises from 0 to τ: a fraction of the epochs if below 1, else epochs; 0 begins "
        "with τ",
        "[0, inf)",
    )
    exponent: float = setting(1.0, "c, of T in R(T); 1 rises evenly", "(0, inf)")

    card: ClassVar[Card] = Card(
        name="co-teaching",
        title="Two networks, each trained on the other's small losses",
        paper="Han et al., Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels, NeurIPS "
        "2018",
        equations="mean of ℓ over the R(T) B smallest of the peer, R(T) = 1 − τ min(T^c/T_k, 1) (Algorithm 1)",
        family="noise cleaning",
        capabilities=Capabilities(
            incompatible_with={
                PERTURBED: "it chooses examples by their losses, and at other weights would choose others",
                MIXED: "it chooses labels by their losses, and a mixture has two labels",
            },
        ),
        never_erm="two networks draw their dropout from one stream; without dropout, forget_rate=0 is plain training "
        "to the bit",
        cost="2.0 × the step of plain training on ResNet-32 (two cores), and with forget_rate=auto the estimate",
    )

    @property
    def capabilities(self) -> Capabilities:
        """Those of its parts; classification and an estimate where the rate is the share of wrong labels."""
        able = super().capabilities
        return able & BY_ESTIMATE if self.forget_rate == "auto" else able

    def init(self, task: Task, make_net: MakeNet) -> ForgettingState:
        """Return two fresh networks, and the rate."""
        net, other = self.two_networks(task, make_net)
        return ForgettingState(net, other, self.class_constants(task), rate_of(self.forget_rate, task, self.card.name))

    def objective(self, step: Step[ForgettingState]) -> Objective:
        """Return the sum of both networks' means over the examples that the other keeps."""
        forgotten = forget_rate(
            step.state.share, step.clock.epoch, epoch_of(self.gradual, step.clock.epochs), self.exponent
        )
        first, other = self.both_weighted(step)
        total = first[smallest(other, forgotten)].mean() + other[smallest(first, forgotten)].mean()
        logs = {"forgotten": torch.tensor(forgotten)}
        return Objective(total, step.out.extra.losses[0].detach(), logs)

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Say so where an estimate has much left out."""
        notes = super().notes(rows, batch_size)
        if self.forget_rate != "auto" or not rows or rows[-1].get("forgotten", 0.0) <= MUCH:
            return notes
        return (
            *notes,
            f"{self.card.name}: forget_rate=auto leaves out more than a third of each batch, since so many held-out "
            "rows are predicted otherwise than labelled: for wrong labels, or because the network can't do better in "
            "this time. Give the rate if you know it.",
        )


def rate_of(rate: Rate, task: Task, name: str) -> float:
    """Return the share to forget: as given, or the share of wrong labels in the whole training set as it was estimated.

    Raises UserError, naming the method, where nothing was estimated.
    """
    if not isinstance(rate, str):
        return rate
    if task.stats is None:
        rule = "it needs an estimate of the noise, and task.stats is None; run estimate first, or give a rate"
        raise UserError(rule, setting=f"{name}.forget_rate", value=rate)
    assert task.stats.wrong is not None, "it is for labels alone"
    wrong = (task.stats.count * task.stats.wrong).sum() / task.stats.count.sum()
    return min(float(wrong), MOST)
