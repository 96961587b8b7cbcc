"""OLTR: features joined with a memory of the classes, so that rare ones borrow from frequent ones; a cosine classifier.

Source: Liu, Miao, Zhan, Wang, Gong, Yu, "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019, equations 2
to 5: after plain training, a feature v becomes v_meta = γ (v + e ⊗ o M), with M a centroid of each class, o = softmax
of a hallucinator, e = tanh of a concept selector, and γ = 10 / the distance to the nearest centroid; logits are 16 ·
cos after a squashing of v_meta; centroids are learned to be near features of their class and far from others; batches
are class-balanced; and feature maps pass a modulated attention, x + softmax(W x) ⊗ mask, mask a self-attention of x.

Compared with github.com/zhmiao/OpenLongTailRecognition-OLTR (commit f50e375): the same head, attention, losses and
gradients (those of centroids too, which are divided by 1 + how many of the batch are of the class), the same
beginnings: centroids are the class means of the plainly trained network's features, the hallucinator is its last
layer, the attention adds nothing at first. There, features learn at a tenth of the rate of the head; here all have the
training configuration's, times `lr_scale`. The attention is put behind the last feature maps that the network has; one
without, such as of tables, goes without. Open classes, which it rejects by a threshold on probabilities, are not
supported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.heads import features_of, find_head, put_head, run_with_features
from skedastic.core.samplers import ClassBalanced, Sampler
from skedastic.methods.bases.card import CLASSIFICATION, LAST_LAYER, MIXED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet, Stage
from skedastic.methods.bases.one_network import ClassConstants, OneNetwork, OneNetworkState, WithFeatures
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, Out, Step, evaluating, outputs
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM

REACH, SCALE, REPEL, TINY = 10.0, 16.0, 0.01, 1e-12


class MemoryHead(nn.Module):
    """The classifier: a feature joined with its memory of the classes, and cosines."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.selector = nn.Linear(features, features)
        self.centroids = nn.Parameter(torch.randn(classes, features))
        self.weight = nn.Parameter(torch.empty(classes, features).uniform_(-1, 1) / features**0.5)
        self.hallucinator = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map features [B, d] to logits [B, C]."""
        centroids = self.centroids.detach()
        recalled = self.hallucinator(x).softmax(1) @ centroids
        nearest = squared_distances(x, centroids).amin(1, keepdim=True).clamp_min(TINY).sqrt()
        meta = REACH / nearest * (x + self.selector(x).tanh() * recalled)
        length: Tensor = meta.norm(dim=1, keepdim=True)
        logits: Tensor = SCALE * F.linear(meta / (1 + length), F.normalize(self.weight))
        return logits


class ModulatedAttention(nn.Module):
    """Feature maps [B, K, H, W], and to them a self-attention, spread over the places by another."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.value, self.query, self.key = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.mask = nn.Conv2d(inner, channels, 1, bias=False)
        self.spatial = nn.Linear(channels * height * width, height * width)
        nn.init.zeros_(self.mask.weight)
        for layer in (self.value, self.query, self.key):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return x + softmax(W x) ⊗ mask, [B, K, H, W]."""
        value, query, key = (layer(x).flatten(2) for layer in (self.value, self.query, self.key))  # [B, K/2, HW]
        attended = (query.transpose(1, 2) @ key).softmax(-1) @ value.transpose(1, 2)  # [B, HW, K/2]
        mask: Tensor = self.mask(attended.transpose(1, 2).unflatten(2, x.shape[2:]))
        spatial: Tensor = self.spatial(x.flatten(1)).softmax(1).view(-1, 1, *x.shape[2:])
        return spatial * mask + x


def squared_distances(x: Tensor, centroids: Tensor) -> Tensor:
    """Return ‖x_i − c_j‖² [B, C] of features x [B, d] and centroids [C, d]."""
    return x.square().sum(1, keepdim=True) + centroids.square().sum(1) - 2 * x @ centroids.T


def centroid_loss(x: Tensor, y: Tensor, centroids: Tensor, margin: float) -> Tensor:
    """Return mean ½‖x_i − c_{y_i}‖² + 0.01 max(margin − Σ_{j ≠ y_i} ‖x_i − c_j‖²/(B C), 0), a scalar.

    The first term's gradient by a centroid is Σ (c − x_i) over its examples, divided by B and by 1 + how many they are.
    """
    count = rows_of_classes(y, len(centroids)).to(x) + 1
    own = (x - centroids[y].detach()).square().sum(1)
    follow = ((x.detach() - centroids[y]).square().sum(1) / count[y]).mean() / 2
    attract = own.mean() / 2 + follow - follow.detach()
    others = squared_distances(x, centroids) * (1 - F.one_hot(y, len(centroids)).to(x))
    return attract + REPEL * (margin - others.mean()).clamp_min(0)


def class_means(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """Return the mean of each class's features, [C, d], of x [n, d] labelled y [n]; 0 of a class without examples."""
    total = x.new_zeros(classes, x.shape[1]).index_add_(0, y, x)
    return total / rows_of_classes(y, classes).clamp_min(1).to(x)[:, None]


def rows_of_classes(y: Tensor, classes: int) -> Tensor:
    """Return how many of y [n] each class is, [C] int64. `bincount` would wait for a GPU, to look for its largest."""
    return y.new_zeros(classes).index_add_(0, y, torch.ones_like(y))


def last_maps(net: nn.Module, example: Tensor) -> tuple[str, torch.Size] | None:
    """Return the name of the last module that gives feature maps of more than one place, and their shape, or None.

    Frozen modules are passed over.
    """
    seen: list[tuple[str, torch.Size]] = []

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1:
                seen.append((name, output.shape))

        return hook

    trained = {n: m for n, m in net.named_modules() if n and all(p.requires_grad for p in m.parameters())}
    hooks = [module.register_forward_hook(note(name)) for name, module in trained.items()]
    try:
        with evaluating(net):
            net(example)
    finally:
        for hook in hooks:
            hook.remove()
    return seen[-1] if seen and sum(name == seen[-1][0] for name, _ in seen) == 1 else None


class _PlainState(OneNetworkState):
    """A network, and the means of its classes' features."""

    means: Tensor

    def __init__(self, net: nn.Module, constants: ClassConstants, classes: int) -> None:
        super().__init__(net, constants)
        self.register_buffer("means", torch.zeros(classes, features_of(find_head(net, classes)[2])))


@dataclass(frozen=True, kw_only=True)
class _Plain(OneNetwork[_PlainState]):
    """Plain training, at the end of which the class means of the features are taken."""

    card: ClassVar[Card] = replace(
        ERM.card,
        name="oltr",
        capabilities=Capabilities(incompatible_with={MIXED: "it takes the means of classes"}),
    )

    def init(self, task: Task, make_net: MakeNet) -> _PlainState:
        """Return a fresh network."""
        return _PlainState(self.network(task, make_net), self.class_constants(task), len(task.classes))

    def end_epoch(self, state: _PlainState, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """After the last epoch, take the means."""
        if clock.epoch + 1 == clock.epochs:
            classes = len(task.classes)
            with evaluating(state):
                seen = [(run_with_features(state.net, classes, b.x)[1].float(), b.y) for b in engine.examples()]
            x, y = (torch.cat(part) for part in zip(*seen, strict=True))
            state.means.copy_(class_means(x, y, classes))
        return None


@dataclass(frozen=True, kw_only=True)
class OLTR(OneNetwork[OneNetworkState]):
    """Train plainly, and then with a memory of the classes."""

    sampler: Sampler = setting(factory=ClassBalanced, meaning="of the second stage; class-balanced by default")
    begins: float = setting(1 / 3, "the fraction of the epochs after which the memory is there", "(0, 1)")
    lr_scale: float = setting(0.1, "of the learning rate from then on", "(0, inf)")
    lam: float = setting(0.01, "λ, the weight of the centroid loss; 0.01 is the authors'", "[0, inf)")
    margin: float = setting(
        10.0, "of its second term, in squared units of the features; 10 is the authors'", "[0, inf)"
    )
    attention: bool = setting(True, "whether the last feature maps pass the modulated attention, where there are some")

    card: ClassVar[Card] = Card(
        name="oltr",
        title="A memory of classes joined to features, modulated attention, cosine classifier",
        paper="Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019",
        equations="v_meta = (10/γ)(v + tanh(T v) ⊗ softmax(H v) M) (eq. 2 to 4), + λ centroid loss (eq. 5)",
        family="long tail",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            takes=(LAST_LAYER,),
            incompatible_with={MIXED: "it draws features to the centroid of their class, and a mixture is of two"},
        ),
        never_erm="another classifier takes the place of the trained one",
        cost="1.05 × the step of plain training",
    )

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return plain training, and the stage with the memory."""
        plain = _Plain(loss=self.loss, class_weights=self.class_weights, head=self.head)
        memory = Stage(
            name="memory",
            method=self,
            epochs=1 - self.begins,
            reinit=False,
            enter=self.entered,
            lr_scale=self.lr_scale,
        )
        return (Stage(name="plain", method=plain, epochs=self.begins), memory)

    def init(self, task: Task, make_net: MakeNet) -> OneNetworkState:
        """Return a fresh network with a memory that knows nothing yet."""
        return self.with_memory(self.network(task, make_net), task, None)

    def entered(self, state: _PlainState, task: Task) -> OneNetworkState:
        """Return the trained network with a memory of its class means."""
        return self.with_memory(state.net, task, state.means)

    def with_memory(self, net: nn.Module, task: Task, means: Tensor | None) -> OneNetworkState:
        """Put the memory in the place of the network's head, and the attention behind its last feature maps."""
        classes = len(task.classes)
        parent, name, old = find_head(net, classes)
        head = MemoryHead(features_of(old), classes)
        with torch.no_grad():
            if isinstance(old, nn.Linear):
                head.hallucinator.weight.copy_(old.weight)
                if old.bias is not None:
                    head.hallucinator.bias.copy_(old.bias)
            if means is not None:
                head.centroids.copy_(means)
        put_head(parent, name, head)
        if self.attention and len(task.input_shape) == 3:
            self._attend(net, task)
        return OneNetworkState(net, self.class_constants(task))

    def _attend(self, net: nn.Module, task: Task) -> None:
        place = next(net.parameters())
        maps = last_maps(net, torch.zeros(2, *task.input_shape).to(place))
        if maps is not None:
            name, shape = maps
            parent, _, own = name.rpartition(".")
            module = net.get_submodule(name)
            attention = ModulatedAttention(*shape[1:]).to(place)
            net.get_submodule(parent).add_module(own, nn.Sequential(module, attention))

    def forward(self, state: OneNetworkState, batch: Batch) -> Out:
        """Run the network, and keep its features."""
        raw, features = run_with_features(state.net, batch.classes, batch.x)
        logits = outputs(raw)
        return Out(logits, WithFeatures(self.losses(state, logits, batch.y), features))

    def objective(self, step: Step[OneNetworkState]) -> Objective:
        """Return the mean loss and the centroid loss."""
        batch = step.batch
        losses, features = step.out.extra
        weight = self.class_weight(step.state, batch.y, step.clock)
        total = self.with_weight(losses, weight, step.out.logits, batch.y).mean()
        head = next(module for module in step.state.net.modules() if isinstance(module, MemoryHead))
        with torch.autocast(features.device.type, enabled=False):
            term = centroid_loss(features.to(head.centroids), batch.y, head.centroids, self.margin)
        return Objective(total + self.lam * term, losses.detach(), {"centroid_loss": term.detach()})
