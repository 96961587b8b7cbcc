"""From a table to its source: which column is for what."""

from __future__ import annotations

import os
from dataclasses import replace

from torch import Tensor

from skedastic.data.dataset import Features
from skedastic.data.images import FileBytes, encoded_images
from skedastic.data.schema import Schema
from skedastic.data.settings import TaskName
from skedastic.data.sources.confined import Folders, Place, rule_of
from skedastic.data.sources.folders import IMAGES
from skedastic.data.sources.headers import no_target
from skedastic.data.sources.names import shown_path
from skedastic.data.sources.source import Source, columns_like
from skedastic.data.split_columns import with_split_columns
from skedastic.data.tables.features import find_columns
from skedastic.data.tables.location import column_place
from skedastic.data.tables.roles import Roles
from skedastic.data.tables.table import Columns, Table
from skedastic.data.targets.annotations import Annotations
from skedastic.data.targets.annotators import annotated_name, annotator_columns, read_annotators
from skedastic.data.targets.groups import group_columns, read_group_spec
from skedastic.data.targets.reading import Column, TargetColumns, Targets, read_targets
from skedastic.errors import UserError


def from_table(table: Table, roles: Roles, schema: Schema | None = None, usual: str | None = None) -> Source:
    """Return the source that a table holds.

    Parameters
    ----------
    table : Table
        The rows.
    roles : Roles
        The columns that the user names.
    schema : Schema or None, optional
        Of the training source, when this is its test set.
    usual : str or None, optional
        The target, where the user names none.

    Raises
    ------
    UserError
        Something can't be used.
    """
    table = replace(table, decimal=roles.decimal)
    annotations = None
    if roles.annotators and (schema is None or _is_annotated(table, roles)):
        targets, annotations = _read_annotated(table, roles, schema)
    else:
        targets = _read_targets(table, roles, schema, usual)
    if roles.groups is not None:
        targets = _with_groups(table, roles, targets, schema)
    features, notes = _features(table, roles, targets.target.column, schema, targets.y)
    source = Source.of(table.file, features, targets, notes=(*table.notes, *notes), annotations=annotations)
    return source if schema is not None else with_split_columns(source, table, roles)


def _read_targets(table: Table, roles: Roles, schema: Schema | None, usual: str | None = None) -> Targets:
    name = _target(table, roles, schema, usual)
    columns = TargetColumns(
        y=table.column(name, "target column", "label"),
        name=name,
        truth=_truth(table, roles, schema),
        class_names=table.label_names.get(name, ()),
        truth_names=table.label_names.get(roles.truth or "", ()),
        hint=table.hint(name),
        grouped=roles.groups is not None,
    )
    return read_targets(columns, roles.task, roles.bins, schema)


def _truth(table: Table, roles: Roles, schema: Schema | None) -> Column | None:
    """Return the column with clean targets; a test source may have none."""
    if roles.truth is None or (schema is not None and roles.truth not in table.names):
        return None
    return table.column(roles.truth, "truth column", "label")


def _is_annotated(table: Table, roles: Roles) -> bool:
    """Whether a test source has no target but its annotators."""
    columns = annotator_columns(roles.annotators)
    return roles.target is None and bool(columns) and all(n in table.names for n in columns)


def _read_annotated(table: Table, roles: Roles, schema: Schema | None) -> tuple[Targets, Annotations]:
    """Return the targets and what annotators say of them; they make the target where none is named."""
    if roles.target is None:
        return _targets_of_annotators(table, roles, schema)
    targets = _read_targets(table, roles, schema)
    target = targets.target
    annotations = read_annotators(table, roles.annotators, target.task, target.classes)
    if annotations.classes != target.classes:
        votes, own = len(annotations.classes), len(target.classes)
        rule = f"the annotators name {votes} classes, the target has {own}; leave --target out, so that votes make it"
        raise UserError(rule, setting="annotators", value=",".join(roles.annotators), given=table.file)
    return replace(targets, notes=(*targets.notes, *annotations.notes)), annotations


def _targets_of_annotators(table: Table, roles: Roles, schema: Schema | None) -> tuple[Targets, Annotations]:
    """Return the majority's label, or the mean rating, and the annotations that it comes from."""
    truth_names = table.label_names.get(roles.truth or "", ())
    task: TaskName = roles.task if schema is None else schema.target.task
    annotations = read_annotators(table, roles.annotators, task, schema.target.classes if schema else truth_names)
    name = annotated_name(roles.annotators)
    columns = TargetColumns(
        y=(annotations.targets(), column_place(table.file, name, table.lines, table.files)),
        name=name,
        truth=_truth(table, roles, schema),
        class_names=annotations.classes,
        truth_names=truth_names,
        grouped=roles.groups is not None,
    )
    targets = read_targets(columns, annotations.task, roles.bins, schema)
    annotations, notes = annotations.for_classes(targets.target.classes)
    return replace(targets, notes=(*targets.notes, *annotations.notes, *notes)), annotations


def _with_groups(table: Table, roles: Roles, targets: Targets, schema: Schema | None) -> Targets:
    """Return the targets in the groups that the user names."""
    assert roles.groups is not None
    if roles.bins is not None:
        raise UserError(f"the groups are {roles.groups}; leave one of the two out", setting="bins", value=roles.bins)
    group, grouping = read_group_spec(roles.groups, table, targets.y, targets.target.classes, schema)
    return replace(targets, group=group, grouping=grouping)


def _target(table: Table, roles: Roles, schema: Schema | None, usual: str | None) -> str:
    if roles.target is None and usual is not None:
        return usual
    if roles.target is None and schema is not None and schema.target.column in table.names:
        return schema.target.column
    if roles.target is None:
        raise no_target(table.file, table.names)
    if roles.target in roles.ignore:
        rule = f"column {roles.target!r} can't be the target and be ignored at once; name it once"
        raise UserError(rule, setting="target", value=roles.target, given=table.file)
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
        training = schema.decoding if schema is not None and schema.images else None
        images, notes = encoded_images(encoded, _image_size(schema, roles), training)
        groups = group_columns(roles.groups, table.names)
        beside = [
            n
            for n in table.names
            if n not in (target, column, *roles.no_features, *table.apart, *groups, *roles.ignore)
        ]
        if beside:
            notes = (*notes, f"left out beside the images: {', '.join(beside[:6])}{', …' * (len(beside) > 6)}")
        return images, notes
    if schema is not None:
        return columns_like(table, schema), ()
    return find_columns(table, roles, roles.no_features | {target}, y.numpy())


def _image_size(schema: Schema | None, roles: Roles) -> int | None:
    """Return the size that images get: of a test source that of the training source, where these were resized."""
    return schema.images[-1] if schema is not None and schema.resized else roles.image_size


def find_image_column(table: Table, roles: Roles) -> str | None:
    """Return the column of images of a table, None where it holds none. Raises UserError where there are several."""
    if roles.image is not None:
        return roles.image
    images = [n for n in table.images if n not in roles.ignore]
    if len(images) > 1:
        rule = f"more than one column of images ({', '.join(images)}); name one with --image"
        raise UserError(rule, setting="image", given=table.file)
    return images[0] if images else None


def image_files(table: Table, column: str) -> FileBytes:
    """Return the images at the paths that a column of text holds, relative to here, or to the table.

    Raises UserError for the first cell that names no image file, or one out of the table's folder.
    """
    cells, place = table.column(column, "image column")
    folders, paths = Folders(None if table.folder is None else [table.folder]), list[str]()
    for row, cell in enumerate(cells):
        if isinstance(cell, bytes):
            rule = (
                "it holds encoded images as plain bytes; write them with the package datasets, as Image(), or as files"
            )
            raise UserError(rule, setting=place.column)
        name = str(cell)
        path, leads = _image_file(name, str(table.folder or ""), folders)
        if leads is not Place.INSIDE:
            rule = "is no image file; give paths as they are seen from here, or from the table"
            rule = rule if leads is Place.NOWHERE else rule_of(leads)
            raise place.error(row, f"{shown_path(name)[:80]!r} {rule}", name)
        paths.append(path)
    return FileBytes(tuple(paths))


def _image_file(name: str, beside: str, folders: Folders) -> tuple[str, Place]:
    """Return the image at a path, as it is written or with the slashes turned, and where that leads."""
    found = ("", Place.NOWHERE)
    if not name.lower().endswith(IMAGES):
        return found
    for text in dict.fromkeys((name, name.replace("\\", "/"))):
        for path in (text, os.path.join(beside, text)):
            leads = folders.place(path)
            if leads is Place.INSIDE:
                return path, leads
            found = found if leads is Place.NOWHERE else (path, leads)
    return found
