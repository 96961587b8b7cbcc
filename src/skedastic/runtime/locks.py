"""The lock of a folder: one process at a time writes to it. It ends with its process, however that ends."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skedastic.runtime.durable import make_folder

LOCK = ".skedastic-lock"  # the file in the folder; it says who has the lock
FLOCK = "hhqqi4x"  # a lock as Linux describes it: kind, from where, start, length, process
_held = set[Path]()  # by this process, which the system lets lock a file as often as it likes


class Taken(Exception):
    """Another holds the lock of a folder; the text says which process."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder within this context; folders that it makes go at the end where they are empty.

    The processes that this one starts do not hold it. Where the system knows no locks, or the folder can't be written,
    there is none.

    Parameters
    ----------
    folder : Path
        The folder; it may vanish meanwhile.

    Raises
    ------
    Taken
        Another process holds the lock, or this one does already.
    """
    file = folder.resolve() / LOCK
    if file in _held:
        raise Taken("this process")
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    descriptor = _lock(file)
    _held.add(file)
    try:
        yield
    finally:
        _held.discard(file)
        if descriptor is not None:
            with suppress(OSError):
                file.unlink()
            os.close(descriptor)
        with suppress(OSError):
            for path in made:
                with suppress(FileNotFoundError):
                    path.rmdir()


def holder(folder: Path) -> str:
    """Return who holds the lock of a folder, in words; "" where nobody does, or the system can't say. Nothing changes.

    Parameters
    ----------
    folder : Path
        The folder; it need not be there.
    """
    file = folder.resolve() / LOCK
    if file in _held:
        return "this process"  # and to close the file would give its lock up
    if not sys.platform.startswith("linux"):
        return ""
    import fcntl

    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return ""
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        if struct.unpack(FLOCK, answer)[0] == fcntl.F_UNLCK:
            return ""
        return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _lock(file: Path) -> int | None:
    """Return the descriptor of a file that is locked; None where it can't be. Raises Taken."""
    if sys.platform == "win32":
        return None
    import fcntl

    while True:
        try:
            make_folder(file.parent)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # another has removed the folder meanwhile
            continue
        except OSError:
            return None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise Taken(holder or "another process") from None
        except OSError:
            os.close(descriptor)
            return None
        if _is_named(descriptor, file):
            with suppress(OSError):
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)


def _is_named(descriptor: int, file: Path) -> bool:
    """Return whether an open file has a name still; who held the lock before may have removed it."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    return False
