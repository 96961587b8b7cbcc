"""Figures with their intervals, as tables show them."""

import pytest

from skedastic.cli.figures import interval
from skedastic.data import Classes
from skedastic.evaluation.metric import metric_of


@pytest.mark.parametrize(
    ("mean", "low", "high", "shown"),
    [
        (0.996, 0.9952, 0.9968, "99.6 (99.5–99.7)"),
        (0.0, 0.0, 0.0004, "0.0 (0.0–0.0)"),
        (0.5, 0.42, 0.58, "50.0 (42–58)"),
        (0.998, 0.98, 1.0, "99.8 (98–100)"),
        (0.5, None, None, "50.0 %"),
    ],
)
def test_a_figure_is_not_outside_its_own_interval(mean, low, high, shown) -> None:
    assert interval(mean, low, high, metric_of(Classes(("a", "b")))) == shown
