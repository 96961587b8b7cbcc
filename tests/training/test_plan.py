"""The time left is of the whole job: of all parts of its plan."""

import pytest

from skedastic.training.plan import Part, TimeLeft, in_words

PLAN = (Part("estimate 1/2", 2, 50), Part("estimate 2/2", 2, 50), Part("train", 10, 100))


class Clock:
    """A clock that goes on when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def told(plan, *steps):
    """Return the seconds left after each step: (seconds that it took, part, done, of)."""
    clock = Clock()
    left, seconds = TimeLeft(plan, clock), []
    for took, *step in steps:
        clock.now += took
        seconds.append(left.seconds(*step))
    return seconds


def test_all_parts_count_from_the_first_step_on() -> None:
    first, second, third, last, end = told(
        PLAN,
        (1, "estimate 1/2", 1, 2),  # 1 s for 50 rows: 1 + 2 × 1 + 10 × 2
        (1, "estimate 1/2", 2, 2),
        (1, "estimate 2/2", 1, 2),
        (30, "train", 1, 10),  # slower by far than the estimate
        (270, "train", 10, 10),
    )
    assert (first, second, third, last, end) == (23, 22, 21, 270, 0)


def test_a_resumed_part_is_measured_from_where_it_goes_on() -> None:
    assert told(PLAN, (3, "train", 8, 10), (3, "train", 9, 10)) == [6, 3]


def test_a_part_that_is_not_planned_is_the_last() -> None:
    assert told((), (5, "5 seeds", 0, 5), (7, "5 seeds", 1, 5)) == [None, 28]
    assert told(PLAN, (2, "again", 1, 4)) == [6]


def test_where_the_plan_has_seconds_later_parts_are_as_much_slower_as_this_one() -> None:
    plan = (Part("plain", 2, 50, seconds=2), Part("har", 2, 50, seconds=4), Part("trees", 1, 50, False, seconds=1))
    assert told(plan, (1, "plain", 1, 2), (1, "plain", 2, 2), (4, "har", 1, 2)) == [1 + 5, 5, 4 + 2]
    assert told(plan, (3, "plain", 1, 2)) == [3 + 15]
    assert told((*plan[:1], Part("har", 2, 100)), (1, "plain", 1, 2)) == [1 + 4]  # of one nothing was measured


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "about 1 s"), (89, "about 89 s"), (170, "about 3 min"), (9000, "about 2.5 h")]
)
def test_words(seconds, words) -> None:
    assert in_words(seconds) == words
