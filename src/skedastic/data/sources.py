"""Sources: a user's data, checked and whole, before it is split. `open_source` reads files, `from_arrays` takes Python's."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skedastic.data.arrays import as_tensor
from skedastic.data.columns import CATEGORY, NUMBER, Place, clean, column_place, parse
from skedastic.data.dataset import Dataset, Stream, Truth
from skedastic.data.encode import Encoder, ImageEncoder, TableEncoder
from skedastic.data.images import as_images, open_images, picture
from skedastic.data.labels import read_groups, read_labels, read_truth
from skedastic.data.tables import Table, read_csv, read_parquet, readable
from skedastic.errors import UserError, unknown

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_SHOWN = 6  # columns in the description of a row


@dataclass(frozen=True, eq=False)
class Source:
    """n examples as the user gave them.

    features: a frame of float64 columns (NaN where missing) and string columns ("" where missing), or images
    [n, C, H, W] in a tensor or a stream. y, group: [n] int64, ids of `classes` and `groups`. truth: [n] clean label
    ids, where a column of the source holds them; for evaluation only. remarks: what was dropped or is missing.
    """

    name: str
    features: pd.DataFrame | Tensor | Stream
    y: Tensor
    classes: tuple[str, ...]
    group: Tensor
    groups: tuple[str, ...]
    truth: Tensor | None = None
    remarks: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Return "table" or "image"."""
        return "table" if isinstance(self.features, pd.DataFrame) else "image"

    def __len__(self) -> int:
        return len(self.y)

    def encode(self, rows: Tensor) -> Encoder:
        """Fit an encoder on the rows `rows` [m] int64, the training rows."""
        features = self._features(rows)
        return TableEncoder.fit(features) if isinstance(features, pd.DataFrame) else ImageEncoder.fit(features)

    def dataset(self, rows: Tensor, encoder: Encoder) -> Dataset:
        """Return the rows `rows` [m] int64 as a dataset, named by their row here; a stream of images stays one."""
        return Dataset(
            x=encoder.transform(self._features(rows)),
            y=self.y[rows],
            index=rows.clone(),
            group=self.group[rows],
            classes=self.classes,
            groups=self.groups,
            kind=self.kind,
        )

    def truth_of(self, rows: Tensor) -> Truth | None:
        """Return the clean labels of the rows `rows` [m] int64, where they are known."""
        return None if self.truth is None else Truth(clean=self.truth[rows], index=rows.clone())

    def describe(self, index: int) -> dict[str, str]:
        """Return a few cells of a row of a table, as text for a reader; nothing for images."""
        if not isinstance(self.features, pd.DataFrame):
            return {}
        cells = self.features.iloc[index, :MOST_SHOWN]
        return {str(name): _shown(cell) for name, cell in cells.items()}

    def image(self, index: int) -> Image | None:
        """Return the image of a row as a PIL image; None for tables, and where Pillow is not installed."""
        if isinstance(self.features, pd.DataFrame):
            return None
        return picture(self.features[torch.tensor([index])][0])

    def _features(self, rows: Tensor) -> Any:
        if isinstance(self.features, pd.DataFrame):
            return self.features.iloc[rows.numpy()]
        return self.features[rows] if isinstance(self.features, Tensor) else self.features.take(rows)


def open_source(
    source: str | Path,
    *,
    target: str | None = None,
    groups: str | None = None,
    ignore: Sequence[str] = (),
    truth: str | None = None,
    like: Source | None = None,
) -> Source:
    """Open `digits`, a .csv, .tsv or .parquet table, a .parquet file with a column of images, or a .npz file.

    target: the column of labels (.npz: the array, by default y). groups: the column of groups; None takes the labels.
    ignore: columns to leave out. truth: the column of clean labels, where the target's are noisy; for evaluation only.
    like: the training source, when this is its test set: classes, groups and columns must be known there, and where
    the target is absent here, the clean labels are taken for it.
    Raises UserError, in one line, for everything that can't be used.
    """
    if str(source) == "digits":
        if target or groups or ignore or truth:
            raise UserError("digits has no columns: leave --target, --groups, --ignore and --truth out")
        return _digits()
    path = Path(source)
    readers: dict[str, Callable[[Path, _Roles, Source | None], Source]] = {
        ".csv": lambda p, roles, like: _from_table(read_csv(p), p, roles, like),
        ".tsv": lambda p, roles, like: _from_table(read_csv(p), p, roles, like),
        ".parquet": lambda p, roles, like: _from_table(
            read_parquet(p, ignore=roles.ignore, only=roles.columns), p, roles, like
        ),
        ".npz": _from_npz,
    }
    if path.suffix.lower() not in readers:
        if not path.exists():
            raise UserError(f"{source}: no such file; give digits, or a .csv, .tsv, .parquet or .npz file")
        what = "a directory" if path.is_dir() else f"a {path.suffix or 'nameless kind of'} file"
        raise UserError(f"{source} is {what}; this reads .csv, .tsv, .parquet and .npz files, and digits")
    return readers[path.suffix.lower()](path, _Roles(target, groups, tuple(ignore), truth), like)


def from_arrays(X: Any, y: Any, groups: Any = None, *, truth: Any = None, like: Source | None = None) -> Source:
    """Take features and labels from Python: NumPy arrays, tensors, frames, series or lists of length n.

    X: [n, d], a frame, or images [n, H, W], [n, C, H, W] or [n, H, W, C]. y, truth: [n] labels of any kind.
    groups: [n] of any kind; None takes the labels. like: the training source, when this is its test set.
    Raises UserError for everything that can't be used.
    """
    return _from_columns("arrays", X, _series(y, "y"), _series(groups, "groups"), _series(truth, "truth"), like)


@dataclass(frozen=True)
class _Roles:
    """What the columns of a file are for."""

    target: str | None
    groups: str | None
    ignore: tuple[str, ...]
    truth: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(c for c in (self.target, self.groups, self.truth) if c is not None)


def _digits() -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.from_numpy(digits.images.astype(np.float32) / 16).unsqueeze(1)
    y = torch.from_numpy(digits.target.astype(np.int64))
    classes = tuple(str(c) for c in range(10))
    return Source("digits", x, y, classes, y, classes)


def _from_table(table: Table, path: Path, roles: _Roles, like: Source | None) -> Source:
    if roles.target is None:
        raise UserError(f"{path}: which column holds the labels? name it with --target ({_some(table.frame.columns)})")
    target, remarks = roles.target, ()
    if like is not None and target not in table.frame.columns and roles.truth in table.frame.columns:
        target = roles.truth
    for column in (target, roles.groups, roles.truth):
        if column is not None and column in roles.ignore:
            raise UserError(f"{path}: column {column!r} can't be ignored and used at once")
    labels, place = table.column(target, "target column")
    names = table.label_names.get(target, ())
    y, classes = read_labels(labels, place, names=names, classes=like.classes if like else ())
    group, group_names = y, classes
    if roles.groups is not None:
        group, group_names = read_groups(*table.column(roles.groups, "groups column"), like.groups if like else ())
    truth = None
    if roles.truth is not None and not (like is not None and roles.truth not in table.frame.columns):
        clean_labels, clean_place = table.column(roles.truth, "truth column")
        truth = read_truth(clean_labels, clean_place, classes, table.label_names.get(roles.truth, ()), names)
    features: pd.DataFrame | Tensor | Stream
    if table.image_column is not None:
        features = open_images(path, table.image_column)
    elif like is not None:
        features = _same_columns(table, like)
    else:
        rest = _features_of(table, roles, path)
        features, remarks = clean(rest, table.file, table.lines)
    source = Source(path.name, features, y, classes, group, group_names, truth, remarks)
    return source if like is None else _checked(source, like)


def _features_of(table: Table, roles: _Roles, path: Path) -> pd.DataFrame:
    absent = [c for c in roles.ignore if c not in table.frame.columns]
    for column in absent if table.lines else ():  # a Parquet file was read without them
        raise UserError(f"{path}: {unknown('column to ignore', column, map(str, table.frame.columns))}")
    used = {*roles.ignore, *roles.columns} - {roles.groups}
    return table.frame[[c for c in table.frame.columns if c not in used]]


def _same_columns(table: Table, like: Source) -> pd.DataFrame:
    if not isinstance(like.features, pd.DataFrame):
        raise UserError(f"{table.file} is a table, and the training data are images; give test data of the same kind")
    columns = {}
    for name in like.features.columns:
        if name not in table.frame.columns:
            table.column(name, "feature column")
        kind = CATEGORY if like.features[name].dtype == object else NUMBER
        columns[name] = parse(table.frame[name], kind, column_place(table.file, name, table.lines))
    return pd.DataFrame(columns)


def _checked(source: Source, like: Source) -> Source:
    """Return a test source, if its features are of the kind of the training source's."""
    if source.kind != like.kind:
        raise UserError(f"{source.name} holds {source.kind}s, and the training data {like.kind}s; give the same kind")
    if not isinstance(source.features, pd.DataFrame) and not isinstance(like.features, pd.DataFrame):
        here, there = list(source.features.shape[1:]), list(like.features.shape[1:])
        if here != there:
            raise UserError(f"{source.name} holds images {here}, the training data {there} (C, H, W); give one size")
        if source.features.dtype != like.features.dtype:
            raise UserError(f"{source.name} holds {source.features.dtype}, the training data {like.features.dtype}")
    return source


def _from_npz(path: Path, roles: _Roles, like: Source | None) -> Source:
    if roles.ignore:
        raise UserError(f"{path}: --ignore is for tables; the arrays of a .npz file have no named columns")
    with readable(path):
        try:
            archive = np.load(path, allow_pickle=False)
            names = list(archive.files)
            wanted = ["X", roles.target or "y", roles.groups, roles.truth]
            for name in wanted:
                if name is not None and name not in names:
                    raise UserError(f"{path}: {unknown('array', name, names)}")
            arrays = [None if name is None else archive[name] for name in wanted]
        except (zipfile.BadZipFile, ValueError, EOFError, AttributeError) as error:
            if isinstance(error, UserError):
                raise
            reason = "it holds Python objects, which are never unpickled; save plain numbers and strings"
            if "allow_pickle" not in str(error):
                reason = f"it is no archive of NumPy arrays ({str(error).splitlines()[0][:100]})"
            raise UserError(f"{path} can't be read: {reason}") from None
    columns = [_series(array, f"{path.name}: {name}") for array, name in zip(arrays[1:], wanted[1:], strict=True)]
    return _from_columns(path.name, arrays[0], *columns, like)  # type: ignore[arg-type]


_Column = tuple[pd.Series, Place]


def _series(values: Any, name: str) -> _Column | None:
    """Return labels or groups as a column, and how errors call it."""
    if values is None:
        return None
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    if not isinstance(array, pd.Series):
        array = np.asarray(array, dtype=None if isinstance(array, np.ndarray) else object)
        if array.ndim != 1:
            raise UserError(f"{name} has shape {list(array.shape)}; give one label for each example, [n]")
        array = pd.Series(array).infer_objects()
    return array.reset_index(drop=True), Place(name, f"{name}[{{}}]")


def _from_columns(
    name: str, X: Any, y: _Column | None, groups: _Column | None, truth: _Column | None, like: Source | None
) -> Source:
    if y is None:
        raise UserError("y is missing; give a label for each example")
    features, remarks = _array_features(X, "X" if name == "arrays" else f"{name}: X", like)
    for column, place in filter(None, (y, groups, truth)):
        if len(column) != len(features):
            raise UserError(f"{place.column} has {len(column)} entries and X {len(features)}; give one for each example")
    if len(features) == 0:
        raise UserError(f"{'X' if name == 'arrays' else name} has no rows")
    ids, classes = read_labels(*y, classes=like.classes if like else ())
    group, group_names = (ids, classes) if groups is None else read_groups(*groups, like.groups if like else ())
    clean_ids = None if truth is None else read_truth(*truth, classes, (), ())
    source = Source(name, features, ids, classes, group, group_names, clean_ids, remarks)
    return source if like is None else _checked(source, like)


def _array_features(X: Any, name: str, like: Source | None) -> tuple[pd.DataFrame | Tensor, tuple[str, ...]]:
    if isinstance(X, pd.DataFrame):
        table = Table(name, X.reset_index(drop=True).rename(columns=str))
        return (_same_columns(table, like), ()) if like else clean(table.frame, name, lines=False)
    values = as_tensor(X, name)
    if values.ndim != 2:
        return as_images(values, name), ()
    if values.shape[1] == 0:
        raise UserError(f"{name} has shape {list(values.shape)}: there is no feature")
    frame = pd.DataFrame(values.double().numpy(), columns=[f"x{i}" for i in range(values.shape[1])])
    return (_same_columns(Table(name, frame), like) if like else frame), ()


def _shown(cell: object) -> str:
    if cell == "" or (isinstance(cell, float) and np.isnan(cell)):
        return "missing"
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _some(names: Sequence[object], most: int = 12) -> str:
    return ", ".join(map(str, names[:most])) + (", …" if len(names) > most else "")
