"""Answers of several people in long form: a file with a row for each answer, that says who, about what, and what.

    worker,item,label
    anna,0,cat
    ben,0,dog

`item` is the row of the source, counted from 0, or a value of the source's column of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skedastic.data.sources.files import read_files
from skedastic.data.tables.location import CellLocation, quoted
from skedastic.data.tables.numbers import as_numbers
from skedastic.data.tables.table import Table
from skedastic.data.tables.values import as_names
from skedastic.errors import UserError

ANSWERS = "answers:"
WORKER = ("worker", "annotator", "user", "rater", "coder", "judge")
ITEM = ("item", "row", "index", "id", "task", "example", "question", "unit")
LABEL = ("label", "answer", "rating", "response", "vote", "judgment", "value", "class")


class Answers(NamedTuple):
    """m answers of a file.

    Parameters
    ----------
    rows : ndarray
        The row of the source that each is about, [m].
    cells : ndarray
        Its row in the file, [m].
    answers : Series
        What it says, [m].
    place : CellLocation
        The place of the answers.
    note : str
        How many there are, for the user.
    """

    rows: NDArray[np.int64]
    cells: NDArray[np.int64]
    answers: pd.Series
    place: CellLocation
    note: str


def read_answers(file: str, source: Table) -> Answers:
    """Return the answers of a file that are not missing.

    Parameters
    ----------
    file : str
        A table with a row for each answer.
    source : Table
        The source that they are about.

    Raises
    ------
    UserError
        The file can't be read, its columns are not known, or an answer is about no row of the source.
    """
    table = read_files([Path(file)])
    worker, item, label = _columns(table)
    workers, (items, place), (answers, answer_place) = (table.column(n, f"{n} column") for n in (worker, item, label))
    filled = np.flatnonzero(as_names(answers) != "")
    rows = _rows(items, place, item, source)
    unknown = rows[filled] < 0
    if unknown.any():
        at = int(filled[int(unknown.argmax())])
        cell = str(items.iloc[at])
        what = f"value of the column {item!r}" if item in source.names else f"row from 0 to {len(source) - 1}"
        raise place.error(at, f"{quoted(cell)} is no {what} of {source.file}; mend it, or remove the answer", cell)
    people = as_names(workers[0])[filled]
    _refuse_twice(rows[filled], people, filled, place)
    empty = len(answers) - len(filled)
    named = set(people) - {""}
    note = f"{table.file}: {len(filled):,} answers by {len(named):,} about {len(set(rows[filled])):,} rows"
    if nameless := int((people == "").sum()):
        note += f"; {nameless:,} of nobody by name"
    note += f"; {empty:,} empty one{'s' * (empty != 1)} left out" * bool(empty)
    return Answers(rows[filled], filled, answers.iloc[filled].reset_index(drop=True), answer_place, note)


def label_column(file: str) -> str:
    """Return the name of the column of answers. Raises UserError where the columns of the file are not known."""
    return _columns(read_files([Path(file)]))[2]


def _columns(table: Table) -> tuple[str, str, str]:
    """Return the columns that say who, about what, and what: by their names; of three, one may have any name.

    Three columns that all have other names stand in this order.
    """
    named = [_named(table.names, known) for known in (WORKER, ITEM, LABEL)]
    rest = [name for name in table.names if name not in named]
    if len(table.names) == len(named) and len(rest) == 1:
        named = [name or rest[0] for name in named]
    if len(table.names) == len(named) == len(rest):
        named = rest
    if all(named) and len(set(named)) == len(named):
        return named[0], named[1], named[2]
    rule = (
        f"answers need three columns: who ({', '.join(WORKER[:3])}, …), about what ({', '.join(ITEM[:3])}, …) and what "
        f"({', '.join(LABEL[:3])}, …); it has {', '.join(table.names[:8])}"
    )
    raise UserError(rule, setting=table.file, given=table.file)


def _named(names: Sequence[str], known: Sequence[str]) -> str:
    """Return the column whose name is the first of some words, or that word with "id" behind it; "" where none is."""
    plain = {name: re.sub(r"(?<=.)[ _-]?id$", "", name.lower()) for name in names}
    found = [name for word in known for name in names if name.lower() == word]
    return next(iter(found or [name for word in known for name in names if plain[name] == word]), "")


def _rows(items: pd.Series, place: CellLocation, item: str, source: Table) -> NDArray[np.int64]:
    """Return the row of the source that each answer is about, [m]; -1 where there is none."""
    if item not in source.names:
        numbers, _ = as_numbers(items)
        known = (numbers >= 0) & (numbers < len(source)) & (numbers == np.floor(numbers))
        return np.where(known, np.nan_to_num(numbers), -1).astype(np.int64)
    keys = pd.Index(as_names(source.column(item, "item column")[0]))
    if keys.has_duplicates:
        row = int(keys.duplicated().argmax())
        rule = f"{quoted(keys[row])} stands twice, so an answer about it is about no one row; name each row once"
        raise source.place(item).error(row, rule, keys[row])
    named = as_names(items)
    return np.where(named == "", -1, keys.get_indexer(pd.Index(named))).astype(np.int64)


def _refuse_twice(
    rows: NDArray[np.int64], workers: NDArray[np.object_], filled: NDArray[np.int64], place: CellLocation
) -> None:
    twice = pd.DataFrame({"row": rows, "worker": workers}).duplicated().to_numpy() & (workers != "")
    if twice.any():
        at = int(twice.argmax())
        rule = f"{quoted(workers[at])} answers twice about one item; keep one answer"
        raise place.error(int(filled[at]), rule, str(workers[at]))
