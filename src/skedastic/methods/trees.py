"""Trees: gradient-boosted trees of scikit-learn, which are quick, and better than networks where labels follow rules.

Source: Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", 2001; by histograms (Ke et al.,
"LightGBM", NeurIPS 2017) as scikit-learn's HistGradientBoostingClassifier has them, of numbers its
HistGradientBoostingRegressor by squared or absolute error, with their own settings but for `l2`.
They read what a network would read, an id of a category as a number; of a text beside other columns its leading
numbers alone, which are quicker, and drown the others less. Nothing is trained by steps: one pass gathers the
rows.

The trees become a module (`skedastic.core.boosted_trees`), which is saved and exported as networks are. `tau` takes the
shares of the classes off the logits afterwards (Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021,
equation 9).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.boosted_trees import BoostedTrees, Nodes
from skedastic.core.choice import Trial
from skedastic.errors import UserError
from skedastic.methods.bases.card import Card
from skedastic.methods.bases.fitted import NEVER, Fitted, FittedState, capabilities
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.task import Task

LEADING = 16  # numbers of texts beside other columns that are read
MOST_ENTRIES, MOST_CELLS = 128, 2 * 10**7  # of a row and of all rows, up to which trees are quick
MOST_OF_NUMBERS = 512  # entries of a row, where the target is a number


@dataclass(frozen=True, kw_only=True)
class Trees(Fitted[BoostedTrees]):
    """Fit gradient-boosted trees to the rows."""

    iterations: int = setting(100, "trees of each class", "[1, inf)")
    lr: float = setting(0.1, "by how much each tree counts", "(0, 1]")
    leaves: int = setting(31, "leaves of a tree at most", "[2, inf)")
    l2: float = setting(
        3.0, "how strongly what leaves add is pulled to 0; without, rare classes of many make it diverge", "[0, inf)"
    )

    loss: Literal["squared", "absolute"] = setting(
        "squared", "of numbers: absolute aims at the median, which a few wrong targets hardly move"
    )
    words: int = setting(LEADING, "numbers of texts beside other columns that are read, the leading ones", "[0, inf)")

    card: ClassVar[Card] = Card(
        name="trees",
        title="Gradient-boosted trees",
        paper="Friedman 2001; Ke et al., NeurIPS 2017; scikit-learn",
        equations="base_c + Σ_t value_t(x) − τ log π_c",
        family="without a network",
        role="yardstick",
        capabilities=capabilities(),
        never_erm="it trains no network",
        cost="0.1 to 2 × plain training of a small network; more with many classes",
    )

    def init(self, task: Task, make_net: MakeNet) -> FittedState[BoostedTrees]:
        """Return no trees yet. Raises UserError where examples are no rows of numbers, or trees can't be read."""
        if task.columns and not task.is_of_a_run and not can_read_trees():
            rule = "the installed scikit-learn keeps its trees in another way; install one from 1.4 to 1.9"
            raise UserError(rule, setting="method", value="trees", given="trees")
        return super().init(task, make_net)

    def predictor(self, trials: Sequence[Trial]) -> str:
        """Return how many trees there are, and how large they are."""
        texts = "" if self.words else ", which read no texts"
        return f"boosted trees, {self.iterations} of each output with at most {self.leaves} leaves{texts}"

    def shorter_pass(self, rounds: int) -> tuple[Trees, int]:
        """Return fewer trees, and how many there are of each class."""
        return replace(self, iterations=min(rounds, self.iterations)), self.iterations

    def empty(self, task: Task) -> BoostedTrees:
        """Return no trees yet."""
        return BoostedTrees(torch.zeros(len(task.classes) or 1))

    def fit(self, model: BoostedTrees, x: Tensor, y: Tensor, task: Task) -> None:
        """Fit trees to rows [n, d] with labels or numbers [n]."""
        read = places_read(x.shape[1], task.words, self.words)
        x = x[:, read] if any(task.words) else x
        own = self._of_labels(x, y, len(task.classes), task.seed) if task.classes else self._of_numbers(x, y, task.seed)
        base, nodes = own
        model.set(base, nodes._replace(feature=read[nodes.feature]))

    def _of_numbers(self, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Nodes]:
        """Return the base and the trees of rows [n, d] with numbers [n]."""
        from sklearn.ensemble import HistGradientBoostingRegressor  # a second to import

        settings = self.of_boosting(seed) | {"loss": f"{self.loss}_error"}
        boosted = HistGradientBoostingRegressor(**settings).fit(x.numpy(), y.numpy())
        return read_trees(boosted, torch.zeros(1, dtype=torch.int64))

    def _of_labels(self, x: Tensor, y: Tensor, classes: int, seed: int) -> tuple[Tensor, Nodes]:
        """Return the base and the trees of rows [n, d] with labels [n]."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        base = torch.full((classes,), NEVER, dtype=torch.float64)
        known = torch.unique(y)
        nodes = BoostedTrees(base).nodes
        if len(known) == 1:
            base[known] = 0
        else:
            boosted = HistGradientBoostingClassifier(**self.of_boosting(seed)).fit(x.numpy(), y.numpy())
            own, nodes = read_trees(boosted, known)
            base[known] = own
        base[known] -= self.shift(y, classes)[known]
        return base, nodes

    def of_boosting(self, seed: int) -> dict[str, Any]:
        """Return the settings of scikit-learn's boosting.

        Parameters
        ----------
        seed : int
            Of its draws.
        """
        return {
            "max_iter": self.iterations,
            "learning_rate": self.lr,
            "max_leaf_nodes": self.leaves,
            "l2_regularization": self.l2,
            "early_stopping": False,  # else rows are set apart without regard to units
            "random_state": seed,
        }


def places_read(width: int, words: tuple[int, int], leading: int = LEADING) -> Tensor:
    """Return the places of a row that trees read, [k] int64: all but the later numbers of texts.

    Parameters
    ----------
    width : int
        Entries of a row.
    words : tuple of int
        Where the numbers of texts stand, as in `Task`.
    leading : int
        How many of them are read.
    """
    first, end = words
    return torch.cat([torch.arange(min(first + leading, end) if end else 0), torch.arange(end, width)])


def are_quick(entries: int, rows: int, most: int = MOST_ENTRIES) -> bool:
    """Return whether trees are fitted in seconds.

    Parameters
    ----------
    entries, rows : int
        Entries of a row, and rows.
    most : int, optional
        The most entries of a row; with targets that are numbers, which need one tree at a time, there may be more.
    """
    return entries <= most and entries * rows <= MOST_CELLS


@cache
def can_read_trees() -> bool:
    """Return whether the trees of the installed scikit-learn can be read: they are in attributes that may change."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    x = torch.arange(40.0)[:, None]
    few = HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=4, min_samples_leaf=2)
    boosted = few.fit(x.numpy(), np.arange(40) % 7 > 2)
    try:
        read = BoostedTrees(*read_trees(boosted, torch.arange(2)))(x).softmax(1)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return False
    return bool(np.allclose(read.numpy(), boosted.predict_proba(x.numpy()), atol=1e-5))


def read_trees(boosted: Any, known: Tensor) -> tuple[Tensor, Nodes]:
    """Return the base [k] and the trees of fitted histogram boosting that knows no categories.

    Parameters
    ----------
    boosted : HistGradientBoostingClassifier or HistGradientBoostingRegressor
        Of scikit-learn, which has no public way to its trees.
    known : Tensor
        The classes that it knows, [k] int64, in its order; with two its trees are of the second. Of numbers one, 0.
    """
    own = torch.from_numpy(np.asarray(boosted._baseline_prediction, dtype=np.float64).ravel())
    base = torch.zeros(len(known), dtype=torch.float64)
    base[-len(own) :] = own
    grown = boosted._predictors  # for each iteration, a tree of each output
    nodes = [tree.nodes for trees in grown for tree in trees]
    output = known[-len(own) :].repeat(len(grown))
    shape = len(nodes), max(map(len, nodes))
    feature, threshold, value = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    below = np.tile(np.arange(shape[1])[:, None], (shape[0], 1, 2))  # of each node itself
    for t, tree in enumerate(nodes):
        inner = np.flatnonzero(tree["is_leaf"] == 0)
        feature[t, inner], threshold[t, inner] = tree["feature_idx"][inner], tree["num_threshold"][inner]
        below[t, inner] = np.stack([tree["right"], tree["left"]], 1)[inner]
        value[t, : len(tree)] = tree["value"]
    levels = torch.zeros(int(max(tree["depth"].max() for tree in nodes)))
    feature_, below_, value_ = map(torch.from_numpy, (feature, below, value))
    return base, Nodes(feature_, _rounded_down(torch.from_numpy(threshold)), below_, value_.float(), output, levels)


def _rounded_down(threshold: Tensor) -> Tensor:
    """Return thresholds float64 as the largest float32 that is not above: a float32 is at most either or neither."""
    near = threshold.float()
    lower = torch.nextafter(near, near.new_tensor(-torch.inf))
    return torch.where(near.double() > threshold, lower, near)
