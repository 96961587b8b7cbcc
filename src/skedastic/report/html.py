"""The report's content, as plain values, and its page.

The page asks for nothing outside itself: styles, scripts and images are inside, and a content security policy
forbids the rest. All that a table can show is in a table, so that only the charts need JavaScript.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from skedastic.report import charts, words

NUMBER = re.compile(r"\s*[-−+]?[\d.,]+(e[-+]?\d+)?\s*|nan|", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its 95 % interval: rates in [0, 1], or differences of rates in [-1, 1].

    `low` and `high` are NaN where the spread is unknown (one run): only the mean is shown.
    """

    mean: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether both ends are finite numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One group of the data: its size, its noise, how strongly it was regularized, how well it is predicted."""

    name: str
    train: int  # examples
    test: int
    noise: Interval | None  # estimated
    true_noise: float | None  # in [0, 1]; known only in simulations
    strength: float | None  # λτ_g; the largest of all groups is `--strength`
    accuracy: Mapping[str, Interval]  # by method, on the test set; absent where the group is
    focus: bool


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """One method's accuracy on the test set."""

    name: str
    overall: Interval
    focus: Interval | None
    rest: Interval | None
    worst_group: Interval
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference in accuracy of two methods, paired over seeds."""

    name: str  # "har − erm"
    focus: Interval | None
    rest: Interval | None
    overall: Interval


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A training example whose label is probably wrong."""

    index: int
    given: str
    suggested: str
    score: float  # label quality in [0, 1]; low is suspect
    truth: str | None  # known only in simulations
    image: str | None  # "data:image/png;base64,…"
    row: Mapping[str, str]  # a few columns of the table, where there is no image


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows. One method is a `fit`, several are a `compare`; anything may be empty."""

    title: str
    sentence: str  # what came out
    asked: Sequence[tuple[str, str]]  # ("Data", "digits"), ...
    command: str  # runs it again
    methods: Sequence[MethodRow]
    differences: Sequence[Difference]
    groups: Sequence[GroupRow]
    history: Mapping[str, Mapping[str, Sequence[float]]]  # by method: "loss", "accuracy" per epoch
    suspects: Sequence[Suspect]
    suspects_total: int
    notes: Sequence[str]
    environment: Mapping[str, str]


def render(report: Report) -> str:
    """Return the whole HTML page."""
    ordered = charts.order(report.groups)
    figures = charts.figures(report)
    tabled = [s for s in report.suspects if not s.image]
    return (
        _environment()
        .get_template("template.html.jinja")
        .render(
            report=report,
            groups=ordered,
            cards=list(_cards(report)),
            figures=figures,
            shown=min(len(ordered), charts.MOST_ROWS),
            strongest=max((g.strength for g in ordered if g.strength), default=0),
            looks=charts.method_looks(report),
            pictured=[s for s in report.suspects if s.image],
            tabled=tabled,
            columns=_columns(tabled),
            figures_json=_in_script(charts.to_json(figures)),
            plotly=Markup(get_plotlyjs()),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("skedastic.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (words.percent, words.points, words.span, words.duration, words.strength, words.thousands)
    for write in filters:
        environment.filters[write.__name__] = write
    return environment


def _cards(report: Report) -> Iterable[tuple[str, str, str, str]]:
    """Yield the label, figure, unit and detail of the few numbers that come first."""
    overall, worst = ("all test rows", "overall"), ("worst group", "worst_group")
    parts = (("focus groups", "focus"), ("other groups", "rest"))
    if report.differences:
        difference = report.differences[0]
        for where, part in (*parts, overall):
            if (interval := getattr(difference, part)) is not None:
                detail = words.span(interval, signed=True)
                yield f"{difference.name}, {where}", words.points(interval.mean), "points", detail
    elif report.methods:
        method = report.methods[-1]
        for where, part in (overall, *parts, worst):
            if (interval := getattr(method, part)) is not None:
                yield f"{method.name}, {where}", words.percent(interval.mean), "", words.span(interval)
    if report.suspects_total:
        yield "Suspect labels", words.thousands(report.suspects_total), "", "training rows to look at"


def _columns(suspects: Sequence[Suspect]) -> dict[str, bool]:
    """Return the columns that any of the suspects has, and whether all that is in one is numbers."""
    columns: dict[str, bool] = {}
    for suspect in suspects:
        for name, value in suspect.row.items():
            columns[name] = columns.get(name, True) and bool(NUMBER.fullmatch(value))
    return columns


def _in_script(json: str) -> Markup:
    """Return JSON that may stand in a script element: no name can close it or open a comment."""
    for character in "<>&\u2028\u2029":
        json = json.replace(character, f"\\u{ord(character):04x}")
    return Markup(json)
