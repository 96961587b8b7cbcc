"""Flatness in other neighbourhoods, on few examples with wrong labels, which plain training learns by heart."""

import pytest

from skedastic.config import make_method
from tests.behaviour.worlds import Blobs, gain

NOISY = Blobs(noise="uniform:0.4")


@pytest.mark.parametrize(("method", "margin"), [("asam(rho=2)", 0.15), ("amp", 0.15)])
def test_it_beats_plain_training_under_uniform_noise(method, margin):
    assert gain(make_method(method, {}), NOISY)["low"] > margin
