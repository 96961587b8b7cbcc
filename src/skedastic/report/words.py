"""Numbers and names as the report writes them."""

from __future__ import annotations

from collections.abc import Sequence

from skedastic.evaluation.metric import ABSENT
from skedastic.runtime.escaping import visible


def duration(seconds: float) -> str:
    """Return a time with its unit: seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def strength(value: float | None) -> str:
    """Return a strength to three digits."""
    return ABSENT if value is None else f"{value:#.3g}".rstrip(".")


def thousands(value: int) -> str:
    """Return a whole number with a comma at the thousands."""
    return f"{value:,}"


def to_check(count: int, wrong: int | None, noun: str = "labels") -> str:
    """Return how many labels are to check, and how many of these are wrong by estimate.

    Parameters
    ----------
    count : int
        How many are called an issue.
    wrong : int or None
        How many of these are wrong at the least, by an estimate that is shown or bounded; None where none was made.
    noun : str, optional
        What they are, in the plural.
    """
    words = f"{count:,} {noun.removesuffix('s') if count == 1 else noun} to check"
    if wrong is None or not count:
        return words
    if wrong == count:
        return f"{words}, which {'is' if count == 1 else 'are'} wrong by estimate"
    if not wrong:
        return f"{words}; how many of these are wrong is not known"
    return f"{words}, of which at least {wrong:,} {'is' if wrong == 1 else 'are'} wrong by estimate"


def listed(parts: Sequence[str], most: int) -> str:
    """Return the first parts of a list and how many there are more; names among them are `quoted`."""
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")


def shortened(name: str, most: int) -> str:
    """Return a name in one line of at most `most` characters; long names often differ at the end alone, so it stays."""
    name = visible(name)
    return name if len(name) <= most else f"{name[: most - 12]}…{name[-11:]}"
