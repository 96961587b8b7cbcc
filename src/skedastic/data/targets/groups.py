"""The groups that `--groups` asks for: a column, several, quantiles of one, or the super-classes of a file.

    ward                  the cells of the column `ward`
    ward,sex              each pair of cells that occurs
    quantiles:age:4       four bins of the numbers of the column `age`, with equal shares of the rows (by default 10)
    cluster:4             clusters of the features of each class, four of each (`skedastic.noise.clusters`)
    superclass:FILE       the super-class of each label: FILE is a table whose first two columns are label and
                          super-class, or JSON

A column of the very name comes first, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.schema import Schema
from skedastic.data.sources.files import read_files
from skedastic.data.tables.location import CellLocation
from skedastic.data.tables.numbers import as_numbers
from skedastic.data.tables.table import Table
from skedastic.data.tables.values import as_names, canonical, coded, matched
from skedastic.data.targets.grouping import Grouping
from skedastic.data.targets.labels import read_groups
from skedastic.data.targets.regression import DEFAULT_BINS, Bins, read_numbers
from skedastic.errors import UserError, unknown
from skedastic.runtime.plain_files import json_value

QUANTILES, SUPERCLASS = "quantiles:", "superclass:"


def group_columns(spec: str | None, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a specification reads; none where the groups are made of the labels."""
    if spec is None or (spec.startswith(SUPERCLASS) and spec not in names):
        return ()
    if spec in names:
        return (spec,)
    if spec.startswith(QUANTILES):
        return (_quantiles(spec)[0],)
    return tuple(part.strip() for part in spec.split(",")) if "," in spec else (spec,)


def _quantiles(spec: str) -> tuple[str, int]:
    """Return the column and the number of bins of "quantiles:COL:N". Raises UserError for none."""
    column, colon, bins = spec.removeprefix(QUANTILES).rpartition(":")
    if not colon or not bins.isdigit():
        return spec.removeprefix(QUANTILES), DEFAULT_BINS
    if int(bins) < 1:
        raise UserError(f"must be at least 1 bin, such as {QUANTILES}{column}:4", setting="groups", value=spec)
    return column, int(bins)


def read_group_spec(
    spec: str, table: Table, y: Tensor, classes: Sequence[str], schema: Schema | None = None
) -> tuple[Tensor, Grouping]:
    """Return the groups [n] int64 of a table's rows.

    Parameters
    ----------
    spec : str
        As `--groups` takes it.
    table : Table
        The rows.
    y : Tensor
        Their targets [n].
    classes : sequence of str
        The names of the classes; none of numbers.
    schema : Schema or None, optional
        Of the training source, when this is its test set.

    Raises
    ------
    UserError
        A column is not there, a group is missing or unknown, or a label has no super-class.
    """
    if spec.startswith(SUPERCLASS) and spec not in table.names:
        return _superclasses(spec.removeprefix(SUPERCLASS), y, classes, schema)
    columns = [table.column(name, "groups column") for name in group_columns(spec, table.names)]
    if spec.startswith(QUANTILES) and spec not in table.names:
        numbers = read_numbers(*columns[0], "group")
        known = schema.grouping.column_bins if schema else None
        bins = known or Bins.fit(numbers, _quantiles(spec)[1])
        return bins.of(numbers), Grouping.of_column(bins)
    column = columns[0] if len(columns) == 1 else _crossed(columns)
    group, names = read_groups(*column, schema.grouping.names if schema else ())
    return group, Grouping(names)


def group_names(spec: str, table: Table, schema: Schema, predicted: Sequence[str]) -> list[str]:
    """Return the group of each row to predict from, as it is written; a new one is no group of the training set.

    Parameters
    ----------
    spec : str
        As `--groups` takes it.
    table : Table
        The n rows.
    schema : Schema
        The schema of the training source.
    predicted : sequence of str
        The predicted label of each row, [n], which tells the super-class.
    """
    if spec.startswith(SUPERCLASS) and spec not in table.names:
        return _above(predicted, _mapping(spec.removeprefix(SUPERCLASS)))
    columns = [table.column(name, "groups column") for name in group_columns(spec, table.names)]
    if (bins := schema.grouping.column_bins) is not None:
        numbers, _ = as_numbers(columns[0][0])
        ids = bins.of(torch.from_numpy(np.nan_to_num(numbers)))
        return ["" if m else bins.names[i] for i, m in zip(ids.tolist(), np.isnan(numbers), strict=True)]
    return [", ".join(cells) for cells in zip(*(as_names(c) for c, _ in columns), strict=True)]


def _crossed(columns: Sequence[tuple[pd.Series, CellLocation]]) -> tuple[pd.Series, CellLocation]:
    """Return the pairs, triples, … of cells as one column."""
    for column, place in columns:
        cells = as_names(column)
        if (cells == "").any():
            row = int((cells == "").argmax())
            raise place.error(row, "the group is missing; fill the cell in, or remove the row")
    code: NDArray[Any]
    code, written = coded(columns[0][0])
    for column, _ in columns[1:]:
        more, names = coded(column)
        pairs, code = np.unique(code * len(names) + more, return_inverse=True)
        written = tuple(f"{written[p // len(names)]}, {names[p % len(names)]}" for p in pairs.tolist())
    place = columns[0][1]
    together = replace(place, column=f"{place.column} and {len(columns) - 1} more")
    return pd.Series(pd.Categorical.from_codes(code, pd.Index(written))), together


def _superclasses(file: str, y: Tensor, classes: Sequence[str], schema: Schema | None) -> tuple[Tensor, Grouping]:
    if not classes:
        rule = "the targets are numbers, and only classes have super-classes"
        raise UserError(rule, setting="groups", value=f"{SUPERCLASS}{file}")
    of = _mapping(file)
    above = _above(classes, of)
    if "" in above:
        without = classes[above.index("")]
        raise unknown("label in it", without, list(of)).at(file).adding("; name the super-class of every label")
    names = schema.grouping.names if schema else tuple(sorted(set(above)))
    return torch.tensor([names.index(a) for a in above])[y], Grouping(names)


def _above(labels: Sequence[str], of: Mapping[str, str]) -> list[str]:
    """Return the super-class of each label; "" where it has none."""
    names = [*of.values(), ""]
    return [names[i] for i in matched(labels, list(of))]


def _mapping(file: str) -> dict[str, str]:
    path = Path(file)
    if path.suffix.lower() == ".json" and path.is_file():
        try:
            read = json_value(path.read_text("utf-8"), file)
        except UserError:
            raise
        except (ValueError, OSError) as error:
            raise UserError(f"it can't be read as JSON: {error}", setting=file) from None
        if isinstance(read, dict):
            return {canonical(str(label)): str(above) for label, above in read.items()}
    table = read_files([path])
    if len(table.names) < 2:
        raise UserError("it needs two columns, label and super-class", setting=file)
    labels, above = (as_names(table.read(name)) for name in table.names[:2])
    return dict(zip(labels.tolist(), above.tolist(), strict=True))
