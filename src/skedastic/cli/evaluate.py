"""`skedastic evaluate`: the figures of a run's model on another source."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from skedastic.cli import console, early
from skedastic.cli.groups import show_groups
from skedastic.cli.options import CALIBRATED, LABELS, RUN, options
from skedastic.cli.plain import as_json_values
from skedastic.cli.trust import CODE, FILES, may_run, of_run
from skedastic.data.sources.names import meaning_note
from skedastic.runs.folder import MODEL, STATE, check_run

if TYPE_CHECKING:
    from skedastic.evaluation.metrics import AnyMetrics
    from skedastic.runs.summary import RunSummary
    from skedastic.runs.true_classes import Labels


@click.command()
@options([RUN, click.argument("source")], CODE, FILES)
@CALIBRATED
@LABELS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(
    run: str, source: str, model: str | None, trust: str | None, calibrated: bool, labels: Labels, as_json: bool
) -> None:
    """Test the model of the folder RUN on SOURCE, which has labels: every figure that the run's own test set gives."""
    check_run(run, STATE, MODEL)
    early.check_source(source)
    trusted = may_run(run, model, trust)
    from skedastic.runs.evaluate import evaluate_source
    from skedastic.runs.load import load

    result = load(run, trust=trusted)
    with of_run(run):
        metrics = evaluate_source(result, source, calibrated, labels, say=lambda note: console.notes((note,)))
        console.notes(meaning_note(source))
        show_evaluation(result, metrics, as_json)


def show_evaluation(summary: RunSummary, metrics: AnyMetrics, as_json: bool) -> None:
    """Print the figures of a labelled source."""
    if as_json:
        console.say_json(as_json_values(metrics.to_dict()))
        return
    show_groups(dataclasses.replace(summary, metrics=metrics))
