"""The metrics of predictions of a test set, by the kind of its target."""

from __future__ import annotations

from functools import singledispatch

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from skedastic.core.criteria import Accuracy, Balanced, Criterion, Held, Worst
from skedastic.data import Classes, Dataset, Numbers, Target
from skedastic.evaluation.classification import evaluate_classification
from skedastic.evaluation.metrics import COST, AnyMetrics, ClassificationMetrics, RegressionMetrics
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


def asked_for(criterion: Criterion | None, predicted: Tensor, test: Dataset) -> dict[str, float]:
    """Return the figure of the test set that a criterion names, by its part; none where it is shown anyway.

    Parameters
    ----------
    criterion : Criterion or None
        The criterion, if any.
    predicted : Tensor
        Class probabilities [m, C].
    test : Dataset
        The m examples of the test set.
    """
    shown = criterion is None or isinstance(criterion, (Balanced, Worst))
    if shown or (isinstance(criterion, Accuracy) and criterion.prior is None):
        return {}
    assert criterion is not None
    scores = predicted.double().clamp_min(torch.finfo(torch.float32).tiny).log()
    value = criterion.score(scores, Held(test.y, test.group, test.classes)).value
    name = "accuracy_at_prior" if isinstance(criterion, Accuracy) else criterion.shown_name().replace("-", "_")
    return {name: -value if name == COST else value}


@singledispatch
def _evaluate(target: Target, predicted: Tensor, test: Dataset, train_count: ArrayLike) -> AnyMetrics:
    raise TypeError(f"no metrics are known of a target of {type(target).__name__}")


@_evaluate.register
def _(target: Classes, predicted: Tensor, test: Dataset, train_count: ArrayLike) -> ClassificationMetrics:
    return evaluate_classification(predicted, test.y, test.group, test.classes, test.groups, train_count)


@_evaluate.register
def _(target: Numbers, predicted: Tensor, test: Dataset, train_count: ArrayLike) -> RegressionMetrics:
    return evaluate_regression(predicted, test.y, test.group, test.groups, train_count)
