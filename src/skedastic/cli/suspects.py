"""`skedastic suspects`: the labels of a run to check, the most doubtful first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skedastic.cli import console
from skedastic.cli.options import RUN, options
from skedastic.cli.trust import FILES, of_run
from skedastic.evaluation.metric import ABSENT
from skedastic.runs.folder import STATE, check_new_table, check_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from skedastic.runs.label_issues import OfClass


@click.command()
@options([RUN])
@click.option(
    "--top", metavar="N", type=click.IntRange(min=1), help="How many (default: those that are called an issue)."
)
@click.option(
    "--out", metavar="FILE", help="File to write, with the cells of each row and a column to correct labels in."
)
@click.option("--force", is_flag=True, help="Replace the file.")
@options(FILES)
def suspects(run: str, top: int | None, out: str | None, force: bool) -> None:
    """List the labels of the folder RUN to check, the most suspect first; correct them with `fit --labels FILE`."""
    check_run(run, STATE)
    if out is not None:
        check_new_table(Path(out), force)
    from skedastic.report.words import to_check
    from skedastic.runs.label_issues import issues_of_classes, issues_with_rows
    from skedastic.runs.load import load_summary
    from skedastic.runs.sentences import uncalled_sentence
    from skedastic.runs.tables import write_frame

    summary = load_summary(run)
    with of_run(run):
        frame = issues_with_rows(summary, top)
        if out is not None:
            write_frame(frame, out, force)
        show_issues(frame.head(top or console.MOST_GROUPS))
        show_classes(issues_of_classes(summary))
        console.say(f"{to_check(summary.issue_count, summary.wrong_count, summary.target.noun)}.")
        if uncalled := uncalled_sentence(summary.findings, summary.wrong_count, summary.unranked_classes):
            console.say(f"{uncalled} --top N shows the first N of the ranking.")
    if out is not None:
        console.say(
            f"{len(frame):,} rows: {out}; write right labels into its column corrected, then fit --labels {out}"
        )


def show_classes(classes: Sequence[OfClass]) -> None:
    """Print how many labels of each class are to check, where there are several."""
    if len(classes) < 2:
        return
    table = console.table("given", "rows", "to check", "wrong by estimate, at least")
    for of in classes[: console.MOST_GROUPS]:
        table.add_row(console.name(of.name), f"{of.rows:,}", f"{of.check:,}", f"{of.wrong:,}" if of.wrong else ABSENT)
    console.show(table)


def show_issues(frame: pd.DataFrame) -> None:
    """Print label issues, a row each."""
    shown = [c for c in ("rank", "row", "given", "suggested", "score") if c in frame.columns]
    table = console.table(*shown)
    for values in frame[shown].itertuples(index=False):
        table.add_row(*(f"{v:.3g}" if isinstance(v, float) else console.name(str(v)) for v in values))
    console.show(table)
