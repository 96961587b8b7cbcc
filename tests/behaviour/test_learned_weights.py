"""Reweighting by learning: 40 % of the labels are wrong, and there are twenty trusted examples of each class."""

import pytest

from skedastic.config import make_method
from tests.behaviour.worlds import Blobs, gain

NOISY = Blobs(noise="uniform:0.4", trusted=20)


@pytest.mark.parametrize("method", ["l2rw", "mw-net"])
def test_it_beats_plain_training_under_uniform_noise(method):
    assert gain(make_method(method, {}), NOISY)["low"] > 0.05
