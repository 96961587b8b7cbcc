"""Folders by class: DIR/cat/1.png, DIR/dog/2.png; or DIR/pos/1.txt, DIR/neg/2.txt; or such in DIR/train and DIR/test.

The package datasets reads folders of images too, but keeps a table of them in a cache, and no folders of text by class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from skedastic.data.images import FileBytes
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

    def of(self, path: Path) -> bool:
        """Tell whether a file is of the kind, by its ending."""
        return path.suffix.lower() in self.endings

    def count(self, n: int) -> str:
        """Return a number of them in words."""
        return f"{n:,} {self.one if n == 1 else self.many}"


IMAGE, TEXT = Kind("image", "images", IMAGES), Kind("text", "texts", TEXTS)


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
        There are no classes, images and texts at once, or a file can't be read.
    """
    tree = walk(folder)
    below = {path: path.relative_to(folder).parts for path in tree.files}
    kind = _kind(tree, [path for path in tree.files if len(below[path]) > 1] or tree.files)
    files = [path for path in tree.files if kind.of(path)]
    layout = find_layout(folder, [below[path] for path in files])
    notes = [*_others(tree, kind), *tree.notes]
    if use != "predict":
        loose = [path for path in files if not layout.has_class(below[path])]
        files = [path for path in files if layout.has_class(below[path])]
        notes = [*_loose(tree, kind, layout, files, loose), *_empty(tree, kind, layout, files), *notes]
    names = [below[path] for path in files]
    if use == "train" and len({layout.label(name) for name in names}) == 1:
        raise one_class(tree, folder.joinpath(*names[0][: layout.depth + 1]), kind.many)
    if layout.several and (use == "test" or (use == "train" and TRAIN[0] not in layout.parts.values())):
        shown = " or ".join(shown_path(folder / top) for top in layout.parts)
        what = "several parts" if use == "test" else "parts to test on, and none to train on"
        raise UserError(f"it holds {what}; name one folder: {shown}", setting=shown_path(folder))
    return _table(tree, kind, layout, files, names, (*layout.note(names, kind.many), *notes))


def _table(
    tree: Tree, kind: Kind, layout: Layout, files: Sequence[Path], names: Sequence[Below], notes: tuple[str, ...]
) -> Table:
    cells = {LABEL: [layout.label(name) for name in names], PATH: [encodable("/".join(name)) for name in names]}
    if layout.several:
        cells[SPLIT] = [layout.parts[name[0]] for name in names]
    declared: dict[str, ColumnKind] = {}
    if kind is TEXT:
        read = [read_text(path) for path in files]
        cells = {"text": [text for text, _ in read]} | cells
        declared = {"text": "text"}
        guessed = [path for path, (_, is_guess) in zip(files, read, strict=True) if is_guess]
        if guessed:
            said = f"{len(guessed):,} of {kind.count(len(files))} are not in UTF-8: read as Windows-1252"
            notes = (*notes, f"{said} ({tree.named(guessed)})")
    return Table(
        tree.root.name,
        FrameReader(pd.DataFrame(cells, dtype=object)),
        images={"image": partial(FileBytes, tuple(map(str, files)))} if kind is IMAGE else {},
        notes=notes,
        declared=declared,
        apart=(PATH, SPLIT) if layout.several else (PATH,),
        split=SPLIT if layout.several else None,
    )


def _kind(tree: Tree, files: Sequence[Path]) -> Kind:
    """Return the kind of most of the files. Raises UserError where there are none, or not few of the other kind."""
    count = {kind: sum(map(kind.of, files)) for kind in (IMAGE, TEXT)}
    most, other = sorted(count, key=lambda kind: -count[kind])
    if not count[most]:
        raise no_examples(tree, f"images ({', '.join(IMAGES[:4])}, …) or texts ({', '.join(TEXTS[:2])})")
    if count[other] * FEW > count[most]:
        rule = f"it holds {most.count(count[most])} and {other.count(count[other])}; give a folder of either"
        raise UserError(rule, setting=shown_path(tree.root))
    return most


def _others(tree: Tree, kind: Kind) -> list[str]:
    """Say which files are not of the kind that is read."""
    other = TEXT if kind is IMAGE else IMAGE
    few = [path for path in tree.files if other.of(path)]
    endings = Counter(path.suffix.lower() for path in tree.files if not (kind.of(path) or other.of(path)))
    unread = sum(n for ending, n in endings.items() if ending in UNREAD)
    notes = [f"left out: {other.count(len(few))} ({tree.named(few)})"] if few else []
    if endings:
        listed = ", ".join(f"{n:,} {shown_path(ending) or 'without ending'}" for ending, n in endings.items())
        way_out = "; pictures of such kinds must be saved as .jpg or .png" if unread and kind is IMAGE else ""
        notes.append(f"left out: files of other kinds ({listed}){way_out}")
    return notes


def _loose(tree: Tree, kind: Kind, layout: Layout, files: Sequence[Path], loose: Sequence[Path]) -> list[str]:
    """Say which files of the kind have no class. Raises UserError where these are not few."""
    notes, stray = [], list[Path]()
    unlabelled = Counter[str]()
    for path in loose:
        top = path.relative_to(tree.root).parts[0]
        if top in layout.unlabelled:
            unlabelled[top] += 1
        else:
            stray.append(path)
    if stray and len(stray) * FEW > len(files):
        rule = "it is in no sub-folder; put each file into a folder named as its class"
        raise UserError(rule, setting=shown_path(stray[0]))
    if stray:
        notes.append(f"left out: {kind.count(len(stray))} beside the folders of the classes ({tree.named(stray)})")
    for top, n in unlabelled.items():
        notes.append(f"left out: {kind.count(n)} of {shown_path(top)}, which are in no folder of a class")
    return notes


def _empty(tree: Tree, kind: Kind, layout: Layout, files: Sequence[Path]) -> list[str]:
    """Say in which folders, of those that could be classes, there is no file of the kind."""
    filled = {parent for path in files for parent in path.parents}
    empty = [
        folder
        for folder in sorted(tree.folders)
        if folder not in filled and len(folder.relative_to(tree.root).parts) == layout.depth + 1
    ]
    return [f"without {kind.many}, and so no class: {tree.named(empty)}"] if empty else []
