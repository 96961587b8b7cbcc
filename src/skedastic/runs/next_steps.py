"""What a person could do next to gain most: a line each, and none without a figure that stands behind it."""

from __future__ import annotations

from skedastic.core.choice import Gain
from skedastic.errors import quoted
from skedastic.evaluation.intervals import LEAST_ROWS
from skedastic.report.words import listed
from skedastic.runs.summary import RunSummary

MOST_NAMED, MOST_GAINED = 5, 3  # groups in a line
SURELY, SURELY_OF_MANY = 2.0, 3.0  # standard errors


def next_steps(summary: RunSummary) -> tuple[str, ...]:
    """Return at most four lines, the first step first.

    They name the class whose labels are to be reviewed first, where an estimate calls most wrong; the groups that
    gained where rows doubled; the groups of too few rows to judge; and those of more rows that were not learned all the
    same. Nobody can collect rows of groups that we have made, bins and clusters.

    Parameters
    ----------
    summary : RunSummary
    """
    ours = summary.grouping.target_bins is not None or summary.config.clusters is not None
    steps = (_review(summary), *([] if ours else [_gained(summary), _collect(summary), _not_learned(summary)]))
    return tuple(step for step in steps if step)


def _review(summary: RunSummary) -> str:
    """Return the class of which an estimate calls the most labels wrong."""
    issues = summary.label_issues
    if not summary.wrong_count or issues is None:
        return ""
    to_check, wrong = (issues.loc[issues[which], "given"].value_counts() for which in ("is_issue", "by_estimate"))
    place = {name: i for i, name in enumerate(summary.classes)}
    most = max(wrong.index, key=lambda name: (wrong[name], to_check[name], -place[name]))
    check, called = int(to_check[most]), int(wrong[most])
    said = "which" if called == check else f"of which at least {called:,}"
    rows = f"{check:,} of its {summary.class_count[place[most]]:,} {_are(check)} to check"
    return f"review the labels of {most} first: {rows}, {said} {_are(called)} wrong by estimate."


def _gained(summary: RunSummary) -> str:
    """Return the groups whose accuracy surely rose where training rows doubled, the surest first; or the mean."""
    if not summary.rises:
        return ""
    mean, *groups = summary.rises
    where = f"where all training rows doubled, the accuracy of {mean.way} on rows not seen rose by"
    enough = [rise for rise in groups if rise.rows >= LEAST_ROWS // 2 and rise.gain.error]
    rose = [rise for rise in enough if rise.gain.mean > SURELY_OF_MANY * rise.gain.error]
    if rose:
        rose = sorted(rose, key=lambda rise: SURELY_OF_MANY * rise.gain.error - rise.gain.mean)[:MOST_GAINED]
        parts = [f"{_points(rise.gain)} in {quoted(rise.group)} (to {rise.rows:,} rows)" for rise in rose]
        return f"collect more rows of {' and '.join(quoted(rise.group) for rise in rose)}: {where} {', '.join(parts)}."
    if enough and mean.gain.mean > SURELY * mean.gain.error:
        return f"collect more rows: {where} {_points(mean.gain)} in the mean over groups (to {mean.rows:,} rows)."
    return ""


def _points(gain: Gain) -> str:
    """Return a rise in points, with its standard error."""
    return f"{100 * gain.mean:.1f} ± {100 * gain.error:.1f} points"


def _collect(summary: RunSummary) -> str:
    """Return the groups with fewer training rows than it takes to judge their labels."""
    few = [(n, name) for name, n in zip(summary.groups, summary.train_count, strict=True) if n < LEAST_ROWS]
    if not few:
        return ""
    verb = "has" if len(few) == 1 else "have"
    named = listed([f"{quoted(name)} ({n})" for n, name in sorted(few)], MOST_NAMED)
    said = f"{named} {verb} fewer than {LEAST_ROWS} to train on"
    return f"collect more rows: {said}, too few to judge."


def _not_learned(summary: RunSummary) -> str:
    """Return the groups of enough rows that were not learned, or of which no test row is right."""
    found, tested = summary.findings, summary.metrics
    unranked = found.unranked if found is not None and found.learned else ()
    parts = []
    for name, n in zip(summary.groups, summary.train_count, strict=True):
        score = None if tested is None else tested.groups.get(name)
        if n < LEAST_ROWS:
            continue
        if name in unranked:
            parts.append(f"{quoted(name)} (not learned from {n:,} rows)")
        elif score is not None and summary.metric.percent and score.n >= LEAST_ROWS and score.value == 0:
            parts.append(f"{quoted(name)} (none of its {score.n:,} test rows is right)")
    return f"collect more rows, or other features: {listed(parts, MOST_NAMED)}." if parts else ""


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
