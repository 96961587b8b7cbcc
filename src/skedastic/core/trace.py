"""One forward, recorded where it is tapped, to take the Jacobian and to run the forward again, shifted.

Nothing in the user's network changes: a tap is a forward hook that is there for one forward only.

- `record` runs a forward and remembers, for every tapped tensor, its place in the autograd graph. It holds the *edge*,
  not the tensor, so that an in-place ReLU on the output afterwards can't corrupt J.
- `Trace.replay` runs a second forward in which δ_j is added to h_j. It sees the same dropout masks as the first, and
  leaves every buffer (BatchNorm's running statistics) as the first forward left it: state moves once a step.
- Either may run some of the examples alone, in networks where they do not meet (`core.batch_statistics`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from skedastic.core.replay import RandomState, buffers_kept
from skedastic.core.selection import SelectedRows
from skedastic.core.spread import Spread
from skedastic.core.taps import Affine, Layout, Tap, affine_scale, tapped, time_first, with_tensors
from skedastic.errors import UserError

HALF_SCALE = 64.0


def run(net: nn.Module, x: Any, rows: Tensor | None = None) -> Any:
    """Return the network's output.

    Parameters
    ----------
    net : nn.Module
        Any network.
    x : Tensor, tuple or mapping
        One input [B, ...], a tuple of arguments, or a mapping of named ones.
    rows : Tensor, optional
        The rows to run, [k]; by default all.
    """
    x = x if rows is None else take(x, rows)
    if isinstance(x, Mapping):
        return net(**x)
    return net(*x) if isinstance(x, (tuple, list)) else net(x)


def take(x: Any, rows: Tensor) -> Any:
    """Return some rows of a network's input; a part that is no tensor, or has no rows, stays as it is.

    Parameters
    ----------
    x : Tensor, tuple or mapping
        As in `run`.
    rows : Tensor
        The rows, [k].
    """
    if isinstance(x, Mapping):
        return {name: take(value, rows) for name, value in x.items()}
    if isinstance(x, (tuple, list)):
        return tuple(take(value, rows) for value in x)
    return x[rows] if isinstance(x, Tensor) and x.dim() else x


class TappedEdge(NamedTuple):
    """The place of one tapped tensor, where J is measured.

    Parameters
    ----------
    tap : Tap
        The tensor.
    edge : GradientEdge or None
        Its place in the graph; None in a compiled network, whose graph can't be seen.
    scale : Tensor or None
        γ, where J is measured before the affine part of a normalization layer.
    """

    tap: Tap
    edge: GradientEdge | None
    scale: Tensor | None


class Shared(NamedTuple):
    """What a process knows of a batch that it has a part of.

    Parameters
    ----------
    spread : Spread
        The processes.
    batch : int
        B, the examples of all.
    outputs : Any
        The network's, of this process's rows.
    enforced : Tensor
        Whether any s_i of the whole batch is above 0, a scalar.
    chosen : Tensor or None
        The examples of the whole batch that take the second pass, [k]; None for all.
    """

    spread: Spread
    batch: int
    outputs: Any
    enforced: Tensor
    chosen: Tensor | None


@dataclass
class Trace:
    """One recorded forward: where J is measured, and everything that the same forward needs to run again, shifted.

    Parameters
    ----------
    net : nn.Module
        The network.
    x : Tensor, tuple or mapping
        Its input, as in `run`.
    modules : mapping of nn.Module
        The tapped modules, by name.
    affine : str
        "after" or "before": where J is measured in normalization layers.
    random_state : RandomState
        The random state before the forward.
    strength : Tensor
        s_i of the examples, [B] ≥ 0.
    chosen : SelectedRows or None
        The examples that take the second pass; None for all.
    places : list of TappedEdge
        The tapped tensors, in the order of the forward.
    drew : bool
        Whether the forward drew random numbers, as dropout does.
    half : bool
        Whether some tapped tensor is in half precision (fp16), whose smallest numbers are large.
    shared : Shared or None
        Where the batch is spread over processes, what else there is; all else is then of this process's rows.
    """

    net: nn.Module
    x: Any
    modules: Mapping[str, nn.Module]
    affine: Affine
    random_state: RandomState
    strength: Tensor
    chosen: SelectedRows | None = None
    places: list[TappedEdge] = field(default_factory=list)
    drew: bool = False
    half: bool = False
    shared: Shared | None = None

    @property
    def loss_scale(self) -> float:
        """The factor of the loss before J is taken, so that small entries of J are not lost."""
        return HALF_SCALE if self.half else 1.0

    @property
    def batch(self) -> int:
        """B, the examples of the batch, be they here or not."""
        return len(self.strength) if self.shared is None else self.shared.batch

    @property
    def regularized(self) -> Tensor | None:
        """The examples of the batch, be they here or not, that take the second pass, [k]; None for all."""
        if self.shared is not None:
            return self.shared.chosen
        return None if self.chosen is None else self.chosen.rows

    def layouts(self, batch: int) -> list[Layout]:
        """Return which entries of each tapped tensor belong to which example.

        Parameters
        ----------
        batch : int
            The number of examples.
        """
        first = time_first(self.net)
        return [place.tap.layout(batch, first) for place in self.places]

    def jacobians(self, loss: Tensor, *, create_graph: bool = False, retain_graph: bool = True) -> list[Tensor | None]:
        """Return J_j = ∂loss/∂h_j for every tapped tensor, of its shape; None where the loss does not depend on it.

        Parameters
        ----------
        loss : Tensor
            The *sum* over the batch of the per-example losses, a scalar, so that J_ij does not depend on B.
        create_graph : bool
            Whether J stays differentiable (double backward).
        retain_graph : bool
            Whether the graph of `loss` stays alive.

        Raises
        ------
        UserError
            The loss depends on no tapped tensor.
        """
        edges = [place.edge for place in self.places if place.edge is not None]
        gradients: Sequence[Tensor | None] = (
            torch.autograd.grad(loss, edges, create_graph=create_graph, retain_graph=retain_graph, allow_unused=True)
            if edges
            else ()
        )
        with torch.set_grad_enabled(create_graph):  # else δ is held fixed
            return measured([_scaled(g, place) for g, place in zip(gradients, self.places, strict=True)])

    def gradients(
        self, loss: Tensor, parameters: Sequence[Tensor], rows: Tensor
    ) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Return J as `jacobians` does, for some examples, and the gradients of the parameters; all in one backward.

        Parameters
        ----------
        loss : Tensor
            The mean or the sum of the losses, a scalar.
        parameters : sequence of Tensor
            The parameters.
        rows : Tensor
            The examples, [k].
        """
        layouts = self.layouts(len(self.strength))
        jacobians: list[Tensor | None] = [None] * len(self.places)

        def hook(i: int, number: int) -> Callable[[tuple[Tensor | None, ...]], None]:
            def seen(gradients: tuple[Tensor | None, ...]) -> None:
                gradient = gradients[number]
                if gradient is not None:
                    jacobians[i] = _scaled(layouts[i].take(gradient, rows, len(self.strength)), self.places[i])

            return seen

        with ExitStack() as stack:
            for i, place in enumerate(self.places):
                assert place.edge is not None
                stack.callback(place.edge.node.register_prehook(hook(i, place.edge.output_nr)).remove)
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        return measured(jacobians), list(gradients)

    def replay(self, shifts: Iterable[Tensor | None], rows: Tensor | None = None) -> Any:
        """Return the outputs of the same forward with shifts added to the tapped tensors.

        Parameters
        ----------
        shifts : iterable of Tensor or None
            In the order of `places`; they are used up. None leaves a tensor as it is.
        rows : Tensor, optional
            The rows to run, [k]; by default all.
        """
        waiting = iter(shifts)

        def shift(module: nn.Module, output: Any, tensors: list[tuple[Tensor, Tap]]) -> Any:
            moved = {}
            for tensor, _ in tensors:
                delta = next(waiting)
                if delta is not None:
                    scale = affine_scale(module, tensor) if self.affine == "before" else None
                    # δ is added to in place: it has no other use, and the sum needs no memory of its own
                    moved[id(tensor)] = delta.add_(tensor) if scale is None else tensor + delta * scale
            return with_tensors(output, moved)

        with _hooked(self.modules, shift), self._lent():
            return run(self.net, self.x, rows)

    def record_part(self, rows: Tensor) -> tuple[Any, Trace]:
        """Run and record a forward of some of the examples.

        Parameters
        ----------
        rows : Tensor
            The examples, [k].

        Returns
        -------
        outputs : Any
            The network's.
        trace : Trace
            That of this forward.
        """
        with self._lent():
            x = take(self.x, rows)
            trace = replace(self, random_state=RandomState.now(self.net), places=[], x=x)
            with _hooked(self.modules, trace.remember):
                return run(self.net, x), trace

    def first_not_finite(self) -> str | None:
        """Return the first tap whose output is not finite in the same forward once more."""
        names: list[str] = []

        def note(module: nn.Module, output: Any, tensors: list[tuple[Tensor, Tap]]) -> None:
            names.extend(tap.name for tensor, tap in tensors if not tensor.isfinite().all())

        with _hooked(self.modules, note), self._lent():
            run(self.net, self.x)
        return names[0] if names else None

    def remember(self, module: nn.Module, output: Any, tensors: list[tuple[Tensor, Tap]]) -> None:
        """Note the tapped tensors of a module's output.

        Parameters
        ----------
        module : nn.Module
            The module.
        output : Any
            Its output.
        tensors : list of tuple of Tensor and Tap
            The tensors in it.
        """
        for tensor, tap in tensors:
            scale = affine_scale(module, tensor) if self.affine == "before" else None
            self.half |= tensor.dtype == torch.float16
            self.places.append(TappedEdge(tap, get_gradient_edge(tensor), scale))

    @contextmanager
    def _lent(self) -> Iterator[None]:
        """Lend the network its random state, and copies of its buffers."""
        with ExitStack() as stack:
            if self.shared is not None:
                stack.enter_context(self.shared.spread.running(self.net))
            stack.enter_context(self.random_state.again())
            stack.enter_context(buffers_kept(self.net))
            yield


def record(
    net: nn.Module,
    x: Any,
    modules: Mapping[str, nn.Module],
    affine: Affine = "after",
    *,
    strength: Tensor,
    chosen: SelectedRows | None = None,
) -> tuple[Any, Trace]:
    """Run one forward of a network, and return its outputs and its `Trace`.

    Parameters
    ----------
    net : nn.Module
        Any network.
    x : Tensor, tuple or mapping
        Its input, as in `run`.
    modules : mapping of nn.Module
        The modules to tap, by name.
    affine : str
        "after" or "before": where J is measured in normalization layers.
    strength : Tensor
        s_i, [B] ≥ 0, kept for the penalty.
    chosen : SelectedRows, optional
        The examples that take the second pass; by default all.
    """
    trace = Trace(net, x, modules, affine, RandomState.now(net), strength, chosen)
    with ExitStack() as stack:
        if chosen is None or len(chosen.rows):  # else nothing will be measured
            stack.enter_context(_hooked(modules, trace.remember))
        outputs = run(net, x)
    trace.drew = chosen is not None and trace.random_state.moved
    return outputs, trace


def _scaled(gradient: Tensor | None, place: TappedEdge) -> Tensor | None:
    return gradient if gradient is None or place.scale is None else gradient * place.scale


def measured(jacobians: list[Tensor | None]) -> list[Tensor | None]:
    """Return the Jacobians.

    Parameters
    ----------
    jacobians : list of Tensor or None
        J of each tapped tensor.

    Raises
    ------
    UserError
        There is none.
    """
    if all(j is None for j in jacobians):
        rule = (
            "there is no Jacobian to measure; run the forward with gradients enabled, with parameters before the last "
            "tap that require one (in a second stage, train=all; on a frozen model, model.depth=1 or more), and taps "
            "that the loss depends on"
        )
        raise UserError(rule, setting="taps")
    return jacobians


@contextmanager
def _hooked(
    modules: Mapping[str, nn.Module], see: Callable[[nn.Module, Any, list[tuple[Tensor, Tap]]], Any]
) -> Iterator[None]:
    """Call `see` with each tapped module's output, and those of its tensors that have a gradient."""

    def hook(name: str) -> Callable[..., Any]:
        def called(module: nn.Module, inputs: Any, output: Any) -> Any:
            tensors = [(t, tap) for t, tap in tapped(name, module, output) if t.requires_grad]
            return see(module, output, tensors)

        return called

    with ExitStack() as stack:
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(hook(name)).remove)
        yield
