"""The columns of JSON rows: blocks of rows, whose cells keep what they say, and then one type for each column.

What a column holds is known only at its end, and each block keeps enough to become it without loss: numbers as numbers
where these are exact, else as text by the rule of names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from skedastic.data.sources.headers import named_twice
from skedastic.data.tables.arrow_types import unified
from skedastic.data.tables.columns import leave_out
from skedastic.data.tables.values import EXACT, canonical, encodable
from skedastic.errors import UserError

INT64, UINT64 = 2**63, 2**64
KINDS: dict[type, str] = {
    bool: "a truth value",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
Place = Callable[[int], str]  # of a row of a block


@dataclass
class JsonColumn:
    """What is known of a column so far.

    Parameters
    ----------
    types : set of type
        Of its cells: bool, int, float, str, list, dict.
    least, most : int
        The range of its integers.
    places : dict of str to str
        Where the first cell of each kind is, such as "line 7".
    type : pyarrow.DataType
        Of its lists or objects.
    fault : tuple of (str, str) or None
        Where the first cell is that the column can't hold, and why.
    has_fractions : bool
        Whether a number is not whole.
    """

    types: set[type] = field(default_factory=set)
    least: int = 0
    most: int = 0
    places: dict[str, str] = field(default_factory=dict)
    type: pa.DataType = field(default_factory=pa.null)
    fault: tuple[str, str] | None = None
    has_fractions: bool = False

    def take(self, cells: list[Any], place: Place) -> pa.Array:
        """Return the cells of a block, and remember what they are. `place` says where each is."""
        types = set(map(type, cells)) - {type(None)}
        if types - self.types:
            self._remember(cells, place)
        self.types |= types
        if self.fault is None and self.types & {list, dict} and len(self.places) > 1:
            (first, there), (second, here) = list(self.places.items())[:2]
            self.fault = here, f"it is {second}, and {there} has {first}"
        if int in types:
            integers = [c for c in cells if type(c) is int]
            self.least, self.most = min(self.least, min(integers)), max(self.most, max(integers))
        if float in types and not self.has_fractions:
            self.has_fractions = any(type(c) is float and math.isfinite(c) and c % 1 for c in cells)
        if self.fault is not None:
            return pa.nulls(len(cells))
        return self._nested(cells, place) if types & {list, dict} else _scalars(cells, types)

    def _remember(self, cells: list[Any], place: Place) -> None:
        for i, cell in enumerate(cells):
            kind = KINDS.get(type(cell))
            if kind is not None and kind not in self.places:
                self.places[kind] = place(i)

    def _nested(self, cells: list[Any], place: Place) -> pa.Array:
        """Return lists or objects, or missing cells from the first block on whose entries differ in kind."""
        array = _as_arrow(cells)
        both = None if array is None else unified(self.type, array.type)
        if both is not None:
            self.type = both
            return array
        for i in range(len(cells)):
            array = _as_arrow(cells[: i + 1])
            if array is None or unified(self.type, array.type) is None:
                self.fault = place(i), "it holds entries of another kind than the rows above"
                break
        return pa.nulls(len(cells))

    def final_type(self) -> pa.DataType:
        """Return the type of the whole column."""
        if self.fault is not None or not self.types:
            return pa.null()
        if self.types & {list, dict}:
            return self.type
        if self.types == {bool}:
            return pa.bool_()
        if self.types == {int}:
            if self.least >= -INT64 and self.most < INT64:
                return pa.int64()
            return pa.uint64() if self.least >= 0 and self.most < UINT64 else pa.string()
        if self.types <= {int, float} and max(-self.least, self.most) <= EXACT:
            return pa.float64()
        return pa.string()


class JsonColumns:
    """The columns of one or several files, whose blocks are taken in order."""

    def __init__(self) -> None:
        self.columns: dict[str, JsonColumn] = {}
        self.keys: dict[str, str] = {}  # of each column, as the file writes it

    def take(self, keys: Iterable[str], rows: Sequence[dict[str, Any]], place: Place) -> pa.Table:
        """Return a block of rows as a table, and remember what its columns hold.

        Parameters
        ----------
        keys : iterable of str
            The keys of the rows, in the order in which they first occur.
        rows : sequence of dict
            The cells of each row by key.
        place : callable
            Says where a row of the block is.
        """
        arrays = {}
        for key in keys:
            name = encodable(key).strip()
            if self.keys.setdefault(name, key) != key:
                raise named_twice(place(0).partition(",")[0], name)
            column = self.columns.setdefault(name, JsonColumn())
            arrays[name] = column.take([row.get(key) for row in rows], place)
        return pa.table(arrays or {"": pa.nulls(len(rows))})

    @property
    def schema(self) -> pa.Schema:
        """The type of each column, as all rows tell."""
        return pa.schema([(name, column.final_type()) for name, column in self.columns.items()])

    @property
    def fractions(self) -> tuple[str, ...]:
        """The columns that hold text, and numbers that are not whole."""
        return tuple(n for n, c in self.columns.items() if str in c.types and c.has_fractions)

    def faults(self) -> dict[str, UserError]:
        """Return the error about each column that can't be read."""
        return {n: _fault(n, *c.fault) for n, c in self.columns.items() if c.fault is not None}


def _fault(name: str, row: str, why: str) -> UserError:
    place = f"{row}, column {name!r}"
    return UserError(f"{why}; give the column one kind, or {leave_out(name)}", setting=place, given=place)


def completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a block in the final types; a column that it lacks is missing throughout."""
    given = set(table.column_names)
    columns = [_cast(table[f.name], f.type) if f.name in given else pa.nulls(table.num_rows, f.type) for f in schema]
    return pa.table(columns, schema=schema)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_null(column.type) or pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    if pa.types.is_string(kind):
        return pa.chunked_array([pa.array(list(map(_name, column.to_pylist())), kind)])
    if pa.types.is_nested(kind):
        return pa.chunked_array([pa.array(column.to_pylist(), kind)])
    return column.cast(kind)


def _scalars(cells: list[Any], types: set[type]) -> pa.Array:
    """Return cells that are no lists: exact numbers, truth values, else text."""
    if not types:
        return pa.nulls(len(cells))
    if types == {bool}:
        return pa.array(cells, pa.bool_())
    if types == {float}:
        return pa.array(cells, pa.float64())
    if types == {int}:
        for kind in (pa.int64(), pa.uint64()):
            try:
                return pa.array(cells, kind)
            except (OverflowError, pa.ArrowInvalid):
                continue
    elif types == {int, float} and all(abs(c) <= EXACT for c in cells if type(c) is int):
        return pa.array(cells, pa.float64())
    elif types == {str}:
        try:
            return pa.array(cells, pa.string())
        except UnicodeEncodeError:  # half of a surrogate pair
            return pa.array([c if c is None else encodable(c) for c in cells], pa.string())
    return pa.array(list(map(_name, cells)), pa.string())


def _name(cell: Any) -> str | None:
    """Return a scalar as text: of a number its name."""
    if cell is None:
        return None
    if isinstance(cell, float):
        return canonical(str(cell).lower())
    return encodable(cell) if isinstance(cell, str) else str(cell)


def _as_arrow(cells: list[Any]) -> pa.Array | None:
    try:
        return pa.array(cells)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return None
