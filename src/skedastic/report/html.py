"""The page that shows a report.

The page asks for nothing outside itself: styles, images and a small script are inside, and a content security policy
forbids the rest. Charts are drawn here, so that they need no script; the script describes the mark below the pointer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from skedastic.evaluation.metrics import ASKED
from skedastic.report import charts, marks, style, words
from skedastic.report.content import LabelIssue, Report
from skedastic.report.listed import listed
from skedastic.runtime.escaping import visible

WHITE = "\t\r\n"  # which a page shows as a space
NUMBER = re.compile(r"\s*[-−+]?[\d.,]+(e[-+]?\d+)?\s*|nan|", re.IGNORECASE)


def render(report: Report) -> str:
    """Return the whole HTML page."""
    groups = listed(report.groups, percent=report.metric.percent)
    ordered = charts.order(groups)
    figures = charts.figures(replace(report, groups=groups))
    tabled = [issue for issue in report.label_issues if not issue.image]
    return (
        _environment()
        .get_template("template.html.jinja")
        .render(
            report=report,
            metric=report.metric,
            groups=ordered,
            cards=list(_cards(report)),
            figures=figures,
            shown=min(len(ordered), charts.MOST_ROWS),
            unlisted=len(report.groups) - len(ordered),
            strongest=max((g.strength for g in ordered if g.strength), default=0),
            series_styles=charts.method_styles(report),
            pictured=[issue for issue in report.label_issues if issue.image],
            tabled=tabled,
            to_check=words.to_check(report.label_issue_count, report.wrong_count, "training labels"),
            columns=_columns(tabled),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("skedastic.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (words.duration, words.strength, words.thousands)
    for write in filters:
        environment.filters[write.__name__] = write
    environment.globals.update(outline=marks.outline, path=marks.path, focus_colour=style.FOCUS)
    return environment


def _shown(value: Any) -> Any:
    """Return a value as the page writes it: of text that is no markup, the unseen characters too."""
    return visible(value, but=WHITE) if type(value) is str else value


def _cards(report: Report) -> Iterable[tuple[str, str, str, str]]:
    """Yield the label, figure, unit and detail of the few numbers that come first."""
    metric = report.metric
    overall, worst = ("all test rows", "overall"), ("worst group", "worst_group")
    parts = (("focus groups", "focus"), ("other groups", "rest"))
    means = [("balanced accuracy", "balanced_accuracy"), ("mean of groups", "mean_of_groups")]
    means += [(name, part) for part, name in ASKED.items()]
    if report.differences:
        difference = report.differences[0]
        for where, part in (*parts, overall, *means):
            if (interval := getattr(difference, part)) is not None:
                unit, detail = "points" if metric.percent else "error", metric.span(interval, signed=True)
                yield f"{difference.name}, {where}", metric.difference(interval.mean), unit, detail
    elif report.methods:
        method = report.methods[-1]
        for where, part in (overall, *means, *parts, worst):
            if (interval := getattr(method, part)) is not None:
                yield f"{method.name}, {where}", metric.text(interval.mean), "", metric.span(interval)
    if report.label_issue_count:
        wrong = report.wrong_count
        yield (
            f"{'Label' if metric.percent else 'Target'} issues",
            words.thousands(report.label_issue_count),
            "",
            "training rows to check" + (f", at least {wrong:,} wrong by estimate" if wrong else ""),
        )


def _columns(label_issues: Sequence[LabelIssue]) -> dict[str, bool]:
    """Return the columns of the label issues, and whether a column holds numbers alone."""
    columns: dict[str, bool] = {}
    for issue in label_issues:
        for name, value in issue.row.items():
            columns[name] = columns.get(name, True) and bool(NUMBER.fullmatch(value))
    return columns
