"""From the name of a file to a source: which reader, which column for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from skedastic.data.answers import TaskName, read_answers
from skedastic.data.columns import clean
from skedastic.data.dataset import Features
from skedastic.data.from_python import from_npz
from skedastic.data.images import open_images
from skedastic.data.labels import are_whole_numbers
from skedastic.data.source import Source, check_like, columns_like
from skedastic.data.tables import Table, read_csv, read_parquet
from skedastic.errors import UserError, unknown

ENDINGS = (".csv", ".tsv", ".parquet", ".npz")


def open_source(
    source: str | Path,
    *,
    target: str | None = None,
    groups: str | None = None,
    ignore: Sequence[str] = (),
    truth: str | None = None,
    task: TaskName = "auto",
    bins: int | None = None,
    like: Source | None = None,
) -> Source:
    """Open `digits`, a .csv, .tsv or .parquet table, a .parquet file with a column of images, or a .npz file.

    target: the column of labels (.npz: the array, by default y). groups: the column of groups, which stays a feature
    unless it is ignored; None takes the labels, or bins of real targets. ignore: columns that are no features. truth: the
    column of clean labels, where the target's are noisy; for evaluation only. task, bins: as in `read_answers`. like:
    the training source, when this is its test set: classes, groups and columns must be known there, and where the
    target is absent here, truth is taken for it.
    Raises UserError, in one line, for everything that can't be used.
    """
    if str(source) == "digits":
        if target or groups or ignore or truth:
            raise UserError("digits has no columns: leave --target, --groups, --ignore and --truth out")
        if task == "regression" or bins is not None:
            raise UserError("digits has classes: leave --task regression and --bins out, or name a table with numbers")
        return _checked(_digits(), like)
    path, ending = Path(source), Path(source).suffix.lower()
    if ending not in ENDINGS:
        if not path.exists():
            raise UserError(f"{source}: no such file; give digits, or a file that ends in {', '.join(ENDINGS)}")
        what = (
            "a directory" if path.is_dir() else f"a file that ends in {ending!r}" if ending else "a file without ending"
        )
        raise UserError(f"{source} is {what}; this reads digits, and files that end in {', '.join(ENDINGS)}")
    if ending == ".npz":
        if ignore:
            raise UserError(f"{path}: --ignore is for tables; the arrays of a .npz file have no columns with names")
        return _checked(from_npz(path, target or "y", groups, truth, like, task=task, bins=bins), like)
    roles = _Roles(target, groups, truth, frozenset(ignore), task, bins)
    if ending == ".parquet":
        return _checked(_from_table(read_parquet(path, roles.unread, roles.named), path, roles, like), like)
    return _checked(_from_table(read_csv(path), path, roles, like), like)


@dataclass(frozen=True)
class _Roles:
    """What the columns of a table are for."""

    target: str | None
    groups: str | None
    truth: str | None
    ignore: frozenset[str]
    task: TaskName
    bins: int | None

    @property
    def named(self) -> frozenset[str]:
        return frozenset(c for c in (self.target, self.groups, self.truth) if c is not None)

    @property
    def unread(self) -> frozenset[str]:
        return self.ignore - self.named

    @property
    def no_features(self) -> frozenset[str]:
        return self.ignore | {c for c in (self.target, self.truth) if c is not None}


def _digits() -> Source:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.from_numpy(digits.images.astype(np.float32) / 16).unsqueeze(1)
    y = torch.from_numpy(digits.target.astype(np.int64))
    classes = tuple(str(c) for c in range(10))
    return Source("digits", x, y, classes, y, classes, integer_labels=True)


def _from_table(table: Table, path: Path, roles: _Roles, like: Source | None) -> Source:
    target = _target(table, path, roles, like)
    known_truth = roles.truth is not None and (like is None or roles.truth in table.frame.columns)
    answers = read_answers(
        table.column(target, "target column"),
        None if roles.groups is None else table.column(roles.groups, "groups column"),
        table.column(roles.truth, "truth column") if roles.truth is not None and known_truth else None,
        task=roles.task,
        bins=roles.bins,
        names=table.label_names.get(target, ()),
        truth_names=table.label_names.get(roles.truth or "", ()),
        like=like,
    )
    features, remarks = _features(table, path, roles, like)
    remarks = (*table.remarks, *remarks, *answers.pop("remarks"))
    whole = bool(answers["classes"]) and are_whole_numbers(answers["classes"])
    return Source(path.name, features, **answers, remarks=remarks, integer_labels=whole)


def _target(table: Table, path: Path, roles: _Roles, like: Source | None) -> str:
    columns = [str(c) for c in table.frame.columns]
    if roles.target is None:
        listed = ", ".join(columns[:12]) + (", …" if len(columns) > 12 else "")
        raise UserError(f"{path}: which column holds the labels? name it with --target (columns: {listed})")
    if roles.target in roles.ignore:
        raise UserError(f"{path}: column {roles.target!r} can't be the target and be ignored at once")
    absent = [c for c in sorted(roles.unread) if c not in table.all_columns]
    if absent and like is None:
        raise UserError(f"{path}: {unknown('column to ignore', absent[0], table.all_columns)}")
    if like is not None and roles.target not in columns and roles.truth in columns:
        return roles.truth
    return roles.target


def _features(
    table: Table, path: Path, roles: _Roles, like: Source | None
) -> tuple[pd.DataFrame | Features, tuple[str, ...]]:
    if table.image_column is not None:
        return open_images(path, table.image_column), ()
    if like is not None:
        return columns_like(table, like), ()
    kept = [c for c in table.frame.columns if c not in roles.no_features]
    return clean(table.frame[kept], table.file, table.lines)


def _checked(source: Source, like: Source | None) -> Source:
    if like is not None:
        check_like(source, like)
    return source
