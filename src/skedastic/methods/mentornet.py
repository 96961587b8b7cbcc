"""MentorNet: a curriculum, predefined or learned by a second small network, that weighs examples by their losses.

Source: Jiang, Zhou, Leung, Li, Fei-Fei, "MentorNet: Learning Data-Driven Curriculum for Very Deep Neural Networks on
Corrupted Labels", ICML 2018. Minimize (1/B) Σ v_i ℓ_i, v_i from the difference d_i = ℓ_i − λ₁ of the loss from a
moving average λ₁ of the batches' p-percentile. The predefined curriculum (of eq. 5 and 6) is v = 1(d ≤ 0), and in the
last tenth of the epochs min(max(1 − d/λ₂, 0), 1). The mentor has loss, difference, label and share of the epochs for
features, a bidirectional LSTM and two layers, and imitates that curriculum on features drawn at random. The
data-driven one also learns whether a label is right, from trusted examples. In a burn-in all v are 1; a share of
each batch, drawn at random, is left out.

Compared with github.com/google/mentornet (commit 76d6be2; TensorFlow 1, compared function by function with NumPy
versions): the same curriculum (its `vstar_mentornet_pd`), λ₁ from 0 by the nearest rank, selection at random, and
shares left out (0.5, and from 17 of 100 epochs on 0.05; here the first ends with the burn-in, at 18). As there the
LSTM reads one step, the loss of now, and its cell is the feature, and the epochs' embedding is random and
stays. Its mentor has label 0 throughout; ours has the label, which counts for nothing until the mentor is refined, as
the curriculum does not go by it. Its mentor is trained for 30,000 steps of 32 on a grid of features, ours for 1,000 of
512 on features between; its last layer lacks a bias, which it adds to the weights. It learns the burn-in too; here
that is v = 1 itself.

Its data-driven mentor is learned beforehand, from a network's losses on training examples whose clean labels are
known, and then fixed. Ours is refined at the end of each epoch on a reference set that the network does not train on:
on its labels, which are right, and on as many others drawn at random, which are wrong. As there, the epoch it sees
stays that of the burn-in's end. Its ResNet's weight decay is multiplied by the mean of v; here that is the
optimizer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.curriculum import PERCENT, Mentor, imitating, kept_at_random, moved_percentile, self_paced
from skedastic.core.epochs import epoch_of
from skedastic.core.replay import buffers_kept
from skedastic.core.samplers import Sampler, Shuffle
from skedastic.core.tilted import single
from skedastic.methods.bases.card import CLASSIFICATION, MIXED, REFERENCE, Capabilities, Card, without_reference
from skedastic.methods.bases.engine import Engine, OwnOptimizer
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetworkState
from skedastic.methods.bases.reweighting import Reweighting
from skedastic.methods.bases.step import Clock, Logs, Objective, Step, outputs
from skedastic.methods.bases.task import Task

Curriculum = Literal["predefined", "learned", "refined"]
REFINED = Capabilities(tasks=CLASSIFICATION, needs=frozenset({REFERENCE}))
REFINEMENTS = 20  # steps at the end of an epoch


class MentorState(OneNetworkState):
    """The network, λ₁, the mentor where there is one, and the weights of the current batch."""

    average: Tensor
    weights: Tensor | None  # [B]; None where all are 1. Not kept: each step has its own

    def __init__(self, net: nn.Module, constants: ClassConstants, mentor: Mentor | None = None) -> None:
        super().__init__(net, constants)
        self.register_buffer("average", torch.zeros(()))
        self.mentor = mentor
        self.weights = None

    def of_examples(self) -> Iterator[nn.Module]:
        """Yield the network."""
        yield self.net


@dataclass(frozen=True, kw_only=True)
class MentorNet(Reweighting[MentorState]):
    """Weigh each example by a curriculum, from how far its loss is above a moving percentile."""

    curriculum: Curriculum = setting(
        "learned",
        "predefined: the weights of its equation; learned: of a small network that has learned to imitate it; "
        "refined: one that also learns from a reference set whether a label is right",
    )
    percentile: float = setting(
        0.75,
        "p of the losses of a batch, where the weights fall; about the share of right labels, such as the authors' "
        "0.75 for 20 and 40 % of wrong ones, and 0.5 for 80 %",
        "(0, 1)",
    )
    decay: float = setting(0.5, "of the moving average of that percentile", "[0, 1)")
    burn_in: float = setting(
        0.18, "until when all weigh the same: a fraction of the epochs if below 1, else epochs", "[0, inf)"
    )
    dropout: float = setting(0.05, "the share of a batch that is left out at random after the burn-in", "[0, 1)")
    burn_in_dropout: float = setting(0.5, "and in it", "[0, 1)")
    width: float = setting(
        1.0,
        "λ₂, the range in units of the loss in which weights fall from 1 to 0 late in training; 0 is a step, "
        "1 the authors'",
        "[0, inf)",
    )
    mentor_lr: float = setting(0.01, "learning rate (Adam) of the network that is refined", "(0, inf)")

    card: ClassVar[Card] = Card(
        name="mentornet",
        title="MentorNet: a curriculum, predefined or learned, of examples' losses",
        paper="Jiang et al., MentorNet: Learning Data-Driven Curriculum for Very Deep Neural Networks on Corrupted "
        "Labels, ICML 2018",
        equations="(1/B) Σ v_i ℓ_i, v = 1(ℓ ≤ λ₁), late min(max(1 − (ℓ − λ₁)/λ₂, 0), 1), λ₁ a moving percentile (eq. "
        "5 and 6)",
        family="reweighting by learning",
        capabilities=Capabilities(
            incompatible_with={
                MIXED: "it tells by its loss whether a label is right, and a mixture's is large for being one"
            },
        ),
        reduces_to_erm=({"burn_in": 1000.0, "burn_in_dropout": 0.0},),
        cost="1.0 × the step of plain training; learning to imitate takes a few seconds before it",
    )

    @property
    def _refined(self) -> bool:
        return self.curriculum == "refined"

    @property
    def capabilities(self) -> Capabilities:
        """Those of its parts; classification and a reference set where the mentor learns from wrong labels."""
        return super().capabilities & REFINED if self._refined else super().capabilities

    def streams(self, task: Task) -> dict[str, Sampler]:
        """Return the sampler, and that of the reference set where one is needed. Raises UserError without one."""
        if not self._refined:
            return super().streams(task)
        if task.reference is None:
            raise without_reference(f"{self.card.name}(curriculum=refined)")
        return {**super().streams(task), REFERENCE: Shuffle()}

    def init(self, task: Task, make_net: MakeNet) -> MentorState:
        """Return a fresh network, and a mentor that imitates the curriculum, unless a file is to fill it."""
        net = self.network(task, make_net)
        return MentorState(
            net, self.class_constants(task), None if self.curriculum == "predefined" else self._mentor(task)
        )

    def _mentor(self, task: Task) -> Mentor:
        with torch.random.fork_rng(devices=[]):
            mentor = Mentor(len(task.classes) or 1)
        if len(task.index):
            learned = deepcopy(imitating(self.width, task.seed).state_dict())
            mentor.load_state_dict({**learned, "of_label.weight": mentor.of_label.weight})
        return mentor

    def param_groups(self, state: MentorState) -> Mapping[str, list[nn.Parameter]]:
        """Return the network's parameters, and apart from them the mentor's, where it is refined."""
        groups = {"main": list(state.net.parameters())}
        if self._refined and state.mentor is not None:
            groups["mentor"] = list(state.mentor.parameters())
        return groups

    def optimizers(self) -> Mapping[str, OwnOptimizer]:
        """Return Adam, for a mentor that is refined."""
        return {"mentor": OwnOptimizer(self.mentor_lr)} if self._refined else {}

    def burning_in(self, clock: Clock) -> bool:
        """Return whether all examples weigh the same yet."""
        return clock.epoch < epoch_of(self.burn_in, clock.epochs)

    def percent(self, clock: Clock) -> int:
        """Return the epoch in percent of all, 0..99; for a refined mentor, no later than the end of the burn-in."""
        epoch = min(clock.epoch, int(epoch_of(self.burn_in, clock.epochs))) if self._refined else clock.epoch
        return min(PERCENT * epoch // clock.epochs, PERCENT - 1)

    def judged(self, state: MentorState, losses: Tensor, label: Tensor, clock: Clock) -> Tensor:
        """Return the mentor's logits [B] of losses [B] and labels [B]."""
        assert state.mentor is not None
        percent = torch.full(losses.shape, self.percent(clock), device=losses.device)
        named = label if label.dim() == 1 and not label.is_floating_point() else torch.zeros_like(percent)
        logits: Tensor = state.mentor(losses, losses - state.average, named, percent)
        return logits

    def take(self, step: Step[MentorState], losses: Tensor) -> None:
        """Move λ₁, and weigh the batch."""
        clock, state = step.clock, step.state
        losses = single(losses)
        state.average.copy_(moved_percentile(state.average, losses, self.percentile, self.decay))
        if self.burning_in(clock):
            rate, weights = self.burn_in_dropout, None
        elif state.mentor is None:
            rate, weights = self.dropout, self_paced(losses - state.average, self.percent(clock), self.width)
        else:
            rate, weights = self.dropout, self.judged(state, losses, step.batch.y, clock).sigmoid()
        if rate > 0:
            kept = kept_at_random(len(losses), rate).to(losses)
            weights = kept if weights is None else kept * weights
        state.weights = weights

    def instance_weights(self, step: Step[MentorState], losses: Tensor) -> Tensor | None:
        """Return the weights of the batch from its first forward, wherever the network has been shifted to since."""
        weights: Tensor | None = step.state.weights
        return weights

    def objective(self, step: Step[MentorState]) -> Objective:
        """Return the weighted mean; logs λ₁."""
        objective = super().objective(step)
        logs = {**objective.logs, "percentile": step.state.average.clone()}
        return objective._replace(logs=logs) if objective.logs else objective

    def end_epoch(self, state: MentorState, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """Refine the mentor on the trusted examples, with their labels and with wrong ones; logs its loss."""
        if not self._refined:
            return None
        assert task.reference is not None
        features: list[tuple[Tensor, Tensor, Tensor]] = []  # of each batch: losses, labels, whether these are right
        seen = 0
        with torch.no_grad(), buffers_kept(state.net):
            while seen < len(task.reference):
                batch = engine.draw(REFERENCE)
                seen += len(batch.y)
                logits = outputs(state.net(batch.x))
                off = torch.randint(1, batch.classes, batch.y.shape).to(batch.y.device)
                for label, is_right in ((batch.y, 1.0), ((batch.y + off) % batch.classes, 0.0)):
                    losses = self.with_weight(
                        self.losses(state, logits, label), self.class_weight(state, label, clock), logits, label
                    )
                    features.append((single(losses), label, torch.full_like(losses, is_right, dtype=torch.float32)))
        losses, label, right = (torch.cat(parts) for parts in zip(*features, strict=True))
        for _ in range(REFINEMENTS):
            loss = F.binary_cross_entropy_with_logits(self.judged(state, losses, label, clock), right)
            engine.update("mentor", loss)
        return {"mentor_loss": loss.detach()}
