"""The examples whose labels annotators vote against, most of them first: no model has a say.

An issue is a label that fewer annotators gave than another one. Where the majority makes the labels there is none, and
the list begins with those that are most disputed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skedastic.noise.label_issues import COLUMNS


def find_vote_issues(shares: ArrayLike, labels: ArrayLike, index: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Return all examples, the most disputed label first, with the columns of `find_label_issues`.

    `score` and `p_given` are the share of the votes for the label, and `p_suggested` that for the class with the most
    votes of the others.

    Parameters
    ----------
    shares : ArrayLike
        The shares of annotators' votes for each class, [n, C] in [0, 1].
    labels : ArrayLike
        The given labels, [n] integers in 0..C-1.
    index : ArrayLike
        The stable number of each example, [n].
    classes : sequence of str
        The names of the C classes.
    """
    p, y, number = np.asarray(shares).astype(np.float64), np.asarray(labels), np.asarray(index)
    rows = np.arange(len(y))
    given = p[rows, y]
    p[rows, y] = -1  # below every share
    suggested, most = p.argmax(1), p.max(1)
    order = np.lexsort((number, -most, given))
    names = np.asarray(classes, dtype=object)
    columns = (rows + 1, number, names[y], names[suggested], given, most > given, given, most)
    values = dict(zip(COLUMNS, columns, strict=True))
    return pd.DataFrame({name: value if name == "rank" else value[order] for name, value in values.items()})
