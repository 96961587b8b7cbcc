"""Signals that tell a process to end: those of a scheduler and of a terminal that closes are taken as Ctrl-C is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
Handler = Callable[[int, FrameType | None], Any]
UNTOUCHED = (signal.SIG_DFL, signal.default_int_handler)  # handlers that nobody has chosen


class Held:
    """A signal that interrupts, and waits."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._before = dict[int, Handler]()

    @property
    def came(self) -> bool:
        """Whether there is one."""
        return self._number is not None

    def let_go(self) -> None:
        """Let the signal do, now, what it does without waiting; nothing where none came."""
        number, self._number = self._number, None
        if number is not None:
            self._before[number](number, None)

    def _hold(self) -> None:
        for number in ENDING:
            handler = signal.getsignal(number)
            if handler is signal.default_int_handler or isinstance(handler, _Ending):
                self._before[number] = handler
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)


@contextmanager
def held_back(active: bool = True) -> Iterator[Held]:
    """Within this context, the first signal that raises KeyboardInterrupt waits, for `let_go` or the end of the block.

    The second raises it at once. An error that ends the block does not keep the signal from doing what it does.
    Handlers of the caller's own stay.

    Parameters
    ----------
    active : bool, optional
        Whether it does so; else nothing is changed.
    """
    held = Held()
    if not active or threading.current_thread() is not threading.main_thread():
        yield held
        return
    held._hold()
    try:
        yield held
    finally:
        held._restore()
        held.let_go()


class Came:
    """The signal that told this process to end: its number, None where none came."""

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def status(self) -> int:
        """The exit status by which a shell knows it, 128 + its number; that of Ctrl-C where none came."""
        return 128 + (self.number or signal.SIGINT)


class _Ending:
    """The handler of a signal that tells the process to end; the next one ends it at once."""

    def __init__(self, came: Came, numbers: tuple[int, ...]) -> None:
        self._came, self._numbers = came, numbers

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._came.number = number
        for each in self._numbers:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt


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
    ending = _Ending(came, tuple(before))
    for number in before:
        signal.signal(number, ending)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
