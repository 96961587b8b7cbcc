"""Folders that are written whole or not at all."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from skedastic.data.sources.names import check_utf8
from skedastic.errors import UserError
from skedastic.runs.ways import option
from skedastic.runtime.durable import PART, is_part, make_folder, sync_folder, sync_tree, take_name
from skedastic.runtime.locks import LOCK, Taken, locked
from skedastic.runtime.plain_files import check_regular

FORMAT, WITH_COLUMNS = 5, 6  # of a run folder; of one with columns of groups beside its files of JSON
STATE, MODEL = "state.json", "model.safetensors"
GROUPS = "groups.parquet"  # all groups, of a run that has more than its report lists
GROUP_COLUMNS = "group_columns.parquet"  # of such a run: what its files of JSON hold of each group
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
EXPORTED = {"onnx": "model.onnx", "torch-export": "model.pt2", "safetensors": "exported.safetensors"}  # by format
BESIDE = ".json"  # after the name of an exported file, of its description
ENCODER = "encoder.safetensors"  # the arrays of the encoder, where it has some
CLUSTERS = "clusters.safetensors"  # of a run whose groups are clusters
SOMETIMES = (ENCODER, CLUSTERS, GROUPS, GROUP_COLUMNS)  # files that some runs have
UNFINISHED = ".unfinished"  # after the name of a run, of the folder that it is in until it is whole
CHECKPOINTS = "checkpoints"  # folder of a run, whole or not
SEEDS, ABOUT = "seeds", "about"  # folder of a comparison that is not whole; the name of the file that tells its data
TABLES = (".csv", ".parquet", ".jsonl")  # endings of the tables that are written
RUNS = Path("runs")  # the folder of the runs for which no other is named
LONGEST_STEM = 100  # characters of a source's name in that of a folder
OF_BEGUN = frozenset({LOCK, *(f"config.toml{end}" for end in (PART, ".changed", f".changed{PART}"))})  # beside settings
OF_A_SEED = re.compile(rf"{ABOUT}\.json|[0-9]+(\.[0-9]+)?\.json")  # a seed that is done, or a method of one under way
COMPARISON_FILES = ("config.toml", "compare.json", "seeds.jsonl", "report.html")


def is_ours(folder: Path) -> bool:
    """Return whether skedastic wrote everything in a folder: a run, whole or not, or a comparison."""
    names = {path.name for path in folder.iterdir()}
    checkpoints, seeds = folder / CHECKPOINTS, folder / SEEDS
    if checkpoints.is_dir() and all(map(_is_checkpoint, checkpoints.iterdir())):
        names.remove(CHECKPOINTS)
    if seeds.is_dir() and all(_is_of_a_seed(path) for path in seeds.iterdir()):
        names.remove(SEEDS)
    names -= {*SOMETIMES, *EXPORTED.values(), *(f"{name}{BESIDE}" for name in EXPORTED.values())}
    begun = names - OF_BEGUN
    is_run = begun == {"config.toml"} or (not begun and LOCK in names and folder.name.endswith(UNFINISHED))
    is_run = is_run or {"config.toml", "state.json"} <= names <= set(RUN_FILES)
    return is_run or {"config.toml", "compare.json"} <= names <= set(COMPARISON_FILES)


def _is_checkpoint(path: Path) -> bool:
    """Return whether a path is a checkpoint, the one before it, or part of one."""
    return path.suffix in (".safetensors", ".before") or is_part(path)


def _is_of_a_seed(path: Path) -> bool:
    """Return whether skedastic wrote all that is at a path in the folder of a comparison's seeds."""
    if path.is_dir():
        return path.name.isdigit() and (is_ours(path) or not any(path.iterdir()))
    return OF_A_SEED.fullmatch(path.name.removesuffix(PART)) is not None


def free_folder(folder: str | Path, force: bool) -> Path:
    """Return the folder to write to.

    Parameters
    ----------
    folder : str or Path
        The folder. One that holds something is refused.
    force : bool
        Whether the folder may be replaced where skedastic wrote it; no other folder ever is.

    Raises
    ------
    UserError
        The folder can't be written, or holds something.
    """
    path = Path(folder)
    check_utf8(path, "--out")
    try:
        _check_free(path, force)
        parent = path.resolve().parent
        while not parent.exists():
            parent = parent.parent
        tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=parent).cleanup()
    except UserError:
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
        raise not_written(path, f"can't be written ({_reason(error)}); name another folder") from None
    return path


def usual_folder(verb: str, source: str) -> Path:
    """Return the folder to write to where none is named: runs/fit-data for data.csv."""
    bare = source.rpartition(":")[2]
    stem = Path(bare).stem or Path(bare).resolve().name
    plain = re.sub(r"[^\w.+-]+", "-", stem).strip("-")
    return RUNS / f"{verb}-{plain[:LONGEST_STEM]}"


@contextmanager
def reserved(out: str | None, usual: Path, force: bool) -> Iterator[Path]:
    """Lend the folder to write to; a usual one that is taken has the next number, as in runs/fit-data-2.

    No other process that asks for the usual folder meanwhile gets the same one.

    Parameters
    ----------
    out : str or None
        The folder that the user names, which is taken as it is.
    usual : Path
        The folder where the user names none.
    force : bool
        Whether the folder may be replaced where skedastic wrote it.

    Yields
    ------
    Path
        The folder: absent, or empty, or one that may be replaced.

    Raises
    ------
    UserError
        The folder can't be written, or holds something.
    """
    if out is not None or force:
        yield free_folder(usual if out is None else out, force)
        return
    absent = _absent(usual)
    folder = _made(usual)
    try:
        yield folder
    finally:
        _remove_empty([folder, *absent])


def _made(usual: Path) -> Path:
    """Make the usual folder, or the first with a number that is not there, and return it."""
    for number in count(1):
        folder = usual if number == 1 else usual.with_name(f"{usual.name}-{number}")
        if not folder.exists() or _is_abandoned(folder):
            check_not_interrupted(folder)
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
        except OSError as error:
            raise not_written(folder, f"can't be written ({_reason(error)}); name another folder") from None
    return folder


def has_seeds(folder: Path) -> bool:
    """Return whether the folder of a comparison that is not whole holds a seed that is done, or has checkpoints."""
    files = (file for file in (folder / SEEDS).glob("**/*") if file.is_file() and not is_part(file))
    return any(file.name != f"{ABOUT}.json" for file in files)


def holds_nothing(folder: Path) -> bool:
    """Return whether a path is a folder without anything to go on with: a process was killed before there was some."""
    if not folder.is_dir():
        return False
    begun = {*OF_BEGUN, CHECKPOINTS}
    if (folder / SEEDS).is_dir() and not has_seeds(folder):
        begun |= {SEEDS, "config.toml"}
    files = (path for path in (folder / CHECKPOINTS).glob("*") if not is_part(path))
    return begun.issuperset(path.name for path in folder.iterdir()) and not any(files)


def _is_abandoned(folder: Path) -> bool:
    """Return whether a process that had taken an empty folder for its run was killed, and left checkpoints."""
    kept = unfinished(folder)
    if not kept.is_dir() or not folder.is_dir() or any(folder.iterdir()):
        return False
    try:
        with locked(kept):
            return True
    except Taken:
        return False


def check_run(folder: str | Path, *needed: str) -> None:
    """Raise UserError where a folder is no run: it lacks one of the files that are needed, or one is no file."""
    if not Path(folder).exists():
        raise UserError("not a run folder, since it is not there; name one that fit wrote", setting=str(folder))
    if missing := [name for name in needed if not (Path(folder) / name).is_file()]:
        rule = f"not a run folder, since it has no {' and no '.join(missing)}; name one that fit wrote"
        if (Path(folder) / "compare.json").is_file():
            rule = "a comparison, and not a run; its figures are in compare.json, and its page is report.html"
        raise UserError(rule, setting=str(folder))
    for name in (*RUN_FILES, *SOMETIMES):
        check_regular(Path(folder) / name)


def holds_a_run(folder: Path) -> bool:
    """Tell whether a folder is a run or a comparison, whole or not, so that others may have written what is in it."""
    named = folder.name.endswith(UNFINISHED)
    return named or any((folder / name).exists() for name in (STATE, MODEL, CHECKPOINTS, "compare.json"))


def check_new_file(path: Path, force: bool) -> None:
    """Raise UserError where something is at `path`, unless it is a file that may be replaced, or it is no UTF-8."""
    check_utf8(path, "--out")
    if path.is_dir() or (path.exists() and not force):
        raise not_written(path, "it is there already; name another file, or replace it with --force")


def check_new_table(path: Path, force: bool) -> None:
    """Raise UserError as `check_new_file` does, and where the ending is that of no table."""
    if path.suffix.lower() not in TABLES:
        raise not_written(path, f"the name must end in {', '.join(TABLES)}")
    check_new_file(path, force)


@contextmanager
def written(folder: str | Path, force: bool = False) -> Iterator[Path]:
    """Lend a temporary folder; it takes the name `folder` when the block ends well, and vanishes otherwise.

    Parameters
    ----------
    folder : str or Path
        The folder to write. One that holds something is refused.
    force : bool, optional
        Whether to replace the folder where skedastic wrote it.

    Yields
    ------
    Path
        The temporary folder, beside `folder`.

    Raises
    ------
    UserError
        The folder can't be written; nothing is changed then.
    """
    path = free_folder(folder, force).resolve()
    absent = _absent(path)
    new = None
    try:
        make_folder(path.parent)
        new = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        yield new
        new.chmod(0o755)
        for tensors in new.glob("*.safetensors"):
            tensors.chmod(0o644)  # others can read the folder, and safetensors writes for the owner alone
        sync_tree(new)
        _take_the_place(new, path, force)
    except OSError as error:
        raise not_written(Path(folder), f"writing it failed ({_reason(error)}); nothing was changed") from None
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)
        _remove_empty(absent)


def unfinished(folder: str | Path) -> Path:
    """Return the folder that keeps the checkpoints of the run `folder` until that is whole."""
    path = Path(folder).absolute()
    return path.with_name(f"{path.name}{UNFINISHED}")


@contextmanager
def written_file(path: Path, force: bool = False) -> Iterator[Path]:
    """Lend a temporary file; it takes the name `path` when the block ends well, and vanishes otherwise.

    Parameters
    ----------
    path : Path
        The file to write.
    force : bool, optional
        Whether to replace a file that is there.

    Yields
    ------
    Path
        The temporary file, of the same ending, in a folder beside `path`.

    Raises
    ------
    UserError
        Something is there and may not be replaced, or the file can't be written.
    """
    check_new_file(path, force)
    try:
        with tempfile.TemporaryDirectory(dir=path.resolve().parent, prefix=f".{path.name[:40]}-") as folder:
            temporary = Path(folder) / f"new{path.suffix}"
            yield temporary
            temporary.chmod(0o644)
            check_new_file(path, force)  # another process may have written it meanwhile
            take_name(temporary, path)
    except OSError as error:
        raise not_written(path, f"can't be written ({_reason(error)}); name another file") from None


def check_not_interrupted(folder: Path) -> None:
    """Raise UserError where a run of this folder was interrupted, and its checkpoints are there."""
    path = unfinished(folder)
    if path.exists() and not holds_nothing(path):
        out = option("--out", folder)
        way = f"go on with {option('--resume', folder)}, or start from scratch with {out} --force"
        raise not_written(folder, f"this run was interrupted (in {str(path)!r}); {way}")


def _absent(path: Path) -> list[Path]:
    """Return the folders above a path that are not there, the nearest first."""
    return [parent for parent in path.absolute().parents if not parent.exists()]


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, up to one that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _check_free(path: Path, force: bool) -> None:
    if path.exists() and not path.is_dir():
        raise not_written(path, "it is a file; name a folder that does not exist yet")
    if Path.cwd().is_relative_to(path.resolve()):
        raise not_written(path, "it is where you are, or above it; name a folder that does not exist yet")
    if path.is_dir() and any(path.iterdir()):
        if not force:
            raise not_written(
                path, "it exists and is not empty; name another, or replace it with --force (force=True in Python)"
            )
        if not is_ours(path):
            rule = "it holds files that skedastic did not write, so --force does not replace it; name another"
            raise not_written(path, rule)


def not_written(path: Path, rule: str) -> UserError:
    """Return the error for a file or a folder that can't be written."""
    return UserError(rule, setting="--out", value=str(path), given=f"--out {str(path)!r}")


def _take_the_place(new: Path, path: Path, force: bool) -> None:
    """Rename `new` to `path`; the folder that is there goes only when that has worked.

    Another process may have written it meanwhile: without `force` one that holds something stays.
    """
    if path.exists():
        _check_free(path, force)
    if not (path.exists() and force):
        _rename_to_free(new, path)
    else:
        _replace(path, new)
    sync_folder(path.parent)


def _rename_to_free(new: Path, path: Path) -> None:
    """Rename `new` to `path`, where nothing is, or an empty folder; the system renames onto no other."""
    with suppress(OSError):
        path.rmdir()
    try:
        new.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            _check_free(path, force=False)
        raise


def _replace(path: Path, new: Path) -> None:
    """Put `new` in the place of the folder `path`."""
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
