"""Where in a folder the classes are: DIR/cat/1.png, or DIR/train/cat/1.png and DIR/test/cat/2.png."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skedastic.data.sources.names import shown_path
from skedastic.data.split_columns import TEST, TRAIN, VALIDATION
from skedastic.errors import UserError

Below = tuple[str, ...]  # the names of the folders of a file and its own, from the folder that was named
PARTS = {word: part[0] for part in (TRAIN, VALIDATION, TEST) for word in part}
USUAL = tuple(dict.fromkeys(PARTS.values()))


@dataclass(frozen=True)
class Layout:
    """Where the class of a file is.

    Parameters
    ----------
    depth : int
        How many folders are above those of the classes: 0, or 1 where these are in train, test and the like.
    parts : mapping of str to str
        Of each folder such as Train, with the classes in it, its part: train, test or validation.
    unlabelled : tuple of str
        Folders beside these, named as parts too, with all files in no class.
    """

    depth: int
    parts: Mapping[str, str]
    unlabelled: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether there are rows of more than one part."""
        return len(set(self.parts.values())) > 1

    def has_class(self, below: Below) -> bool:
        """Tell whether a file is in the folder of a class."""
        return len(below) > self.depth + 1

    def label(self, below: Below) -> str:
        """Return the class of a file, "" where it is in none."""
        return below[self.depth] if self.has_class(below) else ""

    def note(self, files: Sequence[Below], noun: str) -> tuple[str, ...]:
        """Say how many files each part has."""
        counts = Counter(below[0] for below in files)
        parts = sorted(self.parts, key=lambda top: USUAL.index(self.parts[top]))
        said = ", ".join(f"{shown_path(top)} {counts[top]:,}" for top in parts)
        return (f"the {noun} are in parts, with the classes in each: {said}",) if parts else ()


def part_of(folder: str) -> str | None:
    """Return train, test or validation for a folder that is named so, such as Train or test_set; else None."""
    letters = re.sub(r"[^a-z]", "", folder.lower())
    return PARTS.get(letters) or PARTS.get(letters.removesuffix("set"))


def find_layout(root: Path, files: Sequence[Below]) -> Layout:
    """Return where the classes are: below train, test and validation where all folders with files are named so.

    Raises UserError where two folders are parts, and another one is none.
    """
    inside = [below for below in files if len(below) > 1]
    tops = sorted({below[0] for below in inside})
    nested = {below[0] for below in inside if len(below) > 2}
    parts = {top: part for top in tops if (part := part_of(top)) is not None}
    if not nested.intersection(parts):
        return Layout(0, {})
    other = next((top for top in tops if top not in parts), None)
    if other is None:
        return Layout(1, {t: p for t, p in parts.items() if t in nested}, tuple(t for t in tops if t not in nested))
    if len(nested.intersection(parts)) > 1:
        rule = (
            f"its folders {' and '.join(map(repr, list(parts)[:2]))} seem to be parts with the classes in them, and "
            f"{other!r} is none; move it away, or rename it"
        )
        raise UserError(rule, setting=shown_path(root), value=other, given=shown_path(root))
    return Layout(0, {})
