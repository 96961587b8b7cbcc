"""The report as a browser shows it: on a phone, in light and dark, below the pointer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skedastic.report.charts import figures
from skedastic.report.content import Report
from skedastic.report.html import render
from tests.support.reports import EMPTY, EVIL_REPORT, FULL, MANY, NUMBERS, group, interval

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
TOOLS = """
    const { document: page, innerWidth, PointerEvent, MouseEvent, getComputedStyle } =
      document.querySelector("iframe").contentWindow;
    const all = (selector, of = page) => [...of.querySelectorAll(selector)];
    const middle = (element) => {
      const box = element.getBoundingClientRect();
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    };
    const point = (plot, { x, y }) => {  // the description at the pointer
      plot.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
      const tip = page.querySelector(".tip");
      return tip.hidden ? null : tip.textContent;
    };
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium in the PATH to show the page in")


def seen(report: Report, folder: Path, script: str, dark: bool = False, width: int = 360) -> Any:
    """Return the value of a script, which may use `TOOLS`, in a browser that shows the report so many pixels wide."""
    (folder / "report.html").write_text(render(report), encoding="utf-8")
    (folder / "outer.html").write_text(
        f"""<iframe src="report.html" style="width: {width}px; height: 780px; border: 0"></iframe><pre></pre><script>
        addEventListener("load", () => setTimeout(() => {{
          {TOOLS}
          const measure = () => {{ {script} }};
          document.querySelector("pre").textContent = JSON.stringify(measure()).replaceAll("<", "\\\\u003c");
        }}, 300));</script>""",
        encoding="utf-8",
    )
    dumped = subprocess.run(
        [
            str(CHROMIUM),
            *FLAGS.split(),
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            (folder / "outer.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    [text] = re.findall(r"<pre>(.*?)</pre>", dumped, re.DOTALL)
    return json.loads(text.replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("report", "dark"),
    [(FULL, False), (FULL, True), (NUMBERS, False), (EVIL_REPORT, False), (MANY, True), (EMPTY, False)],
    ids=["light", "dark", "numbers", "evil", "many", "empty"],
)
def test_on_a_phone_every_chart_is_drawn_and_nothing_sticks_out(report: Report, dark: bool, tmp_path: Path) -> None:
    measured = seen(
        report,
        tmp_path,
        """
        const inside = (plot, shape) => {
          const box = plot.getBoundingClientRect(), { x, y } = middle(shape);
          return box.left - 1 <= x && x <= box.right + 1 && box.top - 1 <= y && y <= box.bottom + 1;
        };
        return {
          title: page.title, width: page.documentElement.scrollWidth, innerWidth,
          drawn: all(".drawing .plot").map((plot) => {
            const shapes = all("[data-layer] path", plot), box = plot.getBoundingClientRect();
            return shapes.length && shapes.every((shape) => inside(plot, shape)) && box.width > 180 && box.height > 30;
          }),
          cut: all(".x-ticks span, .row, .legend bdi").filter((text) => {
            const box = text.getBoundingClientRect();
            return box.left < 0 || box.right > innerWidth || box.width < 1;
          }).length,
          clipped: all(".drawing svg, .legend svg").filter((s) => getComputedStyle(s).overflow !== "visible").length,
          ink: [...new Set(all(".x-ticks span").map((text) => getComputedStyle(text).color))],
          lines: [...new Set(all(".grid line").map((line) => getComputedStyle(line).stroke))],
        };
        """,
        dark,
    )
    assert measured["innerWidth"] == 360
    assert measured["width"] <= 360
    assert measured["title"] == (report.title or "skedastic report")
    assert measured["drawn"] == [True] * len(figures(report))
    assert measured["cut"] == measured["clipped"] == 0  # symbols are drawn around the corner of an svg element
    ink, line = ("rgb(233, 235, 238)", "rgb(47, 54, 62)") if dark else ("rgb(27, 31, 36)", "rgb(226, 229, 233)")
    assert measured["ink"] == ([ink] if measured["drawn"] else [])
    assert measured["lines"] == ([line] if measured["drawn"] else [])


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1100])
def test_marks_are_where_the_numbers_and_names_beside_them_say(width: int, tmp_path: Path) -> None:
    groups = [
        group("a", noise=interval(0.2, 0.1), true_noise=0.4),
        group("b", 1234, noise=interval(0.1), true_noise=0.0, focus=True),
    ]
    measured = seen(
        replace(FULL, groups=groups),
        tmp_path,
        """
        const chart = page.querySelector("#plot-noise");
        const marks = all("[data-layer] > svg path", chart).map(middle);
        const curve = page.querySelector("#plot-fit .curve path").getBoundingClientRect();
        return {
          ticks: Object.fromEntries(all(".x-ticks span", chart).map((t) => [t.textContent, middle(t).x])),
          names: all(".row", chart).map((name) => [name.textContent, middle(name).y]),
          marks, bars: all("[data-layer] > line", chart).map((bar) => bar.getBoundingClientRect().width),
          shade: middle(page.querySelector("#plot-noise .shade")).y,
          plot: page.querySelector("#plot-fit .plot").getBoundingClientRect(), curve,
          fit: Object.fromEntries(all("#plot-fit .y-ticks span").map((t) => [t.textContent, middle(t).y])),
        };
        """,
        width=width,
    )
    x = measured["ticks"]
    assert list(x) == ["0 %", "10 %", "20 %", "30 %", "40 %"]
    assert [name for name, _ in measured["names"]] == ["a n 100", "b n 1,234"]
    known_a, known_b, a, b = measured["marks"]
    assert [known_a["x"], a["x"]] == pytest.approx([x["40 %"], x["20 %"]], abs=1)
    assert [known_b["x"], b["x"]] == pytest.approx([x["0 %"], x["10 %"]], abs=1)
    assert [a["y"], b["y"]] == pytest.approx([y for _, y in measured["names"]], abs=2)
    assert measured["bars"][0] == pytest.approx(x["30 %"] - x["10 %"], abs=1)
    assert measured["shade"] == pytest.approx(b["y"], abs=1)
    y, curve = measured["fit"], measured["curve"]  # from 20 % in the first epoch to 90 % in the last
    assert curve["bottom"] == pytest.approx(y["20 %"], abs=1)
    assert curve["top"] == pytest.approx((y["80 %"] * 1.5 - y["60 %"] * 0.5), abs=1)
    assert curve["width"] == pytest.approx(measured["plot"]["width"], abs=1)


@pytest.mark.slow
def test_the_nearest_mark_is_described(tmp_path: Path) -> None:
    measured = seen(
        FULL,
        tmp_path,
        """
        const plot = (name) => page.querySelector(`#plot-${name} .plot`);
        const first = (name, layer) => middle(plot(name).querySelector(`[data-layer="${layer}"] [data-hover] path`));
        const box = plot("loss").getBoundingClientRect();
        const beside = ({ x, y }, by) => ({ x: x - by, y });
        return {
          estimated: point(plot("noise"), beside(first("noise", 0), 12)),
          known: point(plot("noise"), first("noise", 1)),
          score: point(plot("score"), first("score", 1)),
          far: point(plot("score"), { x: box.left, y: 0 }),
          epoch: point(plot("loss"), { x: box.left + box.width / 2, y: box.top + box.height * (1 - 0.95 / 2) }),
          place: middle(page.querySelector(".tip")).y - box.top, height: box.height,
          width: page.documentElement.scrollWidth,
          elsewhere: point(page.querySelector("h1"), { x: 0, y: 0 }),
        };
        """,
    )
    assert measured["estimated"] == "rare\n39 training rows\ndisagreement 37.7 % (27.7–47.7)\nstrength 0.0256"
    assert measured["known"] == "rare\nknown noise 40.0 %"
    assert measured["score"] == "rare\nhar 67.2 % (65.2–69.2)"
    assert measured["epoch"] in ("erm, epoch 2: 1", "har, epoch 2: 1")
    assert measured["place"] == pytest.approx(measured["height"] * (1 - 0.95 / 2), abs=2)
    assert measured["far"] is None
    assert measured["elsewhere"] is None
    assert measured["width"] <= 360


@pytest.mark.slow
def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    names = ["<img src=x onerror=\"document.title='owned'\">", "שלום \u202e abc", "z" * 10_000]
    report = replace(FULL, groups=[group(name) for name in names])
    measured = seen(
        report,
        tmp_path,
        """
        const plot = page.querySelector("#plot-noise .plot");
        const marks = all('[data-layer="0"] [data-hover] path', plot);
        return {
          said: marks.map((mark) => point(plot, middle(mark)).split("\\n")[0]),
          width: page.documentElement.scrollWidth, images: all("img", page.querySelector(".tip")).length,
          title: page.title,
        };
        """,
    )
    assert measured["said"] == [names[0], "שלום \\u202e abc", "z" * 108 + "…" + "z" * 11]
    assert measured["width"] <= 360
    assert measured["images"] == 0
    assert measured["title"] == FULL.title


@pytest.mark.slow
def test_the_legend_hides_and_shows(tmp_path: Path) -> None:
    measured = seen(
        FULL,
        tmp_path,
        """
        const plot = page.querySelector("#plot-score .plot"), figure = plot.closest("figure");
        const [erm, har] = all(".legend button", figure);
        const shown = () => all("[data-layer]", plot).map((layer) => getComputedStyle(layer).display !== "none");
        const pressed = () => [erm, har].map((key) => key.getAttribute("aria-pressed"));
        const mark = middle(plot.querySelector('[data-layer="0"] [data-hover] path'));
        const twice = (key) => {
          key.click(); key.click(); key.dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
          return shown();
        };
        const names = [erm, har].map((key) => key.textContent.trim());
        const states = { names, before: shown(), said: point(plot, mark) };
        erm.click();
        Object.assign(states, { without: shown(), pressed: pressed(), hidden: point(plot, mark) });
        erm.click();
        return { ...states, again: shown(), alone: twice(erm), together: twice(erm), others: all(".off").length };
        """,
    )
    assert measured["names"] == ["erm", "har"]
    assert measured["before"] == measured["again"] == measured["together"] == [True, True]
    assert measured["without"] == [False, True]
    assert measured["pressed"] == ["false", "true"]
    assert measured["alone"] == [True, False]
    assert measured["others"] == 0
    assert str(measured["said"]).startswith("rare\nerm")
    assert measured["hidden"] is None
