"""VAT: virtual adversarial training, which holds predictions still where they would move most, around any method.

Source: Miyato, Maeda, Koyama, Ishii, "Virtual Adversarial Training: A Regularization Method for Supervised and
Semi-Supervised Learning", TPAMI 2018, equations 5 to 8 and Algorithm 1: to the objective comes α (1/B) Σ_i D(p(x_i),
p(x_i + r_i)), D the divergence of Kullback and Leibler, p(x_i) held fixed, and r_i the vector of length ε that raises D
most, by the power method: r = ε g/‖g‖, g = ∇_r D(r) at r = ξ d, d a random unit vector. It asks for no label. Of real
targets, p is a normal distribution around the prediction, and D half a square.

Compared with github.com/takerum/vat_tf (commit c5125d2): the same direction and the same loss, but for ξ. There ξ is
1e-6: in single precision the predictions at x and at x + ξ d then differ by no more than rounding, and the result
is noise: its r has a cosine with that of double precision of 0.2 on a small network, and of 0 on a convolutional one
of images; at ξ = 0.01 it is above 0.99 on both (tests/methods/test_vat.py). In half precision no ξ will do, so that
all of this is computed in single. As there, BatchNorm takes the batch's own statistics in every forward, and its
running ones follow the clean batch alone. Ours: all forwards have the same dropout, and p(x) is the method's
prediction (`predict`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.replay import RandomState, replay
from skedastic.errors import UserError
from skedastic.methods.bases.card import PERTURBED, REAL_INPUTS, Capabilities, Card
from skedastic.methods.bases.step import Batch, Objective, Out, State, Step
from skedastic.methods.bases.wrapper import Wrapper

TINY = 1e-12


def unit(d: Tensor) -> Tensor:
    """Return d [B, …] with each example's part brought to length 1; 0 stays 0."""
    flat = d.flatten(1)
    flat = flat / (flat.abs().amax(1, keepdim=True) + TINY)  # else squares of small numbers vanish
    length: Tensor = flat.norm(dim=1, keepdim=True)
    return (flat / (length + TINY)).view_as(d)


def divergence(fixed: Tensor, other: Tensor) -> Tensor:
    """Return D [B] between two predictions: logits [B, C] each, or numbers [B] each; the first is held fixed."""
    if fixed.dim() == 1:
        return (other - fixed).square() / 2
    p = fixed.log_softmax(1)
    return F.kl_div(other.log_softmax(1), p, reduction="none", log_target=True).sum(1)


def adversarial(
    predict: Callable[[Tensor], Tensor],
    x: Tensor,
    fixed: Tensor,
    d: Tensor,
    *,
    xi: float,
    epsilon: float,
    iterations: int,
) -> Tensor:
    """Return r [B, …] of length ε for inputs x [B, …] predicted as `fixed`, by the power method begun at d [B, …]."""
    for _ in range(iterations):
        r = (xi * unit(d)).requires_grad_()
        (d,) = torch.autograd.grad(divergence(fixed, predict(x + r)).sum(), r)
    return epsilon * unit(d)


class Smoothed(NamedTuple):
    """The forward of `base`, and the divergence [B] of the adversarial examples, where there are any."""

    out: Out
    divergence: Tensor | None


@dataclass(frozen=True, kw_only=True)
class VAT(Wrapper):
    """Train `base`, and hold its predictions still around each example."""

    alpha: float = setting(1.0, "α, the weight of the divergence; 0 is `base` as it is, 1 the authors'", "[0, inf)")
    epsilon: float = setting(
        1.0,
        "ε, the length of r in the units of the inputs (of pixels, in [0, 1]); the authors tune it alone",
        "[0, inf)",
    )
    xi: float = setting(
        0.01, "ξ, the length at which the direction is computed; well below ε, and above rounding", "(0, inf)"
    )
    iterations: int = setting(1, "of the power method; 1 is the authors'", "[1, inf)")
    way: ClassVar[str] = PERTURBED

    card: ClassVar[Card] = Card(
        name="vat",
        title="Virtual adversarial training, around any method",
        paper="Miyato et al., Virtual Adversarial Training, TPAMI 2018",
        equations="ℓ + α D(p(x), p(x + r)), r = ε g/‖g‖, g = ∇_r D at ξ d (eq. 5 to 8)",
        family="around another method",
        capabilities=Capabilities(
            takes=(REAL_INPUTS,),
        ),
        reduces_to_erm=({"alpha": 0.0}, {"epsilon": 0.0}),
        cost="3.1 × the step of `base` with one iteration, on ResNet-32 (two cores): two forwards for r, with a "
        "backward to the inputs, and one of the divergence; in mixed precision these are in single, and take longer",
    )

    def forward(self, state: State, batch: Batch) -> Out:
        """Run `base`, and the divergence of the adversarial examples."""
        random_state = RandomState.now(state)
        out = self.base.forward(state, batch)
        if self.alpha == 0 or self.epsilon == 0:
            return Out(out.logits, Smoothed(out, None))
        x = real(batch.x)
        d = torch.randn(x.shape).to(x)

        def predict(at: Tensor) -> Tensor:
            with replay(state, random_state):
                return self.base.predict(state, at)

        with torch.autocast(x.device.type, enabled=False):  # in half precision ξ d moves less than rounding
            with torch.no_grad():
                fixed = predict(x)
            r = adversarial(predict, x, fixed, d, xi=self.xi, epsilon=self.epsilon, iterations=self.iterations)
            return Out(out.logits, Smoothed(out, divergence(fixed, predict(x + r))))

    def observe(self, step: Step) -> None:
        """As `base` does."""
        self.base.observe(replace(step, out=step.out.extra.out))

    def objective(self, step: Step) -> Objective:
        """Return the objective of `base`, and α times the mean divergence."""
        plain = self.base.objective(replace(step, out=step.out.extra.out))
        moved = step.out.extra.divergence
        if moved is None:
            return plain
        logs = {**plain.logs, "divergence": moved.detach()}
        return Objective(plain.total + self.alpha * moved.mean(), plain.per_example, logs)


def real(x: Tensor) -> Tensor:
    """Return inputs that can be moved a little; images of whole numbers 0..255 as reals in [0, 1]."""
    if x.is_floating_point():
        return x
    if x.dtype != torch.uint8:
        rule = "it moves the inputs a little, and these are whole numbers, such as words; take another method"
        raise UserError(rule, setting="method", value="vat", given="vat")
    return x.float() / 255
