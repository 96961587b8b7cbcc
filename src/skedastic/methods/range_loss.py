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


def ranges(features: Tensor, y: Tensor, classes: int, k: int) -> Tensor:
    """Return the harmonic mean of the k largest D of each class, [C]; 0 where it has fewer than two of the features.

    Parameters
    ----------
    features : Tensor
        [B, d].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    classes : int
        C.
    k : int
        At least 1.
    """
    first, second = torch.triu_indices(len(y), len(y), 1, device=y.device)
    distance = squared_distances(features)[first, second].clamp_min(TINY)
    label = torch.where(y[first] == y[second], y[first], classes)  # of a pair; C for pairs of two classes
    by_distance = distance.detach().argsort(descending=True)
    order = by_distance[label[by_distance].argsort(stable=True)]  # by class, and in a class the largest first
    distance, label = distance[order], label[order]
    pairs = label.new_zeros(classes + 1).index_add(0, label, torch.ones_like(label))
    place = torch.arange(len(label), device=y.device) - (pairs.cumsum(0) - pairs)[label]  # in its class
    inverse = distance.new_zeros(classes + 1).index_add(0, label, torch.where(place < k, 1 / distance, 0.0))
    some = pairs > 0
    return (pairs.clamp_max(k) / torch.where(some, inverse, 1.0) * some)[:classes]


def nearest_means(features: Tensor, y: Tensor, classes: int) -> Tensor:
    """Return the smallest squared distance between the means of two classes; infinite where there is but one class.

    Parameters
    ----------
    features : Tensor
        [B, d].
    y : Tensor
        Labels, [B] int64 in 0..C-1.
    classes : int
        C.
    """
    count = y.new_zeros(classes).index_add(0, y, torch.ones_like(y))
    sums = features.new_zeros(classes, features.shape[1]).index_add(0, y, features)
    distance = squared_distances(sums / count.clamp_min(1)[:, None])
    there = count > 0
    two = torch.ones_like(distance, dtype=torch.bool).triu(1) & there & there[:, None]
    return distance.masked_fill(~two, float("inf")).flatten().min(0).values


def squared_distances(x: Tensor) -> Tensor:
    """Return the squared distances between the rows of x [n, d], [n, n], without loss of digits between near ones."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()


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
        cost="1.0 × the step of plain training; distances between all examples, B²",
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
            intra = ranges(features, batch.y, batch.classes, self.k).sum()
            inter = (self.margin - nearest_means(features, batch.y, batch.classes)).clamp_min(0)
        logs = {"range": intra.detach(), "nearness": inter.detach()}
        return Objective(total + self.lam * (intra + self.beta * inter), losses.detach(), logs)
