"""From the name of a source to its rows: which reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from skedastic.data.schema import Schema
from skedastic.data.sources import bundled, folders, hub
from skedastic.data.sources.array_files import features_in, from_array_files
from skedastic.data.sources.arrays import wrong_shape
from skedastic.data.sources.files import read_files
from skedastic.data.sources.from_python import from_arrays
from skedastic.data.sources.from_table import from_table
from skedastic.data.sources.idx import read_idx_pair
from skedastic.data.sources.names import ARRAYS, DIGITS, HUB, SHARDS, built_in, is_idx, named_files
from skedastic.data.sources.source import Source, check_like
from skedastic.data.tables.frames import frame_table, is_frame
from skedastic.data.tables.roles import Roles
from skedastic.data.tables.table import Table
from skedastic.errors import UserError

NPY = ".npy"


def open_source(source: str | Path | Any, *, schema: Schema | None = None, **roles: Any) -> Source:
    """Open a source by its name.

    Parameters
    ----------
    source : str, Path or Any
        A file or a pattern of files (.csv, .tsv, .jsonl, .json, .parquet, .arrow, .npz, .npy, .tar, idx), a folder
        of images or texts by class, `hf:NAME[#SPLIT]` of the package datasets, or a set that scikit-learn brings
        (sklearn:digits, sklearn:wine, …, or the bare name where no file has it); or a frame of pandas or Polars.
    schema : Schema or None, optional
        The schema of the training source, when this is its test set. Classes, groups and columns must be known there;
        where the target is absent here, truth is taken for it.
    **roles
        The fields of `Roles`: the columns with the labels, the groups and so on.

    Raises
    ------
    UserError
        Something can't be used; in one line.
    """
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in roles.items()}
    wanted = Roles(**given)
    if is_frame(source):
        opened = from_table(frame_table(source), wanted, schema)
        if schema is not None:
            check_like(opened, schema)
        return opened
    name = str(source)
    if built_in(name) == DIGITS:
        opened = _digits(wanted)
    elif is_idx(Path(name)):
        _refuse_columns(name, wanted)
        x, y = read_idx_pair(Path(name))
        opened = from_arrays(x, y, task=wanted.task, bins=wanted.bins, schema=schema, name=Path(name).name)
    elif (paths := named_files(name)) is not None and paths[0].suffix.lower() in ARRAYS:
        opened = _npz(paths, wanted, schema)
    else:
        table, target = _table(name, paths, "train" if schema is None else "test")
        opened = from_table(table, wanted, schema, target)
    if schema is not None:
        check_like(opened, schema)
    return opened


def open_later(source: str | Path | Any, schema: Schema, roles: Mapping[str, Any]) -> Source:
    """Open a source of labelled rows that are not those of training, such as test rows, by the roles of training.

    Where training read its labels from .npy files, these hold the training rows' alone. Here the labels are the column
    of the same name, or the array `y`; groups and clean labels are `groups` and `truth`.

    Parameters
    ----------
    source : str, Path or Any
        As in `open_source`.
    schema : Schema
        Of the training source.
    roles : mapping
        The roles of its columns.

    Raises
    ------
    UserError
        Something can't be used, or the source is a .npy file, beside which no labels can be named.
    """
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == NPY:
        rule = "it holds X alone, and its labels are needed too; save both: numpy.savez('test.npz', X=X, y=y)"
        raise UserError(rule, setting=str(source))
    usual = {"target": None, "groups": "groups", "truth": "truth"}
    in_files = {role for role in usual if str(roles[role] or "").strip().lower().endswith(NPY)}
    return open_source(source, schema=schema, **{**roles, **{role: usual[role] for role in in_files}})


def open_table(source: str | Path, use: folders.Use = "train") -> Table:
    """Open a source as a table, with every column that it has; of a .npz or .npy file, the columns of X [n, d].

    Parameters
    ----------
    source : str or Path
        As in `open_source`.
    use : {"train", "test", "predict"}
        What the rows are for. Files of a folder to predict from need be in no sub-folder.

    Raises
    ------
    UserError
        The source is no table, or can't be read.
    """
    paths = named_files(str(source))
    if paths is not None and paths[0].suffix.lower() in ARRAYS:
        x = features_in(paths[0])
        if isinstance(x, Table):
            return x
        raise wrong_shape(f"{paths[0].name}: X", tuple(x.shape), "only [n, d] is a table")
    return _table(str(source), paths, use)[0]


def _table(name: str, paths: list[Path] | None, use: folders.Use) -> tuple[Table, str | None]:
    """Return a source's table, and its target where it is known."""
    if (bundle := built_in(name)) is not None:
        return bundled.bundled_table(bundle)
    if name.startswith(HUB):
        return hub.read_hub(name), None
    if paths is None:
        return folders.read_folder(Path(name), use), folders.LABEL
    if paths[0].suffix.lower() in SHARDS:
        return hub.read_shards(paths), None
    return read_files(paths), None


def _refuse_columns(name: str, roles: Roles) -> None:
    """Raise UserError where columns are named of a source that has none."""
    if any(getattr(roles, f.name) != f.default for f in fields(Roles) if f.init and f.name not in ("task", "bins")):
        rule = "leave --target, --groups, --ignore, --truth and the like out"
        raise UserError(rule, setting=name, given=f"{name} has no columns")


def _digits(roles: Roles) -> Source:
    _refuse_columns(DIGITS, roles)
    if roles.task == "regression" or roles.bins is not None:
        setting, value = ("bins", roles.bins) if roles.bins is not None else ("task", roles.task)
        rule = "leave --task regression and --bins out, or name a table with numbers"
        raise UserError(rule, setting=setting, value=value, given="digits has classes")
    return bundled.digits()


def _npz(paths: list[Path], roles: Roles, schema: Schema | None) -> Source:
    if len(paths) > 1:
        raise UserError(f"name one file of arrays, not {len(paths)}", setting=f"{paths[0]}, …")
    for setting in ("split", "group_by", "annotators") if schema is None else ():
        if getattr(roles, setting):
            rule = f"leave --{setting.replace('_', '-')} out, or save a table with that column"
            raise UserError(rule, setting=setting, given=f"{paths[0]} holds arrays")
    if roles.ignore or roles.given or roles.image:
        rule = "--ignore, --numeric and the like are for tables; the columns of an array have no names"
        raise UserError(rule, setting=str(paths[0]))
    read = partial(from_array_files, paths[0], roles.target or "y", roles.groups, roles.truth, schema)
    return read(task=roles.task, bins=roles.bins)
