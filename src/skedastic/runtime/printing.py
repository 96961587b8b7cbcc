"""What a process prints may fail to be written: a reader such as `head` ends, a disk is full. The work goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class Printed:
    """Whether all that was printed could be written.

    Attributes
    ----------
    failure : OSError or None
        The first error; None where there was none.
    """

    def __init__(self) -> None:
        self.failure: OSError | None = None

    def flush(self) -> None:
        """Write what waits to be written, so that its error is noted."""
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()

    @property
    def reader_is_gone(self) -> bool:
        """Whether the first error is that nobody reads it any more."""
        return isinstance(self.failure, BrokenPipeError)


class _Forgiving:
    """A stream whose errors are noted; after one, nothing is written any more."""

    def __init__(self, stream: TextIO, printed: Printed) -> None:
        self._stream, self._printed = stream, printed

    def write(self, text: str) -> int:
        """Write a text, where that works."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Write what waits to be written, where that works."""
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Note an error, and send what is printed later, and what waits, to nowhere."""
        self._printed.failure = self._printed.failure or error
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def forgiving() -> Iterator[Printed]:
    """Within this context, what is printed may fail to be written: no error is raised, and the first one is noted."""
    printed, before = Printed(), (sys.stdout, sys.stderr)
    # a stream that was closed before the process began is None
    streams = [stream and cast(TextIO, _Forgiving(stream, printed)) for stream in before]
    sys.stdout, sys.stderr = streams
    try:
        yield printed
    finally:
        printed.flush()
        sys.stdout, sys.stderr = before
