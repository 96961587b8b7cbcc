"""One function over many items on the workers of a Dask cluster, each on one thread.

Dask's own futures are used. Its backend for joblib is a layer around them that hides which worker failed, and what
workers warn of. Functions, items and outcomes are pickled on the wire of the cluster that the user names.
"""

from __future__ import annotations

import logging
import pickle
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import torch

from skedastic.errors import UserError, first_line
from skedastic.runtime.limits import allowing, limits
from skedastic.runtime.processes import Warned, warned_here, with_warnings
from skedastic.version import __version__

Item = TypeVar("Item")
Shared = TypeVar("Shared")
Outcome = TypeVar("Outcome")
NAME = re.compile(r"dask:((?:tcp|tls)://(?:[\w.-]+|\[[0-9a-fA-F:.%]+\]):[0-9]{1,5})")  # with the address of a scheduler
FORM = "name the scheduler of a Dask cluster, dask:tcp://HOST:PORT or dask:tls://HOST:PORT"
NEEDS_EXTRA = "this needs the package distributed; pip install 'skedastic[cluster]'"
UNALIKE, LOST = "deserialization of the task graph", "scheduler-connection-lost"  # in errors of Dask's
WAIT = 10  # seconds for a scheduler to answer
SAYS = ("distributed", "distributed.client")  # loggers of what is said here in one line


def scheduler_of(name: str) -> str:
    """Return the address of the scheduler in the name of a cluster.

    Parameters
    ----------
    name : str
        Such as "dask:tcp://10.0.0.1:8786".

    Raises
    ------
    UserError
        It is the name of no Dask cluster.
    """
    found = NAME.fullmatch(name)
    if found is None:
        rule = f"other clusters than Dask's are not known; {FORM}" if not name.startswith(("dask:", "tcp:")) else FORM
        raise _refused(name, rule)
    return found[1]


def _refused(name: str, rule: str) -> UserError:
    return UserError(rule, setting="cluster", value=name)


class Cluster:
    """A connection to a Dask cluster, as `connected` lends it.

    Parameters
    ----------
    name : str
        As the user gave it.
    client : distributed.Client
        The connection.
    """

    def __init__(self, name: str, client: Any) -> None:
        self.name, self._client = name, client

    @property
    def workers(self) -> int:
        """The workers that are there now; more may come."""
        return len(self._client.nthreads())

    def about(self, shared: bytes) -> str:
        """Return in words what runs where, and how much is sent there.

        Parameters
        ----------
        shared : bytes
            As of `mapped`.
        """
        with self._in_one_line():
            there = self.workers
        workers = f"{there} worker{'s' * (there != 1)}" if there else "no worker yet, which is waited for"
        return f"{self.name}: {workers}; each is sent the data once, {len(shared) / 1e6:.1f} MB."

    @contextmanager
    def mapped(
        self, run: Callable[[Item, Shared], Outcome], items: Sequence[Item], shared: bytes
    ) -> Iterator[Iterator[Outcome]]:
        """Lend the outcomes of a function on many items, in the order in which they are done.

        Where a worker dies, another takes its item. When the block is left early, for any reason, what no worker has
        begun is not begun. What workers warn of is warned of here.

        Parameters
        ----------
        run : callable
            The function of an item and of what all share. The workers must be able to import it.
        items : sequence
            The items.
        shared : bytes
            What all items share, `packed`; it is sent to each worker once.

        Raises
        ------
        UserError
            The connection to the cluster was lost, an item ended several workers, a worker can't be used, or `run`
            raised it.
        """
        from distributed import as_completed

        task = partial(_on_worker, run, _versions(), asdict(limits()))
        futures = []
        try:
            with self._in_one_line():
                self._client.wait_for_workers(1)
                there = self._client.scatter(shared, broadcast=self.workers > 0, hash=False)
                futures = [self._client.submit(task, item, there, pure=False) for item in items]
            done = as_completed(futures, loop=self._client.loop, raise_errors=False)
            yield (warned_here(self._result(future)) for future in done)
        finally:
            for future in futures:
                future.release()  # whose item is then not begun

    def _result(self, future: Any) -> Any:
        """Return what a worker returned, or raise what it raised."""
        with self._in_one_line(of_task=future.status == "error"):
            return future.result()

    @contextmanager
    def _in_one_line(self, *, of_task: bool = False) -> Iterator[None]:
        """Within this context, an error of Dask's is a UserError; what a task raised stays, but for a lost worker."""
        from distributed import KilledWorker

        try:
            yield
        except (KilledWorker, CancelledError, OSError, ImportError, RuntimeError) as error:
            if isinstance(error, ImportError) or UNALIKE in str(error):
                rule = "the scheduler or a worker can't import what it needs; install the same packages there"
            elif of_task and not isinstance(error, KilledWorker):
                raise
            elif isinstance(error, OSError) or self._client.status != "running" or LOST in str(error):
                rule = "the connection to the cluster was lost"
            else:
                rule = "workers ended while they were at it, most likely for want of memory; give them more"
            raise _refused(self.name, f"{rule} ({first_line(error)})") from None


@contextmanager
def connected(name: str) -> Iterator[Cluster]:
    """Lend a connection to the Dask cluster of a name.

    Parameters
    ----------
    name : str
        As of `scheduler_of`.

    Raises
    ------
    UserError
        The name is that of no Dask cluster, no scheduler answers there, or the package distributed is not installed.
    """
    address = scheduler_of(name)
    try:
        from distributed import Client, Security
    except ImportError:
        raise _refused(name, NEEDS_EXTRA) from None
    if address.startswith("tls:") and Security().get_connection_args("client").get("ssl_context") is None:
        raise _refused(name, "Dask has no certificates here; name them in its configuration, distributed.comm.tls")
    with _quiet():
        try:
            client = _within(2 * WAIT, lambda: Client(address, timeout=WAIT, set_as_default=False))
        except (OSError, ValueError, MemoryError, RuntimeError) as error:
            rule = f"no scheduler answers there within {WAIT} seconds ({first_line(error)}); start one: dask scheduler"
            raise _refused(name, rule) from None
        try:
            yield Cluster(name, client)
        finally:
            client.close()


def _within(seconds: float, make: Callable[[], Any]) -> Any:
    """Return what a function makes. Raises TimeoutError where that takes longer: what answers there may be anything."""
    made: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

    def run() -> None:
        try:
            made.put((make(), None))
        except BaseException as error:
            made.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = made.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError("what answers there is no scheduler") from None
    if error is not None:
        raise error
    return value


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log of a lost connection from the terminal: one line says it."""
    loggers = [logging.getLogger(name) for name in SAYS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def packed(value: Any) -> bytes:
    """Return a value as it is sent: pickled, so that its size is known, and that each item has one of its own.

    Parameters
    ----------
    value : Any
        The value.
    """
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _versions() -> tuple[str, str]:
    """Return the versions that figures depend on; those of torch for several devices are one."""
    return __version__, torch.__version__.partition("+")[0]


def _on_worker(
    run: Callable[[Item, Shared], Outcome],
    versions: tuple[str, str],
    allowed: dict[str, Any],
    item: Item,
    shared: bytes,
) -> tuple[Outcome, list[Warned]]:
    """Return the outcome of an item, and the warnings on the way; runs on a worker.

    An error names the worker, whose files and packages may not be those of others.
    """
    from distributed import get_worker

    worker = get_worker()
    try:
        _check_worker(worker.state.nthreads, versions)
        torch.set_num_threads(1)
        with allowing(**allowed):
            return with_warnings(lambda it: run(it, pickle.loads(shared)), item)
    except UserError as error:
        raise error.adding(f" (on the worker {worker.address})") from None


def _check_worker(threads: int, versions: tuple[str, str]) -> None:
    """Raise UserError where a worker's figures would not be those of other workers."""
    if threads != 1:
        rule = (
            f"a worker of {threads} threads would run as many items in one process, and their figures would depend on "
            "one another; start workers of one thread: dask worker --nworkers N --nthreads 1"
        )
        raise UserError(rule, setting="cluster", value=threads, given="cluster")
    if (here := _versions()) != versions:
        there, other = (f"skedastic {own} and torch {torch_}" for own, torch_ in (versions, here))
        rule = f"a worker has {other}, and here are {there}; give it the same"
        raise UserError(rule, setting="cluster", value=other, given="cluster")
