"""Equation 3 of HAR written literally: values at every node, summed and integrated, minimized by dense Newton steps."""

import itertools
import math

import numpy as np


def integral(nodes, values, rho, breaks):
    """∫ ρ f'² of the straight lines between the nodes, one element at a time, cut where ρ changes."""
    total = 0.0
    for left, right, f_left, f_right in zip(nodes, nodes[1:], values, values[1:], strict=False):
        slope = (f_right - f_left) / (right - left)
        cuts = [left, *[b for b in breaks if left < b < right], right]
        for start, end in itertools.pairwise(cuts):
            group = sum(b <= (start + end) / 2 for b in breaks)
            total += rho[group] * slope**2 * (end - start)
    return total


def objective(nodes, values, x, y, rho, lam, breaks, loss, weights=None):
    """(1/n) Σ ℓ(f(x_i), y_i) + λ ∫ ρ f'², or with weights Σ w_i ℓ_i / Σ w_i."""
    weights = [1.0] * len(x) if weights is None else weights
    total = 0.0
    for a, label, w in zip(np.interp(x, nodes, values), y, weights, strict=True):
        total += w * (math.log(1 + math.exp(-label * a)) if loss == "logistic" else 0.5 * (label - a) ** 2)
    return total / sum(weights) + lam * integral(nodes, values, rho, breaks)


def matrices(nodes, x, rho, lam, breaks):
    """The values at x as a matrix [n, m] of those at the nodes, and the Hessian [m, m] of the penalty."""
    at_x = np.stack([np.interp(x, nodes, unit) for unit in np.eye(len(nodes))], axis=1)
    stiffness = np.zeros((len(nodes), len(nodes)))
    for e in range(len(nodes) - 1):
        width = nodes[e + 1] - nodes[e]
        row = np.zeros(len(nodes))
        row[e], row[e + 1] = -1 / width, 1 / width
        group = sum(b <= nodes[e] for b in breaks)
        stiffness += 2 * lam * rho[group] * width * np.outer(row, row)
    return at_x, stiffness


def squared(x, y, rho, lam, breaks):
    """The minimizer for the squared loss, nodes [m] and values [m], by one dense linear solve."""
    nodes = np.array(sorted({*x, *breaks}))
    at_x, stiffness = matrices(nodes, x, rho, lam, breaks)
    return nodes, np.linalg.solve(at_x.T @ at_x / len(x) + stiffness, at_x.T @ y / len(x))


def logistic(x, y, rho, lam, breaks, steps=200):
    """The minimizer for the logistic loss, nodes [m] and values [m], by dense Newton steps, halved while they climb."""
    nodes = np.array(sorted({*x, *breaks}))
    at_x, stiffness = matrices(nodes, x, rho, lam, breaks)
    f = np.zeros(len(nodes))
    for _ in range(steps):
        a = at_x @ f
        slope = -y / (1 + np.exp(y * a)) / len(x)
        curvature = 1 / (2 + np.exp(a) + np.exp(-a)) / len(x)
        step = -np.linalg.solve(at_x.T @ (curvature[:, None] * at_x) + stiffness, at_x.T @ slope + stiffness @ f)
        here = objective(nodes, f, x, y, rho, lam, breaks, "logistic")
        while objective(nodes, f + step, x, y, rho, lam, breaks, "logistic") > here + 1e-12:
            step /= 2
        f = f + step
        if np.abs(step).max() < 1e-11:
            break
    return nodes, f
