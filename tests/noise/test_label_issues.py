"""Label issues: flipped labels come first, and nothing odd in the data stops the search."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from skedastic.noise.label_issues import COLUMNS, find_label_issues, first_of_groups, rank_label_issues
from skedastic.noise.true_labels import true_labels
from skedastic.noise.wrong_labels import ruled_out
from tests.support.refusals import refused


def flipped(
    n: int = 600, classes: int = 5, share: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities that lean to the clean label, the given labels, and which of these are flipped."""
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 3 * np.eye(classes)[clean]
    wrong = rng.random(n) < share
    given = np.where(wrong, (clean + rng.integers(1, classes, n)) % classes, clean)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), given, wrong


def search(p: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    return find_label_issues(p, y, 1000 + np.arange(len(y)), [f"class {c}" for c in range(p.shape[1])])


def test_flipped_labels_come_first() -> None:
    p, given, wrong = flipped()
    ranked = search(p, given)
    wrong_in_order = wrong[ranked["index"] - 1000]
    issues = ranked["is_issue"].to_numpy()
    assert wrong_in_order[:60].mean() > 0.9
    assert wrong_in_order[issues].mean() > 0.7  # of the labels called wrong; 0.2 by chance
    assert wrong_in_order[issues].sum() > 0.6 * wrong.sum()


def test_columns_hold_what_their_names_say() -> None:
    p, given, _ = flipped(50)
    ranked = search(p, given)
    assert tuple(ranked.columns) == COLUMNS
    assert ranked["rank"].tolist() == list(range(1, 51))
    assert ranked["score"].is_monotonic_increasing
    assert ranked["score"].between(0, 1).all()
    assert ranked["is_issue"].dtype == bool
    assert (ranked["is_issue"] == (ranked["rank"] <= ranked["is_issue"].sum())).all()
    posterior = true_labels(p, given, np.zeros(50, dtype=np.int64)).posterior
    for row in ranked.to_dict("records"):
        example = row["index"] - 1000
        likely = posterior[example]
        best = max((c for c in range(5) if c != given[example]), key=lambda c: likely[c])
        assert (row["given"], row["suggested"]) == (f"class {given[example]}", f"class {best}")
        np.testing.assert_allclose((row["p_given"], row["p_suggested"]), p[example, [given[example], best]])
        np.testing.assert_allclose(row["score"], (50 * likely[given[example]] + 1) / 52)  # no surer than 50 labels
    right = posterior[np.arange(50), given]
    assert ranked["is_issue"].sum() == round(float((1 - right).sum()))


def test_the_direction_of_noise_is_told() -> None:
    """40 % of class 0 are given as 1, and nothing the other way: an unsure example is suspect as a 1, not as a 0."""
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 3, 3000)
    given = np.where((clean == 0) & (rng.random(3000) < 0.4), 1, clean)
    noisy = np.array([[0.6, 0.4, 0], [0, 1, 0], [0, 0, 1]])
    p = (0.9 * np.eye(3) + 0.1 / 3)[clean] @ noisy  # as a model would learn it
    ranked = search(p, given)
    right = clean[ranked["index"] - 1000]
    wrong = right != ranked["given"].str[-1].astype(int).to_numpy()
    assert wrong[: wrong.sum()].mean() == 1.0
    assert (ranked["suggested"][: wrong.sum()] == "class 0").all()
    assert ranked.loc[ranked["given"] == "class 0", "score"].median() > 0.9
    assert ranked["score"][wrong].max() < 0.5


def test_clean_labels_are_hardly_ever_accused() -> None:
    p, given, _ = flipped(share=0.0)
    assert search(p, given)["is_issue"].mean() < 0.1


def test_examples_never_held_out_are_left_out() -> None:
    p, given, _ = flipped(100)
    p[::2] = np.nan
    ranked = search(p, given)
    assert sorted(ranked["index"]) == [1000 + i for i in range(1, 100, 2)]
    p[:] = np.nan
    assert len(search(p, given)) == 0
    assert tuple(search(p, given).columns) == COLUMNS


def test_a_class_that_no_label_names_is_never_suggested() -> None:
    p, given, _ = flipped(300)
    given[given == 2] = 3
    ranked = search(p, given)
    assert len(ranked) == 300
    assert not (ranked["suggested"] == "class 2").any()
    assert ranked["is_issue"].any()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_few_examples(n: int, classes: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(10):
            p, given, _ = flipped(n, classes, seed=seed)
            ranked = search(p, given)
            assert len(ranked) == n
            assert ranked["score"].notna().all()


def test_one_class_accuses_nobody() -> None:
    p, _, _ = flipped(20)
    for given in (0, 3):
        assert not search(p, np.full(20, given))["is_issue"].any()


def test_rounding_in_the_probabilities_is_no_error() -> None:
    p, given, _ = flipped(100)
    p[0] = [1.0004, -0.0004, 0, 0, 0]
    assert search(p.astype(np.float16), given)["score"].between(0, 1).all()


@pytest.mark.parametrize(
    ("p", "y", "classes", "argument", "value"),
    [
        ([[1.0]], [0], ["a"], ": classes", ["a"]),
        ([[0.5, 0.5]], [0, 1], ["a", "b"], "", "[1, 2], [2], [2]"),
        ([[0.5, 0.5]], [2], ["a", "b"], ": labels", 2),
        ([[0.5, 0.5]], [-1], ["a", "b"], ": labels", -1),
        ([[0.5, 0.5], [3.5, -2.5]], [0, 0], ["a", "b"], ": probabilities", 3.5),
    ],
)
def test_impossible_arguments_are_refused(
    p: list[list[float]], y: list[int], classes: list[str], argument: str, value: object
) -> None:
    with refused(f"find_label_issues{argument}", value):
        find_label_issues(p, y, np.arange(len(y)), classes)


def test_of_a_group_no_more_are_called_than_its_share() -> None:
    p, given, _ = flipped(300)
    posterior = true_labels(p, given, np.zeros(300, dtype=np.int64)).posterior
    number, group = np.arange(300), np.arange(300) % 3
    first = first_of_groups(posterior, given, number, group, np.array([1.0, 0.05, 0.0]))
    assert [int(first[group == g].sum()) for g in range(3)] == [100, 5, 0]
    score = posterior[number, given]
    assert score[(group == 1) & first].max() <= score[(group == 1) & ~first].min()
    names = [f"class {c}" for c in range(5)]
    ranked = rank_label_issues(posterior, p, given, number, names, stands=first)
    before = search(p, given)
    assert (ranked["index"] + 1000).tolist() == before["index"].tolist(), "all are ranked as before"
    assert ranked["is_issue"].tolist() == before["is_issue"].tolist(), "and to be checked"
    called = ranked["index"][ranked["by_estimate"]].to_numpy()
    assert len(called) == round(float((1 - score)[first].sum())) < before["is_issue"].sum()
    assert first[called].all()
    may_be = ruled_out(p, given)
    fewer = rank_label_issues(posterior, p, given, number, names, may_be, first)
    assert (fewer["is_issue"] == ranked["is_issue"] & may_be[fewer["index"]]).all()
    assert (fewer["by_estimate"] == ranked["by_estimate"] & may_be[fewer["index"]]).all()


def test_a_label_is_ruled_out_below_a_tenth_of_the_predicted_class() -> None:
    p = np.array([[0.1, 0.89, 0.01], [0.091, 0.9, 0.009], [0.05, 0.4, 0.55], [0.06, 0.39, 0.55]])
    assert ruled_out(p, np.zeros(4, dtype=np.int64)).tolist() == [False, False, True, False]
    assert ruled_out(p, np.full(4, 2)).tolist() == [True, True, False, False]
