"""Decoupling: two networks, each trained on the examples on which they disagree.

Source: Malach, Shalev-Shwartz, "Decoupling 'when to update' from 'how to update'", NeurIPS 2017, Algorithm 1: of every
batch, both networks take a step on those examples that they predict differently, and on no others. They agree on most
of the wrongly labelled examples, once they have learned the classes. Both begin with plain training.

Compared with github.com/emalach/UpdateByDisagreement (commit 86d01a8), with its defaults: as there, losses are summed
over those that differ and divided by how many they are, but by no less than a tenth of the batch (`least`), so that no
single example makes a whole step; a batch on which all agree has a loss of 0, by which weight decay and momentum go
on. It can fill whole batches with those that differ, too; here a batch stays as it is. The optimizer is the training
configuration's, and the networks predict by the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.epochs import epoch_of
from skedastic.methods.bases.card import CLASSIFICATION, MIXED, PERTURBED, Capabilities, Card
from skedastic.methods.bases.step import Objective, Step
from skedastic.methods.bases.two_networks import TwoNetworks, TwoNetworksState


def mean_over(losses: Tensor, chosen: Tensor, least: float) -> Tensor:
    """Return Σ_chosen ℓ / max(how many are chosen, least · B) of losses [B]; chosen: [B], true or false."""
    return (losses * chosen).sum() / chosen.sum().clamp_min(least * len(losses))


@dataclass(frozen=True, kw_only=True)
class Decoupling(TwoNetworks[TwoNetworksState]):
    """Train two networks on the examples that they disagree on."""

    warmup: float = setting(
        0.2,
        "how long both are trained on everything first: a fraction of the epochs if below 1, else epochs",
        "[0, inf)",
    )
    least: float = setting(0.1, "of a batch, by which losses are divided at least; 0.1 is the authors'", "(0, 1]")

    card: ClassVar[Card] = Card(
        name="decoupling",
        title="Two networks, trained where they disagree",
        paper="Malach and Shalev-Shwartz, Decoupling 'when to update' from 'how to update', NeurIPS 2017",
        equations="Σ ℓ over argmax f(x) ≠ argmax g(x) (Algorithm 1)",
        family="noise cleaning",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            incompatible_with={
                PERTURBED: "it chooses examples by their predictions, and at other weights would choose others",
                MIXED: "it goes by whether two networks agree on an example, and a mixture is of two",
            },
        ),
        never_erm="two networks draw their dropout from one stream; without dropout, warmup=1000000 is plain "
        "training to the bit",
        cost="2.0 × the step of plain training on ResNet-32 (two cores)",
    )

    def objective(self, step: Step[TwoNetworksState]) -> Objective:
        """Return the sum of both networks' means over the examples that they disagree on."""
        out = step.out
        first, other = self.both_weighted(step)
        seen = out.extra.losses[0].detach()
        differ = out.extra.logits[0].argmax(1) != out.extra.logits[1].argmax(1)
        logs = {"disagreed": differ.float()}
        if step.clock.epoch < epoch_of(self.warmup, step.clock.epochs):
            return Objective(first.mean() + other.mean(), seen, logs)
        total = mean_over(first, differ, self.least) + mean_over(other, differ, self.least)
        return Objective(total, seen, logs)
