"""INCV: repeated cross-validation finds the labels that a network agrees with; co-teaching is trained on them.

Source: Chen, Liao, Chen, Zhang, "Understanding and Utilizing Deep Neural Networks Trained with Noisy Labels", ICML
2019, Algorithms 1 and 2: candidates are halved at random; a network trained on the selected and on one half selects of
the other half the examples that it predicts as they are labelled, and drops those with the largest losses; then the
halves change places. From the first half's agreement a follows the noise rate ε, by a = (1 − ε)² + ε²/(C − 1) where
labels are flipped to any class, and a = (1 − ε)² + ε² where each class is flipped to one other (Theorem 1); of labels
selected, ε²/(ε² + (C − 1)(1 − ε)²) are wrong. After N rounds, co-teaching learns from the selected, and from epoch
E_0 on from the remaining candidates too; the dropped are never seen.

Compared with github.com/chenpf1025/noisy_label_understanding_utilizing (commit a6c8e0d): the same selection from the
same predictions. ε is its search's, solved exactly. Where ε is small, it drops int(r · selected) = 0 examples as
[-0:], which is all of them: a fault. Its networks are those of the epoch with the best agreement in the first rounds,
and of the last epoch later; here, of the best epoch in all. Its batches of the second part are B of those selected and
up to B/2 candidates; here both come as the epoch has them, and as there as many are kept as there would be of the
selected alone. The theorem is for networks that predict as labels are drawn; one that does better agrees with 1 − ε of
them, and ε comes out too small, there as here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.epochs import epoch_of
from skedastic.core.per_example import PerExampleBuffer
from skedastic.core.samplers import seeded
from skedastic.core.small_loss import forget_rate
from skedastic.methods.bases.card import CLASSIFICATION, MIXED, PERTURBED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Stage
from skedastic.methods.bases.one_network import ClassConstants, OneNetwork, OneNetworkState
from skedastic.methods.bases.step import Clock, Logs, Objective, Step, evaluating, outputs
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.two_networks import TwoNetworks
from skedastic.methods.co_teaching import ForgettingState
from skedastic.methods.erm import ERM

Pattern = Literal["symmetric", "asymmetric"]
CANDIDATE, SELECTED, DROPPED = 0, 1, 2
MOST = 0.9  # the largest noise rate that is believed
STATUS, PENDING, RATE = "status", "pending", "rate"  # of the task: tensors that earlier stages handed on


def noise_rate(agreement: float, labels: int) -> float:
    """Return ε of (1 − ε)² + ε²/(labels − 1) = agreement, the smaller root, in [0, 0.9].

    labels: how many a label may be flipped to, and its own.

    Less agreement than any ε has is the most noise.
    """
    whole = labels / (labels - 1)
    root = math.sqrt(max(1 - whole * (1 - agreement), 0.0))
    return min(max((1 - root) / whole, 0.0), MOST)


def chosen(agrees: Tensor, losses: Tensor, rate: float) -> Tensor:
    """Return the fates of held-out examples [m]: selected where the network agrees, else dropped or a candidate.

    Of the largest losses [m], min(2, ε/(1 − ε)) times as many as are selected are dropped, of which some may be
    selected.
    """
    fates = torch.full_like(agrees, CANDIDATE, dtype=torch.int8)
    dropped = min(int(min(2.0, rate / (1 - rate)) * int(agrees.sum())), len(losses))
    fates[losses.argsort(descending=True, stable=True)[:dropped]] = DROPPED
    fates[agrees] = SELECTED
    return fates


def left_wrong(rate: float, labels: int) -> float:
    """Return the share of wrong labels among those selected, by the noise rate."""
    wrong, right = rate * rate, (1 - rate) * (1 - rate)
    return wrong / (wrong + (labels - 1) * right)


class _HalfState(OneNetworkState):
    """A network, and the fate of each example."""

    status: Tensor
    pending: Tensor
    rate: Tensor
    best: Tensor

    def __init__(self, net: nn.Module, constants: ClassConstants, task: Task) -> None:
        super().__init__(net, constants)
        none = torch.zeros(len(task.index), dtype=torch.int8)
        self.register_buffer(STATUS, task.handed_on.get(STATUS, none).clone())  # [n]
        self.register_buffer(PENDING, task.handed_on.get(PENDING, none).clone())  # [n], of the round that is under way
        self.register_buffer(RATE, task.handed_on.get(RATE, torch.zeros((), dtype=torch.float64)).clone())
        self.register_buffer("best", torch.tensor(-1.0, dtype=torch.float64))  # agreement, over epochs


@dataclass(frozen=True, kw_only=True)
class _Half(OneNetwork[_HalfState]):
    """Train on the selected and on one half of the candidates, and choose from the other half."""

    round: int = 0
    first: bool = True
    pattern: Pattern = "symmetric"

    card: ClassVar[Card] = replace(ERM.card, name="incv")

    def init(self, task: Task, make_net: MakeNet) -> _HalfState:
        """Return a fresh network, and the fates of the examples so far."""
        return _HalfState(self.network(task, make_net), self.class_constants(task), task)

    def halves(self, task: Task) -> tuple[Tensor, Tensor]:
        """Return the rows to train on, and the rows held out."""
        status = task.handed_on.get(STATUS, torch.zeros(len(task.index), dtype=torch.int8))
        candidates = (status == CANDIDATE).nonzero().flatten()
        candidates = candidates[torch.randperm(len(candidates), generator=seeded(task.seed, self.round))]
        middle = len(candidates) // 2
        one, other = candidates[:middle], candidates[middle:]
        if not self.first:
            one, other = other, one
        return torch.cat([(status == SELECTED).nonzero().flatten(), one]).sort().values, other.sort().values

    def trained(self, task: Task) -> Tensor:
        """Return the rows to train on."""
        return self.halves(task)[0]

    def end_epoch(self, state: _HalfState, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """Choose from those held out, where the network agrees with more of them than after earlier epochs."""
        held = self.halves(task)[1].to(state.status.device)
        agreement = torch.tensor(0.0)
        if len(held):
            agrees, losses = self._held_out(state, task.index.to(held.device)[held], engine)
            agreement = agrees.double().mean()
            if agreement > state.best:
                self._choose(state, held, agrees, losses, len(task.classes))
        if clock.epoch + 1 == clock.epochs and not self.first:
            decided = state.pending != CANDIDATE
            state.status[decided] = state.pending[decided]
            state.pending.zero_()
        return {"agreement": agreement, "noise_rate": state.rate.clone()}

    def _held_out(self, state: _HalfState, index: Tensor, engine: Engine) -> tuple[Tensor, Tensor]:
        agrees, losses = [], []
        with evaluating(state):
            for batch in engine.examples(index):
                logits = outputs(state.net(batch.x))
                agrees.append(logits.argmax(1) == batch.y)
                losses.append(self.losses(state, logits, batch.y))
        return torch.cat(agrees), torch.cat(losses)

    def _choose(self, state: _HalfState, held: Tensor, agrees: Tensor, losses: Tensor, classes: int) -> None:
        state.best.copy_(agrees.double().mean())
        if self.round == 0 and self.first:
            state.rate.fill_(noise_rate(float(state.best), classes if self.pattern == "symmetric" else 2))
        fates = chosen(agrees, losses, float(state.rate))
        if self.pattern == "asymmetric":
            fates[fates == DROPPED] = CANDIDATE
        state.pending[held] = fates

    def hand_on(self, state: _HalfState, task: Task) -> Task:
        """Return the task with the fates of the examples so far."""
        fates = {name: getattr(state, name).cpu().clone() for name in (STATUS, PENDING, RATE)}
        return replace(task, handed_on={**task.handed_on, **fates})


class INCVState(ForgettingState):
    """Two networks, the share of wrong labels among those selected, and who is selected."""

    def __init__(
        self,
        net: nn.Module,
        other: nn.Module,
        constants: ClassConstants,
        rate: float,
        selected: PerExampleBuffer,
    ) -> None:
        super().__init__(net, other, constants, rate)
        self.selected = selected


@dataclass(frozen=True, kw_only=True)
class INCV(TwoNetworks[INCVState]):
    """Select labels by cross-validation, and train two networks on them by co-teaching."""

    rounds: int = setting(4, "N, of cross-validation, two trainings each; 4 is the authors'", "[1, inf)")
    search: float = setting(
        0.25,
        "the epochs of each of those trainings, as a fraction of the epochs; 0.25 is the authors' (50 of 200)",
        "(0, 1]",
    )
    pattern: Pattern = setting(
        "symmetric",
        "how labels are wrong: symmetric, to any other class; asymmetric, each class to one other, and then none are "
        "dropped",
    )
    gradual: float = setting(
        0.05,
        "T_k, how long the share takes to rise from 0 to τ: a fraction of the epochs if below 1, else epochs; 0 begins "
        "with τ",
        "[0, inf)",
    )
    warmup: float = setting(
        0.2,
        "how long co-teaching sees the selected alone: a fraction of the epochs if below 1, else epochs; 0.2 is the "
        "authors', 0.4 where more than 0.6 of the labels are wrong",
        "[0, inf)",
    )

    card: ClassVar[Card] = Card(
        name="incv",
        title="Iterative cross-validation, and co-teaching on its selection",
        paper="Chen et al., Understanding and Utilizing Deep Neural Networks Trained with Noisy Labels, ICML 2019",
        equations="select y = argmax f(x) of the held-out half; (1 − ε)² + ε²/(C − 1) = agreement (Theorem 1, "
        "Algorithms 1 and 2)",
        family="noise cleaning",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            incompatible_with={
                PERTURBED: "it chooses examples by their losses, and at other weights would choose others",
                MIXED: "it chooses labels one by one, and a mixture has two labels",
            },
        ),
        never_erm="labels that its networks disagree with are left out, also where nothing is noisy",
        cost="3 to 4 × plain training with the defaults: 2 N trainings of a quarter of the epochs on half to all of "
        "the data, and two networks",
        memory="a byte for each example, and while it selects two",
    )

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return two trainings for each round, and the one on their selection."""
        stages = []
        for round_ in range(self.rounds):
            for first in (True, False):
                half = _Half(
                    round=round_,
                    first=first,
                    pattern=self.pattern,
                    loss=self.loss,
                    class_weights=self.class_weights,
                    sampler=self.sampler,
                    head=self.head,
                )
                name = f"round-{round_ + 1}-{'first' if first else 'second'}"
                stages.append(Stage(name=name, method=half, epochs=self.search, data=half.trained, after=half.hand_on))
        return (*stages, Stage(name="train", method=self, data=kept_rows))

    def init(self, task: Task, make_net: MakeNet) -> INCVState:
        """Return two fresh networks, and who is selected: all, where nobody was chosen yet."""
        net, other = self.two_networks(task, make_net)
        selected = PerExampleBuffer(task.index, fill=1, dtype=torch.int8)
        status = task.handed_on.get(STATUS)
        if status is not None and bool((status == SELECTED).any()):
            selected.put(task.index, (status == SELECTED).to(torch.int8))
        rate = left_wrong(float(task.handed_on.get(RATE, torch.tensor(0.0))), self._labels(task))
        return INCVState(net, other, self.class_constants(task), rate, selected)

    def _labels(self, task: Task) -> int:
        return len(task.classes) if self.pattern == "symmetric" else 2

    def objective(self, step: Step[INCVState]) -> Objective:
        """Return the sum of both networks' means over the examples that the other keeps."""
        clock = step.clock
        selected = step.state.selected.of(step.batch.index) == 1
        forgotten = forget_rate(step.state.share, clock.epoch, epoch_of(self.gradual, clock.epochs))
        count = ((1 - forgotten) * selected.sum().double()).round().clamp_min(1)
        warm = clock.epoch < epoch_of(self.warmup, clock.epochs)
        first, other = self.both_weighted(step)
        among = selected | ~selected.any() if warm else torch.ones_like(selected)
        total = mean_of(first, smallest_of(other, among, count)) + mean_of(other, smallest_of(first, among, count))
        return Objective(total, step.out.extra.losses[0].detach(), {"kept": count / len(step.batch.y)})


def smallest_of(losses: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """Return who has the `count` smallest losses [B] of those `among` [B], as [B] bool; of equal ones the first."""
    seen = losses.detach().masked_fill(~among, float("inf"))
    return seen.argsort(stable=True).argsort() < count


def mean_of(losses: Tensor, kept: Tensor) -> Tensor:
    """Return the mean of the losses [B] of those `kept` [B], one or more."""
    return torch.where(kept, losses, 0.0).sum() / kept.sum()


def kept_rows(task: Task) -> Tensor:
    """Return the rows that were not dropped."""
    status = task.handed_on.get(STATUS, torch.zeros(len(task.index), dtype=torch.int8))
    return (status != DROPPED).nonzero().flatten()
