"""The feature columns of a table: which are some, of which kind, and what the user should know of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from mimetypes import guess_type
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skedastic.data.tables.codes import looks_like_codes
from skedastic.data.tables.columns import FEW_CATEGORIES, ColumnKind, is_constant, is_long, kind_of, missing
from skedastic.data.tables.dress import Dress, are_thousands, are_whole, told
from skedastic.data.tables.numbers import filled, hint_for
from skedastic.data.tables.roles import Roles
from skedastic.data.tables.table import Columns, Table
from skedastic.data.tables.values import coded_texts, is_text
from skedastic.data.tables.vectors import holds_vectors, writes_vectors
from skedastic.errors import UserError

MOST_SHOWN = 6  # names in a note
FIRST_ROWS = 10_000  # that are looked at before all are
ALMOST_ONE = 1 - 1e-9  # correlation of a feature that is the target


def find_columns(
    table: Table, roles: Roles, no_features: Collection[str], y: NDArray[Any] | None = None
) -> tuple[Columns, tuple[str, ...]]:
    """Return the feature columns of a table, and notes for the user.

    The notes name columns that are left out, have holes, count up, or give the target away. Columns whose cells are all
    the same are left out. So are names that nearly every row has another of, and that have no words in common.

    Parameters
    ----------
    table : Table
        The rows.
    roles : Roles
        The columns that the user names.
    no_features : Collection[str]
        Columns that tell the target, or which row is for what.
    y : ndarray or None, optional
        The targets [n], class ids or numbers.

    Raises
    ------
    UserError
        As `kind_of` and `parse` do, and where no column is left.
    """
    constant, names, short, counting, same, read, codes = [], [], [], [], [], [], []
    holes: list[str] = []
    empty: list[str] = []
    columns = Columns(table, {})
    for name in table.names:
        if name in roles.ignore or name in no_features or name in table.apart or name == roles.image:
            continue
        told_kind = name in roles.given or name in table.declared
        cells = None if not told_kind and holds_vectors(table.reader, name) else table.read(name)
        if cells is None or (not told_kind and writes_vectors(cells)):
            length = columns.add_vectors(name)
            if length is None:
                constant.append(name)
            else:
                read.append(f"{name}: {length} number{'s' * (length > 1)}")
            continue
        kind = roles.given.get(name) or table.declared.get(name)
        kind = kind or kind_of(cells, name, table.place(name), table.hint(name))
        if kind is None:
            names.append(name)
            continue
        parsed = columns.add(name, kind, cells)
        if is_constant(parsed):
            constant.append(name)
            columns.drop(name)
            continue
        if kind == "text" and not told_kind and not is_long(parsed[parsed != ""].tolist()):
            short.append(name)
        if name in columns.reading.dresses:
            read.append(told(name, filled(coded_texts(cells)[1]), columns.reading.dresses[name], table.hint(name)))
        if count := missing(parsed):
            (empty if kind == "text" else holes).append(f"{name} ({count:,} of {len(table):,})")
        if kind == "number" and len(parsed) > FEW_CATEGORIES:
            if _counts_up(parsed.to_numpy()):
                counting.append(name)
            elif name not in roles.given and looks_like_codes(name, cells, parsed.to_numpy()):
                codes.append(name)
        if y is not None and _gives_away(parsed, kind, y):
            same.append(name)
    read += _with_thousands(columns)
    if not columns.kinds:
        why = "; ".join(f"{w}: {_listed(c)}" for w, c in (("all cells the same", constant), ("names", names)) if c)
        left = f"no column is left to learn from{f' ({why})' if why else ''}"
        pictures = [name for name in names if _names_images(table.read(name))]
        way = f"; --text {names[0]} takes it as words" if names else "; a feature needs at least two different values"
        way = f"; --image {pictures[0]} reads the files that it names" if pictures else way
        raise UserError(f"{left}{way}", setting=table.file)
    notes = {
        "left out, since every cell is the same": constant,
        "left out, since they name nearly every row (--categorical or --text takes them)": names,
        "of names or titles, read as words (--ignore leaves them out)": short,
        "counting up row by row, so perhaps no feature but an index (--ignore it then)": counting,
        "of numbers that look like codes or ids (--categorical takes them as such, --ignore leaves them out)": codes,
        "with missing cells, filled with the median of the training rows and marked, or kept as a category": holes,
        "of text with empty cells, which are texts without a word": empty,
    }
    said = read + [f"columns {what}: {_listed(c)}" for what, c in notes.items() if c]
    said += [
        f"column {n} is the target in other words, so a model that learns from it may be of no use (--ignore it)"
        for n in same
    ]
    return columns, tuple(said)


def _names_images(cells: pd.Series) -> bool:
    """Return whether the first cells of a column are names of image files."""
    texts = [text for text in coded_texts(cells)[1][:FEW_CATEGORIES] if text]
    return bool(texts) and all((guess_type(text)[0] or "").startswith("image/") for text in texts)


def _with_thousands(columns: Columns) -> list[str]:
    """Read "1.234" as 1234 beside columns whose decimal sign is the comma, and return a note on each such column.

    Where the table's separator alone makes the comma likely, and no column has a decimal point, the note says how the
    column was read, and how it would be.
    """
    hint, notes, has_point = columns.table.hint(), list[str](), False
    by_comma = any(dress.decimal == "comma" for dress in columns.reading.dresses.values())
    for name, kind in columns.kinds.items() if by_comma or hint.comma_likely else ():
        if kind != "number" or name in columns.reading.dresses or not is_text(cells := columns.table.read(name)):
            continue
        if hint_for(cells, columns.table.hint(name)).typed:
            has_point = True
            continue
        texts = filled(coded_texts(cells)[1])
        dress = Dress("comma" if by_comma else "point")
        if are_thousands(texts):
            notes.append(told(name, texts, dress, hint))
            if by_comma:
                columns.read_as(name, dress, cells)
        elif by_comma and are_whole(texts):
            columns.reading.dresses[name] = dress  # of a later file
        has_point |= not are_whole(texts) and not are_thousands(texts)
    return notes if by_comma or not has_point else []


def _gives_away(column: pd.Series, kind: ColumnKind, y: NDArray[Any]) -> bool:
    """Whether a feature is the target y [n] in other words: a class for each class, or a number in other units."""
    if len(y) <= FEW_CATEGORIES or kind not in ("number", "category"):
        return False
    first = column.iloc[:FIRST_ROWS]
    if np.issubdtype(y.dtype, np.floating):
        return kind == "number" and _correlated(first, y[:FIRST_ROWS]) and _correlated(column, y)
    return len(pd.unique(first)) <= int(y.max()) + 1 and _tells(column, y)


def _correlated(column: pd.Series, y: NDArray[np.float64]) -> bool:
    values = column.to_numpy()
    return bool(np.std(values) > 0 and np.std(y) > 0 and abs(np.corrcoef(values, y)[0, 1]) > ALMOST_ONE)


def _tells(column: pd.Series, label: NDArray[np.int64]) -> bool:
    """Whether each value of a column goes with one label of [n], and each label with one value."""
    value, _ = pd.factorize(column, use_na_sentinel=False)
    different, labels = int(value.max()) + 1, int(label.max()) + 1
    return different == labels == len(np.unique(value.astype(np.int64) * different + label))


def _counts_up(values: NDArray[np.float64]) -> bool:
    return bool((np.diff(values[:FIRST_ROWS]) == 1).all() and (np.diff(values) == 1).all())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_SHOWN]) + (f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else "")
