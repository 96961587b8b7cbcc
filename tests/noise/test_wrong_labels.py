"""The share of wrong labels: it holds the truth where it is shown, and is withheld where errors are the model's."""

import numpy as np
import pytest

from skedastic.noise.wrong_labels import FEW, OWN_ERRORS, wrong_labels


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


@pytest.mark.parametrize("noise", [[0.0, 0.0, 0.0], [0.2, 0.2, 0.2], [0.3, 0.05, 0.1]])
def test_where_the_model_is_good_the_interval_holds_the_truth(noise) -> None:
    p, y, clean, fold = made(noise, 0.05)
    figures, reasons = wrong_labels([p, p], y, fold, y, 3)
    assert reasons == ["", "", ""]
    for c, figure in enumerate(figures):
        assert figure.low <= (clean[y == c] != c).mean() <= figure.high
        assert figure.low <= figure.mean <= figure.high
        assert figure.high - figure.low <= 0.3


def test_errors_of_the_model_are_not_called_wrong_labels() -> None:
    p, y, _, fold = made([0.0, 0.0, 0.0], 0.35)
    assert wrong_labels([p, p], y, fold, y, 3) == ([None] * 3, [OWN_ERRORS] * 3)


def test_readings_that_part_give_no_share() -> None:
    p, y, _, fold = made([0.1, 0.1, 0.1], 0.05)
    other = p[:, [1, 0, 2]]
    assert all(figure is None for figure in wrong_labels([p, other], y, fold, y, 3)[0][:2])


def test_few_rows_give_no_share() -> None:
    p, y, _, fold = made([0.1, 0.1, 0.1], 0.02)
    group = np.r_[np.zeros(29, int), np.ones(2971, int)]
    figures, reasons = wrong_labels([p, p], y, fold, group, 3)
    assert (figures[0], reasons[0]) == (None, FEW)
    assert figures[1] is not None
    assert figures[2] is None  # a group without rows
