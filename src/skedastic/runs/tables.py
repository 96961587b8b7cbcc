"""Frames of rows written as one CSV, Parquet or JSON lines file, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from skedastic.runs.folder import check_new_table, written_file


class TableWriter:
    """Write frames as one table: Parquet, CSV or JSON lines.

    Parameters
    ----------
    path : Path
        The file to write.
    ending : str
        ".parquet", ".csv" or ".jsonl".
    """

    def __init__(self, path: Path, ending: str) -> None:
        self.path, self.ending = path, ending
        self._open: Any = None

    def write(self, frame: pd.DataFrame) -> None:
        """Write the next rows."""
        if self.ending == ".jsonl":
            self._open = self._open or self.path.open("w", encoding="utf-8")
            frame.to_json(self._open, orient="records", lines=True, force_ascii=False, double_precision=15)
            return
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if self._open is None:
            make = pq.ParquetWriter if self.ending == ".parquet" else arrow_csv.CSVWriter
            self._open = make(self.path, table.schema)
        self._open.write_table(table.cast(self._open.schema) if self.ending == ".parquet" else table)

    def close(self) -> None:
        """Finish the file."""
        if self._open is not None:
            self._open.close()


@contextmanager
def writing(out: str | Path, force: bool) -> Iterator[TableWriter]:
    """Lend a writer of frames; the file is there only when all frames are written.

    Parameters
    ----------
    out : str or Path
        The file to write: .csv, .parquet or .jsonl.
    force : bool
        Whether to replace a file that is there.

    Raises
    ------
    UserError
        The ending is another, the file is there, or it can't be written.
    """
    path = Path(out)
    check_new_table(path, force)
    with written_file(path, force) as temporary:
        writer = TableWriter(temporary, path.suffix.lower())
        try:
            yield writer
        finally:
            writer.close()


def write_frame(frame: pd.DataFrame, out: str | Path, force: bool) -> None:
    """Write a frame into one file, whole or not at all; parameters and UserError are those of `writing`."""
    with writing(out, force) as writer:
        writer.write(frame)
