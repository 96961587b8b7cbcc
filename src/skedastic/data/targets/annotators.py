"""Several annotators of each row, from the columns of a table or from a file of answers.

--annotators anna --annotators ben     columns of labels, or of ratings; a cell may be empty
--annotators ratings                   a column of lists of labels, or of ratings
--annotators counts:votes              a column of lists: how many people chose each class, in the order of the classes
--annotators workers:who               beside a column of lists: a column of lists of who gave each; nobody may twice
--annotators answers:FILE              a file with a row for each answer: who, about which row, and what
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from skedastic.data.settings import TaskName
from skedastic.data.tables.location import CellLocation, quoted
from skedastic.data.tables.numbers import as_numbers
from skedastic.data.tables.table import Table
from skedastic.data.tables.values import coded, coded_texts, is_text
from skedastic.data.tables.vectors import LISTS
from skedastic.data.targets.annotations import Annotations, Ratings, Votes
from skedastic.data.targets.answers import ANSWERS, label_column, read_answers
from skedastic.data.targets.labels import natural_order, to_ids
from skedastic.data.targets.regression import holds_measurements
from skedastic.data.targets.spellings import spelling_notes
from skedastic.errors import UserError

COUNTS, WORKERS = "counts:", "workers:"


def annotator_columns(specs: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that annotators are read from; none where a file holds their answers."""
    return tuple(s.removeprefix(COUNTS).removeprefix(WORKERS) for s in specs if not s.startswith(ANSWERS))


def annotated_name(specs: Sequence[str]) -> str:
    """Return the name of the target that annotators make."""
    if specs[0].startswith(ANSWERS):
        return label_column(specs[0].removeprefix(ANSWERS))
    return ", ".join(annotator_columns([s for s in specs if not s.startswith(WORKERS)]))


def read_annotators(table: Table, specs: Sequence[str], task: TaskName, classes: Sequence[str] = ()) -> Annotations:
    """Read the annotators of a table.

    Parameters
    ----------
    table : Table
        The table that has their columns.
    specs : sequence of str
        The columns, as `--annotators` names them.
    task : TaskName
        "auto" takes labels or ratings, as the cells say.
    classes : sequence of str, optional
        The classes of the target, where they are known.

    Raises
    ------
    UserError
        A row has no label or rating, counts are no counts, or a label is no class.
    """
    columns = [table.column(name, "annotators column", "lists") for name in annotator_columns(specs)]
    if specs[0].startswith(COUNTS):
        if len(specs) > 1:
            raise UserError("counts are one column; name it alone", setting="annotators", value=",".join(specs))
        names = next((n for n in (classes, *table.label_names.values()) if n), ())
        return _of_counts(*columns[0], tuple(names))
    said = _of_file(specs, table) if specs[0].startswith(ANSWERS) else _long(columns, specs, len(table))
    said.check(len(table), columns[0][1] if columns else table.place(table.names[0]))
    if task == "regression" or (task == "auto" and holds_measurements(said.values)):
        return replace(_of_ratings(said, len(table)), notes=said.notes)
    spellings = spelling_notes(said.values, annotated_name(specs), "votes")
    return replace(_of_labels(said, len(table), classes), notes=(*said.notes, *spellings))


@dataclass(frozen=True, eq=False)
class _Said:
    """m labels or ratings of several annotators: the row of each [m], and where it stands.

    That is the row of the cell [m], the column of the cell [m], and the places of the columns. Notes say how many.
    """

    row: NDArray[np.int64]
    values: pd.Series
    cell: NDArray[np.int64]
    column: NDArray[np.int64]
    places: Sequence[CellLocation]
    notes: tuple[str, ...] = ()

    def error(self, wrong: NDArray[np.bool_], rule: str) -> UserError:
        """Return the error about the first value that is wrong [m]."""
        at = int(wrong.argmax())
        value = str(self.values.iloc[at])
        place: CellLocation = self.places[int(self.column[at])]
        return place.error(int(self.cell[at]), f"an annotator says {quoted(value)}, {rule}; mend the cell", value)

    def check(self, n: int, place: CellLocation) -> None:
        """Raise UserError for the first of n rows, at this place, that has no label or rating."""
        annotated = np.zeros(n, dtype=bool)
        annotated[self.row] = True
        if annotated.all():
            return
        missing = int((~annotated).sum())
        more = f", and {missing - 1} more rows have none" if missing > 1 else ""
        rule = f"the row has no label or rating by any annotator{more}; remove the row"
        raise place.error(int((~annotated).argmax()), rule)


def _of_file(specs: Sequence[str], table: Table) -> _Said:
    """Return the answers of a file."""
    if len(specs) > 1:
        raise UserError("a file of answers is named alone", setting="annotators", value=",".join(specs))
    said = read_answers(specs[0].removeprefix(ANSWERS), table)
    return _Said(said.rows, said.answers, said.cells, np.zeros_like(said.rows), [said.place], (said.note,))


def _check_workers(workers: tuple[pd.Series, CellLocation], lists: Sequence[pd.Series]) -> None:
    """Raise UserError for the first row whose workers are not as many as its labels, or that names one twice."""
    given = np.sum([_lengths(column) for column in lists], axis=0)
    for row, (who, labels) in enumerate(zip(workers[0], given.tolist(), strict=True)):
        names = [str(w) for w in who] if isinstance(who, LISTS) else []
        if len(names) != labels:
            rule = f"{len(names)} workers are named, and {labels} labels given; name one for each"
            raise workers[1].error(row, rule, len(names))
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise workers[1].error(row, f"{quoted(twice)} is named twice; each worker has one label of a row", twice)


def _lengths(column: pd.Series) -> NDArray[np.int64]:
    """Return the length of each list [n]; 0 where a cell is none."""
    return np.array([len(cell) if isinstance(cell, LISTS) else 0 for cell in column], dtype=np.int64)


def _long(columns: Sequence[tuple[pd.Series, CellLocation]], specs: Sequence[str], n: int) -> _Said:
    """Return the labels or ratings of all columns, one below the other."""
    workers = [c for c, spec in zip(columns, specs, strict=True) if spec.startswith(WORKERS)]
    columns = [c for c, spec in zip(columns, specs, strict=True) if not spec.startswith(WORKERS)]
    if workers and not columns:
        raise UserError("name the column of their labels too", setting="annotators", value=",".join(specs))
    for who in workers:
        _refuse_written_lists(*who)
        _check_workers(who, [column for column, _ in columns])
    rows, parts = list[NDArray[Any]](), list[pd.Series]()
    for column, place in columns:
        _refuse_written_lists(column, place)
        filled = column.notna().to_numpy()
        first = next(iter(column[filled]), None)
        if isinstance(first, LISTS):
            rows.append(np.repeat(np.arange(n), _lengths(column)))
            parts.append(pd.Series([a for v, f in zip(column, filled, strict=True) if f for a in v]))
        else:
            codes, names = coded(column)
            filled = filled & np.array([bool(name) for name in names])[codes]
            rows.append(np.flatnonzero(filled))
            parts.append(column[filled])
    row, places = np.concatenate(rows), [place for _, place in columns]
    origin = np.repeat(np.arange(len(rows), dtype=np.int64), [len(part) for part in rows])
    return _Said(row, pd.concat(parts, ignore_index=True), row, origin, places)


def _refuse_written_lists(column: pd.Series, place: CellLocation) -> None:
    """Raise UserError where all cells are lists as a program writes them into a CSV file: "[0, 1, 0]"."""
    texts = [text for text in coded_texts(column)[1] if text] if is_text(column) and not _lengths(column).any() else []
    if texts and all(text.startswith("[") and text.endswith("]") for text in texts):
        rule = "it holds lists that are written as text; save the table as .parquet or .jsonl, which keep lists"
        raise UserError(rule, setting=place.column, value=texts[0], given=place.column)


def _of_labels(said: _Said, n: int, classes: Sequence[str]) -> Votes:
    codes, names = coded(said.values)
    known = tuple(classes) or natural_order(names)
    ids = to_ids(names, known).numpy()
    if (ids < 0).any() and all(name.isdigit() and int(name) < len(known) for name in names):
        ids = np.array([int(name) for name in names])  # numbers of the classes, as in a Hugging Face ClassLabel
    if (ids < 0).any():
        raise said.error(ids[codes] < 0, "which is no class of the target")
    votes = np.zeros((n, len(known)), dtype=np.float32)
    np.add.at(votes, (said.row, ids[codes]), 1)
    if len(known) < 2:
        rule = f"every annotator says {known[0]!r}; a classifier needs at least two classes"
        place = said.places[0].column
        raise UserError(rule, setting=place, value=known[0], given=place)
    return Votes(known, torch.from_numpy(votes))


def _of_ratings(said: _Said, n: int) -> Ratings:
    ratings, unparsable = as_numbers(said.values)
    if unparsable.any() or not np.isfinite(ratings).all():
        raise said.error(unparsable | ~np.isfinite(ratings), "which is no number")
    row = said.row
    number = np.bincount(row, minlength=n)
    mean = np.bincount(row, ratings, minlength=n) / number
    squares = np.bincount(row, (ratings - mean[row]) ** 2, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / (number - 1)
    return Ratings(torch.from_numpy(mean), torch.from_numpy(variance), torch.from_numpy(number.astype(np.float64)))


def _of_counts(column: pd.Series, place: CellLocation, names: tuple[str, ...]) -> Votes:
    first = next(iter(column.dropna()), None)
    _refuse_written_lists(column, place)
    if not isinstance(first, LISTS):
        raise UserError("counts are a list in each cell, one number for each class", setting=place.column)
    classes = names if len(names) == len(first) else tuple(map(str, range(len(first))))
    votes = np.zeros((len(column), len(first)), dtype=np.float32)
    for i, cell in enumerate(column):
        values = np.asarray([] if cell is None else cell, dtype=object)
        numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
        if len(numbers) != len(first) or not (np.isfinite(numbers) & (numbers >= 0)).all() or numbers.sum() <= 0:
            rule = f"must be {len(first)} counts, none below 0 and not all 0; mend the cell"
            raise place.error(i, rule, str(cell))
        votes[i] = numbers
    return Votes(classes, torch.from_numpy(votes))
