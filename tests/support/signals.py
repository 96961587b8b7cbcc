"""Processes that start with the usual handling of signals, also where this one was started to ignore some."""

from __future__ import annotations

import signal

from skedastic.runtime.signals import ENDING


def with_usual_signals() -> None:
    """Undo in a new process what nohup and a shell's & make it inherit: that it ignores some signals."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
