"""Data of the package datasets: `hf:NAME`, a data set on disk or of the hub, and WebDataset shards (.tar)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from skedastic.data.images import ArrowBytes, quiet_datasets
from skedastic.data.sources.confined import Folders, Place, rule_of
from skedastic.data.sources.names import HUB, check_file, no_rows, shown_name, shown_path
from skedastic.data.sources.shards import check_shard
from skedastic.data.tables.readers import ArrowReader, ColumnReader, checked_series
from skedastic.data.tables.table import Table
from skedastic.errors import UserError, unknown
from skedastic.runtime.plain_files import json_value


@dataclass(frozen=True, eq=False)
class DatasetReader:
    """The cells of a `datasets.Dataset`, memory-mapped, one column at a time."""

    data: Any
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.data)

    def read(self, name: str) -> pd.Series:
        """Return a column [n]."""
        return checked_series(self.arrow(name), name)

    def type(self, name: str) -> pa.DataType:
        """Return the Arrow type of a column."""
        return self.data.features.arrow_schema.field(name).type

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return a column [n] as it is."""
        return self.data.select_columns([name]).with_format("arrow")[:].column(0)

    def batches(self, names: Sequence[str], size: int) -> Iterator[ColumnReader]:
        """Yield the rows, `size` at a time."""
        data = self.data.select_columns(list(names)).with_format("arrow")
        for start in range(0, len(self), size):
            yield ArrowReader(data[start : start + size])


def read_hub(name: str) -> Table:
    """Read `hf:NAME`, or `hf:NAME#SPLIT`, by default the split "train".

    NAME: a folder that `save_to_disk` wrote, or the name of a data set in the cache or on the hub.
    Raises UserError where there is none, or it has no such split.
    """
    named, _, split = name.removeprefix(HUB).partition("#")
    with _readable(name) as datasets:
        if Path(named).is_dir():
            _check_saved(Path(named))
            loaded, roots = datasets.load_from_disk(named), [named]
        else:
            loaded, roots = datasets.load_dataset(named), _caches(datasets)
    return from_dataset(_split_of(loaded, split, name), name, roots)


def _check_saved(folder: Path) -> None:
    """Raise UserError where a data set that `save_to_disk` wrote would be read out of its folder, or from no file."""
    inside, dictionary = Folders([folder]), folder / "dataset_dict.json"
    parts = [folder]
    if dictionary.exists():
        parts = [folder / str(split) for split in _saved(dictionary, inside)["splits"]]
    for part in parts:
        files = _saved(part / "state.json", inside)["_data_files"]
        for path in (part / "dataset_info.json", *(part / file["filename"] for file in files)):
            _check_inside(path, inside)


def _saved(path: Path, inside: Folders) -> Any:
    _check_inside(path, inside)
    return json_value(path.read_text("utf-8"), str(path))


def _check_inside(path: Path, inside: Folders) -> None:
    if (leads := inside.place(str(path))) not in (Place.INSIDE, Place.NOWHERE):
        raise UserError(rule_of(leads), setting=shown_path(path))


def _caches(datasets: Any) -> list[str]:
    """Return the folders that data of the hub is kept in, with the images that are files of their own."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return [str(datasets.config.HF_DATASETS_CACHE), str(datasets.config.DOWNLOADED_DATASETS_PATH), HF_HUB_CACHE]


def read_shards(paths: Sequence[Path]) -> Table:
    """Read WebDataset shards: of each key one example, its files the columns. Raises UserError."""
    for path in paths:
        check_file(path)
        check_shard(path)
    name = shown_name(paths)
    with _readable(name) as datasets:
        data = datasets.load_dataset("webdataset", data_files={"train": [str(p) for p in paths]}, split="train")
    return from_dataset(
        data.remove_columns([c for c in ("__key__", "__url__") if c in data.column_names]), name, [str(paths[0].parent)]
    )


def from_dataset(data: Any, name: str, roots: Sequence[str]) -> Table:
    """Return a `datasets.Dataset` as a table.

    Parameters
    ----------
    data : datasets.Dataset
        The data.
    name : str
        Its name in messages.
    roots : sequence of str
        The folders that images lie in which are files of their own. Paths in text are as seen from the first.

    Raises
    ------
    UserError
        It has no rows; or, when its images are opened, one lies elsewhere.
    """
    import datasets

    if len(data) == 0:
        raise no_rows(name)
    images = [n for n, f in data.features.items() if isinstance(f, datasets.Image)]
    labels = {n: tuple(f.names) for n, f in data.features.items() if isinstance(f, datasets.ClassLabel)}
    names = tuple(n for n in data.column_names if n not in images)
    opened = {n: partial(_bytes, data, n, name, roots) for n in images}
    return Table(name, DatasetReader(data, names), label_names=labels, images=opened, folder=Path(roots[0]))


def _bytes(data: Any, column: str, name: str, roots: Sequence[str]) -> ArrowBytes:
    return ArrowBytes(data.select_columns([column]).with_format("arrow"), column, name).confined(roots)


def _split_of(loaded: Any, split: str, name: str) -> Any:
    if not isinstance(loaded, dict):
        if split:
            raise UserError(f"it has no splits; leave #{split} out", setting=name, value=split, given=name)
        return loaded
    if not split and "train" not in loaded and len(loaded) == 1:
        return next(iter(loaded.values()))
    if (split or "train") not in loaded:
        raise unknown("split", split or "train", list(loaded)).at(name).adding(f"; name one as in {HUB}NAME#SPLIT")
    return loaded[split or "train"]


@contextmanager
def _readable(name: str) -> Iterator[Any]:
    """Lend the package datasets. Raises UserError, in one line, for data that it can't read."""
    with quiet_datasets(name) as datasets:
        try:
            yield datasets
        except UserError:
            raise
        except Exception as error:  # the package and its readers raise errors of all kinds
            cause = error.__cause__ or error
            reason = " ".join(str(cause).split())[:160] or type(cause).__name__
            raise UserError(f"it can't be read: {reason}", setting=name) from None
