"""The lock of a folder leaves the user's own files alone, and its holder is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from skedastic.runtime.locks import LOCK, holder, locked


def test_a_file_of_the_users_own_stays(tmp_path: Path) -> None:
    mine = tmp_path / "lock"
    mine.write_text("mine")
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert mine.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="the system is asked as Linux is")
def test_who_holds_a_lock_is_told_without_a_change(tmp_path: Path) -> None:
    assert holder(tmp_path) == ""
    script = f"""
import signal
from pathlib import Path
from skedastic.runtime.locks import locked
with locked(Path({str(tmp_path)!r})):
    print("held", flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert holder(tmp_path).startswith(f"process {other.pid} on ")
        assert holder(tmp_path).startswith(f"process {other.pid} on "), "asking has not let it go"
        other.kill()
    assert (tmp_path / LOCK).exists()
    assert holder(tmp_path) == ""
    with locked(tmp_path):
        assert holder(tmp_path) == "this process"
