"""`skedastic show`: the summary of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skedastic.cli import console
from skedastic.cli.fit import show_fit
from skedastic.cli.options import RUN, options
from skedastic.cli.trust import FILES, of_run
from skedastic.runs.folder import STATE, check_run

if TYPE_CHECKING:
    from skedastic.runs.summary import RunSummary


@click.command()
@options([RUN], FILES)
def show(run: str) -> None:
    """Print the summary of the folder RUN."""
    check_run(run, STATE)
    from skedastic.runs.load import load_summary

    summary = load_summary(run)
    with of_run(run):
        show_run(summary, Path(run))


def show_run(summary: RunSummary, folder: Path) -> None:
    """Print the summary of a run folder."""
    config = summary.config
    name, source = summary.name, config.source or "your data"
    console.say(f"{name} with model {config.model.name}, {config.train.epochs} epochs, seed {config.seed}, on {source}")
    console.say(summary.source_summary)
    show_fit(summary, folder)
