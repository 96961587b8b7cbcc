"""Range loss: cross entropy, and features close within a class and apart between classes, however rare they are.

Source: Zhang, Fang, Wen, Li, Qiao, "Range Loss for Deep Face Recognition with Long-tail", ICCV 2017, equations 7 to 9
and 15: to the loss comes λ (α L_intra + β L_inter). L_intra is the sum over the batch's classes of the harmonic mean
of the k largest squared distances between features of the class; L_inter = max(m − D, 0), D the smallest squared
distance between the means of two classes. Every class of a batch counts alike, whether it has two examples there or
fifty.

The authors published no code. Of others', github.com/Charrin/RangeLoss-Caffe (commit 2cf1fd5) has the same terms, and
fails where a class has fewer than k pairs; github.com/Chen94yue/RangeLoss-Pytorch-ReID (commit 3a54206) divides k by
distances that are neither squared nor inverted, which is not the paper's. Here α is 1, λ being there already; a class
with one example in a batch has no range; with fewer than k pairs, all pairs count. λ, β and m are in the units of the
network's features, so that the paper's figures for its network say nothing for others; ours are from small networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.heads import run_with_features
from skedastic.methods.bases.card import CLASSIFICATION, LAST_LAYER, MIXED, Capabilities, Card
from skedastic.methods.bases.one_network import OneNetwork, OneNetworkState, WithFeatures
from skedastic.methods.bases.step import Batch, Objective, Out, Step, outputs

TINY = 1e-12


def ranges(features: Tensor, y: Tensor, k: int) -> Tensor:
    """Return the harmonic mean of the k largest D of each class that has two or more of the features.

    Parameters
    ----------
    features : Tensor
        [B, d].
    y : Tensor
        Labels, [B] int64.
    k : int
        At least 1.
    """
    of_classes = []
    for label in torch.unique(y):
        x = features[y == label]
        if len(x) > 1:
            first, second = torch.triu_indices(len(x), len(x), 1, device=x.device)
            distance = (x[first] - x[second]).square().sum(1).clamp_min(TINY)
            largest = distance.topk(min(k, len(distance))).values
            of_classes.append(len(largest) / (1 / largest).sum())
    return torch.stack(of_classes) if of_classes else features.new_zeros(0)


def nearest_means(features: Tensor, y: Tensor) -> Tensor | None:
    """Return the smallest squared distance between the means of two classes; None where there is but one class."""
    labels = torch.unique(y)
    if len(labels) < 2:
        return None
    means = torch.stack([features[y == label].mean(0) for label in labels])
    first, second = torch.triu_indices(len(means), len(means), 1, device=means.device)
    return (means[first] - means[second]).square().sum(1).min()


@dataclass(frozen=True, kw_only=True)
class RangeLoss(OneNetwork[OneNetworkState]):
    """Add the range of each class, and the nearness of the nearest two."""

    lam: float = setting(0.001, "λ, the weight of both terms; 0 is plain training", "[0, inf)")
    beta: float = setting(
        10.0,
        "β, the weight of the second; where it is small, features shrink to a point, and rare classes are lost first",
        "[0, inf)",
    )
    margin: float = setting(
        100.0, "m, how far apart the means of classes should be, squared, in units of the features", "[0, inf)"
    )
    k: int = setting(2, "how many of the largest distances of a class count; 2 is the paper's", "[1, inf)")

    card: ClassVar[Card] = Card(
        name="range-loss",
        title="Range loss: compact classes, however rare",
        paper="Zhang et al., Range Loss for Deep Face Recognition with Long-tail, ICCV 2017",
        equations="ℓ + λ (Σ_c k / Σ_j 1/D_j + β max(m − D_centre, 0)) (eq. 7 to 9, 15)",
        family="long tail",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            takes=(LAST_LAYER,),
            incompatible_with={MIXED: "its distances are within a class, and a mixture is of two"},
        ),
        reduces_to_erm=({"lam": 0.0},),
        cost="1.0 × the step of plain training; distances within classes, at most B²/2",
    )

    def forward(self, state: OneNetworkState, batch: Batch) -> Out:
        """Run the network, and keep the features that its head reads."""
        if self.lam == 0:
            out = super().forward(state, batch)
            return Out(out.logits, WithFeatures(out.extra, None))
        raw, features = run_with_features(state.net, batch.classes, batch.x)
        logits = outputs(raw)
        return Out(logits, WithFeatures(self.losses(state, logits, batch.y), features))

    def objective(self, step: Step[OneNetworkState]) -> Objective:
        """Return the mean loss and both terms."""
        batch = step.batch
        losses, features = step.out.extra
        weight = self.class_weight(step.state, batch.y, step.clock)
        total = self.with_weight(losses, weight, step.out.logits, batch.y).mean()
        if features is None:
            return Objective(total, losses.detach())
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(torch.promote_types(features.dtype, torch.float32))
            intra, nearest = ranges(features, batch.y, self.k).sum(), nearest_means(features, batch.y)
            inter = intra.new_zeros(()) if nearest is None else (self.margin - nearest).clamp_min(0)
        logs = {"range": intra.detach(), "nearness": inter.detach()}
        return Objective(total + self.lam * (intra + self.beta * inter), losses.detach(), logs)
