"""The folder that a verb writes to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skedastic.cli import console
from skedastic.runs.folder import reserved, usual_folder


@contextmanager
def folder_for(verb: str, source: str, out: str | None, force: bool) -> Iterator[Path]:
    """Lend the folder that the user names, or one of the source's name; say so where that has a number."""
    usual = usual_folder(verb, source)
    with reserved(out, usual, force) as folder:
        yield folder
    if out is None and folder != usual:
        console.notes([f"{usual} was there already, so this went to {folder}"])
