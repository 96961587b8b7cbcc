"""Forward correction: a network's predictions are corrupted as the labels were, and then compared with them.

Source: Patrini, Rozza, Menon, Nock, Qu, "Making Deep Neural Networks Robust to Label Noise: a Loss Correction
Approach", CVPR 2017, Theorem 2 and equations 12 and 13: minimize −log (T' p)_y, where p is the network's prediction
of the clean label and T_ij the probability that an example of class i is labelled j. T is estimated by a network that
was trained plainly: row i is its prediction for the example x̄_i that it finds most surely labelled i. The network is
then trained from scratch; it predicts by p.

Compared with github.com/giorgiop/loss-correction (commit 15a79de). Its x̄_i, but for CIFAR-100, is not the surest
example but the one just below the 97th percentile (`percentile`, here too), against outliers. To find it, it sets the
others' p_i to 0 in place, where rows of later classes then read zeros: a fault, and not here. It trains the first
network in full; by then a large network has memorized the wrong labels, and T is nearly the identity. Here the first
has half the epochs (`estimate`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.errors import UserError
from skedastic.losses.corrected import corrected
from skedastic.methods.bases.card import CLASSIFICATION, Capabilities, Card, ProbabilitiesOf
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Stage
from skedastic.methods.bases.one_network import ClassConstants, OneNetwork, OneNetworkState
from skedastic.methods.bases.step import Clock, Logs, evaluating
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM

TRANSITION = "transition"  # of the task, [C, C]


def anchored(p: Tensor, percentile: float) -> Tensor:
    """Return T [C, C] from predictions p [n, C]: row i is that of the example that stands for class i (eq. 12, 13).

    percentile: 1 takes the example with the largest p_i; else, the one with the largest below that share of all.
    """
    n = len(p)
    place = n - 1 if percentile == 1 else max(-(-round(percentile * (n - 1) * 10**6) // 10**6) - 1, 0)
    rows = p.argsort(dim=0, stable=True)[place]
    anchors = p[rows]
    return anchors / anchors.sum(1, keepdim=True)


class CorrectedState(OneNetworkState):
    """The network, and T."""

    transition: Tensor

    def __init__(self, net: nn.Module, constants: ClassConstants, transition: Tensor) -> None:
        super().__init__(net, constants)
        self.register_buffer("transition", transition)  # [C, C]


@dataclass(frozen=True, kw_only=True)
class _Estimating(OneNetwork[CorrectedState]):
    """Plain training, at the end of which T is read off the network's predictions."""

    percentile: float = 0.97

    card: ClassVar[Card] = replace(ERM.card, name="forward-correction")

    def init(self, task: Task, make_net: MakeNet) -> CorrectedState:
        """Return a fresh network, and no T yet."""
        return CorrectedState(self.network(task, make_net), self.class_constants(task), torch.eye(len(task.classes)))

    def end_epoch(self, state: CorrectedState, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """After the last epoch, read T off the predictions for all examples."""
        if clock.epoch + 1 < clock.epochs:
            return None
        with evaluating(state):
            p = torch.cat([self.predict(state, batch.x).float().softmax(1).cpu() for batch in engine.examples()])
        state.transition.copy_(anchored(p, self.percentile))
        return {"kept_labels": state.transition.diagonal().mean()}


@dataclass(frozen=True, kw_only=True)
class ForwardCorrection(OneNetwork[CorrectedState]):
    """Estimate how labels were corrupted, and train a network whose predictions are corrupted alike."""

    transition: tuple[tuple[float, ...], ...] | None = setting(
        None, "T: for each class a row of the probabilities of its labels; by default it is estimated"
    )
    estimate: float = setting(
        0.5, "the epochs of the network that T is estimated by, as a fraction of the others", "(0, 1]"
    )
    percentile: float = setting(
        0.97,
        "of the predictions for a class, below which an example is chosen to stand for it; 1 takes the surest, 0.97 is "
        "the authors'",
        "(0, 1]",
    )

    card: ClassVar[Card] = Card(
        name="forward-correction",
        title="Loss correction by an estimated transition matrix",
        paper="Patrini et al., Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach, CVPR "
        "2017",
        equations="−log (T' p)_y (Theorem 2), T_ij = p_j(x̄_i) (eq. 12 and 13)",
        family="noise cleaning",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
        ),
        never_erm="it minimizes the logarithm of T' p, which with T = 1 is cross entropy up to rounding",
        cost="1.5 × plain training, half of it for T; 1.0 × where T is given",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fits_cross_entropy:
            rule = "it corrects cross entropy; leave the loss out"
            raise UserError(rule, setting=self.place("loss"), value=self.loss.shown_name())
        rows = self.transition or ()
        for row in rows:
            if len(row) != len(rows) or min(row) < 0 or abs(sum(row) - 1) > 1e-6:
                rule = (
                    f"each of the {len(rows)} rows must be {len(rows)} probabilities that sum to 1, a class's chances "
                    "of each label"
                )
                raise UserError(rule, setting=self.place("transition"), value=list(row))

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """True classes."""
        return "true classes"

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the plain training that T is read off, and the training with it."""
        corrected = Stage(name="corrected", method=self)
        if self.transition is not None:
            return (corrected,)
        plain = _Estimating(
            class_weights=self.class_weights, sampler=self.sampler, head=self.head, percentile=self.percentile
        )
        return (Stage(name="estimate", method=plain, epochs=self.estimate, after=hand_on), corrected)

    def init(self, task: Task, make_net: MakeNet) -> CorrectedState:
        """Return a fresh network, and T. Raises UserError where a T that was given is of another size."""
        classes = len(task.classes)
        if self.transition is not None and len(self.transition) != classes:
            rule = f"it has {len(self.transition)} rows, and there are {classes} classes"
            raise UserError(rule, setting=self.place("transition"))
        estimated = task.handed_on.get(TRANSITION, torch.eye(classes))
        transition = estimated if self.transition is None else torch.tensor(self.transition)
        return CorrectedState(self.network(task, make_net), self.class_constants(task), transition.clone())

    def losses(self, state: CorrectedState, logits: Tensor, y: Tensor) -> Tensor:
        """Return −log (T' p)_y, [B]; of soft labels their mean."""
        return corrected(logits, y, state.transition)


def hand_on(state: CorrectedState, task: Task) -> Task:
    """Return the task with the T of a state."""
    return replace(task, handed_on={**task.handed_on, TRANSITION: state.transition.detach().cpu()})
