"""The label issues of a run as a table for a person to correct."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from skedastic.data import open_table
from skedastic.errors import UserError
from skedastic.runs.own_index import with_index_columns
from skedastic.runs.summary import RunSummary
from skedastic.runs.tables import names_beside
from skedastic.settings.config import Config

MOST_NAMED = 8  # classes in a sentence


class OfClass(NamedTuple):
    """The labels of a class: all, those to check, and how many of these are wrong at the least; 0: not known."""

    name: str
    rows: int
    check: int
    wrong: int


def issues_of_classes(summary: RunSummary) -> list[OfClass]:
    """Return the classes of which labels are to check, the most first; none where no model judges labels.

    Parameters
    ----------
    summary : RunSummary
    """
    issues = summary.label_issues
    if issues is None or summary.wrong_count is None:
        return []
    check, wrong = (issues.loc[issues[which], "given"].value_counts() for which in ("is_issue", "by_estimate"))
    rows = zip(summary.classes, summary.class_count, strict=True)
    found = [OfClass(name, n, int(check[name]), int(wrong.get(name, 0))) for name, n in rows if name in check.index]
    return sorted(found, key=lambda of: -of.check)


def by_class_sentence(classes: Sequence[OfClass]) -> str:
    """Return how many labels of each class are to check, and how many are wrong at the least; nothing of one class.

    Parameters
    ----------
    classes : sequence of OfClass
        The most labels to check first.
    """
    if len(classes) < 2:
        return ""
    parts = [
        f"{of.name} {of.check:,} of {of.rows:,}" + (f" (at least {of.wrong:,} wrong)" if of.wrong else "")
        for of in classes[:MOST_NAMED]
    ]
    more = len(classes) - MOST_NAMED
    return f"By the given label: {'; '.join(parts)}{f'; and {more} more classes' if more > 0 else ''}."


def issues_with_rows(summary: RunSummary, top: int | None = None) -> pd.DataFrame:
    """Return the label issues of a run with the cells of their rows and an empty column `corrected`.

    A label that a person writes into that column goes into `fit --labels FILE`. A column of the source that has a name
    of ours is `source_NAME`; the index of the user's frame is a column too.

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
        raise _nothing_learned(summary.config)
    if issues is None and summary.config.estimate.kind is not None:
        rule = "this run has no label issues: training was cut short before the noise was estimated; fit again"
        raise UserError(rule, setting="--finish", given="suspects")
    if issues is None:
        rule = "this run has no label issues, since nothing was held out; fit again with estimate.kind=cross-fit"
        raise UserError(rule, setting="estimate.kind", value=summary.config.estimate.kind or "none")
    chosen = issues[issues["is_issue"]] if top is None else issues.head(top)
    own = chosen.index
    chosen = chosen.rename(columns={"index": "row"}).reset_index(drop=True)
    if not isinstance(issues.index, pd.RangeIndex):
        chosen = with_index_columns(chosen, own)
    chosen.insert(list(chosen.columns).index("given") + 1, "corrected", "")
    source = summary.config.source
    if not source or not (summary.schema.kinds or Path(source).is_dir()):
        return chosen
    table = open_table(source)
    rows = chosen["row"].to_numpy()
    features = [name for name, kind in summary.schema.kinds.items() if kind != "vector"]
    names = [name for name in (*table.apart, *features) if name in table.names]
    beside = names_beside(names, chosen.columns)
    cells = {new: table.read(name).take(rows).to_numpy() for name, new in beside.items()}
    return pd.concat([chosen, pd.DataFrame(cells, index=chosen.index)], axis=1)


def _nothing_learned(config: Config) -> UserError:
    """Return the error about a run that has no label issues, since the predictions of its estimate tell nothing."""
    none, how = "this run has no label issues, since", config.estimate
    if config.pred_probs is not None:
        rule = f"{none} these tell nothing; give a row for each row of the source, in its order, or leave them out"
        return UserError(rule, setting="pred_probs", value=config.pred_probs)
    rule = f"{none} its estimating models learned nothing; "
    if not how.of_networks:
        return UserError(f"{rule}take another, or other features", setting="estimate.by", value=how.by)
    rule += "train longer, or take another model"
    return UserError(rule, setting="estimate.epochs", value=how.epochs_of(config.training))
