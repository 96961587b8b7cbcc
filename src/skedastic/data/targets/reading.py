"""From the columns of a source to its targets: classes or numbers, and the groups that they or a column make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from pandas.api.types import is_bool_dtype
from torch import Tensor

from skedastic.data.schema import Schema
from skedastic.data.settings import TaskName
from skedastic.data.tables.dress import NO_HINT, PLAIN, Hint, told
from skedastic.data.tables.location import CellLocation
from skedastic.data.tables.numbers import dress_of, filled
from skedastic.data.tables.values import coded_texts, is_text
from skedastic.data.targets.grouping import Grouping
from skedastic.data.targets.labels import are_whole_numbers, read_groups, read_labels, read_truth
from skedastic.data.targets.regression import Bins, means_measurements, read_numbers
from skedastic.data.targets.spellings import spelling_notes
from skedastic.data.targets.target import Classes, Numbers, Target, TaskKind
from skedastic.errors import UserError

Column = tuple[pd.Series, CellLocation]
ONE_GROUP = Grouping(("all",))
DOUBTFUL = 5  # different whole numbers, from which on they may be grades or counts as well as classes


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of the n rows of a source, and their groups.

    Parameters
    ----------
    y : Tensor
        Label ids [n] int64, or numbers [n] float64 in the user's units.
    target : Target
        Says what y is.
    group : Tensor
        Group ids [n] int64.
    grouping : Grouping
        The groups.
    truth : Tensor or None
        Clean targets, as y, where a column holds them.
    notes : tuple of str
        For the user.
    """

    y: Tensor
    target: Target
    group: Tensor
    grouping: Grouping
    truth: Tensor | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TargetColumns:
    """The columns of a source that tell targets and groups.

    Parameters
    ----------
    y : Column
        Labels or numbers.
    name : str
        The name that the user has for the target.
    groups : Column or None
        Groups; by default the target makes them.
    truth : Column or None
        Clean targets.
    class_names, truth_names : sequence of str
        The names that integers 0, 1, … in `y` and `truth` stand for (a Hugging Face ClassLabel).
    keeps_text : bool
        Whether labels that are text stay text where all are whole numbers.
    grouped : bool
        Whether the caller makes the groups: here all rows are in one.
    hint : Hint
        What is known of the table's numbers.
    """

    y: Column
    name: str = "y"
    groups: Column | None = None
    truth: Column | None = None
    class_names: Sequence[str] = ()
    truth_names: Sequence[str] = ()
    keeps_text: bool = False
    grouped: bool = False
    hint: Hint = NO_HINT


def read_targets(
    columns: TargetColumns, task: TaskName = "auto", bins: int | None = None, schema: Schema | None = None
) -> Targets:
    """Return the targets of a source.

    Parameters
    ----------
    columns : TargetColumns
        The columns that tell them.
    task : TaskName, optional
        "auto" is regression where the target holds measurements (`means_measurements`), else classification.
    bins : int or None, optional
        The number of bins of a numeric target, where no column holds the groups.
    schema : Schema or None, optional
        Of the training source, when this is its test set.

    Raises
    ------
    UserError
        A cell can't be read, or the settings do not fit together.
    """
    if _kind(columns, task, schema) == "classification":
        return _read_classes(columns, task, bins, schema)
    return _read_numbers(columns, task, bins, schema)


def _kind(columns: TargetColumns, task: TaskName, schema: Schema | None) -> TaskKind:
    if schema is not None:
        return schema.target.task
    if task != "auto":
        return task
    return (
        "regression" if not columns.class_names and means_measurements(columns.y[0], columns.hint) else "classification"
    )


def _read_classes(columns: TargetColumns, task: TaskName, bins: int | None, schema: Schema | None) -> Targets:
    cells, place = columns.y
    grouped = _read_groups(columns, schema)
    if bins is not None:
        rule = (
            f"bins are made of numbers, {place.column} holds classes; leave bins out, or train with --task regression"
        )
        raise UserError(rule, setting="bins", value=bins)
    known = schema.target.classes if schema else ()
    y, classes = read_labels(cells, place, names=columns.class_names, classes=known)
    group, grouping = grouped or (y, Grouping(classes))
    truth = None
    if columns.truth is not None:
        truth = read_truth(*columns.truth, classes, columns.truth_names, columns.class_names)
    integers = are_whole_numbers(classes) and not (columns.keeps_text and is_text(cells))
    notes = spelling_notes(cells, columns.name) if schema is None else ()
    if integers and len(classes) >= DOUBTFUL and task == "auto" and schema is None and not columns.class_names:
        numbers = f"{len(classes)} different whole numbers, {classes[0]} to {classes[-1]}"
        notes += (f"{place.column} holds {numbers}: taken as classes; --task regression takes them as numbers",)
    truths = is_bool_dtype(cells.dtype) and set(classes) == {"True", "False"}
    target = Classes(classes, integers, truths, column=columns.name)
    return Targets(y, target, group, grouping, truth, notes)


def _read_numbers(columns: TargetColumns, task: TaskName, bins: int | None, schema: Schema | None) -> Targets:
    grouped = _read_groups(columns, schema)
    known = None if schema is None else schema.target
    dress = known.dress if isinstance(known, Numbers) else dress_of(columns.y[0], columns.hint)
    y = read_numbers(*columns.y, dress=dress)
    if columns.grouped:
        grouped = torch.zeros_like(y, dtype=torch.int64), ONE_GROUP
    elif grouped is None:
        edges = _bins(y, bins, schema)
        grouped = edges.of(y), Grouping.of_target(edges)
    elif bins is not None and columns.groups is not None:
        rule = f"the groups are {columns.groups[1].column}; leave one of the two out"
        raise UserError(rule, setting="bins", value=bins)
    truth = None if columns.truth is None else read_numbers(*columns.truth, "true target", hint=columns.hint)
    note = f"{columns.y[1].column} holds numbers: trained as regression, not as classification (--task)"
    notes = (note,) if task == "auto" and schema is None else ()
    if dress != PLAIN and schema is None:
        notes = (*notes, told(columns.name, filled(coded_texts(columns.y[0])[1]), dress, columns.hint))
    return Targets(y, Numbers(dress=dress, column=columns.name), *grouped, truth, notes)


def _read_groups(columns: TargetColumns, schema: Schema | None) -> tuple[Tensor, Grouping] | None:
    """Return the groups [n] that a column holds; None where there is none."""
    if columns.groups is None:
        return None
    group, names = read_groups(*columns.groups, schema.grouping.names if schema else ())
    return group, Grouping(names)


def _bins(y: Tensor, bins: int | None, schema: Schema | None) -> Bins:
    """Return bins of the training targets y [n]; for a test source, those of the training source."""
    if schema is None:
        return Bins.fit(y, bins)
    if schema.grouping.target_bins is None:
        rule = "the training data has groups of its own, the test data has none; give (X, y, groups)"
        raise UserError(rule, setting="groups")
    return schema.grouping.target_bins
