"""The time to check where the paths of a table lead, over that to resolve each of them, and to ask for each file alone.

    python benchmarks/paths.py [--json] [--files 100000] [--folders 100]

Files are empty, in folders of equal size, on the disk of the temporary folder. Each figure is the median of five times,
in turns. Asking for each file alone (`is_file`) does not tell where it leads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import hardware, show
from skedastic.data.sources.confined import Folders, Place

TIMES = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folders", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        paths = made(Path(root), arguments.files, arguments.folders)
        inside = os.path.join(os.path.realpath(root), "")
        ways: dict[str, Callable[[], int]] = {
            "checked": lambda: checked(root, paths),
            "each resolved": lambda: sum(os.path.realpath(path).startswith(inside) for path in paths),
            "each asked for": lambda: sum(os.path.isfile(path) for path in paths),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(TIMES):
            for name, way in ways.items():
                began = time.perf_counter()
                assert way() == len(paths)
                seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    figures = {
        "seconds": median["checked"],
        **{f"over {name}": median["checked"] / other for name, other in median.items() if name != "checked"},
    }
    show({"files": arguments.files, "folders": arguments.folders, **figures, "hardware": hardware()}, arguments.json)


def made(root: Path, files: int, folders: int) -> list[str]:
    """Make empty files, and return their paths."""
    for k in range(folders):
        (root / str(k)).mkdir()
    paths = [str(root / str(i % folders) / f"{i}.png") for i in range(files)]
    for path in paths:
        Path(path).touch()
    return paths


def checked(root: str, paths: list[str]) -> int:
    """Return how many of the paths lead to files below a folder."""
    folders = Folders([root])
    return sum(folders.place(path) is Place.INSIDE for path in paths)


if __name__ == "__main__":
    main()
