"""Wrong targets inside the range of the others, among targets that are numbers: right ones times a factor.

Gross errors stand out one by one (`skedastic.noise.gross_errors`); these do so together alone. Squared error on rows
not seen can't tell them, since its minimum is the mean of right and wrong targets. Their likelihood can
(`skedastic.noise.mixtures`). Ours:

1. Predictions are held out, and robust: of boosted trees by absolute error and of robust ridge regression the one that
   errs less. All is done twice, the second time by models that are fitted without the rows that seemed wrong.
2. The likeliest mixture is one of right targets and of right ones times a factor, at most two fifths of all. It is
   likelier than noise alone by four standard errors, paired row by row, and by 0.6 nats for each wrong target: among
   many rows noise of any odd form is surely likelier as a mixture, and by little.
3. Where targets of other rows or any numbers of the range are likelier, nothing is set aside: they look like noise that
   is larger in some rows than in others.
4. Where many targets are 0, or at an end of the range, as claims and censored times are, nothing is judged.
5. Nothing in the rows foretells the wrong ones, and no group that was given would lose more than half of its rows. And
   plain models without them predict the other rows better by two standard errors, as with gross errors; that is no
   proof, since the other rows are those near the predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from skedastic.data import Dataset, folds
from skedastic.methods.trees import are_quick
from skedastic.noise.gross_errors import (
    FOLDS,
    GrossErrors,
    by_ridge,
    by_small_trees,
    by_trees,
    held_out,
    listed,
    without_them,
)
from skedastic.noise.mixtures import MOST_EQUAL, mixture, spreads

LEAST_UNITS = 100  # rows, or units where rows belong together, below which nothing is judged
PASSES = 2
MOST_APART = 0.45  # of the rows, that are left out in a pass
LIKELIER, CLEARER = 4.0, 0.6  # by how many standard errors, and nats for each wrong target, a mixture must be likelier
MOST, MOST_OF_A_GROUP = 0.4, 0.5  # the shares of all rows, and of those of a group, that may be wrong


@dataclass(frozen=True, eq=False)
class InnerErrors(GrossErrors):
    """The examples whose targets are wrong inside the range of the others, the most probable ones first.

    Parameters
    ----------
    said : str
        What they are, for the user.
    """

    said: str = ""

    @property
    def note(self) -> str:
        """What was found, for the user."""
        return (
            f"{len(self.table):,} of {self.rows:,} training rows ({len(self.table) / self.rows:.0%}) were set aside, "
            f"since their targets seem to be wrong: about {self.said} by models that had not seen them, while nothing "
            "else about these rows tells why; where they are right, gross_errors=keep trains on them"
        )


def find_inner_errors(dataset: Dataset, seed: int) -> InnerErrors | None:
    """Return the examples whose targets are wrong inside the range (see above), or None where there are none.

    Parameters
    ----------
    dataset : Dataset
        n examples, rows of numbers and ids of categories; targets are numbers.
    seed : int
        Of the folds and of the trees.
    """
    n = len(dataset)
    if (n if dataset.unit is None else len(torch.unique(dataset.unit))) < LEAST_UNITS:
        return None
    x, y = dataset.x[torch.arange(n)].flatten(1).numpy(), dataset.y.numpy()
    if max((y == value).mean() for value in (0, y.min(), y.max())) > MOST_EQUAL:
        return None
    fold = folds(dataset.group, dataset.strata, FOLDS, seed, dataset.unit).numpy()
    narrow = are_quick(x.shape[1], n)
    plain, robust = by_ridge(dataset.ids, x.shape[1])
    rest = np.ones(n, dtype=np.bool_)
    for _ in range(PASSES):
        tried = [held_out(x, y, fold, fit, rest) for fit in (robust, *[by_small_trees(seed)] * narrow)]
        predicted = min(tried, key=lambda p: float(np.abs(y - p)[rest].mean()))
        found = mixture(predicted, y, dataset.unit)
        rest = found.wrong <= 0.5
        if found.gain.mean <= 0 or not 1 - MOST_APART <= rest.mean() < 1:
            return None
    share = float(found.wrong.mean())
    least = max(LIKELIER * found.gain.error, CLEARER * share)
    wrong = ~rest
    if not found.of_right or found.gain.mean <= least or share > MOST or _takes_a_group(wrong, dataset):
        return None
    fitted = without_them(x, y, fold, by_trees(seed)[0] if narrow else plain, wrong, dataset.unit)
    if fitted is None:
        return None
    position = np.flatnonzero(wrong)
    position = position[np.argsort(-found.wrong[position], kind="stable")]
    off = fitted.residual / spreads(fitted.residual, y - fitted.residual, y)
    table = listed(dataset, position, fitted.residual, off, 1 - found.wrong)
    by = "boosted trees" if narrow else "ridge regression"
    return InnerErrors(torch.from_numpy(position), table, n, fitted.before, fitted.error, by, said=found.said)


def _takes_a_group(wrong: NDArray[np.bool_], dataset: Dataset) -> bool:
    """Return whether a group that was given would lose more than half of its rows."""
    if dataset.grouping.target_bins is not None:
        return False
    share = np.bincount(dataset.group.numpy(), wrong) / dataset.grouping.counts(dataset.group).clamp_min(1).numpy()
    return bool(share.max() > MOST_OF_A_GROUP)
