"""Small-loss trimming (ODD): before the learning rate falls, examples with the loss of a random label are left out.

Source: Song, Hu, Auli, Dauphin, Ma, "Robust and On-the-fly Dataset Denoising for Image Classification", ECCV 2020
(Song et al. 2020 of HAR's paper): at a large learning rate, wrong labels are not learned yet. In epoch E, of each
example the mean of its losses over the last h epochs is compared with the losses that uniformly random labels would
have; examples above their p-th percentile are never trained on again. The losses of random labels are simulated by the
network's parameters alone: the last layer on features max(z, 0), z ~ N(0, 1), which BatchNorm and ReLU before it
give.

The authors published no code, and the paper's text was not at hand: this is its abstract and what HAR's paper says of
it; p = 10 and h = 2 are theirs as far as we know. `simulated="predictions"` is ours, for networks without BatchNorm
before the last layer: random labels on the network's own predictions for the training examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.epochs import epoch_of
from skedastic.core.heads import features_of, find_head
from skedastic.core.per_example import PerExampleBuffer
from skedastic.methods.bases.card import CLASSIFICATION, LAST_LAYER, MIXED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetworkState
from skedastic.methods.bases.reweighting import Reweighting
from skedastic.methods.bases.step import Clock, Logs, Step, evaluating, outputs
from skedastic.methods.bases.task import Task

Simulated = Literal["gaussian", "predictions"]
DRAWS = 10_000


class TrimmedState(OneNetworkState):
    """The network, the last losses of each example, and which are trained on."""

    def __init__(self, net: nn.Module, constants: ClassConstants, index: Tensor, history: int) -> None:
        super().__init__(net, constants)
        self.recent = PerExampleBuffer(index, history)  # [n, h] losses
        self.kept = PerExampleBuffer(index, fill=1.0)  # [n] 1 or 0


@dataclass(frozen=True, kw_only=True)
class SmallLoss(Reweighting[TrimmedState]):
    """Leave out, from one epoch on, the examples whose losses are those of random labels."""

    begins: float = setting(
        0.5,
        "E, when examples are left out: a fraction of the epochs if below 1, else epochs; before the learning rate "
        "falls",
        "(0, inf)",
    )
    percentile: float = setting(
        10.0, "p of the losses of random labels, above which an example is left out; 10 is the paper's", "[0, 100]"
    )
    history: int = setting(2, "h, over how many epochs an example's losses are averaged; 2 is the paper's", "[1, inf)")
    simulated: Simulated = setting(
        "gaussian",
        "how the losses of random labels are had: gaussian, by the last layer on random features, as the paper has "
        "it; or predictions, on the predictions for the training examples",
    )

    card: ClassVar[Card] = Card(
        name="small-loss",
        title="Trimming of examples with the loss of a random label (ODD)",
        paper="Song et al., Robust and On-the-fly Dataset Denoising for Image Classification, ECCV 2020",
        equations="drop i where the mean of ℓ_i over h epochs > the p-th percentile of ℓ(W max(z, 0), ỹ), z ~ N(0, "
        "1), ỹ uniform",
        family="noise cleaning",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            incompatible_with={MIXED: "it keeps the losses of each example, and a mixture is of two"},
        ),
        reduces_to_erm=({"percentile": 100.0, "simulated": "predictions", "begins": 1000000.0},),
        cost="1.0 × the step of plain training",
        memory="h + 1 numbers for each example: 12 MB for a million",
    )

    @property
    def capabilities(self) -> Capabilities:
        """Those of its parts, and a last layer, where features are drawn."""
        able = super().capabilities
        return able & Capabilities(takes=(LAST_LAYER,)) if self.simulated == "gaussian" else able

    def init(self, task: Task, make_net: MakeNet) -> TrimmedState:
        """Return a fresh network, and everything kept."""
        return TrimmedState(self.network(task, make_net), self.class_constants(task), task.index, self.history)

    def take(self, step: Step[TrimmedState], losses: Tensor) -> None:
        """Keep the losses of this epoch, until examples are left out."""
        clock = step.clock
        if clock.epoch < self._epoch(clock):
            recent = step.state.recent.of(step.batch.index)
            recent[:, clock.epoch % self.history] = losses.to(recent)
            step.state.recent.put(step.batch.index, recent)

    def instance_weights(self, step: Step[TrimmedState], losses: Tensor) -> Tensor | None:
        """Return 1 for the kept examples, so that the mean is over them; None while all are kept."""
        if step.clock.epoch < self._epoch(step.clock):
            return None
        kept: Tensor = step.state.kept.of(step.batch.index).to(losses)
        return kept * len(kept) / kept.sum().clamp_min(1)

    def end_epoch(self, state: TrimmedState, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """After the last epoch with all examples, decide who is kept."""
        if clock.epoch + 1 == self._epoch(clock):
            with evaluating(state):
                random = self._of_random_labels(state, task, engine)
            threshold = torch.quantile(random.double(), self.percentile / 100)
            seen = min(clock.epoch + 1, self.history)
            mean = state.recent.values.sum(1) / seen
            state.kept.values.copy_((mean <= threshold).to(state.kept.values))
        return {"kept": state.kept.values.mean()}

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Return a note where nothing was left out."""
        notes = super().notes(rows, batch_size)
        if not rows or rows[-1].get("kept") != 1.0:
            return notes
        why = (
            "when it decided, no label had the loss of a random one. Either they are right, or the network had "
            "learned the wrong ones too: let it begin earlier, or at a larger learning rate"
            if self._epoch(Clock(0, len(rows), 0)) < len(rows)
            else "training was over before it began: set begins to less"
        )
        return (*notes, f"{self.card.name} left nothing out: {why}.")

    def _of_random_labels(self, state: TrimmedState, task: Task, engine: Engine) -> Tensor:
        """Return losses of uniformly random labels, at least as many as there are classes."""
        classes = len(task.classes)
        if self.simulated == "predictions":
            logits = torch.cat([outputs(state.net(batch.x)) for batch in engine.examples()])
        else:
            head = find_head(state.net, classes)[2]
            like = next(iter(head.state_dict().values()))
            logits = head(torch.randn(DRAWS, features_of(head)).clamp_min(0).to(like))
        labels = torch.randint(classes, (len(logits),)).to(logits.device)
        losses: Tensor = self.losses(state, logits, labels).float()
        return losses[torch.randperm(len(losses))[:DRAWS].to(losses.device)]

    def _epoch(self, clock: Clock) -> int:
        return max(int(epoch_of(self.begins, clock.epochs)), 1)
