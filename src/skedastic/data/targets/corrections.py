"""Labels that a person has corrected: a file of rows and right labels, as `skedastic suspects --out` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.sources.files import read_files
from skedastic.data.sources.source import Source
from skedastic.data.tables.dress import PLAIN
from skedastic.data.tables.location import CellLocation, quoted
from skedastic.data.tables.numbers import as_numbers
from skedastic.data.tables.table import Table
from skedastic.data.tables.values import as_names
from skedastic.data.targets.labels import to_ids
from skedastic.data.targets.regression import read_numbers
from skedastic.data.targets.target import Classes, Numbers, Target
from skedastic.errors import UserError, suggestion
from skedastic.runtime.escaping import from_csv

ROW = ("row", "index")
LABEL = ("corrected", "label")
SPREADSHEETS = (".csv", ".tsv")  # whose cells were escaped, as `in_csv` does
GIVEN = "given"
NEAR = 1e-3  # of a number, that it may differ from itself where it was written with few digits
MOST_OTHERS = 0.1  # of the rows, that may have another label in the source than the file says
REMOVE = "remove"  # instead of a label: the row is no example of any


def with_corrections(source: Source, file: str) -> Source:
    """Return a source with the labels of a file in place of its own; rows marked "remove" are left out.

    Clean labels in another column of the source stay as they are.

    Parameters
    ----------
    source : Source
        The source, whole.
    file : str
        A table with a column `row` (or `index`), from 0 in the order of the source, and a column `corrected` (or
        `label`); a row whose cell is empty stays as it is.

    Raises
    ------
    UserError
        A row is not there or stands twice, or a label is unknown.
    """
    table = read_files([Path(file)])
    (rows, row_place), (cells, place) = _column(table, ROW), _column(table, LABEL)
    cells = _as_written(cells, file)
    names = as_names(cells)
    filled = np.flatnonzero(names != "")
    at = _rows(rows, row_place, filled, len(source))
    removed = names[filled] == (REMOVE if REMOVE not in source.classes else "")
    right = filled[~removed]
    corrected = at[~removed]
    y = source.y.clone()
    y[corrected] = _targets(source.target, cells, right, place)
    changed = int((y != source.y).sum())
    group = source.grouping.follow(source.group, source.y, y, source.classes)
    lines = f"{len(filled):,} of {len(table):,} lines filled in"
    lost = int(removed.sum())
    note = (
        f"{file}: {changed:,} label{'s' * (changed != 1)} corrected, {lost:,} row{'s' * (lost != 1)} removed, {lines}"
    )
    notes = (*source.notes, note, *_other_rows(table, source, file, filled, at, bool(lost or changed)))
    annotations = None if source.annotations is None else source.annotations.corrected(corrected, y)
    gone = at[removed] if source.removed is None else torch.cat([source.removed, at[removed]])
    return replace(source, y=y, group=group, removed=gone, annotations=annotations, notes=notes)


def _as_written(cells: pd.Series, file: str) -> pd.Series:
    """Return cells as they were before they were written into a CSV."""
    escaped = Path(file).suffix.lower() in SPREADSHEETS
    return cells.map(from_csv, na_action="ignore") if escaped else cells


def _other_rows(
    table: Table, source: Source, file: str, filled: NDArray[np.int64], at: Tensor, changes: bool
) -> tuple[str, ...]:
    """Return a note where the file says that rows were given other labels than the source has.

    Raises UserError where these are many, and `changes` says that the source does not hold the corrections already.
    """
    if GIVEN not in table.names:
        return ()
    given = _as_written(table.read(GIVEN), file).iloc[filled]
    if source.classes:
        differs = to_ids(as_names(given), source.classes) != source.y[at]
    else:
        differs = ~torch.isclose(torch.from_numpy(as_numbers(given)[0]), source.y[at].double(), rtol=NEAR)
    other = int(differs.sum())
    if other > MOST_OTHERS * len(filled) and changes:
        rule = (
            f"{other:,} of the {len(filled):,} rows have other labels in the source, so these are hardly its rows; "
            f"name the source that the file was made of, or take the column {GIVEN!r} away to correct them all the same"
        )
        raise UserError(rule, setting="labels", value=file, given=file)
    note = f"{file}: {other:,} of the {len(filled):,} rows have other labels in the source; are they its rows?"
    return (note,) if other else ()


@singledispatch
def _targets(target: Target, cells: pd.Series, rows: NDArray[np.int64], place: CellLocation) -> Tensor:
    """Return the targets that the cells of `rows` [m] hold, [m]."""
    raise TypeError(type(target))


@_targets.register
def _(target: Numbers, cells: pd.Series, rows: NDArray[np.int64], place: CellLocation) -> Tensor:
    if not len(rows):
        return torch.zeros(0, dtype=torch.float64)
    return read_numbers(cells.iloc[rows].reset_index(drop=True), place)


@_targets.register
def _(target: Classes, cells: pd.Series, rows: NDArray[np.int64], place: CellLocation) -> Tensor:
    names = as_names(cells)
    ids = to_ids(names[rows], target.classes)
    if (ids < 0).any():
        row = int(rows[int((ids < 0).int().argmax())])
        known = ", ".join(map(repr, target.classes[:5])) + (", …" if len(target.classes) > 5 else "")
        near = suggestion(names[row], target.classes)
        rule = f"label {names[row]!r} does not occur in the source{near} (known: {known}; or {REMOVE})"
        raise place.error(row, rule, names[row])
    return ids


def _column(table: Table, names: Sequence[str]) -> tuple[pd.Series, CellLocation]:
    for name in names:
        if name in table.names:
            return table.column(name, "column")
    rule = (
        f"it has no column {names[0]!r} (nor {names[1]!r}); give the file that `skedastic suspects RUN --out FILE` "
        "wrote, with right labels in its column corrected"
    )
    raise UserError(rule, setting=table.file, value=names[0], given=table.file)


def _rows(cells: pd.Series, place: CellLocation, filled: NDArray[np.int64], n: int) -> Tensor:
    numbers, _ = as_numbers(cells, PLAIN)
    rows = numbers[filled]
    wrong = ~((rows >= 0) & (rows < n) & (rows == np.round(rows)))
    if wrong.any():
        row = int(filled[int(wrong.argmax())])
        cell = str(cells.iloc[row])
        raise place.error(row, f"{quoted(cell)} is no row of the source, which has rows 0 to {n - 1}", cell)
    again = pd.Series(rows).duplicated().to_numpy()
    if again.any():
        row = int(filled[int(again.argmax())])
        first = int(filled[int((rows == numbers[row]).argmax())])
        rule = f"row {numbers[row]:.0f} is corrected twice, first in {place.at(first)}; correct each once"
        raise place.error(row, rule, int(numbers[row]))
    return torch.from_numpy(rows.astype(np.int64))
