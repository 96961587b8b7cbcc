"""Sources from Python: arrays, frames of pandas and Polars, torch data sets; and the arrays of a .npz file."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from skedastic.data.dataset import Features
from skedastic.data.image_arrays import are_pillow, as_images, of_pillow
from skedastic.data.schema import Schema
from skedastic.data.settings import TaskName
from skedastic.data.sources.arrays import as_tensor, wrong_shape
from skedastic.data.sources.names import check_file, no_rows, readable
from skedastic.data.sources.source import Source, check_like, columns_like
from skedastic.data.tables.features import find_columns
from skedastic.data.tables.frames import frame_table, is_frame
from skedastic.data.tables.location import CellLocation, literal
from skedastic.data.tables.readers import FrameReader
from skedastic.data.tables.roles import Roles
from skedastic.data.tables.table import Columns, Table, frame_columns
from skedastic.data.tables.values import encodable, unusable
from skedastic.data.targets.reading import Column, TargetColumns, read_targets
from skedastic.errors import UserError, unknown

TORCH = "the torch data set"  # as errors call it
OPTIONS = {"y": "target", "groups": "groups", "truth": "truth"}  # that name an array, by its role


def from_arrays(
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    truth: Any = None,
    task: TaskName = "auto",
    bins: int | None = None,
    schema: Schema | None = None,
    name: str = "arrays",
    **roles: Any,
) -> Source:
    """Take features and labels from Python: NumPy arrays, tensors, frames, series or lists of length n.

    Parameters
    ----------
    X : Any
        [n, d], a frame of pandas or Polars, a list of texts, or images [n, H, W], [n, C, H, W] or [n, H, W, C].
    y, truth : Any
        [n] labels of any kind, or numbers.
    groups : Any, optional
        [n] of any kind; by default the labels, or bins of numbers.
    task : TaskName, optional
    bins : int or None, optional
        As in `read_targets`.
    schema : Schema or None, optional
        Of the training source, when this is its test set.
    name : str, optional
        Of the source.
    **roles
        Which columns of a frame are what (`Roles`).

    Raises
    ------
    UserError
        Something can't be used.
    """
    columns = {"y": y, "groups": groups, "truth": truth}
    source = _from_columns(name, X, "X", columns, task, bins, schema, Roles(**roles))
    if schema is not None:
        check_like(source, schema)
    return source


def from_torch(data: Any) -> tuple[Any, Any]:
    """Return X [n, ...] and y [n] of a map-style torch data set. All of its items are read once.

    Images of Pillow stay a list of them; `from_arrays` reads it.

    Parameters
    ----------
    data : torch.utils.data.Dataset
        Its items are (x, y): x a tensor, an array or an image, y a label or a number.

    Raises
    ------
    UserError
        An item is no pair, or items differ in shape.
    """
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise UserError("it has no length; give a map-style one, with __len__ and __getitem__", setting=TORCH)
    if len(data) == 0:
        raise UserError("it has no items", setting=TORCH)
    xs, ys = list[Any](), list[Any]()
    for i in range(len(data)):
        item = data[i]
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            kind = type(item).__name__
            rule = f"it is a {kind}; each item must be (x, y)"
            raise UserError(rule, setting=f"item {i} of {TORCH}", value=kind, given=f"item {i} of {TORCH}")
        xs.append(_example(item[0]))
        ys.append(item[1].item() if isinstance(item[1], Tensor) and item[1].numel() == 1 else item[1])
        if not isinstance(xs[-1], Image) and not isinstance(xs[0], Image) and xs[-1].shape != xs[0].shape:
            rule = f"the first has shape {list(xs[0].shape)}; give all the same"
            raise wrong_shape(f"item {i} of {TORCH}", xs[-1].shape, rule)
    if are_pillow(xs):
        return xs, ys
    mixed = next((i for i, x in enumerate(xs) if isinstance(x, Image)), None)
    if mixed is not None:
        raise UserError("it is an image, and others are arrays; give all alike", setting=f"item {mixed} of {TORCH}")
    return torch.stack(xs), ys


def is_torch(data: Any) -> bool:
    """Return whether an object is a torch data set.

    Parameters
    ----------
    data : Any
        The object.
    """
    return isinstance(data, TorchDataset)


def _example(x: Any) -> Any:
    """Return an image of Pillow, read from its file, or else a tensor."""
    if isinstance(x, Image):
        x.load()
        return x
    return x.detach().cpu() if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))


def from_npz(
    path: Path,
    target: str,
    groups: str | None,
    truth: str | None,
    schema: Schema | None,
    *,
    task: TaskName = "auto",
    bins: int | None = None,
) -> Source:
    """Read X and y from arrays in files; pickles are refused.

    Parameters
    ----------
    path : Path
        A .npz file, or a .npy file with X alone.
    target, groups, truth : str or None
        The names of these arrays; beside a .npy file, the .npy files that hold them.
    schema : Schema or None
        Of the training source, when this is its test set.
    task, bins
        As in `read_targets`.

    Raises
    ------
    UserError
        An array is not there, or can't be used.
    """
    arrays = _arrays(path, {"X": "X", "y": target, "groups": groups, "truth": truth})
    return _from_columns(path.name, arrays.pop("X"), f"{path.name}: X", arrays, task, bins, schema, Roles())


def npz_features(path: Path) -> Tensor:
    """Return the array X of a .npz or .npy file.

    Raises UserError where there is none, and for numbers that are not finite.
    """
    return as_tensor(_arrays(path, {"X": "X"})["X"], f"{path.name}: X")


def _arrays(path: Path, names: dict[str, str | None]) -> dict[str, Any]:
    """Return arrays by their role: those of a .npz file by name, or X of a .npy file and the files that names mean."""
    check_file(path)
    if path.suffix.lower() == ".npy":
        return {role: None if name is None else _array(path, role, name) for role, name in names.items()}
    with readable(path):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                absent = [name for name in names.values() if name is not None and name not in archive.files]
                if absent:
                    raise unknown("array", absent[0], archive.files).at(str(path))
                return {role: None if name is None else archive[name] for role, name in names.items()}
        except UserError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, AttributeError, TypeError) as error:
            if "Object arrays" in str(error):
                rule = "it holds Python objects, which are never unpickled; save arrays of numbers or strings"
                raise UserError(rule, setting=str(path)) from None
            rule = "it is no archive of NumPy arrays; write it with numpy.savez(path, X=X, y=y)"
            raise UserError(rule, setting=str(path)) from None


def _array(x: Path, role: str, name: str) -> Any:
    """Return the array of a role: X of a .npy file, or that of a .npy file beside it."""
    path = x if role == "X" else Path(name)
    if path.suffix.lower() != ".npy":
        rule = f"{x} holds X alone; name the .npy file with the labels, such as --target y.npy"
        raise UserError(rule, setting=OPTIONS[role], value=name)
    check_file(path)
    with readable(path):
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            objects = "Object arrays" in str(error)
            held = "it holds Python objects, which are never unpickled" if objects else "it is no NumPy array"
            raise UserError(f"{held}; write numbers or strings with numpy.save", setting=str(path)) from None


def _from_columns(
    name: str,
    X: Any,
    x_name: str,
    columns: dict[str, Any],
    task: TaskName,
    bins: int | None,
    schema: Schema | None,
    roles: Roles,
) -> Source:
    features, notes = _features(X, x_name, schema, roles)
    if len(features) == 0:
        raise no_rows(x_name)
    prefix = x_name.removesuffix("X")
    series: dict[str, Column] = {
        role: _series(values, f"{prefix}{role}", len(features), dates=role == "groups")
        for role, values in columns.items()
        if values is not None
    }
    if "y" not in series:
        raise UserError("give a label for each example", setting=f"{prefix}y", given=f"{prefix}y is missing")
    read = TargetColumns(y=series["y"], groups=series.get("groups"), truth=series.get("truth"), keeps_text=True)
    return Source.of(name, features, read_targets(read, task, bins, schema), notes=notes)


def _features(X: Any, name: str, schema: Schema | None, roles: Roles) -> tuple[Columns | Features, tuple[str, ...]]:
    if isinstance(X, (list, tuple)) and X and all(isinstance(x, str) for x in X):
        X = pd.DataFrame({"text": pd.Series(list(X), dtype=object)})
        roles = Roles(text=("text",))
    if are_pillow(X):
        return of_pillow(X, name, schema.decoding if schema is not None and schema.images else None)
    if is_frame(X):
        return _of_frame(X, name, schema, roles)
    if roles.ignore or roles.given or roles.image:
        rule = "leave ignore, text, numeric, categorical and image out, or give a frame"
        raise UserError(rule, setting=name, given=f"{name} has no columns with names")
    values = as_tensor(X, name)
    if values.ndim != 2:
        return as_images(values, name), ()
    if values.shape[1] == 0:
        raise wrong_shape(name, values.shape, "there is no feature; give at least one column")
    if schema is not None and schema.kinds and values.shape[1] != len(schema.kinds):
        given = f"{name} has {values.shape[1]} features"
        rule = f"the training data has {len(schema.kinds)}; give the same"
        raise UserError(rule, setting=name, value=values.shape[1], given=given)
    frame = numbered(values)
    return (columns_like(Table(name, FrameReader(frame)), schema) if schema else frame_columns(frame, name)), ()


def numbered(values: Tensor) -> pd.DataFrame:
    """Return numbers [n, d] as a frame with the columns x0, x1, …"""
    return pd.DataFrame(values.double().numpy(), columns=[f"x{i}" for i in range(values.shape[1])])


def _of_frame(X: Any, name: str, schema: Schema | None, roles: Roles) -> tuple[Columns, tuple[str, ...]]:
    table = replace(frame_table(X, name), decimal=roles.decimal)
    if schema is not None:
        return columns_like(table, schema), ()
    roles.check(table)
    return find_columns(table, roles, ())


def _series(values: Any, name: str, n: int, *, dates: bool) -> tuple[pd.Series, CellLocation]:
    """Return n labels or groups as a column, and its place in errors."""
    column = values
    if not isinstance(values, pd.Series):
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        array = np.asarray(array, dtype=None if isinstance(array, np.ndarray) else object)
        if array.ndim != 1:
            raise wrong_shape(name, array.shape, "give one entry for each example, [n]")
        array = array.astype(object) if array.dtype.kind == "S" else array  # bytes of text
        if array.dtype == object:
            array = np.array([encodable(v) if isinstance(v, str) else v for v in array] + [None], dtype=object)[:-1]
        column = pd.Series(array).infer_objects()
    if (what := unusable(column, dates)) is not None:
        rule = f"it holds {what}; give one value for each example"
        raise UserError(rule, setting=name, value=what, given=name)
    if len(column) != n:
        given = f"{name} has {len(column)} entries and X {n} rows"
        raise UserError("give one entry for each example", setting=name, value=len(column), given=given)
    return column.reset_index(drop=True), CellLocation(name, literal(name) + "[{row}]")
