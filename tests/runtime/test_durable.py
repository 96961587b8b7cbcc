"""Files are synced where the system can do that, be they read-only."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skedastic.runtime.durable import sync_file, sync_tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux's files")


def test_a_file_that_can_only_be_read_is_synced(tmp_path: Path) -> None:
    """A program that runs can't be opened to write, not even by root."""
    program = tmp_path / "sleep"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "300"]) as running:
        try:
            with pytest.raises(OSError, match="busy"):
                program.open("r+b")
            sync_tree(tmp_path)
        finally:
            running.kill()


def test_a_file_of_a_system_that_syncs_none_is_passed_over() -> None:
    sync_file(Path("/proc/self/status"))
