"""How many labels of each class are to check, and how many of these are wrong at the least."""

from types import SimpleNamespace

import pandas as pd
import pytest

from skedastic.runs.label_issues import by_class_sentence, issues_of_classes
from tests.runs.test_next_steps import issues, summary


def test_classes_have_their_counts_the_most_to_check_first() -> None:
    found = issues_of_classes(summary())
    assert [tuple(of) for of in found] == [("c", 50, 20, 0), ("b", 40, 12, 3), ("a", 90, 9, 8)]
    assert by_class_sentence(found) == (
        "By the given label: c 20 of 50; b 12 of 40 (at least 3 wrong); a 9 of 90 (at least 8 wrong)."
    )


def test_a_class_of_which_none_is_to_check_is_not_named_and_one_alone_is_no_list() -> None:
    found = issues_of_classes(summary(label_issues=issues(a=(90, 9, 0), b=(40, 0, 0))))
    assert [of.name for of in found] == ["a"]
    assert by_class_sentence(found) == ""


@pytest.mark.parametrize("found", [None, issues(a=(90, 30, 0), b=(40, 3, 0)).drop(columns="by_estimate")])
def test_where_no_model_judges_labels_nothing_is_said(found) -> None:
    assert issues_of_classes(summary(label_issues=found)) == []
    assert by_class_sentence([]) == ""


def test_at_most_eight_classes_are_named() -> None:
    names = [f"g{i}" for i in range(11)]
    found = pd.concat([issues(**{name: (20, 1 + i, 0)}) for i, name in enumerate(names)], ignore_index=True)
    of = SimpleNamespace(label_issues=found, wrong_count=0, classes=tuple(names), class_count=[20] * 11)
    said = by_class_sentence(issues_of_classes(of))
    assert said.startswith("By the given label: g10 11 of 20; g9 10 of 20;")
    assert said.endswith("g3 4 of 20; and 3 more classes.")
