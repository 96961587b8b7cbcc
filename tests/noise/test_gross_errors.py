"""Gross errors among numbers: found where they are, and not where noise is heavy-tailed, skewed or mostly 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from skedastic.data import Dataset, from_arrays
from skedastic.noise.gross_errors import GrossErrors, far_off, find_gross_errors, foretold, in_spreads, spread
from skedastic.pipeline.prepare import open_data
from skedastic.settings.config import Config
from skedastic.settings.data_apart import Nothing

N = 600
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4))
SIGNAL = X[:, 0] + np.sin(2 * X[:, 1])
PRICES = 100 * np.exp(0.5 * SIGNAL + 0.1 * RNG.normal(size=N))  # whose spread grows with them
WRONG = RNG.permutation(N)[:24]


def dataset(y: np.ndarray, x: np.ndarray = X, unit: np.ndarray | None = None) -> Dataset:
    train = open_data(Config(task="regression", test=Nothing()), from_arrays(x, y)).train
    return train if unit is None else Dataset(**{**vars(train), "unit": torch.from_numpy(unit)})


def found(y: np.ndarray, x: np.ndarray = X) -> GrossErrors:
    errors = find_gross_errors(dataset(y, x), 0)
    assert errors is not None
    return errors


def with_wrong(change: Callable[[np.ndarray], np.ndarray | float]) -> np.ndarray:
    y = PRICES.copy()
    y[WRONG] = change(y[WRONG])
    return y


def test_the_spread_of_normal_residuals_is_their_deviation_whatever_a_few_are() -> None:
    residuals = 3 * np.random.default_rng(1).normal(size=20_000)
    assert spread(residuals) == pytest.approx(3, rel=0.05)
    residuals[::20] = 1e6
    assert spread(residuals) == pytest.approx(3, rel=0.2)
    assert spread(np.repeat([0.0, 1.0], [70, 30])) > 0  # most targets are equal, and predicted so


def test_residuals_are_in_spreads_of_the_rows_that_are_predicted_alike() -> None:
    predicted = np.linspace(1, 10, 5_000)
    off = in_spreads(predicted, predicted * (1 + np.random.default_rng(2).normal(size=5_000)))
    for part in (off[1_500:2_500], off[-1_000:]):
        assert part.std() == pytest.approx(1, rel=0.1)
    assert not in_spreads(predicted, predicted).any()


def test_a_tail_is_too_heavy_where_a_third_of_those_beyond_half_a_limit_are_beyond_it() -> None:
    size = np.r_[np.zeros(100), np.full(10, 3.0), np.full(5, 6.0)]
    assert np.flatnonzero(far_off(size)).tolist() == list(range(110, 115))
    assert not far_off(np.r_[size, 3.0]).any()  # 5 of 16
    assert far_off(np.r_[np.zeros(100), np.full(9, -6.0), np.full(3, -40.0)]).sum() == 12
    assert far_off(np.r_[np.zeros(100), np.full(90, 3.0), np.full(9, 6.0), np.full(12, 40.0)]).sum() == 12


def test_residuals_that_others_foretell_are_taken_off() -> None:
    assert foretold(np.array([1.0, -1.0]), np.array([2.0, 2.0])) == pytest.approx(0.75)
    assert foretold(np.array([3.0]), np.array([1.0])) < 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: 10 * y, "of them are about 10 times what is predicted)"),
        (lambda y: 999_999.0, "(24 of them are 999999)"),
        (lambda y: -y, "of them are about the negative of what is predicted)"),
    ],
)
def test_errors_are_found_and_little_else(change: Callable[[np.ndarray], np.ndarray | float], said: str) -> None:
    errors = found(with_wrong(change))
    rows = set(errors.table["index"])
    assert rows >= set(WRONG)
    assert len(rows) <= len(WRONG) + 3
    assert errors.position.tolist() == errors.table["index"].tolist()
    assert errors.table["residual"].abs().is_monotonic_decreasing
    assert errors.table["suggested"].to_numpy() == pytest.approx(PRICES[errors.table["index"]], rel=0.8)
    assert errors.without < 0.7 * errors.with_them
    assert errors.note.startswith(f"{len(rows)} of {N} training rows were set aside")
    assert said in errors.note


def test_errors_of_three_kinds_have_nothing_in_common() -> None:
    third = np.arange(len(WRONG)) % 3
    errors = found(with_wrong(lambda y: np.select([third == 0, third == 1], [-y, 9e5], 50 * y)))
    assert "look like gross errors: they" in errors.note


def test_errors_are_found_in_wide_rows() -> None:
    x = np.random.default_rng(3).normal(size=(N, 150))
    y = x[:, :5].sum(1) + 0.3 * np.random.default_rng(4).normal(size=N)
    y[WRONG] *= 30
    errors = found(y, x)
    large = set(WRONG[np.abs(y[WRONG]) > 20])
    assert large <= set(errors.table["index"]) <= set(WRONG)
    assert "ridge regression" in errors.note


def claims(rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(N) < 0.8, 0.0, np.exp(SIGNAL + rng.normal(size=N)))


def jumps(rng: np.random.Generator) -> np.ndarray:
    return SIGNAL + 0.3 * rng.normal(size=N) + 20 * ((X[:, 2] > 1) & (rng.random(N) < 0.3))


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: SIGNAL + rng.normal(size=N),
        lambda rng: SIGNAL + 0.3 * rng.standard_t(3, N),
        lambda rng: np.exp(SIGNAL + rng.normal(size=N)),
        lambda rng: np.round(5 + SIGNAL + 0.3 * rng.normal(size=N)),
        claims,
        jumps,
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_heavy_tails_and_parts_of_the_data_are_no_errors(make: Callable, seed: int) -> None:
    assert find_gross_errors(dataset(make(np.random.default_rng(seed))), seed) is None


def test_more_than_a_few_are_a_part_of_the_data_and_few_rows_are_not_judged() -> None:
    y = PRICES.copy()
    y[: N * 3 // 10] *= 10
    assert find_gross_errors(dataset(y), 0) is None
    few = np.flatnonzero(np.arange(N) < 49)
    y = PRICES.copy()
    y[:3] *= 100
    assert find_gross_errors(dataset(y[few], X[few]), 0) is None
    assert find_gross_errors(dataset(y, unit=np.arange(N) % 49), 0) is None  # so many units


def test_rows_of_a_unit_are_held_out_together() -> None:
    unit = np.arange(N) // 2
    errors = find_gross_errors(dataset(with_wrong(lambda y: 10 * y), unit=unit), 0)
    assert errors is not None
    assert set(WRONG) <= set(errors.table["index"])
