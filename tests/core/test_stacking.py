"""Weights of predictions, against an optimizer and in limits, and the error that one prediction saves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from skedastic.core.criteria_of_numbers import RMSE
from skedastic.core.stacking import (
    LEAST_WEIGHT,
    SHRINK,
    absolute_weights,
    convex_weights,
    mean_absolute,
    root_mean_square,
    row_shares,
)
from skedastic.core.weighted_mean import WeightedMean


def errors(n: int = 200, k: int = 4, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    common = torch.randn(n, 1, generator=g, dtype=torch.float64)
    return common + torch.randn(n, k, generator=g, dtype=torch.float64) * torch.linspace(0.5, 1.5, k)


def one(n: int) -> Tensor:
    return torch.zeros(n, dtype=torch.int64)


def saved(errors: Tensor, others: Tensor, part: Tensor, unit: Tensor | None = None):
    return RMSE().saved(errors, others, part, unit)


def rounded(weights: np.ndarray) -> np.ndarray:
    kept = np.where(weights < LEAST_WEIGHT, 0, weights)
    return kept / kept.sum()


@pytest.mark.parametrize("seed", range(5))
def test_the_weights_are_those_of_least_shrunk_squared_error(seed: int) -> None:
    off, part = errors(seed=seed), torch.arange(200) % 7 // 3
    r, share = off.numpy(), row_shares(part).numpy()
    least = SHRINK * (share[:, None] * r**2).sum(0).min()
    root, much = np.sqrt(share)[:, None] * r, 1e6
    rows = np.vstack([root, np.sqrt(least) * np.eye(4), np.full((1, 4), much)])  # the last one is that their sum is 1
    found, _ = nnls(rows, np.append(np.zeros(len(rows) - 1), much))
    np.testing.assert_allclose(convex_weights(off, part).numpy(), rounded(found), atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_absolute_weights_err_nearly_as_little_as_any(seed: int) -> None:
    off, part = errors(seed=seed), torch.arange(200) % 7 // 3
    off = off + 30 * (torch.arange(200) % 9 == 0)[:, None]  # of a kind that squares go by
    grid = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(4), 20_000))
    least = min(
        float((row_shares(part)[:, None] * (off @ grid[i : i + 500].T).abs()).sum(0).min())
        for i in range(0, 20_000, 500)
    )
    found = mean_absolute(off @ absolute_weights(off, part), part).value
    assert found < 1.01 * least
    assert found <= mean_absolute(off @ convex_weights(off, part), part).value + 1e-9


def test_absolute_weights_in_limits() -> None:
    assert absolute_weights(torch.zeros(9, 3), one(9)).tolist() == pytest.approx([1 / 3] * 3)
    exact = torch.cat([errors(), torch.zeros(200, 1, dtype=torch.float64)], 1)
    assert absolute_weights(exact, one(200)).tolist() == pytest.approx([0, 0, 0, 0, 1])
    torch.testing.assert_close(absolute_weights(1e8 * errors(), one(200)), absolute_weights(errors(), one(200)))


def test_weights_have_no_units_and_sum_to_1() -> None:
    off = errors()
    weights = convex_weights(off, one(200))
    assert float(weights.sum()) == pytest.approx(1)
    assert (weights >= 0).all()
    for factor in (1e-8, 1e8):
        torch.testing.assert_close(convex_weights(off * factor, one(200)), weights)


def test_weights_in_limits() -> None:
    exact = torch.cat([errors(), torch.zeros(200, 1, dtype=torch.float64)], 1)
    assert convex_weights(exact, one(200)).tolist() == pytest.approx([0, 0, 0, 0, 1])
    assert convex_weights(errors(k=1), one(200)).tolist() == [1.0]
    assert convex_weights(errors(k=1).expand(-1, 2), one(200)).tolist() == pytest.approx([0.5, 0.5])
    assert convex_weights(torch.zeros(9, 3), one(9)).tolist() == pytest.approx([1 / 3] * 3)
    far = torch.cat([errors(k=1), 100 * errors(k=1, seed=1)], 1)
    assert convex_weights(far, one(200)).tolist() == [1.0, 0.0], "what is below a twentieth is nothing"


def test_a_part_counts_alike_however_many_rows_it_has() -> None:
    off, part = errors(), torch.arange(200) % 2
    often = torch.cat([off, off[part == 1], off[part == 1]])
    torch.testing.assert_close(
        convex_weights(often, torch.cat([part, one(200) + 1])), convex_weights(off, part), rtol=1e-9, atol=1e-9
    )


def test_the_error_saved_is_relative_and_its_standard_error_that_of_samples() -> None:
    off, part = errors(400), torch.arange(400) % 3
    gain = saved(off[:, 0], off[:, 3], part)
    own, other = (
        np.sqrt(np.mean([float((e[part == k] ** 2).mean()) for k in range(3)])) for e in (off[:, 0], off[:, 3])
    )
    assert gain.mean == pytest.approx(1 - own / other)
    assert root_mean_square(off[:, 0], part).value == pytest.approx(own)
    assert float(root_mean_square(off[:, 0], part).influence.sum()) == pytest.approx(0, abs=1e-12)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(400):
        rows = torch.from_numpy(rng.integers(0, 400, 400))
        drawn.append(saved(off[rows, 0], off[rows, 3], part[rows]).mean)
    assert gain.error == pytest.approx(np.std(drawn), rel=0.15)


def test_twins_of_a_unit_tell_nothing_more() -> None:
    off = errors(100).repeat(2, 1)
    alone = saved(off[:100, 0], off[:100, 3], one(100))
    twins = saved(off[:, 0], off[:, 3], one(200), torch.arange(100).repeat(2))
    assert twins.mean == pytest.approx(alone.mean)
    assert twins.error == pytest.approx(alone.error, rel=0.01)
    assert saved(off[:, 0], off[:, 3], one(200)).error < 0.8 * alone.error


def test_nothing_is_saved_of_no_error() -> None:
    zero = torch.zeros(5)
    assert saved(torch.ones(5), zero, one(5)) == (0.0, 0.0)
    assert saved(zero, torch.ones(5), one(5)) == (1.0, 0.0)


def test_the_mean_of_models_is_that_of_their_outputs() -> None:
    x, column, flat = torch.randn(7, 3), nn.Linear(3, 1), nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    found = WeightedMean([column, flat], [0.25, 0.75])(x)
    torch.testing.assert_close(found, 0.25 * column(x) + 0.75 * flat(x)[:, None])
    assert torch.equal(WeightedMean([column], [1.0])(x), column(x))
