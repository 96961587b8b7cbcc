"""What `theory.py` draws data from, the theory's prediction for it, and the searches for the best ρ.

The truth f* is made of half cosine waves, all with the same largest |f*''|, from level to level: the curvature is the
same in every group, which the paper's weights assume, and f* is flat where waves meet, which Theorem 1 needs at the
ends and where ρ jumps. For the logistic loss I depends on f*, so groups differ in I by the level that f* swings about;
the wave that leads from one level to the next lies in the group with the smaller I.

λ is 1 throughout: only λρ matters. "Same n" in the table is the theory without its last step, the limit of large n:
the same linearization, with the ends, the averaging and the jumps of ρ as they are (`Setting.linearized`). What
separates it from the theorem is finite n; what separates it from the simulation is that the loss is not quadratic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from smoothing import L_0, Loss, predicted_mse, smooth

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
    note: str = ""


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
        """Return what steep ends and jumps of ρ add to it (the docstring of `smoothing.py`)."""
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
        """Return E (f̂ − f*)² for qI(f − f*) − 2(ρf')' = noise at this n, solved on every so many of GRID's points."""
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
    optimum = minimize_scalar(
        lambda log_scale: np.log(objective(np.exp(log_scale) * rho)),
        bounds=(centre - 6, centre + 6),
        method="bounded",
        options={"xatol": tolerance},
    )
    return np.exp(optimum.x) * rho


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
