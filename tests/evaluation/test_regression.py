"""Errors and label issues of regression targets, against their literal versions."""

import json

import numpy as np
import pytest

from skedastic.evaluation.intervals import Interval
from skedastic.evaluation.metric import ACCURACY, ERROR, to_digits
from skedastic.evaluation.metrics import metrics_from_dict
from skedastic.evaluation.regression import evaluate_regression
from skedastic.noise.label_issues_regression import find_label_issues_regression
from tests.reference import regression as literal
from tests.support.refusals import refused

RNG = np.random.default_rng(0)
Y = RNG.normal(100, 20, 90)
P = Y + RNG.normal(0, 5, 90)
GROUP = np.arange(90) % 3
NAMES = ["low", "middle", "high", "absent"]


def test_the_figures_are_the_literal_ones() -> None:
    result = evaluate_regression(P, Y, GROUP, NAMES, [500, 50, 5, 5])
    assert result.overall.rmse == pytest.approx(literal.rmse(P, Y))
    assert result.overall.mae == pytest.approx(literal.mae(P, Y))
    assert result.r2 == pytest.approx(literal.r2(P, Y))
    for g, row in enumerate([*result.groups.values()][:3]):
        assert row.n == 30
        assert row.rmse == pytest.approx(literal.rmse(P[g == GROUP], Y[g == GROUP]))
        assert row.mae == pytest.approx(literal.mae(P[g == GROUP], Y[g == GROUP]))
        assert row.low < row.rmse < row.high
        assert row.mae_low < row.mae < row.mae_high
    assert result.groups["absent"].rmse is result.groups["absent"].high is None
    rmse = [result.groups[name].rmse for name in NAMES[:3]]
    assert result.worst_group.value == max(rmse)
    assert (result.by_size.many, result.by_size.medium, result.by_size.few) == tuple(rmse)
    assert result.metric is ERROR
    assert result.mean_of_groups(NAMES[:2]) == pytest.approx(np.mean(rmse[:2]))
    written = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert metrics_from_dict(written) == result


def test_intervals_of_the_error_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    held = {"rmse": 0, "mae": 0}
    for _ in range(400):
        row = evaluate_regression(rng.normal(size=60), np.zeros(60), np.zeros(60, int), ["all"], [1]).overall
        held["rmse"] += row.low <= 1 <= row.high
        held["mae"] += row.mae_low <= (2 / np.pi) ** 0.5 <= row.mae_high
    assert 0.91 < held["rmse"] / 400 < 0.98
    assert 0.91 < held["mae"] / 400 < 0.98


def test_one_row_has_no_interval_and_equal_targets_no_r2() -> None:
    result = evaluate_regression([1.0], [3.0], [0], ["a"], [1])
    assert result.to_dict()["overall"] == {
        "n": 1, "rmse": 2.0, "low": None, "high": None, "mae": 2.0, "mae_low": None, "mae_high": None, "r2": None,
    }  # fmt: skip
    exact = evaluate_regression([1.0, 2.0], [1.0, 2.0], [0, 0], ["a"], [1])
    assert (exact.overall.rmse, exact.overall.low, exact.overall.high, exact.r2) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "argument", "value", "rule"),
    [
        (([], [], [], ["a"], [1]), ": targets", None, "the test set is empty"),
        (([1.0, 2.0], [1.0], [0], ["a"], [1]), "", "[2], [1], [1], [1]", "needs predicted [m]"),
        (([1.0], [1.0], [2], ["a"], [1]), ": group", 2, "0..0"),
        (([np.inf], [1.0], [0], ["a"], [1]), ": predicted[0]", np.inf, "finite"),
        (([1.0], [-np.inf], [0], ["a"], [1]), ": targets[0]", -np.inf, "finite"),
    ],
)
def test_impossible_arguments_are_refused(arguments, argument, value, rule) -> None:
    with refused(f"evaluate_regression{argument}", value, rule=rule):
        evaluate_regression(*map(np.asarray, arguments[:3]), *arguments[3:])


def test_label_issues_are_the_largest_residuals_for_their_groups_noise() -> None:
    y = np.array([10.0, 0.0, 1.0, 2.0, 5.0, 0.0])
    held_out = np.array([0.0, 0.1, 1.0, np.nan, 4.0, 0.0])
    variance = np.array([100.0, 0.0001, 1.0, 1.0, 0.01, 0.0])
    issues = find_label_issues_regression(held_out, y, np.arange(6) * 10, variance)
    assert issues["index"].tolist() == [10, 40, 0, 20, 50]  # 10 deviations twice, then 1
    assert issues["rank"].tolist() == [1, 2, 3, 4, 5]
    assert issues["residual"].tolist() == pytest.approx([-10, 10, 1, 0, 0])
    assert issues["is_issue"].tolist() == [True, True, False, False, False]
    assert issues["score"].tolist() == pytest.approx([0, 0, 0.3173, 1, 1], abs=1e-4)
    assert issues["given"].tolist() == [0.0, 5.0, 10.0, 1.0, 0.0]
    assert find_label_issues_regression([], [], [], []).empty


def test_normal_noise_gives_hardly_any_label_issue() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=5000)
    assert find_label_issues_regression(np.zeros(5000), y, np.arange(5000), np.ones(5000))["is_issue"].sum() <= 2
    y[:20] += 8
    issues = find_label_issues_regression(np.zeros(5000), y, np.arange(5000), np.ones(5000))
    assert set(range(20)) <= set(issues.loc[issues["is_issue"], "index"])
    with refused("find_label_issues_regression: variance[0]", -1.0):
        find_label_issues_regression([1.0], [1.0], [0], [-1.0])
    with refused("find_label_issues_regression", "[1], [2], [1], [1]"):
        find_label_issues_regression([1.0], [1.0, 2.0], [0], [1.0])


def test_how_errors_are_written() -> None:
    assert [to_digits(v, 4) for v in (12345.6, 1.23456, 0.0000123456, 0, -5.5)] == [
        "12,346",
        "1.235",
        "1.235e-05",
        "0",
        "-5.500",
    ]
    assert [ERROR.text(v) for v in (1704.7, None, float("nan"))] == ["1,705", "–", "–"]
    assert [ERROR.difference(v) for v in (36.71, -0.5, 0.0, None)] == ["+36.7", "−0.500", "0", "–"]
    assert ERROR.span(Interval(mean=1.5, low=1.0, high=2.0)) == "1.00–2.00"
    assert ERROR.span(Interval(mean=0.5, low=-1.0, high=2.0), signed=True) == "−1.00 to +2.00"
    assert (ERROR.of_noise(9.0), ACCURACY.of_noise(0.25)) == (3.0, 0.25)
    assert ACCURACY.higher_is_better
    assert not ERROR.higher_is_better
