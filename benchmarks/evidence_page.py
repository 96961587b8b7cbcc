"""The page of the evidence: every way over all runs, the bounds that auto is held to, by kind of labels, by set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from evidence_lines import (
    AUTO,
    CHOICES,
    HALF_POINT,
    ORACLE,
    PEERS,
    PLAIN,
    SEVERAL,
    UNLUCKY,
    Run,
    by_set,
    common,
    cost,
    gain,
    gains,
    given_up,
    mean_of,
    shown,
    signed,
    times,
    up_and_down,
)
from skedastic.evaluation.intervals import Interval

WIDTH = 118  # of a line of a page
LEAST_GAIN, MOST_REGRET, MOST_COST = 3.0, 1.5, 6.0  # points over plain training and below an oracle; its times
Table = dict[str, dict[str, str]]
HEADS = ("way", "labels (runs)", "set (runs)")
TITLE = "# The evidence: what `auto` chooses, against every way that it tries"
TEXT = """The first command below measures, and the second one writes this page. {runs} runs of {sets}: labels as they
came, three kinds of wrong ones that are put in, and wrong ones of their own; a third of the rows for testing by true
labels, about {rows} at the most to train on. `auto` counts with its estimate and its trials. The oracle is the
candidate that is best on the test labels, of {candidates}: nobody has it, and much of its lead is luck where a class
has few test rows. Without that luck it is, on each half of the test rows, the candidate that is best on the other half.
Gains are of balanced accuracy over plain training of the same network, in points, paired by run. ± is half of a 95 %
interval that allows for runs of one set being alike: it is from leaving out one set at a time (a text and its embedding
are one), and of one set one seed at a time (the cluster jackknife). "Up, down" are runs that are more than half a point
above and below plain training; "gives up" are runs in which a class is predicted less than half as often as it is there
and as plain training predicts it. "Largest gain" takes the way that gained most in its trial, be it by chance. A way
that some runs lack counts over its own. Other tools read the rows as the network does. {hardware}"""
BOUNDS = """What `auto` is held to. "In the mean" says that the figure keeps the bound, and that some of its interval
does not; of sets, some of the interval of one of them."""


def ranks(runs: Sequence[Run]) -> dict[str, NDArray[np.float64]]:
    """Return the rank by balanced accuracy in each run, [R] from 1, of auto and each fixed way that every run has."""
    ways = [name for name in common(runs) if name == AUTO or name not in CHOICES]
    balanced = np.array([[run.ways[name]["balanced"] for name in ways] for run in runs])
    return dict(zip(ways, rankdata(-balanced, axis=1).T, strict=True))


class Standing(NamedTuple):
    """The mean rank of auto, from 1, and that of the best of the other ways; `lead` is how far auto is before it."""

    place: int
    ways: int
    rank: float
    other: str
    others: float
    lead: Interval


def standing_of(runs: Sequence[Run]) -> Standing:
    """Return how auto stands by mean rank among the ways that every run has."""
    by_rank = ranks(runs)
    mean = {name: float(rank.mean()) for name, rank in by_rank.items()}
    other = min((name for name in mean if name != AUTO), key=mean.__getitem__)
    lead = by_set(runs, list(by_rank[other] - by_rank[AUTO]))
    place = sorted(mean.values()).index(mean[AUTO]) + 1
    return Standing(place, len(mean), mean[AUTO], other, mean[other], lead)


def rows_of(runs: Sequence[Run]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each way of some runs, the best first, with its figures as text."""
    by_rank, names = ranks(runs), dict.fromkeys(name for run in runs for name in run.ways)
    having = {name: [run for run in runs if name in run.ways] for name in names}
    for name, own in sorted(having.items(), key=lambda item: -mean_of(item[1], item[0])):
        yield (
            name if len(own) == len(runs) else f"{name} ({len(own)} runs)",
            {
                "balanced": f"{mean_of(own, name):.1f}",
                "worst class": f"{mean_of(own, name, 'worst'):.1f}",
                "accuracy": f"{mean_of(own, name, 'accuracy'):.1f}",
                "rank": f"{by_rank[name].mean():.1f}" if name in by_rank else "",
                "over plain": shown(gain(own, name)),
                "least": signed(min(gains(own, name))),
                "up, down": "{}, {}".format(*up_and_down(own, name)),
                "gives up": str(given_up(own, name)),
                "to the oracle": signed(gain(own, name, ORACLE).mean),
                "time": "" if name != AUTO and name in CHOICES else times(cost(own, name).mean),
            },
        )


def parts_of(runs: Sequence[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    """Return the runs by a key, in their order."""
    parts = defaultdict[str, list[Run]](list)
    for run in runs:
        parts[key(run)].append(run)
    return dict(parts)


def tables(runs: Sequence[Run]) -> dict[str, Table]:
    """Return the table of all runs, by way; and gains of auto over plain training by kind of labels, and by set."""
    found = {f"all {len(runs)} runs": dict(rows_of(runs))}
    keys: dict[str, Callable[[Run], str]] = {
        "by kind of labels": lambda run: run.labels,
        "by set": lambda run: run.data,
    }
    for title, key in keys.items():
        found[title] = {}
        for name, some in parts_of(runs, key).items():
            own = dict(rows_of(some))
            best = next(way for way in own if way.partition(" (")[0] not in (*CHOICES, *PEERS))
            found[title][f"{name} ({len(some)})"] = {
                **{way: own[way]["balanced"] for way in (PLAIN, AUTO, *PEERS, UNLUCKY, ORACLE) if way in own},
                "auto over plain": own[AUTO]["over plain"],
                "best fixed way": f"{best} {own[best]['balanced']}",
            }
    return found


def holds(found: Sequence[Interval], least: float = -np.inf, most: float = np.inf) -> str:
    """Return whether figures are all within bounds: with their whole intervals, in the mean, or not."""
    if not all(least <= figure.mean <= most for figure in found):
        return "no"
    whole = all(least <= figure.low and figure.high <= most for figure in found if figure.known)
    return "yes" if whole else "in the mean"


def bounds(runs: Sequence[Run]) -> Table:
    """Return what auto is held to, with its figures."""
    over, seconds, standing, given = gain(runs, AUTO), cost(runs, AUTO), standing_of(runs), given_up(runs, AUTO)
    of_set = {name: gain(some, AUTO) for name, some in parts_of(runs, lambda run: run.data).items()}
    least = min(of_set, key=lambda name: of_set[name].mean)
    behind = {other: gain(runs, AUTO, other) for other in (ORACLE, UNLUCKY) if other in common(runs)}
    rows = {
        f"at least {LEAST_GAIN:g} points over plain training": (shown(over), holds([over], least=LEAST_GAIN)),
        f"on no set more than {HALF_POINT:g} below plain training": (
            f"{shown(of_set[least])} at the least ({least})",
            holds([*of_set.values()], least=-HALF_POINT),
        ),
        **{
            f"at most {MOST_REGRET:g} below the {other}": (shown(found), holds([found], least=-MOST_REGRET))
            for other, found in behind.items()
        },
        f"first by mean rank, of {standing.ways} ways": (
            f"{standing.rank:.1f}; {standing.other} {standing.others:.1f}, a lead of {shown(standing.lead)}",
            holds([standing.lead], least=0.0),
        ),
        f"at most {MOST_COST:g} × the time of plain training": (
            f"{shown(seconds).lstrip('+')} ×",
            holds([seconds], most=MOST_COST),
        ),
        "no class given up": (f"in {given} of {len(runs)} runs", "no" if given else "yes"),
    }
    return {rule: {"figure": figure, "holds": verdict} for rule, (figure, verdict) in rows.items()}


def markdown(table: Mapping[str, Mapping[str, str]], head: str) -> str:
    """Return a table as Markdown."""
    columns = list(next(iter(table.values())))
    rows = [f"| {head} | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    rows += [f"| {name} | {' | '.join(row.get(c, '') for c in columns)} |" for name, row in table.items()]
    return "\n".join(rows)


def paragraph(text: str) -> str:
    """Return a text as lines of a page."""
    return fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def page(runs: Sequence[Run], about: Mapping[str, Any]) -> str:
    """Return the page of the evidence; `about` has the most rows to train on, torch and the processor."""
    found, sets, seeds = tables(runs), list(parts_of(runs, lambda run: run.data)), {run.seed for run in runs}
    text = TEXT.format(
        runs=len(runs),
        sets=", ".join(sorted(sets)),
        rows=f"{about['rows']:,}",
        candidates=max(len(set(run.ways) - {*CHOICES, *PEERS, SEVERAL}) for run in runs),
        hardware=f"torch {about['torch']}, one thread of an {about['cpu']}, shared with other work.",
    )
    command = (
        f"```\npython benchmarks/evidence.py --data FOLDER --rows {about['rows']} --seeds {len(seeds)} "
        f"--first-seed {min(seeds)} \\\n    --keep docs/results/evidence.jsonl.gz --sets {','.join(sets)}\n"
        "python benchmarks/evidence.py --from docs/results/evidence.jsonl.gz --page docs/results/evidence.md\n```"
    )
    first, *others = (
        f"## {title[0].upper()}{title[1:]}\n\n{markdown(table, head)}"
        for (title, table), head in zip(found.items(), HEADS, strict=True)
    )
    bounded = f"## Bounds\n\n{paragraph(BOUNDS)}\n\n{markdown(bounds(runs), 'bound')}"
    return "\n\n".join([TITLE, paragraph(text), command, bounded, first, *others]) + "\n"
