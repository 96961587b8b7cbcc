"""The bytes that a column of a Parquet file takes in memory, before any of it is unpacked.

The footer tells them, but for text in a dictionary: a megabyte that stands there once may be in a billion rows. The
dictionary and the places of its entries are read then, and no cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skedastic.runtime.limits import check_unpacked, limits, too_much

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}  # bytes, by physical type
IN_DICTIONARY = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}  # encodings
REPEATING = {*IN_DICTIONARY, "DELTA_BYTE_ARRAY"}  # of text that is in several cells and written once
PARTS = 16  # of the bytes that are allowed, one of which text that is no dictionary is counted in


class Footer:
    """The footer of a Parquet file, which tells what its columns take in memory.

    Parameters
    ----------
    path : str or Path
        The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.metadata = pq.read_metadata(self.path, memory_map=True)

    @cached_property
    def _leaves(self) -> dict[str, list[int]]:
        """The places of the leaves of each column: of a list or a structure those within."""
        names = set(self.metadata.schema.to_arrow_schema().names)
        leaves: dict[str, list[int]] = {}
        for place in range(self.metadata.num_columns):
            name = path = self.metadata.schema.column(place).path
            while name not in names and "." in name:
                name = name.rpartition(".")[0]
            leaves.setdefault(name if name in names else path, []).append(place)
        return leaves

    def check(self, name: str, *, whole: bool) -> None:
        """Raise UserError where a column would take too much memory.

        Parameters
        ----------
        name : str
            The column.
        whole : bool
            Whether all of it is in memory at once, and not one row group after the other.
        """
        groups = range(self.metadata.num_row_groups)
        for most_bytes in (self._by_footer, self._by_longest, self._counted):  # the quick ones first
            sizes = [sum(most_bytes(group, leaf) for leaf in self._leaves.get(name, ())) for group in groups]
            size = (sum if whole else max)(sizes or [0])
            if size <= limits().most_unpacked:
                return
        check_unpacked(f"{self.path}, column {name!r}", size)

    def check_all(self) -> None:
        """Raise UserError where any column, read whole, would take too much memory."""
        for name in self._leaves:
            self.check(name, whole=True)

    def _by_footer(self, group: int, leaf: int) -> int:
        """Return a bound of the bytes that a leaf takes, by the footer alone."""
        chunk = self._chunk(group, leaf)
        width = WIDTHS.get(chunk.physical_type)
        repeats = 1 if REPEATING.isdisjoint(chunk.encodings) else max(1, chunk.num_values)
        return int(chunk.total_uncompressed_size * repeats if width is None else width * chunk.num_values)

    def _by_longest(self, group: int, leaf: int) -> int:
        """Return a bound of the bytes that a leaf takes, by the longest entry of its dictionary."""
        chunk = self._chunk(group, leaf)
        if not self._has_dictionary(chunk):
            return self._by_footer(group, leaf)
        name = chunk.path_in_schema
        file = pq.ParquetFile(self.path, memory_map=True, read_dictionary=[name])
        first = next(file.iter_batches(1, row_groups=[group], columns=[name]))  # with all of the dictionary
        longest = [pc.max(pc.binary_length(found.dictionary)).as_py() for found in _dictionaries(first.column(0))]
        if None in longest or not longest:  # the first row has no value
            return self._by_footer(group, leaf)
        return int(chunk.num_values * max(longest) + chunk.total_uncompressed_size)

    def _counted(self, group: int, leaf: int) -> int:
        """Return the bytes that a leaf takes, as far as they are allowed: of text no more than a dictionary is kept."""
        chunk = self._chunk(group, leaf)
        name, most, total = chunk.path_in_schema, limits().most_unpacked, 0
        if self._has_dictionary(chunk):
            file = pq.ParquetFile(self.path, memory_map=True, read_dictionary=[name])
            held = file.read_row_group(group, columns=[name]).column(0).chunks
            counts = (_expanded(found) for array in held for found in _dictionaries(array))
        elif REPEATING.isdisjoint(chunk.encodings):
            return self._by_footer(group, leaf)
        else:
            file = pq.ParquetFile(self.path, memory_map=True)
            rows = max(1, most // PARTS // max(1, chunk.total_uncompressed_size))
            counts = (batch.nbytes for batch in file.iter_batches(rows, row_groups=[group], columns=[name]))
        for count in counts:
            total += count
            if total > most:
                break
        return total

    def _chunk(self, group: int, leaf: int) -> pq.ColumnChunkMetaData:
        return self.metadata.row_group(group).column(leaf)

    @staticmethod
    def _has_dictionary(chunk: pq.ColumnChunkMetaData) -> bool:
        is_text = chunk.physical_type == "BYTE_ARRAY" and chunk.num_values > 0
        return is_text and not IN_DICTIONARY.isdisjoint(chunk.encodings)


def _expanded(found: pa.DictionaryArray) -> int:
    return pc.sum(pc.binary_length(found.dictionary).take(found.indices)).as_py() or 0


def check_cells(cells: pa.ChunkedArray, name: str) -> None:
    """Raise UserError where a cell of a column of text is too long.

    Parameters
    ----------
    cells : ChunkedArray
        The column.
    name : str
        Its name.
    """
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        longest = pc.max(pc.binary_length(cells)).as_py() or 0
        if longest > limits().cell:
            raise too_much(f"column {name!r}", f"a cell has {longest:,} bytes", "cell", longest)


def _dictionaries(array: pa.Array) -> Iterator[pa.DictionaryArray]:
    """Yield the arrays of text whose dictionary was read, also those within lists and structures."""
    if pa.types.is_dictionary(array.type):
        yield array
    elif pa.types.is_struct(array.type):
        for field in array.flatten():
            yield from _dictionaries(field)
    elif hasattr(array, "values"):
        yield from _dictionaries(array.flatten())
