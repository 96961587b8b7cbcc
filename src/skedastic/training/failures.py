"""Failures of training that a method which tries several ways can go on without, told from errors of the user's."""

from __future__ import annotations

from skedastic.errors import Diverged, UserError, first_line

OF_NUMBERS = (Diverged, ArithmeticError, MemoryError, RuntimeError, ValueError)  # linear algebra raises the last two


def failure_of(error: Exception) -> str:
    """Return why training failed, in one line; empty where the error is none of its numbers or memory.

    A loss that is not finite, an error of linear algebra and memory that is not enough are. A setting or data that
    can't be used, a file that can't be read, a process that died and a mistake in the code are not.

    Parameters
    ----------
    error : Exception
        What the training raised.
    """
    if isinstance(error, Diverged):
        return str(error)
    if isinstance(error, UserError) or not isinstance(error, OF_NUMBERS):
        return ""
    line = first_line(error)
    return "" if line.startswith("DataLoader worker") else line
