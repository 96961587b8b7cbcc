"""What fails or differs in one process alone: all go the same way, or none does, and a line says so."""

import pytest

from tests.support.ranks import in_processes

pytestmark = pytest.mark.slow


def ends(folder, what: str) -> list[str]:
    in_processes(2, "tests.ranks.failing_program", folder, what)
    return [(folder / f"{rank}.txt").read_text() for rank in (0, 1)]


def test_a_trial_that_fails_in_one_process_is_left_out_in_all(tmp_path) -> None:
    first, other = ends(tmp_path, "memory")
    assert first == other
    assert first.endswith("|True")


def test_other_features_in_one_process_are_refused(tmp_path) -> None:
    assert all("other data" in said for said in ends(tmp_path, "features"))


def test_a_network_that_takes_a_path_at_random_is_noticed(tmp_path) -> None:
    assert all("no longer have the same network" in said for said in ends(tmp_path, "paths"))
