"""The bytes that a column of a Parquet file takes in memory, before any of it is unpacked.

The footer tells them, but for text in a dictionary: a megabyte that stands there once may be in a billion rows. The
dictionary and the places of its entries are read then, and no cell.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skedastic.runtime.limits import check_unpacked, limits, too_much

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}  # bytes, by physical type
REPEATING = {"PLAIN_DICTIONARY", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY"}  # encodings of text that is written once


def check_column(file: pq.ParquetFile, path: str, name: str, *, whole: bool) -> None:
    """Raise UserError where a column of a Parquet file would take too much memory.

    Parameters
    ----------
    file : ParquetFile
        The file.
    path : str
        Its path.
    name : str
        The column.
    whole : bool
        Whether all of it is in memory at once, and not one row group after the other.
    """
    metadata, total = file.metadata, 0
    leaves = [j for j in range(metadata.num_columns) if _is_of(metadata.schema.column(j).path, name)]
    for group in range(metadata.num_row_groups):
        chunks = [metadata.row_group(group).column(j) for j in leaves]
        size = sum(_most_bytes(chunk) for chunk in chunks)
        if total + size > limits().most_unpacked:
            size = sum(_bytes(chunk, group, path) for chunk in chunks)
        total = total + size if whole else max(total, size)
        check_unpacked(f"{path}, column {name!r}", total)


def _is_of(leaf: str, column: str) -> bool:
    return leaf == column or leaf.startswith(f"{column}.")


def _most_bytes(chunk: pq.ColumnChunkMetaData) -> int:
    """Return a bound of the bytes that a chunk of a column takes in memory, from the footer alone."""
    repeats = 1 if REPEATING.isdisjoint(chunk.encodings) else max(1, int(chunk.num_values))
    width = WIDTHS.get(chunk.physical_type)
    return int(chunk.total_uncompressed_size) * repeats if width is None else width * int(chunk.num_values)


def _bytes(chunk: pq.ColumnChunkMetaData, group: int, path: str) -> int:
    """Return the bytes that a chunk of a column takes in memory; of text the dictionary is read."""
    if chunk.physical_type != "BYTE_ARRAY" or REPEATING.isdisjoint(chunk.encodings):
        return _most_bytes(chunk)
    leaf = chunk.path_in_schema
    table = pq.ParquetFile(path, memory_map=True, read_dictionary=[leaf]).read_row_group(group, columns=[leaf])
    held = (found for array in table.column(0).chunks for found in _dictionaries(array))
    return sum(pc.sum(pc.binary_length(found.dictionary).take(found.indices)).as_py() or 0 for found in held)


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
