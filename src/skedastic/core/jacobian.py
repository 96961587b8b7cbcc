"""The Jacobian penalty of HAR and three ways to its gradient.

Source: Cao et al., "Heteroskedastic and Imbalanced Deep Learning with Adaptive Regularization", ICLR 2021,
section 2.3 and equation 6:

    (1/B) Σ_i (ℓ_i + s_i R_i),   R_i = (Σ_j ‖J_ij‖²)^{1/2},   J_ij = ∂(Σ_k ℓ_k)/∂h_j(x_i),   s_i = λ τ_{g(i)}.

`exact` differentiates R (double backward). The other two move the activations along v_ij = J_ij/R_i, since by the
envelope theorem the gradient of R_i is the directional derivative of the loss along v_i, held fixed:

    finite, step ε:   [Σ ℓ(h) + (Σ ℓ(h + ε s v) − Σ ℓ(h)) / ε] / B    →  exact as ε → 0
    implicit:         [Σ ℓ(h + s v)] / B                              =  finite at ε = 1

At ε = 1 the first forward's loss cancels and its backward to the parameters is never run: one backward to the
activations, and one ordinary forward and backward.

With `select` only some of the examples, those whose s_i matters, take the second pass (`skedastic.core.selection`):

    implicit, part S:  [Σ_i ℓ_i(h) + Σ_{i ∈ S} w_i (ℓ_i(h + s v) − ℓ_i(h))] / B

The first forward and its one backward serve everyone: they train, and they give J. Both losses of the difference are
of a forward of S alone, twice. Where the network drew random numbers (dropout), which S alone can't be given again, J
is measured in the forward of S itself.

Where BatchNorm normalizes with the batch, a shift of S moves its statistics, and with them the loss of everyone. No
forward of S alone has the gradient of that, so everyone takes the second pass, δ being 0 outside S. (Measured on
ResNet-32, S 6 % of the batch: with the statistics held fixed the penalty's gradient has cosine 0.45 to 0.58 to the true
one; with the gradient through them, but not through the losses of the others, 0.74 to 0.96.)

Where the authors' code (github.com/kaidic/HAR, commit 188a463) differs from the paper: it sums the norms over layers
(`norm="layers"`, between 1 and √L times the joint norm of L layers), differentiates the batch *mean* of the loss
(`reduction="mean"`, R_i / B, so that its strength 10 at B = 128 is 10/128 with "sum"), measures before the affine part
of BatchNorm (`affine="before"`), and leaves the network's first BatchNorm out (name the others with `taps`). The
defaults are the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from skedastic.configurable import Configurable, setting
from skedastic.core.batch_statistics import normalizes_by_batch
from skedastic.core.selection import SelectedRows, Selection, Share, select
from skedastic.core.spread import Spread, current
from skedastic.core.taps import Affine, Choice, Layout, find_taps
from skedastic.core.trace import Shared, Trace, record
from skedastic.core.unwrap import is_compiled, uncompiled
from skedastic.errors import Diverged, UserError

Gradient = Literal["implicit", "exact", "finite"]
Norm = Literal["joint", "layers"]
Reduction = Literal["sum", "mean"]
Losses = Callable[[Any, Tensor | None], Tensor]  # (outputs, rows of the batch that they are of, None for all) -> [k]

NEGLIGIBLE = 1e-12  # norms below this move nothing: J / R would be noise in single precision
WHOLE = 1 / 3  # of the batch: from here on a second pass of everyone costs less than one of a part


class Penalized(NamedTuple):
    """The result of a regularized step: minimize `total`."""

    total: Tensor  # scalar: (1/B) Σ_i (ℓ_i + s_i R_i), or a surrogate with its gradient
    per_example: Tensor  # [B] ℓ_i, the unregularized loss, detached
    norm: Tensor  # [B] R_i, detached; NaN where it was not measured


@dataclass(frozen=True, kw_only=True)
class JacobianPenalty(Configurable):
    """How R is defined and how its gradient is computed."""

    section: ClassVar[str | None] = ""

    gradient: Gradient = setting(
        "implicit", "how the penalty's gradient is computed; exact needs a double backward, implicit and finite do not"
    )
    norm: Norm = setting("joint", "joint is R = (Σ_j ‖J_j‖²)^{1/2} (the paper's), layers R = Σ_j ‖J_j‖ (the code's)")
    affine: Affine = setting(
        "after", "whether J is measured after or before the affine part of normalization layers (before: the code's)"
    )
    reduction: Reduction = setting(
        "sum", "J is of the batch's sum, so that R_i does not depend on B, or of its mean, R_i / B (the code's)"
    )
    step: float = setting(0.01, "ε of gradient=finite; 0.01 is a good one", "(0, inf)")
    select: Share = setting(
        "auto",
        "who is regularized by gradient=implicit: auto is whose strength is above 0, a number a share of the batch; "
        "1.0 is everyone. They alone take the second pass, but where BatchNorm normalizes with the batch",
        "(0, 1]",
    )
    selection: Selection = setting(
        "largest", "which share: the largest strengths, or drawn in proportion to them, which is unbiased"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.selection == "drawn" and self.select == "auto":
            rule = "needs the share of the batch to draw, such as select=0.1"
            raise UserError(rule, setting="selection", value="drawn")
        if self.gradient != "implicit" and self.select not in ("auto", 1.0):
            rule = f"is for gradient=implicit, not for {self.gradient}; leave it out"
            raise UserError(rule, setting="select", value=self.select)

    def record(
        self,
        net: nn.Module,
        x: Any,
        taps: Mapping[str, nn.Module],
        strength: Tensor,
        on_host: Tensor | None = None,
    ) -> tuple[Any, Trace]:
        """Run the first forward of a batch, recorded for this penalty; return the network's outputs and the `Trace`.

        Parameters
        ----------
        net : nn.Module
            Any network.
        x : Tensor, tuple or mapping
            The network's input, [B, ...]; several where it takes several.
        taps : mapping of nn.Module
            The modules to measure at, by name, as `find_taps` gives them.
        strength : Tensor
            s_i = λτ_g(i), [B] ≥ 0; it decides who takes the second pass.
        on_host : Tensor, optional
            The same up to a factor, on the CPU, so that an accelerator need not be waited for.
        """
        compiled, chosen = is_compiled(net), None
        whole = compiled or normalizes_by_batch(net)
        if self.gradient == "implicit" and self.select != 1.0 and not (whole and self.selection == "drawn"):
            chosen = select(strength if on_host is None else on_host, self.select, self.selection)
        if chosen is not None and len(chosen.rows) and (whole or self._costs_more(chosen, len(strength))):
            strength, chosen = _only(strength, chosen.to(strength.device).rows), None
        if compiled and chosen is None:
            from skedastic.core.compiled import record_compiled  # torch._dynamo takes a second to import

            self._check_compiled()
            return record_compiled(uncompiled(net), x, taps, strength)
        spread = current()
        if spread is None or spread.sizes(len(strength)) is None:
            chosen = None if chosen is None else chosen.to(strength.device)
            return record(net, x, taps, self.affine, strength=strength, chosen=chosen)
        return self._record_own(spread, net, x, taps, strength, chosen)

    def _record_own(
        self,
        spread: Spread,
        net: nn.Module,
        x: Any,
        taps: Mapping[str, nn.Module],
        strength: Tensor,
        chosen: SelectedRows | None,
    ) -> tuple[Any, Trace]:
        """Record the forward of this process's rows of a batch; return the outputs of all rows."""
        own, batch = spread.rows(len(strength)), len(strength)
        part = None
        if chosen is not None:
            here = (chosen.rows >= own.start) & (chosen.rows < own.stop)
            part = SelectedRows(chosen.rows[here] - own.start, chosen.weight[here]).to(strength.device)
        with spread.running(net):
            outputs, trace = record(
                net, spread.own_of(x, batch), taps, self.affine, strength=strength[own], chosen=part
            )
        enforced, rows = (strength != 0).any(), None if chosen is None else chosen.to(strength.device).rows
        trace.shared = Shared(spread, batch, outputs, enforced, rows)
        return pytree.tree_map_only(Tensor, lambda t: spread.gather(t, batch), outputs), trace

    def _costs_more(self, part: SelectedRows, batch: int) -> bool:
        """Return whether a second pass of a part, each weighing 1, costs more than one of everyone."""
        return self.selection == "largest" and len(part.rows) > WHOLE * batch

    def _check_compiled(self) -> None:
        for name, value in (("gradient", "implicit"), ("affine", "after")):
            if getattr(self, name) != value:
                rule = f"a compiled network can't be trained so; use {name}={value}, or don't compile"
                raise UserError(rule, setting=name, value=getattr(self, name))

    def __call__(self, per_example: Tensor, trace: Trace, losses: Losses) -> Penalized:
        """Return the penalized loss of a batch whose forward was recorded.

        Parameters
        ----------
        per_example : Tensor
            Losses ℓ_i of the recorded forward, [B].
        trace : Trace
            That forward.
        losses : callable
            From other outputs, and the rows of the batch that they are of (None for all), to the losses [k].

        Raises
        ------
        UserError
            A loss or J is not finite; the message names the tap. On the CPU only: elsewhere it would have to wait for
            it.
        """
        if trace.shared is None:
            _check_finite(per_example, trace)
            return self._penalized(per_example, trace, losses)
        spread, batch, outputs, _, chosen = trace.shared
        start = spread.rows(batch).start

        def own_losses(outputs: Any, rows: Tensor | None) -> Tensor:
            here = torch.arange(len(trace.strength), device=per_example.device) if rows is None else rows
            return losses(outputs, here + start)

        own = self._penalized(own_losses(outputs, None), trace, own_losses)
        norm = spread.gather(own.norm, batch)
        for values in (per_example, norm if chosen is None else norm[chosen]):
            _check_finite(values, trace, chosen if values is not per_example else None)
        return Penalized(spread.total(own.total * (len(own.norm) / batch)), per_example.detach(), norm)

    def _penalized(self, per_example: Tensor, trace: Trace, losses: Losses) -> Penalized:
        """Return the penalized loss of the rows of a trace."""
        if trace.chosen is None:
            return self._everyone(per_example, trace, losses)
        return self._part(per_example, trace, losses, trace.chosen)

    def _everyone(self, per_example: Tensor, trace: Trace, losses: Losses) -> Penalized:
        """Return the penalized loss where all examples take the second pass."""
        batch, strength, exact = len(per_example), trace.strength, self.gradient == "exact"
        if exact:
            refuse_fused(per_example)
        loss = per_example.sum() * trace.loss_scale
        jacobians = trace.jacobians(loss, create_graph=exact, retain_graph=self.gradient != "implicit")
        layouts = trace.layouts(batch)
        norms = layer_norms(jacobians, layouts, batch)
        norm = self._joint(norms, trace) / trace.loss_scale
        if trace.shared is None:
            _check_finite(norm, trace)
        if exact:
            total = (per_example + strength * norm).mean()
        else:
            ratio = 1.0 if self.gradient == "implicit" else self.step
            shifts = self._shifts(jacobians, norms, layouts, ratio * strength, trace)
            total = losses(trace.replay(shifts), None).mean()
            if self.gradient == "finite":
                # where no strength is enforced the difference is zero, and must be so to the bit
                enforced = (strength != 0).any() if trace.shared is None else trace.shared.enforced
                inverse = enforced / self.step
                total = per_example.mean() + inverse * (total - per_example.mean())
        return Penalized(total, per_example.detach(), norm.detach())

    def _part(self, per_example: Tensor, trace: Trace, losses: Losses, part: SelectedRows) -> Penalized:
        """Return the penalized loss where only a part takes the second pass."""
        batch, rows = len(per_example), part.rows
        total = per_example.mean()
        if not len(rows):
            return Penalized(total, per_example.detach(), torch.full_like(per_example, torch.nan).detach())
        layouts = trace.layouts(batch)
        if trace.drew or any(layout.rows is not None for layout in layouts):
            outputs, own = trace.record_part(rows)
            still = losses(outputs, rows)
            jacobians, layouts = own.jacobians(still.sum() * trace.loss_scale), own.layouts(len(rows))
            norms = layer_norms(jacobians, layouts, len(rows))
            moved = losses(own.replay(self._shifts(jacobians, norms, layouts, trace.strength[rows], trace)), rows)
        else:
            total, jacobians = _train_and_measure(total, trace, batch, rows)
            norms = layer_norms(jacobians, layouts, len(rows))
            shifts = self._shifts(jacobians, norms, layouts, trace.strength[rows], trace)
            twice = torch.cat([rows, rows])
            still, moved = losses(trace.replay(_after_zeros(shifts, layouts), twice), twice).chunk(2)
        norm = self._joint(norms, trace) / trace.loss_scale
        if trace.shared is None:
            _check_finite(norm, trace, rows)
        total = total + (part.weight * (moved - still)).sum() / batch
        everyone = norm.new_full((batch,), torch.nan)
        return Penalized(total, per_example.detach(), everyone.index_copy(0, rows, norm.detach()))

    def _joint(self, norms: Tensor, trace: Trace) -> Tensor:
        """Return R [k] from the norms ‖J_ij‖ [k, L] of the L tapped tensors."""
        joint = torch.linalg.vector_norm(norms, dim=1) if self.norm == "joint" else norms.sum(1)
        return joint / trace.batch if self.reduction == "mean" else joint

    def _shifts(
        self, jacobians: list[Tensor | None], norms: Tensor, layouts: Sequence[Layout], length: Tensor, trace: Trace
    ) -> Iterator[Tensor | None]:
        """Yield δ_ij = length_i J_ij / R_i with ‖δ_i‖ = length_i (jointly, or in each layer when these are summed).

        Forgets each of `jacobians` on the way, so that it is freed as soon as the second forward has passed it.
        """
        if self.reduction == "mean":
            length = length / trace.batch
        scale = norms if self.norm == "layers" else torch.linalg.vector_norm(norms, dim=1, keepdim=True)
        factors = iter((length[:, None] / scale.clamp_min(NEGLIGIBLE)).expand_as(norms).unbind(1))
        for i, layout in enumerate(layouts):
            j, jacobians[i] = jacobians[i], None
            yield j if j is None else (j * layout.spread(next(factors), j)).to(j.dtype)


def _only(strength: Tensor, rows: Tensor) -> Tensor:
    """Return the strengths of some examples, and 0 for the others."""
    return torch.zeros_like(strength).index_copy(0, rows, strength[rows])


def layer_norms(jacobians: Sequence[Tensor | None], layouts: Sequence[Layout], examples: int) -> Tensor:
    """Return the norms ‖J_ij‖, [examples, L], of the L tapped tensors that the loss depends on.

    Parameters
    ----------
    jacobians : sequence of Tensor or None
        J of each tapped tensor, of its shape; None where the loss does not depend on it.
    layouts : sequence of Layout
        Which entries of each belong to which example.
    examples : int
        How many examples there are.
    """
    pairs = zip(jacobians, layouts, strict=True)
    return torch.stack([layout.norms(j, examples) for j, layout in pairs if j is not None], dim=1)


def _after_zeros(shifts: Iterator[Tensor | None], layouts: Sequence[Layout]) -> Iterator[Tensor | None]:
    for shift, layout in zip(shifts, layouts, strict=True):
        yield shift if shift is None else torch.cat([torch.zeros_like(shift), shift], layout.dim)


class _Carried(torch.autograd.Function):
    """A value whose gradients are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor | None], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        return (None, None, *(g if g is None else g * upstream[0] for g in ctx.gradients))


def _train_and_measure(mean: Tensor, trace: Trace, batch: int, rows: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """Return the mean loss with the parameters' gradients, and J of the summed loss for `rows`, from one backward."""
    scale = trace.loss_scale * batch if trace.loss_scale != 1 else 1.0
    parameters = [p for p in trace.net.parameters() if p.requires_grad]
    jacobians, gradients = trace.gradients(mean * scale, parameters, rows)
    if scale != 1:
        gradients = [g if g is None else g / scale for g in gradients]
    own = [j if j is None else j * (batch * trace.loss_scale / scale) for j in jacobians]
    carried: Tensor = _Carried.apply(mean.detach(), gradients, *parameters)  # type: ignore[no-untyped-call]
    return carried, own


def _check_finite(values: Tensor, trace: Trace, rows: Tensor | None = None) -> None:
    """Refuse losses, or norms of J, that are not finite; on the CPU only, since an accelerator would have to wait.

    They are of all examples of the batch, or of those in the places `rows`.
    """
    if values.device.type != "cpu" or all(map(math.isfinite, values.tolist())):
        return
    tap = trace.first_not_finite() if trace.shared is None else None
    where = f"the output of tap {tap!r}" if tap else "the loss, or its gradient with respect to the tapped activations"
    rule = "not finite; look for NaN or huge values in the input, or lower the learning rate or the strength"
    bad = ~values.isfinite()
    places = (bad.nonzero().flatten() if rows is None else rows[bad]).tolist()
    raise Diverged(rule, setting=f"tap {tap!r}" if tap else "loss", given=where, rows=places)


def refuse_fused(per_example: Tensor) -> None:
    """Refuse a loss whose graph has a fused kernel without double backward.

    Parameters
    ----------
    per_example : Tensor
        Losses with their graph, [B].

    Raises
    ------
    UserError
        There is such a kernel.
    """
    seen, waiting = set(), [per_example.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        name = node.name()
        if name.startswith("ScaledDotProduct") or name.startswith(("CudnnRnn", "MiopenRnn")):
            kernel = f"{name.removesuffix('Backward0')} (a fused kernel of this network)"
            rule = f"needs double backward, which {kernel} does not have; use gradient=implicit, which needs none"
            raise UserError(rule, setting="gradient", value="exact")
        waiting.extend(following for following, _ in node.next_functions)


def _check_strength(strength: Tensor) -> None:
    wrong = strength[~((strength >= 0) & strength.isfinite())]
    if len(wrong):
        value = float(wrong[0])
        rule = "strength must be finite and at least 0; 0 is plain training"
        raise UserError(rule, setting="strength", value=value, given=f"regularized_loss(strength={value:g})")


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross entropy, [B].

    Parameters
    ----------
    logits : Tensor
        [B, C].
    y : Tensor
        Labels, [B] int64 in 0..C-1, or soft [B, C].
    """
    return F.cross_entropy(logits, y, reduction="none")


def regularized_loss(
    net: nn.Module,
    x: Any,
    y: Tensor,
    strength: Tensor | float,
    *,
    loss: Callable[[Any, Tensor], Tensor] = cross_entropy,
    penalty: JacobianPenalty | None = None,
    taps: Sequence[str] | Choice | None = None,
) -> Penalized:
    """Return HAR's regularized loss (eq. 6) of one batch, for anyone's network and training loop.

    Call `.total.backward()` and step as ever. At strength 0 the gradient equals that of plain training.

    Parameters
    ----------
    net : nn.Module
        Any network that maps x to outputs.
    x : Tensor, tuple or mapping
        The network's input, [B, ...]; several where it takes several.
    y : Tensor
        The targets that `loss` takes, [B, ...].
    strength : Tensor or float
        s_i = λτ_g(i) ≥ 0, [B] or one number, in units of 1/R. On the CPU they are moved to the device of `y`, and no
        accelerator waits; those on an accelerator are copied to the CPU where they decide who takes the second pass.
    loss : callable
        From outputs and y to the losses of the examples, [B].
    penalty : JacobianPenalty, optional
        How R is defined, and how its gradient is computed.
    taps : sequence of str or callable, optional
        Names or patterns of the modules to measure at, or a function (name, module) -> bool; by default those that
        `find_taps` finds.

    Raises
    ------
    UserError
        The network has nothing to tap; activations are not finite (the message names the tap); the loss is not one
        number an example; or a strength is negative or not finite, which of tensors is seen on the CPU only. It is a
        ValueError.
    """
    if isinstance(strength, (int, float)):
        strength = torch.full((len(y),), float(strength))
    on_host = strength if strength.device.type == "cpu" else None
    if on_host is not None:
        _check_strength(on_host)
        strength = on_host.to(y.device, non_blocking=True)
    penalty = penalty or JacobianPenalty()
    outputs, trace = penalty.record(net, x, find_taps(uncompiled(net), taps), strength, on_host)
    per_example = loss(outputs, y)
    for name, values in (("loss", per_example), ("strength", strength)):
        if values.shape != y.shape[:1]:
            shape = list(values.shape)
            rule = f"must be one number for each of the {len(y)} examples"
            raise UserError(rule, setting=name, value=shape, given=f"{name} of shape {shape}")

    return penalty(per_example, trace, lambda outputs, rows: loss(outputs, y if rows is None else y[rows]))
