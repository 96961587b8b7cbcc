"""Sources from Python: arrays, frames of pandas and Polars, torch data sets."""

from __future__ import annotations

from dataclasses import replace
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
from skedastic.data.sources.names import no_rows
from skedastic.data.sources.source import Source, check_like, columns_like
from skedastic.data.tables.array_tables import array_table
from skedastic.data.tables.features import find_columns
from skedastic.data.tables.frames import frame_table, is_frame
from skedastic.data.tables.location import CellLocation, literal
from skedastic.data.tables.roles import Roles
from skedastic.data.tables.table import Columns, Table
from skedastic.data.tables.values import encodable, unusable
from skedastic.data.targets.reading import Column, TargetColumns, read_targets
from skedastic.errors import UserError

TORCH = "the torch data set"  # as errors call it


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
    source = of_columns(name, X, "X", columns, task, bins, schema, Roles(**roles))
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


def of_columns(
    name: str,
    X: Any,
    x_name: str,
    columns: dict[str, Any],
    task: TaskName,
    bins: int | None,
    schema: Schema | None,
    roles: Roles,
) -> Source:
    """Return a source of features and the columns beside them.

    Parameters
    ----------
    name : str
        The name of the source.
    X : Any
        The features, as `from_arrays` takes them, or a table with nothing else.
    x_name : str
        Their name in errors, which ends in X.
    columns : dict of str to Any
        The labels "y", and perhaps "groups" and "truth", each [n].
    task, bins, schema
        As in `from_arrays`.
    roles : Roles
        Which columns of a frame are what.

    Raises
    ------
    UserError
        Something can't be used.
    """
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
    if is_frame(X) or isinstance(X, Table):
        table = X if isinstance(X, Table) else replace(frame_table(X, name), decimal=roles.decimal)
        if schema is not None:
            return columns_like(table, schema), ()
        roles.check(table)
        return find_columns(table, roles, ())
    if roles.ignore or roles.given or roles.image:
        rule = "leave ignore, text, numeric, categorical and image out, or give a frame"
        raise UserError(rule, setting=name, given=f"{name} has no columns with names")
    values = as_tensor(X, name)
    if values.ndim != 2:
        return as_images(values, name), ()
    if values.shape[1] == 0:
        raise wrong_shape(name, values.shape, "there is no feature; give at least one column")
    if schema is not None:
        return columns_like(array_table(values, name, schema.kinds, schema.reading), schema), ()
    table = array_table(values, name)
    return Columns(table, dict.fromkeys(table.names, "number")), ()


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
