"""One function over many items, in this process or in several, each on one thread."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch

from skedastic.errors import UserError
from skedastic.runtime.allocator import keep_freed_memory

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def mapped(
    run: Callable[[Item], Outcome], items: Sequence[Item], at_once: int
) -> AbstractContextManager[Iterator[Outcome]]:
    """Lend the outcomes of `run` on each of `items`, as they come, `at_once` at a time.

    Torch has one thread for each, since the last digits of a sum depend on how many share it. When the block is left
    early, whatever the reason, the processes are ended and not waited for.
    """
    return _here(run, items) if at_once == 1 else _in_processes(run, items, at_once)


@contextmanager
def _here(run: Callable[[Item], Outcome], items: Sequence[Item]) -> Iterator[Iterator[Outcome]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield map(run, items)
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _in_processes(run: Callable[[Item], Outcome], items: Sequence[Item], at_once: int) -> Iterator[Iterator[Outcome]]:
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, context, initializer=_begin) as pool:
        try:
            with _interrupts_ignored():
                futures = [pool.submit(run, item) for item in items]
            yield (future.result() for future in as_completed(futures))
        except BaseException as error:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            if not isinstance(error, BrokenProcessPool):
                raise
            raise UserError(
                "a process died, for want of memory or of the `if __name__ == '__main__':` that a script with several "
                "jobs needs; try one job"
            ) from None


def _begin() -> None:
    """Set up a process that is ours alone."""
    torch.set_num_threads(1)
    keep_freed_memory()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes that start now inherit it: Ctrl-C is for this one, which then ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
