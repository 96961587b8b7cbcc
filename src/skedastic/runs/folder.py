"""Folders that are written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skedastic.errors import UserError

FORMAT = 4  # of a run folder
STATE, MODEL = "state.json", "model.safetensors"
RUN_FILES = (
    "config.toml",
    MODEL,
    STATE,
    "group_stats.json",
    "metrics.json",
    "history.jsonl",
    "predictions.parquet",
    "suspects.parquet",
    "suspects_shown.jsonl",
    "report.html",
    "README.md",
)
CLUSTERS = "clusters.safetensors"  # of a run whose groups are clusters
CHECKPOINTS = "checkpoints"  # folder of a run, whole or not
TABLES = (".csv", ".parquet", ".jsonl")  # endings of the tables that are written
COMPARISON_FILES = ("config.toml", "compare.json", "seeds.jsonl", "report.html")


def is_ours(folder: Path) -> bool:
    """Whether skedastic wrote this folder and everything in it: a run, whole or not, or a comparison; nothing else."""
    names = {path.name for path in folder.iterdir()}
    checkpoints = folder / CHECKPOINTS
    if checkpoints.is_dir() and all(path.suffix in (".safetensors", ".part") for path in checkpoints.iterdir()):
        names.remove(CHECKPOINTS)
    names.discard(CLUSTERS)
    is_run = names == {"config.toml"} or {"config.toml", "state.json"} <= names <= set(RUN_FILES)
    return is_run or {"config.toml", "compare.json"} <= names <= set(COMPARISON_FILES)


def free_folder(folder: str | Path, force: bool) -> Path:
    """Return the folder to write to; refuse one that can't be written, or that holds something.

    With `force`, a folder that skedastic wrote may be replaced; nothing else ever is.
    """
    path = Path(folder)
    try:
        _check_free(path, force)
        parent = path.resolve().parent
        while not parent.exists():
            parent = parent.parent
        tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=parent).cleanup()
    except UserError:
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
        raise UserError(f"--out {str(path)!r} can't be written ({_reason(error)}); name another folder") from None
    return path


def check_run(folder: str | Path, *needed: str) -> None:
    """Raise UserError where a folder is no run: one of the files that are needed of it is not there."""
    if not all((Path(folder) / name).is_file() for name in needed):
        raise UserError(
            f"{str(folder)!r} is not a run folder: it has no {' and '.join(needed)}; name one that fit wrote"
        )


def check_new_file(path: Path, force: bool) -> None:
    """Raise UserError where something is at `path`, unless it is a file that may be replaced."""
    if path.is_dir() or (path.exists() and not force):
        raise UserError(f"--out {str(path)!r} is there already; name another file, or replace it with --force")


def check_new_table(path: Path, force: bool) -> None:
    """Raise UserError as `check_new_file` does, and where the ending is of no table that is written here."""
    if path.suffix.lower() not in TABLES:
        raise UserError(f"--out {str(path)!r}: the name must end in {', '.join(TABLES)}")
    check_new_file(path, force)


@contextmanager
def written(folder: str | Path, force: bool = False) -> Iterator[Path]:
    """Lend a temporary folder beside `folder`; it takes that name when the block ends well, and vanishes when not."""
    path = free_folder(folder, force).resolve()
    absent = [parent for parent in path.parents if not parent.exists()]
    new = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        yield new
        new.chmod(0o755)
        _take_the_place(new, path)
    except OSError as error:
        raise UserError(f"writing {str(folder)!r} failed ({_reason(error)}); nothing was changed") from None
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)
        with suppress(OSError):  # those that hold something stay
            for parent in absent:
                parent.rmdir()


def unfinished(folder: str | Path) -> Path:
    """Return the folder that keeps the checkpoints of the run `folder` until that is whole."""
    path = Path(folder).absolute()
    return path.with_name(f"{path.name}.unfinished")


def resumable(folder: str | Path) -> Path:
    """Return the configuration of the run `folder` that was interrupted; refuse where there is none."""
    config = unfinished(folder) / "config.toml"
    if not config.is_file():
        raise UserError(f"--resume {str(folder)!r}: no interrupted run is there (no {str(config)!r}); fit it instead")
    return config


@contextmanager
def written_file(path: Path, force: bool = False) -> Iterator[Path]:
    """Lend a name of the same ending in a temporary folder beside `path`; what is written there takes its place when the block ends well.

    Raises UserError where something is there (unless it is a file and `force`), and where nothing can be written.
    """
    check_new_file(path, force)
    try:
        with tempfile.TemporaryDirectory(dir=path.resolve().parent, prefix=f".{path.name[:40]}-") as folder:
            temporary = Path(folder) / f"new{path.suffix}"
            yield temporary
            temporary.chmod(0o644)
            temporary.rename(path)
    except OSError as error:
        raise UserError(f"--out {str(path)!r} can't be written ({_reason(error)}); name another file") from None


@contextmanager
def kept_until_whole(folder: str | Path, *, resume: bool = False, force: bool = False) -> Iterator[Path]:
    """Lend the folder for the checkpoints of the run `folder`; it goes when the block ends well.

    It stays when the block is interrupted, so that the run can be resumed. Raises UserError where something is there
    and neither `resume` nor `force`.
    """
    path = unfinished(folder)
    if not resume and path.exists():
        if not force:
            raise UserError(
                f"{str(path)!r} is a run that was interrupted; go on with --resume {folder}, or start anew with --force"
            )
        if not path.is_dir() or not is_ours(path):
            raise UserError(f"{str(path)!r} is in the way and not of skedastic's making; name another --out")
        shutil.rmtree(path)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _check_free(path: Path, force: bool) -> None:
    if path.exists() and not path.is_dir():
        raise UserError(f"--out {str(path)!r} is a file; name a folder that does not exist yet")
    if Path.cwd().is_relative_to(path.resolve()):
        raise UserError(f"--out {str(path)!r} is where you are, or above it; name a folder that does not exist yet")
    if path.is_dir() and any(path.iterdir()):
        if not force:
            raise UserError(f"--out {str(path)!r} exists and is not empty; name another, or replace it with --force")
        if not is_ours(path):
            raise UserError(
                f"--out {str(path)!r} holds what skedastic did not write, so --force does not replace it; name another"
            )


def _take_the_place(new: Path, path: Path) -> None:
    """Rename `new` to `path`; what is there goes only when that has worked."""
    if not path.exists():
        new.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
    try:
        path.rename(old / "was")
        new.rename(path)
    except BaseException:
        if (old / "was").exists():
            (old / "was").rename(path)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
