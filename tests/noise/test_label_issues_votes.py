"""Label issues of annotators: the labels that are voted against, whoever named them."""

import numpy as np

from skedastic.noise.label_issues import COLUMNS
from skedastic.noise.label_issues_votes import find_vote_issues

SHARES = np.array([[1.0, 0, 0], [0.25, 0.75, 0], [0.5, 0.5, 0], [0.2, 0.4, 0.4], [0, 0, 1]])


def test_the_most_disputed_labels_come_first() -> None:
    issues = find_vote_issues(SHARES, [0, 0, 0, 2, 1], np.arange(10, 15), ["a", "b", "c"])
    assert tuple(issues.columns) == COLUMNS
    assert issues["rank"].tolist() == [1, 2, 3, 4, 5]
    assert issues["index"].tolist() == [14, 11, 13, 12, 10]
    assert issues["given"].tolist() == ["b", "a", "c", "a", "a"]
    assert issues["suggested"].tolist() == ["c", "b", "b", "b", "b"]
    assert issues["score"].tolist() == issues["p_given"].tolist() == [0, 0.25, 0.4, 0.5, 1]
    assert issues["p_suggested"].tolist() == [1, 0.75, 0.4, 0.5, 0]
    assert issues["is_issue"].tolist() == [True, True, False, False, False], "a tie is none"


def test_the_majoritys_own_labels_are_no_issues() -> None:
    issues = find_vote_issues(SHARES, SHARES.argmax(1), np.arange(5), ["a", "b", "c"])
    assert not issues["is_issue"].any()
    assert issues["score"].is_monotonic_increasing
