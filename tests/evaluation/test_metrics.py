"""Metrics by the kind of target, and as `metrics.json` holds them."""

import json

import numpy as np
import pytest
import torch

from skedastic.data import Classes, Dataset, Grouping, Numbers
from skedastic.evaluation.classification import evaluate_classification
from skedastic.evaluation.evaluate import evaluate
from skedastic.evaluation.intervals import LEAST_ROWS, wilson
from skedastic.evaluation.metric import ACCURACY, ERROR, metric_of
from skedastic.evaluation.metrics import (
    Accuracy,
    ClassificationMetrics,
    RegressionMetrics,
    WorstGroup,
    metrics_from_dict,
)
from skedastic.evaluation.regression import evaluate_regression

GROUP = torch.tensor([0, 1, 1, 0])
GROUPS = Grouping(("x", "y", "absent"))
TRAIN = [200, 50, 5]


def rows(y: torch.Tensor, target) -> Dataset:
    return Dataset(torch.zeros(len(y), 1), y, torch.arange(len(y)), GROUP, target, GROUPS, "table")


def of_classes() -> ClassificationMetrics:
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    metrics = evaluate(p, rows(torch.tensor([0, 1, 1, 1]), Classes(("a", "b"))), TRAIN)
    assert isinstance(metrics, ClassificationMetrics)
    return metrics


def of_numbers() -> RegressionMetrics:
    y = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    metrics = evaluate(y + torch.tensor([0.0, 1.0, 1.0, 0.5]), rows(y, Numbers()), TRAIN)
    assert isinstance(metrics, RegressionMetrics)
    return metrics


def test_the_target_says_which_metrics_there_are() -> None:
    accuracy, error = of_classes(), of_numbers()
    assert accuracy.metric is ACCURACY is metric_of(Classes(("a", "b")))
    assert (accuracy.value, accuracy.correct) == (0.75, 3)
    assert error.metric is ERROR is metric_of(Numbers())
    assert error.value == pytest.approx((2.25 / 4) ** 0.5)


def test_metrics_json_has_the_keys_that_it_always_had() -> None:
    written = of_classes().to_dict()
    assert list(written) == [
        "overall",
        "balanced_accuracy",
        "worst_group",
        "groups",
        "many",
        "medium",
        "few",
        "by_truth",
        "ece",
    ]
    assert list(written["overall"]) == ["n", "accuracy", "low", "high", "correct"]
    assert list(written["groups"][0]) == ["name", "n", "accuracy", "low", "high"]
    assert written["worst_group"] is None  # of two rows
    assert ClassificationMetrics.from_dict(written) == of_classes()
    written = of_numbers().to_dict()
    assert list(written) == ["overall", "worst_group", "groups", "many", "medium", "few", "by_truth"]
    errors = ["n", "rmse", "low", "high", "mae", "mae_low", "mae_high"]
    assert list(written["overall"]) == [*errors, "r2"]
    assert list(written["groups"][0]) == ["name", *errors]
    assert written["worst_group"] is None


def scores(*rows: tuple[str, int, float]) -> dict[str, Accuracy]:
    return {name: Accuracy(n=n, accuracy=value, low=None, high=None) for name, n, value in rows}


def test_the_worst_group_is_one_of_thirty_rows_or_more() -> None:
    groups = scores(("tiny", 29, 0.1), ("a", 30, 0.6), ("b", 200, 0.5), ("absent", 0, 0.0), ("c", 30, 0.5))
    assert WorstGroup.of(groups, ACCURACY) == WorstGroup(name="b", value=0.5)
    assert WorstGroup.of(groups, ERROR) == WorstGroup(name="a", value=0.6)
    assert WorstGroup.of(scores(("tiny", 29, 0.1)), ACCURACY) is None


def test_thirty_rows_are_enough_for_an_interval_of_17_points() -> None:
    low, high = wilson([LEAST_ROWS / 2], [LEAST_ROWS])
    assert (high - low)[0] / 2 == pytest.approx(0.17, abs=0.005)


@pytest.mark.parametrize("metrics", [of_classes(), of_numbers()])
def test_metrics_come_back_from_json(metrics) -> None:
    assert metrics_from_dict(json.loads(json.dumps(metrics.to_dict(), allow_nan=False))) == metrics


def test_groups_are_named_in_order_and_absent_ones_have_no_value() -> None:
    for metrics in (of_classes(), of_numbers()):
        assert tuple(metrics.groups) == GROUPS.names
        assert metrics.groups["absent"].n == 0
        assert metrics.groups["absent"].value is None
        assert metrics.by_size.many == metrics.groups["x"].value
        assert metrics.by_size.few is None


def test_metrics_by_target_are_those_by_name() -> None:
    y = np.array([0, 1, 1, 1])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], dtype=np.float32)
    assert evaluate_classification(p, y, GROUP, ("a", "b"), GROUPS.names, TRAIN) == of_classes()
    y = np.array([1.0, 2.0, 3.0, 4.0])
    assert evaluate_regression(y + np.array([0.0, 1.0, 1.0, 0.5]), y, GROUP, GROUPS.names, TRAIN) == of_numbers()
