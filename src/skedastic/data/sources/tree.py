"""The files in a folder: hidden ones apart, links to folders followed once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skedastic.data.sources.confined import Folders, Place, rule_of
from skedastic.data.sources.names import check_utf8, shown_path
from skedastic.errors import UserError

SYSTEM = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information")
EXAMPLES = 3  # names in a note


@dataclass
class Tree:
    """What a folder holds.

    Parameters
    ----------
    root : Path
        The folder.
    files : list of str
        Its files, also those in sub-folders, in the order of their paths: text, since there may be millions.
    folders : list of Path
        Its sub-folders.
    hidden : list of Path
        Files and folders that are the system's, or begin with a point; what is in them is not listed.
    linked : list of Path
        Links to folders elsewhere, whose files are among `files` where paths are trusted.
    leading : dict of str to Place
        Where those of `files` lead that are no files in the folder: links out of it, pipes, devices.
    repeated : list of Path
        Links to folders that are read already, or that hold this one.
    broken : list of Path
        Links to what is not there.
    """

    root: Path
    files: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    linked: list[Path] = field(default_factory=list)
    leading: dict[str, Place] = field(default_factory=dict)
    repeated: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)

    @property
    def start(self) -> int:
        """The characters of each of `files` before the path as it is seen from the folder."""
        return len(os.path.join(_text(self.root), ""))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and which links were followed, for the user."""
        said = {
            "left out: {n} hidden {files} ({names})": (self.hidden, "file or folder", "files and folders"),
            "followed: {n} {files} to folders ({names})": (self.linked, "link", "links"),
            "left out: {n} {files} to folders that are read already ({names})": (self.repeated, "link", "links"),
            "left out: {n} {files} to what is not there ({names})": (self.broken, "link", "links"),
        }
        return tuple(
            text.format(n=f"{len(paths):,}", files=one if len(paths) == 1 else many, names=self.named(paths))
            for text, (paths, one, many) in said.items()
            if paths
        )

    def named(self, paths: Sequence[Path]) -> str:
        """Return the names of a few paths, as they are seen from the folder."""
        names = [shown_path(path.relative_to(self.root)) for path in paths[:EXAMPLES]]
        return ", ".join(names) + (", …" if len(paths) > EXAMPLES else "")


def walk(root: Path) -> Tree:
    """Return what a folder holds.

    A link to a folder is followed where its target is not read already and does not hold `root`, so that no file is
    taken twice and no circle is walked.

    Raises UserError for a folder that may not be read, for a link to a folder out of `root`, unless paths are trusted,
    and for a path that is no UTF-8.
    """
    tree, home, inside = Tree(root), Path(os.path.realpath(root)), Folders([root])
    seen: set[Path] = set()
    links: list[Path] = []
    doubtful: list[str] = []
    _enter(root, tree, seen, links, doubtful)
    for link in links:  # it grows while links are followed
        target = Path(os.path.realpath(link))
        if target in seen or home.is_relative_to(target):
            tree.repeated.append(link)
        elif not inside.holds(link):
            raise UserError(f"the link {rule_of(Place.OUTSIDE)}", setting=shown_path(link))
        else:
            tree.linked.append(link)
            tree.folders.append(link)
            _enter(link, tree, seen, links, doubtful)
    tree.files.sort(key=lambda path: path.replace(os.sep, "\0"))  # by folder, as paths are
    tree.leading = {path: place for path in doubtful if (place := inside.place(path)) is not Place.INSIDE}
    for path in tree.files:
        check_utf8(path)
    return tree


def _enter(start: Path, tree: Tree, seen: set[Path], links: list[Path], doubtful: list[str]) -> None:
    """Add what is in a folder and its sub-folders to a tree.

    Links to folders go to `links`; other links, and what is no file, go to `doubtful` too.
    """
    waiting = [start]
    while waiting:
        folder = waiting.pop()
        real = Path(os.path.realpath(folder))
        if real in seen:
            tree.repeated.append(folder)
            continue
        seen.add(real)
        text = _text(folder)
        for entry in _entries(folder):
            if entry.is_file(follow_symlinks=False) and not _is_hidden(entry.name):
                tree.files.append(os.path.join(text, entry.name))
                continue
            path = folder / entry.name
            if _is_hidden(entry.name):
                tree.hidden.append(path)
            elif entry.is_dir(follow_symlinks=False):
                tree.folders.append(path)
                waiting.append(path)
            elif entry.is_symlink() and path.is_dir():
                links.append(path)
            elif entry.is_symlink() and not path.exists():
                tree.broken.append(path)
            else:
                tree.files.append(str(path))
                doubtful.append(str(path))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _text(folder: Path) -> str:
    """Return a folder as it stands before a name: "" for this one."""
    return "" if folder == Path() else str(folder)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        rule = f"the folder can't be read ({error.strerror}); mend its permissions, or move it away"
        raise UserError(rule, setting=shown_path(folder)) from None
