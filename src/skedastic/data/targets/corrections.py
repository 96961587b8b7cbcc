"""What a person corrected: a file of rows and their right labels, as `skedastic suspects --out` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from skedastic.data.sources.files import read_files
from skedastic.data.sources.source import Source
from skedastic.data.tables.columns import CellLocation, as_names, as_numbers
from skedastic.data.tables.table import Table
from skedastic.data.targets.annotators import Votes
from skedastic.data.targets.labels import to_ids
from skedastic.data.targets.regression import read_numbers
from skedastic.errors import UserError, suggestion

ROW = ("row", "index")
LABEL = ("corrected", "label")
REMOVE = "remove"  # instead of a label: the row is no example of any


def with_corrections(source: Source, file: str) -> Source:
    """Return a source with the labels of a file in place of its own; rows marked "remove" are left out.

    file: a table with a column `row` (or `index`), from 0 in the order of the source, and one `corrected` (or `label`); a row
    whose cell is empty stays as it is. Clean labels that the source has beside are not touched. Raises UserError for a row that is not
    there or stands twice, and for an unknown label.
    """
    table = read_files([Path(file)])
    (rows, row_place), (cells, place) = _column(table, ROW), _column(table, LABEL)
    names = as_names(cells)
    filled = np.flatnonzero(names != "")
    at = _rows(rows, row_place, filled, len(source))
    removed = names[filled] == (REMOVE if REMOVE not in source.classes else "")
    right = filled[~removed]
    y = source.y.clone()
    if source.classes:
        y[at[~removed]] = _labels(names, right, place, source.classes)
    elif len(right):
        y[at[~removed]] = read_numbers(cells.iloc[right].reset_index(drop=True), place)
    changed = int((y != source.y).sum())
    by_label = source.groups == source.classes and torch.equal(source.group, source.y)
    group = y if by_label else source.bins.of(y) if source.bins is not None else source.group
    said = f"{file}: {changed:,} labels corrected, {int(removed.sum()):,} rows removed, {len(filled):,} of {len(table):,} lines filled in"
    votes = _without_votes(source, at[~removed], y)
    gone = at[removed] if source.removed is None else torch.cat([source.removed, at[removed]])
    return replace(source, y=y, group=group, removed=gone, votes=votes, notes=(*source.notes, said))


def _without_votes(source: Source, rows: torch.Tensor, y: torch.Tensor) -> Votes | None:
    """Return the votes, of corrected rows one for the right label."""
    if source.votes is None or source.votes.votes is None:
        return source.votes
    votes = source.votes.votes.clone()
    votes[rows] = torch.nn.functional.one_hot(y[rows], votes.shape[1]).to(votes.dtype)
    return replace(source.votes, votes=votes)


def _column(table: Table, names: Sequence[str]) -> tuple[pd.Series, CellLocation]:
    for name in names:
        if name in table.names:
            return table.column(name, "column")
    raise UserError(
        f"{table.file}: it has no column {names[0]!r} (nor {names[1]!r}); give the file that `skedastic suspects RUN --out FILE` "
        "wrote, with right labels in its column corrected"
    )


def _rows(cells: pd.Series, place: CellLocation, filled: np.ndarray, n: int) -> torch.Tensor:
    numbers, _ = as_numbers(cells)
    found = numbers[filled]
    wrong = ~((found >= 0) & (found < n) & (found == np.round(found)))
    if wrong.any():
        row = int(filled[int(wrong.argmax())])
        raise UserError(
            f"{place.at(row)}: {str(cells.iloc[row])[:40]!r} is no row of the source, which has rows 0 to {n - 1}"
        )
    _, first, count = np.unique(found, return_index=True, return_counts=True)
    if (count > 1).any():
        row = int(filled[first[int((count > 1).argmax())]])
        raise UserError(f"{place.at(row)}: row {numbers[row]:g} is corrected twice; correct each once")
    return torch.from_numpy(found.astype(np.int64))


def _labels(names: np.ndarray, right: np.ndarray, place: CellLocation, classes: Sequence[str]) -> torch.Tensor:
    ids = to_ids(names[right], classes)
    if (ids < 0).any():
        row = int(right[int((ids < 0).int().argmax())])
        known = ", ".join(map(repr, classes[:5])) + (", …" if len(classes) > 5 else "")
        raise UserError(
            f"{place.at(row)}: label {names[row]!r} does not occur in the source{suggestion(names[row], classes)} "
            f"(known: {known}; or {REMOVE})"
        )
    return ids
