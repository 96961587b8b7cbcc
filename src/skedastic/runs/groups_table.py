"""The groups of a report as a table, for runs that have more than a page lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from skedastic.evaluation.intervals import Interval
from skedastic.report.content import GroupRow

INTERVALS = {"disagreement": "noise", "wrong": "wrong", "uncertain": "uncertain"}
ENDS = {"": "mean", "_low": "low", "_high": "high"}


def groups_table(groups: Sequence[GroupRow]) -> pa.Table:
    """Return a row for each group of a fit, as its report would show it; null where there is no figure.

    Columns: `group`; `train` and `test`, its rows; `disagreement`, `wrong` and `uncertain`, each with `_low` and
    `_high`, its 95 % interval, and `_withheld`, why there is none; `true_noise`; `strength`; `score` with its interval.

    Parameters
    ----------
    groups : sequence of GroupRow
        The groups.
    """
    columns: dict[str, Any] = {
        "group": pa.array([g.name for g in groups], pa.string()),
        "train": pa.array([g.train for g in groups], pa.int64()),
        "test": pa.array([g.test for g in groups], pa.int64()),
    }
    for name, field in INTERVALS.items():
        columns |= _interval(name, [getattr(g, field) for g in groups])
        why = "withheld" if field == "noise" else f"{field}_withheld"
        columns[f"{name}_withheld"] = pa.array([getattr(g, why) or None for g in groups], pa.string())
    for name in ("true_noise", "strength"):
        columns[name] = pa.array([getattr(g, name) for g in groups], pa.float64())
    return pa.table(columns | _interval("score", [next(iter(g.score.values()), None) for g in groups]))


def _interval(name: str, values: Sequence[Interval | None]) -> dict[str, pa.Array]:
    return {
        f"{name}{suffix}": pa.array([None if v is None else getattr(v, end) for v in values], pa.float64())
        for suffix, end in ENDS.items()
    }
