"""Noise per group: against brute force and scipy, in the limits, and by how often the interval holds the truth."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from unittest.mock import ANY

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from skedastic.evaluation.intervals import wilson
from skedastic.noise.group_noise import LEAST_TYPICAL, OWN_WEIGHT, group_noise
from tests.reference import strengths as literal
from tests.support.refusals import refused

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("errors", "counted"),
    [
        ([1, 20, 3], [50, 40, 25]),  # unlike
        ([5, 6, 4, 5], [50, 50, 50, 50]),  # alike
        ([0, 0, 0], [30, 20, 10]),  # no error anywhere
        ([30, 20, 10], [30, 20, 10]),  # nothing but errors
        ([0, 1, 0, 2, 1], [1, 1, 2, 3, 1]),  # next to nothing known
        ([3, 0, 40], [10, 0, 60]),  # one never held out
    ],
)
def test_posterior_means_by_brute_force(errors: list[int], counted: list[int]) -> None:
    typical = max(float(np.median([n for n in counted if n])), LEAST_TYPICAL)
    expected = literal.posterior_means(errors, counted, typical, OWN_WEIGHT, points=200)
    np.testing.assert_allclose(group_noise(errors, counted).rate, expected, atol=0.005, rtol=0.02)


def test_rates_are_drawn_towards_the_common_one_the_more_the_fewer_examples() -> None:
    raw, common = np.array([0.4, 0.4, 0.1, 0.1, 0.1]), 0.1
    counted = np.array([10, 100, 200, 200, 200])
    rate = group_noise(raw * counted, counted).rate
    assert (rate[:2] < raw[:2]).all()
    assert (rate[:2] > common).all()
    assert raw[0] - rate[0] > 2 * (raw[1] - rate[1])


def test_equal_groups_have_equal_and_shorter_intervals() -> None:
    together, alone = group_noise([5] * 10, [50] * 10), wilson([5], [50])
    np.testing.assert_allclose(together.rate, 0.1, atol=0.01)
    assert np.ptp(together.rate) < 1e-12
    assert together.high[0] - together.low[0] < 0.8 * (alone[1][0] - alone[0][0])


def test_many_examples_overrule_the_prior() -> None:
    rate, low, high = group_noise([1000, 50_000, 90_000], [100_000] * 3)
    np.testing.assert_allclose(rate, [0.01, 0.5, 0.9], atol=1e-4)
    assert (high - low < 0.01).all()


@pytest.mark.parametrize("shrink", [True, False])
@pytest.mark.parametrize(
    ("errors", "counted"),
    [
        ([0], [0]),
        ([0, 0], [0, 0]),
        ([0], [1]),
        ([1], [1]),
        ([0, 0], [0, 7]),
        ([0, 1], [1, 1]),
        ([0, 0, 0], [1, 1, 1]),
        ([0] * 10, [10**7] * 10),
        ([10**7] * 3, [10**7] * 3),
        ([0, 10**6, 3], [10**6, 10**6, 3]),
        ([0, 0, 2, 1], [0, 1, 2, 10**6]),
    ],
)
def test_whatever_the_counts_rates_are_finite_and_in_their_interval(
    errors: list[int], counted: list[int], shrink: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rate, low, high = group_noise(errors, counted, shrink=shrink)
    assert np.isfinite([rate, low, high]).all()
    assert (low >= 0).all()
    assert (low <= rate).all()
    assert (rate <= high).all()
    assert (high <= 1).all()
    if shrink:
        assert (rate > 0).all()
        assert (rate < 1).all()


def test_no_errors_anywhere_leave_a_small_rate_that_shrinks_with_the_examples() -> None:
    few, many = group_noise([0] * 4, [10] * 4), group_noise([0] * 4, [1000] * 4)
    assert 0 < many.rate[0] < 0.001 < few.rate[0] < 0.02
    assert few.high[0] < 0.2


def test_a_single_group_stands_alone_with_jeffreys_prior() -> None:
    rate, low, high = group_noise([3, 0], [10, 0])
    posterior, prior = beta(3.5, 7.5), beta(0.5, 0.5)
    np.testing.assert_allclose(rate, [posterior.mean(), 0.5])
    np.testing.assert_allclose(low, [posterior.ppf(0.025), prior.ppf(0.025)])
    np.testing.assert_allclose(high, [posterior.ppf(0.975), prior.ppf(0.975)])


def test_a_group_never_held_out_is_expected_to_be_as_the_others() -> None:
    rate, low, high = group_noise([10, 12, 8, 0], [50, 50, 50, 0])
    assert abs(rate[3] - 0.2) < 0.05
    assert high[3] - low[3] > max(high[:3] - low[:3])


def test_order_does_not_matter() -> None:
    errors, counted = np.array([3, 30, 0, 7, 0]), np.array([40, 60, 10, 20, 0])
    order = np.array([4, 2, 0, 3, 1])
    np.testing.assert_allclose(
        group_noise(errors, counted).rate[order], group_noise(errors[order], counted[order]).rate
    )


def test_level_widens_the_interval() -> None:
    for shrink in (True, False):
        narrow, wide = (group_noise([3, 9], [40, 20], shrink=shrink, level=level) for level in (0.5, 0.99))
        assert (wide.low < narrow.low).all()
        assert (wide.high > narrow.high).all()


def test_unshrunk_rates_have_the_wilson_interval() -> None:
    rate, low, high = group_noise([0, 3, 10, 0], [10, 7, 10, 0], shrink=False)
    np.testing.assert_allclose(rate, [0, 3 / 7, 1, 13 / 27])  # the last: the rate over all groups
    for g, (e, n) in enumerate([(0, 10), (3, 7), (10, 10)]):
        np.testing.assert_allclose((low[g], high[g]), binomtest(e, n).proportion_ci(0.95, method="wilson"), atol=1e-12)
    assert (low[3], high[3]) == (0, 1)
    assert (low[0], high[2]) == (0, 1)


def test_wilson_by_its_quadratic_equation() -> None:
    trials = np.repeat([1, 2, 5, 17, 1000], 6)
    successes = (trials * np.tile([0, 0.2, 0.5, 0.7, 0.99, 1], 5)).round()
    low, high = wilson(successes, trials)
    for s, n, a, b in zip(successes, trials, low, high, strict=True):
        np.testing.assert_allclose((a, b), literal.wilson(s, n, 1.959963984540054), atol=1e-7)


def bimodal(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.permutation([0.02] * 6 + [0.5] * 4), rng.integers(25, 181, 10)


def homogeneous(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.full(10, 0.1), rng.integers(25, 181, 10)


def many_small(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.beta(2, 6, 100), np.full(100, 10)


def four(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0, 0.6, 4), rng.integers(20, 100, 4)


def a_thousand_of_ten(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.beta(2, 6, 1000), np.full(1000, 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "runs"), [(bimodal, 80), (homogeneous, 80), (many_small, 25), (four, 300), (a_thousand_of_ten, 3)]
)
def test_intervals_hold_the_truth_and_shrinking_does_not_hurt(draw: Draw, runs: int) -> None:
    rng = np.random.default_rng(0)
    held, shrunk_error, raw_error = [], [], []
    for _ in range(runs):
        truth, counted = draw(rng)
        errors = rng.binomial(counted, truth)
        rate, low, high = group_noise(errors, counted)
        held.append(((low <= truth) & (truth <= high)).mean())
        shrunk_error.append(((rate - truth) ** 2).mean())
        raw_error.append(((errors / counted - truth) ** 2).mean())
    # 600 to 2500 intervals each, so ± 2 %. Too long, as where all groups are alike (99 %), is the lesser fault.
    assert np.mean(held) > 0.925
    assert np.mean(held) < 0.97 or draw is homogeneous
    assert np.mean(shrunk_error) < 1.05 * np.mean(raw_error)


def test_ten_thousand_groups_need_no_square_of_their_number() -> None:
    rng = np.random.default_rng(0)
    counted = rng.integers(5, 5000, 10_000)
    errors = rng.binomial(counted, rng.beta(1, 5, 10_000))
    tracemalloc.start()
    group_noise(errors, counted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 10_000**2 / 4


@pytest.mark.parametrize(
    ("errors", "counted", "argument", "value"),
    [
        ([5], [4], ": errors[0]", 5),
        ([0, -1], [4, 4], ": errors[1]", -1),
        ([1], [1.5], ": errors[0]", 1),
        ([float("nan")], [4], ": errors[0]", ANY),
        ([1, 2], [4], "", "[2] and [1]"),
        ([], [], "", "[0] and [0]"),
    ],
)
def test_impossible_counts_are_refused(errors: list[float], counted: list[float], argument: str, value: object) -> None:
    with refused(f"group_noise{argument}", value):
        group_noise(errors, counted)


def test_other_impossible_arguments_are_refused() -> None:
    with refused("group_noise: level", 95):
        group_noise([1], [2], level=95)
