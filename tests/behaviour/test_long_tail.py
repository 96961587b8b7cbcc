"""Six classes, the most frequent with fifty times the examples of the rarest: plain training gives the rare ones away."""

import pytest

from skedastic.config import make_method
from skedastic.evaluate import paired
from skedastic.methods.erm import ERM
from tests.behaviour.worlds import BUDGET, SEEDS, Blobs, mlp, plain, rare

TAIL = Blobs(imbalance="longtail:50", classes=6, n=1800, apart=2.5)


def gains(name: str) -> tuple[float, float]:
    """Return the lower ends of what a method gains over plain training: of all classes, and of the two rarest."""
    ours, theirs = (
        [plain(method, TAIL, seed, BUDGET, mlp) for seed in range(SEEDS)] for method in (make_method(name, {}), ERM())
    )
    found = [
        paired([measure(m) for m in ours], [measure(m) for m in theirs])["low"]
        for measure in (lambda m: m["overall"]["accuracy"], rare(2))
    ]
    return found[0], found[1]


@pytest.mark.parametrize(("method", "overall", "of_rare"), [("bbn", 0.015, 0.03)])
def test_it_beats_plain_training_on_a_long_tail(method, overall, of_rare):
    found = gains(method)
    assert found[0] > overall
    assert found[1] > of_rare
