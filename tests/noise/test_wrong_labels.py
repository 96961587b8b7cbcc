"""The share of wrong labels: it holds the truth where it is shown, and is withheld where errors are the model's."""

import numpy as np
import pytest

from skedastic.noise.held_out import Judged
from skedastic.noise.wrong_labels import FEW, OWN_ERRORS, UNCERTAIN, UNSURE, wrong_label_shares


def made(noise, errors, n=3000, classes=3, seed=0):
    """Return predictions of clean labels, wrong in a share `errors` of the rows: those that are least sure."""
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, classes, n)
    wrong = rng.random(n) < np.asarray(noise)[clean]
    y = np.where(wrong, (clean + rng.integers(1, classes, n)) % classes, clean)
    sure = rng.random(n)
    said = np.where(rng.random(n) < 2 * errors * (1 - sure), (clean + 1) % classes, clean)
    p = np.full((n, classes), 0.0) + (1 - (0.4 + 0.59 * sure))[:, None] / (classes - 1)
    p[np.arange(n), said] = 0.4 + 0.59 * sure
    return p, y, clean, rng.integers(0, 2, n)


def shares(readings, y, fold, group, groups):
    return wrong_label_shares(readings, Judged(y, fold, group, groups, np.arange(len(y))))


def level(percent, n=400, first=0.5):
    """Return predictions of class 0 that `percent` of the labels differ from, as often at each confidence.

    `first` is the share of the more confident half that is of group 0, of two.
    """
    y = (np.arange(n) * percent % 100 >= 100 - percent).astype(int)
    top = np.linspace(0.99, 0.51, n)
    group = np.ones(n, int)
    group[: round(first * n / 2)] = group[n // 2 : n // 2 + 100] = 0
    return np.c_[top, 1 - top], y, np.zeros(n, int), group


@pytest.mark.parametrize("noise", [[0.0, 0.0, 0.0], [0.2, 0.2, 0.2], [0.3, 0.05, 0.1]])
def test_where_the_model_is_good_the_interval_holds_the_truth(noise) -> None:
    p, y, clean, fold = made(noise, 0.05)
    figures, reasons = shares([p, p], y, fold, y, 3)
    assert reasons == ["", "", ""]
    for c, figure in enumerate(figures):
        assert figure.low <= (clean[y == c] != c).mean() <= figure.high
        assert figure.low <= figure.mean <= figure.high
        assert figure.high - figure.low <= 0.3


def test_errors_of_the_model_are_not_called_wrong_labels() -> None:
    p, y, _, fold = made([0.0, 0.0, 0.0], 0.35)
    assert shares([p, p], y, fold, y, 3) == ([None] * 3, [OWN_ERRORS] * 3)


def test_a_reading_that_disagrees_with_most_labels_gives_no_share() -> None:
    p, y, _, fold = made([0.1, 0.1, 0.1], 0.05)
    other = p[:, [1, 0, 2]]
    assert shares([p, other], y, fold, y, 3) == ([None] * 3, [OWN_ERRORS] * 3)


@pytest.mark.parametrize(("percent", "reason"), [(40, ""), (60, OWN_ERRORS)])
def test_level_disagreement_is_the_models_own_above_one_half(percent, reason) -> None:
    p, y, fold, group = level(percent)
    assert shares([p, p], y, fold, group, 2)[1] == [reason] * 2


def test_readings_that_part_give_an_interval_that_is_too_wide() -> None:
    p, y, fold, _ = level(5)
    other = p.copy()
    other[::3] = other[::3, ::-1]  # a third is put into the other class, at each confidence
    figures, reasons = shares([p, other], y, fold, y * 0, 1)
    assert (figures, reasons) == ([None], [UNCERTAIN])
    assert shares([p, p], y, fold, y * 0, 1)[1] == [""]


@pytest.mark.parametrize(("confident", "reason"), [(9, UNSURE), (10, "")])
def test_a_group_of_few_confident_rows_gets_no_share(confident, reason) -> None:
    p, y, fold, group = level(0, first=confident / 200)
    assert shares([p, p], y, fold, group, 2)[1] == [reason, ""]


def test_an_interval_is_no_more_exact_than_it_is_shown() -> None:
    p, y, fold, group = level(25, n=200_000)
    [figure], [reason] = shares([p, p], y, fold, group * 0, 1)
    assert reason == ""
    assert figure.low < 0.246
    assert figure.high > 0.2515 + 0.0045


def test_few_rows_give_no_share() -> None:
    p, y, _, fold = made([0.1, 0.1, 0.1], 0.02)
    group = np.r_[np.zeros(29, int), np.ones(2971, int)]
    figures, reasons = shares([p, p], y, fold, group, 3)
    assert (figures[0], reasons[0]) == (None, FEW)
    assert figures[1] is not None
    assert figures[2] is None  # a group without rows
