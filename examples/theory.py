"""HAR's theory (section 2.2) against simulation: a figure and a table, in about two minutes on one core.

    python examples/theory.py [--out runs/theory] [--quick]

Writes figure.html and table.csv and prints the table. `docs/theory.md` says what came out.

The truth f* is made of half cosine waves, all with the same largest |f*''|, from level to level: the curvature is the
same in every group, which the paper's weights assume, and f* is flat where waves meet, which Theorem 1 needs at the
ends and where ρ jumps. For the logistic loss I depends on f*, so groups differ in I by the level that f* swings about;
the wave that leads from one level to the next lies in the group with the smaller I.

λ is 1 throughout: only λρ matters. "Same n" in the table is the theory without its last step, the limit of large n:
the same linearization, with the ends, the averaging and the jumps of ρ as they are (`Setting.linearized`). What
separates it from the theorem is finite n; what separates it from the simulation is that the loss is not quadratic.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit
from torch import Tensor, nn

from skedastic.core.jacobian import JacobianPenalty, regularized_loss
from skedastic.smoothing import L_0, Loss, predicted_mse, smooth
from theory_figure import Cost, Curve, Found, Network, draw

Floats = NDArray[np.float64]
GRID = (np.arange(1500) + 0.5) / 1500  # where errors are averaged over [0, 1]
FINE = 0.01  # tolerance of log ρ in searches over linearized errors, which are without noise
COARSE = 3  # searches over linearized errors take every third point; at a million, ρ is off by up to 3 % for it
LARGE = 1_000_000  # the n that shows where "same n" is going


class Row(NamedTuple):
    """A line of the table; numbers that do not apply are None."""

    part: str
    what: str
    simulated: float
    spread: float | None
    same_n: float | None
    theory: float | None
    remark: str = ""


# ---------------------------------------------------------------------------------------------------------------------
# The truth, the data, the theory


@dataclass(frozen=True)
class Waves:
    """Half cosine waves from level to level, as wide as gives them the same largest |f''|, or those in `bends`.

    Only the part from `start` to `stop` is seen, stretched to [0, 1].
    """

    levels: Sequence[float]
    start: float = 0.0
    stop: float = 1.0
    bends: Sequence[float] = (1.0,)  # relative largest |f''| of each wave; one number for all

    @cached_property
    def edges(self) -> Floats:
        """Where the waves meet, unstretched, [waves + 1]."""
        widths = np.sqrt(np.abs(np.diff(self.levels)) / np.array(self.bends))
        return np.concatenate([[0.0], np.cumsum(widths) / widths.sum()])

    def cut(self, *waves: int) -> Floats:
        """Return where the waves of these numbers begin."""
        return (self.edges[list(waves)] - self.start) / (self.stop - self.start)

    def at(self, t: Floats, derivative: int = 0) -> Floats:
        """Return f, f' or f'' at t."""
        u = self.start + (self.stop - self.start) * np.asarray(t)
        wave = np.clip(np.searchsorted(self.edges, u, "right") - 1, 0, len(self.levels) - 2)
        width, begin, rise = np.diff(self.edges)[wave], self.edges[wave], np.diff(self.levels)[wave]
        phase, speed = np.pi * (u - begin) / width, np.pi * (self.stop - self.start) / width
        if derivative == 0:
            return np.asarray(self.levels)[wave] + rise * (1 - np.cos(phase)) / 2
        return rise / 2 * (speed * np.sin(phase) if derivative == 1 else speed**2 * np.cos(phase))


@dataclass(frozen=True)
class Setting:
    """What the data are drawn from: a truth, and the density (and noise) of each of k groups."""

    truth: Waves
    n: int
    cuts: Floats = field(default_factory=lambda: np.empty(0))
    share: Sequence[float] = (1.0,)  # relative density
    noise: Sequence[float] | None = None  # variance σ² [k]: squared loss; None: logistic

    @property
    def loss(self) -> Loss:
        """The loss of equation 3."""
        return "logistic" if self.noise is None else "squared"

    @cached_property
    def density(self) -> Floats:
        """q [k]."""
        return np.array(self.share) / (np.array(self.share) @ self.widths)

    @cached_property
    def widths(self) -> Floats:
        """Of the groups, [k]."""
        return np.diff(self.cuts, prepend=0.0, append=1.0)

    @cached_property
    def group(self) -> NDArray[np.int64]:
        """The group of each point of the grid."""
        return np.searchsorted(self.cuts, GRID, "right")

    @cached_property
    def f(self) -> Floats:
        """The truth on the grid."""
        return self.truth.at(GRID)

    def information_at(self, t: Floats) -> Floats:
        """Return I at t."""
        f = self.truth.at(t)
        return expit(f) * expit(-f) if self.noise is None else np.ones_like(f)

    @cached_property
    def information(self) -> Floats:
        """I on the grid."""
        return self.information_at(GRID)

    @cached_property
    def score_variance(self) -> Floats:
        """V on the grid."""
        return self.information if self.noise is None else np.array(self.noise)[self.group]

    def mean(self, values: Floats) -> Floats:
        """Return the mean over each group, [k], of values on the grid."""
        return np.array([values[self.group == g].mean() for g in range(len(self.share))])

    def draw(self, *seed: int) -> tuple[Floats, Floats]:
        """Return x and y, [n]."""
        rng = np.random.default_rng(seed)
        groups = rng.choice(len(self.share), self.n, p=self.density * self.widths)
        x = np.clip(np.append(0.0, self.cuts)[groups] + self.widths[groups] * rng.random(self.n), 0, 1)
        f = self.truth.at(x)
        if self.noise is None:
            return x, np.where(rng.random(self.n) < expit(f), 1.0, -1.0)
        return x, f + np.sqrt(np.array(self.noise))[groups] * rng.standard_normal(self.n)

    def errors(self, rho: Floats, data: tuple[Floats, Floats]) -> Floats:
        """Return the squared error of the fit on the grid."""
        fit = smooth(*data, rho, 1.0, breaks=self.cuts, loss=self.loss)
        return (fit(GRID) - self.f) ** 2

    def theorem(self, rho: Floats, where: slice = slice(None)) -> float:
        """Return Theorem 1's mean squared error, over a part of the grid."""
        r, q, bend = np.asarray(rho)[self.group], self.density[self.group], self.truth.at(GRID, 2)
        v = self.score_variance[where]
        local = (r * bend)[where], q[where], self.information[where], r[where]
        return predicted_mse(*local, 1.0, self.n, score_variance=v).mse

    def layers(self, rho: Floats) -> float:
        """Return what steep ends and jumps of ρ add to it (the docstring of `skedastic.smoothing`)."""
        b, ends = 2 * np.asarray(rho), np.array([0.0, *self.cuts, 1.0])
        first, last = (self.density * self.information_at(x) for x in (ends[:-1] + 1e-9, ends[1:] - 1e-9))
        steep = self.truth.at(ends, 1) ** 2
        left, right = (last[:-1], b[:-1]), (first[1:], b[1:])  # qI and 2λρ on either side of each cut
        jump = (
            (right[1] - left[1]) ** 2 * steep[1:-1] / (np.sqrt(left[0] * left[1]) + np.sqrt(right[0] * right[1])) ** 2
        )
        at_ends = (b[0] / first[0]) ** 1.5 * steep[0] + (b[-1] / last[-1]) ** 1.5 * steep[-1]
        return float(at_ends + jump @ (np.sqrt(left[1] / left[0]) + np.sqrt(right[1] / right[0]))) / 2

    def linearized(self, rho: Floats, every: int = 1) -> Floats:
        """Return E (f̂ − f*)² for qI(f − f*) − 2(ρf')' = noise at this very n, solved on every so many of GRID's points."""
        points = slice(every // 2, None, every)  # again halfway between evenly spaced ones
        f, group, score = self.f[points], self.group[points], self.score_variance[points]
        size, a, b = len(f), self.density[group] * self.information[points], 2 * np.asarray(rho)[group]
        stiffness = 2 / (1 / b[1:] + 1 / b[:-1]) * size**2
        band = np.zeros((2, size))
        band[0, 1:] = -stiffness
        band[1] = a + np.append(stiffness, 0) + np.append(0, stiffness)
        flux = stiffness * np.diff(f)
        solved = solveh_banded(band, np.column_stack([np.eye(size), np.append(flux, 0) - np.append(0, flux)]))
        return solved[:, -1] ** 2 + solved[:, :-1] ** 2 @ (self.density[group] * score) * size / self.n

    def linearized_mse(self, rho: Floats) -> float:
        """Return the mean of `linearized` on the coarse grid, for searches."""
        return float(self.linearized(rho, COARSE).mean())

    def theory_rho(self) -> Floats:
        """Return the ρ [k] that minimizes Theorem 1's formula, I and f*'' as they vary within the groups."""
        qi = self.density[self.group] * self.information
        bias = self.mean((2 * self.truth.at(GRID, 2) / qi) ** 2)
        variance = self.mean(L_0 * self.score_variance / self.information / np.sqrt(2 * qi)) / self.n
        return (variance / (4 * bias)) ** 0.4

    def paper_rho(self) -> Floats:
        """Return the paper's weights up to a factor, q^{3/5} I^{3/5}; for the squared loss (σ²)^{2/5} q^{3/5}."""
        if self.noise is None:
            return (self.density * self.mean(self.information)) ** 0.6
        return np.array(self.noise) ** 0.4 * self.density**0.6


def best_scale(objective: Callable[[Floats], float], rho: Floats, tolerance: float = 0.05) -> Floats:
    """Return the multiple of ρ [k] with the smallest objective, sought over five orders of magnitude."""
    centre = np.log(3e-5) - np.log(rho).mean()
    found = minimize_scalar(
        lambda log_scale: np.log(objective(np.exp(log_scale) * rho)),
        bounds=(centre - 6, centre + 6),
        method="bounded",
        options={"xatol": tolerance},
    )
    return np.exp(found.x) * rho


def best_rho(objective: Callable[[Floats], float], start: Floats, tolerance: float = 0.05) -> Floats:
    """Return the ρ [k] with the smallest objective: Nelder and Mead's search in log ρ."""
    at = np.log(start)
    options = {"initial_simplex": np.vstack([at, at + 0.7 * np.eye(len(at))])}
    options |= {"xatol": tolerance, "fatol": tolerance**2 / 5}
    return np.exp(minimize(lambda log: np.log(objective(np.exp(log))), at, method="Nelder-Mead", options=options).x)


def mean_error(values: Sequence[float] | Floats) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def log_slope(n: Floats, means: Floats, errors: Floats) -> tuple[float, float]:
    """Return the slope of log mean on log n by least squares, and its standard error."""
    off = np.log(n) - np.log(n).mean()
    weights = off / (off @ off)
    return float(weights @ np.log(means)), float(np.sqrt(((weights * errors / means) ** 2).sum()))


# ---------------------------------------------------------------------------------------------------------------------
# 1. Theorem 1 over n and over ρ


def over_n(quick: bool) -> tuple[list[Row], list[Curve]]:
    """Theorem 1 where f* is flat at the ends, and where it is not; λ ∝ n^{−2/5}."""
    runs = [(1000, 300), (4000, 100), (16_000, 40), (64_000, 20), (256_000, 10), (1_024_000, 6)]
    runs = [(n, max(4, r // 6)) for n, r in runs[:4]] if quick else runs
    flat = Setting(Waves([-1, 1, -1, 1, -1]), 0)
    steep = Setting(Waves([-1, 1, -1, 1, -1], 0.125, 0.875), 0)
    jump = Setting(Waves([-1, 1, -1, 1]), 0, np.array([0.5]), (1.0, 1.0))
    whole, inner = slice(None), slice(150, 1350)
    rows, curves = [], []
    for setting, tilt, parts, sizes in (
        (flat, (1.0,), {"f* flat at the ends": whole}, runs),
        (steep, (1.0,), {"f* steep at the ends": whole, "the same, over [0.1, 0.9] only": inner}, runs[:5]),
        (jump, (8**-0.5, 8**0.5), {"ρ jumps by 8 where f* is steep": whole}, runs[:5]),
    ):
        errors: dict[int, Floats] = {}
        points: dict[str, list[tuple[float, ...]]] = {name: [] for name in parts}
        for n, repeats in sizes:
            s = replace(setting, n=n)
            rho = s.theory_rho().mean() * np.array(tilt)
            errors[n] = np.array([s.errors(rho, s.draw(1, n, k)) for k in range(repeats)])
            same_n = s.linearized(rho)
            for name, part in parts.items():
                theorem = s.theorem(rho, part)
                layers = theorem + s.layers(rho) if part is whole else np.nan
                points[name].append((theorem, layers, float(same_n[part].mean())))
        for name, part in parts.items():
            simulated, spread = over_sizes({n: e[:, part].mean(1) for n, e in errors.items()})
            curves.append(Curve(name, np.array(list(errors), float), simulated, spread, *np.array(points[name]).T))
            rows += rate_rows(curves[-1])
    return rows, curves


def over_sizes(errors: dict[int, Floats]) -> tuple[Floats, Floats]:
    """Return the mean error at each n and its standard error, pooled over n, since there are few repeats at the largest.

    The relative standard deviation of one fit goes with the root of the width, n^{−1/10}.
    """
    means = np.array([e.mean() for e in errors.values()])
    off = [n**0.1 * (e / e.mean() - 1) for n, e in errors.items()]
    freedom = sum(len(e) - 1 for e in off)
    pooled = np.sqrt(sum(float(e @ e) for e in off) / freedom)
    return means, np.array(
        [m * pooled * n**-0.1 / np.sqrt(len(e)) for m, (n, e) in zip(means, errors.items(), strict=True)]
    )


def rate_rows(curve: Curve) -> Iterator[Row]:
    """Yield the slope of an error over n, and how far the largest n is from the formula."""
    n, exact = curve.x, np.zeros_like(curve.x)
    slope, spread = log_slope(n, curve.simulated, curve.spread)
    layered = not np.isnan(curve.layers).any() and not np.allclose(curve.layers, curve.theorem)
    remark = f"formula with layers {log_slope(n, curve.layers, exact)[0]:.3f}; its limit is −0.6" if layered else ""
    yield Row("1 over n", f"{curve.name}: slope", slope, spread, log_slope(n, curve.same_n, exact)[0], -0.8, remark)
    simulated, spread, same_n, layers = (
        values[-1] / curve.theorem[-1] for values in (curve.simulated, curve.spread, curve.same_n, curve.layers)
    )
    remark = f"formula with layers {layers:.3f}" if layered else ""
    what = f"{curve.name}: MSE / formula at n = {n[-1]:,.0f}"
    yield Row("1 over n", what, simulated, spread, same_n, 1.0, remark)


def over_rho(quick: bool) -> tuple[list[Row], Curve]:
    """Theorem 1 at one n, ρ from a sixteenth to sixteen times the best."""
    s = Setting(Waves([-1, 1, -1, 1, -1]), 16_000)
    factors, repeats = 2.0 ** np.arange(-4, 5), 6 if quick else 30
    data = [s.draw(2, k) for k in range(repeats)]
    points = []
    for factor in factors:
        rho = factor * s.theory_rho()
        sim = mean_error([float(s.errors(rho, d).mean()) for d in data])
        points.append((factor, *sim, s.theorem(rho), s.theorem(rho) + s.layers(rho), float(s.linearized(rho).mean())))
    curve = Curve(f"n = {s.n:,}", *np.array(points).T)
    rows = []
    for k in (0, 2, 4, 6, 8):
        simulated, spread, same = (v[k] / curve.theorem[k] for v in (curve.simulated, curve.spread, curve.same_n))
        rows.append(Row("1 over ρ", f"MSE / formula at {factors[k]:g} × its best ρ", simulated, spread, same, 1.0))
    return rows, curve


# ---------------------------------------------------------------------------------------------------------------------
# 2. The best ρ of groups, and what other choices cost


class Search(NamedTuple):
    """How much is simulated for one search: `repeats` searches, each on the same `sets` data sets throughout."""

    repeats: int
    sets: int
    fresh: int  # data sets for comparing choices
    compare: bool


def relative(rho: Floats) -> Floats:
    """Return ρ relative to the first group's."""
    return np.asarray(rho) / rho[0]


def simulated_mse(s: Setting, data: Sequence[tuple[Floats, Floats]]) -> Callable[[Floats], float]:
    """Return the mean squared error over the data sets as a function of ρ [k]."""
    return lambda rho: float(np.mean([s.errors(rho, d) for d in data]))


def find(name: str, number: int, s: Setting, search: Search) -> tuple[Found, dict[str, Floats]]:
    """Seek the best ρ; return it, and the ρ [k] of every choice, each the geometric mean over the repeats.

    The choices: the best ρ; the paper's weights, uniform ρ, and uniform per example (τ = ρ/q), each at its best λ.
    """
    choices = {"paper's weights": s.paper_rho(), "uniform per example": s.density} if search.compare else {}
    logs: dict[str, list[Floats]] = {choice: [] for choice in ("best", "uniform ρ", *choices)}
    for r in range(search.repeats):
        objective = simulated_mse(s, [s.draw(3, number, r, d) for d in range(search.sets)])
        uniform = best_scale(objective, np.ones(len(s.share)))
        logs["uniform ρ"].append(np.log(uniform))
        logs["best"].append(np.log(best_rho(objective, uniform)))  # from there: nothing of the theory is put in
        for choice, shape in choices.items():
            logs[choice].append(np.log(best_scale(objective, shape)))
    ratios = np.array([log - log[0] for log in logs["best"]])
    same, large = (relative(best_rho(at.linearized_mse, at.theory_rho(), FINE)) for at in (s, replace(s, n=LARGE)))
    spread = ratios.std(0, ddof=1) / np.sqrt(len(ratios))
    theory, paper = relative(s.theory_rho()), relative(s.paper_rho())
    found = Found(name, s.noise is None, np.exp(ratios.mean(0)), spread, same, large, theory, paper)
    return found, {choice: np.exp(np.mean(v, axis=0)) for choice, v in logs.items()}


def costs(found: Found, number: int, s: Setting, search: Search, chosen: dict[str, Floats]) -> list[Cost]:
    """Compare the choices of `find`, and no regularization, with the best ρ on fresh data."""
    fresh = [s.draw(4, number, d) for d in range(search.fresh)]
    # the logistic f̂ is infinite without: a thousandth of the best uniform ρ stands for it
    none, factor = ("uniform ρ, a thousandth", 1e-3) if s.noise is None else ("none", 1e-9)
    errors = {
        choice: np.array([s.errors(rho, d).mean() for d in fresh])
        for choice, rho in (chosen | {none: factor * chosen["uniform ρ"]}).items()
    }
    best = errors.pop("best")
    best_linear = s.linearized_mse(best_scale(s.linearized_mse, found.same_n, FINE))
    result = []
    for choice, error in errors.items():
        ratio = float(error.mean() / best.mean())
        spread = mean_error(error - ratio * best)[1] / float(best.mean())
        scaled = None if choice == none else best_scale(s.linearized_mse, chosen[choice], FINE)
        same = None if scaled is None else s.linearized_mse(scaled) / best_linear
        result.append(Cost(found.name, choice, ratio, spread, same))
    return result


A = 0.75  # half the height of a wave
TWO = Waves([-A, A, -A, A, -A])  # two groups alike, each with two waves
APART = Waves([-A, A, -A, A, 3 + A, 3 - A, 3 + A, 3 - A])  # about 0, then about 3, and the way there
FOUR = Waves([-A, A, -A, A, 2.5 + A, 2.5 - A, 2.5 + A, 2.5 - A, 2.5 + A, 2.5 - A, A, -A, A, -A])
STEEP = Waves([-A, A, -A, A])  # cut at 1/2, where it is steepest
CURVED = replace(TWO, bends=(1, 1, 4, 4))  # waves of one height, the second group's half as wide


def groups(quick: bool) -> tuple[list[Row], list[Found], list[Cost]]:
    """Best ρ against q^{3/5} I^{3/5}, regression against (σ²)^{2/5} q^{3/5}; and what other choices cost."""
    n = 10_000
    cases: list[tuple[str, Setting, bool]] = [
        ("q 10:1", Setting(TWO, n, TWO.cut(2), (10, 1)), False),
        ("I 3.5:1", Setting(APART, n, APART.cut(3), (1, 1)), False),
        ("q 6:1, I 3.5:1", Setting(APART, n, APART.cut(3), (6, 1)), True),
        ("four groups", Setting(FOUR, 2 * n, FOUR.cut(3, 6, 10), (6, 6, 1, 1)), True),
        ("q 10:1, f* steep at the border", Setting(STEEP, n, np.array([0.5]), (10, 1)), True),
        ("regression, q 10:1", Setting(TWO, n, TWO.cut(2), (10, 1), (1, 1)), False),
        ("regression, σ² 1:16", Setting(TWO, n, TWO.cut(2), (1, 1), (0.25, 4)), False),
        ("regression, q 10:1, σ² 1:16", Setting(TWO, n, TWO.cut(2), (10, 1), (0.25, 4)), True),
        ("regression, q 10:1, σ² 16:1", Setting(TWO, n, TWO.cut(2), (10, 1), (4, 0.25)), True),
        ("regression, |f*''| 1:4", Setting(CURVED, n, CURVED.cut(2), (1, 1), (1, 1)), True),
    ]
    rows, all_found, all_costs = [], [], []
    for number, (name, s, compare) in enumerate(cases):
        search = Search(2, 1, 4, compare) if quick else Search(4, 4, 24, compare)
        found, chosen = find(name, number, s, search)
        all_found.append(found)
        rows += best_rows(found)
        if compare:
            all_costs += costs(found, number, s, search, chosen)
    known = {found.name: found for found in all_found}
    mean_i = Setting(APART, n, APART.cut(3), (1, 1))
    varied = float(np.divide(*mean_i.mean(mean_i.information)))
    rows += [
        exponent_row("2 best ρ", "exponent of q", known["q 10:1"], 10, 0.6),
        exponent_row("2 best ρ", "exponent of I (mean of the group)", known["I 3.5:1"], varied, 0.6),
        exponent_row("3 best ρ, regression", "exponent of q", known["regression, q 10:1"], 10, 0.6),
        exponent_row("3 best ρ, regression", "exponent of σ²", known["regression, σ² 1:16"], 1 / 16, 0.4),
    ]
    part = "4 MSE / optimal"
    rows += [Row(part, f"{c.setting}: {c.choice}", c.ratio, c.spread, c.same_n, None) for c in all_costs]
    return rows, all_found, all_costs


def best_rows(found: Found) -> Iterator[Row]:
    """Yield the best ρ of every group but the first, relative to the first's."""
    for g in range(1, len(found.paper)):
        ratio, spread = found.simulated[g], found.simulated[g] * found.spread[g]
        remark = f"formula's best {found.theory[g]:.3f}; same n at a million {found.large_n[g]:.3f}"
        part = "2 best ρ" if found.logistic else "3 best ρ, regression"
        what = f"{found.name}: ρ_{g + 1} / ρ_1"
        yield Row(part, what, ratio, spread, found.same_n[g], found.paper[g], remark)


def exponent_row(part: str, what: str, found: Found, first_over_second: float, theory: float) -> Row:
    """Return the exponent that a ratio of best ρ says, where only one thing differs between two groups."""
    scale = -np.log(first_over_second)
    simulated, same, large, formula = (
        float(np.log(v[1]) / scale) for v in (found.simulated, found.same_n, found.large_n, found.theory)
    )
    remark = f"formula's best {formula:.3f}; same n at a million {large:.3f}"
    return Row(part, what, simulated, float(found.spread[1] / abs(scale)), same, theory, remark)


# ---------------------------------------------------------------------------------------------------------------------
# 5. Figure 3's example: a three-layer network

LEFT, RIGHT = (160, 0.05), (30, 0.5)  # examples and σ: frequent, oscillating, clean; rare, slow, noisy
STEPS = 1500
NET_GRID = np.linspace(0, 1, 801)


def figure_3_truth(x: Floats) -> Floats:
    """Return four short waves on the left half, one slow one on the right."""
    return np.where(x < 0.5, 0.8 * np.sin(16 * np.pi * x), np.sin(2 * np.pi * (x - 0.5)))


class Stack(nn.Module):
    """M linear layers side by side, for M networks at once: inputs [M·n, in] to outputs [M·n, out], network by network."""

    def __init__(self, networks: int, inputs: int, outputs: int, reach: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(networks, inputs, outputs).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(networks, 1, outputs).uniform_(-reach, reach))

    def forward(self, x: Tensor) -> Tensor:
        """Return all networks' outputs."""
        each = x.view(len(self.weight), -1, x.shape[1])
        return torch.baddbmm(self.bias, each, self.weight).flatten(0, 1)


def train(x: Floats, y: Floats, strength: Floats, penalized: str) -> Floats:
    """Return M networks 1-64-64-1 on NET_GRID, [M, 801], trained side by side; x, y, strength [M, n].

    penalized: "loss" is the paper's R (equation 6), of ∂ℓ/∂h at both hidden layers; "output" is that of ∂f/∂h.
    """
    torch.manual_seed(5)
    count = len(x)
    # first weights in (−20, 20), so that the short waves are within reach of the steps
    layers = [Stack(count, 1, 64, 20.0), nn.Tanh(), Stack(count, 64, 64, 0.125), nn.Tanh(), Stack(count, 64, 1, 0.125)]
    net = nn.Sequential(*layers)
    inputs = torch.tensor(2 * x - 1, dtype=torch.float32).view(-1, 1)
    target, s = (torch.tensor(v, dtype=torch.float32).flatten() for v in (y, strength))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    exact = JacobianPenalty(gradient="exact")

    def squared(out: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (out[:, 0] - y) ** 2

    def output(out: Tensor, y: Tensor) -> Tensor:
        return out[:, 0]

    for _ in range(STEPS):
        if penalized == "loss":
            total = regularized_loss(net, inputs, target, s, loss=squared, penalty=exact, taps=["1", "3"]).total
        else:  # (1/B) Σ (f + s R) − (1/B) Σ f is the penalty alone
            total = regularized_loss(net, inputs, target, s, loss=output, penalty=exact, taps=["1", "3"]).total
            out = net(inputs)
            total = total - out.mean() + squared(out, target).mean()
        optimizer.zero_grad()
        (count * total).backward()  # the sum over networks: each learns as if alone
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        grid = torch.tensor(2 * NET_GRID - 1, dtype=torch.float32).repeat(count)
        return net(grid[:, None]).view(count, -1).double().numpy()


def network(quick: bool) -> tuple[list[Row], list[Network]]:
    """Weak everywhere, strong everywhere, and adaptive: weak where data are frequent and clean, strong elsewhere.

    Adaptive λτ ∝ (σ²)^{2/5} q^{−2/5} with the true σ² and q, the larger as given; weak and strong are its two values.
    """
    seeds = 1 if quick else 4
    count, sigma = np.array([LEFT[0], RIGHT[0]]), np.array([LEFT[1], RIGHT[1]])
    side = np.repeat([0, 1], count)
    tau = sigma**0.8 * count**-0.4 / (sigma**0.8 * count**-0.4).max()
    data = []
    for seed in range(seeds):
        rng = np.random.default_rng((5, seed))
        x = (side + rng.random(len(side))) / 2
        data.append((x, figure_3_truth(x) + sigma[side] * rng.standard_normal(len(side))))
    truth = figure_3_truth(NET_GRID)
    rows, drawn = [], []
    for penalized, largest in (("loss", 0.75), ("output", 0.1)):
        low, high = largest * tau
        choices = {"weak": (low, low), "strong": (high, high), "adaptive": (low, high)}
        values = {"weak": f"{low:.3g}", "strong": f"{high:.3g}", "adaptive": f"{low:.3g} and {high:.3g}"}
        runs = [(x, y, np.array(strength)[side]) for strength in choices.values() for x, y in data]
        fitted = train(*(np.stack(column) for column in zip(*runs, strict=True)), penalized)
        by_choice = dict(zip(choices, fitted.reshape(len(choices), seeds, -1), strict=True))
        symbol = "∂ℓ/∂h" if penalized == "loss" else "∂f/∂h"
        for choice, f in by_choice.items():
            error = (f - truth) ** 2
            for half, part in (("left", error[:, NET_GRID < 0.5]), ("right", error[:, NET_GRID > 0.5])):
                mean, spread = mean_error(part.mean(1)) if seeds > 1 else (float(part.mean()), None)
                what = f"penalty on {symbol}, {choice} ({values[choice]}): MSE, {half} half"
                rows.append(Row("5 network", what, mean, spread, None, None))
        right = ((fitted.reshape(len(choices), seeds, -1) - truth) ** 2)[:, :, NET_GRID > 0.5].mean(2)
        gain, spread = mean_error(right[2] - right[0]) if seeds > 1 else (float(right[2, 0] - right[0, 0]), None)
        rows.append(Row("5 network", f"penalty on {symbol}: adaptive less weak, right half", gain, spread, None, None))
        first = {f"{choice} ({values[choice]})": f[0] for choice, f in by_choice.items()}
        drawn.append(Network(symbol, *data[0], NET_GRID, truth, first))
    return rows, drawn


# ---------------------------------------------------------------------------------------------------------------------
# The table


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    width = max(len(row.what) for row in rows)
    print(f"{'':{width}s}  simulated   ± s.e.   same n   theory")
    part = ""
    for row in rows:
        if row.part != part:
            part = row.part
            print(f"\n{part}")
        cells = [f"{'' if v is None else format(v, '.4g'):>8s}" for v in (row.spread, row.same_n, row.theory)]
        print(f"{row.what:{width}s}  {row.simulated:9.4g} {' '.join(cells)}  {row.remark}".rstrip())


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/theory"), help="the folder to write to")
    parser.add_argument("--quick", action="store_true", help="fewer simulations, to see that it runs; not to be quoted")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.perf_counter()
    over_n_rows, curves = over_n(arguments.quick)
    print(f"Theorem 1 over n: {time.perf_counter() - begin:.0f} s", flush=True)
    over_rho_rows, rho_curve = over_rho(arguments.quick)
    group_rows, found, cost = groups(arguments.quick)
    print(f"groups: {time.perf_counter() - begin:.0f} s", flush=True)
    network_rows, networks = network(arguments.quick)
    rows = [*over_n_rows, *over_rho_rows, *group_rows, *network_rows]
    rows.sort(key=lambda row: row.part)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(rows)
    draw(curves, rho_curve, found, cost, networks).write_html(arguments.out / "figure.html", include_plotlyjs=True)
    show(rows)
    print(
        f"\n{time.perf_counter() - begin:.0f} s, {time.process_time():.0f} s of them computing; wrote figure.html and table.csv to {arguments.out}"
    )


if __name__ == "__main__":
    main()
