"""Label issues: flipped labels come first, and nothing odd in the data stops the search."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from skedastic.noise.confident_joint import confident_joint
from skedastic.noise.label_issues import COLUMNS, find_label_issues, first_of_groups, rank_label_issues
from skedastic.noise.true_labels import true_labels
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
    assert ranked["score"].between(0, 1).all()
    assert ranked["is_issue"].dtype == bool
    assert (ranked["is_issue"] == (ranked["rank"] <= ranked["is_issue"].sum())).all()
    fold = np.zeros(50, dtype=np.int64)
    posterior = true_labels(p, given, fold).by.posterior(p, given, fold)
    for row in ranked.to_dict("records"):
        example = row["index"] - 1000
        likely = posterior[example]
        best = max((c for c in range(5) if c != given[example]), key=lambda c: likely[c])
        assert (row["given"], row["suggested"]) == (f"class {given[example]}", f"class {best}")
        np.testing.assert_allclose((row["p_given"], row["p_suggested"]), p[example, [given[example], best]])
        np.testing.assert_allclose(row["score"], (50 * likely[given[example]] + 1) / 52)  # no surer than 50 labels


def test_classes_take_turns_and_each_is_in_the_order_of_its_scores() -> None:
    """Against the rule written out: the k-th label of a class is at (k − ½) / m, and is to be checked up to 1."""
    p, given, _ = flipped(300)
    fold = np.zeros(300, dtype=np.int64)
    ranked, right = search(p, given), true_labels(p, given, fold).right
    place: dict[int, float] = {}
    for c in range(5):
        own = ranked[ranked["given"] == f"class {c}"]
        assert own["score"].is_monotonic_increasing
        others = sum(confident_joint(p, given, fold)[z, c] for z in range(5) if z != c)
        m = sum(1 - right[i] for i in np.flatnonzero(given == c)) + others / 10
        place |= {row: (k + 0.5) / m for k, row in enumerate(own["index"])}
        assert int(own["is_issue"].sum()) == np.floor(m + 0.5)
    assert ranked["index"].tolist() == sorted(place, key=place.__getitem__)


def test_equal_labels_are_ranked_by_their_number() -> None:
    p = np.tile([[0.7, 0.3], [0.3, 0.7]], (20, 1))
    given = np.repeat([0, 1], 20)
    ranked = search(p, given)
    for name in ("class 0", "class 1"):
        for _, equal in ranked[ranked["given"] == name].groupby("score"):
            assert equal["index"].is_monotonic_increasing
    again = find_label_issues(p[::-1], given[::-1], 1039 - np.arange(40), ["class 0", "class 1"])
    assert again["index"].tolist() == ranked["index"].tolist(), "the order of the rows has no part in it"


def one_way(seed: int, n: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what halves learn of a rare, hard class of which 30 % are given as the other; labels, and the truth."""
    rng = np.random.default_rng(seed)
    clean = (rng.random(n) < 0.2).astype(np.int64)
    x = rng.normal(size=(n, 1)) + clean[:, None]
    given = np.where((clean == 1) & (rng.random(n) < 0.3), 0, clean)
    p, first = np.zeros((n, 2)), np.arange(n) < n // 2
    for half in (first, ~first):
        p[half] = LogisticRegression().fit(x[~half], given[~half]).predict_proba(x[half])
    return p, given, clean


@pytest.mark.parametrize("seed", range(3))
def test_wrong_labels_of_a_frequent_class_are_found_beside_a_rare_class_that_is_hard(seed) -> None:
    """By the score alone none of them was among the labels to check, which were all of the rare class."""
    p, given, clean = one_way(seed)
    ranked = search(p, given)
    wrong = (clean != given)[ranked["index"] - 1000]
    frequent, listed = (ranked["given"] == "class 0").to_numpy(), ranked["is_issue"].to_numpy()
    assert wrong.sum() > 100
    assert wrong[frequent].sum() == wrong.sum()
    assert wrong[listed].sum() >= 15
    assert wrong[:50].sum() >= 5
    assert wrong[listed & frequent].mean() > 2 * wrong[frequent].mean(), "more often than by chance"


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
    fold = np.zeros(300, dtype=np.int64)
    truth = true_labels(p, given, fold)
    number, group = np.arange(300), np.arange(300) % 3
    first = first_of_groups(truth.right, number, group, np.array([1.0, 0.05, 0.0]))
    assert [int(first[group == g].sum()) for g in range(3)] == [100, 5, 0]
    score = truth.right
    assert score[(group == 1) & first].max() <= score[(group == 1) & ~first].min()
    names = [f"class {c}" for c in range(5)]
    ranked = rank_label_issues(truth, p, given, fold, number, names, stands=first)
    before = search(p, given)
    assert (ranked["index"] + 1000).tolist() == before["index"].tolist(), "all are ranked as before"
    assert ranked["is_issue"].tolist() == before["is_issue"].tolist(), "and to be checked"
    called = ranked["index"][ranked["by_estimate"]].to_numpy()
    assert 5 < len(called) < before["is_issue"].sum()
    assert first[called].all()
    assert (score[called] < 0.5).all(), "each is more likely wrong than right"


def test_of_each_class_a_share_is_to_be_checked() -> None:
    p, given, _ = flipped(600)
    fold = np.zeros(600, dtype=np.int64)
    truth = true_labels(p, given, fold)
    names = [f"class {c}" for c in range(5)]
    every, half = (rank_label_issues(truth, p, given, fold, np.arange(600), names, part) for part in (1.0, 0.5))
    assert half["index"].tolist() == every["index"].tolist()
    for name in names:
        counts = [int(found["is_issue"][found["given"] == name].sum()) for found in (every, half)]
        assert abs(counts[1] - counts[0] / 2) <= 0.5 + 1e-9


def test_of_a_class_of_few_labels_none_is_to_be_checked_without_reason() -> None:
    p, given, _ = flipped(300, classes=3, share=0.0)
    p, given = np.r_[p, [[0.2, 0.2, 0.6]] * 2], np.r_[given, 2, 2]
    assert search(p, given)["is_issue"].mean() < 0.1
    rare = np.c_[p, np.full(302, 0.01)] / 1.01
    rare[-2:] = (0.1, 0.1, 0.1, 0.7)
    ranked = find_label_issues(rare, np.r_[given[:-2], 3, 3], np.arange(302), [*"abcd"])
    assert not ranked["is_issue"][ranked["given"] == "d"].any()
