"""The label issues of a run as a table for a person to correct."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from skedastic.data import open_table
from skedastic.errors import UserError
from skedastic.runs.summary import RunSummary


def issues_with_rows(summary: RunSummary, top: int | None = None) -> pd.DataFrame:
    """Return the label issues of a run with the cells of their rows and an empty column `corrected`.

    A label that a person writes into that column goes into `fit --labels FILE`.

    Parameters
    ----------
    summary : RunSummary
    top : int, optional
        Rows to return, at least 0; by default all labels that are called an issue.

    Returns
    -------
    DataFrame
        A row each, the label that is most probably wrong first.

    Raises
    ------
    UserError
        Nothing was estimated, or the source is no longer there.
    """
    issues = summary.label_issues
    if summary.findings is not None and not summary.findings.learned:
        rule = "this run has no label issues, since its estimating models learned nothing"
        epochs = summary.config.estimate.epochs_of(summary.config.train)
        raise UserError(f"{rule}; train longer, or take another model", setting="estimate.epochs", value=epochs)
    if issues is None:
        rule = "this run has no label issues, since nothing was held out; fit again with estimate.kind=cross-fit"
        raise UserError(rule, setting="estimate.kind", value=summary.config.estimate.kind or "none")
    chosen = issues[issues["is_issue"]] if top is None else issues.head(top)
    chosen = chosen.rename(columns={"index": "row"}).reset_index(drop=True)
    chosen.insert(list(chosen.columns).index("given") + 1, "corrected", "")
    source = summary.config.source
    if not source or not (summary.schema.kinds or Path(source).is_dir()):
        return chosen
    table = open_table(source)
    rows = chosen["row"].to_numpy()
    for name in (*table.apart, *summary.schema.kinds):
        if name in table.names and name not in chosen.columns:
            chosen[name] = table.read(name).take(rows).to_numpy()
    return chosen
