"""`skedastic export`: a run's network as a file that others can run."""

from __future__ import annotations

from pathlib import Path

import click

from skedastic.cli import console, early
from skedastic.cli.options import RUN, options
from skedastic.cli.trust import CODE, FILES, may_run, of_run
from skedastic.data.sources.names import meaning_note
from skedastic.errors import check_choice
from skedastic.runs.folder import EXPORTED, MODEL, STATE, check_new_file, check_run


@click.command()
@options([RUN], CODE, FILES)
@click.option("--format", "form", default="onnx", help="onnx (default), torch-export or safetensors.")
@click.option("--out", metavar="FILE", help="File to write (default: model.onnx or the like, in the folder RUN).")
@click.option("--rows", metavar="SOURCE", help="Rows to check it on (default: those of the run's source).")
@click.option("--force", is_flag=True, help="Replace the file.")
def export(
    run: str, model: str | None, trust: str | None, form: str, out: str | None, rows: str | None, force: bool
) -> None:
    """Write the network of the folder RUN as a file that others can run, and check it on real rows."""
    check_run(run, STATE, MODEL)
    check_choice("--format", form, EXPORTED)
    if rows is not None:
        early.check_source(rows)
    file = Path(run) / EXPORTED[form] if out is None else Path(out)
    check_new_file(file, force)
    trusted = may_run(run, model, trust)
    from skedastic.runs.export import export_run
    from skedastic.runs.load import load

    result = load(run, trust=trusted)
    with of_run(run):
        said = export_run(result, form, file, rows, force)
    console.notes(() if rows is None else meaning_note(rows))
    console.say(said)
