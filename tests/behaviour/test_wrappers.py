"""Flatness and mixtures, on few examples with wrong labels, which plain training learns by heart."""

import pytest

from skedastic.config import make_method
from tests.behaviour.worlds import Blobs, gain

NOISY = Blobs(noise="uniform:0.4")


@pytest.mark.parametrize(("method", "margin"), [("sam(rho=0.5)", 0.05), ("mixup", 0.03)])
def test_it_beats_plain_training_under_uniform_noise(method, margin):
    assert gain(make_method(method, {}), NOISY)["low"] > margin


def test_around_a_method_that_helps_it_helps_no_less():
    """SAM around ELR: both are for wrong labels, and together they lose nothing that ten seeds could show."""
    together = gain(make_method("sam(base=elr)", {}), NOISY, against=make_method("elr", {}))
    assert together["high"] > 0
