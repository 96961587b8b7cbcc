"""Suspects: flipped labels come first, and nothing odd in the data stops the search."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from skedastic.errors import UserError
from skedastic.suspects import COLUMNS, find_suspects


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
    return find_suspects(p, y, 1000 + np.arange(len(y)), [f"class {c}" for c in range(p.shape[1])])


def test_flipped_labels_come_first() -> None:
    p, given, wrong = flipped()
    found = search(p, given)
    wrong_in_order = wrong[found["index"] - 1000]
    issues = found["is_issue"].to_numpy()
    assert wrong_in_order[:60].mean() > 0.9
    assert wrong_in_order[issues].mean() > 0.7  # of the labels called wrong; 0.2 by chance
    assert wrong_in_order[issues].sum() > 0.6 * wrong.sum()


def test_columns_say_what_they_are_named() -> None:
    p, given, _ = flipped(50)
    found = search(p, given)
    assert tuple(found.columns) == COLUMNS
    assert found["rank"].tolist() == list(range(1, 51))
    assert found["score"].is_monotonic_increasing
    assert found["score"].between(0, 1).all()
    assert found["is_issue"].dtype == bool
    assert (found["is_issue"] == (found["rank"] <= found["is_issue"].sum())).all()
    for row in found.to_dict("records"):
        example = row["index"] - 1000
        others = [c for c in range(5) if c != given[example]]
        best = max(others, key=lambda c: p[example, c])
        assert (row["given"], row["suggested"]) == (f"class {given[example]}", f"class {best}")
        np.testing.assert_allclose((row["p_given"], row["p_suggested"]), p[example, [given[example], best]])
        np.testing.assert_allclose(row["score"], (p[example, given[example]] - p[example, best] + 1) / 2)


def test_clean_labels_are_hardly_ever_accused() -> None:
    p, given, _ = flipped(share=0.0)
    assert search(p, given)["is_issue"].mean() < 0.1


def test_examples_never_held_out_are_left_out() -> None:
    p, given, _ = flipped(100)
    p[::2] = np.nan
    found = search(p, given)
    assert sorted(found["index"]) == [1000 + i for i in range(1, 100, 2)]
    p[:] = np.nan
    assert len(search(p, given)) == 0
    assert tuple(search(p, given).columns) == COLUMNS


def test_a_class_that_no_label_names_can_be_suggested() -> None:
    p, given, _ = flipped(300)
    given[given == 2] = 3
    found = search(p, given)
    assert len(found) == 300
    assert (found["suggested"] == "class 2").any()
    assert not (found["given"] == "class 2").any()
    assert found["is_issue"].any()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_few_examples(n: int, classes: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(10):
            p, given, _ = flipped(n, classes, seed=seed)
            found = search(p, given)
            assert len(found) == n
            assert found["score"].notna().all()


def test_one_class_accuses_nobody() -> None:
    p, _, _ = flipped(20)
    for given in (0, 3):
        assert not search(p, np.full(20, given))["is_issue"].any()


def test_rounding_in_the_probabilities_is_no_error() -> None:
    p, given, _ = flipped(100)
    p[0] = [1.0004, -0.0004, 0, 0, 0]
    assert search(p.astype(np.float16), given)["score"].between(0, 1).all()


@pytest.mark.parametrize(
    ("p", "y", "classes", "said"),
    [
        ([[1.0]], [0], ["a"], "at least 2 classes"),
        ([[0.5, 0.5]], [0, 1], ["a", "b"], r"got shapes \[1, 2\], \[2\], \[2\]"),
        ([[0.5, 0.5]], [2], ["a", "b"], r"labels must be in 0\.\.1, got 2\.\.2"),
        ([[3.5, -2.5]], [0], ["a", "b"], "softmax"),
    ],
)
def test_what_can_not_be_is_refused(p: list[list[float]], y: list[int], classes: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_suspects(p, y, np.arange(len(y)), classes)
