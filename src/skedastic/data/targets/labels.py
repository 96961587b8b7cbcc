"""Labels and groups: from the cells of a column to ids and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.tables.dates import are_dates
from skedastic.data.tables.location import CellLocation
from skedastic.data.tables.numbers import as_numbers
from skedastic.data.tables.values import coded, holds_numbers, matched
from skedastic.data.targets.regression import MOST_NUMBERS, holds_measurements
from skedastic.errors import UserError, suggestion


def natural_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names: by value where all are finite numbers, else as text."""
    distinct = sorted(set(names))
    try:
        values = {name: float(name) for name in distinct}
    except ValueError:
        return tuple(distinct)
    finite = np.isfinite(list(values.values())).all()
    return tuple(sorted(distinct, key=values.__getitem__ if finite else None))


def are_whole_numbers(names: Iterable[str]) -> bool:
    """Tell whether all names are whole numbers in their shortest decimal writing."""
    return all(re.fullmatch(r"0|-?[1-9][0-9]*", name) for name in names)


def to_ids(names: Sequence[str] | NDArray[np.object_], known: Sequence[str]) -> Tensor:
    """Return the positions [n] int64 of names in `known`, as `matched` does; -1 where a name is not in it."""
    return torch.from_numpy(matched(names, known))


def read_labels(
    column: pd.Series, place: CellLocation, *, names: Sequence[str] = (), classes: Sequence[str] = ()
) -> tuple[Tensor, tuple[str, ...]]:
    """Return the class ids [n] int64 of a column, and the classes in natural order.

    names: what integers 0, 1, ... in the column stand for (a Hugging Face ClassLabel). classes: the classes of a
    training set, which the ids then refer to; else there must be two.
    Raises UserError for a missing label, an unknown one, and a column of measurements.
    """
    codes, plain = coded(column)
    _refuse_missing(codes, plain, place, "label", "fill the label in, or remove the row")
    _refuse_infinite(column, place)
    named = _named(plain, names)
    if classes:
        ids = to_ids(named, classes)
        if (ids < 0).any():
            other = to_ids(plain, classes)
            ids = other if (other >= 0).all() else ids
        _refuse_unknown(ids, codes, named, place, "label", classes)
        return ids[torch.from_numpy(codes)], tuple(classes)
    if not names:
        _refuse_measurements(column, place)
        _refuse_dates(plain, place)
    classes = natural_order(named)
    if len(classes) < 2:
        rule = f"every label is {classes[0]!r}; a classifier needs at least two classes"
        raise UserError(rule, setting=place.column, value=classes[0], given=place.column)
    return to_ids(named, classes)[torch.from_numpy(codes)], classes


def read_truth(
    column: pd.Series, place: CellLocation, classes: Sequence[str], own: Sequence[str] = (), target: Sequence[str] = ()
) -> Tensor:
    """Return the clean label ids [n] of a column in terms of `classes`.

    Integers may stand for the names of this column (`own`) or of the target column (`target`), where one of them is a
    Hugging Face ClassLabel. Raises UserError where a clean label is missing or is no class of the target.
    """
    codes, plain = coded(column)
    _refuse_missing(codes, plain, place, "true label", "fill the label in, or remove the row")
    for named in (_named(plain, own), plain, _named(plain, target)):
        ids = to_ids(named, classes)
        if (ids >= 0).all():
            return ids[torch.from_numpy(codes)]
    row = int((to_ids(plain, classes).numpy()[codes] < 0).argmax())
    name = plain[codes[row]]
    raise place.error(row, f"true label {name!r} is no class of the target (known: {_listed(classes)})", name)


def read_groups(column: pd.Series, place: CellLocation, known: Sequence[str] = ()) -> tuple[Tensor, tuple[str, ...]]:
    """Return the group ids [n] int64 of a column, and the groups' names in natural order.

    known: the groups of a training set, which the ids then refer to.
    Raises UserError for missing and unknown groups, and for a column of measurements.
    """
    codes, names = coded(column)
    _refuse_missing(codes, names, place, "group", "fill the cell in, or remove the row")
    numbers, unparsable = as_numbers(column)
    if not known and len(names) > MOST_NUMBERS and not unparsable.any() and np.isfinite(numbers).all():
        rule = (
            f"it holds {len(names)} different numbers, and a group needs enough examples to be estimated from; name a "
            f"column with at most {MOST_NUMBERS}, such as bins of this one"
        )
        raise UserError(rule, setting=place.column, value=len(names), given=f"{place.column} can't be the groups")
    groups = tuple(known) or natural_order(names)
    ids = to_ids(names, groups)
    _refuse_unknown(ids, codes, names, place, "group", groups)
    return ids[torch.from_numpy(codes)], groups


def _named(plain: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    by_number = {str(i): name for i, name in enumerate(names)}
    return tuple(by_number.get(name, name) for name in plain)


def _refuse_missing(
    codes: NDArray[np.int64], names: Sequence[str], place: CellLocation, what: str, way_out: str
) -> None:
    missing = np.isin(names, ("", "nan", "NaN"))[codes]
    if missing.any():
        total = int(missing.sum())
        more = f", and {total - 1} more" if total > 1 else ""
        raise place.error(int(missing.argmax()), f"the {what} is missing{more}; {way_out}")


def _refuse_infinite(column: pd.Series, place: CellLocation) -> None:
    """Raise UserError for the first infinite number of a column of numbers: it is no class."""
    infinite = np.isinf(as_numbers(column)[0]) if holds_numbers(column) else np.zeros(0, dtype=bool)
    if infinite.any():
        row = int(infinite.argmax())
        value = float(column.iloc[row])
        rule = f"the label is {value}, and a label is a class; mend the cell, or remove the row"
        raise place.error(row, rule, value)


def _refuse_unknown(
    ids: Tensor, codes: NDArray[np.int64], names: Sequence[str], place: CellLocation, what: str, known: Sequence[str]
) -> None:
    """Raise UserError for the first cell whose name has no id; ids and names are those of the distinct cells."""
    unknown = (ids.numpy() < 0)[codes]
    if unknown.any():
        row = int(unknown.argmax())
        name = names[codes[row]]
        near = suggestion(name, known)
        rule = f"{what} {name!r} does not occur in the training data{near} (known: {_listed(known)})"
        raise place.error(row, rule, name)


def _refuse_measurements(column: pd.Series, place: CellLocation) -> None:
    if not holds_measurements(column):
        return
    numbers, _ = as_numbers(column)
    fractions = (numbers != np.round(numbers)).any()
    distinct = len(np.unique(numbers))
    raise UserError(
        "this looks like regression; train it with --task regression, or write its classes as words",
        setting=place.column,
        value=distinct,
        given=f"{place.column} holds {distinct} different numbers{', not all whole' if fractions else ''}",
    )


def _refuse_dates(names: Sequence[str], place: CellLocation) -> None:
    if are_dates(names):
        rule = f"it holds dates, such as {names[0]}, and a label is a class; name another column"
        raise UserError(rule, setting=place.column, value="dates", given=place.column)


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(repr(name) for name in names[:most]) + (", …" if len(names) > most else "")
