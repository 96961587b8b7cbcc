"""Small-loss trimming (ODD): before the learning rate falls, examples whose loss is that of a label drawn at random are left out.

Source: Song, Hu, Auli, Dauphin, Ma, "Robust and On-the-fly Dataset Denoising for Image Classification", ECCV 2020 (Song et al. 2020 of HAR's
paper): at a large learning rate, wrong labels are not learned yet. In epoch E, of each example the mean of its losses over the last h epochs is
compared with the losses that uniformly random labels would have; what is above their p-th percentile is never trained on again.
The losses of random labels are simulated by the network's parameters alone: the last layer on features max(z, 0), z ~ N(0, 1), which is
what BatchNorm and ReLU before it give.

The authors published no code, and the paper's text was not at hand: this is its abstract and what HAR's paper says of it; p = 10 and
h = 2 are theirs as far as we know. `simulated="predictions"` is ours, for networks without BatchNorm before the last layer: random labels on
the network's own predictions for the training examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from skedastic.core.epochs import epoch_of
from skedastic.core.heads import features_of, find_head
from skedastic.core.per_example import PerExampleBuffer
from skedastic.errors import UserError, suggestion
from skedastic.methods.bases.method import (
    LAST_LAYER,
    MIXED,
    Batch,
    Card,
    Clock,
    Engine,
    Logs,
    State,
    Task,
    evaluating,
    outputs,
)
from skedastic.methods.bases.one_network import AXES, OneNetworkState, Reweighting

Simulated = Literal["gaussian", "predictions"]
DRAWS = 10_000


class TrimmedState(OneNetworkState):
    """The network, the last losses of each example, and which are trained on."""

    def __init__(self, net: nn.Module, known: tuple[Tensor | None, Tensor | None], index: Tensor, history: int) -> None:
        super().__init__(net, *known)
        self.recent = PerExampleBuffer(index, history)  # [n, h] losses
        self.kept = PerExampleBuffer(index, fill=1.0)  # [n] 1 or 0


@dataclass(frozen=True, kw_only=True)
class SmallLoss(Reweighting):
    """Leave out, from one epoch on, the examples whose losses are those of random labels."""

    begins: float = 0.5
    percentile: float = 10.0
    history: int = 2
    simulated: Simulated = "gaussian"

    card: ClassVar[Card] = Card(
        name="small-loss",
        title="Trimming of what has the loss of a random label (ODD)",
        paper="Song et al., Robust and On-the-fly Dataset Denoising for Image Classification, ECCV 2020",
        equations="drop i where the mean of ℓ_i over h epochs > the p-th percentile of ℓ(W max(z, 0), ỹ), z ~ N(0, 1), ỹ uniform",
        family="noise cleaning",
        incompatible_with={MIXED: "it keeps the losses of each example, and a mixture is of two"},
        reduces_to_erm=({"percentile": 100.0, "simulated": "predictions", "begins": 1000000.0},),
        parameters={
            **AXES,
            "begins": "E, when examples are left out: a fraction of the epochs if below 1, else epochs; > 0, and before the learning rate falls",
            "percentile": "p in [0, 100] of the losses of random labels, above which an example is left out; 10 is the paper's",
            "history": "h ≥ 1, over how many epochs an example's losses are averaged; 2 is the paper's",
            "simulated": "how the losses of random labels are had: gaussian, by the last layer on random features, as the paper has it; "
            "or predictions, on the predictions for the training examples",
        },
        cost="1.0 × the step of plain training",
        memory="h + 1 numbers for each example: 12 MB for a million",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.begins < float("inf"):
            raise UserError(
                f"SmallLoss(begins={self.begins}): begins must be above 0: a fraction of the epochs if below 1, else epochs"
            )
        if not 0 <= self.percentile <= 100:
            raise UserError(
                f"SmallLoss(percentile={self.percentile}): percentile must be in [0, 100]; 10 is the paper's"
            )
        if self.history < 1:
            raise UserError(f"SmallLoss(history={self.history}): history must be at least 1 epoch; 2 is the paper's")
        if self.simulated not in get_args(Simulated):
            raise UserError(
                f"SmallLoss(simulated={self.simulated!r}): simulated must be one of {', '.join(get_args(Simulated))}"
                f"{suggestion(str(self.simulated), get_args(Simulated))}"
            )

    @property
    def supports(self) -> frozenset[str]:
        """Classification alone: labels are drawn."""
        return super().supports & {"classification"}

    @property
    def requirements(self) -> tuple[str, ...]:
        """A last layer, where features are drawn."""
        own = (LAST_LAYER,) if self.simulated == "gaussian" else ()
        return (*super().requirements, *own)

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> TrimmedState:
        """Return a fresh network, and everything kept."""
        return TrimmedState(self.network(task, make_net), self.known(task), task.index, self.history)

    def take(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> None:
        """Keep the losses of this epoch, until examples are left out."""
        if clock.epoch < self._epoch(clock):
            recent = state.recent.of(batch.index)
            recent[:, clock.epoch % self.history] = losses.to(recent)
            state.recent.put(batch.index, recent)

    def instance_weights(self, state: Any, batch: Batch, losses: Tensor, clock: Clock) -> Tensor | None:
        """Return 1 for what is kept, so that the mean is over those; None while all are."""
        if clock.epoch < self._epoch(clock):
            return None
        kept: Tensor = state.kept.of(batch.index).to(losses)
        return kept * len(kept) / kept.sum().clamp_min(1)

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """After the last epoch with all examples, decide who is kept."""
        assert isinstance(state, TrimmedState)
        if clock.epoch + 1 == self._epoch(clock):
            with evaluating(state):
                random = self._of_random_labels(state, task, engine)
            threshold = torch.quantile(random.double(), self.percentile / 100)
            seen = min(clock.epoch + 1, self.history)
            mean = state.recent.values.sum(1) / seen
            state.kept.values.copy_((mean <= threshold).to(state.kept.values))
        return {"kept": state.kept.values.mean()}

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Say so where nothing was left out."""
        found = super().notes(rows, batch_size)
        if not rows or rows[-1].get("kept") != 1.0:
            return found
        why = (
            "when it decided, no label had the loss of a random one. Either they are right, or the network had learned the wrong "
            "ones too: let it begin earlier, or at a larger learning rate"
            if self._epoch(Clock(0, len(rows), 0)) < len(rows)
            else "training was over before it began: set begins to less"
        )
        return (*found, f"{self.card.name} left nothing out: {why}.")

    def _of_random_labels(self, state: TrimmedState, task: Task, engine: Engine) -> Tensor:
        """Return losses of uniformly random labels, at least as many as there are classes."""
        classes = len(task.classes)
        if self.simulated == "predictions":
            found = torch.cat([outputs(state.net(batch.x)) for batch in engine.examples()])
        else:
            head = find_head(state.net, classes)[2]
            like = next(iter(head.state_dict().values()))
            found = head(torch.randn(DRAWS, features_of(head)).clamp_min(0).to(like))
        labels = torch.randint(classes, (len(found),)).to(found.device)
        losses: Tensor = self.losses(state, found, labels).float()
        return losses[torch.randperm(len(losses))[:DRAWS].to(losses.device)]

    def _epoch(self, clock: Clock) -> int:
        return max(int(epoch_of(self.begins, clock.epochs)), 1)
