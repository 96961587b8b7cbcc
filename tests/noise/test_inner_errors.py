"""Wrong targets inside the range: found where they are, not where noise is heavy-tailed, skewed or of few values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from skedastic.data import from_arrays
from skedastic.noise import mixtures as module
from skedastic.noise.inner_errors import InnerErrors, find_inner_errors
from skedastic.noise.mixtures import mixture
from skedastic.pipeline.prepare import open_data
from skedastic.settings.config import Config
from skedastic.settings.data_apart import Nothing

N = 800
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(N, 4))
SIGNAL = 4 + 3 * X[:, 0] + 2 * np.sin(4 * X[:, 1])
NOISE = RNG.normal(size=N)
Y = SIGNAL + 0.3 * NOISE
WRONG = RNG.random(N) < 0.25
Change = Callable[[np.ndarray], np.ndarray]


def found(y: np.ndarray, x: np.ndarray = X) -> InnerErrors | None:
    return find_inner_errors(open_data(Config(task="regression", test=Nothing()), from_arrays(x, y)).train, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda y: 3 * y, "3 times what is predicted"), (lambda y: y / 2, "1/2 of what is predicted")],
)
def test_wrong_targets_are_found_and_few_others(change: Change, said: str) -> None:
    y = np.where(WRONG, change(Y), Y)
    errors = found(y)
    assert errors is not None
    assert errors.said == said
    rows = errors.position.numpy()
    assert WRONG[rows].mean() > 0.9
    assert len(rows) > 0.9 * WRONG.sum()
    assert errors.without < errors.with_them
    assert f"{len(rows)} of 800 training rows ({len(rows) / N:.0%}) were set aside" in errors.note
    assert said in errors.note
    table = errors.table
    np.testing.assert_array_equal(table["given"], y[rows])
    assert np.median(np.abs(table["suggested"] - SIGNAL[rows])) < 0.5
    assert table["score"].is_monotonic_increasing
    assert table["score"].between(0, 0.5).all()


@pytest.mark.parametrize(
    "y",
    [
        Y,
        SIGNAL * np.exp(0.7 * NOISE),
        SIGNAL + 0.3 * student.ppf((np.argsort(np.argsort(NOISE)) + 0.5) / N, 2),
        SIGNAL + (0.1 + 2 * X[:, 2]) * NOISE,
        np.random.default_rng(2).poisson(SIGNAL / 3).astype(float),
        np.random.default_rng(2).gamma(1.0, SIGNAL),
        np.where(X[:, 3] > 0.75, 3 * Y, Y),
        np.where(RNG.random(N) < 0.6, 0.0, 10 * Y),
        np.minimum(Y, np.quantile(Y, 0.8)),
        NOISE,
    ],
    ids=[
        "clean",
        "lognormal",
        "heavy tails",
        "unlike spreads",
        "counts",
        "exponential",
        "a kind that is known",
        "claims",
        "censored",
        "noise",
    ],
)
def test_natural_noise_is_left_alone(y: np.ndarray) -> None:
    assert found(y) is None


@pytest.mark.parametrize(
    "change", [lambda y: np.random.default_rng(1).permutation(y), lambda y: np.random.default_rng(1).uniform(0, 12, N)]
)
def test_targets_of_other_rows_and_any_numbers_are_left_alone_though_likely(change: Change) -> None:
    y = np.where(WRONG, change(Y), Y)
    found_by_likelihood = mixture(SIGNAL, y)
    assert not found_by_likelihood.of_right
    assert found_by_likelihood.gain.mean > 4 * found_by_likelihood.gain.error
    assert found(y) is None


@pytest.mark.parametrize("noise", ["two sizes by a column", "two sizes", "flat"])
def test_odd_noise_of_many_rows_is_left_alone(noise: str) -> None:
    rng = np.random.default_rng(11)
    x = rng.uniform(size=(4000, 4))
    z, flat, large = rng.normal(size=4000), rng.uniform(-6, 6, 4000), rng.random(4000) < 0.3
    signal = 4 + 3 * x[:, 0] + 2 * np.sin(4 * x[:, 1])
    of = {"two sizes by a column": z * np.where(x[:, 2] < 0.4, 2, 0.2), "two sizes": z * np.where(large, 2, 0.2)}
    assert found(signal + of.get(noise, flat), x) is None


def test_a_group_that_was_given_is_not_set_aside() -> None:
    site = np.where(np.arange(N) % 5 == 0, "b", "a")
    data = open_data(
        Config(task="regression", test=Nothing()), from_arrays(X, np.where(site == "b", 3 * Y, Y), groups=site)
    )
    assert find_inner_errors(data.train, 0) is None
    assert found(np.where(site == "b", 3 * Y, Y)) is not None


def test_few_rows_and_most_wrong_ones_are_left_alone() -> None:
    y = np.where(WRONG, 3 * Y, Y)
    assert found(y[:90], X[:90]) is None
    most = np.random.default_rng(3).random(N) < 0.6
    errors = found(np.where(most, RNG.permutation(Y), Y))
    assert errors is None


def test_the_density_of_noise_is_that_of_student_and_sums_to_1() -> None:
    off = np.linspace(-400, 400, 800_001)
    at = np.array([0.5, 0.2, 0.2, 1.0])
    nu = module.LEAST_FREEDOM + (module.MOST_FREEDOM - module.LEAST_FREEDOM) / (1 + np.exp(-1.0))
    expected = student.logpdf(off, nu, loc=0.5, scale=np.exp(0.2))
    np.testing.assert_allclose(module._two_sided_t(off, at), expected, atol=1e-8)
    skewed = np.exp(module._two_sided_t(off, np.array([0.5, -0.7, 0.9, 1.0])))
    assert np.trapezoid(skewed, off) == pytest.approx(1, abs=1e-4)


def test_likelihoods_are_as_probable_in_other_units_and_units_that_err_together_are_less_sure() -> None:
    y = np.where(WRONG, 3 * Y, Y)
    found = mixture(SIGNAL, y)
    other = mixture(1000 * SIGNAL, 1000 * y)
    assert other.gain.mean == pytest.approx(found.gain.mean, rel=1e-3)
    np.testing.assert_allclose(other.wrong, found.wrong, atol=0.02)
    assert found.wrong.mean() == pytest.approx(WRONG.mean(), abs=0.02)
    twins = mixture(np.repeat(SIGNAL, 2), np.repeat(y, 2), torch.arange(N).repeat_interleave(2))
    assert twins.gain.error > 1.3 * mixture(np.repeat(SIGNAL, 2), np.repeat(y, 2)).gain.error
