"""Freed memory: where the process is ours, it is not returned to the system after every step.

glibc takes a large tensor from the system and returns it as soon as it is freed, so that each step of training pays
again for the pages of its activations: a tenth of its time, and more for methods with two graphs
(`benchmarks/allocator.py`). Training needs the memory that it frees again for the next batch.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of mallopt(3)
LARGEST = 48 * 2**20  # a tensor above this, such as a column of many rows, is still returned at once
KEPT = 2**31  # bytes


def keep_freed_memory() -> bool:
    """Keep up to 2 GiB of freed memory for this process; return whether this C library can.

    Arrow, where it is not loaded yet, takes its memory from there too. Its own pool would keep columns that are no
    longer used.
    """
    mallopt = _of_libc("mallopt")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    return mallopt is not None and bool(mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, KEPT - 1))


def give_back() -> None:
    """Return the free memory to the system, after a large computation that training will not repeat."""
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_libc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
