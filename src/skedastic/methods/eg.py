"""EG: exponentiated gradient reweighting, a weight for every example of the data.

Source: Majidi, Amid, Talebi, Warmuth, "Exponentiated Gradient Reweighting for Robust Training Under Label Noise and
Beyond", 2021 (arXiv 2104.01493): every training example is an expert, and training alternates between a gradient step
on the weighted losses and an exponentiated gradient step on the weights, w_i ← w_i^r exp(−η ℓ_i), normalized within
the batch (so Qi et al., section 3.5, who compare with it). r < 1 forgets: an example whose loss stays ℓ comes to w ∝
exp(−η ℓ/(1−r)); r = 0 has no memory, and is `tilted` with t = −η. Weights are kept unnormalized, as logarithms, by the
examples' names. The paper's authors published no code that we know of, and of its own text we had the abstract and
what others cite: this is the update as cited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.per_example import PerExampleBuffer
from skedastic.core.tilted import log_mean_exp
from skedastic.methods.bases.card import MIXED, Capabilities, Card
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetworkState
from skedastic.methods.bases.reweighting import Reweighting
from skedastic.methods.bases.step import Step
from skedastic.methods.bases.task import Task


class EGState(OneNetworkState):
    """The network, and the logarithm of each example's weight."""

    def __init__(self, net: nn.Module, constants: ClassConstants, index: Tensor) -> None:
        super().__init__(net, constants)
        self.log_weight = PerExampleBuffer(index)  # [n]


@dataclass(frozen=True, kw_only=True)
class EG(Reweighting[EGState]):
    """Weigh each example by the losses it has had."""

    eta: float = setting(0.1, "η, in 1/units of the loss; 0 is plain training, 0.1 a start", "[0, inf)")
    memory: float = setting(
        0.9,
        "r, how much of a weight's logarithm stays from one visit to the next; 1 forgets nothing, 0 keeps the "
        "newest loss alone",
        "[0, 1]",
    )

    milder: ClassVar[str] = "take a smaller eta, or less memory"

    card: ClassVar[Card] = Card(
        name="eg",
        title="Exponentiated gradient reweighting",
        paper="Majidi et al., Exponentiated Gradient Reweighting, arXiv 2104.01493, 2021",
        equations="w_i ∝ w_i^r exp(−η ℓ_i), normalized in the batch",
        family="instance weights",
        capabilities=Capabilities(
            incompatible_with={MIXED: "it keeps a weight of each example, and a mixture is of two"},
        ),
        reduces_to_erm=({"eta": 0.0},),
        cost="1.0 × the step of plain training",
        memory="a number for each example, 12 bytes with its name",
    )

    def init(self, task: Task, make_net: MakeNet) -> EGState:
        """Return a fresh network and equal weights."""
        return EGState(self.network(task, make_net), self.class_constants(task), task.index)

    def take(self, step: Step[EGState], losses: Tensor) -> None:
        """Take an exponentiated gradient step on the weights of the batch's examples."""
        before: Tensor = step.state.log_weight.of(step.batch.index)
        step.state.log_weight.put(step.batch.index, self.memory * before - self.eta * losses.to(before))

    def instance_weights(self, step: Step[EGState], losses: Tensor) -> Tensor | None:
        """Return w_i over their mean in the batch."""
        if self.eta == 0:
            return None
        log_weight: Tensor = step.state.log_weight.of(step.batch.index)
        return (log_weight - log_mean_exp(log_weight)).exp()
