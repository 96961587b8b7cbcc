"""The table of groups that a fit, an evaluation and a run show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skedastic.cli import console
from skedastic.cli.figures import found, found_columns, interval, noise

if TYPE_CHECKING:
    from skedastic.evaluation.intervals import Interval
    from skedastic.noise.findings import Findings
    from skedastic.runs.summary import RunSummary


LEAST_GROUPS = 4  # of which a rank correlation is shown: of two it is ±1


def show_groups(summary: RunSummary) -> None:
    """Print a row for each group, and the outcome."""
    from skedastic.runs.sentences import fit_outcome, is_measured, unlearned

    tested = summary.metrics.groups if summary.metrics else {}
    metric = summary.metric
    table = console.table(
        "group",
        "train",
        *found_columns(metric),
        *[f"true {metric.noise}"] * bool(summary.true_noise),
        *["strength"] * (summary.strengths is not None),
        "test",
        f"{metric.name} (95 %)",
    )
    order = (
        range(len(summary.groups))
        if summary.strengths is None
        else summary.strengths.argsort(descending=True, stable=True).tolist()
    )
    for g in list(order)[: console.MOST_GROUPS]:
        group, row = summary.groups[g], tested.get(summary.groups[g])
        table.add_row(
            console.name(group),
            str(summary.train_count[g]),
            *found(summary.findings, g, metric),
            *([noise(summary.true_noise[g], metric)] if summary.true_noise else []),
            *([] if summary.strengths is None else [f"{float(summary.strengths[g]):.3f}"]),
            str(row.n) if row else "",
            interval(row.value, row.low, row.high, metric) if row and row.value is not None else "",
        )
    console.show(table)
    left_out(len(summary.groups))
    findings = summary.findings
    rank_correlation(findings, summary.true_noise)
    is_told = findings is not None and findings.learned and not is_measured(summary.config)
    console.notes(tuple(unlearned(findings.stats)) if findings and is_told else ())
    console.say(fit_outcome(summary))


def show_choice(summary: RunSummary) -> None:
    """Print which way of training was taken, and a row for each that was tried."""
    from skedastic.runs.choice import choice_of

    choice = choice_of(summary.trials)
    if choice is None:
        return
    console.say(f"Choice: {choice.sentence}.")
    table = console.table(*choice.head)
    table.columns[-1].justify = "left"
    for row in choice.rows:
        table.add_row(*map(console.plain, row))
    console.show(table)
    console.say(choice.legend)


def left_out(groups: int) -> None:
    """Print the number of groups that have no row."""
    if groups > console.MOST_GROUPS:
        console.say(f"… and {groups - console.MOST_GROUPS} more groups")


def rank_correlation(findings: Findings | None, other: Sequence[float | None] | None, name: str = "true noise") -> None:
    """Print the rank correlation of the wrong labels with another noise, over the groups where both are known.

    Where too few groups have a share of wrong labels it is that of the disagreement.
    """
    shown, what = _compared(findings) if findings and other else ((), "")
    known = [(s.mean, t) for s, t in zip(shown, other or (), strict=False) if s is not None and t is not None]
    if len(known) < LEAST_GROUPS or len({t for _, t in known}) < 2:
        return
    from scipy.stats import spearmanr

    value = float(spearmanr([s for s, _ in known], [t for _, t in known]).statistic)
    console.say(f"Spearman correlation of {what} and {name} over {len(known)} groups: {value:.2f}")


def _compared(findings: Findings) -> tuple[Sequence[Interval | None], str]:
    if sum(f is not None for f in findings.wrong) >= LEAST_GROUPS:
        return findings.wrong, "wrong labels"
    return findings.disagreement, "disagreement"
