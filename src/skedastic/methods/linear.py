"""Linear: logistic or ridge regression, which is quick, and better than networks where rows are few or labels wrong.

Source: Cox, "The Regression Analysis of Binary Sequences", 1958, by scikit-learn's LogisticRegression; for targets that
are numbers Hoerl and Kennard, "Ridge Regression", 1970, by its Ridge. Both read standardized numbers and an indicator
of each category; numbers of texts and embeddings are centred alone, and those of texts beside other columns count
less. `tau` takes the shares of the classes off the
logits afterwards (Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021, equation 9). Nothing is trained
by steps: one pass gathers the rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.choice import Trial
from skedastic.core.linear_model import LinearModel
from skedastic.methods.bases.card import Card
from skedastic.methods.bases.fitted import NEVER, Fitted, capabilities
from skedastic.methods.bases.task import Task

STEPS = 200  # of its optimizer
WIDE = 128  # numbers of a row, above which they are those of a text or an embedding, and stay in their common scale
BESIDE_OTHERS = 0.4  # the scale of a text's numbers beside other columns
MOST_CELLS = 2 * 10**8  # entries of all rows times classes, up to which it is quick


@dataclass(frozen=True, kw_only=True)
class Linear(Fitted[LinearModel]):
    """Fit a linear model to the rows."""

    steps: int = setting(STEPS, "steps of its optimizer at most", "[1, inf)")
    l2: float = setting(1.0, "how strongly weights are pulled to 0, in rows", "(0, inf)")

    card: ClassVar[Card] = Card(
        name="linear",
        title="Multinomial logistic regression, or ridge regression of numbers",
        paper="Cox 1958; Hoerl and Kennard 1970; scikit-learn",
        equations="min_W Σ_i −log softmax(W x_i)_{y_i} + l2/2 |W|²; then W x − τ log π; or Σ_i (W x_i − y_i)² + …",
        family="without a network",
        capabilities=capabilities(),
        never_erm="it trains no network",
        cost="0.1 × plain training of a small network",
    )

    def predictor(self, trials: Sequence[Trial]) -> str:
        """Return that it is a linear model."""
        return "a linear model (logistic or ridge regression)"

    def shorter_pass(self, rounds: int) -> tuple[Linear, int]:
        """Return fewer steps, and how many there are at most."""
        return replace(self, steps=min(rounds, self.steps)), self.steps

    def empty(self, task: Task) -> LinearModel:
        """Return no weights yet."""
        return LinearModel(torch.zeros(len(task.classes) or 1))

    def fit(self, model: LinearModel, x: Tensor, y: Tensor, task: Task) -> None:
        """Fit weights to rows [n, d] with labels or numbers [n]."""
        scale = word_scale(x.shape[1], task.words)
        x = x * scale if any(task.words) else x
        if not task.classes:
            pipe = ridge(task.ids, x.shape[1], self.l2).fit(x.numpy(), y.numpy())
            bias, weights = torch.tensor([float(pipe[-1].intercept_)]), torch.from_numpy(pipe[-1].coef_)[:, None]
            model.take(_taken(pipe, bias, weights.float(), scale[: x.shape[1] - task.ids]))
            return
        classes, width = len(task.classes), x.shape[1]
        known = torch.unique(y)
        bias = torch.full((classes,), NEVER)
        if len(known) == 1:
            bias[known] = 0
            model.take({"bias": bias})
            return
        pipe = logistic(task.ids, width, task.seed, self.l2, self.steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of steps that end before the optimum
            pipe.fit(x.numpy(), y.numpy())
        coefficients, intercept = pipe[-1].coef_, pipe[-1].intercept_
        if len(known) == 2:  # it has those of the second alone
            coefficients, intercept = (np.stack([0 * part[0], part[0]]) for part in (coefficients, intercept))
        bias[known] = (torch.from_numpy(intercept) - self.shift(y, classes)[known]).float()
        of_class = torch.zeros(coefficients.shape[1], classes)
        of_class[:, known] = torch.from_numpy(coefficients.T).float()
        model.take(_taken(pipe, bias, of_class, scale[: width - task.ids]))


def word_scale(width: int, words: tuple[int, int]) -> Tensor:
    """Return what the entries of a row are multiplied by, [d] float32: those of a text beside other columns by 0.4.

    Parameters
    ----------
    width : int
        d, entries of a row.
    words : tuple of int
        Where the numbers of texts stand, as in `Task`.
    """
    scale = torch.ones(width)
    scale[slice(*words)] = BESIDE_OTHERS
    return scale


def logistic(ids: int, width: int, seed: int, l2: float = 1.0, steps: int = STEPS) -> Any:
    """Return logistic regression on standardized numbers and an indicator of each category, yet to be fitted.

    More than 128 numbers are those of a text or an embedding: they are centred, and stay in their common scale.

    Parameters
    ----------
    ids, width : int
        Columns at the end of a row that are ids of categories, and all columns.
    seed : int
        Of its optimizer.
    l2 : float
        How strongly weights are pulled to 0.
    steps : int
        Of its optimizer at most.
    """
    from sklearn.linear_model import LogisticRegression  # a second to import

    return _on_rows(LogisticRegression(C=1 / l2, max_iter=steps, random_state=seed), ids, width)


def ridge(ids: int, width: int, l2: float = 1.0) -> Any:
    """Return ridge regression on what `logistic` reads, yet to be fitted; arguments as there."""
    from sklearn.linear_model import Ridge

    return _on_rows(Ridge(l2), ids, width)


def _on_rows(model: Any, ids: int, width: int) -> Any:
    """Return a model of scikit-learn on standardized numbers and an indicator of each category."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    first, last = list(range(width - ids)), list(range(width - ids, width))
    scaled = StandardScaler(with_std=len(first) <= WIDE)
    columns = [("numbers", scaled, first), ("ids", OneHotEncoder(handle_unknown="ignore"), last)]
    rows = ColumnTransformer([(name, encoder, places) for name, encoder, places in columns if places])
    return make_pipeline(rows, model)


def is_quick(entries: int, rows: int, classes: int) -> bool:
    """Return whether a linear model is fitted in seconds.

    Parameters
    ----------
    entries, rows, classes : int
        Entries of a row, rows, and classes.
    """
    return entries * rows * classes <= MOST_CELLS


def _taken(pipe: Any, bias: Tensor, weights: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """Return what a `LinearModel` takes of a fitted pipeline, of its bias [C] and its weights [R', C].

    scale: what the numbers were multiplied by before, [r].
    """
    rows, numbers = pipe[0].named_transformers_, len(scale)
    found = {"bias": bias.float(), "weight": weights[:numbers]}
    if numbers:
        mean, spread = rows["numbers"].mean_, rows["numbers"].scale_
        spread = np.ones_like(mean) if spread is None else spread
        found |= {"mean": _single(mean) / scale, "scale": _single(spread) / scale}
    if len(weights) > numbers:
        found |= _table(weights[numbers:], rows["ids"].categories_)
    return found


def _single(values: Any) -> Tensor:
    return torch.from_numpy(values).float()


def _table(weights: Tensor, categories: Sequence[Any]) -> dict[str, Tensor]:
    """Return the table of ids of the weights [R', C] of the categories that were met, in their order."""
    size = torch.tensor([int(own.max()) + 1 for own in categories])
    start = torch.cat([torch.zeros(1, dtype=torch.int64), (size + 1).cumsum(0)])
    table, at = torch.zeros(int(start[-1]), weights.shape[1]), 0
    for own, first in zip(categories, start.tolist(), strict=False):
        table[first + torch.from_numpy(own).long()] = weights[at : at + len(own)]
        at += len(own)
    return {"table": table, "start": start[:-1], "size": size}
