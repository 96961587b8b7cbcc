"""Noise cleaning under uniform label noise: 40 % of the labels are wrong, and plain training learns them by heart."""

import pytest

from skedastic.config import make_method
from tests.behaviour.worlds import Blobs, gain

NOISY = Blobs(noise="uniform:0.4")


@pytest.mark.parametrize(
    ("method", "margin"),
    [
        ("co-teaching", 0.05),
        ("co-teaching(forget_rate=0.4)", 0.05),
        ("elr", 0.05),
        ("elr(top_k=2)", 0.05),
    ],
)
def test_it_beats_plain_training_under_uniform_noise(method, margin):
    assert gain(make_method(method, {}), NOISY)["low"] > margin
