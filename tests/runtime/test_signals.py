"""Signals that tell a process to end, sent to real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from skedastic.runtime.signals import ENDING, held_back, taken_as_interrupts
from tests.support.signals import with_usual_signals

WAITING = """
import time
from skedastic.runtime.signals import taken_as_interrupts
with taken_as_interrupts() as came:
    try:
        print("ready", flush=True)
        time.sleep(300)
    except KeyboardInterrupt:
        print("interrupted", came.status, flush=True)
        time.sleep(seconds)
"""


def waiting(seconds: int) -> subprocess.Popen[str]:
    """Return a process that waits for a signal, and cleans up for so many seconds."""
    code = WAITING.replace("seconds", str(seconds))
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=with_usual_signals)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("end", ENDING)
def test_the_first_is_an_interrupt_and_the_second_ends_at_once(end: signal.Signals) -> None:
    process = waiting(0)
    process.send_signal(end)
    assert process.communicate(timeout=60)[0] == f"interrupted {128 + end}\n"
    assert process.returncode == 0

    for second in ENDING:
        process = waiting(300)
        process.send_signal(end)
        assert process.stdout is not None
        assert process.stdout.readline() == f"interrupted {128 + end}\n"
        process.send_signal(second)
        process.communicate(timeout=60)
        assert process.returncode == -second


HELD = """
import signal, time
from skedastic.runtime.signals import held_back, taken_as_interrupts
with taken_as_interrupts() as came:
    try:
        with held_back() as held:
            print("ready", flush=True)
            while not held.came:
                time.sleep(0.01)
            print("held", flush=True)
            if waits:
                time.sleep(300)
            held.let_go()
            print("never", flush=True)
    except KeyboardInterrupt:
        print("interrupted", came.status, flush=True)
"""


@pytest.mark.parametrize("end", ENDING)
def test_one_that_is_held_back_waits_and_the_second_does_not(end: signal.Signals) -> None:
    for waits in (False, True):
        command = [sys.executable, "-c", HELD.replace("waits", str(waits))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=with_usual_signals) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(end)
            assert process.stdout.readline() == "held\n"
            if waits:
                process.send_signal(end)
            assert process.stdout.read() == f"interrupted {128 + end}\n"
        assert process.returncode == 0


def test_at_the_end_of_the_block_what_was_held_back_is_let_go() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    seen = list[bool]()

    def interrupted() -> None:
        with held_back() as held:
            signal.raise_signal(signal.SIGINT)
            seen.append(held.came)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == [True]
    with held_back(active=False), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with held_back() as held:
        held.let_go()
    assert [signal.getsignal(number) for number in ENDING] == before


def test_what_was_held_back_is_let_go_where_the_block_fails_too() -> None:
    def failing() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            raise OSError

    with pytest.raises(KeyboardInterrupt):
        failing()


def test_a_handler_of_the_callers_own_is_not_held_back() -> None:
    came = list[int]()
    told = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with held_back() as held:
            signal.raise_signal(signal.SIGTERM)
            assert (came, held.came) == ([signal.SIGTERM], False)
    finally:
        signal.signal(signal.SIGTERM, told)


def test_what_is_ignored_or_handled_stays_so_and_all_is_as_before_afterwards() -> None:
    came = list[int]()
    before = [signal.getsignal(number) for number in ENDING]
    hung_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    told = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with taken_as_interrupts():
            for number in (signal.SIGHUP, signal.SIGTERM):
                signal.raise_signal(number)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGHUP, hung_up)
        signal.signal(signal.SIGTERM, told)
    assert came == [signal.SIGTERM]
    assert [signal.getsignal(number) for number in ENDING] == before


def test_another_thread_handles_none() -> None:
    status = list[int]()

    def run() -> None:
        with taken_as_interrupts() as came:
            status.append(came.status)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert status == [130]
