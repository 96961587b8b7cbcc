"""BatchNorm over processes against that of the whole batch; gathering, cutting and drawing, in real processes."""

import pytest

from tests.support.ranks import in_processes


@pytest.mark.parametrize("part", ["normalizes", "twice", "dual", "gathers", "draws", "sums"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_processes(part, ranks) -> None:
    if ranks == 3 and part not in ("normalizes", "gathers"):
        pytest.skip("two are enough")
    in_processes(ranks, "tests.core.spread_program", part)
