"""Folders that are written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skedastic.errors import UserError

OURS = ("state.json", "compare.json")  # beside config.toml, either marks a folder that skedastic wrote


def is_ours(folder: Path) -> bool:
    """Whether skedastic wrote this folder."""
    return (folder / "config.toml").is_file() and any((folder / name).is_file() for name in OURS)


def free_folder(folder: str | Path, force: bool) -> Path:
    """Return the folder to write to; refuse one that can't be written, or that holds something.

    With `force`, a folder that skedastic wrote may be replaced; nothing else ever is.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise UserError(f"--out {str(folder)!r} is a file; name a folder that does not exist yet")
    if path.is_dir() and any(path.iterdir()):
        if not force:
            raise UserError(f"--out {str(folder)!r} exists and is not empty; name another, or replace it with --force")
        if not is_ours(path):
            raise UserError(
                f"--out {str(folder)!r} was not written by skedastic, so --force does not replace it; name another"
            )
    parent = path.resolve().parent
    while not parent.exists():
        parent = parent.parent
    try:
        tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=parent).cleanup()
    except OSError as error:
        raise UserError(
            f"--out {str(folder)!r} can't be written ({error.strerror} in {str(parent)!r}); name another"
        ) from None
    return path


@contextmanager
def written(folder: str | Path, force: bool = False) -> Iterator[Path]:
    """Lend a temporary folder beside `folder`; it takes that name when the block ends well, and vanishes when not."""
    path = free_folder(folder, force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise UserError(f"--out {str(folder)!r} can't be written: {error.strerror}; name another folder") from None
    try:
        yield new
        new.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
            path.rename(old / "was")
            new.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            new.rename(path)
    except OSError as error:
        raise UserError(f"writing {str(folder)!r} failed: {error.strerror or error}; nothing was changed") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
