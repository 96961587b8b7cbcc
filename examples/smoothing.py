"""The one-dimensional estimator of HAR's theory, and the error that the theory predicts for it.

Source: Cao et al., "Heteroskedastic and Imbalanced Deep Learning with Adaptive Regularization", ICLR 2021,
section 2.2, equation 3 and Theorem 1. Over functions f on [0, 1] minimize

    (1/n) Σ_i ℓ(f(x_i), y_i) + λ ∫ ρ(x) f'(x)² dx,    ρ piecewise constant, y = ±1 or real,
    ℓ(a, y) = log(1 + exp(−y a))    (the paper prints −log, which has no minimum)    or    (y − a)² / 2.

**Solving it.** Between neighbouring data points and breaks of ρ the minimizer is a straight line, and outside the data
constant. So linear finite elements with nodes at the distinct x_i and the breaks give the minimizer itself, not an
approximation. A Newton step is tridiagonal. In the values f alone its matrix has entries 2λρ/h, without bound as two
data points get close (h → 0) or λ large, and rounding swallows the data's share in it. So the flux g = 2λρf' of each
element is an unknown beside f; only its inverse stiffness c = h / 2λρ occurs, and may go to 0:

    ℓ''(f_i) f_i + g_{i−1} − g_i = ℓ''(f_i) f_i − ℓ'(f_i),    f_{i+1} − f_i − c_i g_i = 0    (new f, g left; old right)

**What the theory says.** Linearized about the truth, q I (f − f*) − 2λ (ρ f')' = noise of variance q V / n, with q the
density of x, I = E ℓ'' and V = E ℓ'² (logistic: V = I; squared: I = 1, V = σ²). The operator's local Green's function
is exp(−|t|/w) / 2√(qI·2λρ) with width w = (2λρ / qI)^{1/2}, and so

    MSE ≈ ∫ (2λ)² r² [(ρ f*')']² + (1/n) (2λ)^{−1/2} (V/I) L_0 r^{1/2} ρ^{−1/2} dt,   r = 1/(qI),  L_0 = 1/4.

This is how we read Theorem 1, which prints C_n ∫ λ² r² [(ρ f*')']² + L_0 r^{1/2} ρ^{−1/2} dt with r = −1/(qI):

- Under a root r is 1/(qI). The minus belongs to the operator of the bias (the paper's equation 11), which is squared.
- The penalty λρf'² has the derivative 2λρf': where the paper has λ it is 2λ. L_0 = ∫ exp(−2|t|)/4 dt is right.
- No factor C_n can stand before both terms: the second lacks 1/(n √(2λ)). At 2λ = n^{−2/5} both factors are
  C_n = n^{−4/5}, and without λ² before r² this is the formula that the paper goes on with.
- V/I is 1 for the logistic loss, and for the squared loss only if σ² = 1, which the paper's Theorem 2 presupposes.

The best ρ per group, at equal curvature, is then ∝ (qI)^{3/5}, for the squared loss ∝ (σ²)^{2/5} q^{3/5}.

The theorem asks that f* is flat (f*' = 0) at 0 and 1, and where ρ jumps, though it does not say so. Where it is not, a
layer of width w adds more than the formula has, n^{−3/5} instead of n^{−4/5}. Squared and integrated, it adds

    at an end:    w³ f*'² / 2,        at a jump:    E² (w_left + w_right) / 2,   E = 2λ (ρ_right − ρ_left) f*' / s,
                                      s = (qI·2λρ)_left^{1/2} + (qI·2λρ)_right^{1/2}.

`examples/theory.py` holds all this against simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_banded
from scipy.special import expit, logit

from skedastic.errors import UserError, unknown

Floats = NDArray[np.float64]
Loss = Literal["logistic", "squared"]

L_0 = 1 / 4  # ∫ exp(−2|t|) / 4 dt
MAX_STEPS = 200  # a saturated logit gains about 1 a step: enough for |f| up to some 200
TOLERANCE = 1e-9  # of a Newton step, relative to 1 + max |f|
ARMIJO = 1e-4  # the share of the predicted decrease that a damped step must reach
ROUNDING = 1e-13  # of the objective: a decrease below this can't be seen


@dataclass(frozen=True, eq=False)
class Smooth:
    """A fitted function, piecewise linear; call it with points t [...] to get its values [...].

    Between nodes it is a straight line, outside them constant.
    """

    nodes: Floats
    """The distinct x and the breaks of ρ, ascending, [m]."""
    values: Floats
    """f at the nodes, [m]; for the logistic loss the log-odds of y = 1."""
    objective: float
    """The minimum that was found, of equation 3."""
    steps: int
    """Newton steps taken, at least 1."""
    converged: bool
    """Whether the last step was negligible; if not, λ is so small that f grows beyond any use."""

    def __call__(self, t: ArrayLike) -> Floats:
        """Return f(t), of the shape of t."""
        return np.asarray(np.interp(np.asarray(t, dtype=np.float64), self.nodes, self.values))


class Prediction(NamedTuple):
    """The mean squared error that the theory predicts, ∫ E (f̂ − f*)² dt, in two parts."""

    squared_bias: float
    variance: float

    @property
    def mse(self) -> float:
        """Their sum."""
        return self.squared_bias + self.variance


def smooth(
    x: ArrayLike,
    y: ArrayLike,
    rho: ArrayLike,
    lam: float,
    *,
    breaks: ArrayLike = (),
    loss: Loss = "logistic",
    weights: ArrayLike | None = None,
) -> Smooth:
    """Return the minimizer of equation 3, in time and memory O(n) after sorting x.

    Args:
        x: positions in [0, 1], [n], in any order; several examples may share one.
        y: labels −1 and 1 for "logistic", real numbers for "squared", [n].
        rho: the value ρ > 0 of each group, [k]; one number where there are no breaks.
        lam: λ > 0.
        breaks: where the k groups meet, [k − 1], ascending, inside (0, 1).
        loss: "logistic", log(1 + exp(−y f)), or "squared", (y − f)² / 2.
        weights: of the examples, [n], at least 0; the loss is then Σ w_i ℓ_i / Σ w_i. None weighs all alike.

    Raises:
        UserError: a value is outside the range above or not finite, lengths differ, or all labels of the logistic
            loss are the same: f would grow without bound.
    """
    x, y, mass = _checked_examples(x, y, weights, loss)
    rho, cuts = _checked_groups(rho, lam, breaks)
    nodes, place = np.unique(np.concatenate([x, cuts]), return_inverse=True)
    place = place[: len(x)]
    total: Floats = np.asarray(
        np.bincount(place, mass, len(nodes)), np.float64
    )  # examples at one x are one of their weight and mean
    share = y if loss == "squared" else (y + 1) / 2
    mean: Floats = np.bincount(place, mass * share, len(nodes)) / np.where(total > 0, total, 1)
    # mass has mean 1, not sum 1, so that all entries of the Newton system are near 1
    with np.errstate(over="ignore"):
        inverse_stiffness = np.diff(nodes) / (2 * lam * rho[np.searchsorted(cuts, nodes[:-1], "right")] * len(x))
    if not np.isfinite(inverse_stiffness).all():
        rule = f"with rho down to {rho.min():g} it is 0 within rounding; make one larger"
        raise UserError(rule, setting="smooth: lam", value=lam)
    spread = float(np.average(0.5 * (y - mean[place]) ** 2, weights=mass)) if loss == "squared" else 0.0
    return _newton(nodes, total, mean, inverse_stiffness, LOSSES[loss], len(x), spread)


def predicted_mse(
    bend: ArrayLike,
    density: ArrayLike,
    information: ArrayLike,
    rho: ArrayLike,
    lam: float,
    n: int,
    *,
    score_variance: ArrayLike | None = None,
) -> Prediction:
    """Return Theorem 1's mean squared error as read above; all arrays [T] at points evenly over [0, 1], or numbers.

    It is the leading term as n grows. Not in it: layers where f* is steep at an end or at a jump of ρ (above), and a
    relative error of the order of the width w = (2λρ/qI)^{1/2} from the ends and from averaging over w.

    Args:
        bend: (ρ f*')', for piecewise constant ρ just ρ f*''. Points halfway between evenly spaced ones avoid the jumps.
        density: q > 0.
        information: I = E[ℓ''(f*) | x] > 0; 1 for the squared loss.
        rho: ρ > 0.
        lam: λ > 0.
        n: examples, at least 1.
        score_variance: V = E[ℓ'(f*)² | x], σ² for the squared loss; None takes I, right for the logistic loss.

    Raises:
        UserError: a value is outside its range or not finite, or shapes do not fit.
    """
    given = {"bend": bend, "density": density, "information": information, "rho": rho, "lam": lam, "n": n}
    given["score_variance"] = information if score_variance is None else score_variance
    arrays = {name: _numbers(f"predicted_mse: {name}", value) for name, value in given.items()}
    for name, array in arrays.items():
        if name != "bend":
            _refuse_where(array <= 0, array, f"predicted_mse: {name}", "must be above 0")
    try:
        b, q, i, r, _, _, v = np.broadcast_arrays(*arrays.values())
    except ValueError:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items() if array.ndim)
        rule = "they do not fit; give [T] or one number each"
        given_as = f"predicted_mse: got shapes {shapes}"
        raise UserError(rule, setting="predicted_mse", value=shapes, given=given_as) from None
    bias = np.mean((2 * lam * b / (q * i)) ** 2)
    return Prediction(float(bias), float(np.mean(L_0 * v / i / np.sqrt(q * i * 2 * lam * r)) / n))


class _LossTerms(NamedTuple):
    """A loss of f [m] where the mean of what is observed at each node is `mean` [m]."""

    value: Callable[[Floats, Floats], Floats]
    derivatives: Callable[[Floats, Floats], tuple[Floats, Floats]]
    """The first and the second in f."""
    best_constant: Callable[[float], float]


def _logistic(f: Floats, mean: Floats) -> Floats:
    """log(1 + e^f) − mean·f, such that nothing cancels where f is large; mean is the share of y = 1."""
    return np.maximum(f, 0) - mean * f + np.log1p(np.exp(-np.abs(f)))


def _logistic_derivatives(f: Floats, mean: Floats) -> tuple[Floats, Floats]:
    one, other = expit(f), expit(-f)
    return (1 - mean) * one - mean * other, one * other


LOSSES: dict[str, _LossTerms] = {
    "squared": _LossTerms(
        value=lambda f, mean: 0.5 * (f - mean) ** 2,
        derivatives=lambda f, mean: (f - mean, np.ones_like(f)),
        best_constant=float,
    ),
    "logistic": _LossTerms(_logistic, _logistic_derivatives, best_constant=lambda mean: float(logit(mean))),
}


def _newton(
    nodes: Floats, mass: Floats, mean: Floats, inverse_stiffness: Floats, loss: _LossTerms, n: int, spread: float
) -> Smooth:
    """Minimize Σ mass·ℓ(f, mean) + ½ Σ c g² by damped Newton steps, from the best constant.

    The penalty is computed from the flux g = Δf / c, of which a convex combination is taken as of f: no division by
    a small c. spread: what is to be added to the objective for examples that share an x.
    """
    c = inverse_stiffness

    def energy(f: Floats, g: Floats) -> float:
        return float(mass @ loss.value(f, mean) + 0.5 * c @ g**2)

    f = np.full_like(nodes, loss.best_constant(float(mass @ mean / mass.sum())))
    g = np.zeros_like(c)
    now, converged, steps = energy(f, g), False, 0
    while not converged and steps < MAX_STEPS:
        slope, curvature = (mass * derivative for derivative in loss.derivatives(f, mean))
        new_f, new_g = _solve(curvature, c, curvature * f - slope)
        df, dg = new_f - f, new_g - g
        decrease = float(slope @ df + (c * g) @ dg)  # the derivative along the step, below 0
        size = 1.0
        while (after := energy(f + size * df, g + size * dg)) > now + ARMIJO * size * decrease + ROUNDING * abs(now):
            size /= 2
        f, g, now, steps = f + size * df, g + size * dg, after, steps + 1
        converged = bool(np.abs(df).max() <= TOLERANCE * (1 + np.abs(f).max()))
    return Smooth(nodes, f, now / n + spread, steps, converged)


def _solve(curvature: Floats, c: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Solve curvature_i f_i + g_{i−1} − g_i = right_i, f_{i+1} − f_i − c_i g_i = 0 for f [m] and g [m − 1].

    Tridiagonal in the order f_0, g_0, f_1, g_1, …; symmetric but indefinite, so solved with pivoting.
    """
    size = len(curvature) + len(c)
    band = np.empty((3, size))
    band[0, 1::2], band[0, 2::2] = -1.0, 1.0  # above the diagonal: of row j in column j + 1
    band[1, ::2], band[1, 1::2] = curvature, -c
    band[2, :-1:2], band[2, 1:-1:2] = -1.0, 1.0
    band[0, 0] = band[2, -1] = 0.0
    full = np.zeros(size)
    full[::2] = right
    solution = solve_banded((1, 1), band, full, overwrite_ab=True, overwrite_b=True, check_finite=False)
    return solution[::2], solution[1::2]


def _numbers(place: str, values: ArrayLike) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"must be numbers; {error}", setting=place) from None
    _refuse_where(~np.isfinite(array), array, place, "must be finite")
    return array


def _refuse_where(wrong: NDArray[np.bool_], array: Floats, place: str, rule: str) -> None:
    """Raise UserError about the first value that is wrong, if any is."""
    if wrong.any():
        first = np.argwhere(wrong)[0]
        at = f"[{', '.join(map(str, first))}]" if len(first) else ""
        raise UserError(rule, setting=f"{place}{at}", value=float(array[tuple(first)]))


def _checked_examples(
    x: ArrayLike, y: ArrayLike, weights: ArrayLike | None, loss: str
) -> tuple[Floats, Floats, Floats]:
    """Return x, y and weights that sum to n, all [n]."""
    if loss not in LOSSES:
        raise unknown("loss", loss, LOSSES)
    x, y = _numbers("smooth: x", x), _numbers("smooth: y", y)
    w = np.ones_like(x) if weights is None else _numbers("smooth: weights", weights)
    if x.ndim != 1 or not len(x) or not x.shape == y.shape == w.shape:
        shapes = f"x {list(x.shape)}, y {list(y.shape)}" + ("" if weights is None else f", weights {list(w.shape)}")
        rule = "x, y and weights must be [n] with one n of at least 1"
        raise UserError(rule, setting="smooth", value=shapes, given=f"smooth: got shapes {shapes}")
    _refuse_where((x < 0) | (x > 1), x, "smooth: x", "must be in [0, 1]; rescale it")
    _refuse_where(w < 0, w, "smooth: weights", "must be at least 0")
    if not w.any():
        raise UserError("some must be above 0", setting="smooth: weights", value=0.0, given="smooth: all weights are 0")
    if loss == "logistic":
        _refuse_where(np.abs(y) != 1, y, "smooth: y", "the logistic loss takes −1 and 1 (2y − 1 of 0 and 1)")
        if len(seen := np.unique(y[w > 0])) < 2:
            rule, label = "f would grow without bound; give both classes", float(seen[0])
            raise UserError(rule, setting="smooth: y", value=label, given=f"smooth: all labels are {label:g}")
    return x, y, w * (len(x) / w.sum())


def _checked_groups(rho: ArrayLike, lam: float, breaks: ArrayLike) -> tuple[Floats, Floats]:
    """Return ρ [k] and breaks [k − 1]."""
    rho, cuts = np.atleast_1d(_numbers("smooth: rho", rho)), _numbers("smooth: breaks", breaks)
    if cuts.ndim != 1 or (np.diff(cuts, prepend=0.0, append=1.0) <= 0).any():
        raise UserError("they must ascend, each inside (0, 1)", setting="smooth: breaks", value=cuts.tolist())
    if rho.shape != (len(cuts) + 1,):
        rule, shape = f"{len(cuts)} breaks make {len(cuts) + 1} groups", list(rho.shape)
        raise UserError(rule, setting="smooth: rho", value=shape, given=f"smooth: rho of shape {shape}")
    _refuse_where(rho <= 0, rho, "smooth: rho", "must be above 0")
    if (level := _numbers("smooth: lam", lam)).ndim or level <= 0:
        raise UserError("must be one number above 0", setting="smooth: lam", value=level.tolist())
    return rho, cuts
