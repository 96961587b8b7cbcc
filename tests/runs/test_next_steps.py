"""What to do next: each line with its figures, and none where no figure stands behind one."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from skedastic.core.choice import Gain
from skedastic.core.learning_curve import Rise
from skedastic.evaluation.metric import ACCURACY
from skedastic.runs.next_steps import next_steps


def issues(**classes):
    """Return label issues: of each class how many are ranked, to check, and wrong by estimate."""
    rows = [
        (name, i < check, i < wrong)
        for name, (ranked, check, wrong) in classes.items()
        for i in range(ranked)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["given", "is_issue", "by_estimate"])


def summary(**changes):
    found = issues(a=(90, 9, 8), b=(40, 12, 3), c=(50, 20, 0))
    values = {
        "label_issues": found,
        "classes": ("a", "b", "c"),
        "class_count": [90, 40, 50],
        "groups": ("a", "b", "c"),
        "train_count": [90, 40, 50],
        "findings": SimpleNamespace(learned=True, unranked=()),
        "metrics": SimpleNamespace(groups={}),
        "metric": ACCURACY,
        "grouping": SimpleNamespace(target_bins=None),
        "config": SimpleNamespace(clusters=None),
        "rises": (),
    } | changes
    given = values["label_issues"]
    wrong = None if given is None or "by_estimate" not in given else int(given["by_estimate"].sum())
    return SimpleNamespace(wrong_count=wrong, **values)


def test_the_class_with_most_labels_wrong_by_estimate_is_first() -> None:
    assert next_steps(summary()) == (
        "review the labels of a first: 9 of its 90 are to check, of which at least 8 are wrong by estimate.",
    )
    one = summary(label_issues=issues(a=(90, 5, 5), c=(50, 20, 0)))
    assert next_steps(one) == ("review the labels of a first: 5 of its 90 are to check, which are wrong by estimate.",)
    single = summary(label_issues=issues(a=(90, 1, 1)))
    assert next_steps(single) == ("review the labels of a first: 1 of its 90 is to check, which is wrong by estimate.",)


@pytest.mark.parametrize("found", [None, issues(a=(90, 30, 0)), issues(a=(90, 30, 9)).drop(columns="by_estimate")])
def test_where_no_estimate_calls_labels_wrong_none_is_to_be_reviewed_first(found) -> None:
    assert next_steps(summary(label_issues=found)) == ()


def test_groups_of_few_rows_are_named_the_rarest_first() -> None:
    groups = tuple(f"g{i}" for i in range(8))
    few = summary(label_issues=None, groups=groups, train_count=[9, 3, 29, 30, 5, 4, 6, 8])
    assert next_steps(few) == (
        "collect more rows: g1 (3), g5 (4), g4 (5), g6 (6), g7 (8) and 2 more have fewer than 30 to train on, too few "
        "to judge.",
    )
    [one] = next_steps(summary(label_issues=None, train_count=[90, 29, 50]))
    assert "b (29) has fewer" in one


def test_groups_of_enough_rows_that_were_not_learned_are_named() -> None:
    none_right, few, some = (SimpleNamespace(n=n, value=v) for n, v in ((31, 0.0), (29, 0.0), (40, 0.1)))
    metrics = SimpleNamespace(groups={"a": none_right, "b": few, "c": some})
    found = SimpleNamespace(learned=True, unranked=("c",))
    assert next_steps(summary(label_issues=None, metrics=metrics, findings=found)) == (
        "collect more rows, or other features: a (none of its 31 test rows is right), c (not learned from 50 rows).",
    )
    found.learned = False  # as a whole: a note says what to do
    [one] = next_steps(summary(label_issues=None, metrics=metrics, findings=found))
    assert "not learned" not in one


def test_at_most_three_lines() -> None:
    rng = np.random.default_rng(0)
    groups = tuple(f"g{i}" for i in range(40))
    scores = {name: SimpleNamespace(n=50, value=0.0) for name in groups}
    counts = rng.integers(1, 90, 40).tolist()
    many = summary(groups=groups, train_count=counts, metrics=SimpleNamespace(groups=scores))
    assert [step.split()[0] for step in next_steps(many)] == ["review", "collect", "collect"]


@pytest.mark.parametrize(
    "ours", [{"grouping": SimpleNamespace(target_bins=object())}, {"config": SimpleNamespace(clusters=3)}]
)
def test_nobody_is_to_collect_rows_of_groups_that_we_have_made(ours) -> None:
    assert next_steps(summary(label_issues=None, train_count=[9, 3, 29])) != ()
    assert next_steps(summary(label_issues=None, train_count=[9, 3, 29], **ours)) == ()


def risen(**gains):
    """Return rises of the mean over groups and of some groups, each by mean and standard error in points."""
    return tuple(
        Rise("" if name == "mean" else name, 50, Gain(mean / 100, error / 100), "plain training")
        for name, (mean, error) in gains.items()
    )


DOUBLED = "where all training rows doubled, the accuracy of plain training on rows not seen"


@pytest.mark.parametrize(
    ("found", "step"),
    [
        (
            risen(mean=(4, 1), a=(9, 2), b=(2, 1), c=(30, 4)),
            f"collect more rows of c and a: {DOUBLED} rose by 30.0 ± 4.0 points in c (to 50 rows), 9.0 ± 2.0 points in "
            "a (to 50 rows).",
        ),
        (
            risen(mean=(4, 1), a=(5, 2)),
            f"collect more rows: {DOUBLED} rose by 4.0 ± 1.0 points in the mean over groups (to 50 rows).",
        ),
        (risen(mean=(0.1, 0.5), a=(0, 1)), None),
        (risen(mean=(1, 2), a=(0, 9)), None),  # nobody knows
        (risen(mean=(9, 1), a=(100, 0)), None),  # all of a few rows are right: that is no certainty
        ((), None),
    ],
)
def test_groups_that_surely_gained_where_rows_doubled_are_named_with_their_gain(found, step) -> None:
    assert next_steps(summary(label_issues=None, rises=found)) == (() if step is None else (step,))
