"""Figures of a great many groups: files of JSON name columns of a Parquet file in place of lists of as many values.

A run of no more groups than its report lists has the lists themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from skedastic.data.tables.unpacked import Footer
from skedastic.report.listed import MOST_LISTED
from skedastic.runs.damaged import reading
from skedastic.runs.folder import GROUP_COLUMNS

COLUMN = f"column of {GROUP_COLUMNS}"  # the key under which JSON names a column, in an object that holds nothing else


class GroupColumns:
    """Takes lists with a value for each group out of plain values, and writes them as columns of one file.

    Parameters
    ----------
    groups : int
        The number of groups.
    """

    def __init__(self, groups: int) -> None:
        self._groups, self._columns = groups, dict[str, pa.Array]()

    def without(self, values: Any, name: str) -> Any:
        """Return plain values, with the name of a column in place of each list of as many values as there are groups.

        Lists stay where there are few groups, and where a column would not give back the same values.

        Parameters
        ----------
        values : any
            Plain values, as JSON holds them.
        name : str
            What the names of their columns begin with.
        """
        if self._groups <= MOST_LISTED:
            return values
        if isinstance(values, dict):
            return {key: self.without(value, f"{name}/{key}") for key, value in values.items()}
        if isinstance(values, (list, tuple)) and len(values) == self._groups:
            column = _column(list(values))
            if column is not None:
                self._columns[name] = column
                return {COLUMN: name}
        return values

    def write(self, folder: Path) -> None:
        """Write the columns into the folder of a run, where there are any."""
        if self._columns:
            pq.write_table(pa.table(self._columns), folder / GROUP_COLUMNS, write_page_checksum=True)


def with_columns(values: Any, folder: Path) -> Any:
    """Return plain values with all lists that `GroupColumns` took out of them.

    Parameters
    ----------
    values : any
        Plain values.
    folder : Path
        The folder of the run.

    Raises
    ------
    UserError
        The file of columns is not there, is damaged, or lacks a column.
    """
    if not (names := _named(values)):
        return values
    with reading(GROUP_COLUMNS):
        Footer(folder / GROUP_COLUMNS).check_all()
        with pq.ParquetFile(folder / GROUP_COLUMNS, page_checksum_verification=True) as file:
            table = file.read(columns=names)
        return _filled(values, {name: table[name].to_pylist() for name in names})


def _column(values: list[Any]) -> pa.Array | None:
    """Return a list as a column; None where that would not give back the same values, of the same types."""
    try:
        column = pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    found = column.to_pylist()
    return column if found == values and repr(found) == repr(values) else None


def _is_name(values: dict[str, Any]) -> bool:
    return values.keys() == {COLUMN}


def _named(values: Any) -> list[str]:
    """Return the names of the columns that plain values name."""
    if not isinstance(values, dict):
        return []
    if _is_name(values):
        return [str(values[COLUMN])]
    return [name for value in values.values() for name in _named(value)]


def _filled(values: Any, lists: dict[str, list[Any]]) -> Any:
    if not isinstance(values, dict):
        return values
    if _is_name(values):
        return lists[str(values[COLUMN])]
    return {key: _filled(value, lists) for key, value in values.items()}
