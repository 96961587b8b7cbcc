"""The report: one file that asks for nothing, shows what it was given, and survives any name and any gap."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from skedastic.evaluation.intervals import Interval
from skedastic.evaluation.metric import ACCURACY, ERROR
from skedastic.report.charts import MOST_ROWS, figures
from skedastic.report.content import Difference, GroupRow, MethodRow, Report, Suspect
from skedastic.report.html import _in_script, render
from skedastic.report.style import looks
from skedastic.report.words import duration, strength

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
EVIL = (
    "</script><script>document.title='owned'</script>",
    "<b>bold</b> &amp; %{x} {{ 7*7 }} <!--",
    "<img src=https://example.org/x.png onerror=alert(1)>",
    "\" onmouseover='x' \u2028 \u202e" + "long " * 40 + "unbroken" * 40,
)


def interval(mean: float, half: float = 0.02) -> Interval:
    return Interval(mean=mean, low=mean - half, high=mean + half)


def group(name: str, train: int = 100, focus: bool = False, **changes: object) -> GroupRow:
    row = GroupRow(
        name=name,
        train=train,
        test=60,
        noise=interval(0.377, 0.1),
        true_noise=0.4,
        strength=1 / max(train, 1),
        score={"erm": interval(0.571), "har": interval(0.6725)},
        focus=focus,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def method(name: str) -> MethodRow:
    return MethodRow(
        name=name,
        overall=interval(0.8),
        focus=interval(0.57),
        rest=interval(0.99, 0.004),
        worst_group=interval(0.5),
        seconds=9.24,
    )


def suspect(index: int, **changes: object) -> Suspect:
    base = Suspect(index=index, given="8", suggested="1", score=0.034, truth="1", image=None, row={})
    return replace(base, **changes)  # type: ignore[arg-type]


EMPTY = Report(
    title="",
    sentence="",
    asked=[],
    command="",
    methods=[],
    differences=[],
    groups=[],
    history={},
    suspects=[],
    suspects_total=0,
    notes=[],
    environment={},
)
FULL = Report(
    title="digits, 10 seeds",
    sentence="HAR is better by 10.1 points.",
    asked=[("Noise", "1<->8:0.4")],
    command="skedastic compare digits --seeds 10",
    methods=[method("erm"), method("har")],
    differences=[
        Difference(
            name="har − erm",
            focus=interval(0.101, 0.036),
            rest=interval(-0.0004, 0.001),
            overall=interval(-0.01),
        )
    ],
    groups=[group("common", 1234), group("rare", 39, focus=True)],
    history={name: {"loss": [2.0, 1.0, 0.5], "accuracy": [0.2, 0.6, 0.9]} for name in ("erm", "har")},
    suspects=[suspect(7, image=PIXEL), suspect(1077, row={"age": "39", "work": "private"}, truth=None)],
    suspects_total=1112,
    notes=["Strength 1 was fixed beforehand."],
    environment={"torch": "2.13.0"},
)
EVIL_REPORT = replace(
    FULL,
    title=EVIL[0],
    sentence=EVIL[1],
    command=EVIL[0],
    notes=EVIL,
    asked=[(EVIL[0], EVIL[2])],
    methods=[method("erm"), method(EVIL[0])],
    differences=[replace(FULL.differences[0], name=EVIL[1])],
    groups=[group(name, score={EVIL[0]: interval(0.5)}, focus=True) for name in EVIL],
    history={EVIL[0]: FULL.history["erm"]},
    suspects=[suspect(1, given=EVIL[0], suggested=EVIL[2], truth=EVIL[1], row={EVIL[0]: EVIL[2]})],
    environment={EVIL[0]: EVIL[1]},
)
NUMBERS = replace(
    FULL,
    measure=ERROR,
    sentence="The error of har is 36.7 lower.",
    methods=[
        replace(method(name), overall=interval(693.3, 31), worst_group=interval(1704.8, 120)) for name in ("erm", "har")
    ],
    differences=[replace(FULL.differences[0], focus=interval(-36.7, 12.4))],
    groups=[
        group("326 to 646", noise=interval(256.7, 20), true_noise=250.0, score={"erm": interval(168.2, 9)}),
        group("9821 to 18823", noise=interval(1663.0, 150), true_noise=None, score={}, test=0),
    ],
    history={name: {"loss": [2.0, 1.0, 0.5]} for name in ("erm", "har")},
    suspects=[suspect(7, given="12,345", suggested="326.0", truth="330.1", row={"carat": "0.3"})],
)
MANY = replace(FULL, groups=[group(f"group {i} of a long tail", i, focus=i == 3) for i in range(200)])


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
    assert not re.search(r"@import|url\(", html.replace(get_plotlyjs(), ""))
    policies = [a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in str(policies[0]["content"])
    assert html.count(get_plotlyjs()) == (1 if report is not EMPTY else 0)
    assert len(page.scripts) == (3 if report is not EMPTY else 0)  # figures, plotly, ours


def test_the_figures_given_appear() -> None:
    text = Page(render(FULL)).text
    for given in (
        "digits, 10 seeds",
        "HAR is better by 10.1 points.",
        "1<->8:0.4",
        "skedastic compare digits --seeds 10",
        "+10.1 +6.5 to +13.7",  # a difference and its interval, in points
        "0.0 −0.1 to +0.1",  # never "−0.0"
        "−1.0 −3.0 to +1.0",
        "99.0 % 98.6–99.4",
        "9.2 s",
        "rare focus 39 60 37.7 % 27.7–47.7 40.0 % 0.0256",
        "1,234",
        "1,112 training labels look wrong",
        "1 of the 1 shown are indeed wrong",
        "8 → 1",
        "quality 0.03",
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
        "Below zero, the first named errs less",
        "326 to 646 100 60 256.7 237–277 250.0 0.0100",
        "Estimated noise σ",
        "Targets to look at",
        "1,112 training targets look wrong",
        "12,345 326.0 330.1",
    ):
        assert given in page.text, given
    for absent in ("%", "Accuracy", "accuracy", "labels", "points", "indeed wrong"):
        assert absent not in page.text.replace("95 %", "").replace("wrong ones", ""), absent
    charts = json.loads(page.scripts[0])
    assert set(charts) == {"noise", "score", "loss"}
    assert charts["score"]["data"][0]["x"] == [168.2]
    assert "%" not in json.dumps(charts["score"]["layout"]).replace("percent", "")


def test_the_most_regularized_group_comes_first() -> None:
    text = Page(render(FULL)).text
    table = text[text.index("All groups.") :]
    assert table.index("rare") < table.index("common")
    assert "held back" in text
    assert "noisiest groups come first" in Page(render(replace(FULL, groups=[group("a", strength=None)]))).text


def test_names_are_shown_and_never_obeyed() -> None:
    page = Page(render(EVIL_REPORT))
    assert not page.all("b")
    assert not page.all("img")
    assert all(" ".join(name.split()) in page.text for name in EVIL)
    charts = json.loads(page.scripts[0])
    [noise] = [trace for trace in charts["noise"]["data"] if trace["name"] == "estimated"]
    assert any("&lt;b&gt;bold&lt;/b&gt;" in label for label in noise["customdata"])
    assert not any("<b>bold" in label for label in noise["customdata"])


def test_json_in_a_script_cannot_close_it() -> None:
    hostile = json.dumps("</script><!-- & \u2028", ensure_ascii=False)
    assert not re.search("[<>&\u2028]", _in_script(hostile))
    assert json.loads(_in_script(hostile)) == json.loads(hostile)


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
        suspects=[],
    )
    page = Page(render(gaps))
    assert "nan" not in page.text.lower()
    assert "50.0 %" in page.text
    assert "none is shown here" in page.text
    assert json.loads(page.scripts[0])["loss"]["data"][0]["y"] == [None, 1.0]
    assert set(figures(gaps)) == {"loss"}


def test_one_run_says_wilson_and_several_say_student() -> None:
    assert "Student" in Page(render(FULL)).text
    single = Page(render(replace(FULL, methods=[method("har")], differences=[]))).text
    assert "Wilson" in single
    assert "har, all test rows 80.0 %" in single


def test_with_many_groups_the_chart_stays_readable_and_the_table_whole() -> None:
    found = figures(MANY)
    rows = {y for trace in found["score"].data for y in map(round, trace.y)}
    assert len(rows) <= MOST_ROWS
    assert any("<b>group 3 of a long tail</b>" in a.text for a in found["score"].layout.annotations)
    assert found["noise"].layout.xaxis.type == "log"
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
    plots = [a for a in page.all("div") if a.get("class") == "drawing"]
    assert len(plots) == 4
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_numbers_in_words() -> None:
    assert [ACCURACY.text(v) for v in (0.67149, 0, 1, None, math.nan)] == ["67.1 %", "0.0 %", "100.0 %", "–", "–"]
    assert [ACCURACY.difference(v) for v in (0.101, -0.101, -0.0004, None)] == ["+10.1", "−10.1", "0.0", "–"]
    assert ACCURACY.span(interval(0.5, 0.1)) == "40.0–60.0"
    assert ACCURACY.span(interval(0, 0.1), signed=True) == "−10.0 to +10.0"
    assert [duration(s) for s in (9.24, 200, 7200)] == ["9.2 s", "3.3 min", "2.0 h"]
    assert [strength(v) for v in (0.1, 1.0, 123.4, 0.078125, None)] == ["0.100", "1.00", "123", "0.0781", "–"]


def test_methods_look_different() -> None:
    assert len({(look.colour, look.symbol) for look in looks(map(str, range(25))).values()}) == 25


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in the PATH to show the page in")
@pytest.mark.parametrize(
    ("report", "dark"),
    [(FULL, False), (FULL, True), (NUMBERS, False), (EVIL_REPORT, False), (MANY, True), (EMPTY, False)],
    ids=["light", "dark", "numbers", "evil", "many", "empty"],
)
def test_on_a_phone_every_chart_is_drawn_and_nothing_sticks_out(report: Report, dark: bool, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(render(report), encoding="utf-8")
    (tmp_path / "phone.html").write_text(
        """<iframe src="report.html" style="width: 360px; height: 780px; border: 0"></iframe><pre></pre><script>
        addEventListener("load", () => setTimeout(() => {
          const { document: page, innerWidth } = document.querySelector("iframe").contentWindow;
          document.querySelector("pre").textContent = JSON.stringify({
            title: page.title, width: page.documentElement.scrollWidth, innerWidth,
            drawn: [...page.querySelectorAll(".drawing")].map((plot) => plot.querySelectorAll("svg.main-svg").length > 0),
            ink: [...new Set([...page.querySelectorAll(".xtick text")].map((t) => getComputedStyle(t).fill))],
          }).replaceAll("<", "\\\\u003c");
        }, 3000));</script>""",
        encoding="utf-8",
    )
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    dumped = subprocess.run(
        [
            str(CHROMIUM),
            *flags.split(),
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            (tmp_path / "phone.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    [seen] = re.findall(r"<pre>(.*?)</pre>", dumped)
    seen = json.loads(seen.replace("&amp;", "&").replace("&gt;", ">"))
    assert seen["innerWidth"] == 360
    assert seen["width"] <= 360
    assert seen["title"] == (report.title or "skedastic report")
    assert seen["drawn"] == [True] * len(figures(report))
    ink = "rgb(233, 235, 238)" if dark else "rgb(27, 31, 36)"
    assert seen["ink"] == ([ink] if seen["drawn"] else [])
