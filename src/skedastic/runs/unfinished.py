"""The folder of a run that is not whole yet: its checkpoints, for one process at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skedastic.errors import UserError
from skedastic.runs.folder import (
    CHECKPOINTS,
    SEEDS,
    STATE,
    check_not_interrupted,
    holds_nothing,
    is_ours,
    not_written,
    unfinished,
)
from skedastic.runs.ways import command, option
from skedastic.runtime.locks import LOCK, Taken, locked
from skedastic.runtime.plain_files import check_regular


def resumable(folder: str | Path, *, force: bool = False, verb: str = "fit") -> Path:
    """Return the configuration of the interrupted run `folder`, written again from its checkpoints where it is damaged.

    Parameters
    ----------
    folder : str or Path
        The folder of the run.
    force : bool, optional
        Whether a whole run that is there is to be replaced.
    verb : str, optional
        What it is a run of: "fit" or "compare".

    Raises
    ------
    UserError
        There is none of this verb, a whole run is there, or a checkpoint is no file.
    """
    kept = unfinished(folder)
    if (Path(folder) / STATE).is_file() and not (force and kept.is_dir()):
        again = command(verb, "--resume", folder, "--force")
        beside = f"; or replace it with the interrupted one beside it: {again}" * kept.is_dir()
        rule = f"this run is whole already; show its figures with: {command('show', folder)}{beside}"
        raise _not_resumed(folder, rule)
    config = kept / "config.toml"
    for file in (config, *(kept / CHECKPOINTS).glob("*")):
        check_regular(file)
    if kept.is_dir():
        from skedastic.runs import done_seeds
        from skedastic.training.checkpoints import mend_settings

        mend_settings(kept)
        done_seeds.mend_settings(kept)
    if not config.is_file():
        what = "comparison is there" if verb == "compare" else "run is there"
        again = "compare anew" if verb == "compare" else "fit it instead"
        raise _not_resumed(folder, f"no interrupted {what} (no {str(config)!r}); {again}")
    if (kept / SEEDS).is_dir() != (verb == "compare"):
        other = "fit" if verb == "compare" else "compare"
        raise _not_resumed(folder, f"this was a {other}; go on with: {command(other, '--resume', folder)}")
    if not config.read_bytes().strip():
        rule = (
            f"its settings are lost ({str(config)!r} is empty); {verb} it again with {option('--out', folder)} --force"
        )
        raise _not_resumed(folder, rule)
    return config


@contextmanager
def kept_until_whole(folder: str | Path, *, resume: bool = False, force: bool = False) -> Iterator[Path]:
    """Lend the folder for the checkpoints of a run; it goes when the block ends well, and stays otherwise.

    No other process writes the same run meanwhile.

    Parameters
    ----------
    folder : str or Path
        The folder of the run.
    resume : bool, optional
        Whether to go on with the checkpoints that are there.
    force : bool, optional
        Whether to replace the checkpoints that are there.

    Yields
    ------
    Path
        The folder, as `unfinished` names it.

    Raises
    ------
    UserError
        Another process writes this run; or something is there, and neither `resume` nor `force` was given.
    """
    path = unfinished(folder)
    if not resume and path.exists() and not (holds_nothing(path) or (path.is_dir() and is_ours(path))):
        if not force:
            check_not_interrupted(Path(folder))
        raise not_written(Path(folder), f"{str(path)!r} is in the way, and skedastic did not write it; name another")
    try:
        with locked(path):
            if not resume and not force:
                check_not_interrupted(Path(folder))
            elif not resume:
                _empty(path)
            try:
                yield path
            except BaseException:
                if (path / SEEDS).is_dir() and holds_nothing(path):
                    _empty(path)
                raise
            for inner in (CHECKPOINTS, SEEDS):
                shutil.rmtree(path / inner, ignore_errors=True)  # first, so that the rest says whose they are
            shutil.rmtree(path, ignore_errors=True)
    except Taken as taken:
        rule = f"another fit is writing this run ({taken}); wait until it has ended, or name another folder"
        raise (_not_resumed(folder, rule) if resume else not_written(Path(folder), rule)) from None
    finally:
        with suppress(OSError):
            path.rmdir()


@contextmanager
def alone(checkpoints: str | Path | None, job: str = "fit") -> Iterator[None]:
    """Hold a folder of checkpoints for this process within this context, where there is one.

    Parameters
    ----------
    checkpoints : str or Path or None
        The folder.
    job : str, optional
        What writes there: "fit" or "comparison".

    Raises
    ------
    UserError
        Another process holds it, or another thread.
    """
    if checkpoints is None:
        yield
        return
    try:
        with locked(Path(checkpoints)):
            yield
    except Taken as taken:
        rule = f"another {job} is writing there ({taken}); wait until it has ended, or name another folder"
        raise UserError(rule, setting="checkpoints", value=str(checkpoints), given=repr(str(checkpoints))) from None


def _empty(folder: Path) -> None:
    """Remove all that a folder holds, but for its lock."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _not_resumed(folder: str | Path, rule: str) -> UserError:
    return UserError(rule, setting="--resume", value=str(folder), given=f"--resume {str(folder)!r}")
