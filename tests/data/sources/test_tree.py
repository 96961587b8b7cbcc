"""What a folder holds: its files in the order of their paths, and little memory for each."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from skedastic.data.sources.folders import File, read_folder
from skedastic.data.sources.tree import walk

NAMES = (
    "b/2.png",
    "b/10.png",
    "b c/1.png",
    "b.c/1.png",
    "a.PNG",
    "b/x/1.tar.gz",
    "b/none",
    "b/end.",
    "é/ü.png",
    "B/1.png",
)


def plant(root: Path) -> None:
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "b" / ".hidden.png").write_bytes(b"x")
    (root / "b" / "Thumbs.db").write_bytes(b"x")


@pytest.mark.parametrize("named", ["{root}", ".", "../here", "sub/.."])
def test_files_are_listed_and_taken_apart_as_paths_are(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "here"
    plant(root)
    (root / "sub").mkdir()
    monkeypatch.chdir(root)
    given = Path(named.format(root=root))
    tree = walk(given)
    paths = sorted(given / name for name in NAMES)
    assert tree.files == [str(path) for path in paths]
    files = [File(path, tree.start, None) for path in tree.files]
    assert [file.below for file in files] == [path.relative_to(given).parts for path in paths]
    assert [file.ending for file in files] == [path.suffix.lower() for path in paths]
    assert sorted(path.name for path in tree.hidden) == [".hidden.png", "Thumbs.db"]


def test_a_folder_takes_little_more_memory_for_each_file_than_its_path(tmp_path: Path) -> None:
    """It was 1,190 bytes for each of 10,000 files of 40 characters, of which those of the path are 100."""
    count = 4000
    for c in range(4):
        (tmp_path / f"c{c}").mkdir()
    for i in range(count):
        (tmp_path / f"c{i % 4}" / f"{i:07}.png").touch()
    read_folder(tmp_path)
    tracemalloc.start()
    table = read_folder(tmp_path)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    path = len(str(tmp_path)) + len("/c0/0000000.png") + 49
    assert len(table) == count
    assert kept / count < path + 150
    assert peak / count < 3 * path + 350
