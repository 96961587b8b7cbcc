"""The posterior density of a, b and T (`skedastic.noise.true_labels`), and its gradient written out.

It is evaluated thousands of times. Automatic differentiation would take twice as long: the gradient shares nearly all
of its parts with the density. For the example i of fold f, with W = (T + ridge)⁻¹ and the names of `true_labels`,

    r_i = p_i W,  d_i = (r_i² + (bend · p_i)²)^{1/2},  u_i = (r_i + d_i) / 2,  s_i = a_f log(u_i / Σ u_i) + b_f
    g_i = π_i − q_i + unclear · q_i (log q_i − Σ q_i log q_i)                     by s_i
    h_i = a_f (g_i − u_i Σ g_i / Σ u_i) / d_i                                     by r_i

and so Σ_f g_i is the gradient by b_f, Σ_f g_i log(u_i / Σ u_i) that by a_f, −Wᵀ (Σ_i p_i ⊗ h_i) Wᵀ that by T through
q, and Σ_{y_i = j} π_i that by the column log T[·, j] through the chance of the label.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from skedastic.core.transitions import BEND, RIDGE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

OWN, OTHERS = 2.0, 0.1  # Dirichlet of a row of T: of the class itself, and spread over all others
SHARPNESS_SD, BIAS_SD = 0.5, 1.0
UNCLEAR = 0.02  # the cost of q's entropy, in units of the log likelihood
LEAST = 1e-6  # probabilities below are rounded up, so that their logarithm is finite
TINY = 1e-9
NEVER = -50.0  # the score of a class that no label names


class Parts(NamedTuple):
    """log a [K], b [K, C] and log T [C, C]; and the values [C, C] that log T is made of."""

    log_a: Tensor
    b: Tensor
    log_t: Tensor
    below: Tensor


class LabelDensity:
    """The density of n labels of C classes, as a function of the values [K + K·C + C·C] of a, b and T.

    Parameters
    ----------
    probabilities : ndarray
        Class probabilities of each example by a model that was not trained on it, [n, C].
    y, fold : ndarray
        Labels, [n] in 0..C-1, and folds, [n] in 0..K-1.
    folds : int
        K.
    absent : ndarray
        The classes that are never the true ones, [C] bool.
    noisy : bool
        Whether labels may go wrong; else T is the identity, and the entropy of q costs nothing.
    """

    def __init__(
        self,
        probabilities: NDArray[Any],
        y: Integers,
        fold: Integers,
        folds: int,
        absent: NDArray[np.bool_],
        *,
        noisy: bool,
    ) -> None:
        order = np.argsort(y, kind="stable")
        self.n, self.classes, self.folds, self.noisy = max(len(y), 1), probabilities.shape[1], folds, noisy
        self.p = as_tensor(probabilities[order]).T.contiguous()  # [C, n]: sums over classes are fast
        self.y = torch.from_numpy(y[order])
        self.given, self.first = np.unique(y[order], return_index=True)
        self.of_fold = functional.one_hot(torch.from_numpy(fold[order]), folds).double().T.contiguous()  # [K, n]
        self.absent = torch.from_numpy(absent)[:, None] if absent.any() else None
        self.bent = (BEND * self.p) ** 2
        self.itself = torch.eye(self.classes, dtype=torch.bool)
        self.ridge = RIDGE * self.itself.double()
        self.prior = torch.where(self.itself, OWN, OTHERS / max(self.classes - 1, 1)).double()
        self.none = torch.where(self.itself, 1.0, TINY).double().log()

    def parts(self, values: Floats) -> Parts:
        """Return a, b and T of the values."""
        sizes = [self.folds, self.folds * self.classes, self.classes**2]
        log_a, b, below = torch.split(torch.from_numpy(values), sizes)
        b, below = b.view(self.folds, self.classes), below.view(self.classes, self.classes)
        if not self.noisy:
            return Parts(log_a, b, self.none, below)
        lower = -functional.softplus(below)  # log T[z, j] less log T[z, z]
        return Parts(log_a, b, lower.masked_fill(self.itself, 0.0).log_softmax(1), below)

    @torch.no_grad()
    def loss(self, values: Floats) -> tuple[float, Floats]:
        """Return the negative logarithm of the density less a constant, in nats an example, and its gradient."""
        parts = self.parts(values)
        t, a = parts.log_t.exp(), parts.log_a.exp()
        w = torch.linalg.inv(t + self.ridge)
        straight = w.T @ self.p
        root = straight.square().add_(self.bent).sqrt_()
        u = straight.add_(root).mul_(0.5)
        size = u.sum(0)
        log_u = (u / size).log_()
        of_example = a @ self.of_fold
        log_q = self._never((of_example * log_u).add_(parts.b.T @ self.of_fold), NEVER).log_softmax(0)
        q = log_q.exp()
        joint = t.index_select(1, self.y).mul_(q)
        chance = joint.sum(0).clamp_min_(torch.finfo(q.dtype).tiny)
        posterior = joint.div_(chance)
        density, by_score = chance.log().sum(), posterior - q
        if self.noisy:
            cost = log_q.mul_(q)
            entropy = cost.sum(0)
            density = density + UNCLEAR * entropy.sum()
            by_score.add_(cost.sub_(q.mul_(entropy)), alpha=UNCLEAR)
        by_score = self._never(by_score, 0.0)
        by_b = self.of_fold @ by_score.T
        by_log_a = self.of_fold @ log_u.mul_(by_score).sum(0) * a
        by_below = torch.zeros_like(t)
        if self.noisy:
            by_straight = by_score.sub_(u.mul_(by_score.sum(0) / size)).mul_(of_example).div_(root)
            by_t = -(w.T @ (self.p @ by_straight.T) @ w.T)
            by_below = self._by_below(by_t * t + self._by_label(posterior) + self.prior, t, parts.below)
        spread = (parts.log_a / SHARPNESS_SD) ** 2, (parts.b / BIAS_SD) ** 2
        density = density + (self.prior * parts.log_t).sum() - (spread[0].sum() + spread[1].sum()) / 2
        by_log_a, by_b = by_log_a - parts.log_a / SHARPNESS_SD**2, by_b - parts.b / BIAS_SD**2
        slope: Floats = (torch.cat([by_log_a, by_b.flatten(), by_below.flatten()]) / -self.n).numpy()
        return -density.item() / self.n, slope

    def _never(self, values: Tensor, value: float) -> Tensor:
        """Return values [C, n] with one in place of those of absent classes."""
        return values if self.absent is None else values.masked_fill_(self.absent, value)

    def _by_label(self, posterior: Tensor) -> Tensor:
        """Return Σ π_i over the examples of each label, [true, given]."""
        sums = torch.zeros_like(self.prior)
        if len(self.given):
            sums[:, self.given] = torch.from_numpy(np.add.reduceat(posterior.numpy(), self.first, axis=1))
        return sums

    def _by_below(self, by_log_t: Tensor, t: Tensor, below: Tensor) -> Tensor:
        """Return the gradient by the values that log T is made of, from that by log T."""
        lower = by_log_t - t * by_log_t.sum(1, keepdim=True)
        return (-lower * below.sigmoid()).masked_fill_(self.itself, 0.0)


def as_tensor(probabilities: NDArray[Any]) -> Tensor:
    """Return probabilities [n, C] as float64, none of them 0.

    Parameters
    ----------
    probabilities : ndarray
        [n, C].
    """
    return torch.from_numpy(probabilities.astype(np.float64).clip(min=LEAST))
