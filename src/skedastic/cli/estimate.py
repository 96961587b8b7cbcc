"""`skedastic estimate`: noise and density of each group."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from skedastic.cli import console, early
from skedastic.cli.figures import estimated_noise, noise, percent
from skedastic.cli.groups import left_out, rank_correlation
from skedastic.cli.options import DATA_OPTIONS, TRAINING_OPTIONS, options, settings_of
from skedastic.evaluation.metric import ACCURACY, ERROR

if TYPE_CHECKING:
    from skedastic.noise.estimate import Estimate
    from skedastic.pipeline.prepare import Data


@click.command()
@options(DATA_OPTIONS)
@click.option("--seed", type=int, help="Seed (default 0).")
@options(TRAINING_OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
def estimate(config_file: str | None, sets: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Estimate the noise and the density of each group of SOURCE, with 95 % intervals; train no final model."""
    settings = settings_of(config_file, sets, given)
    console.reading(settings["source"], early.check_data(settings, beside=("reference",)))
    from skedastic import pipeline
    from skedastic.settings.reading import build_config

    config = build_config(settings)

    with console.progress() as progress:
        estimated = pipeline.estimate(config, progress, console.show_data)
    show_estimate(estimated, as_json)


def show_estimate(estimated: tuple[Estimate, Data], as_json: bool) -> None:
    """Print noise, density and relative strength of each group."""
    from skedastic.noise.label_issues import found_wrong
    from skedastic.pipeline.gather import true_noise, wrong_labels
    from skedastic.runs.sentences import unlearned

    estimate, data = estimated
    stats, truth = estimate.stats, true_noise(data)
    measured = None if estimate.measured is None else estimate.measured.noise.tolist()
    measure = ACCURACY if data.train.scale is None else ERROR
    tau = stats.strengths
    wrong = wrong_labels(data)
    found = None if wrong is None else found_wrong(estimate.suspects, wrong)
    if as_json:
        beside = {"strengths": tau.tolist(), "true_noise": truth, "measured_noise": measured, "suspects": found}
        print(json.dumps(stats.to_dict() | beside | {"seconds": estimate.seconds}, indent=2))
        return
    console.notes(data.source.notes)
    table = console.table(
        "group",
        "rows",
        "share" if data.train.bins is None else "density",
        f"{measure.noise} (95 %)",
        *[f"true {measure.noise}"] * bool(truth),
        *["annotators disagree"] * bool(measured),
        "τ",
        title="estimated on held-out rows",
    )
    for g in tau.argsort(descending=True, stable=True).tolist()[: console.MOST_GROUPS]:
        row = [
            stats.names[g],
            str(int(stats.count[g])),
            percent(float(stats.density[g])),
            estimated_noise(stats, g, measure),
        ]
        others = [noise(values[g], measure) for values in (truth, measured) if values]
        table.add_row(*row, *others, f"{float(tau[g]):.3f}")
    console.out().print(table)
    left_out(len(stats.names))
    rank_correlation(stats, truth)
    rank_correlation(stats, measured, "annotators' disagreement")
    if found is not None:
        console.say(
            f"{found['issues']:,} labels look wrong, and {found['precision']:.0%} of these are: {found['recall']:.0%} of all "
            f"{found['wrong']:,} that are. Of the {found['wrong']:,} most suspect, {found['first']:.0%} are."
        )
    console.notes(tuple(unlearned(stats)))
