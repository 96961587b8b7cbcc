"""Group DRO: the worst group's loss, by weights of the groups that follow their losses.

Source: Sagawa, Koh, Hashimoto, Liang, "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020, Algorithm
1: q_g ← q_g exp(η (ℓ_g + C/√n_g)), normalized, and a step on Σ_g q_g ℓ_g, where ℓ_g is the mean loss of group g in the
batch; C is the size adjustment of section 3.3 (0: none). A group that is absent from a batch has the loss 0 in it, as
in the authors' code (github.com/kohpangwei/group_DRO), which draws groups equally often (`sampler=group-balanced`, the
default here too). Its losses then enter the step as q_g B/B_g times those of its examples. The code's further options
(greedy optimization over a fraction, normalized losses) are not in the paper's algorithm, and not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.samplers import GroupBalanced, Sampler
from skedastic.core.tilted import single
from skedastic.methods.bases.card import Capabilities, Card
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetworkState
from skedastic.methods.bases.reweighting import Reweighting
from skedastic.methods.bases.step import Objective, Step
from skedastic.methods.bases.task import Task


def group_means(losses: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return the mean loss of each group in a batch, [G], 0 where it is absent, and its number of examples, [G]."""
    losses = single(losses)
    count = losses.new_zeros(groups).index_add_(0, group, torch.ones_like(losses))
    total = losses.new_zeros(groups).index_add_(0, group, losses)
    return total / count.clamp_min(1), count


class GroupDROState(OneNetworkState):
    """The network, and the logarithm of the weight q and the adjustment C/√n of each group."""

    log_q: Tensor
    adjustment: Tensor

    def __init__(self, net: nn.Module, constants: ClassConstants, adjustment: Tensor) -> None:
        super().__init__(net, constants)
        self.register_buffer("log_q", torch.zeros(len(adjustment)).log_softmax(0))
        self.register_buffer("adjustment", adjustment)


@dataclass(frozen=True, kw_only=True)
class GroupDRO(Reweighting[GroupDROState]):
    """Weigh groups by the exponential of their losses so far."""

    step_size: float = setting(0.01, "η, of the groups' weights, in 1/units of the loss; 0.01 is usual", "[0, inf)")
    adjustment: float = setting(
        0.0, "C, of the size adjustment C/√n_g: more for groups of few examples, which generalize less", "[0, inf)"
    )
    sampler: Sampler = setting(
        factory=GroupBalanced, meaning="which examples an epoch visits; group-balanced by default"
    )

    milder: ClassVar[str] = "take a smaller step_size"

    card: ClassVar[Card] = Card(
        name="group-dro",
        title="Group distributionally robust optimization",
        paper="Sagawa et al., Distributionally Robust Neural Networks for Group Shifts, ICLR 2020",
        equations="q_g ∝ q_g exp(η(ℓ_g + C/√n_g)), Σ q_g ℓ_g (Algorithm 1, section 3.3)",
        family="instance weights",
        capabilities=Capabilities(
            takes=("groups: a column, or the classes",),
        ),
        never_erm="with step_size=0 it is the mean over groups, which is the mean over examples only if all batches "
        "are balanced",
        cost="1.0 × the step of plain training",
    )

    def init(self, task: Task, make_net: MakeNet) -> GroupDROState:
        """Return a fresh network and equal weights; groups are adjusted for the number of their examples."""
        count = torch.bincount(task.group, minlength=len(task.groups)).clamp_min(1)
        return GroupDROState(
            self.network(task, make_net), self.class_constants(task), self.adjustment / count.float().sqrt()
        )

    def take(self, step: Step[GroupDROState], losses: Tensor) -> None:
        """Move the groups' weights."""
        state = step.state
        mean, _ = group_means(losses, step.batch.group, len(state.log_q))
        state.log_q.copy_((state.log_q + self.step_size * (mean + state.adjustment)).log_softmax(0))

    def instance_weights(self, step: Step[GroupDROState], losses: Tensor) -> Tensor:
        """Return q_g B/B_g, [B]."""
        _, count = group_means(losses, step.batch.group, len(step.state.log_q))
        weights: Tensor = (step.state.log_q.exp() * len(losses) / count.clamp_min(1))[step.batch.group]
        return weights

    def objective(self, step: Step[GroupDROState]) -> Objective:
        """Return Σ_g q_g ℓ_g; logs the largest weight of a group."""
        objective = super().objective(step)
        return objective._replace(logs={**objective.logs, "largest_group_weight": step.state.log_q.max().exp()})
