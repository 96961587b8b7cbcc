"""Limits on what a file may ask of the machine. A file may come from anyone, and a small one may unpack to terabytes.

They are in the environment of the process, so that every process that it starts has them too. No run folder and no
configuration holds them: a file can't raise the limits that it is read by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from skedastic.configurable import Configurable, setting
from skedastic.errors import UserError, unknown

VARIABLE = "SKEDASTIC_ALLOW"  # such as "pixels=4e8,trust_paths=true"
SHARE = 1 / 3  # of the machine's memory; what is read is often held twice
OF_CONTAINER = Path("/sys/fs/cgroup/memory.max")  # the memory of a container, "max" where it has no limit
OPTION = "--allow"
BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Limits(Configurable):
    """What files may ask of the machine: `--allow NAME=N` on the command line, `sk.allowing(NAME=N)` in Python."""

    pixels: int = setting(178_956_970, "most pixels of an image; the default is what Pillow opens", "[1, inf)")
    unpacked: int | None = setting(
        None,
        "most bytes that a compressed file takes in memory (.npz, .gz, .tar), or a column of a Parquet or Arrow file; "
        "by default a third of the machine's memory",
        "[1, inf)",
    )
    nesting: int = setting(
        100, "most lists and objects within one another, in JSON, TOML and cells that hold them", "[20, 500]"
    )
    cell: int = setting(
        16 * 2**20,
        "most characters of a cell, of a row of JSON, and of a file of text; most bytes of a row of CSV",
        "[10000, 2000000000]",
    )
    trust_paths: bool = setting(
        False,
        "whether paths in a table, and links in a folder, may lead out of the data's folder; its option is "
        "--trust-paths",
    )

    @classmethod
    def place(cls, name: str) -> str:
        """Return the name of a limit in messages, such as "--allow pixels"."""
        return f"{OPTION} {name}"

    @property
    def most_unpacked(self) -> int:
        """The bytes that a compressed file may take in memory."""
        return int(SHARE * _memory()) if self.unpacked is None else self.unpacked


def limits() -> Limits:
    """Return the limits that hold now. Raises UserError where the environment holds none that can be used."""
    return _read(os.environ.get(VARIABLE, ""))


@contextmanager
def allowing(**given: Any) -> Iterator[None]:
    """Within this context other limits hold, in this process and in those that it starts.

    Parameters
    ----------
    **given
        The fields of `Limits`, such as pixels=400_000_000 or trust_paths=True.

    Raises
    ------
    UserError
        There is no such limit, or the value is none.
    """
    before = os.environ.get(VARIABLE)
    held = {f.name: getattr(limits(), f.name) for f in fields(Limits)}
    for name in given:
        if name not in held:
            raise unknown("limit", name, held)
    now = Limits(**{**held, **given})
    os.environ[VARIABLE] = ",".join(
        f"{f.name}={str(value).lower()}" for f in fields(Limits) if (value := getattr(now, f.name)) != f.default
    )
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def options_given() -> str:
    """Return the options that make the limits that hold now, each with a space before it; "" where they are usual."""
    now = limits()
    other = {f.name: value for f in fields(Limits) if (value := getattr(now, f.name)) != f.default}
    trusted = " --trust-paths" if other.pop("trust_paths", False) else ""
    return trusted + "".join(f" {OPTION} {name}={value}" for name, value in other.items())


def too_much(place: str, what: str, name: str, needed: float) -> UserError:
    """Return the error for a file that asks for more than a limit.

    Parameters
    ----------
    place : str
        The file, or a place in one.
    what : str
        What there is too much of, such as "the image has 400,000,000 pixels".
    name : str
        The limit.
    needed : float
        The limit that would do.
    """
    limit = limits().most_unpacked if name == "unpacked" else getattr(limits(), name)
    way, raised = f"if you trust the file: {OPTION} {name}={int(needed)}", dict[str, Any]({name: int(needed)})
    try:
        Limits(**raised)
    except UserError:
        way = "no option allows so many"
    return UserError(f"{what}, and at most {limit:,} are allowed; {way}", setting=place, value=int(needed), given=place)


def check_unpacked(place: str, size: int) -> None:
    """Raise UserError where a file, or a part of one, would take too many bytes in memory."""
    if size > limits().most_unpacked:
        raise too_much(place, f"it unpacks to {size:,} bytes", "unpacked", size)


def parsed(text: str, place: str) -> dict[str, Any]:
    """Return the limits of a text such as "pixels=4e8,trust_paths=true", as plain values.

    Parameters
    ----------
    text : str
        Limits by name, separated by commas.
    place : str
        Where the text was given, for errors.

    Raises
    ------
    UserError
        It is no such text.
    """
    return dict(_value(part.strip(), place) for part in text.split(",") if part.strip())


def _value(part: str, place: str) -> tuple[str, int | bool]:
    name, equals, value = (word.strip() for word in part.partition("="))
    known = {f.name for f in fields(Limits)}
    if equals and name not in known:
        raise unknown("limit", name, sorted(known)).at(place)
    try:
        return name, BOOLEANS[value] if value in BOOLEANS else int(float(value))
    except (ValueError, OverflowError):
        rule = "write NAME=NUMBER, such as pixels=400000000 or cell=5e7"
        raise UserError(rule, setting=place, value=part, given=f"{place} {part!r}") from None


@cache
def _read(text: str) -> Limits:
    return Limits(**parsed(text, VARIABLE))


@cache
def _memory() -> int:
    """Return the bytes of memory that this machine, or the container, has."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**34
    try:
        return min(whole, int(OF_CONTAINER.read_text("utf-8")))
    except (OSError, ValueError):
        return whole
