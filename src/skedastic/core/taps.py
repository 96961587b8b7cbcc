"""Taps: the places in a network where the Jacobian of the loss is measured, and where it is shifted.

HAR (Cao et al. 2021, section 2.3 and appendix B) measures J_j = ∂ℓ/∂h_j at the outputs h_j of all normalization
layers. Nothing in the user's network changes: a tap is a forward hook that is there for one forward only.

- `Taps.record` runs a forward and remembers, for every tapped output, its place in the autograd graph. It holds the
  *edge*, not the tensor, so that an in-place ReLU on the output afterwards can't spoil J.
- `Trace.replay` runs a second forward in which δ_j is added to h_j. It sees the same dropout masks as the first, and
  leaves every buffer (BatchNorm's running statistics) as the first forward left it: state moves once a step.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from skedastic.errors import UserError

Affine = Literal["after", "before"]

NORMALIZATION = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
LINEAR = (nn.Linear, nn.modules.conv._ConvNd)


def find_taps(net: nn.Module, names: Sequence[str] | None = None) -> dict[str, nn.Module]:
    """Return the modules of `net` to tap, by name, in the order of `net.named_modules()`.

    names: module names or shell patterns ("layer3.*"); None takes all normalization layers, and in a network that has
    none every hidden linear or convolution layer (all but the last).
    Raises UserError (a ValueError) when nothing can be tapped, or a name matches no module.
    """
    modules = {name: module for name, module in net.named_modules() if name}
    if names is not None:
        for pattern in names:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in modules):
                raise UserError(
                    f"taps: {pattern!r} matches no module of {type(net).__name__}; it has {', '.join(modules)}"
                )
        return {n: m for n, m in modules.items() if any(fnmatch.fnmatchcase(n, pattern) for pattern in names)}
    found: dict[str, nn.Module] = {n: m for n, m in modules.items() if isinstance(m, NORMALIZATION)}
    if not found:
        found = dict([(n, m) for n, m in modules.items() if isinstance(m, LINEAR)][:-1])
    if not found:
        raise UserError(
            f"{type(net).__name__} has neither a normalization layer nor a hidden layer to measure the Jacobian at; "
            "name the modules with taps=..."
        )
    return found


def affine_scale(module: nn.Module, output: Tensor) -> Tensor | None:
    """Return the weight γ of a normalization layer, shaped to multiply its `output`; None if it has none.

    h = γ·ĥ + β, so ∂ℓ/∂ĥ = γ·∂ℓ/∂h, and a shift of ĥ by δ is one of h by γ·δ: measuring before the affine part needs
    no change of the module.
    """
    weight: Tensor | None = getattr(module, "weight", None)
    if not isinstance(module, NORMALIZATION) or weight is None:
        return None
    if isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
        return weight  # over the trailing dimensions
    return weight.view(1, -1, *[1] * (output.dim() - 2))  # over the channels


@dataclass
class Trace:
    """One recorded forward: where J is measured, and what it takes to run the same forward again, shifted."""

    net: nn.Module
    modules: dict[str, nn.Module]
    affine: Affine
    random_state: _RandomState
    edges: list[GradientEdge] = field(default_factory=list)
    scales: list[Tensor | None] = field(default_factory=list)

    def jacobians(self, loss: Tensor, *, create_graph: bool = False, retain_graph: bool = True) -> list[Tensor]:
        """Return J_j = ∂loss/∂h_j for every tapped output, each of the shape [B, ...] of that output.

        loss: the *sum* over the batch of the per-example losses (a scalar), so that J_ij does not depend on B.
        create_graph: keep J differentiable (double backward). retain_graph: keep the graph of `loss` alive.
        """
        gradients = torch.autograd.grad(loss, self.edges, create_graph=create_graph, retain_graph=retain_graph)
        return [g if s is None else g * s for g, s in zip(gradients, self.scales, strict=True)]

    @contextmanager
    def replay(self, shifts: Iterable[Tensor]) -> Iterator[None]:
        """Within this context, one forward of the network adds `shifts` [B, ...] to the tapped outputs, using them up."""
        waiting = iter(shifts)

        def shift(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            delta = next(waiting)
            scale = affine_scale(module, output) if self.affine == "before" else None
            # δ is added to in place: it has no other use, and the sum needs no memory of its own
            return delta.add_(output) if scale is None else output + delta * scale

        with _hooked(self.modules, shift), self.random_state.again(), _buffers_kept(self.net):
            yield


@contextmanager
def record(net: nn.Module, modules: dict[str, nn.Module], affine: Affine = "after") -> Iterator[Trace]:
    """Within this context, one forward of `net` is recorded in the `Trace` that it yields."""
    trace = Trace(net, modules, affine, _RandomState.now(net))

    def remember(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if not isinstance(output, Tensor):
            raise TypeError(
                f"a tap needs a module whose output is a tensor; {type(module).__name__} gives {type(output)}"
            )
        if not output.requires_grad:
            raise RuntimeError(
                "the tapped activations need a gradient: run the forward with gradients enabled, "
                "and with parameters before the first tap that require one"
            )
        trace.edges.append(get_gradient_edge(output))
        trace.scales.append(affine_scale(module, output) if affine == "before" else None)

    with _hooked(modules, remember):
        yield trace


@contextmanager
def _hooked(modules: dict[str, nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module in modules.values()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _buffers_kept(net: nn.Module) -> Iterator[None]:
    """Lend the network copies of its buffers. Writing back into the originals would break graphs that saved them."""
    kept = [(module, dict(module._buffers)) for module in net.modules() if module._buffers]
    for module, buffers in kept:
        module._buffers.update({name: None if b is None else b.clone() for name, b in buffers.items()})
    try:
        yield
    finally:
        for module, buffers in kept:
            module._buffers.update(buffers)


@dataclass(frozen=True)
class _RandomState:
    """The state of the random generators that dropout draws from, on the CPU and on the network's device."""

    cpu: Tensor
    device: torch.device
    on_device: Tensor | None

    @classmethod
    def now(cls, net: nn.Module) -> _RandomState:
        device = next((p.device for p in net.parameters()), torch.device("cpu"))
        on_device = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)
        return cls(torch.get_rng_state(), device, on_device)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw what was drawn since this state; afterwards go on from where the generators stood."""
        after = _RandomState(torch.get_rng_state(), self.device, None)
        if self.on_device is not None:
            after = _RandomState(
                after.cpu, self.device, torch.get_device_module(self.device).get_rng_state(self.device)
            )
        self._set()
        try:
            yield
        finally:
            after._set()

    def _set(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.on_device is not None:
            torch.get_device_module(self.device).set_rng_state(self.on_device, self.device)
