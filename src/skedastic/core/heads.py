"""The last layer of a network, and the block before it: to find, replace or train it alone.

A head is the last `nn.Linear` of a network, in the order its modules were made, that gives as many numbers as there are
classes; or one of the heads below. `Cosine` is LDAM's (Cao et al. 2019, `NormedLinear` of their code); `Scaled` is
learnable weight scaling (LWS) and `normalize_head` τ-normalization (Kang et al., ICLR 2020, section 4.2); `NearestMean`
is their nearest class mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.configurable import Configurable, setting
from skedastic.core.spread import current
from skedastic.errors import UserError, unknown

SCALE = 16.0  # of cosines, where the loss does not scale them itself (Kang et al.'s and OLTR's code)
PARTS = ("all", "head", "last-block")


class Cosine(nn.Module):
    """Logits scale · cos(x, w_c) of features x [..., d].

    Parameters
    ----------
    features : int
        d, the numbers that it reads.
    classes : int
        C, the numbers that it gives.
    scale : float
        Factor of the cosines, above 0.
    """

    def __init__(self, features: int, classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(F.normalize(torch.empty(classes, features).uniform_(-1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Map features [..., d] to logits [..., C] in ±scale, in single precision.

        In half precision a row of zeros has no usable norm.
        """
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight.dtype)
            return self.scale * F.linear(F.normalize(x, dim=-1), F.normalize(self.weight))


class Scaled(nn.Module):
    """The logits of another head, each class's times a factor that is learned.

    Parameters
    ----------
    head : nn.Module
        The other head.
    classes : int
        C, the numbers that it gives.
    """

    def __init__(self, head: nn.Module, classes: int) -> None:
        super().__init__()
        self.head = head
        self.factor = nn.Parameter(torch.ones(classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map features [..., d] to logits [..., C]."""
        logits: Tensor = self.head(x) * self.factor
        return logits


class NearestMean(nn.Module):
    """Logits −scale · ‖x − μ_c‖² of features x about a centre (0 unless set), brought to length 1, [..., d].

    Parameters
    ----------
    features : int
        d, the numbers that it reads.
    classes : int
        C, the numbers that it gives.
    scale : float
        Factor of the squared distances, above 0.
    """

    mean: Tensor
    centre: Tensor

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("mean", torch.zeros(classes, features))
        self.register_buffer("centre", torch.zeros(features))

    def normalized(self, x: Tensor) -> Tensor:
        """Return features [..., d] about the centre, of length 1."""
        return F.normalize(x - self.centre, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Map features [..., d] to logits [..., C]; a class without examples, whose mean is NaN, gets −inf."""
        with torch.autocast(x.device.type, enabled=False):
            x = self.normalized(x.to(self.mean.dtype))
            distance = x.square().sum(-1, keepdim=True) - 2 * F.linear(x, self.mean) + self.mean.square().sum(-1)
            return (-self.scale * distance).masked_fill(self.mean.isnan().any(-1), float("-inf"))


HEADS = (nn.Linear, Cosine, Scaled, NearestMean)


def find_head(net: nn.Module, *classes: int) -> tuple[nn.Module, str, nn.Module]:
    """Return the module that holds the head, the head's name in it, and the head.

    Parameters
    ----------
    net : nn.Module
        Any network.
    *classes : int
        How many numbers the head gives; several where it may be either.

    Raises
    ------
    UserError
        No layer gives as many.
    """
    inside = {id(part) for module in net.modules() if isinstance(module, Scaled) for part in module.head.modules()}
    head = ""
    for name, module in net.named_modules():
        if name and isinstance(module, HEADS) and id(module) not in inside and _size(module) in classes:
            head = name
    if not head:
        rule = (
            f"the network has no last layer to work on: no torch.nn.Linear inside of it gives {classes[0]} "
            f"output{'s' * (classes[0] != 1)}; let its last layer be one"
        )
        raise UserError(rule, setting="model")
    parent, _, own = head.rpartition(".")
    return net.get_submodule(parent), own, net.get_submodule(head)


def replace_head(net: nn.Module, classes: int, make: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Put a new head in the place of a network's, on its device and in its precision; return it.

    Parameters
    ----------
    net : nn.Module
        Any network.
    classes : int
        How many numbers its head gives.
    make : callable
        From the head to the new one.

    Raises
    ------
    UserError
        The network has no such head.
    """
    parent, name, head = find_head(net, classes)
    new = make(head)
    put_head(parent, name, new)
    return new


def put_head(parent: nn.Module, name: str, new: nn.Module) -> None:
    """Put a new head in the place of another, on its device and in its precision.

    Parameters
    ----------
    parent : nn.Module
        The module that holds the head.
    name : str
        The head's name in it.
    new : nn.Module
        The new head.
    """
    place = next(iter(parent.get_submodule(name).state_dict().values()), None)
    parent.add_module(name, new if place is None else new.to(place.device, place.dtype))


def features_of(head: nn.Module) -> int:
    """Return the number d of features that a head reads.

    Parameters
    ----------
    head : nn.Module
        A linear layer, or a head of this file.
    """
    if isinstance(head, Scaled):
        return features_of(head.head)
    if isinstance(head, nn.Linear):
        return head.in_features
    assert isinstance(head, (Cosine, NearestMean))
    return (head.weight if isinstance(head, Cosine) else head.mean).shape[1]


def fresh(head: nn.Module) -> nn.Module:
    """Return a newly initialized head of the same kind and size, as torch initializes them.

    Parameters
    ----------
    head : nn.Module
        A linear or a cosine head.

    Raises
    ------
    UserError
        The head is of a kind that is not learned from scratch.
    """
    if isinstance(head, nn.Linear):
        return nn.Linear(head.in_features, head.out_features, bias=head.bias is not None)
    if isinstance(head, Cosine):
        return Cosine(features_of(head), len(head.weight), head.scale)
    kind = type(head).__name__
    rule = "it is not learned from scratch; take a linear or cosine one"
    raise UserError(rule, setting="head", value=kind, given=f"the head is a {kind}")


@torch.no_grad()
def normalize_head(head: nn.Module, tau: float, *, bias: bool) -> None:
    """Divide each class's weights by their norm to the power tau (Kang et al. 2020, equation 3), in place.

    Parameters
    ----------
    head : nn.Module
        A linear head.
    tau : float
        The power: 0 changes nothing, 1 makes all norms 1.
    bias : bool
        Whether the bias is kept; the paper's classifier has none, and neither has the authors' code.

    Raises
    ------
    UserError
        The head has no weights to divide.
    """
    if not isinstance(head, nn.Linear):
        kind = type(head).__name__
        rule = "take head=linear, whose weights have norms"
        raise UserError(rule, setting="head", value=kind, given=f"tau-norm of a head that is a {kind}")
    head.weight /= head.weight.norm(dim=1, keepdim=True).clamp_min(torch.finfo(head.weight.dtype).tiny) ** tau
    if head.bias is not None and not bias:
        head.bias.zero_()


def part(net: nn.Module, classes: int, which: str) -> list[nn.Parameter]:
    """Return the parameters of a part of a network.

    Parameters
    ----------
    net : nn.Module
        Any network.
    classes : int
        How many numbers its head gives.
    which : str
        "all", "head", "last-block" (the head and the last block of layers before it), or patterns of module names,
        separated by commas, such as "layer3.*,linear".

    Raises
    ------
    UserError
        Nothing has such a name, or there is nothing in it to train.
    """
    if which == "all":
        return list(net.parameters())
    if which in PARTS:
        head = find_head(net, classes)[2]
        modules = [head] if which == "head" else [*_last_block(net, head), head]
    else:
        patterns = [pattern.strip() for pattern in which.split(",")]
        named = {name: module for name, module in net.named_modules() if name}
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in named):
                raise unknown("module to train", pattern, [*PARTS, *named])
        modules = [module for name, module in named.items() if any(fnmatchcase(name, p) for p in patterns)]
    chosen = {id(p): p for module in modules for p in module.parameters()}
    if not chosen:
        rule = f"there are no parameters in it to train; name another part, such as {', '.join(PARTS)}"
        raise UserError(rule, setting="train", value=which)
    return list(chosen.values())


def _last_block(net: nn.Module, head: nn.Module) -> list[nn.Module]:
    """Return the modules of the last block before the head, in no particular order.

    Lists of layers are entered. Of the others, the block is the last module with weights (a matrix or a kernel), and
    the layers after it that only scale and shift.
    """
    block: list[nn.Module] = []
    for module in reversed(list(_layers(net, head))):
        block.append(module)
        if any(p.dim() > 1 for p in module.parameters()):
            return block
    rule = "the network has no block before its head; train the head alone (train=head), or all"
    raise UserError(rule, setting="train", value="last-block")


def _layers(net: nn.Module, head: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules with parameters but the head; lists of modules, and modules around the head, are entered."""
    for child in net.children():
        if child is head or not any(True for _ in child.parameters()):
            continue
        if isinstance(child, (nn.Sequential, nn.ModuleList)) or any(m is head for m in child.modules()):
            yield from _layers(child, head)
        else:
            yield child


def _size(head: nn.Module) -> int:
    if isinstance(head, nn.Linear):
        return head.out_features
    assert isinstance(head, (Scaled, Cosine, NearestMean))
    return len(head.factor if isinstance(head, Scaled) else head.weight if isinstance(head, Cosine) else head.mean)


@dataclass(frozen=True, kw_only=True)
class Head(Configurable, ABC):
    """Which last layer a network gets."""

    @abstractmethod
    def replacement(self, head: nn.Module, outputs: int, *, scaled_by_loss: bool) -> nn.Module:
        """Return the head to use in place of another; the other itself where it is right as it is.

        Parameters
        ----------
        head : nn.Module
            The network's own head.
        outputs : int
            How many numbers the new one gives.
        scaled_by_loss : bool
            Whether the loss reads cosines, and scales them itself.
        """


@dataclass(frozen=True, kw_only=True)
class LinearHead(Head):
    """w_c · x + b_c."""

    def replacement(self, head: nn.Module, outputs: int, *, scaled_by_loss: bool) -> nn.Module:
        """Return `head` where it is linear with as many outputs, else a new one."""
        if isinstance(head, nn.Linear) and head.out_features == outputs:
            return head
        return nn.Linear(features_of(head), outputs)


@dataclass(frozen=True, kw_only=True)
class CosineHead(Head):
    """scale · cos(w_c, x)."""

    section: ClassVar[str | None] = "cosine"

    scale: float | Literal["auto"] = setting(
        "auto",
        "by how much cosines are multiplied; auto is 1 where the loss does so itself (LDAM), else 16",
        "(0, inf)",
    )

    def replacement(self, head: nn.Module, outputs: int, *, scaled_by_loss: bool) -> nn.Module:
        """Return a cosine head; one that has learned keeps its weights."""
        scale = (1.0 if scaled_by_loss else SCALE) if isinstance(self.scale, str) else self.scale
        if not isinstance(head, Cosine) or len(head.weight) != outputs:
            return Cosine(features_of(head), outputs, scale)
        if self.scale != "auto" or scaled_by_loss or head.scale == 1.0:  # else one that was chosen before stays
            head.scale = scale
        return head


@dataclass(frozen=True, kw_only=True)
class AutoHead(Head):
    """The head that fits the loss: cosine for LDAM, else the network's own kind."""

    def replacement(self, head: nn.Module, outputs: int, *, scaled_by_loss: bool) -> nn.Module:
        """Return a cosine head where the loss scales cosines, or the network has one; else a linear one."""
        kind: Head = CosineHead() if scaled_by_loss or isinstance(head, Cosine) else LinearHead()
        return kind.replacement(head, outputs, scaled_by_loss=scaled_by_loss)


HEAD_NAMES: Mapping[str, type[Head]] = {"auto": AutoHead, "linear": LinearHead, "cosine": CosineHead}


def run_with_features(net: nn.Module, classes: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a network's output for x, and the features [B, d] that its head read.

    Parameters
    ----------
    net : nn.Module
        Any network.
    classes : int
        How many numbers its head gives.
    x : Tensor
        The input, [B, ...].

    Raises
    ------
    UserError
        There is no such head, or it does not read one row of features for each example.
    """
    head, kept = find_head(net, classes)[2], list[Tensor]()
    hook = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        output: Tensor = net(x)
    finally:
        hook.remove()
    if len(kept) != 1 or kept[0].dim() != 2:
        rule = (
            "the network's last layer must be run once, on one row of features [B, d] for each example, for its "
            "features to be used"
        )
        raise UserError(rule, setting="model")
    spread = current()
    return output, kept[0] if spread is None else spread.gather(kept[0], len(x))
