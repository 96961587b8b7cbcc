"""Arrays in files: those of a .npz file by name, and .npy files, of which X is streamed where it is a table."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from torch import Tensor

from skedastic.data.schema import Schema
from skedastic.data.settings import TaskName
from skedastic.data.sources.arrays import as_tensor, wrong_shape
from skedastic.data.sources.from_python import of_columns
from skedastic.data.sources.names import check_file, readable
from skedastic.data.sources.source import Source
from skedastic.data.tables.array_tables import ArrayFileReader, are_lists_alone, array_table
from skedastic.data.tables.roles import Roles
from skedastic.data.tables.table import Table
from skedastic.errors import UserError, unknown
from skedastic.runtime.limits import check_unpacked

OPTIONS = {"y": "target", "groups": "groups", "truth": "truth"}  # that name an array, by its role


def from_array_files(
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
    arrays = _arrays(path, {"X": "X", "y": target, "groups": groups, "truth": truth}, schema)
    return of_columns(path.name, arrays.pop("X"), f"{path.name}: X", arrays, task, bins, schema, Roles())


def features_in(path: Path, schema: Schema | None = None) -> Table | Tensor:
    """Return X of a .npz or .npy file: a table where it is [n, d], which of a .npy file is streamed, or else a tensor.

    Parameters
    ----------
    path : Path
        The file.
    schema : Schema or None, optional
        Of the training source, which the table is to be like.

    Raises
    ------
    UserError
        There is no X, it is not like training, or a number is not finite.
    """
    x, name = _arrays(path, {"X": "X"}, schema)["X"], f"{path.name}: X"
    if isinstance(x, Table):
        return x
    values = as_tensor(x, name)
    known = () if schema is None else (schema.kinds, schema.reading)
    return array_table(values, name, *known) if values.ndim == 2 else values


def _arrays(path: Path, names: dict[str, str | None], schema: Schema | None) -> dict[str, Any]:
    """Return arrays by their role: those of a .npz file by name, or X of a .npy file and the files that names mean."""
    check_file(path)
    if path.suffix.lower() == ".npy":
        x = {"X": _streamed(path, schema) or _array(path, "X", "X")}
        return x | {role: _array(path, role, name) for role, name in names.items() if role != "X" and name is not None}
    with readable(path):
        try:
            _check_archive(path, [f"{name}.npy" for name in names.values() if name is not None])
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                absent = [name for name in names.values() if name is not None and name not in archive.files]
                if absent:
                    raise unknown("array", absent[0], archive.files).at(str(path))
                return {role: archive[name] for role, name in names.items() if name is not None}
        except UserError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, AttributeError, TypeError) as error:
            if "Object arrays" in str(error):
                rule = "it holds Python objects, which are never unpickled; save arrays of numbers or strings"
                raise UserError(rule, setting=str(path)) from None
            rule = "it is no archive of NumPy arrays; write it with numpy.savez(path, X=X, y=y)"
            raise UserError(rule, setting=str(path)) from None


def _check_archive(path: Path, names: Sequence[str]) -> None:
    """Raise UserError where arrays of an archive would take too much memory, by its table of contents or their heads.

    Raises ValueError where the head of an array says more than there is.
    """
    with zipfile.ZipFile(path) as archive:
        held = [info for info in archive.infolist() if info.filename in names]
        check_unpacked(str(path), sum(info.file_size for info in held))
        for info in held:
            with archive.open(info) as member:
                _check_head(member, info.file_size)


def _check_head(file: IO[bytes], size: int) -> None:
    """Raise ValueError where the head of an array says that it has more bytes than its file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if not kind.hasobject and not 0 <= kind.itemsize * math.prod(shape) <= size:
        raise ValueError("the head of the array says more than there is")


def _streamed(path: Path, schema: Schema | None) -> Table | None:
    """Return X of a .npy file as one column of lists; None where it is no table, or training had a column for each."""
    mapped = load_array(path, mapped=True)
    if mapped.ndim != 2 or 0 in mapped.shape or mapped.dtype.kind not in "fiub":
        return None
    if schema is not None and not are_lists_alone(schema.kinds):
        return None
    name = "X" if schema is None else next(iter(schema.kinds))
    if schema is not None and mapped.shape[1] != schema.reading.lengths[name]:
        rule = f"the model was trained on [n, {schema.reading.lengths[name]}]; give as many columns"
        raise wrong_shape(f"{path.name}: X", mapped.shape, rule)
    return Table(path.name, ArrayFileReader(path, name, range(len(mapped))))


def _array(x: Path, role: str, name: str) -> Any:
    """Return the array of a role: X of a .npy file, or that of a .npy file beside it."""
    path = x if role == "X" else Path(name)
    if path.suffix.lower() != ".npy":
        rule = f"{x} holds X alone; name the .npy file with the labels, such as --target y.npy"
        raise UserError(rule, setting=OPTIONS[role], value=name)
    check_file(path)
    return load_array(path)


def load_array(path: Path, *, mapped: bool = False) -> Any:
    """Return the array of a .npy file.

    Parameters
    ----------
    path : Path
        The file.
    mapped : bool, optional
        Whether it stays on disk.

    Raises
    ------
    UserError
        It can't be read, or holds Python objects.
    """
    with readable(path):
        try:
            with path.open("rb") as file:
                _check_head(file, path.stat().st_size)
            return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        except (ValueError, EOFError) as error:
            objects = "Object arrays" in str(error) or "Array can't be memory-mapped" in str(error)
            held = "it holds Python objects, which are never unpickled" if objects else "it is no NumPy array"
            raise UserError(f"{held}; write numbers or strings with numpy.save", setting=str(path)) from None
