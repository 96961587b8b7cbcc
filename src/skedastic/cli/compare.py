"""`skedastic compare`: several methods on the same splits, over seeds."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from skedastic.errors import Diverged, Interrupted, UserError, quoted
from skedastic.runs.folder import has_seeds
from skedastic.runs.unfinished import kept_until_whole, resumable
from skedastic.runs.ways import way_on

if TYPE_CHECKING:
    from skedastic.runs.comparison import Comparison
    from skedastic.runs.comparison_summary import ComparisonSummary

HEADS = {
    "focus": "focus",
    "rest": "rest",
    "overall": "overall",
    "balanced_accuracy": "balanced",
    "mean_of_groups": "mean of groups",
    "macro_f1": "macro F1",
    "auc": "AUC",
    "accuracy_at_prior": "at the prior",
    "worst_group": "worst group",
}  # of the columns of a comparison, by part


@click.command()
@options(DATA_OPTIONS, TEST_OPTIONS)
@click.option("--methods", metavar="A,B,…", help="Methods to compare (default erm,unif,har), or all.")
@click.option(
    "--without-trees",
    "yardstick",
    flag_value=False,
    default=None,
    help="Leave out boosted trees, which are a row of every comparison whose task and columns suit them.",
)
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
@click.option("--jobs", type=int, help="Seeds to run at a time on this machine (default: one for each core).")
@click.option(
    "--cluster",
    metavar="dask:tcp://HOST:PORT",
    help="Run the seeds on the workers of the Dask cluster that has its scheduler there; they need no files of tables.",
)
@options(TRAINING_OPTIONS, OUT_OPTIONS)
@click.option(
    "--resume",
    metavar="DIR",
    help="Go on with the comparison DIR that was interrupted; takes no other settings but --jobs and --cluster.",
)
def compare(
    out: str | None,
    force: bool,
    resume: str | None,
    jobs: int | None,
    cluster: str | None,
    config_file: str | None,
    sets: tuple[str, ...],
    preset: str | None,
    **given: Any,
) -> None:
    """Compare methods on SOURCE: equal training, same splits, paired differences with 95 % intervals."""
    if resume is not None:
        others = {name for name, value in given.items() if value not in (None, ())} - {"model", "trust"}
        if out or config_file or sets or preset or others:
            rule = "a comparison goes on with its own settings, but for --jobs and --cluster; leave all others out"
            raise UserError(rule, setting="--resume", value=resume, given=f"--resume {resume!r}")
        out, config_file = resume, str(resumable(resume, force=force, verb="compare"))
    if cluster is not None:
        from skedastic.runtime.cluster import scheduler_of

        scheduler_of(cluster)
        if jobs is not None:
            raise UserError("--jobs is for this machine; leave one of the two out", setting="cluster", value=cluster)
    settings = settings_of(config_file, sets, given, preset, resumed=resume is not None)
    early.check_methods(settings)
    with (
        _named_by(preset, settings),
        early.settings_first(settings, several=True),
        folder_for("compare", settings["source"], out, force) as folder,
    ):
        console.reading(settings["source"], early.check_data(settings))
        from skedastic import pipeline
        from skedastic.settings.reading import build_config

        config = build_config(settings)
        on_cluster = "" if cluster is None else f" --cluster {shlex.quote(cluster)}"
        way = way_on("compare", folder, config.model.name) + on_cluster
        with kept_until_whole(folder, resume=resume is not None, force=force) as kept, _way_on(kept, way):
            with console.progress() as progress:
                comparison = pipeline.compare_config(config, jobs or 0, cluster, progress, progress.begin, kept)
            comparison.save(folder, force=force)
    show_comparison(comparison, folder)


@contextmanager
def _way_on(kept: Path, way: str) -> Iterator[None]:
    """Say how to go on, by a command, where the block ends too early and something was kept."""
    try:
        yield
    except KeyboardInterrupt:
        if not has_seeds(kept):
            raise
        raise Interrupted(f"interrupted; go on with: {way}") from None
    except Diverged as error:
        raise error.adding(
            "; a comparison keeps its settings, so compare anew, into another folder or with --force"
        ) from None
    except UserError as error:
        if not has_seeds(kept):
            raise
        raise error.adding(f" (what is done is in {str(kept)!r}: {way})") from None


@contextmanager
def _named_by(preset: str | None, settings: Mapping[str, Any]) -> Iterator[None]:
    """Within this context, the refusal of a setting that a paper's table has, and not the user, names the table."""
    try:
        yield
    except UserError as error:
        from skedastic.settings import presets

        own = {} if preset is None else presets.settings(preset)
        named = [name for name in error.setting.split(", ") if name in own and settings.get(name) == own[name]]
        if not named:
            raise
        others = " and ".join(f"--{name}" for name in named)
        raise error.adding(f"; --preset {preset} says so, and {others} of your own would go before it") from None


def show_comparison(comparison: Comparison, folder: Path) -> None:
    """Print a row for each method, the paired differences, the outcome in a sentence, and the file of the report."""
    from skedastic.runs.sentences import comparison_sentence

    console.notes((*comparison.config.notes, *comparison.notes))
    figures = comparison.to_dict()
    metric = comparison.metric
    figure = (
        "accuracy on the test set, %" if metric.percent else "root mean squared error on the test set, lower is better"
    )
    console.show_figures(
        [*figures["methods"], *[f"{b} − {a}" for b, a in comparison.pairs()]],
        _columns(comparison, figures),
        f"{figure} (95 % over seeds)",
    )
    if comparison.focus:
        console.say(f"focus: {', '.join(map(quoted, comparison.focus))}")
    elif comparison.config.focus:
        console.say("focus: left out, since the test set of a seed has no example of it")
    console.say(comparison_sentence(comparison))
    console.say(f"Report: {folder / 'report.html'}")


def _columns(comparison: ComparisonSummary, figures: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the cells of each column by its head: of the methods, then of the pairs."""
    metric, rows = comparison.metric, figures["methods"].values()
    pairs = [figures["paired"][f"{b}-{a}"] for b, a in comparison.pairs()]
    columns = {}
    for part, head in HEADS.items():
        if part == "worst_group" or any(row.get(part) for row in rows):
            columns[head] = [over_seeds(row[part], metric) for row in rows]
            columns[head] += [over_seeds(pair.get(part), metric, signed=True) for pair in pairs]
    return columns | {"seconds": [*[f"{row['seconds']:.1f}" for row in rows], *[""] * len(pairs)]}
