"""What is to be predicted of each example: its class, or a number; and the groups that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from skedastic.data.schema import Schema
from skedastic.data.settings import TaskName
from skedastic.data.tables.columns import CellLocation
from skedastic.data.targets.labels import read_groups, read_labels, read_truth
from skedastic.data.targets.regression import Bins, holds_measurements, read_numbers
from skedastic.errors import UserError

Column = tuple[pd.Series, CellLocation]


def read_targets(
    target: Column,
    groups: Column | None = None,
    truth: Column | None = None,
    *,
    task: TaskName = "auto",
    bins: int | None = None,
    names: Sequence[str] = (),
    truth_names: Sequence[str] = (),
    schema: Schema | None = None,
    grouped: bool = False,
) -> dict[str, Any]:
    """Return y, classes, group, groups, bins, truth and remarks of a source, as its fields, from its columns.

    task: "auto" is regression where the target holds measurements (`holds_measurements`), else classification. bins: of real
    targets, where no column holds the groups. names, truth_names: what integers in the two columns stand for (a Hugging
    Face ClassLabel). like: the training source, when this is its test set. grouped: the
    caller gives the groups. Raises UserError.
    """
    regression = task == "regression" or (task == "auto" and not names and holds_measurements(target[0]))
    if schema is not None:
        regression = not schema.classes
    given = None if groups is None else read_groups(*groups, schema.groups if schema else ())
    if not regression:
        if bins is not None:
            raise UserError(
                f"bins={bins}: bins are made of real targets, and {target[1].column} holds classes; leave bins out, or "
                "train with --task regression"
            )
        y, classes = read_labels(*target, names=names, classes=schema.classes if schema else ())
        group, group_names = given or (y, classes)
        clean = None if truth is None else read_truth(*truth, classes, truth_names, names)
        return {"y": y, "classes": classes, "group": group, "groups": group_names, "truth": clean, "notes": ()}
    y = read_numbers(*target)
    own = None
    if grouped:
        given = torch.zeros_like(y, dtype=torch.int64), ("all",)
    elif given is None:
        own = _bins_of(y, bins, schema)
        given = own.of(y), own.names
    elif bins is not None:
        raise UserError(f"bins={bins}: the groups are {groups[1].column}; leave one of the two out")  # type: ignore[index]
    clean = None if truth is None else read_numbers(*truth, "true target")
    notes = (f"{target[1].column} holds numbers: trained as regression, not as classification (--task)",)
    return {
        "y": y,
        "classes": (),
        "group": given[0],
        "groups": given[1],
        "bins": own,
        "truth": clean,
        "notes": notes if task == "auto" and schema is None else (),
    }


def _bins_of(y: Tensor, bins: int | None, schema: Schema | None) -> Bins:
    """Return bins of the training targets y [n]; for a test source, those of the training source."""
    if schema is None:
        return Bins.fit(y, bins)
    if schema.bins is None:
        raise UserError("the training data has groups of its own, the test data has none; give (X, y, groups)")
    return schema.bins
