"""Signals that tell a process to end: those of a scheduler and of a terminal that closes are taken as Ctrl-C is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
UNTOUCHED = (signal.SIG_DFL, signal.default_int_handler)  # handlers that nobody has chosen


class Came:
    """The signal that told this process to end: its number, None where none came."""

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def status(self) -> int:
        """The exit status by which a shell knows it, 128 + its number; that of Ctrl-C where none came."""
        return 128 + (self.number or signal.SIGINT)


@contextmanager
def taken_as_interrupts() -> Iterator[Came]:
    """Within this context, the first signal that tells the process to end raises KeyboardInterrupt.

    The second ends the process at once. A signal that is ignored, as under nohup, stays so.
    """
    came = Came()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: handler for number in ENDING if (handler := signal.getsignal(number)) in UNTOUCHED}

    def end(number: int, frame: FrameType | None) -> None:
        came.number = number
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, end)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
