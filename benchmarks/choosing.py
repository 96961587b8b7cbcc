"""The guide to choosing, from the runs of the evidence: what to take for data like one's own.

`page` is the whole of docs/guide/choosing.md; `evidence.py --advice` writes it. Every number in it is computed, and a
sentence changes with the sign of its figure and with whether that is beyond chance. Intervals are those of
`evidence_lines.by_set`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from choosing_tables import (
    ALL,
    KINDS,
    LABELS,
    OWN_LABELS,
    ahead,
    ahead_table,
    best_safe,
    default_table,
    kinds_of_data,
    one_way_table,
    time_table,
    to_type,
    typed,
    verdict,
)
from evidence_lines import AUTO, HALF_POINT, LEAST_CLUSTERS, PLAIN, Run, cost, gain, given_up, shown, times, up_and_down
from evidence_page import markdown, paragraph, parts_of, standing_of
from skedastic.errors import UserError
from skedastic.evaluation.intervals import Interval

CHANGES = ("better beyond chance", "worse beyond chance", "not shown to differ")
TOP = """# Choosing: what to take for your data

<!-- Written by `benchmarks/evidence.py --advice` from docs/results/evidence.jsonl.gz; do not edit. -->

```
python benchmarks/evidence.py --from docs/results/evidence.jsonl.gz --advice docs/guide/choosing.md
```"""
READING = """This command writes the page, with each figure, from {runs} runs: {sets} sets, {seeds} seeds, {least:,} to
{most:,} rows to train on. [The evidence](../results/evidence.md) has every way, every set and how they were measured,
[auto](auto.md) what the default does, and [troubles](troubles.md) what other commands measured."""
LEGEND = """The default is `skedastic fit` with no method named, plain training (`--method erm`) the same network
without more. Figures are of rows with true labels; gains are of balanced accuracy, the mean over classes, in points,
paired by run. The default was developed on tables among these sets, with other splits and other noise
([tables](../results/tables.md)). ± is half of a 95 % interval for the mean over sets like these. It is from leaving out
one set at a time, since runs of one set are alike (a text and its embedding are one; of one set it is one seed at a
time). Fewer than {clusters} sets have none. "Up, down" are runs more than {half} points above and below plain training.
"Gives up" are runs in which a class is predicted less than half as often as it is there and as plain training predicts
it."""
ON_YOUR_OWN = """Then see for yourself, on your data. A single seed decides nothing. Look at the paired differences and
their intervals, of the worst group too, and at the row of boosted trees.

```
skedastic estimate data.csv --target y    # how noisy and how rare each group is
skedastic compare data.csv --target y --seeds 5 \\
    --methods "{methods}"
```"""
KINDS_OVERLAP = """A run stands in several rows of the tables below. Rows for each class are rows to train on over
classes; classes are as labelled."""
ONE_WAY = """For a run without trials, or where one method has to be named: the fixed way of the highest balanced
accuracy that gives no class up in any of these runs. That the same runs choose it flatters it. "Chosen by others" does
not: on each set it has the way that the other sets choose."""
AHEAD = """The fixed way of the highest balanced accuracy, other tools among them, where it is ahead of the default. It
is known in hindsight alone; so ± allows for the choice among all ways that these runs have (Bonferroni), though not for
as many kinds of data and sets."""
TIME = """Seconds to train over those of plain training, all runs together. Each kind of way has the balance of classes
that is best here. The estimate of the noise, which `fit` makes with any method, is in the default's seconds alone. A
way that some runs lack counts over its own."""


def what_to_take(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the advice, a sentence or two each."""
    over, worst, accuracy = (gain(runs, AUTO, figure=figure) for figure in ("balanced", "worst", "accuracy"))
    (up, down), given, n = up_and_down(runs, AUTO), given_up(runs, AUTO), len(runs)
    standing = standing_of(runs)
    first = "first" if standing.place == 1 else f"number {standing.place}"
    head = verdict(
        over,
        "**Take the default**: {} points over plain training.",
        "**Take plain training** (`--method erm`): the default is {} points beside it.",
        "**The default is not shown to be better than plain training**: {} points.",
    )
    yield (
        f"{head.format(shown(over))} In {up} of {n} runs it is more than {HALF_POINT:g} points above, in {down} below. "
        f"By mean rank it is {first} of the {standing.ways} ways that every run has ({standing.rank:.1f}; the best of "
        f"the others, {standing.other}, has {standing.others:.1f}: a lead of {shown(standing.lead)}). "
        + (f"It gives a class up in {given} run{'s' * (given != 1)}." if given else "It gives no class up.")
    )
    yield (
        f"**Its worst class** is {verdict(worst, *CHANGES)}: {shown(worst)} points. **Its accuracy of all rows** is "
        f"{verdict(accuracy, *CHANGES)}: {shown(accuracy)} points"
        + verdict(accuracy, ".", "; where that counts, name `--optimize accuracy`.", ".")
    )
    way = best_safe(runs)
    if way == PLAIN:
        yield "**Without trials, name `--method erm`**: no fixed way that gives no class up is above plain training."
    else:
        beside = gain(runs, AUTO, way)
        yield (
            f'**Without trials, name `--method "{typed(way)}"`** ({way}): {shown(gain(runs, way))} points over plain '
            f"training, at {times(cost(runs, way).mean)} its time, and no class given up. The default is "
            f"{verdict(beside, *CHANGES)}: {shown(beside)} points, at {times(cost(runs, AUTO).mean)}."
        )


def where_it_gains(kinds: Mapping[str, Sequence[Run]]) -> str:
    """Return a sentence on the kinds of data on which the default differs from plain training beyond chance."""
    found = {title: verdict(gain(runs, AUTO), *CHANGES) for title, runs in kinds.items() if title != ALL}
    better, worse, neither = ([title for title, told in found.items() if told == change] for change in CHANGES)
    return (
        f"On {len(better)} of these {len(found)} kinds of data the default is {CHANGES[0]} than plain training."
        + (f" It is {CHANGES[1]} on {'; '.join(worse)}." if worse else "")
        + (f" It is {CHANGES[2]} on {'; '.join(neither)}." if neither else "")
    )


def below_plain(runs: Sequence[Run]) -> str:
    """Return a sentence on sets, and kinds of labels of a set, on which the default is below plain training."""
    sets = {name: gain(some, AUTO) for name, some in parts_of(runs, lambda run: run.data).items()}
    least = min(sets, key=lambda name: sets[name].mean)
    below = sum(found.mean < 0 for found in sets.values())
    cells = {
        f"{name}, {LABELS.get(labels, OWN_LABELS)}": found
        for (name, labels), found in _cells(runs).items()
        if found.mean < 0
    }
    told = "; ".join(f"{name}: {shown(found)}" for name, found in cells.items())
    return (
        f"Of the {len(sets)} sets the default is below plain training in the mean on {below or 'none'}; the least is "
        f"{shown(sets[least])} ({least}). Of {len(_cells(runs))} pairs of a set and a kind of labels it is below on "
        + (f"{len(cells)} ({told})." if cells else "none.")
    )


def _cells(runs: Sequence[Run]) -> dict[tuple[str, str], Interval]:
    parts = parts_of(runs, lambda run: f"{run.data}/{run.labels}")
    return {(some[0].data, some[0].labels): gain(some, AUTO) for some in parts.values()}


def beyond_chance(kinds: Mapping[str, Sequence[Run]], runs: Sequence[Run]) -> str:
    """Return a sentence on where a fixed way is better than the default beyond chance, by kind of data and by set."""
    sure = [title for title, some in kinds.items() if ahead(some)[1].low > 0]
    of_set = {name: ahead(some) for name, some in parts_of(runs, lambda run: run.data).items()}
    leads = {name: found for name, found in of_set.items() if found[1].mean > 0}
    most = max(leads, key=lambda name: leads[name][1].mean, default="")
    told = "; ".join(f"{name} ({way}, {shown(lead)})" for name, (way, lead) in leads.items() if lead.low > 0)
    by_kind = (
        f"A fixed way is better than the default beyond chance on {'; '.join(sure)}."
        if sure
        else "On no kind of data is a fixed way better than the default beyond chance."
    )
    if not leads:
        return f"{by_kind} On none of the {len(of_set)} sets is one ahead of it."
    return (
        f"{by_kind} On {len(leads)} of the {len(of_set)} sets one is ahead in the mean, by "
        f"{shown(leads[most][1])} at the most ({most}). "
        + (f"Beyond chance it is on {told}." if told else "On none of them is that beyond chance.")
    )


def not_here(runs: Sequence[Run]) -> str:
    """Return a sentence on what no run has."""
    missing = [title for kind, title in KINDS.items() if kind not in {run.facts["kind"] for run in runs}]
    others = f"No run has {', '.join(missing)}. " if missing else ""
    return (
        f"{others}No run has images: [images](../results/images.md) has what was measured of them. Nor is there one "
        "whose targets are numbers: [regression](regression.md)."
    )


def page(runs: Sequence[Run]) -> str:
    """Return the guide to choosing. Raises UserError where a run has no facts of its data."""
    for run in runs:
        if not run.facts:
            rule = "has no facts of its data; add them with --data FOLDER --out LINES --keep FILE.jsonl.gz"
            raise UserError(rule, setting="run", value=f"{run.data}/{run.labels}/{run.seed}")
    kinds, rows = kinds_of_data(runs), [run.facts["rows"] for run in runs]
    reading = READING.format(
        runs=len(runs),
        sets=len({run.data for run in runs}),
        seeds=len({run.seed for run in runs}),
        least=min(rows),
        most=max(rows),
    )
    methods = ", ".join(dict.fromkeys(["erm", typed(best_safe(runs)), AUTO]))
    one_way, behind = one_way_table(kinds), ahead_table(kinds)
    parts = [
        TOP,
        paragraph(reading),
        paragraph(LEGEND.format(clusters=LEAST_CLUSTERS, half=f"{HALF_POINT:g}")),
        "## What to take",
        "\n".join(paragraph(f"- {text}").replace("\n", "\n  ") for text in what_to_take(runs)),
        ON_YOUR_OWN.format(methods=methods),
        "## What the default does",
        paragraph(KINDS_OVERLAP),
        markdown(default_table(kinds), "data"),
        paragraph(where_it_gains(kinds)),
        paragraph(below_plain(runs)),
        paragraph(not_here(runs)),
        "## One way without trials",
        paragraph(ONE_WAY),
        markdown(one_way, "data"),
        to_type(row["way"] for row in one_way.values()),
        "## Where the default is not the best",
        *([paragraph(AHEAD), markdown(behind, "data")] if behind else []),
        paragraph(beyond_chance(kinds, runs)),
        "## Time",
        paragraph(TIME),
        markdown(time_table(runs), "way"),
    ]
    return "\n\n".join(parts) + "\n"
