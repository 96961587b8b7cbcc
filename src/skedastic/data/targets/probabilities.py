"""Class probabilities that the user has: one row for each row of the source, from a file, a frame or an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.sources.array_files import load_array
from skedastic.data.sources.arrays import as_tensor, wrong_shape
from skedastic.data.sources.files import read_files
from skedastic.data.sources.names import check_file, shown_name
from skedastic.data.sources.source import Source
from skedastic.data.tables.frames import frame_table, is_frame
from skedastic.data.tables.location import quoted
from skedastic.data.tables.numbers import as_numbers
from skedastic.data.tables.table import Table
from skedastic.data.tables.values import as_names
from skedastic.data.targets.labels import to_ids
from skedastic.errors import UserError, suggestion

NAME = "pred_probs"
TOLERANCE = 1e-3  # by which the probabilities of a row may miss a sum of 1
MOST_NAMES = 5  # classes that a message names

Values = NDArray[np.float64]
At = Callable[[int, int], str]  # of a row, and of a column or −1 for the whole row: how the user names the place


def read_probabilities(given: Any, source: Source) -> Tensor:
    """Return the class probabilities that the user has of all rows of a source, [n, C] float32; rows sum to 1.

    Parameters
    ----------
    given : str, Path, frame or array
        A .npy file or a table in a file, a frame, or numbers [n, C]. Columns are in the order of the classes, unless a
        table names them by the classes.
    source : Source
        The source, whole; its targets are classes.

    Raises
    ------
    UserError
        Targets are numbers; or these are no probabilities of the classes of each row.
    """
    if not source.classes:
        rule = "they are for classes, and the targets are numbers (regression); leave them out"
        raise UserError(rule, setting=NAME, value=str(given) if isinstance(given, (str, Path)) else None)
    values, at, name, are_named = _read(given, source.classes)
    if len(values) != len(source):
        rule = f"it has {len(values):,} rows, and the source has {len(source):,}; give one for each, in its order"
        raise UserError(rule, setting=name, value=len(values))
    _check(values, at)
    if not are_named:
        _check_order(values, source, name)
    return torch.from_numpy((values / values.sum(1, keepdims=True)).astype(np.float32))


def _read(given: Any, classes: Sequence[str]) -> tuple[Values, At, str, bool]:
    """Return the numbers [m, C], how places are named, the name of it all, and whether columns are named by classes."""
    if is_frame(given):
        return _of_table(frame_table(given, NAME), classes)
    if not isinstance(given, (str, Path)):
        return _of_array(given, NAME, classes)
    path = Path(given)
    if path.suffix.lower() != ".npy":
        return _of_table(read_files([path]), classes)
    check_file(path)
    name = shown_name([path])
    return _of_array(load_array(path), name, classes)


def _of_array(given: Any, name: str, classes: Sequence[str]) -> tuple[Values, At, str, bool]:
    is_plain = isinstance(given, np.ndarray) and given.dtype.kind in "fiub"  # of which NaN is refused below
    values = given if is_plain else as_tensor(given, name).double().numpy()
    if values.ndim != 2 or values.shape[1] != len(classes):
        rule = f"it must be [n, {len(classes)}], a column for each class in this order: {_listed(classes)}"
        raise wrong_shape(name, values.shape, rule)

    def at(row: int, column: int) -> str:
        return f"{name}, row {row}" + (f", column {column}" if column >= 0 else "")

    return values.astype(np.float64), at, name, False


def _of_table(table: Table, classes: Sequence[str]) -> tuple[Values, At, str, bool]:
    names = table.names
    if len(names) != len(classes):
        rule = (
            f"it has {len(names)} columns, and there are {len(classes)} classes: {_listed(classes)}; give one for each"
        )
        raise UserError(rule, setting=table.file, value=len(names))
    ordered, are_named = _in_order(names, classes, table.file)
    columns = []
    for name in ordered:
        cells, place = table.column(name, "column of probabilities", "label")
        numbers, unparsable = as_numbers(cells, hint=table.hint(name))
        if unparsable.any():
            row = int(unparsable.argmax())
            cell = str(cells.iloc[row])
            raise place.error(row, f"{quoted(cell)} is no number, and it must be a probability", cell)
        columns.append(numbers)

    def at(row: int, column: int) -> str:
        cell = table.place(ordered[column]).at(row)
        return cell if column >= 0 else cell.removesuffix(f", column {ordered[column]!r}")

    return np.stack(columns, 1), at, table.file, are_named


def _in_order(names: Sequence[str], classes: Sequence[str], file: str) -> tuple[list[str], bool]:
    """Return the columns in the order of the classes, and True; as they stand where they are numbered from 0."""
    ids = to_ids(as_names(pd.Series(names, dtype=object)), classes).tolist()
    if -1 not in ids and len(set(ids)) == len(ids):
        return [names[ids.index(c)] for c in range(len(classes))], True
    if list(names) == [str(i) for i in range(len(classes))]:
        return list(names), False
    wrong = next(name for name, c in zip(names, ids, strict=True) if c < 0 or ids.count(c) > 1)
    rule = f"column {wrong!r} is no class of its own{suggestion(wrong, classes)} (classes: {_listed(classes)}); "
    raise UserError(f"{rule}name each column by its class, or save an array as .npy", setting=file, value=wrong)


def _check(values: Values, at: At) -> None:
    """Raise UserError for the first row that holds no probabilities."""
    for wrong, rule in (
        (~np.isfinite(values), "must be a number; give a probability in [0, 1] for each class"),
        (values < 0, "is below 0; give a probability in [0, 1] for each class"),
    ):
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            value, place = float(values[row, column]), at(row, column)
            raise UserError(rule, setting=place, value=value, given=f"{place}: {value:g}")
    sums = values.sum(1)
    off = abs(sums - 1) > TOLERANCE
    if off.any():
        row = int(off.argmax())
        place, more = at(row, -1), f", and so do {int(off.sum()) - 1:,} other rows" if off.sum() > 1 else ""
        rule = (
            f"the probabilities of its classes sum to {sums[row]:g}{more}; they must sum to 1, to within {TOLERANCE:g}"
        )
        raise UserError(rule, setting=place, value=float(sums[row]), given=place)


def _check_order(values: Values, source: Source, name: str) -> None:
    """Raise UserError where the columns fit the labels better in the order of text: '10' before '9'."""
    in_text = [source.classes.index(c) for c in sorted(source.classes)]
    y = source.y.numpy()
    place = np.argsort(in_text)  # of each class, in the order of text
    if values[np.arange(len(y)), place[y]].mean() > values[np.arange(len(y)), y].mean():
        rule = f"its columns seem to be in the order of text, and that of the classes is {_listed(source.classes)}; "
        raise UserError(f"{rule}put them into it, or name them in a table", setting=name, given=name)


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(map(repr, classes[:MOST_NAMES])) + (", …" if len(classes) > MOST_NAMES else "")
