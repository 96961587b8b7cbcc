"""Rows in blocks: what is as large as the probabilities [n, C] in float64 is never whole in memory."""

from __future__ import annotations

from collections.abc import Iterator

CELLS = 2**18  # of a block: 2 MiB in float64, which stays in the cache


def blocks(n: int, width: int) -> Iterator[slice]:
    """Yield the rows 0..n-1 in order, so many at a time that a block has at most `CELLS` cells, or is one row.

    Parameters
    ----------
    n : int
        The number of rows.
    width : int
        The cells of a row.
    """
    size = max(1, CELLS // max(1, width))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
