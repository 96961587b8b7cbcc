"""The metrics of predictions of a test set, by the kind of its target."""

from __future__ import annotations

from functools import singledispatch

from numpy.typing import ArrayLike
from torch import Tensor

from skedastic.data import Classes, Dataset, Numbers, Target
from skedastic.evaluation.classification import evaluate_classification
from skedastic.evaluation.metrics import AnyMetrics, ClassificationMetrics, RegressionMetrics
from skedastic.evaluation.regression import evaluate_regression


def evaluate(predicted: Tensor, test: Dataset, train_count: ArrayLike) -> AnyMetrics:
    """Return the metrics of predictions.

    Parameters
    ----------
    predicted : Tensor
        Class probabilities [m, C], or numbers [m] in the target's units.
    test : Dataset
        The m examples of the test set.
    train_count : ArrayLike
        The number of training examples of each group, [G].

    Raises
    ------
    UserError
        The test set is empty, or predictions are not probabilities, or not finite.
    """
    return _evaluate(test.target, predicted, test, train_count)


@singledispatch
def _evaluate(target: Target, predicted: Tensor, test: Dataset, train_count: ArrayLike) -> AnyMetrics:
    raise TypeError(f"no metrics are known of a target of {type(target).__name__}")


@_evaluate.register
def _(target: Classes, predicted: Tensor, test: Dataset, train_count: ArrayLike) -> ClassificationMetrics:
    return evaluate_classification(predicted, test.y, test.group, test.classes, test.groups, train_count)


@_evaluate.register
def _(target: Numbers, predicted: Tensor, test: Dataset, train_count: ArrayLike) -> RegressionMetrics:
    return evaluate_regression(predicted, test.y, test.group, test.groups, train_count)
