"""The charts of the report: axes with nice numbers, everything where its value says, and a small page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from skedastic.cli import main
from skedastic.evaluation.intervals import Interval
from skedastic.evaluation.metric import ACCURACY, ERROR
from skedastic.report.chart_rows import LONGEST, SHORT, ChartRows
from skedastic.report.charts import MOST_ROWS, figures
from skedastic.report.content import GroupRow, Report
from skedastic.report.html import render
from skedastic.report.marks import CORNERS, Chart, Mark, Points, outline, path
from skedastic.report.scales import Linear, Tick, linear, logarithmic
from skedastic.report.style import SYMBOLS
from tests.support.reports import FULL, MANY, NUMBERS, group, interval, suspect

UNKNOWN = Interval(mean=0.5, low=math.nan, high=math.nan)
LARGEST = 400_000  # bytes of the report of a table's run


def texts(ticks: Sequence[Tick]) -> list[str]:
    return [tick.text for tick in ticks]


def marks(chart: Chart, series: str) -> list[Mark]:
    [points] = [s for s in chart.series if s.name == series]
    return list(points.marks)


def grouped(*groups: GroupRow) -> Report:
    return replace(FULL, groups=groups)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 60.06, 5, "0 20 40 60"),
        (49.3, 103.3, 5, "60 80 100"),
        (99.877, 99.943, 5, "99.88 99.9 99.92 99.94"),
        (0, 1.14, 6.4, "0 0.2 0.4 0.6 0.8 1"),
        (0, 0.00126, 6.4, "0 0.0002 0.0004 0.0006 0.0008 0.001 0.0012"),
        (-85.5, 179.8, 5, "0 100"),
        (-553.7, 662, 5, "−500 0 500"),
        (-20, -10, 5, "−20 −18 −16 −14 −12 −10"),
        (0, 1908, 5, "0 500 1000 1500"),
        (0, 19_000, 5, "0 5k 10k 15k"),
        (0, 1.9e6, 5, "0 0.5M 1M 1.5M"),
        (0, 1.9e-5, 5, "0 5μ 10μ 15μ"),
        (0, 5e20, 5, "0 2e+20 4e+20"),
    ],
)
def test_ticks_are_nice_numbers(low: float, high: float, most: float, expected: str) -> None:
    assert texts(Linear(low, high).ticks(most)) == expected.split()


def test_ticks_have_a_unit_and_stand_where_their_number_does() -> None:
    assert Linear(0, 50).ticks(5, " %") == [Tick(0, "0 %"), Tick(40, "20 %"), Tick(80, "40 %")]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(2, "1 2"), (8, "1 2 3 4 5 6 7 8"), (9, "2 4 6 8"), (60, "10 20 30 40 50 60"), (200, "50 100 150 200")],
)
def test_epochs_are_whole(epochs: int, expected: str) -> None:
    curves = {"erm": {"loss": [1 / (1 + i) for i in range(epochs)]}}
    assert texts(figures(replace(FULL, history=curves))["loss"].x_ticks) == expected.split()


def test_an_axis_holds_all_values_and_ignores_nan() -> None:
    assert linear([10, 100]) == Linear(5, 105)
    assert linear([math.nan, 10, math.inf, 100]) == Linear(5, 105)
    assert linear([19, 5], from_zero=True) == Linear(0, 20)
    assert linear([-10, 80], from_zero=True) == Linear(-15, 85)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-30, 1e9, 1e30, -1e30])
@pytest.mark.parametrize("from_zero", [False, True])
def test_values_that_are_all_the_same_have_an_axis(value: float, from_zero: bool) -> None:
    axis = linear([value] * 3, from_zero)
    assert axis.low <= value <= axis.high
    assert 0 <= axis.at(value) <= 100
    assert 2 <= len(axis.ticks(5)) <= 7


def test_no_values_have_an_axis() -> None:
    assert len(linear([]).ticks(5)) > 1
    assert len(logarithmic([]).ticks()) > 1


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((6, 15_000), "10 100 1000 10k"),
        ((100, 100_000), "100 1000 10k 100k"),
        ((100, 100), "10 100 1000"),
        ((200, 800), "200 500"),
        ((900, 30_000), "1000 10k"),
        ((11_000, 45_000), "20k 30k 40k"),
        ((110, 150), "110 120 130 140 150"),
        ((12_100, 12_400), "12.1k 12.2k 12.3k 12.4k"),
    ],
)
def test_sizes_are_at_powers_of_ten(sizes: tuple[int, ...], expected: str) -> None:
    axis = logarithmic(sizes)
    assert texts(axis.ticks()) == expected.split()
    middle = math.prod(sizes) ** 0.5
    assert axis.at(middle) == pytest.approx(50, abs=0.01)


def test_noise_stands_at_its_place_on_the_axis_with_its_interval_and_the_known_noise() -> None:
    chart = figures(grouped(group("common", 1234), group("rare", 39, focus=True)))["noise"]
    axis = Linear(0, 47.7 / 0.95)
    assert texts(chart.x_ticks) == ["0 %", "20 %", "40 %"]
    assert [row.name for row in chart.rows] == ["rare", "common"]  # the most regularized first
    assert [row.size for row in chart.rows] == ["n 39", "n 1,234"]
    assert [row.focus for row in chart.rows] == [True, False]
    rare, common = marks(chart, "estimated")
    assert (rare.x, rare.y, common.y) == (axis.at(37.7), 25, 75)
    assert rare.bar == (axis.at(27.7), 25, axis.at(47.7), 25)
    assert rare.hover == "rare\n39 training rows\ndisagreement 37.7 % (27.7–47.7)\nstrength 0.0256"
    known, _ = marks(chart, "known")
    assert (known.x, known.y, known.hover) == (axis.at(40), 25, "rare\nknown noise 40.0 %")
    assert [series.name for _, series in chart.layers] == ["known", "estimated"]  # the estimate is drawn above it
    assert [series.name for series in chart.series] == ["estimated", "known"]  # and comes first in the legend


def test_methods_stand_below_each_other_in_a_row_each_with_its_style() -> None:
    chart = figures(FULL)["score"]
    assert [(s.name, s.colour, s.symbol) for s in chart.series] == [
        ("erm", "#0072b2", "circle"),
        ("har", "#cc79a7", "square"),
    ]
    (erm, _), (har, other) = marks(chart, "erm"), marks(chart, "har")
    assert 0 < erm.y < 25 < har.y < 50 < other.y
    assert har.x - erm.x == pytest.approx(100 * (67.25 - 57.1) / ((69.25 - 55.1) / 0.9), abs=0.02)
    assert har.hover == "rare\nhar 67.2 % (65.2–69.2)"


def test_more_groups_are_a_cloud_of_points() -> None:
    some = [group(f"g{i}", 10 ** (1 + i % 4), noise=interval(0.1 + i / 100)) for i in range(MOST_ROWS)]
    assert figures(replace(FULL, groups=some))["noise"].rows
    absent = [group("no rows", 0), group("no estimate", noise=None)]
    focus = group("focus", 100, focus=True, noise=interval(0.8), strength=4.0)
    chart = figures(replace(FULL, groups=[*some, *absent, focus]))["noise"]
    assert not chart.rows
    assert chart.x_title == "training rows (logarithmic)"
    assert texts(chart.x_ticks) == ["10", "100", "1000", "10k"]
    assert texts(chart.y_ticks) == [f"{n} %" for n in range(0, 90, 10)]
    assert [(s.name, s.symbol, len(s.marks)) for s in chart.series] == [
        ("other groups", "circle", MOST_ROWS),
        ("focus groups", "diamond", 1),
    ]
    low, high = marks(chart, "other groups")[0], marks(chart, "other groups")[-1]
    assert high.y < low.y  # from the top
    assert high.bar is not None
    assert high.bar[0] == high.bar[2] == high.x
    assert high.bar[3] < high.y < high.bar[1]
    [large] = marks(chart, "focus groups")
    assert low.x < large.x < marks(chart, "other groups")[2].x  # 10, 100 and 1000 rows
    assert large.size == 16
    assert 6 < low.size < 16


def test_a_place_is_in_the_plot() -> None:
    for report in (FULL, NUMBERS, MANY):
        for chart in figures(report).values():
            for series in chart.series:
                places = [(m.x, m.y) for m in series.marks] if isinstance(series, Points) else list(series.places)
                assert places
                for place in places:
                    assert place is not None
                    assert all(0 <= percent <= 100 for percent in place)


def test_an_unknown_interval_has_no_bar_and_nan_no_mark() -> None:
    nothing = Interval(mean=math.nan, low=math.nan, high=math.nan)
    chart = figures(
        grouped(
            group("a", noise=UNKNOWN, score={"erm": UNKNOWN}, true_noise=None),
            group("b", noise=nothing, score={"erm": nothing}, true_noise=math.nan),
            group("c", noise=None, score={}, true_noise=None),
        )
    )
    [estimated] = marks(chart["noise"], "estimated")
    assert estimated.bar is None
    assert estimated.hover == "a\n100 training rows\ndisagreement 50.0 %\nstrength 0.0100"
    assert [series.name for series in chart["noise"].series] == ["estimated"]
    assert [mark.bar for mark in marks(chart["score"], "erm")] == [None]
    assert [series.name for series in chart["score"].series] == ["erm"]
    assert len(chart["score"].rows) == 3


def test_without_an_estimate_there_is_no_chart_of_noise() -> None:
    assert set(figures(grouped(group("a", noise=None)))) == {"score", "loss", "fit"}


def test_errors_are_in_the_targets_units() -> None:
    noise = figures(NUMBERS)["noise"]
    assert texts(noise.x_ticks) == ["0", "500", "1000", "1500"]
    assert [mark.hover for mark in marks(noise, "known")] == ["326 to 646\nknown noise 250.0"]
    assert marks(noise, "estimated")[1].hover.splitlines()[2] == "deviation 256.7 (237–277)"


def test_one_group_has_a_row_of_its_own() -> None:
    chart = figures(grouped(group("all")))["noise"]
    assert chart.height == 32
    assert [mark.y for mark in marks(chart, "estimated")] == [50]


def test_long_names_stand_above_their_row() -> None:
    short, long = group("x" * SHORT), group("y" * 5000)
    assert not ChartRows([short], 2).named_above
    rows = ChartRows([short, long], 2)
    assert rows.named_above
    assert [row.name for row in rows.names()] == ["x" * SHORT, "y" * (LONGEST - 12) + "…" + "y" * 11]
    assert rows.height == 20 + ChartRows([short], 2).height
    assert rows.y(0) == pytest.approx(
        100 * (20 + 16) / rows.total, abs=0.01
    )  # in the middle of the part below the name
    [hover] = {mark.hover.split("\n")[0] for mark in marks(figures(grouped(long))["noise"], "estimated")}
    assert len(hover) == 120


def test_a_curve_is_interrupted_where_it_has_no_value() -> None:
    curves = {"erm": {"loss": [2.0, math.nan, 1.0, math.inf, 0.123456]}, "har": {"loss": [1.0]}}
    [curve] = figures(replace(FULL, history=curves))["loss"].series
    assert curve.values == ["2", "", "1", "", "0.123"]
    first, gap, third, _, last = curve.places
    assert gap is None
    assert first is not None
    assert third is not None
    assert last is not None
    assert (first[0], third[0], last[0]) == (0, 50, 100)
    assert (first[1], third[1]) == (5, 52.5)
    assert path(curve.places) == f"M0 {first[1]:g}M50 {third[1]:g}M100 {last[1]:g}"
    assert path([(0, 1), (50, 2.5), None, (100, 3)]) == "M0 1L50 2.5M100 3"
    fit = figures(FULL)["fit"].series[0]
    assert fit.values == ["20 %", "60 %", "90 %"]


def test_training_that_failed_from_the_start_has_an_axis() -> None:
    chart = figures(replace(FULL, history={"erm": {"loss": [math.nan, math.nan]}}))["loss"]
    assert texts(chart.y_ticks)
    assert [series.name for series in chart.series] == ["erm"]


@pytest.mark.parametrize("symbol", ["circle", *CORNERS])
def test_a_symbol_is_around_the_origin_and_as_large_as_it_says(symbol: str) -> None:
    assert set(SYMBOLS) < {"circle", *CORNERS}
    small, large = ([abs(float(n)) for n in re.findall(r"-?[\d.]+", outline(symbol, size))] for size in (8, 16))
    assert max(large) == pytest.approx(2 * max(small), rel=0.02)
    if symbol == "circle":
        assert outline(symbol, 8) == "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z"
    else:
        assert max(small) <= 4 * 1.4


def test_charts_are_there_without_a_script() -> None:
    page = re.sub(r"<script>.*?</script>", "", render(FULL), flags=re.DOTALL)
    assert "<script" not in page
    assert len(re.findall(r'<svg class="plot"', page)) == 4
    assert len(re.findall("data-hover=", page)) == 2 + 2 + 4  # estimated, known, two methods of two groups
    assert len(re.findall(r'<path d="M0 ', page)) >= 4


def test_the_report_of_a_tables_run_is_small(tmp_path: Path) -> None:
    main(["fit", "wine", "--epochs", "2", "--out", str(tmp_path / "run")])
    size = (tmp_path / "run" / "report.html").stat().st_size
    assert 10_000 < size < 60_000, size


def test_the_largest_report_of_a_table_is_small_enough() -> None:
    methods = ("erm", "unif", "har", "gce")
    rows = [
        group(f"group {i} of a long tail", 10 + i, score={name: interval(i / 200) for name in methods}, focus=i < 9)
        for i in range(200)
    ]
    curve = [2.718281828 / (1 + i) for i in range(500)]
    history = {name: {"loss": curve, "accuracy": curve} for name in methods}
    cells = {f"column {i}": "a text as long as a cell of the table may be " * 5 for i in range(6)}
    shown = [suspect(i, row=cells) for i in range(24)]
    methods_rows = [replace(FULL.methods[0], name=name) for name in methods]
    report = replace(FULL, methods=methods_rows, groups=rows, history=history, label_issues=shown)
    size = len(render(report).encode())
    assert 150_000 < size < LARGEST, size


def test_the_text_of_a_mark_has_the_unit_of_its_metric() -> None:
    assert ACCURACY.with_span(interval(0.377, 0.1)) == "37.7 % (27.7–47.7)"
    assert ERROR.with_span(Interval(mean=12345.0, low=math.nan, high=math.nan)) == "12,345"
