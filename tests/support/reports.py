"""Reports for the tests: an empty one, a full one, one of real targets, one of hostile names, one of many groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from skedastic.evaluation.intervals import Interval
from skedastic.evaluation.metric import ERROR
from skedastic.report.content import Difference, GroupRow, LabelIssue, MethodRow, Report

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


def group(name: str, train: int = 100, focus: bool = False, **changes: Any) -> GroupRow:
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
    return replace(row, **changes)


def method(name: str) -> MethodRow:
    return MethodRow(
        name=name,
        overall=interval(0.8),
        focus=interval(0.57),
        rest=interval(0.99, 0.004),
        worst_group=interval(0.5),
        seconds=9.24,
        balanced_accuracy=interval(0.745),
    )


def suspect(index: int, **changes: Any) -> LabelIssue:
    base = LabelIssue(index=index, given="8", suggested="1", score=0.034, truth="1", image=None, row={})
    return replace(base, **changes)


EMPTY = Report(
    title="",
    sentence="",
    asked=[],
    command="",
    methods=[],
    differences=[],
    groups=[],
    history={},
    label_issues=[],
    label_issue_count=0,
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
            balanced_accuracy=interval(0.055, 0.01),
        )
    ],
    groups=[group("common", 1234), group("rare", 39, focus=True)],
    history={name: {"loss": [2.0, 1.0, 0.5], "accuracy": [0.2, 0.6, 0.9]} for name in ("erm", "har")},
    label_issues=[suspect(7, image=PIXEL), suspect(1077, row={"age": "39", "work": "private"}, truth=None)],
    label_issue_count=1112,
    wrong_count=407,
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
    label_issues=[suspect(1, given=EVIL[0], suggested=EVIL[2], truth=EVIL[1], row={EVIL[0]: EVIL[2]})],
    environment={EVIL[0]: EVIL[1]},
)
NUMBERS = replace(
    FULL,
    metric=ERROR,
    wrong_count=None,
    sentence="The error of har is 36.7 lower.",
    methods=[
        replace(method(name), overall=interval(693.3, 31), worst_group=interval(1704.8, 120), balanced_accuracy=None)
        for name in ("erm", "har")
    ],
    differences=[replace(FULL.differences[0], focus=interval(-36.7, 12.4), balanced_accuracy=None)],
    groups=[
        group("326 to 646", noise=interval(256.7, 20), true_noise=250.0, score={"erm": interval(168.2, 9)}),
        group("9821 to 18823", noise=interval(1663.0, 150), true_noise=None, score={}, test=0),
    ],
    history={name: {"loss": [2.0, 1.0, 0.5]} for name in ("erm", "har")},
    label_issues=[suspect(7, given="12,345", suggested="326.0", truth="330.1", row={"carat": "0.3"})],
)
MANY = replace(FULL, groups=[group(f"group {i} of a long tail", i, focus=i == 3) for i in range(200)])
