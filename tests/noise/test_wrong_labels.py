"""What is shown of wrong and uncertain labels, and why a figure is withheld."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from skedastic.core.strengths import GroupStats
from skedastic.noise.wrong_labels import (
    FEW,
    GIVEN_UP,
    LIKE_ANOTHER,
    MOST_LABELS,
    MOST_OF_A_GROUP,
    MOST_OWN,
    MOSTLY,
    MUCH_SURER,
    OF_ALL,
    OF_BOTH,
    OVERCONFIDENT,
    OWN_ERRORS,
    SLACK,
    UNCERTAIN,
    WIDEST,
    shown_rates,
    told_by_test,
    trusted,
)

COUNT = torch.tensor([100, 100])
ALL_THERE = GroupStats(
    names=("a", "b"),
    count=COUNT,
    density=COUNT / 200,
    errors=torch.tensor([20, 30]),
    counted=COUNT,
    uncertainty=torch.tensor([0.05, 0.3]),
    uncertainty_low=torch.tensor([0.0, 0.25]),
    uncertainty_high=torch.tensor([0.1, 0.35]),
    wrong=torch.tensor([0.1, 0.25]),
    wrong_low=torch.tensor([0.05, 0.2]),
    wrong_high=torch.tensor([0.15, 0.3]),
)


def test_both_quantities_are_shown_with_their_intervals() -> None:
    for quantity, mean in (("wrong", 0.1), ("uncertainty", 0.05)):
        (first, _), reasons = shown_rates(ALL_THERE, quantity)
        assert reasons == ["", ""]
        assert first.mean == pytest.approx(mean)
    assert shown_rates(ALL_THERE, "wrong")[0][0].high == pytest.approx(0.15 + SLACK)
    assert shown_rates(ALL_THERE, "uncertainty")[0][0].low == 0, "no share is below 0"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"counted": torch.tensor([29, 100])}, FEW),
        ({"counted": torch.tensor([30, 100]), "errors": torch.tensor([6, 30])}, ""),
        ({"errors": torch.tensor([round(100 * (0.1 + MOST_OWN)) + 1, 30])}, OWN_ERRORS),
        ({"errors": torch.tensor([round(100 * (0.1 + MOST_OWN)) - 1, 30])}, ""),
        ({"wrong_high": torch.tensor([0.06 + WIDEST, 0.3])}, UNCERTAIN),
        ({"wrong_high": torch.tensor([0.03 + WIDEST, 0.3])}, ""),
    ],
)
def test_a_figure_that_nothing_stands_behind_is_withheld(changes, reason) -> None:
    (first, second), reasons = shown_rates(replace(ALL_THERE, **changes), "wrong")
    assert reasons == [reason, ""]
    assert (first is None) == bool(reason)
    assert second is not None


def test_a_class_that_may_be_given_up_is_withheld_where_many_errors_are_the_models_own() -> None:
    """The second class is never predicted: all of its labels look wrong."""
    changes = {
        "errors": torch.tensor([55, 100]),
        "wrong": torch.tensor([0.1, 0.95]),
        "wrong_low": torch.tensor([0.05, 0.9]),
    }
    stats = replace(ALL_THERE, **changes, wrong_high=torch.tensor([0.15, 1.0]))
    assert shown_rates(stats, "wrong")[1] == [OWN_ERRORS, OF_ALL]
    assert shown_rates(replace(stats, errors=torch.tensor([45, 95])), "wrong")[1] == [OWN_ERRORS, OF_ALL]
    less = {"wrong": torch.tensor([0.1, 0.45]), "wrong_low": torch.tensor([0.05, 0.4])}
    few = replace(stats, **less, errors=torch.tensor([55, 60]), wrong_high=torch.tensor([0.15, 0.5]))
    assert shown_rates(few, "wrong")[1] == [OWN_ERRORS, MOSTLY], "it is not given up"


def test_a_group_most_of_which_looks_like_one_other_class_is_withheld() -> None:
    for quantity in ("wrong", "uncertainty"):
        reasons = shown_rates(ALL_THERE, quantity, alike=torch.tensor([MOST_LABELS + 0.01, MOST_LABELS]))[1]
        assert reasons == [LIKE_ANOTHER, ""]


def test_nothing_is_shown_where_most_labels_are_disagreed_with() -> None:
    top = {"wrong_high": torch.tensor([0.15, 0.7])}
    most = replace(ALL_THERE, errors=torch.tensor([29, 74]), wrong=torch.tensor([0.1, 0.6]), **top)
    assert shown_rates(most, "wrong")[1] == [MOSTLY, OF_ALL]
    many = replace(ALL_THERE, errors=torch.tensor([11, 61]), wrong=torch.tensor([0.1, 0.6]), **top)
    assert shown_rates(many, "wrong")[1][1] == OF_ALL, "36 % of all, and more than half of it"
    fewer = replace(ALL_THERE, errors=torch.tensor([8, 61]), wrong=torch.tensor([0.08, 0.59]), **top)
    assert shown_rates(fewer, "wrong")[1][1] == UNCERTAIN


def test_of_two_classes_nothing_is_shown_where_the_other_ones_errors_are_the_models_own() -> None:
    """What is wrong in one of two classes comes from the other, so neither is known; groups that are no classes are."""
    own = replace(ALL_THERE, errors=torch.tensor([round(100 * (0.1 + MOST_OWN)) + 1, 30]))
    assert shown_rates(own, "wrong", of_classes=True)[1] == [OWN_ERRORS, OF_BOTH]
    assert shown_rates(ALL_THERE, "wrong", of_classes=True)[1] == ["", ""]
    untrusted = replace(ALL_THERE, errors=torch.tensor([25, 35]), wrong=torch.tensor([0.06, 0.24]))
    assert not trusted(untrusted)
    assert shown_rates(untrusted, "wrong", of_classes=True)[1] == [OF_BOTH, OF_BOTH]
    assert shown_rates(untrusted, "wrong")[1] == ["", ""]


def test_test_labels_tell_only_by_two_groups_ten_points_and_three_errors() -> None:
    assert told_by_test([(0.9, 400, 0.6, 400), (0.8, 400, 0.6, 400)]) == pytest.approx(0.25)
    assert told_by_test([(0.9, 400, 0.6, 400), (0.6, 400, 0.9, 400)]) is None, "one is easier, the other harder"
    assert told_by_test([(0.9, 400, 0.81, 400), (0.9, 400, 0.81, 400)]) is None, "9 points"
    assert told_by_test([(0.9, 30, 0.7, 30), (0.7, 30, 0.6, 30)]) is None, "too few rows"
    assert told_by_test([(0.9, 400, 0.2, 29), (0.9, 400, 0.6, 400)]) is None, "one group alone"
    assert told_by_test([]) is None


@pytest.mark.parametrize(
    ("wrong", "errors", "expected"),
    [
        ([0.0, 0.0], [0, 0], True),
        ([0.01, 0.0], [14, 6], True),
        ([0.01, 0.0], [16, 6], False),
        ([0.3, 0.25], [60, 40], True),
        ([0.3, 0.25], [61, 40], False),
        ([0.7, 0.7], [94, 95], True),
        ([0.7, 0.7], [96, 95], False),
    ],
)
def test_an_estimate_is_trusted_where_few_errors_are_the_models_own(wrong, errors, expected) -> None:
    """Up to 10 points are few, and up to 45 % of the disagreement; 25 points are too many."""
    rates = {"wrong": torch.tensor(wrong), "wrong_low": torch.zeros(2), "wrong_high": torch.ones(2)}
    assert trusted(replace(ALL_THERE, **rates, errors=torch.tensor(errors))) == expected


def test_a_class_whose_labels_nearly_all_look_wrong_may_be_given_up() -> None:
    """The other class is as easy as can be, so that little is disagreed with in all."""
    easy = {"errors": torch.tensor([65, 0]), "wrong_high": torch.tensor([0.7, 0.1])}
    for wrong, reason in ((MOST_OF_A_GROUP + 0.01, GIVEN_UP), (MOST_OF_A_GROUP - 0.01, "")):
        rates = {"wrong": torch.tensor([wrong, 0.0]), "wrong_low": torch.tensor([wrong - 0.1, 0.0])}
        assert shown_rates(replace(ALL_THERE, **easy, **rates), "wrong")[1] == [reason, ""]


def test_a_wide_interval_of_overconfident_models_has_another_reason() -> None:
    """Its lower end tells nothing, so no label may be called wrong by it."""
    wide = replace(ALL_THERE, wrong_high=torch.tensor([0.06 + WIDEST, 0.3]))
    for surer, reason in ((MUCH_SURER + 0.01, OVERCONFIDENT), (MUCH_SURER - 0.01, UNCERTAIN)):
        assert shown_rates(wide, "wrong", surer=torch.tensor([surer, 0.5]))[1] == [reason, ""]
