"""Freed memory is kept where the process is ours: by the page faults of freeing and taking again."""

import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from skedastic.runtime.allocator import keep_freed_memory
from skedastic.runtime.processes import mapped

HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PAGES = 32 * 2**20 // 4096  # of 32 MB
GLIBC = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the C library is not glibc: there is nothing to set"
)


def faults(times: int) -> int:
    """Return the page faults of this process for `times` tensors of 32 MB, one after the other."""
    for _ in range(20):  # until the allocator keeps one place
        torch.ones(8 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(8 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def in_a_new_process(first: str) -> int:
    code = f"from tests.runtime.test_allocator import faults\n{first}\nprint(faults(10))"
    return int(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()[-1]
    )


@pytest.mark.slow
@GLIBC
def test_freed_memory_is_kept() -> None:
    if not HUGE.exists() or "[always]" not in HUGE.read_text():  # of 2 MB, and a hundredth as many faults
        assert in_a_new_process("") > 5 * PAGES
    assert (
        in_a_new_process("from skedastic.runtime.allocator import keep_freed_memory; assert keep_freed_memory()")
        < PAGES
    )


@pytest.mark.slow
@GLIBC
def test_the_command_line_and_its_processes_keep_it() -> None:
    assert in_a_new_process("from skedastic.cli import main; main(['methods', 'erm'])") < PAGES
    with mapped(faults, [10, 10], 2) as counts:
        assert all(n < PAGES for n in counts)


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory()
