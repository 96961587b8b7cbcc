"""From the name of a source to its rows: which reader, which column for what."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from skedastic.data.dataset import Features
from skedastic.data.images import FileBytes, encoded_images
from skedastic.data.schema import Schema
from skedastic.data.sources import bundled, folders, hub
from skedastic.data.sources.files import read_files
from skedastic.data.sources.from_python import as_frame, from_arrays, from_npz, is_frame, npz_features, numbered
from skedastic.data.sources.headers import no_target
from skedastic.data.sources.idx import read_idx_pair
from skedastic.data.sources.names import ARRAYS, BUNDLED_TARGETS, DIGITS, HUB, SHARDS, is_idx, named_files
from skedastic.data.sources.source import Source, check_like, columns_like
from skedastic.data.split_columns import with_split_columns
from skedastic.data.tables.columns import column_place
from skedastic.data.tables.roles import Roles, find_columns
from skedastic.data.tables.table import Columns, FrameReader, Table
from skedastic.data.targets.annotators import Votes, annotator_columns, read_annotators
from skedastic.data.targets.groups import group_columns, read_group_spec
from skedastic.data.targets.labels import are_whole_numbers
from skedastic.data.targets.reading import read_targets
from skedastic.errors import UserError

FIRST_ROWS = 20  # that are looked at before anything is decoded


def open_source(source: str | Path | Any, *, schema: Schema | None = None, **roles: Any) -> Source:
    """Open a source by its name.

    source: a file or a pattern of files (.csv, .tsv, .jsonl, .json, .parquet, .arrow, .npz, WebDataset .tar, idx), a folder of images
    or texts by class, `hf:NAME[#SPLIT]` of the package datasets, or a set that scikit-learn brings (digits, wine, …); or a frame of pandas or Polars.
    roles: the fields of `Roles`: the columns with the labels, the groups and so on. like: the training source, when this is its
    test set: classes, groups and columns must be known there, and where the target is absent here, truth is taken for it.
    Raises UserError, in one line, for everything that can't be used.
    """
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in roles.items()}
    wanted = Roles(**given)
    if is_frame(source):
        opened = from_table(Table("frame", FrameReader(as_frame(source))), wanted, schema)
        if schema is not None:
            check_like(opened, schema)
        return opened
    name = str(source)
    if name == DIGITS:
        opened = _digits(wanted)
    elif is_idx(Path(name)):
        _refuse_columns(name, wanted)
        x, y = read_idx_pair(Path(name))
        opened = from_arrays(x, y, task=wanted.task, bins=wanted.bins, schema=schema, name=Path(name).name)
    elif (paths := named_files(name)) is not None and paths[0].suffix.lower() == ARRAYS:
        opened = _npz(paths, wanted, schema)
    else:
        table, target = _table(name, paths)
        opened = from_table(table, wanted, schema, target)
    if schema is not None:
        check_like(opened, schema)
    return opened


def open_table(source: str | Path) -> Table:
    """Open a source as a table, with every column it has; of a .npz file those of X [n, d]. Raises UserError."""
    paths = named_files(str(source))
    if paths is not None and paths[0].suffix.lower() == ARRAYS:
        return Table(paths[0].name, FrameReader(numbered(npz_features(paths[0]))))
    return _table(str(source), paths)[0]


def _table(name: str, paths: list[Path] | None) -> tuple[Table, str | None]:
    """Return a source's table, and its target where it is known."""
    if name in BUNDLED_TARGETS:
        return bundled.bundled_table(name)
    if name.startswith(HUB):
        return hub.read_hub(name), None
    if paths is None:
        return folders.read_folder(Path(name)), folders.LABEL
    if paths[0].suffix.lower() in SHARDS:
        return hub.read_shards(paths), None
    return read_files(paths), None


def _refuse_columns(name: str, roles: Roles) -> None:
    """Raise UserError where columns are named of a source that has none."""
    if any(getattr(roles, f.name) for f in fields(Roles) if f.init and f.name not in ("task", "bins")):
        raise UserError(f"{name} has no columns: leave --target, --groups, --ignore, --truth and the like out")


def _digits(roles: Roles) -> Source:
    _refuse_columns(DIGITS, roles)
    if roles.task == "regression" or roles.bins is not None:
        raise UserError("digits has classes: leave --task regression and --bins out, or name a table with numbers")
    return bundled.digits()


def _npz(paths: list[Path], roles: Roles, schema: Schema | None) -> Source:
    if len(paths) > 1:
        raise UserError(f"{paths[0]}, …: name one .npz file, not {len(paths)}")
    if roles.ignore or roles.given or roles.image:
        raise UserError(
            f"{paths[0]}: --ignore, --numeric and the like are for tables; the arrays of a .npz file have no names"
        )
    read = partial(from_npz, paths[0], roles.target or "y", roles.groups, roles.truth, schema)
    return read(task=roles.task, bins=roles.bins)


def from_table(table: Table, roles: Roles, schema: Schema | None = None, usual: str | None = None) -> Source:
    """Return the source that a table holds. usual: its target, where none is named. Raises UserError."""
    votes = None
    if roles.annotators and (schema is None or _voted(table, roles)):
        target, answers, votes = _of_annotators(table, roles, schema)
    else:
        target, answers = _answers(table, roles, schema, usual)
    if roles.groups is not None:
        answers |= _groups(table, roles, answers, schema)
    features, notes = _features(table, roles, target, schema, answers["y"])
    notes = (*table.notes, *notes, *answers.pop("notes"))
    whole = bool(answers["classes"]) and are_whole_numbers(answers["classes"])
    opened = Source(table.file, features, **answers, notes=notes, integer_labels=whole, target=target, votes=votes)
    return opened if schema is not None else with_split_columns(opened, table, roles)


def _answers(table: Table, roles: Roles, schema: Schema | None, usual: str | None) -> tuple[str, dict[str, Any]]:
    """Return the target's name, and what `read_targets` says of it."""
    target = _target(table, roles, schema, usual)
    known_truth = roles.truth is not None and (schema is None or roles.truth in table.names)
    answers = read_targets(
        table.column(target, "target column"),
        None,
        table.column(roles.truth, "truth column") if roles.truth is not None and known_truth else None,
        task=roles.task,
        bins=roles.bins,
        names=table.label_names.get(target, ()),
        truth_names=table.label_names.get(roles.truth or "", ()),
        schema=schema,
        grouped=roles.groups is not None,
    )
    return target, answers


def _voted(table: Table, roles: Roles) -> bool:
    """Whether a test source has no target but its annotators."""
    return roles.target is None and all(n in table.names for n in annotator_columns(roles.annotators))


def _of_annotators(table: Table, roles: Roles, schema: Schema | None) -> tuple[str, dict[str, Any], Votes]:
    """Return the target's name, the answers and the votes: the majority's label, or the mean rating, where no target is named."""
    if roles.target is not None:
        target, answers = _answers(table, roles, schema, None)
        votes = read_annotators(table, roles.annotators, not answers["classes"], answers["classes"])
        if votes.classes != answers["classes"]:
            raise UserError(
                f"{table.file}: the annotators tell {len(votes.classes)} classes, and the target has {len(answers['classes'])}; "
                "leave --target out, so that the votes make it"
            )
        return target, answers, votes
    regression = {"auto": None, "regression": True, "classification": False}[roles.task]
    truth = table.label_names.get(roles.truth or "", ())
    if schema is not None:
        regression = not schema.classes
    votes = read_annotators(table, roles.annotators, regression, schema.classes if schema else truth)
    name = ", ".join(annotator_columns(roles.annotators))
    if votes.votes is None:
        assert votes.mean is not None
        made = pd.Series(votes.mean.numpy())
    else:
        made = pd.Series(votes.votes.argmax(1).numpy())  # numbers of the classes, which may be numbers themselves
    known_truth = roles.truth is not None and (schema is None or roles.truth in table.names)
    clean = table.column(roles.truth, "truth column") if roles.truth is not None and known_truth else None
    answers = read_targets(
        (made, column_place(table.file, name, table.lines, table.files)),
        None,
        clean,
        task="regression" if votes.votes is None else "classification",
        bins=roles.bins,
        names=votes.classes,
        truth_names=truth,
        schema=schema,
        grouped=roles.groups is not None,
    )
    if votes.votes is not None:
        votes, lost = votes.only(answers["classes"])
        answers["notes"] = (*answers["notes"], *lost)
    return name, answers, votes


def _groups(table: Table, roles: Roles, answers: dict[str, Any], schema: Schema | None) -> dict[str, Any]:
    assert roles.groups is not None
    if roles.bins is not None:
        raise UserError(f"bins={roles.bins}: the groups are {roles.groups}; leave one of the two out")
    found = read_group_spec(roles.groups, table, answers["y"], answers["classes"], schema)
    return {"group": found.group, "groups": found.names, "quantiles": found.quantiles, "bins": None}


def _target(table: Table, roles: Roles, schema: Schema | None, usual: str | None) -> str:
    if roles.target is None and usual is not None:
        return usual
    if roles.target is None and schema is not None and schema.target in table.names:
        return schema.target
    if roles.target is None:
        raise no_target(table.file, table.names)
    if roles.target in roles.ignore:
        raise UserError(f"{table.file}: column {roles.target!r} can't be the target and be ignored at once")
    if schema is not None and roles.target not in table.names and roles.truth in table.names:
        return roles.truth
    return roles.target


def _features(
    table: Table, roles: Roles, target: str, schema: Schema | None, y: Tensor
) -> tuple[Columns | Features, tuple[str, ...]]:
    if schema is None:
        roles.check(table)
    column = find_image_column(table, roles)
    if column is not None:
        encoded = table.images[column]() if column in table.images else image_files(table, column)
        images, notes = encoded_images(encoded, _like_size(schema, roles))
        groups = group_columns(roles.groups, table.names)
        beside = [n for n in table.names if n not in (target, column, *roles.answers, *groups, *roles.ignore)]
        if beside:
            notes = (*notes, f"left out beside the images: {', '.join(beside[:6])}{', …' * (len(beside) > 6)}")
        return images, notes
    if schema is not None:
        return columns_like(table, schema), ()
    answers = roles.answers | {target}
    return find_columns(table, roles, answers, y.numpy())


def _like_size(schema: Schema | None, roles: Roles) -> int | None:
    """Return the size that images get: of a test source that of the training source, where these were resized."""
    return schema.images[-1] if schema is not None and schema.resized else roles.image_size


def find_image_column(table: Table, roles: Roles) -> str | None:
    """Return the column of images of a table, None where it holds none. Raises UserError where there are several."""
    if roles.image is not None:
        return roles.image
    images = [n for n in table.images if n not in roles.ignore]
    if len(images) > 1:
        raise UserError(f"{table.file}: more than one column of images ({', '.join(images)}); name one with --image")
    return images[0] if images else None


def image_files(table: Table, column: str) -> FileBytes:
    """Return the images at the paths that a column of text holds, relative to here, or to the table."""
    cells, place = table.column(column, "image column")
    beside = table.folder or Path()
    names = [str(c) for c in cells]
    paths = [name if Path(name).is_file() else str(beside / name) for name in names]
    for row in range(min(len(paths), FIRST_ROWS)):
        if Path(names[row]).suffix.lower() not in folders.IMAGES or not Path(paths[row]).is_file():
            raise UserError(
                f"{place.at(row)}: {names[row][:80]!r} is no image file; give paths as they are seen from here, or from the table"
            )
    return FileBytes(tuple(paths))
