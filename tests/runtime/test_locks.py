"""The lock of a folder leaves the user's own files alone."""

from pathlib import Path

from skedastic.runtime.locks import LOCK, locked


def test_a_file_of_the_users_own_stays(tmp_path: Path) -> None:
    mine = tmp_path / "lock"
    mine.write_text("mine")
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert mine.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
