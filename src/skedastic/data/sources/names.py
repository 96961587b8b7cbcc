"""The name of a source: its meaning, and whether that is there.

Nothing is read, so neither torch nor pandas is imported.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from skedastic.errors import UserError, first_line, suggestion, unknown
from skedastic.runtime.plain_files import check_regular

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather")  # endings of tables in files
ARRAYS = (".npz", ".npy")
SHARDS = (".tar",)  # of a WebDataset
ENDINGS = (*TABLES, *ARRAYS, *SHARDS)
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".tgz")
HUB = "hf:"  # before the name of a data set of the package datasets
BUILT_IN = "sklearn:"  # before the name of a set that comes with scikit-learn
DIGITS = "digits"
BUNDLED_TARGETS = {"breast_cancer": "diagnosis", "diabetes": "progression", "iris": "species", "wine": "cultivar"}
BUNDLED = (DIGITS, *BUNDLED_TARGETS)  # sets that come with scikit-learn
IDX = re.compile(r"images([-.])idx3-ubyte(\.gz)?$")


def is_idx(path: Path) -> bool:
    """Whether a file is named as idx images are."""
    return IDX.search(path.name) is not None


def built_in(name: str) -> str | None:
    """Return the set of scikit-learn that the name of a source means; None where it means something else.

    A file or a folder of that name comes first; "sklearn:digits" always means the set.

    Parameters
    ----------
    name : str
        The name of a source.

    Raises
    ------
    UserError
        No set is named so.
    """
    if name.startswith(BUILT_IN):
        bare = name.removeprefix(BUILT_IN)
        if bare not in BUNDLED:
            raise unknown("set of scikit-learn", bare, BUNDLED)
        return bare
    return name if name in BUNDLED and not Path(name).exists() else None


def exact_name(name: str) -> str:
    """Return the name of a source that means the same whatever files are beside it, for a configuration to keep."""
    if name not in BUNDLED:
        return name
    return f"./{name}" if built_in(name) is None else f"{BUILT_IN}{name}"


def meaning_note(name: str) -> tuple[str, ...]:
    """Return a note that says what the name of a source means, where it could mean a set of scikit-learn and a file."""
    if name not in BUNDLED:
        return ()
    if built_in(name) is not None:
        return (f"{name}: the set that comes with scikit-learn; {BUILT_IN}{name} always means it",)
    here = "folder" if Path(name).is_dir() else "file"
    return (f"{name}: the {here} of that name; {BUILT_IN}{name} means the set that comes with scikit-learn",)


def find_files(source: str) -> list[Path]:
    """Return the files that a name, or a pattern such as "part-*.csv", means, in the order of their names.

    Raises UserError where a pattern matches none.
    """
    if Path(source).exists() or not re.search(r"[*?\[]", source):
        return [Path(source)]
    matches = sorted(Path(p) for p in glob.glob(source, recursive=True) if Path(p).is_file())
    if not matches:
        raise UserError("no file matches the pattern", setting=source)
    return matches


def named_files(name: str) -> list[Path] | None:
    """Return the files that the name of a source means; None where it means none, such as a folder or a built-in set.

    Raises UserError for a file that is not there under a name of no known ending, and for files that are not read.
    """
    if built_in(name) is not None or name.startswith(HUB):
        return None
    if Path(name).is_dir():
        return None if _is_folder(Path(name)) else [Path(name)]
    paths = find_files(name)
    ending = paths[0].suffix.lower()
    if ending in ENDINGS:
        return paths
    if not paths[0].exists():
        near = suggestion(name, BUNDLED)
        rule = (
            f"no such file or folder{near}; give a file that ends in {', '.join(ENDINGS)}, a folder of images or "
            f"texts by class, hf:NAME, or one of {', '.join(BUNDLED)}"
        )
        raise UserError(rule, setting=name)
    kind = f"it is a file that ends in {ending!r}" if ending else "it is a file without ending"
    rule = f"{kind}; this reads files that end in {', '.join(ENDINGS)}, and folders by class"
    if ending in PACKED:
        rule += "; unpack it first"
    if name in BUNDLED:
        rule += f"; {BUILT_IN}{name} is the set that comes with scikit-learn"
    raise UserError(rule, setting=name)


def _is_folder(path: Path) -> bool:
    return path.suffix.lower() not in ENDINGS


def check_file(path: Path) -> None:
    """Raise UserError where a file is not there, is a folder, a pipe, a device or empty, or its path is no UTF-8."""
    check_utf8(path)
    if not path.exists():
        raise UserError("no such file", setting=str(path))
    check_regular(path)
    if path.is_dir():
        raise UserError("it is a directory; name one file, such as a .csv or .parquet table", setting=str(path))
    if path.stat().st_size == 0:
        raise UserError("it is empty", setting=str(path))


def check_utf8(path: str | Path, setting: str = "") -> None:
    """Raise UserError where a path has bytes that are no UTF-8, which neither Parquet nor TOML can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        rule = "its path has bytes that are no UTF-8; rename it"
        raise UserError(
            rule, setting=setting or shown_path(path), given=f"{setting} {shown_path(path)!r}".lstrip()
        ) from None


def no_rows(source: str) -> UserError:
    """Return the error for a source that is empty."""
    return UserError("it needs at least one", setting=source, given=f"{source} has no rows")


def shown_path(path: str | Path) -> str:
    """Return a path in one line, as messages write it: what can't be printed is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(path))


def shown_name(paths: Sequence[Path]) -> str:
    """Return the name of one file, or of several, in messages."""
    return paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"


@contextmanager
def readable(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Say in one line that `path` can't be read as what its name says.

    Parameters
    ----------
    path : Path
        The file that is read within this context.
    *errors : type
        What the reader raises, beside OSError.

    Raises
    ------
    UserError
        In place of these.
    """
    unreadable: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except PermissionError:
        raise UserError("it may not be read (permission denied)", setting=str(path)) from None
    except unreadable as error:
        reason = first_line(error)
        raise UserError(f"it can't be read as a {path.suffix[1:].lower()} table: {reason}", setting=str(path)) from None
