"""Our readers of columns against pyarrow.dataset: seconds and memory to read a column, and all rows in batches.

    python benchmarks/readers.py [--rows N] [--turns 3] [--json]

An Arrow file and a Parquet file hold the same N rows (8 numbers, 2 texts). Each figure is of a process of its own: ours
and pyarrow.dataset's in turn, medians over the turns. Peak memory is what the process holds above its start. A mapped
file counts in it while its pages are in memory (on Linux only). pyarrow.dataset reads no Arrow streams, as Hugging Face
datasets write.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet as pq

from common import hardware, show
from data import write_rows
from skedastic.data.tables.readers import ArrowFileReader, ColumnReader, ParquetReader, arrow_reader

SIZE = 8192  # rows of a batch


class Scanned:
    """The cells of files, by pyarrow.dataset, set so that it holds as little ahead as it can."""

    def __init__(self, path: Path) -> None:
        form = "ipc" if path.suffix == ".arrow" else "parquet"
        files = pyarrow.fs.LocalFileSystem(use_mmap=True)
        self.data = pyarrow.dataset.dataset([str(path)], format=form, filesystem=files)
        self.names = tuple(self.data.schema.names)

    def __len__(self) -> int:
        return int(self.data.count_rows())

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        column: pd.Series = self._scanner([name]).to_table().column(0).to_pandas()
        return column

    def batches(self, names: Sequence[str], size: int) -> Iterator[pd.DataFrame]:
        """Yield the rows, at most `size` at a time."""
        for batch in self._scanner(names, batch_size=size).to_batches():
            yield batch.to_pandas()

    def _scanner(self, names: Sequence[str], **settings: int) -> Any:
        return self.data.scanner(list(names), use_threads=False, batch_readahead=1, fragment_readahead=1, **settings)


def ours(path: Path) -> ColumnReader:
    """Return our reader of a file."""
    if path.suffix == ".parquet":
        return ParquetReader([pq.ParquetFile(path, memory_map=True)])
    with arrow_reader(path) as reader:
        return ArrowFileReader([path], reader.schema, [reader.read_all().num_rows])


def measure(which: str, path: Path) -> dict[str, float]:
    """Return seconds and peak memory of one reader, in this process."""
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    reader = ours(path) if which == "ours" else Scanned(path)
    start = time.perf_counter()
    reader.read("x3")
    reader.read("kind")
    between = time.perf_counter()
    rows = sum(len(part) for part in reader.batches(list(reader.names), SIZE))
    end = time.perf_counter()
    assert rows == len(reader)
    return {"columns_s": between - start, "batches_s": end - between, "peak_gib": memory("VmHWM") - before}


def memory(kind: str) -> float:
    """Return the GiB that this process holds ("VmRSS") or has held at most ("VmHWM"). On Linux only."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(kind))
    return int(line.split()[1]) / 2**20


def to_parquet(arrow: Path, path: Path) -> None:
    """Write the rows of an Arrow file as Parquet."""
    with arrow_reader(arrow) as reader, pq.ParquetWriter(path, reader.schema) as out:
        for i in range(reader.num_record_batches):
            out.write_batch(reader.get_batch(i))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure[0], Path(arguments.measure[1]))))
        return
    figures: dict[str, Any] = {"rows": arguments.rows, "turns": arguments.turns}
    with TemporaryDirectory() as folder:
        arrow, parquet = (Path(folder) / f"rows.{suffix}" for suffix in ("arrow", "parquet"))
        write_rows(arrow, arguments.rows)
        to_parquet(arrow, parquet)
        for path in (arrow, parquet):
            runs: dict[str, list[dict[str, float]]] = {"ours": [], "pyarrow.dataset": []}
            for _ in range(arguments.turns):
                for which, values in runs.items():
                    command = [sys.executable, __file__, "--measure", which, str(path)]
                    values.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            for which, values in runs.items():
                figures[f"{path.suffix[1:]}, {which}"] = {k: round(median(v[k] for v in values), 2) for k in values[0]}
    show(figures | hardware(), arguments.json)


if __name__ == "__main__":
    main()
