"""BatchNorm over processes against that of the whole batch; gathering, cutting and drawing, in real processes."""

import pytest

from tests.support.ranks import in_processes

PARTS = [(2, part) for part in ("normalizes", "twice", "dual", "gathers", "draws", "sums")]


@pytest.mark.parametrize(("ranks", "part"), [*PARTS, (3, "normalizes"), (3, "gathers")])
def test_processes_find_what_they_check(ranks, part) -> None:
    """The program asserts; a process that fails fails this."""
    in_processes(ranks, "tests.core.spread_program", part)
