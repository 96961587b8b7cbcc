"""The papers' tables as settings of a comparison, one TOML file each, for data of one's own or for the papers'.

A file holds the settings of a table: the classes that are corrupted, the corruption, and the methods, which are its
rows. Classes are named by position, so that it fits any data with enough classes. The model and the seeds are the
user's. The training configuration is the paper's; a file and options go on top.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from itertools import takewhile
from typing import Any

from skedastic.errors import unknown

FILES = {path.name.removesuffix(".toml"): path for path in files(__name__).iterdir() if path.name.endswith(".toml")}
NAMES = tuple(sorted(FILES))


def about(name: str) -> str:
    """Return what a table is, from the comment that its file begins with."""
    lines = FILES[name].read_text("utf-8").splitlines()
    return " ".join(line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines))


def settings(name: str) -> Mapping[str, Any]:
    """Return the settings of a table by its name, such as "har-table1"; raises UserError where there is none."""
    if name not in FILES:
        raise unknown("preset", name, NAMES)
    return tomllib.loads(FILES[name].read_text("utf-8"))
