"""Instance weights, literally from their equations, in float64 and without any logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

Floats = NDArray[np.float64]


def absgd(
    batches: list[Floats], lam: float, gamma: float, s: float | None, *, alpha: float = 1.0, uniform: float = 0.0
) -> list[Floats]:
    """Algorithm 1, steps 3 to 5, batch after batch. s: at the outset; None is g of the first batch."""
    per_batch = []
    for losses in batches:
        g = alpha * sum(np.exp(loss / lam) for loss in losses) / len(losses)
        s = g if s is None else (1 - gamma) * s + gamma * g
        per_batch.append(np.array([np.exp(loss / lam) / s + uniform for loss in losses]))
    return per_batch


def tilted(losses: Floats, t: float) -> Floats:
    """TERM, Lemma 1: the weights of the gradient, times B."""
    weights = np.exp(t * losses)
    return len(losses) * weights / weights.sum()


def eg(visits: list[tuple[list[int], Floats]], n: int, eta: float, memory: float) -> list[Floats]:
    """w_i ← w_i^r exp(−η ℓ_i) for the examples of each batch; then over their mean in the batch."""
    w = np.ones(n)
    per_batch = []
    for rows, losses in visits:
        for i, loss in zip(rows, losses, strict=True):
            w[i] = w[i] ** memory * np.exp(-eta * loss)
        per_batch.append(np.array([w[i] for i in rows]) / np.mean([w[i] for i in rows]))
    return per_batch


def cvar(losses: Floats, alpha: float) -> Floats:
    """The linear program: max Σ p_i ℓ_i over the simplex with p_i ≤ 1/(αB); p B."""
    n = len(losses)
    solved = linprog(-losses, A_eq=np.ones((1, n)), b_eq=[1.0], bounds=[(0, 1 / (alpha * n))] * n)
    return np.asarray(n * solved.x, np.float64)


def group_dro(
    batches: list[tuple[Floats, list[int]]], groups: int, step_size: float, adjustment: Floats
) -> list[tuple[Floats, Floats]]:
    """Algorithm 1 of Sagawa et al.: q, and the gradient's weights of the examples, of (1/B) Σ p_i ℓ_i = Σ_g q_g ℓ_g."""
    q = np.full(groups, 1 / groups)
    per_batch = []
    for losses, group in batches:
        of = [[loss for loss, own in zip(losses, group, strict=True) if own == g] for g in range(groups)]
        mean = [np.mean(own) if own else 0.0 for own in of]
        q = np.array([q[g] * np.exp(step_size * (mean[g] + adjustment[g])) for g in range(groups)])
        q = q / q.sum()
        per_batch.append((q, np.array([len(losses) * q[g] / len(of[g]) for g in group])))
    return per_batch


def robust_value(losses: Floats, tau: float, sign: int) -> float:
    """Equations 3 and 4: the maximum (sign 1) or minimum (−1) over p in the simplex, by a solver."""
    n = len(losses)

    def descent(p: Floats) -> Any:
        kl = np.sum(p * np.log(np.maximum(n * p, 1e-300)))
        return -sign * (p @ losses) + tau * kl

    start = np.full(n, 1 / n)
    simplex: Any = {"type": "eq", "fun": lambda p: p.sum() - 1}
    solved = minimize(
        descent,
        start,
        bounds=[(1e-12, 1)] * n,
        constraints=[simplex],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return -sign * float(solved.fun)


def tilted_risk(losses: Floats, lam: float) -> float:
    """Equation 6 without the weight decay."""
    return float(lam * np.log(np.mean(np.exp(losses / lam))))


def recover(
    batches: list[Any], w: Floats, lam: float, a: float, rate: float, restarts: tuple[int, ...] = ()
) -> tuple[Floats, list[float]]:
    """RECOVER's update, step after step: the weights, and u of each step. A batch gives losses and gradients at w."""
    u, v, before, seen = 0.0, np.zeros_like(w), w, []
    for t, batch in enumerate(batches):
        losses, gradients = batch(w)  # [B], [B, d]
        g = np.mean(np.exp(losses / lam))
        slope = np.mean(np.exp(losses / lam)[:, None] * gradients / lam, 0)
        if t == 0 or t in restarts:
            u, v = g, slope
        else:
            losses, gradients = batch(before)
            u = g + (1 - a) * (u - np.mean(np.exp(losses / lam)))
            v = slope + (1 - a) * (v - np.mean(np.exp(losses / lam)[:, None] * gradients / lam, 0))
        seen.append(float(u))
        before, w = w, w - rate * lam * v / u
    return w, seen
