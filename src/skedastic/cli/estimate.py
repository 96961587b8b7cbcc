"""`skedastic estimate`: noise and density of each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skedastic.cli import console, early
from skedastic.cli.figures import found, found_columns, noise, percent
from skedastic.cli.groups import left_out, rank_correlation
from skedastic.cli.options import DATA_OPTIONS, TRAINING_OPTIONS, options, setting_option, settings_of
from skedastic.evaluation.metric import metric_of

if TYPE_CHECKING:
    import pandas as pd

    from skedastic.noise.estimate import Estimate
    from skedastic.pipeline.prepare import Data

TITLES = {
    "model": "estimated on held-out rows",
    "hgb": "estimated on held-out rows, by boosted trees",
    "logistic": "estimated on held-out rows, by logistic regression",
    "pred_probs": "estimated from your own probabilities",
    "annotators": "measured by the annotators",
}  # of the table, by what the estimate is of


@click.command()
@options(DATA_OPTIONS)
@setting_option("seed", type=int)
@options(TRAINING_OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
def estimate(config_file: str | None, sets: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Estimate the noise and the density of each group of SOURCE, with 95 % intervals; train no final model."""
    settings = settings_of(config_file, sets, given)
    with early.settings_first(settings):
        console.reading(settings["source"], early.check_data(settings, beside=("reference",)))
        from skedastic import pipeline
        from skedastic.settings.reading import build_config

        config = build_config(settings)
        with console.progress() as progress:
            estimated = pipeline.estimate(config, progress, progress.begin)
    show_estimate(estimated, as_json)


def show_estimate(estimated: tuple[Estimate, Data], as_json: bool) -> None:
    """Print noise, density and relative strength of each group."""
    from skedastic.noise.label_issues import score_label_issues
    from skedastic.pipeline.gather import true_noise, wrong_labels
    from skedastic.runs.sentences import uncalled_sentence, unlearned

    estimate, data = estimated
    wrong = wrong_labels(data)
    truth = true_noise(data)
    measured, findings = _measured(estimate), estimate.findings
    accuracy = score_label_issues(estimate.label_issues, wrong) if wrong is not None and findings.learned else None
    if as_json:
        beside: dict[str, Any] = {
            "by": estimate.by,
            "strengths": estimate.stats.strengths.tolist(),
            "true_noise": truth,
            "measured_noise": measured,
            "suspects": accuracy,
        }
        beside |= {"notes": list(findings.notes), "seconds": estimate.seconds}
        console.say_json(findings.to_dict() | beside)
        return
    _show_groups(estimate, data, truth, measured)
    if accuracy is not None:
        console.say(_accuracy_of_issues(accuracy, estimate.label_issues))
        if uncalled := uncalled_sentence(findings):
            console.say(uncalled)
    warned = unlearned(findings.stats) if findings.learned and estimate.is_estimated else ()
    console.notes((*findings.notes, *warned))


def _measured(estimate: Estimate) -> list[float | None] | None:
    """Return the noise by the annotators, [G]; None for a group of which they say nothing."""
    stats = estimate.measured
    if stats is None:
        return None
    return [v if n else None for v, n in zip(stats.uncertainty.tolist(), stats.counted.tolist(), strict=True)]


def _show_groups(
    estimate: Estimate,
    data: Data,
    true_noise: list[float | None] | None,
    measured_noise: list[float | None] | None,
) -> None:
    """Print a row for each group, the largest strength first."""
    stats, findings = estimate.stats, estimate.findings
    metric = metric_of(data.train.target)
    console.notes((*data.notes, *data.source.notes))
    binned = data.train.grouping.target_bins is not None
    table = console.table(
        "group",
        "rows",
        *["density"] * binned,
        *found_columns(metric, uncertain=True),
        *[f"true {metric.noise}"] * bool(true_noise),
        *["annotators"] * bool(measured_noise),
        "τ",
        title=TITLES[estimate.by],
    )
    for g in stats.strengths.argsort(descending=True, stable=True).tolist()[: console.MOST_GROUPS]:
        table.add_row(
            console.name(stats.names[g]),
            str(int(stats.count[g])),
            *[percent(float(stats.density[g]))] * binned,
            *found(findings, g, metric, uncertain=True),
            *(noise(values[g], metric) for values in (true_noise, measured_noise) if values),
            f"{float(stats.strengths[g]):.3f}",
        )
    console.show(table)
    left_out(len(stats.names))
    rank_correlation(findings, true_noise)
    rank_correlation(findings, measured_noise, "annotators' disagreement")


def _accuracy_of_issues(figures: dict[str, Any], found: pd.DataFrame) -> str:
    """Return the agreement of the label issues with the labels that are known to be wrong."""
    from skedastic.report.words import to_check

    wrong, issues = f"{figures['wrong']:,}", figures["issues"]
    told = f"Most annotators disagree with {issues:,} labels"
    if "by_estimate" in found:
        told = to_check(issues, int(found["by_estimate"].sum()))
    if issues:
        told += f". {figures['precision']:.0%} of the {issues:,} are wrong: "
        told += f"{figures['recall']:.0%} of all {wrong} that are"
    return f"{told}. Of the {wrong} most suspect, {figures['first']:.0%} are."
