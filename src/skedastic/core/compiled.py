"""The recorded forward of a network that `torch.compile` made: the same as `core.trace`, by other means.

The autograd graph inside a compiled network can't be seen. So δ_j, zero at first, is an input of the compiled forward,
and J_j = ∂ℓ/∂δ_j. The first forward of `implicit` needs nothing else: the parameters are kept out of its graph, so that
its compiled backward goes to the activations only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from skedastic.core.replay import RandomState
from skedastic.core.taps import Tap, tapped, with_tensors
from skedastic.core.trace import TappedEdge, Trace, measured, run

Shapes = list[tuple[Tap, torch.dtype, bool]]  # the last: whether a trained parameter is before it
# of each network the tapped tensors that it has for an input of these shapes
_KNOWN: WeakKeyDictionary[nn.Module, dict[Any, Shapes]] = WeakKeyDictionary()
_WAITING: list[list[Tensor]] = [[]]  # the δ of the forward under way, in the order in which they are added


@dataclass
class CompiledTrace(Trace):
    """A recorded forward of a compiled network.

    Parameters
    ----------
    deltas : list of Tensor
        δ of each tapped tensor, of its shape, zeros.
    trained : list of bool
        Whether a trained parameter is before it, so that it is measured.
    """

    deltas: list[Tensor] = field(default_factory=list)
    trained: list[bool] = field(default_factory=list)

    def jacobians(self, loss: Tensor, *, create_graph: bool = False, retain_graph: bool = False) -> list[Tensor | None]:
        """Return J_j as `Trace.jacobians` does, once; neither of its graphs can be kept."""
        wanted = [d for d, trained in zip(self.deltas, self.trained, strict=True) if trained]
        gradients = iter(torch.autograd.grad(loss, wanted, allow_unused=True))
        return measured([next(gradients) if trained else None for trained in self.trained])

    def replay(self, shifts: Iterable[Tensor | None], rows: Tensor | None = None) -> Any:
        """Return the outputs of the same forward, of everyone, with `shifts` added to the tapped tensors."""
        pairs = zip(shifts, self.deltas, strict=True)
        with self._lent():
            return _run_shifted(self.net, self.x, self.modules, [d.detach() if s is None else s for s, d in pairs])

    def first_not_finite(self) -> str | None:
        """Return the first tap whose output is not finite in the same forward once more."""
        with torch.compiler.set_stance("force_eager"):
            return super().first_not_finite()


def record_compiled(net: nn.Module, x: Any, modules: Mapping[str, nn.Module], strength: Tensor) -> tuple[Any, Trace]:
    """Run one forward of a compiled network, and return its outputs and its trace, as `trace.record` does.

    The outputs lead to the activations only; to train, replay.

    Parameters
    ----------
    net : nn.Module
        The network, as it was before it was compiled.
    x : Tensor, tuple or mapping
        Its input, as in `trace.run`.
    modules : mapping of nn.Module
        The modules to tap, by name.
    strength : Tensor
        s_i, [B] ≥ 0.
    """
    trace = CompiledTrace(net, x, modules, "after", RandomState.now(net), strength)
    taps = _shapes(trace)
    trace.places = [TappedEdge(tap, None, None) for tap, _, _ in taps]
    trace.half = any(dtype == torch.float16 for _, dtype, _ in taps)
    trace.trained = [trained for _, _, trained in taps]
    device = next(t.device for t in pytree.tree_leaves(x) if isinstance(t, Tensor))
    trace.deltas = [torch.zeros(tap.shape, dtype=dtype, device=device, requires_grad=True) for tap, dtype, _ in taps]
    with _left_out(net):
        return _run_shifted(net, x, modules, trace.deltas), trace


def _shapes(trace: CompiledTrace) -> Shapes:
    """Return the taps, from a forward that is not compiled; once for each network and shape of its input."""
    known = _KNOWN.setdefault(trace.net, {})
    shapes = (t.shape for t in pytree.tree_leaves(trace.x) if isinstance(t, Tensor))
    trained = tuple(p.requires_grad for p in trace.net.parameters())
    key = (*trace.modules, *shapes, trained, _precision())
    if key not in known:
        taps: Shapes = []

        def hook(name: str) -> Callable[..., None]:
            def note(module: nn.Module, inputs: Any, output: Any) -> None:
                taps.extend((tap, tensor.dtype, tensor.requires_grad) for tensor, tap in tapped(name, module, output))

            return note

        with ExitStack() as stack:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(trace._lent())
            for name, module in trace.modules.items():
                stack.callback(module.register_forward_hook(hook(name)).remove)
            run(trace.net, trace.x)
        known[key] = taps
    return known[key]


def _precision() -> Any:
    return next(((d, torch.get_autocast_dtype(d)) for d in ("cpu", "cuda") if torch.is_autocast_enabled(d)), None)


def _run_shifted(net: nn.Module, x: Any, modules: Mapping[str, nn.Module], deltas: list[Tensor]) -> Any:
    with ExitStack() as stack:
        for module in modules.values():
            stack.callback(module.register_forward_hook(_add).remove)
        return _compiled()(net, x, deltas)


def _run(net: nn.Module, x: Any, deltas: list[Tensor]) -> Any:
    _WAITING[0] = list(deltas)
    return run(net, x)


@cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(_run)


def _add(module: nn.Module, inputs: Any, output: Any) -> Any:
    """A forward hook, compiled with the network: add the next δ."""
    if isinstance(output, Tensor):
        return output + _WAITING[0].pop(0)
    return _add_to_each(module, output)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _add_to_each(module: nn.Module, output: Any) -> Any:
    tensors = tapped("", module, output)
    return with_tensors(output, {id(t): t + _WAITING[0].pop(0) for t, _ in tensors})


@contextmanager
def _left_out(net: nn.Module) -> Iterator[None]:
    """Keep the parameters out of the graph of a forward."""
    trained = [p for p in net.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)
