"""What the runs of the evidence say by kind of data: of the default, of one way without trials, of time.

Intervals are those of `evidence_lines.by_set`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from evidence_lines import (
    AUTO,
    LEAST_CLUSTERS,
    PEERS,
    PLAIN,
    SEVERAL,
    Run,
    by_set,
    common,
    cost,
    fixed_ways,
    gain,
    gains,
    given_up,
    mean_of,
    shown,
    times,
    up_and_down,
)
from evidence_page import Table
from skedastic.evaluation.intervals import Interval
from tables import BY_PEOPLE, OWN

ALL = "all"
KINDS = {
    "columns": "columns of numbers and categories",
    "texts": "texts",
    "embeddings": "embeddings of texts or images",
}
LABELS = {
    "none": "labels as they came",
    "uniform 20": "20 % wrong, in all classes alike",
    "one way": "wrong from one class to another",
    "rare noisy": "wrong in rare classes",
}
OWN_LABELS = "wrong on their own"
BY_RULES, BY_CROWDS = f"{OWN_LABELS}: rules", f"{OWN_LABELS}: people (crowds)"
FEW = 150  # rows to train on for each class
EVEN, STEEP = 5, 50  # rows of the largest class for each of the smallest
BODIES = {  # what to type for a way: as it is, and with shares of classes made up for
    PLAIN: ("erm", "erm(loss=logit-adjusted(tau={}))"),
    "mixup": ("mixup", "post-hoc(base=mixup, tau={})"),
    "HAR at 0.3": ("har(strength=0.3)", "har(strength=0.3, loss=logit-adjusted(tau={}))"),
    "HAR at 0.3, loss=corrected": ("har(strength=0.3, loss=corrected)", "har(strength=0.3, loss=corrected(tau={}))"),
    "linear model": ("linear", "linear(tau={})"),
    "linear model, shrunk": ("linear(l2=100)", "linear(l2=100, tau={})"),
    "boosting": ("trees", "trees(tau={})"),
    "boosting of small trees": ("trees(leaves=8)", "trees(leaves=8, tau={})"),
    "boosting without texts": ("trees(words=0)", "trees(words=0, tau={})"),
}
TAUS = {"half-balanced ": "0.5", "balanced ": "1"}


def typed(way: str) -> str:
    """Return what to type after `--method` for a fixed way."""
    if way == SEVERAL:
        return f"ensemble(base={typed(way.removesuffix(' of three networks'))}, members=3)"
    for begin, tau in TAUS.items():
        if way.startswith(begin):
            return BODIES[way.removeprefix(begin)][1].format(tau)
    return BODIES[way][0]


def kinds_of_data(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs by what a reader may know of their data, all first; kinds overlap, and none is empty."""
    kinds: dict[str, Callable[[Run], bool]] = {
        ALL: lambda _: True,
        **{title: lambda run, kind=kind: run.facts["kind"] == kind for kind, title in KINDS.items()},
        **{title: lambda run, kind=kind: run.labels == kind for kind, title in LABELS.items()},
        BY_RULES: lambda run: run.labels == OWN and run.data not in BY_PEOPLE,
        BY_CROWDS: lambda run: run.labels == OWN and run.data in BY_PEOPLE,
        f"fewer than {FEW} rows for each class": lambda run: _rows(run) < FEW,
        f"{FEW} rows for each class or more": lambda run: _rows(run) >= FEW,
        f"largest class below {EVEN} × the smallest": lambda run: _ratio(run) < EVEN,
        f"largest class {EVEN} to {STEEP} × the smallest": lambda run: EVEN <= _ratio(run) < STEEP,
        f"largest class {STEEP} × the smallest or more": lambda run: _ratio(run) >= STEEP,
    }
    found = {title: [run for run in runs if fits(run)] for title, fits in kinds.items()}
    return {title: some for title, some in found.items() if some}


def _rows(run: Run) -> float:
    return float(run.facts["rows"] / run.facts["classes"])


def _ratio(run: Run) -> float:
    return float(run.facts["most"] / run.facts["least"])


def best_safe(runs: Sequence[Run]) -> str:
    """Return the fixed way of the highest mean balanced accuracy that gives no class up; plain training does not."""
    return max((way for way in fixed_ways(runs) if not given_up(runs, way)), key=lambda way: mean_of(runs, way))


def as_others_choose(runs: Sequence[Run]) -> Interval | None:
    """Return the gain over plain training of the way that the other sets choose; None of too few sets.

    Of a way that a set lacks its gain is that of plain training, none.
    """
    sources = {run.source for run in runs}
    if len(sources) < LEAST_CLUSTERS:
        return None
    way = {source: best_safe([run for run in runs if run.source != source]) for source in sources}
    own = [run.ways.get(way[run.source], run.ways[PLAIN])["balanced"] - run.ways[PLAIN]["balanced"] for run in runs]
    return by_set(runs, own)


def ahead(runs: Sequence[Run]) -> tuple[str, Interval]:
    """Return the best fixed way, of other tools too, and its lead on the default; the interval allows for the choice.

    It is that of Bonferroni, for as many ways as all these runs have.
    """
    ways = [*fixed_ways(runs), *(peer for peer in PEERS if peer in common(runs))]
    best = max(ways, key=lambda way: mean_of(runs, way))
    return best, by_set(runs, gains(runs, best, AUTO), level=1 - 0.05 / len(ways))


def verdict(found: Interval, better: str, worse: str, neither: str) -> str:
    """Return one of three texts: the figure is above 0 beyond chance, below it, or neither."""
    if found.known and found.low > 0:
        return better
    return worse if found.known and found.high < 0 else neither


def default_table(kinds: Mapping[str, Sequence[Run]]) -> Table:
    """Return what the default does by kind of data."""
    return {
        title: {
            "runs (sets)": _size(runs),
            "plain training": f"{mean_of(runs, PLAIN):.1f}",
            "default": f"{mean_of(runs, AUTO):.1f}",
            "over plain": shown(gain(runs, AUTO)),
            "worst class": shown(gain(runs, AUTO, figure="worst")),
            "accuracy": shown(gain(runs, AUTO, figure="accuracy")),
            "up, down": "{}, {}".format(*up_and_down(runs, AUTO)),
            "gives up": str(given_up(runs, AUTO)),
            "time": _times(runs, AUTO),
        }
        for title, runs in kinds.items()
    }


def one_way_table(kinds: Mapping[str, Sequence[Run]]) -> Table:
    """Return the single way to name by kind of data."""
    found = Table()
    for title, runs in kinds.items():
        way, others = best_safe(runs), as_others_choose(runs)
        found[title] = {
            "way": way,
            "runs (sets)": _size(runs),
            "over plain": shown(gain(runs, way)),
            "up, down": "{}, {}".format(*up_and_down(runs, way)),
            "time": _times(runs, way),
            "chosen by others": "" if others is None else shown(others),
            "default over it": shown(gain(runs, AUTO, way)),
        }
    return found


def to_type(ways: Iterable[str]) -> str:
    """Return a list of what to type for some ways."""
    return "\n".join(f'- {way}: `--method "{typed(way)}"`' for way in dict.fromkeys(ways))


def ahead_table(kinds: Mapping[str, Sequence[Run]]) -> Table:
    """Return by kind of data the fixed way that is ahead of the default, where one is."""
    found = Table()
    for title, runs in kinds.items():
        way, lead = ahead(runs)
        if lead.mean > 0:
            found[title] = {
                "way": way,
                "over the default": shown(lead),
                "gives up": str(given_up(runs, way)),
                "beyond chance": verdict(lead, "yes", "no", "no" if lead.known else "too few sets"),
            }
    return found


def time_table(runs: Sequence[Run]) -> Table:
    """Return the cost of the default, of each kind of way with the balance that is best, and of other tools."""
    having = {way: [run for run in runs if way in run.ways] for run in runs for way in run.ways}
    kinds = [[way for way in (f"{begin}{body}" for begin in ("", *TAUS)) if way in having] for body in BODIES]
    best = [max(ways, key=lambda way: mean_of(having[way], way)) for ways in kinds if ways]
    of = {way: having[way] for way in (AUTO, PLAIN, SEVERAL, *PEERS, *best) if way in having}
    return {
        (way if len(own) == len(runs) else f"{way} ({len(own)} runs)"): {
            "`--method`": "" if way in PEERS else f"`{AUTO if way == AUTO else typed(way)}`",
            "balanced": f"{mean_of(own, way):.1f}",
            "over plain": shown(gain(own, way)),
            "gives up": str(given_up(own, way)),
            "time": _times(own, way),
        }
        for way, own in sorted(of.items(), key=lambda item: -gain(item[1], item[0]).mean)
    }


def _size(runs: Sequence[Run]) -> str:
    return f"{len(runs)} ({len({run.data for run in runs})})"


def _times(runs: Sequence[Run], way: str) -> str:
    return times(cost(runs, way).mean)
