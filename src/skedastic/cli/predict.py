"""`skedastic predict`: the predictions of a run's model, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skedastic.cli import console, early
from skedastic.cli.options import CALIBRATED, LABELS, RUN, options
from skedastic.cli.trust import CODE, FILES, may_run, of_run
from skedastic.data.sources.names import meaning_note
from skedastic.runs.folder import MODEL, STATE, check_new_table, check_run

if TYPE_CHECKING:
    from skedastic.runs.true_classes import Labels

FILE_OPTIONS = [
    click.option("--out", metavar="FILE", required=True, help="File to write: .csv, .parquet or .jsonl."),
    click.option("--force", is_flag=True, help="Replace the file."),
]


@click.command()
@options([RUN, click.argument("source")], FILE_OPTIONS, CODE, FILES)
@CALIBRATED
@LABELS
@click.option(
    "--keep", metavar="COL", multiple=True, help="Columns of SOURCE to hand on; several by comma, or repeated."
)
def predict(
    run: str,
    source: str,
    out: str,
    force: bool,
    model: str | None,
    trust: str | None,
    calibrated: bool,
    labels: Labels,
    keep: tuple[str, ...],
) -> None:
    """Predict the rows of SOURCE with the model of the folder RUN: label, group and probabilities into a file."""
    check_run(run, STATE, MODEL)
    keep = early.several("keep", keep, source)
    early.check_columns(source, [("column to keep", keep)])
    check_new_table(Path(out), force)
    trusted = may_run(run, model, trust)
    from skedastic.runs.load import load
    from skedastic.runs.predict import predict_source

    result = load(run, trust=trusted)
    notes = list[str]()
    with of_run(run), console.progress() as progress:
        rows = predict_source(
            result,
            source,
            out,
            calibrated=calibrated,
            labels=labels,
            keep=keep,
            force=force,
            progress=progress,
            say=notes.append,
        )
    console.notes((*meaning_note(source), *notes))
    console.say(f"{rows:,} rows predicted: {out}")
