"""The runs of the evidence: read from lines, kept in a small file, and figures over them with intervals by set.

A line is a run: its name `run` (set/labels/seed), `facts` of its training rows, `ways` by name with accuracy, balanced
accuracy and worst class in %, seconds and whether a class is given up, and `took`, what auto took. In a file that is
kept, the first line says `about` what they were measured, and figures are rounded.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from resumable import Line, Lines
from skedastic.errors import UserError
from skedastic.evaluation.intervals import Interval

AUTO, PLAIN = "auto", "plain training"
UNGUARDED, ORACLE, UNLUCKY = "largest gain", "oracle", "oracle without luck"
CHOICES = (AUTO, UNGUARDED, ORACLE, UNLUCKY)  # not fixed beforehand
SEVERAL = "half-balanced mixup of three networks"
PEERS = ("lightgbm balanced", "cleanlab")
HALF_POINT = 0.5
LEAST_CLUSTERS = 3  # sets, or seeds of one, for an interval
PLACES = 5  # of figures that are kept
EMBEDDED = "_minilm"  # how the name of a set of embeddings ends that has the rows of another one
WAY_OUT = "name lines that benchmarks/evidence.py wrote"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the evidence.

    Parameters
    ----------
    data, labels : str
        The names of the set and of the kind of labels.
    seed : int
        The seed.
    ways : mapping
        The figures of each way by name, the choice without guard and the oracle among them.
    facts : mapping
        Of the training rows as labelled: `kind`, `rows`, `classes`, `least` and `most` of one class; empty in lines of
        before there were any.
    """

    data: str
    labels: str
    seed: int
    ways: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, line: Line) -> Run:
        """Return the run of a line. Raises UserError where it lacks plain training, auto or another way."""
        name, ways = str(line.get("run")), dict(line.get("ways", {}))
        for way in (PLAIN, AUTO):
            if way not in ways:
                raise UserError(f"has no {way!r}; {WAY_OUT}", setting="run", value=name)
        fixed = {way: found for way, found in ways.items() if way not in (*CHOICES, *PEERS, SEVERAL)}
        if len(fixed) == 1:
            raise UserError(f"has no way beside {AUTO} and {PLAIN}; {WAY_OUT}", setting="run", value=name)
        ways[UNGUARDED] = fixed[line["took"][UNGUARDED]]
        ways[ORACLE] = max(fixed.values(), key=lambda found: found["balanced"])
        data, labels, seed = name.split("/")
        return cls(data=data, labels=labels, seed=int(seed), ways=ways, facts=line.get("facts", {}))

    @property
    def source(self) -> str:
        """The name of what its rows come from: a set of texts and the set of their embeddings have the same."""
        return self.data.removesuffix(EMBEDDED)


def runs_of(lines: Sequence[Line]) -> list[Run]:
    """Return the runs of lines. Raises UserError where there is none, one lacks a way, or a line is no run."""
    if not lines:
        raise UserError(f"there is no run in them; {WAY_OUT}", setting="lines")
    try:
        return [Run.of(line) for line in lines]
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"a line is no run; {WAY_OUT}", setting="lines") from error


def read_lines(file: Path) -> tuple[dict[str, Any], list[Line]]:
    """Return what a file of lines is about, empty where it doesn't say, and its lines.

    Raises UserError where there is no such file, or it was not written by `keep`.
    """
    if not file.is_file():
        raise UserError(f"no such file; {WAY_OUT}", setting="--from", value=str(file))
    if file.suffix != ".gz":
        return {}, list(Lines(file))
    try:
        about, *lines = (json.loads(text) for text in gzip.decompress(file.read_bytes()).decode().splitlines())
        return about["about"], lines
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"can't be read; {WAY_OUT}", setting="--from", value=str(file)) from error


def keep(file: Path, about: Mapping[str, Any], lines: Iterable[Line]) -> None:
    """Write lines into a small file, the same bytes for the same lines."""
    rows = [{"about": about}, *(_rounded(line) for line in lines)]
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, PLACES) if isinstance(value, float) else value


def by_set(
    runs: Sequence[Run],
    rows: Sequence[Any],
    figure: Callable[[NDArray[np.float64]], Any] = np.mean,
    level: float = 0.95,
) -> Interval:
    """Return a figure of runs with an interval from leaving out one set at a time.

    Runs of one set are alike, and a text and its embedding are one set. Of a single set one seed at a time is left
    out. The spread of fewer than three is unknown. Where all sets have as many runs, a mean has the t-interval of the
    means of the sets.

    Source: the cluster jackknife (CV3) with Student's t of one less than there are clusters: MacKinnon, Nielsen, Webb,
    "Cluster-robust inference: A guide to empirical practice", Journal of Econometrics 232, 2023.

    Parameters
    ----------
    runs : sequence of Run
        The runs, [R].
    rows : sequence
        What the figure is of, a number or a row of numbers for each run, [R, …].
    figure : callable, optional
        From some of the rows to the figure, by default their mean.
    level : float, optional
        The probability that the interval holds the figure, in (0, 1).
    """
    values = np.asarray(rows, dtype=np.float64)
    cluster = np.array(clusters(runs))
    names = np.unique(cluster)
    whole = float(figure(values))
    if len(names) < LEAST_CLUSTERS:
        return Interval(mean=whole, low=float("nan"), high=float("nan"))
    without = np.array([figure(values[cluster != name]) for name in names])
    error = float(((len(names) - 1) / len(names) * ((without - whole) ** 2).sum()) ** 0.5)
    half = float(stdtrit(len(names) - 1, (1 + level) / 2)) * error
    return Interval(mean=whole, low=whole - half, high=whole + half)


def clusters(runs: Sequence[Run]) -> list[str]:
    """Return the cluster of each run: what its rows come from; of a single source the seed."""
    sources = [run.source for run in runs]
    return sources if len(set(sources)) > 1 else [str(run.seed) for run in runs]


def gains(runs: Sequence[Run], way: str, other: str = PLAIN, figure: str = "balanced") -> list[float]:
    """Return by how much a way is above another one in each run, in points, [R]."""
    return [run.ways[way][figure] - run.ways[other][figure] for run in runs]


def gain(runs: Sequence[Run], way: str, other: str = PLAIN, figure: str = "balanced") -> Interval:
    """Return the mean of `gains`, with its interval by set."""
    return by_set(runs, gains(runs, way, other, figure))


def cost(runs: Sequence[Run], way: str) -> Interval:
    """Return the seconds of a way over those of plain training, of all runs together, with its interval by set."""
    seconds = [(run.ways[way]["seconds"], run.ways[PLAIN]["seconds"]) for run in runs]
    return by_set(runs, seconds, lambda rows: rows[:, 0].sum() / rows[:, 1].sum())


def mean_of(runs: Sequence[Run], way: str, figure: str = "balanced") -> float:
    """Return the mean of a figure of a way, in %."""
    return float(np.mean([run.ways[way][figure] for run in runs]))


def up_and_down(runs: Sequence[Run], way: str, other: str = PLAIN) -> tuple[int, int]:
    """Return in how many runs a way is more than half a point above and below another one."""
    difference = np.array(gains(runs, way, other))
    return int((difference > HALF_POINT).sum()), int((difference < -HALF_POINT).sum())


def given_up(runs: Sequence[Run], way: str) -> int:
    """Return in how many runs a way gives a class up that plain training does not."""
    return sum(bool(run.ways[way]["gives_up"]) for run in runs)


def common(runs: Sequence[Run]) -> list[str]:
    """Return the ways that every run has."""
    return [name for name in runs[0].ways if all(name in run.ways for run in runs)]


def fixed_ways(runs: Sequence[Run]) -> list[str]:
    """Return the ways of ours that are fixed beforehand and that every run has, plain training among them."""
    return [name for name in common(runs) if name not in (*CHOICES, *PEERS)]


def signed(value: float) -> str:
    """Return a difference with its sign, to one place; nothing has none."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def shown(found: Interval) -> str:
    """Return a difference with half the width of its interval, where that is known."""
    return signed(found.mean) + (f" ± {(found.high - found.low) / 2:.1f}" if found.known else "")


def times(found: float) -> str:
    """Return a cost over plain training; what is next to nothing has a second place."""
    return f"{found:.1f} ×" if found >= 0.1 else f"{found:.2f} ×"
