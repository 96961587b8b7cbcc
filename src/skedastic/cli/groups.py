"""The table of groups that a fit, an evaluation and a run show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skedastic.cli import console
from skedastic.cli.figures import estimated_noise, interval, noise

if TYPE_CHECKING:
    from skedastic.core.strengths import GroupStats
    from skedastic.runs.summary import RunSummary


def show_groups(summary: RunSummary) -> None:
    """Print a row for each group, and the outcome."""
    from skedastic.runs.sentences import fit_sentence, unlearned

    tested = summary.metrics.groups if summary.metrics else {}
    metric = summary.metric
    table = console.table(
        "group",
        "train",
        f"{metric.noise} (95 %)",
        *[f"true {metric.noise}"] * bool(summary.true_noise),
        "strength",
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
            "" if summary.group_stats is None else estimated_noise(summary.group_stats, g, metric),
            *([noise(summary.true_noise[g], metric)] if summary.true_noise else []),
            "" if summary.strengths is None else f"{float(summary.strengths[g]):.3f}",
            str(row.n) if row else "",
            interval(row.value, row.low, row.high, metric) if row and row.value is not None else "",
        )
    console.out().print(table)
    left_out(len(summary.groups))
    rank_correlation(summary.group_stats, summary.true_noise)
    console.notes(() if summary.group_stats is None else tuple(unlearned(summary.group_stats)))
    console.say(fit_sentence(summary))


def left_out(groups: int) -> None:
    """Print the number of groups that have no row."""
    if groups > console.MOST_GROUPS:
        console.say(f"… and {groups - console.MOST_GROUPS} more groups")


def rank_correlation(stats: GroupStats | None, other: Sequence[float | None] | None, name: str = "true noise") -> None:
    """Print the rank correlation of the estimated noise with another noise, where that is known of every group."""
    known = [t for t in other or [] if t is not None]
    if stats is None or not other or len(known) < len(other) or len(set(known)) < 2:
        return
    from scipy.stats import spearmanr

    value = float(spearmanr(stats.noise.numpy(), known).statistic)
    console.say(f"Spearman correlation of estimated noise and {name} over {len(known)} groups: {value:.2f}")
