"""Range loss: the features of a class drawn together where they are farthest apart, and the two nearest classes driven apart.

Source: Zhang, Fang, Wen, Li, Qiao, "Range Loss for Deep Face Recognition with Long-Tailed Training Data", ICCV 2017, section 3: the
loss is ℓ + λ (α L_intra + β L_inter), of the features before the last layer. L_intra is the sum over the classes of a batch of the
harmonic mean k / Σ_j 1/D_j of the k largest squared distances D_j between two of the class's examples. L_inter is max(m − D, 0), D
the squared distance of the two class means of the batch that are nearest to each other. Each class counts alike, however many
examples it has.

The authors published no code. Compared with others': github.com/Charrin/RangeLoss-Caffe (commit 2cf1fd5) has the same losses and
gradients; it fails where a class has fewer than k pairs. github.com/Chen94yue/RangeLoss-Pytorch-ReID (commit 3a54206,
range_loss_cpu.py) divides k by the sum of distances that are neither squared nor inverted, which is not the paper's. Ours: a class
with fewer than k pairs has as many terms as pairs, one with a single example none, and distances of 0, of an example that comes
twice, are taken for 1e-12.

That repository's m is 20,000, and its weights are 1e-4 and 1e-3, for the long features of a face network. Here the defaults are for
some tens of features of which each is about 1, as BatchNorm leaves them: α and β in the same proportion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from skedastic.core.features import inputs_of
from skedastic.core.heads import find_head
from skedastic.errors import UserError
from skedastic.methods.base import LAST_LAYER, MIXED, Batch, Card, Clock, Objective, Out, State, Task, outputs
from skedastic.methods.one_network import AXES, OneNetwork, OneNetworkState

TINY = 1e-12  # squared distance


def intra_range(features: Tensor, y: Tensor, k: int) -> Tensor:
    """Return Σ_c k / Σ_{j≤k} 1/D_j, the D_j the k largest squared distances within class c.

    features: [B, d]. y: [B] labels. 0 where no class has two examples.
    """
    total = features.new_zeros(())
    for label in torch.unique(y):
        own = features[y == label]
        if len(own) > 1:
            pairs = torch.triu_indices(len(own), len(own), 1, device=own.device)  # in the order of pdist
            i, j = pairs[:, torch.pdist(own.detach()).topk(min(k, pairs.shape[1])).indices]
            squared = (own[i] - own[j]).square().sum(1).clamp_min(TINY)
            total = total + len(squared) / (1 / squared).sum()
    return total


def centre_distance(features: Tensor, y: Tensor) -> Tensor | None:
    """Return the squared distance of the two class means that are nearest to each other; None where there is one class.

    features: [B, d]. y: [B] labels.
    """
    centres = torch.stack([features[y == label].mean(0) for label in torch.unique(y)])
    if len(centres) < 2:
        return None
    pairs = torch.triu_indices(len(centres), len(centres), 1, device=centres.device)
    i, j = pairs[:, torch.pdist(centres.detach()).argmin()]
    return (centres[i] - centres[j]).square().sum()


class RangeState(OneNetworkState):
    """The network, and how many numbers its head gives."""

    def __init__(self, net: nn.Module, known: tuple[Tensor | None, Tensor | None], outputs: int) -> None:
        super().__init__(net, *known)
        self.outputs = outputs


class Featured(NamedTuple):
    """What the loss takes."""

    losses: Tensor  # [B]
    features: Tensor  # [B, d], in single precision or better


@dataclass(frozen=True, kw_only=True)
class RangeLoss(OneNetwork):
    """Minimize the loss plus λ (α L_intra + β L_inter)."""

    lam: float = 1.0
    alpha: float = 0.002
    beta: float = 0.02
    margin: float = 100.0
    k: int = 2

    card: ClassVar[Card] = Card(
        name="range-loss",
        title="Range loss: the widest pairs of a class drawn together, the nearest classes apart",
        paper="Zhang et al., Range Loss for Deep Face Recognition with Long-Tailed Training Data, ICCV 2017",
        equations="ℓ + λ (α Σ_c k / Σ_{j≤k} 1/D_j + β max(m − D_center, 0)) (section 3)",
        family="long tail",
        requires=(LAST_LAYER,),
        refuses={MIXED: "it goes by pairs of one class, and a mixture is of two"},
        limits=({"lam": 0.0},),
        parameters={
            **AXES,
            "lam": "λ ≥ 0, of the range loss; 0 is plain training",
            "alpha": "α ≥ 0, of the ranges within classes, whose unit is that of squared features",
            "beta": "β ≥ 0, of the distance between class means, likewise",
            "margin": "m ≥ 0, the squared distance from which two class means are far enough apart, likewise",
            "k": "how many of the largest distances of a class count, ≥ 1; 2 in the paper. Batches should have several of each "
            "class: take large ones, or sampler=class-balanced",
        },
        cost="1.0 × the step of plain training",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lam", "alpha", "beta", "margin"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise UserError(f"RangeLoss({name}={value}): {name} must be finite and at least 0; 0 leaves it out")
        if self.k < 1:
            raise UserError(
                f"RangeLoss(k={self.k}): k must be at least 1, how many distances of a class count; 2 is usual"
            )

    def init(self, task: Task, make_net: Callable[[], nn.Module]) -> RangeState:
        """Return a fresh network. Raises UserError where it has no last layer."""
        net, wanted = self.network(task, make_net), self.outputs_for(task)
        find_head(net, wanted)
        return RangeState(net, self.known(task), wanted)

    def forward(self, state: State, batch: Batch) -> Out:
        """Run the network; `extra` is a `Featured`."""
        assert isinstance(state, RangeState)
        with inputs_of(find_head(state.net, state.outputs)[2]) as read:
            found = outputs(state.net(batch.x))
        features = read[-1].flatten(1)
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        return Out(found, Featured(self.losses(state, found, batch.y), wide))

    def objective(self, state: State, batch: Batch, out: Out, clock: Clock) -> Objective:
        """Return the mean loss plus the range loss."""
        losses = self.with_weight(out.extra.losses, self.class_weight(state, batch.y, clock), out.logits, batch.y)
        total, seen = losses.mean(), out.extra.losses.detach()
        if self.lam == 0:
            return Objective(total, seen)
        ranges, distance = (
            intra_range(out.extra.features, batch.y, self.k),
            centre_distance(out.extra.features, batch.y),
        )
        logs = {"ranges": ranges.detach()}
        total = total + self.lam * self.alpha * ranges
        if distance is not None:
            total = total + self.lam * self.beta * (self.margin - distance).clamp_min(0)
            logs["centre_distance"] = distance.detach()
        return Objective(total, seen, logs)
