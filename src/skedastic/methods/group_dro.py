"""Group DRO: the worst group's loss, by weights of the groups that follow their losses.

Source: Sagawa, Koh, Hashimoto, Liang, "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020, Algorithm 1:
q_g ← q_g exp(η (ℓ_g + C/√n_g)), normalized, and a step on Σ_g q_g ℓ_g, where ℓ_g is the mean loss of group g in the batch; C is
the size adjustment of section 3.3 (0: none). A group that is absent from a batch has the loss 0 in it, as in the authors'
code (github.com/kohpangwei/group_DRO), which draws groups equally often (`sampler=group-balanced`, the default here too).
Its losses then enter the step as q_g B/B_g times those of its examples. The code's further options (greedy optimization
over a fraction, normalized losses) are not in the paper's algorithm, and not here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skedastic.core.samplers import GroupBalanced, Sampler
from skedastic.core.tilted import single
from skedastic.errors import UserError
from skedastic.methods.bases.method import Batch, Card, Clock, Objective, Out, State, Task
from skedastic.methods.bases.one_network import AXES, OneNetworkState, Reweighting


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

    def __init__(
        self, net: nn.Module, of_classes: Tensor | None, class_weight: Tensor | None, adjustment: Tensor
    ) -> None:
        super().__init__(net, of_classes, class_weight)
        self.register_buffer("log_q", torch.zeros(len(adjustment)).log_softmax(0))
        self.register_buffer("adjustment", adjustment)


@dataclass(frozen=True, kw_only=True)
class GroupDRO(Reweighting):
    """Weigh groups by the exponential of their losses so far."""

    step_size: float = 0.01
    adjustment: float = 0.0
    sampler: Sampler = field(default_factory=GroupBalanced)

    milder: ClassVar[str] = "take a smaller step_size"

    card: ClassVar[Card] = Card(
        name="group-dro",
        title="Group distributionally robust optimization",
        paper="Sagawa et al., Distributionally Robust Neural Networks for Group Shifts, ICLR 2020",
        equations="q_g ∝ q_g exp(η(ℓ_g + C/√n_g)), Σ q_g ℓ_g (Algorithm 1, section 3.3)",
        family="instance weights",
        requires=("groups: a column, or the classes",),
        supports=frozenset({"classification", "regression"}),
        never_erm="with step_size=0 it is the mean over groups, which is the mean over examples only if all batches are balanced",
        parameters={
            **AXES,
            "step_size": "η ≥ 0, of the groups' weights, in 1/units of the loss",
            "adjustment": "C ≥ 0, of the size adjustment C/√n_g: more for groups of few examples, which generalize less",
        },
        cost="1.0 × the step of plain training",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, usual in (("step_size", 0.01), ("adjustment", 1)):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(
                    f"GroupDRO({name}={getattr(self, name)}): {name} must be finite and at least 0; {usual} is usual"
                )

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> GroupDROState:
        """Return a fresh network and equal weights. The task's groups need examples, to be adjusted for their number."""
        count = torch.bincount(task.group, minlength=len(task.groups)).clamp_min(1)
        return GroupDROState(self.network(task, make_net), *self.known(task), self.adjustment / count.float().sqrt())

    def take(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> None:
        """Move the groups' weights."""
        mean, _ = group_means(losses, batch.group, len(state.log_q))
        state.log_q.copy_((state.log_q + self.step_size * (mean + state.adjustment)).log_softmax(0))

    def instance_weights(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> Tensor:
        """Return q_g B/B_g, [B]."""
        _, count = group_means(losses, batch.group, len(state.log_q))
        weights: Tensor = (state.log_q.exp() * len(losses) / count.clamp_min(1))[batch.group]
        return weights

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return Σ_g q_g ℓ_g; logs the largest weight of a group."""
        assert isinstance(state, GroupDROState)
        found = super().objective(state, batch, out, clock)
        return found._replace(logs={**found.logs, "largest_group_weight": state.log_q.max().exp()})
