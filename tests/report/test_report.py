"""The report: one file that asks for nothing, shows all of its values, and survives any name and any gap."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from skedastic.evaluation.intervals import Interval
from skedastic.evaluation.metric import ACCURACY
from skedastic.report.charts import LONGEST, MOST_ROWS, figures
from skedastic.report.content import Report
from skedastic.report.html import render
from skedastic.report.style import series_styles
from skedastic.report.words import duration, shortened, strength, to_check
from skedastic.runs.reports import _asked
from skedastic.runtime.escaping import visible
from skedastic.settings.config import Config
from tests.support.reports import EMPTY, EVIL, EVIL_REPORT, FULL, MANY, NUMBERS, group, interval, method


class Page(HTMLParser):
    """The page's elements, its visible text and its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.inside = ""
        self.feed(html)
        self.close()
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.text += f" {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize(
    "report", [EMPTY, FULL, NUMBERS, EVIL_REPORT, MANY], ids=["empty", "full", "numbers", "evil", "many"]
)
def test_the_page_is_one_file_that_asks_for_nothing(report: Report) -> None:
    html = render(report)
    page = Page(html)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    assert not re.search(r"@import|url\(", html)
    policies = [a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in str(policies[0]["content"])
    assert len(page.scripts) == (1 if report is not EMPTY else 0)


def test_the_figures_given_appear() -> None:
    text = Page(render(FULL)).text
    for given in (
        "digits, 10 seeds",
        "HAR is better by 10.1 points.",
        "1<->8:0.4",
        "skedastic compare digits --seeds 10",
        "+10.1 +6.5 to +13.7",  # a difference and its interval, in points
        "0.0 −0.1 to +0.1",  # never "−0.0"
        "All test rows Balanced accuracy Focus groups Other groups",
        "80.0 % 78.0–82.0 74.5 % 72.5–76.5 57.0 % 55.0–59.0",
        "−1.0 −3.0 to +1.0 +5.5 +4.5 to +6.5 +10.1",
        "−1.0 −3.0 to +1.0",
        "99.0 % 98.6–99.4",
        "9.2 s",
        "rare focus 39 60 37.7 % 27.7–47.7 40.0 % 0.0256",
        "1,234",
        "1,112 training labels to check, of which at least 407 are wrong by estimate",
        "training rows to check, at least 407 wrong by estimate",
        "1 of the 1 shown are indeed wrong",
        "8 → 1",
        "score 0.03",
        "1077",
        "private",
        "Strength 1 was fixed beforehand.",
        "2.13.0",
    ):
        assert given in text, given


def test_errors_are_in_the_targets_units_and_lower_is_better() -> None:
    page = Page(render(NUMBERS))
    for given in (
        "lower is better",
        "693.3 662–724",
        "1,705 1,585–1,825",
        "−36.7 −49.1 to −24.3",
        "Below zero, the first method has the smaller error",
        "326 to 646 100 60 256.7 237–277 250.0 0.0100",
        "Deviation",
        "Targets to check",
        "disagrees with 1,112 training targets",
        "12,345 326.0 330.1",
    ):
        assert given in page.text, given
    for absent in ("%", "Balanced", "Mean of groups", "Accuracy", "accuracy", "labels", "points", "indeed wrong"):
        assert absent not in page.text.replace("95 %", "").replace("wrong ones", ""), absent
    charts = figures(NUMBERS)
    assert set(charts) == {"noise", "score", "loss"}
    assert [mark.hover for mark in charts["score"].series[0].marks] == ["326 to 646\nerm 168.2 (159–177)"]
    assert not any("%" in tick.text for chart in charts.values() for tick in (*chart.x_ticks, *chart.y_ticks))


def test_the_most_regularized_group_comes_first() -> None:
    text = Page(render(FULL)).text
    table = text[text.index("All groups.") :]
    assert table.index("rare") < table.index("common")
    assert "how strongly a group was regularized" in text
    assert "disagree with most come first" in Page(render(replace(FULL, groups=[group("a", strength=None)]))).text


def test_names_are_shown_and_never_obeyed() -> None:
    page = Page(render(EVIL_REPORT))
    assert not page.all("b")
    assert not page.all("img")
    assert all(" ".join(visible(name).split()) in page.text for name in EVIL)
    assert not any(piece in page.scripts[0] for piece in ("owned", "bold", "onerror", "onmouseover"))
    said = {str(mark["data-hover"]).split("\n")[0] for mark in page.all("svg") if "data-hover" in mark}
    assert said == {shortened(name, LONGEST) for name in EVIL}


def test_a_report_with_gaps() -> None:
    page = Page(render(EMPTY))
    assert not page.all("table")
    unknown = Interval(mean=0.5, low=math.nan, high=math.nan)
    bare = group("a", noise=None, true_noise=None, strength=None, score={}, test=0)
    gaps = replace(
        FULL,
        methods=[replace(method("erm"), overall=unknown, focus=None, rest=None, worst_group=unknown)],
        differences=[],
        groups=[bare],
        history={"erm": {"loss": [math.nan, 1.0]}, "one epoch": {"loss": [1.0], "accuracy": [1.0]}},
        label_issues=[],
    )
    page = Page(render(gaps))
    assert "nan" not in page.text.lower()
    assert not any("nan" in str(value) for _, attributes in page.elements for value in attributes.values())
    assert "50.0 %" in page.text
    assert "none is shown here" in page.text
    assert set(figures(gaps)) == {"loss"}


def test_one_run_says_wilson_and_several_say_student() -> None:
    assert "Student" in Page(render(FULL)).text
    single = Page(render(replace(FULL, methods=[method("har")], differences=[]))).text
    assert "Wilson" in single
    assert "har, all test rows 80.0 %" in single
    assert "har, balanced accuracy 74.5 %" in single
    bare = replace(method("har"), balanced_accuracy=Interval(mean=0.745, low=math.nan, high=math.nan))
    assert "have no interval here" in Page(render(replace(FULL, methods=[bare], differences=[]))).text
    assert "have no interval here" not in single


def test_with_many_groups_the_chart_stays_readable_and_the_table_whole() -> None:
    rows = figures(MANY)["score"].rows
    assert len(rows) == MOST_ROWS
    assert [row.name for row in rows if row.focus] == ["group 3 of a long tail"]
    page = Page(render(MANY))
    assert all(f"group {i} of a long tail" in page.text for i in range(200))
    assert "30 of the 200 groups" in page.text


def test_the_page_is_accessible() -> None:
    page = Page(render(FULL))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    assert all(image.get("alt") for image in page.all("img"))
    described = {a["id"] for a in page.all("figcaption")}
    plots = [a for a in page.all("div") if a.get("class") == "drawing"]
    assert len(plots) == 4
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)
    assert {plot["aria-describedby"] for plot in plots} == described
    keys = page.all("button")
    assert len(keys) == 2 + 2 + 2 + 2  # estimated and known; two methods in each of the others
    assert all(key["type"] == "button" and key["aria-pressed"] == "true" for key in keys)


def test_numbers_in_words() -> None:
    assert [ACCURACY.text(v) for v in (0.67149, 0, 1, None, math.nan)] == ["67.1 %", "0.0 %", "100.0 %", "–", "–"]
    assert [ACCURACY.difference(v) for v in (0.101, -0.101, -0.0004, None)] == ["+10.1", "−10.1", "0.0", "–"]
    assert ACCURACY.span(interval(0.5, 0.1)) == "40.0–60.0"
    assert ACCURACY.span(interval(0.5, 6.0)) == "0.0–100.0", "of two seeds"
    assert ACCURACY.span(interval(0, 0.1), signed=True) == "−10.0 to +10.0"
    assert [duration(s) for s in (9.24, 200, 7200)] == ["9.2 s", "3.3 min", "2.0 h"]
    assert [strength(v) for v in (0.1, 1.0, 123.4, 0.078125, None)] == ["0.100", "1.00", "123", "0.0781", "–"]


def test_a_long_name_keeps_its_end() -> None:
    name = "x" * 5000 + " under 20 years"
    assert shortened(name, 32) == "x" * 20 + "…er 20 years"
    assert shortened("y" * 32, 32) == "y" * 32


def test_methods_have_different_styles() -> None:
    assert len({(style.colour, style.symbol) for style in series_styles(map(str, range(25))).values()}) == 25


def test_test_rows_that_a_column_names_are_not_called_held_out() -> None:
    assert dict(_asked(Config(source="a.csv", split="part"), ["erm"]))["Test"] == "by column part"
    assert dict(_asked(Config(source="a.csv"), ["erm"]))["Test"] == "20% held out"


@pytest.mark.parametrize(
    ("count", "wrong", "said"),
    [
        (1, 1, "1 label to check, which is wrong by estimate"),
        (1200, 1200, "1,200 labels to check, which are wrong by estimate"),
        (12, 1, "12 labels to check, of which at least 1 is wrong by estimate"),
        (12, 0, "12 labels to check; how many of these are wrong is not known"),
        (12, None, "12 labels to check"),
        (0, 0, "0 labels to check"),
    ],
)
def test_labels_to_check_and_those_wrong_by_estimate_are_two_counts(count, wrong, said) -> None:
    assert to_check(count, wrong) == said
