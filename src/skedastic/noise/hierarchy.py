"""Averaging over the parameters that many groups share, when the groups themselves must tell these (empirical Bayes).

Plugging in the likeliest common values makes intervals far too short where there are few groups or they are alike. So
they are averaged over on a grid around their mode, in the directions of the curvature there (Kass and Steffey,
"Approximate Bayesian inference in conditionally independent hierarchical models", 1989).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.differentiate import hessian
from scipy.optimize import minimize

Floats = NDArray[np.float64]

GRID_POINTS = 13  # along each of the two axes
GRID_REACH = 4.0  # standard deviations either side of the mode
WIDEST = 2.0  # a standard deviation in a direction that the data hardly determine


def grid(
    log_posterior: Callable[[Floats], Floats], start: Floats, bounds: Sequence[tuple[float, float]]
) -> tuple[Floats, Floats]:
    """Return points [2, H] that cover a posterior of two values, and their probabilities [H].

    Parameters
    ----------
    log_posterior : callable
        The log density, less a constant, of points [2, ...]: [...].
    start : ndarray
        The point where the search for the mode begins, [2].
    bounds : sequence of (float, float)
        The least and the largest coordinates of the mode.
    """

    def descent(point: Floats) -> float:
        return -float(log_posterior(point))

    mode = minimize(descent, start, method="L-BFGS-B", bounds=bounds).x
    curvature, axes = np.linalg.eigh(-hessian(log_posterior, mode, order=2, maxiter=1, initial_step=0.05).ddf)
    deviations = 1 / np.sqrt(np.maximum(curvature, WIDEST**-2))
    ticks = np.linspace(-GRID_REACH, GRID_REACH, GRID_POINTS)
    steps = np.stack(np.meshgrid(ticks, ticks)).reshape(2, -1)
    points = mode[:, None] + axes @ (deviations[:, None] * steps)
    log_weight = log_posterior(points)
    weight = np.exp(log_weight - log_weight.max())
    return points, weight / weight.sum()
