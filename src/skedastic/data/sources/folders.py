"""Folders by class: DIR/cat/1.png, DIR/dog/2.png; or DIR/pos/1.txt, DIR/neg/2.txt; or such in DIR/train and DIR/test.

The package datasets reads folders of images too, but keeps a table of them in a cache, and no folders of text by class.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from skedastic.data.images import FileBytes
from skedastic.data.sources.confined import rule_of
from skedastic.data.sources.folder_layout import Below, Layout, find_layout
from skedastic.data.sources.folder_refusals import UNREAD, no_examples, one_class
from skedastic.data.sources.names import shown_path
from skedastic.data.sources.text_files import read_text
from skedastic.data.sources.tree import Tree, walk
from skedastic.data.split_columns import TRAIN
from skedastic.data.tables.columns import ColumnKind
from skedastic.data.tables.readers import FrameReader
from skedastic.data.tables.table import Table
from skedastic.data.tables.values import encodable
from skedastic.errors import UserError

Use = Literal["train", "test", "predict"]
IMAGES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
TEXTS = (".txt", ".text", ".md")
LABEL, PATH, SPLIT = "label", "path", "split"
FEW = 4  # files are few where those that are read are as many times more


@dataclass(frozen=True)
class Kind:
    """Images or texts: the names of one and of several, and the endings of their files."""

    one: str
    many: str
    endings: tuple[str, ...]

    def count(self, n: int) -> str:
        """Return a number of them in words."""
        return f"{n:,} {self.one if n == 1 else self.many}"


IMAGE, TEXT = Kind("image", "images", IMAGES), Kind("text", "texts", TEXTS)
KINDS = {ending: kind for kind in (IMAGE, TEXT) for ending in kind.endings}


class File(NamedTuple):
    """A file: its path, of which so many characters lead to the folder that was named, and its kind if it has one."""

    path: str
    start: int
    kind: Kind | None

    @property
    def below(self) -> Below:
        """The names below the folder that was named."""
        return tuple(self.path[self.start :].split(os.sep))

    @property
    def ending(self) -> str:
        """Its ending, in small letters."""
        return _ending(self.path)


def read_folder(folder: Path, use: Use = "train") -> Table:
    """Read a folder whose sub-folders are the classes, or are train, test and validation with the classes in them.

    The columns are `image` or `text`, `label`, `path`, and where there are several parts `split`.

    Parameters
    ----------
    folder : Path
        The folder.
    use : Use, optional
        What the rows are for. To predict from, files need be in no sub-folder.

    Raises
    ------
    UserError
        There are no classes, images and texts at once, or a file can't be read, or leads out of the folder.
    """
    tree = walk(folder)
    start = tree.start
    found = [File(path, start, KINDS.get(_ending(path))) for path in tree.files]
    kind = _kind(tree, [file for file in found if os.sep in file.path[file.start :]] or found)
    files = [file for file in found if file.kind is kind]
    for file in files:
        if file.path in tree.leading:
            raise UserError(rule_of(tree.leading[file.path]), setting=shown_path(file.path))
    layout = find_layout(folder, [file.below for file in files])
    notes = [*_others(tree, kind, found), *tree.notes]
    if use != "predict":
        loose = [file for file in files if not layout.has_class(file.below)]
        files = [file for file in files if layout.has_class(file.below)]
        notes = [*_loose(tree, kind, layout, len(files), loose), *_empty(tree, kind, layout, files), *notes]
    if use == "train" and len({layout.label(file.below) for file in files}) == 1:
        raise one_class(tree, folder.joinpath(*files[0].below[: layout.depth + 1]), kind.many)
    if layout.several and (use == "test" or (use == "train" and TRAIN[0] not in layout.parts.values())):
        shown = " or ".join(shown_path(folder / top) for top in layout.parts)
        what = "several parts" if use == "test" else "parts to test on, and none to train on"
        raise UserError(f"it holds {what}; name one folder: {shown}", setting=shown_path(folder))
    return _table(tree, kind, layout, files, (*layout.note([file.below for file in files], kind.many), *notes))


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower().rstrip(".")


def _table(tree: Tree, kind: Kind, layout: Layout, files: Sequence[File], notes: tuple[str, ...]) -> Table:
    cells = {
        LABEL: [sys.intern(layout.label(file.below)) for file in files],
        PATH: [encodable("/".join(file.below)) for file in files],
    }
    if layout.several:
        cells[SPLIT] = [layout.parts.get(file.below[0], "") for file in files]
    declared: dict[str, ColumnKind] = {}
    if kind is TEXT:
        read = [read_text(Path(file.path)) for file in files]
        cells = {"text": [text for text, _ in read]} | cells
        declared = {"text": "text"}
        guessed = [Path(file.path) for file, (_, is_guess) in zip(files, read, strict=True) if is_guess]
        if guessed:
            said = f"{len(guessed):,} of {kind.count(len(files))} are not in UTF-8: read as Windows-1252"
            notes = (*notes, f"{said} ({tree.named(guessed)})")
    paths = tuple(file.path for file in files)
    return Table(
        tree.root.name or tree.root.resolve().name,
        FrameReader(pd.DataFrame(cells, dtype=object)),
        images={"image": partial(FileBytes, paths)} if kind is IMAGE else {},
        notes=notes,
        declared=declared,
        apart=(PATH, SPLIT) if layout.several else (PATH,),
        split=SPLIT if layout.several else None,
    )


def _kind(tree: Tree, files: Sequence[File]) -> Kind:
    """Return the kind of most of the files. Raises UserError where there are none, or not few of the other kind."""
    count = {kind: sum(file.kind is kind for file in files) for kind in (IMAGE, TEXT)}
    most, other = sorted(count, key=lambda kind: -count[kind])
    if not count[most]:
        raise no_examples(tree, f"images ({', '.join(IMAGES[:4])}, …) or texts ({', '.join(TEXTS[:2])})")
    if count[other] * FEW > count[most]:
        rule = f"it holds {most.count(count[most])} and {other.count(count[other])}; give a folder of either"
        raise UserError(rule, setting=shown_path(tree.root))
    return most


def _others(tree: Tree, kind: Kind, files: Sequence[File]) -> list[str]:
    """Say which files are not of the kind that is read."""
    other = TEXT if kind is IMAGE else IMAGE
    few = [Path(file.path) for file in files if file.kind is other]
    endings = Counter(file.ending for file in files if file.kind is None)
    notes = [f"left out: {other.count(len(few))} ({tree.named(few)})"] if few else []
    if endings:
        listed = ", ".join(f"{n:,} {shown_path(ending) or 'without ending'}" for ending, n in endings.items())
        unread = kind is IMAGE and any(ending in UNREAD for ending in endings)
        way_out = "; images of such kinds must be saved as .jpg or .png" if unread else ""
        notes.append(f"left out: files of other kinds ({listed}){way_out}")
    return notes


def _loose(tree: Tree, kind: Kind, layout: Layout, count: int, loose: Sequence[File]) -> list[str]:
    """Say which files of the kind have no class, beside `count` that have. Raises UserError where they are not few."""
    unlabelled = Counter(file.below[0] for file in loose if file.below[0] in layout.unlabelled)
    stray = [Path(file.path) for file in loose if file.below[0] not in layout.unlabelled]
    if len(stray) * FEW > count:
        rule = "it is in no sub-folder; put each file into a folder named as its class"
        raise UserError(rule, setting=shown_path(stray[0]))
    notes = [
        f"left out: {kind.count(n)} of {shown_path(top)}, which are in no folder of a class"
        for top, n in unlabelled.items()
    ]
    if stray:
        notes.append(f"left out: {kind.count(len(stray))} beside the folders of the classes ({tree.named(stray)})")
    return notes


def _empty(tree: Tree, kind: Kind, layout: Layout, files: Sequence[File]) -> list[str]:
    """Say in which folders, of those that could be classes, there is no file of the kind."""
    filled = {file.below[: layout.depth + 1] for file in files}
    below = {folder: folder.relative_to(tree.root).parts for folder in sorted(tree.folders)}
    empty = [folder for folder, names in below.items() if len(names) == layout.depth + 1 and names not in filled]
    return [f"without {kind.many}, and so no class: {tree.named(empty)}"] if empty else []
