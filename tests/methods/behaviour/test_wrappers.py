"""Methods around methods that help by themselves."""

import pytest

from skedastic.settings.methods import make_method
from tests.support.worlds import Blobs, gain

NOISY = Blobs(noise="uniform:0.4")


@pytest.mark.slow
def test_around_a_method_that_helps_it_helps_no_less() -> None:
    """SAM around ELR: both are for wrong labels, and together they lose nothing that ten seeds could show."""
    together = gain(make_method("sam(base=elr)", {}), NOISY, against=make_method("elr", {}))
    assert together["high"] > 0
