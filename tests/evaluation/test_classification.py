"""Evaluation: against loops over examples, with classes and groups absent, and as JSON."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp, ttest_rel
from sklearn.metrics import balanced_accuracy_score

from skedastic.evaluation.classification import evaluate_classification
from skedastic.evaluation.intervals import mean_interval, paired
from skedastic.evaluation.metrics import ClassificationMetrics, metrics_from_dict
from tests.reference import evaluate as literal
from tests.reference.strengths import wilson
from tests.support.refusals import refused

CLASSES = ("a", "b", "c", "d")
GROUPS = ("p", "q", "r", "s", "absent", "t")
TRAIN = (500, 101, 100, 20, 19, 3)
Z = 1.959963984540054


def random_test_set(m: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, g = rng.integers(0, 4, m), rng.choice([0, 1, 2, 3, 5], m)
    logits = rng.normal(size=(m, 4)) + 1.5 * np.eye(4)[y]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), y, g


def metrics(p: Any, y: Any, g: Any) -> ClassificationMetrics:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate_classification(p, y, g, CLASSES, GROUPS, TRAIN)
    written = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert metrics_from_dict(written) == result
    return result


def test_every_figure_by_loops() -> None:
    p, y, g = random_test_set()
    result = metrics(p, y, g)
    predicted = literal.predictions(p.tolist())
    right = sum(a == b for a, b in zip(predicted, y, strict=True))
    per_class = literal.accuracies(predicted, y.tolist(), y.tolist(), 4)
    per_group = literal.accuracies(predicted, y.tolist(), g.tolist(), 6)
    low, high = wilson(right, 300, Z)
    assert result.correct == right
    assert result.overall.n == 300
    assert result.overall.accuracy == pytest.approx(right / 300)
    assert (result.overall.low, result.overall.high) == pytest.approx((low, high))
    assert result.balanced_accuracy == pytest.approx(literal.mean(per_class))
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(y, predicted))
    of_groups = literal.mean([rate for rate in per_group if rate is not None])
    assert result.means(groups_are_classes=False) == pytest.approx(
        {"balanced_accuracy": result.balanced_accuracy, "mean_of_groups": of_groups}
    )
    assert result.means(groups_are_classes=True) == {"balanced_accuracy": result.balanced_accuracy}
    assert [group.accuracy for group in result.groups.values()] == pytest.approx(per_group)
    assert list(result.groups) == list(GROUPS)
    assert result.worst_group.value == pytest.approx(min(a for a in per_group if a is not None))
    for k, (group, rate) in enumerate(zip(result.groups.values(), per_group, strict=True)):
        n = int((g == k).sum())
        assert group.n == n
        if rate is not None:
            assert (group.low, group.high) == pytest.approx(wilson(round(rate * n), n, Z))
    for size, members in {"many": [0, 1], "medium": [2, 3], "few": [4, 5]}.items():
        assert getattr(result.by_size, size) == pytest.approx(literal.mean([per_group[k] for k in members]))
    assert result.ece == pytest.approx(literal.calibration_error(p.tolist(), y.tolist(), 15))


def test_absent_groups_are_null() -> None:
    p, y, _ = random_test_set()
    result = metrics(p, y, np.full(300, 3))
    for group in result.to_dict()["groups"]:
        if group["name"] != "s":
            assert group == {"name": group["name"], "n": 0, "accuracy": None, "low": None, "high": None}
    assert result.to_dict()["worst_group"] == {"name": "s", "accuracy": result.overall.accuracy}
    assert (result.by_size.many, result.by_size.few) == (None, None)
    assert result.by_size.medium == result.value


def test_absent_classes_do_not_count() -> None:
    p, y, g = random_test_set()
    kept = y < 2  # c and d are still predicted at times
    result = metrics(p[kept], y[kept], g[kept])
    predicted, seen = literal.predictions(p[kept].tolist()), y[kept].tolist()
    assert result.balanced_accuracy == pytest.approx(literal.mean(literal.accuracies(predicted, seen, seen, 4)))


def test_one_example() -> None:
    result = metrics([[0.1, 0.2, 0.3, 0.4]], [3], [5])
    assert result.value == result.balanced_accuracy == result.by_size.few == 1
    assert 0 < result.overall.low < result.overall.high == 1
    assert result.ece == pytest.approx(0.6)


def test_tensors_give_what_arrays_give() -> None:
    p, y, g = random_test_set()
    tensors = [torch.from_numpy(a) for a in (p, y, g)]
    assert metrics(*tensors) == metrics(p, y, g)


def test_rounding_above_one_does_not_pass_for_logits() -> None:
    sure = np.tile([1 + 1e-7, 0, 0, 0], (10, 1))
    assert metrics(sure, np.zeros(10, int), np.zeros(10, int)).ece == pytest.approx(0, abs=1e-6)


def test_a_confidence_of_one_is_not_counted_with_those_below() -> None:
    error = metrics([[1.0, 0, 0, 0], [0.95, 0.05, 0, 0]], [1, 0], [0, 0]).ece
    assert error == pytest.approx((1.0 + 0.05) / 2)  # in one bin it would be |0.5 − 0.975|


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    """Of version 1.9.0: multiclass_calibration_error(p, y, 4, n_bins=15), of the test sets below."""
    p, y, g = random_test_set(2000, seed=3)
    sure = p**6 / (p**6).sum(1, keepdims=True)  # 65 of the confidences are 1 in single precision
    edges = np.arange(16) / 15
    on_edges = np.stack([edges, 1 - edges, 0 * edges, 0 * edges], 1)
    assert metrics(p, y, g).ece == pytest.approx(0.10589225590229034, rel=1e-6)
    assert metrics(sure, y, g).ece == pytest.approx(0.2223866879940033, rel=1e-6)
    assert metrics(on_edges, np.arange(16) % 2, np.zeros(16, int)).ece == pytest.approx(0.5333333, rel=1e-6)


def test_half_precision_sums_to_one_well_enough() -> None:
    p, y, g = random_test_set()
    assert metrics(p.astype(np.float16), y, g).overall == metrics(p, y, g).overall


@pytest.mark.parametrize(
    ("change", "argument", "value", "rule"),
    [
        (lambda p, y, g: (p[:0], y[:0], g[:0]), ": labels", None, "the test set is empty"),
        (lambda p, y, g: (p[:, :3], y, g), "", "[300, 3], [300], [300], [6]", "needs probabilities [m, 4]"),
        (lambda p, y, g: (p, y[:9], g), "", "[300, 4], [9], [300], [6]", "needs probabilities [m, 4]"),
        (lambda p, y, g: (p, y + 1, g), ": labels", 4, "0..3"),
        (lambda p, y, g: (p, y, g - 1), ": group", -1, "0..5"),
        (lambda p, y, g: (p * np.inf, y, g), ": probabilities[0, 0]", np.inf, "finite"),
        (lambda p, y, g: (5 * p, y, g), ": probabilities[0]", pytest.approx(5), "softmax"),
        (lambda p, y, g: (p - [[1, -1, 0, 0]], y, g), ": probabilities[0]", pytest.approx(1), "softmax"),
    ],
)
def test_impossible_arguments_are_refused(change: Any, argument: str, value: object, rule: str) -> None:
    with refused(f"evaluate_classification{argument}", value, rule=rule):
        metrics(*change(*random_test_set()))


def test_mean_of_groups() -> None:
    result = metrics(*random_test_set())
    accuracy = {name: group.accuracy for name, group in result.groups.items()}
    assert result.mean_of_groups(["p", "t"]) == pytest.approx((accuracy["p"] + accuracy["t"]) / 2)
    assert result.mean_of_groups(["p", "absent"]) == accuracy["p"]
    with refused("mean_of_groups: names", ["absent"]):
        result.mean_of_groups(["absent"])
    with refused("group", "abesnt", rule="did you mean 'absent'?"):
        result.mean_of_groups(["abesnt"])


def test_interval_of_runs_is_students() -> None:
    values = [0.61, 0.58, 0.7, 0.66]
    interval = mean_interval(values)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval["low"], interval["high"]) == pytest.approx((expected.low, expected.high))
    assert interval["mean"] == pytest.approx(0.6375)
    assert interval["values"] == values


def test_interval_of_differences() -> None:
    a, b = [0.61, 0.58, 0.7, 0.66], [0.5, 0.55, 0.52, 0.6]
    interval = paired(a, b, level=0.9)
    expected = ttest_rel(a, b).confidence_interval(0.9)
    assert (interval["low"], interval["high"]) == pytest.approx((expected.low, expected.high))
    assert interval["values"] == pytest.approx([0.11, 0.03, 0.18, 0.06])


def test_intervals_of_one_and_of_equal_values() -> None:
    assert mean_interval([0.5]) == {"mean": 0.5, "low": None, "high": None, "values": [0.5]}
    assert mean_interval([0.5, 0.5]) == {"mean": 0.5, "low": 0.5, "high": 0.5, "values": [0.5, 0.5]}


def test_impossible_runs_are_refused() -> None:
    for values in ([], [0.1, float("inf")]):
        with refused("mean_interval: values", values):
            mean_interval(values)
    with refused("mean_interval: level", 2):
        mean_interval([0.1, 0.2], level=2)
    with refused("paired", "1 and 2"):
        paired([0.1], [0.1, 0.2])
