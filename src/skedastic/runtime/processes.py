"""One function over many items, in this process or in several, each on one thread.

The processes are loky's, which joblib brings. They never run the caller's script, so a script needs no guard.
`ProcessPoolExecutor` is used rather than `joblib.Parallel`. The workers of `Parallel` outlive the call, all callers in
this process share them, and it sets how many threads their linear algebra has, on which the last digits of a product
depend. `cluster` does the same on the workers of a cluster.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import resource_tracker
from typing import TypeVar

import torch
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend import resource_tracker as resource_tracker_of_loky

from skedastic.errors import UserError
from skedastic.runtime.allocator import keep_freed_memory
from skedastic.runtime.signals import ENDING

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
LOOKS = 0.5  # seconds from one look at the parent to the next
Warned = tuple[str, type[Warning]]


def mapped(
    run: Callable[[Item], Outcome], items: Sequence[Item], at_once: int
) -> AbstractContextManager[Iterator[Outcome]]:
    """Lend the outcomes of a function on many items, in the order in which they are done.

    Torch has one thread for each item, since the last digits of a sum depend on the number of threads. When the block
    is left early, for any reason, the processes are ended at once. What they warn of is warned of here.

    Parameters
    ----------
    run : callable
        The function; with several processes, it and its outcomes are pickled.
    items : sequence
        The items.
    at_once : int
        Items at a time, at least 1: one runs in this process, several run in processes of their own.

    Raises
    ------
    UserError
        A process died, or `run` raised it.
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
    futures: list[Future[tuple[Outcome, list[Warned]]]] = []
    with interrupts_put_off():
        pool = ProcessPoolExecutor(at_once, initializer=_begin)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped")  # between two items, since its memory had grown
        try:
            with interrupts_put_off():
                futures += [pool.submit(with_warnings, run, item) for item in items]
                while not all(f.running() or f.done() for f in futures[:at_once]):
                    time.sleep(0.01)  # a pool that ends before it hands the items out ends with a traceback
            yield (warned_here(future.result()) for future in as_completed(futures))
        except BrokenProcessPool:
            rule = "a process died, most likely for want of memory; try fewer jobs, or one"
            raise UserError(rule, setting="jobs", value=at_once) from None
        finally:
            pool.shutdown(kill_workers=not all(future.done() for future in futures))


def with_warnings(run: Callable[[Item], Outcome], item: Item) -> tuple[Outcome, list[Warned]]:
    """Return the outcome, and the warnings on the way, which are for the process that asked.

    Parameters
    ----------
    run : callable
        The function.
    item : Any
        Its item.
    """
    with warnings.catch_warnings(record=True) as caught:
        return run(item), [(str(warning.message), warning.category) for warning in caught]


def warned_here(done: tuple[Outcome, list[Warned]]) -> Outcome:
    """Return the outcome, and warn as its process did.

    Parameters
    ----------
    done : tuple
        What `with_warnings` returned there.
    """
    outcome, caught = done
    for message, category in caught:
        warnings.warn(message, category, stacklevel=3)
    return outcome


def _begin() -> None:
    """Set up a process that is ours alone."""
    torch.set_num_threads(1)
    keep_freed_memory()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process once its parent was killed: another may go on with what the parent began."""
    while os.getppid() == parent:
        time.sleep(LOOKS)
    os._exit(1)


@contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Start processes that no interrupt reaches: it is for this one, which then ends them.

    They inherit that the signals are blocked which this process handles, such as Ctrl-C. What comes within the block
    counts when the block ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: handler for number in ENDING if callable(handler := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    blocked = None
    if hasattr(signal, "pthread_sigmask"):
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
        for tracker in (resource_tracker, resource_tracker_of_loky):
            tracker.ensure_running()  # it ignores some signals, inherits that others are blocked, and unblocks here
        signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        yield
    finally:
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
