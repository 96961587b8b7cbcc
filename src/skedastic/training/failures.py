"""Failures of training that a method which tries several ways can go on without, told from errors of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from skedastic.errors import Diverged, UserError, first_line

OF_MEMORY = (MemoryError, torch.OutOfMemoryError)
OF_NUMBERS = (
    Diverged,
    FloatingPointError,
    OverflowError,
    np.linalg.LinAlgError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
)
ALLOCATION = "alloc"  # in what torch says where the memory of the CPU is not enough


class StageFailed(Exception):
    """A stage failed for a reason that others can go on without.

    Parameters
    ----------
    reason : str
        Why, in one line.
    lasting : bool
        Whether it would fail again; memory may be enough another time.
    """

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.reason, self.lasting = reason, lasting


@contextmanager
def telling(*, at_once: bool) -> Iterator[None]:
    """Raise StageFailed in place of an error of the block that training can go on without.

    Parameters
    ----------
    at_once : bool
        As of `failure_of`.
    """
    try:
        yield
    except Exception as error:
        if reason := failure_of(error, at_once=at_once):
            raise StageFailed(reason, lasting=not _is_of_memory(error)) from error
        raise


def failure_of(error: Exception, *, at_once: bool = False) -> str:
    """Return why training failed, in one line; empty where the error is none of its numbers or memory.

    A loss that is not finite, an error of linear algebra and memory that is not enough are. A setting or data that
    can't be used, a file that can't be read, a process that died and a mistake in the code are not.

    Parameters
    ----------
    error : Exception
        What the training raised.
    at_once : bool, optional
        Whether a model is fitted at once, by a library that raises ValueError for numbers that it can't fit.
    """
    if isinstance(error, Diverged):
        return str(error)
    if isinstance(error, UserError):
        return ""
    fails = isinstance(error, OF_NUMBERS) or _is_of_memory(error) or (at_once and isinstance(error, ValueError))
    return first_line(error) if fails else ""


def _is_of_memory(error: Exception) -> bool:
    return isinstance(error, OF_MEMORY) or (type(error) is RuntimeError and ALLOCATION in str(error).lower())
