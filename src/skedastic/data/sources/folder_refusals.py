"""Folders that can't be read by class, and what the user may have meant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from skedastic.data.sources.names import ARRAYS, ENDINGS, SHARDS, TABLES, is_idx, shown_path
from skedastic.data.sources.tree import Tree
from skedastic.errors import UserError

UNREAD = (".heic", ".heif", ".avif", ".svg", ".psd", ".dcm", ".jp2", ".cr2", ".nef", ".arw", ".dng", ".raw")
SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")  # in a folder of the package datasets


def no_examples(tree: Tree, endings: str) -> UserError:
    """Return the error for a folder without images and texts, with the files in it that can be read otherwise."""
    root, files = shown_path(tree.root), [Path(file) for file in tree.files]
    if any((tree.root / name).is_file() for name in SAVED) and any(f.suffix == ".arrow" for f in files):
        return UserError(f"it is a saved data set; name it hf:{root}", setting=root)
    tables = [f for f in files if f.suffix.lower() in ENDINGS or is_idx(f)]
    if tables:
        rule = (
            f"it is a directory without images or texts by class; name the {_kind(tables[0])} in it: {_named(tables)}"
        )
        return UserError(rule, setting=root)
    unread = Counter(f.suffix.lower() for f in files if f.suffix.lower() in UNREAD)
    if unread:
        ending, n = unread.most_common(1)[0]
        rule = f"it holds {n:,} of {ending}, images which can't be read here; save them as .jpg or .png"
        return UserError(rule, setting=root, value=ending, given=root)
    rule = (
        f"it is a directory without {endings} in sub-folders named as the classes; name a folder like that, or a file"
    )
    return UserError(rule, setting=root)


def one_class(tree: Tree, folder: Path, noun: str) -> UserError:
    """Return the error for a folder with one class only, with the folder or the table that may be meant."""
    rule = f"all of its {noun} are in {shown_path(folder.name)!r}, and a classifier needs at least two classes"
    tables = [f for f in tree.files if f.lower().endswith(TABLES)]
    if any(f.parent == folder for f in tree.folders):
        rule += f"; name {shown_path(folder)} where its sub-folders are the classes"
    elif tables and noun == "images":
        rule += f"; where {shown_path(tables[0])} holds their labels name it, with --target and --image"
    else:
        rule += "; put the files into a sub-folder for each class"
    return UserError(rule, setting=shown_path(tree.root), value=folder.name, given=shown_path(tree.root))


def _kind(path: Path) -> str:
    ending = path.suffix.lower()
    return "shards" if ending in SHARDS else "arrays" if ending in ARRAYS or is_idx(path) else "table"


def _named(paths: list[Path]) -> str:
    """Return a file, or a pattern that matches all of them where they are alike."""
    first = paths[0]
    alike = [p for p in paths if p.parent == first.parent and p.suffix == first.suffix]
    if len(alike) == 1 or len(alike) < len(paths) or is_idx(first):
        return shown_path(first)
    return f"{shown_path(first)}, or all {len(alike):,} as '{shown_path(first.parent)}/*{first.suffix}'"
