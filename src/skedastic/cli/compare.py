"""`skedastic compare`: several methods on the same splits, over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skedastic.cli import console, early
from skedastic.cli.figures import over_seeds
from skedastic.cli.folders import folder_for
from skedastic.cli.options import (
    DATA_OPTIONS,
    OUT_OPTIONS,
    TEST_OPTIONS,
    TRAINING_OPTIONS,
    number_or_word,
    options,
    setting_option,
    settings_of,
)

if TYPE_CHECKING:
    from skedastic.runs.comparison import Comparison

LONGEST_NAME = 24  # of a method that is not broken, in columns


@click.command()
@options(DATA_OPTIONS, TEST_OPTIONS)
@click.option("--methods", metavar="A,B,…", help="Methods to compare (default erm,unif,har), or all.")
@click.option(
    "--strength", type=number_or_word, help="Largest enforced strength, or auto, for every method that has one."
)
@setting_option("seeds", type=int)
@setting_option("first-seed", type=int)
@setting_option("focus", metavar="A,B,…")
@click.option(
    "--preset",
    metavar="NAME",
    help="A table of a paper: its noise, imbalance and methods, such as har-table1 or har-table6; options go on top.",
)
@click.option("--jobs", type=int, default=0, help="Seeds to run at a time (default: one for each core).")
@options(TRAINING_OPTIONS, OUT_OPTIONS)
def compare(
    out: str | None,
    force: bool,
    jobs: int,
    config_file: str | None,
    sets: tuple[str, ...],
    preset: str | None,
    **given: Any,
) -> None:
    """Compare methods on SOURCE: equal training, same splits, paired differences with 95 % intervals."""
    settings = settings_of(config_file, sets, given, preset)
    early.check_methods(settings)
    with early.settings_first(settings), folder_for("compare", settings["source"], out, force) as folder:
        console.reading(settings["source"], early.check_data(settings))
        from skedastic import pipeline
        from skedastic.settings.reading import build_config

        config = build_config(settings)
        with console.progress() as progress:
            comparison = pipeline.compare(config, jobs=jobs, progress=progress, tell=progress.begin)
        comparison.save(folder, force=force)
    show_comparison(comparison, folder)


def show_comparison(comparison: Comparison, folder: Path) -> None:
    """Print a row for each method, the paired differences, the outcome in a sentence, and the file of the report."""
    from skedastic.runs.sentences import comparison_sentence

    console.notes(comparison.notes)
    figures = comparison.to_dict()
    has_focus = bool(comparison.focus)
    scopes = ["focus", "rest", "overall", "worst_group"] if has_focus else ["overall", "worst_group"]
    metric = comparison.metric
    figure = (
        "accuracy on the test set, %" if metric.percent else "root mean squared error on the test set, lower is better"
    )
    table = console.table("", *[p.replace("_", " ") for p in scopes], "seconds", title=f"{figure} (95 % over seeds)")
    table.columns[0].min_width = min(LONGEST_NAME, max(len(name) for name in figures["methods"]))
    for name, row in figures["methods"].items():
        table.add_row(console.plain(name), *[over_seeds(row[p], metric) for p in scopes], f"{row['seconds']:.1f}")
    differences = [p for p in scopes if p != "worst_group"]
    for b, a in comparison.pairs():
        row = figures["paired"][f"{b}-{a}"]
        table.add_row(
            console.plain(f"{b} − {a}"),
            *[over_seeds(row[p], metric, signed=True) if p in differences else "" for p in scopes],
            "",
        )
    console.show(table)
    if has_focus:
        console.say(f"focus: {', '.join(comparison.focus)}")
    elif comparison.config.focus:
        console.say("focus: left out, since the test set of a seed has no example of it")
    console.say(comparison_sentence(comparison))
    console.say(f"Report: {folder / 'report.html'}")
