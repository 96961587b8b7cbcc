"""Class probabilities by classifiers of scikit-learn: gradient-boosted trees, or logistic regression.

They read the rows that networks read, numbers first and then the ids of categories (`Inputs`). Trees take ids as
categories, the rarest of a great many together; logistic regression takes one indicator for each. Numbers are
standardized for logistic regression, by the rows that it is fitted to.

Their settings are scikit-learn's own, but that leaves of trees are pulled to 0, and that no rows are set apart to stop
trees by: those would be drawn without regard to units.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data import Dataset, Features
from skedastic.errors import UserError
from skedastic.methods.linear import logistic, word_scale
from skedastic.methods.trees import are_quick, places_read
from skedastic.settings.config import Estimation
from skedastic.training.ranks import agreed_tensor, is_leading

MOST_BINS = 255  # of a number, and categories of a column, that trees tell apart
L2 = 3.0  # of trees, which may diverge without it where classes are rare
MOST_CLASSES = 50  # above which trees are slow


def check_classifier(how: Estimation, dataset: Dataset) -> None:
    """Raise UserError where a classifier is to estimate the noise of data that it can't read.

    Parameters
    ----------
    how : Estimation
        How the noise is estimated.
    dataset : Dataset
        The training set.
    """
    if how.of_networks:
        return
    rule = ""
    if not dataset.classes:
        rule = "it is for classes, and the targets are numbers (regression); leave it out"
    elif dataset.kind == "image":
        rule = "it reads no images; leave it out, or give probabilities of another classifier of yours with pred_probs"
    elif dataset.tokens:
        rule = "it reads no tokens; take a model that reads texts as numbers, such as model=mlp, or leave it out"
    if rule:
        raise UserError(rule, setting="estimate.by", value=how.by)


def may_be_better(how: Estimation, dataset: Dataset) -> bool:
    """Return whether trees are quick enough to be held against networks, where nobody says what is to estimate.

    Parameters
    ----------
    how, dataset
        As above.
    """
    entries = len(places_read(math.prod(dataset.x.shape[1:]), dataset.words))
    quick = are_quick(entries, len(dataset)) and 0 < len(dataset.classes) <= MOST_CLASSES
    return how.by is None and how.kind == "cross-fit" and dataset.has_columns and quick


def class_probabilities(how: Estimation, rest: Dataset, x: Features, seed: int) -> Tensor:
    """Return the probability of each class for examples [m] by a classifier of others, [m, C] float32.

    A class that none of the others has gets 0.

    Parameters
    ----------
    how : Estimation
        Which classifier: `how.by` is "hgb" or "logistic".
    rest : Dataset
        The examples that it is fitted to.
    x : Features
        The features of the examples to predict, [m, d].
    seed : int
        Of the classifier.
    """
    if is_leading():  # else the processes of a machine would be in each other's way
        return agreed_tensor(_probabilities(how, rest, x, seed))
    return agreed_tensor(torch.zeros(len(x), len(rest.classes)))


def _probabilities(how: Estimation, rest: Dataset, x: Features, seed: int) -> Tensor:
    """Do what `class_probabilities` does, in this process."""
    y = rest.y.numpy()
    known = np.unique(y)
    found = np.zeros((len(x), len(rest.classes)), dtype=np.float32)
    if len(known) == 1:
        found[:, known] = 1
        return torch.from_numpy(found)
    of_trees = how.by == "hgb"
    fitted, others = (_rows(part, rest.words, of_trees=of_trees) for part in (rest.x, x))
    classifier = (_trees if of_trees else logistic)(rest.ids, fitted.shape[1], seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of categories that training never saw, and steps that end before the optimum
        classifier.fit(fitted, y)
        found[:, known] = classifier.predict_proba(others)
    return torch.from_numpy(found)


def _rows(x: Features, words: tuple[int, int], *, of_trees: bool) -> NDArray[np.float32]:
    """Return rows [n, d] as trees or logistic regression read them: of texts beside other columns few, or less."""
    rows = x[torch.arange(len(x))]
    if any(words):
        width = rows.shape[1]
        rows = rows[:, places_read(width, words)] if of_trees else rows * word_scale(width, words)
    read: NDArray[np.float32] = rows.numpy()
    return read


def _trees(ids: int, width: int, seed: int) -> Any:
    from sklearn.compose import ColumnTransformer  # a second to import
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    last = list(range(width - ids, width))
    trees = HistGradientBoostingClassifier(
        categorical_features=last or None, l2_regularization=L2, early_stopping=False, random_state=seed
    )
    if not ids:
        return trees
    codes = OrdinalEncoder(max_categories=MOST_BINS, handle_unknown="use_encoded_value", unknown_value=np.nan)
    return make_pipeline(
        ColumnTransformer([("numbers", "passthrough", list(range(width - ids))), ("ids", codes, last)]), trees
    )
