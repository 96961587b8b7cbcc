"""ELR+: early-learning regularization of two networks on mixtures, each with the other's EMA's predictions as target.

Source: Liu, Niles-Weed, Razavian, Fernandez-Granda, "Early-Learning Regularization Prevents Memorization of Noisy
Labels", NeurIPS 2020, section 4.3 and appendix: as `elr`, but the target of a network is the moving average of the
predictions of the other's averaged weights, w̄ ← α w̄ + (1 − α) w; inputs, labels and targets are mixed alike (mixup);
α and λ rise at the beginning.

Compared with github.com/shengliuzi/ELR (commit 934af53, ELR_plus): the same losses, targets and EMAs from the same
numbers. As there, each network has mixtures of its own, λ_mix ≥ 1/2 is the share of the example whose place a mixture
takes, averaged networks are run on the clean batch in training mode, so that their BatchNorm has statistics of its
own, and the prediction is the mean of one network's logits and the other's averaged one's. The difference: its two
loaders draw wrong labels each for itself, so that together its networks see cleaner labels than there are; here there
is one set of labels. Run on two GPUs, its targets come from EMAs of the epoch before. It ramps by steps (40,000 of
78,000), we by epochs (`ramp`). For CIFAR-100 alone it multiplies labels by targets; we don't.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.ema import ema_copy, ramp_up, update_ema
from skedastic.core.epochs import epoch_of
from skedastic.core.predicting import Predicting
from skedastic.core.weighted_mean import WeightedMean
from skedastic.errors import UserError
from skedastic.methods.bases.card import CLASSIFICATION, MIXED, PERTURBED, REAL_INPUTS, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import INTEGERS, ClassConstants
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, Out, Step, outputs
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.two_networks import TwoNetworks, TwoNetworksState
from skedastic.methods.elr import TargetEma, early_learning, probabilities
from skedastic.methods.mixup import mixture


class ELRPlusState(TwoNetworksState):
    """Two networks, their EMAs, and the targets of both."""

    def __init__(
        self,
        net: nn.Module,
        other: nn.Module,
        constants: ClassConstants,
        targets: tuple[TargetEma, TargetEma],
    ) -> None:
        super().__init__(net, other, constants)
        self.net_average, self.other_average = ema_copy(net), ema_copy(other)
        self.targets = nn.ModuleList(targets)  # of `net`, and of `other`


class Mixtures(NamedTuple):
    """The results of one network on its mixtures of a batch."""

    logits: Tensor  # [B, C]
    y: Tensor  # [B, C]
    losses: Tensor  # [B]
    partner: Tensor  # [B] positions in the batch
    share: Tensor  # of the first in each mixture, in [1/2, 1]
    seen: Tensor  # [B, C] logits of the peer's EMA on the clean batch


@dataclass(frozen=True, kw_only=True)
class ELRPlus(TwoNetworks[ELRPlusState]):
    """Hold each of two networks to the early predictions of the other's EMA."""

    lam: float = setting(
        3.0,
        "λ: 3 the authors' for CIFAR-10, 7 for CIFAR-100, 1 where labels are flipped to a similar class",
        "[0, inf)",
    )
    beta: float = setting(
        0.7, "β, how much of a target stays; 0.7 is usual, 0.9 where labels are flipped to a similar class", "[0, 1)"
    )
    alpha: float = setting(1.0, "of the mixtures, λ_mix ~ Beta(α, α); 0 mixes nothing, 1 is usual", "[0, inf)")
    decay: float = setting(0.997, "α, how much of the averaged weights stays; 0.997 is usual", "[0, 1)")
    ramp: float = setting(
        0.5,
        "how long α takes to rise to its full value: a fraction of the epochs if below 1, else epochs; 0 is at once",
        "[0, inf)",
    )
    lam_ramp: float = setting(0.0, "the same for λ: 0, or 0.5 as the authors have it for CIFAR-100", "[0, inf)")
    top_k: int | None = setting(None, "how many of a target's entries are kept; none keeps all", "[1, inf)")

    card: ClassVar[Card] = Card(
        name="elr-plus",
        title="Early-learning regularization of two averaged networks, on mixtures",
        paper="Liu et al., Early-Learning Regularization Prevents Memorization of Noisy Labels, NeurIPS 2020",
        equations="ℓ(x̃, ỹ) + λ log(1 − ⟨p(x̃), t̃⟩), t ← β t + (1 − β) p_peer(x; w̄) (eq. 6 and 9, section 4.3)",
        family="noise cleaning",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            takes=(REAL_INPUTS,),
            incompatible_with={
                PERTURBED: "its step moves EMAs of the weights, and draws mixtures of its own",
                MIXED: "it mixes examples itself",
            },
        ),
        never_erm="it always predicts by two networks, one of them an average",
        cost="2.8 × the step of plain training on ResNet-32 (two cores): two networks, and a forward of each one's "
        "average",
        memory="2 C numbers for each example: 8 GB for a million examples of 1,000 classes; top_k=10 keeps 20 and "
        "their places, 192 MB",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.loss.soft:
            loss = self.loss.shown_name()
            rule = f"elr-plus mixes labels, and {INTEGERS.format(loss=loss)}"
            raise UserError(rule, setting=self.place("loss"), value=loss)

    def init(self, task: Task, make_net: MakeNet) -> ELRPlusState:
        """Return two fresh networks, EMAs that begin as they do, and targets of 0."""
        (net, other_net), classes = self.two_networks(task, make_net), len(task.classes)
        first, other = (TargetEma(task.index, classes, self.top_k) for _ in range(2))
        return ELRPlusState(net, other_net, self.class_constants(task), (first, other))

    def param_groups(self, state: ELRPlusState) -> Mapping[str, list[nn.Parameter]]:
        """Return the parameters of both networks; the EMAs' are not trained."""
        return {"main": [*state.net.parameters(), *state.other.parameters()]}

    def forward(self, state: ELRPlusState, batch: Batch) -> Out:
        """Run both networks on mixtures, and both EMAs on the batch as it is; `extra` is a pair of `Mixtures`."""
        with torch.no_grad():
            seen = outputs(state.net_average(batch.x)), outputs(state.other_average(batch.x))
        both = self._mixed(state, state.net, batch, seen[1]), self._mixed(state, state.other, batch, seen[0])
        return Out((seen[0] + seen[1]) / 2, both)

    def _mixed(self, state: ELRPlusState, net: nn.Module, batch: Batch, seen: Tensor) -> Mixtures:
        y = batch.y if batch.y.dim() == 2 else F.one_hot(batch.y, seen.shape[1]).to(seen.dtype)
        partner = torch.arange(len(y), device=y.device)
        share, x = seen.new_ones(()), batch.x
        if self.alpha > 0:
            drawn = torch.distributions.Beta(*torch.full((2,), self.alpha)).sample()
            share = torch.maximum(drawn, 1 - drawn).to(seen, non_blocking=True)
            partner = torch.randperm(len(y)).to(y.device, non_blocking=True)
            x, y = mixture(x, x[partner], share), mixture(y, y[partner], share)
        logits = outputs(net(x))
        return Mixtures(logits, y, self.losses(state, logits, y), partner, share, seen)

    def observe(self, step: Step[ELRPlusState]) -> None:
        """Move the targets of both networks towards the predictions of the other's EMA."""
        for targets, mixed in zip(step.state.targets, step.out.extra, strict=True):
            assert isinstance(targets, TargetEma)
            p = self.loss.predicted(mixed.seen).float().softmax(1)
            targets.put(step.batch.index, self.beta * targets.of(step.batch.index) + (1 - self.beta) * p)

    def objective(self, step: Step[ELRPlusState]) -> Objective:
        """Return the sum of both networks' losses and terms."""
        clock = step.clock
        lam = self.lam * ramp_up(clock.epoch, epoch_of(self.lam_ramp, clock.epochs) if self.lam_ramp else 0)
        total, terms = torch.zeros((), device=step.batch.y.device), []
        for targets, mixed in zip(step.state.targets, step.out.extra, strict=True):
            assert isinstance(targets, TargetEma)
            target = targets.of(step.batch.index)
            target = mixed.share * target + (1 - mixed.share) * target[mixed.partner]
            terms.append(early_learning(target, probabilities(self.loss.predicted(mixed.logits))))
            weight = self.class_weight(step.state, mixed.y, clock)
            total = (
                total + self.with_weight(mixed.losses, weight, mixed.logits, mixed.y).mean() + lam * terms[-1].mean()
            )
        logs = {"early_learning": (terms[0].detach() + terms[1].detach()) / 2}
        return Objective(total, step.out.extra[0].losses.detach(), logs)

    def step(self, state: ELRPlusState, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step, and move the EMAs."""
        metrics = super().step(state, batch, clock, engine)
        decay = self.decay * ramp_up(clock.epoch, epoch_of(self.ramp, clock.epochs) if self.ramp else 0)
        update_ema(state.net_average, state.net, decay)
        update_ema(state.other_average, state.other, decay)
        return metrics

    def net(self, state: ELRPlusState) -> nn.Module:
        """Return one network and the other's EMA as one module."""
        return Predicting(WeightedMean((state.net, state.other_average), (0.5, 0.5)), self.loss.predicted)

    def predict(self, state: ELRPlusState, x: Tensor) -> Tensor:
        """Return the mean of one network's logits and of those of the other's EMA, [B, C]."""
        return self.loss.predicted((outputs(state.net(x)) + outputs(state.other_average(x))) / 2)
