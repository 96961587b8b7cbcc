"""Sources from arrays: Python's own, and those of a .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from skedastic.data.answers import Column, TaskName, read_answers
from skedastic.data.arrays import as_tensor
from skedastic.data.columns import Place, clean, is_text
from skedastic.data.images import as_images
from skedastic.data.labels import are_whole_numbers
from skedastic.data.source import Source, check_like, columns_like
from skedastic.data.tables import Table, readable
from skedastic.errors import UserError, unknown


def from_arrays(
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    truth: Any = None,
    task: TaskName = "auto",
    bins: int | None = None,
    like: Source | None = None,
) -> Source:
    """Take features and labels from Python: NumPy arrays, tensors, frames, series or lists of length n.

    X: [n, d], a frame, or images [n, H, W], [n, C, H, W] or [n, H, W, C]. y, truth: [n] labels of any kind.
    groups: [n] of any kind; None takes the labels, or bins of real targets. task, bins: as in `read_answers`. like: the
    training source, when this is its test set.
    Raises UserError for everything that can't be used.
    """
    source = _from_columns("arrays", X, "X", {"y": y, "groups": groups, "truth": truth}, task, bins, like)
    if like is not None:
        check_like(source, like)
    return source


def from_npz(
    path: Path,
    target: str,
    groups: str | None,
    truth: str | None,
    like: Source | None,
    *,
    task: TaskName = "auto",
    bins: int | None = None,
) -> Source:
    """Read the arrays X, `target` and, where named, `groups` and `truth` of a .npz file; pickles are refused."""
    with readable(path):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                names = {"X": "X", "y": target, "groups": groups, "truth": truth}
                absent = [name for name in names.values() if name is not None and name not in archive.files]
                if absent:
                    raise UserError(f"{path}: {unknown('array', absent[0], archive.files)}")
                arrays = {role: None if name is None else archive[name] for role, name in names.items()}
        except UserError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, AttributeError, TypeError) as error:
            if "Object arrays" in str(error):
                raise UserError(
                    f"{path} holds Python objects, which are never unpickled; save arrays of numbers or strings"
                ) from None
            raise UserError(
                f"{path} is no archive of NumPy arrays; write it with numpy.savez(path, X=X, y=y)"
            ) from None
    return _from_columns(path.name, arrays.pop("X"), f"{path.name}: X", arrays, task, bins, like)


def _from_columns(
    name: str, X: Any, x_name: str, columns: dict[str, Any], task: TaskName, bins: int | None, like: Source | None
) -> Source:
    features, remarks = _features(X, x_name, like)
    if len(features) == 0:
        raise UserError(f"{x_name} has no rows")
    prefix = x_name.removesuffix("X")
    series: dict[str, Column] = {
        role: _series(values, f"{prefix}{role}", len(features))
        for role, values in columns.items()
        if values is not None
    }
    if "y" not in series:
        raise UserError("y is missing; give a label for each example")
    answers = read_answers(series["y"], series.get("groups"), series.get("truth"), task=task, bins=bins, like=like)
    whole = bool(answers["classes"]) and are_whole_numbers(answers["classes"]) and not is_text(series["y"][0])
    return Source(name, features, **answers | {"remarks": (*remarks, *answers["remarks"])}, integer_labels=whole)


def _features(X: Any, name: str, like: Source | None) -> tuple[pd.DataFrame | Tensor, tuple[str, ...]]:
    if isinstance(X, pd.DataFrame):
        frame = X.reset_index(drop=True).rename(columns=str)
        if frame.columns.has_duplicates:
            raise UserError(f"{name} has two columns {frame.columns[frame.columns.duplicated()][0]!r}; rename one")
        if len(frame) == 0:
            raise UserError(f"{name} has no rows")
        return (columns_like(Table(name, frame), like), ()) if like else clean(frame, name, lines=False)
    values = as_tensor(X, name)
    if values.ndim != 2:
        return as_images(values, name), ()
    if values.shape[1] == 0:
        raise UserError(f"{name} has shape {list(values.shape)}: there is no feature")
    if like is not None and like.kind == "table" and values.shape[1] != like.features.shape[1]:
        raise UserError(f"{name} has {values.shape[1]} features, the training data {like.features.shape[1]}")
    frame = pd.DataFrame(values.double().numpy(), columns=[f"x{i}" for i in range(values.shape[1])])
    return (columns_like(Table(name, frame), like) if like else frame), ()


def _series(values: Any, name: str, n: int) -> tuple[pd.Series, Place]:
    """Return n labels or groups as a column, and how errors call it."""
    column = values
    if not isinstance(values, pd.Series):
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        array = np.asarray(array, dtype=None if isinstance(array, np.ndarray) else object)
        if array.ndim != 1:
            raise UserError(f"{name} has shape {list(array.shape)}; give one entry for each example, [n]")
        column = pd.Series(array).infer_objects()
    if len(column) != n:
        raise UserError(f"{name} has {len(column)} entries and X {n} rows; give one entry for each example")
    return column.reset_index(drop=True), Place(name, f"{name}[{{}}]")
