"""The ways of training that are fitted at once, which `auto` and `stack` try beside networks: linear models, trees."""

from __future__ import annotations

import math

from skedastic.methods.bases.task import Task
from skedastic.methods.linear import is_quick
from skedastic.methods.trees import MOST_ENTRIES, Trees, are_quick, can_read_trees, places_read

L2 = {"linear": 1.0, "shrunk linear": 100.0}  # of the linear models
LARGE, SMALL = "trees", "small trees"
WITHOUT_TEXTS = "trees without texts"  # where there are other columns
TREES = {LARGE: Trees(), SMALL: Trees(leaves=8), WITHOUT_TEXTS: Trees(words=0)}
FITTED = (*L2, *TREES)
NAMES = {
    "linear": "linear model",
    "shrunk linear": "linear model, shrunk",
    LARGE: "boosting",
    SMALL: "boosting of small trees",
    WITHOUT_TEXTS: "boosting without texts",
}  # for the user
CATEGORIES = 500  # that a column of ids is taken to have; their number is not known
CUT_SHORT = "training was cut short before"  # why one was not tried


def quick_ways(task: Task, rows: int, *, trees: bool = True, most: int = MOST_ENTRIES) -> list[str]:
    """Return the ways that are fitted in seconds, of a run whose trees can't be read here all the same.

    Parameters
    ----------
    task : Task
        The data, as far as a method may know them.
    rows : int
        How many rows there are.
    trees : bool
        Whether trees are wanted.
    most : int
        Entries of a row up to which trees are quick.
    """
    trees = trees and trees_are_quick(task, rows, most) and (task.is_of_a_run or can_read_trees())
    linear = is_quick(math.prod(task.input_shape) + CATEGORIES * task.ids, rows, max(1, len(task.classes)))
    return [*L2] * linear + [way for way in TREES if way != WITHOUT_TEXTS or any(task.words)] * trees


def trees_are_quick(task: Task, rows: int, most: int = MOST_ENTRIES) -> bool:
    """Return whether trees of what they read are fitted in seconds; arguments as of `quick_ways`."""
    return are_quick(len(places_read(math.prod(task.input_shape), task.words)), rows, most)
