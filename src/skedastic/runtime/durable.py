"""Files that are there whole or not at all, also after a kill, on a full disk, and when the power fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part"  # ends the name of a file that is not whole
PART_OF_TENSORS = ".tmp"  # begins the name of one that safetensors is writing
NOT_SYNCED = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)  # by file systems that can't sync


def is_part(path: Path) -> bool:
    """Return whether a file is not whole, by its name: one that is being written, or was when a process was killed."""
    return path.name.endswith(PART) or path.name.startswith(PART_OF_TENSORS)


@contextmanager
def replacing(path: Path, *, before: Path | None = None, tag: str = "") -> Iterator[Path]:
    """Lend a new name beside `path`; the file that is written there takes the place of `path` when the block ends well.

    Its bytes are on the disk before it has the name, and the name is on the disk before this returns.

    Parameters
    ----------
    path : Path
        The file to write, in a folder that is there.
    before : Path, optional
        The name that the file takes which was at `path`; by default it vanishes.
    tag : str, optional
        A part of the new name, where several processes write `path` at a time.

    Yields
    ------
    Path
        The new name. What a killed process left there is overwritten the next time.

    Raises
    ------
    OSError
        The file can't be written; what was at `path` is there still, or at `before`.
    """
    part = path.with_name(f"{path.name}{tag}{PART}")
    try:
        yield part
        take_name(part, path, before=before)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def take_name(part: Path, path: Path, *, before: Path | None = None) -> None:
    """Give a file, whose bytes are synced first, the name `path`; other parameters as of `replacing`."""
    sync_file(part)
    if before is not None:
        with suppress(FileNotFoundError):
            os.replace(path, before)
    os.replace(part, path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, whose names are on the disk before this returns.

    Parameters
    ----------
    folder : Path
        The folder; it may be there.
    """
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in absent:
        sync_folder(path.parent)


def sync_file(file: Path) -> None:
    """Wait until the bytes of a file are on the disk, where the system can say so; it may be read-only."""
    _sync(file, os.O_RDWR if os.name == "nt" else os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can say so."""
    if os.name != "nt":
        _sync(folder, os.O_RDONLY)


def sync_tree(folder: Path) -> None:
    """Wait until a folder is on the disk, with all that is in it."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            sync_file(path)
    sync_folder(folder)


def _sync(path: Path, mode: int) -> None:
    try:
        descriptor = os.open(path, mode)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NOT_SYNCED:
            raise
