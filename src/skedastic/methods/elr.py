"""ELR: early-learning regularization, which holds the network to its predictions before it learned wrong labels.

Source: Liu, Niles-Weed, Razavian, Fernandez-Granda, "Early-Learning Regularization Prevents Memorization of Noisy
Labels", NeurIPS 2020, equations 6 and 9: minimize ℓ + λ log(1 − ⟨p, t⟩), where the target t of an example is a moving
average of its predictions, t ← β t + (1 − β) p, from 0.

Compared with github.com/shengliuzi/ELR (commit 934af53), the same to the digit: probabilities are kept in [1e-4, 1 −
1e-4], those that go into t are scaled to sum to 1 again, and t is moved before the loss is taken.

Ours: `top_k` keeps the k largest entries of each target, and takes the others for 0. With k = C it is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.per_example import PerExampleBuffer
from skedastic.methods.bases.card import CLASSIFICATION, MIXED, Capabilities, Card
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetwork, OneNetworkState
from skedastic.methods.bases.step import Objective, Step
from skedastic.methods.bases.task import Task

LEAST = 1e-4  # probability


def probabilities(logits: Tensor) -> Tensor:
    """Return softmax(logits) [B, C] kept away from 0 and 1, in single precision or better; rows may not sum to 1."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1).clamp(LEAST, 1 - LEAST)


def moved_target(target: Tensor, p: Tensor, beta: float) -> Tensor:
    """Return β t + (1 − β) p/Σp of targets t and probabilities p, both [B, C]."""
    return beta * target + (1 - beta) * p / p.sum(1, keepdim=True)


def early_learning(target: Tensor, p: Tensor) -> Tensor:
    """Return log(1 − ⟨p, t⟩), [B], each ≤ 0, of targets t and probabilities p, both [B, C] (eq. 6)."""
    return (1 - (target * p).sum(1)).log()


class TargetEma(nn.Module):
    """The targets of n examples over C classes, all of each or its k largest entries."""

    def __init__(self, index: Tensor, classes: int, top_k: int | None) -> None:
        super().__init__()
        self.classes = classes
        kept = min(top_k or classes, classes)
        self.value = PerExampleBuffer(index, kept)  # [n, k]
        self.place = PerExampleBuffer(index, kept, dtype=torch.int32) if kept < classes else None  # [n, k] classes

    def of(self, index: Tensor) -> Tensor:
        """Return the targets of the examples named by `index` [B], [B, C]."""
        value = self.value.of(index)
        if self.place is None:
            return value
        return value.new_zeros(len(index), self.classes).scatter_add_(1, self.place.of(index).long(), value)

    def put(self, index: Tensor, target: Tensor) -> None:
        """Keep targets [B, C] of the examples named by `index` [B]."""
        if self.place is not None:
            target, place = target.topk(self.value.values.shape[1], dim=1)
            self.place.put(index, place)
        self.value.put(index, target)


class ELRState(OneNetworkState):
    """The network, and the target of each example."""

    def __init__(self, net: nn.Module, constants: ClassConstants, targets: TargetEma) -> None:
        super().__init__(net, constants)
        self.targets = targets


@dataclass(frozen=True, kw_only=True)
class ELR(OneNetwork[ELRState]):
    """Minimize the loss plus λ log(1 − ⟨p, t⟩), t a moving average of the example's predictions."""

    lam: float = setting(
        3.0,
        "λ; 0 is plain training, 3 the authors' for CIFAR-10, 7 for CIFAR-100, 1 where labels are flipped to a "
        "similar class",
        "[0, inf)",
    )
    beta: float = setting(
        0.7, "β, how much of a target stays; 0.7 is usual, 0.9 where labels are flipped to a similar class", "[0, 1)"
    )
    top_k: int | None = setting(None, "how many of a target's entries are kept; none keeps all", "[1, inf)")

    card: ClassVar[Card] = Card(
        name="elr",
        title="Early-learning regularization",
        paper="Liu et al., Early-Learning Regularization Prevents Memorization of Noisy Labels, NeurIPS 2020",
        equations="ℓ + λ log(1 − ⟨p, t⟩), t ← β t + (1 − β) p (eq. 6 and 9)",
        family="noise cleaning",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            incompatible_with={
                MIXED: "it keeps a target of each example, and a mixture is of two; elr-plus mixes targets too"
            },
        ),
        reduces_to_erm=({"lam": 0.0},),
        cost="1.0 × the step of plain training",
        memory="C numbers for each example: 4 GB for a million examples of 1,000 classes; top_k=10 keeps 10 and "
        "their places, 96 MB",
    )

    def init(self, task: Task, make_net: MakeNet) -> ELRState:
        """Return a fresh network, and targets of 0."""
        return ELRState(
            self.network(task, make_net),
            self.class_constants(task),
            TargetEma(task.index, len(task.classes), self.top_k),
        )

    def observe(self, step: Step[ELRState]) -> None:
        """Move the batch's targets."""
        p = probabilities(self.loss.predicted(step.out.logits))
        step.state.targets.put(step.batch.index, moved_target(step.state.targets.of(step.batch.index), p, self.beta))

    def objective(self, step: Step[ELRState]) -> Objective:
        """Return eq. 6 on the batch."""
        out = step.out
        plain = self.weighted(step).mean()
        if self.lam == 0:
            return Objective(plain, out.extra.detach())
        term = early_learning(step.state.targets.of(step.batch.index), probabilities(self.loss.predicted(out.logits)))
        return Objective(plain + self.lam * term.mean(), out.extra.detach(), {"early_learning": term.detach()})
