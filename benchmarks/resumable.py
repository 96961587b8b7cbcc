"""Runs that stop when their time is up and go on later: each finished one is a line of a file, an unfinished one a
folder of checkpoints beside it.

A process that is killed loses what it did since its last checkpoint; of the lines, nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from skedastic.settings.config import Config
from skedastic.settings.reading import to_toml
from skedastic.training import Checkpoints

EVERY = 20.0  # seconds between two checkpoints

Line = dict[str, Any]


class TimeIsUp(Exception):
    """The time is up; what is trained so far is in its checkpoint."""


class Until:
    """A moment, `minutes` from now, that processes can share; where there are none, the end of the one that began."""

    def __init__(self, minutes: float | None) -> None:
        self.at = float("inf") if minutes is None else time.time() + 60 * minutes
        self.owner = os.getpid()

    @property
    def passed(self) -> bool:
        """Whether it is over, or the process that wanted it is."""
        return time.time() >= self.at or self.owner not in (os.getpid(), os.getppid())

    def check(self, stage: str, epoch: int, epochs: int) -> None:
        """Raise TimeIsUp if it is over; a stage calls it after each epoch, when its checkpoint is written."""
        if self.passed:
            raise TimeIsUp(f"at epoch {epoch} of {epochs} of {stage}")


class KeptUntil(Checkpoints):
    """Checkpoints of a run that is to stop at a moment: the last is written then."""

    until = Until(None)

    @property
    def due(self) -> bool:
        """Whether it is time for another, or for the last."""
        return super().due or self.until.passed

    def of(self, name: str) -> KeptUntil:
        """Return those of another training run of the same job."""
        other = KeptUntil(self.folder, self.every, self.settings, name=f"{name}-")
        other.until = self.until
        return other


class Lines:
    """The lines of a file, and the checkpoints of what is not in it yet, in a folder beside it."""

    def __init__(self, file: Path) -> None:
        self.file, self.folder = file, file.with_name(f"{file.name}.unfinished")

    def __iter__(self) -> Iterator[Line]:
        """Yield the lines; one that a kill cut off is none."""
        for text in self.file.read_text("utf-8").splitlines() if self.file.exists() else ():
            try:
                yield json.loads(text)
            except ValueError:
                continue

    def add(self, line: Line) -> None:
        """Write the line of a run that is done, and drop its checkpoints."""
        whole = not self.file.exists() or self.file.read_bytes()[-1:] in (b"\n", b"")
        with self.file.open("a", encoding="utf-8") as out:
            out.write("\n" * (not whole) + json.dumps(line) + "\n")
        shutil.rmtree(self._folder(line["run"]), ignore_errors=True)

    def checkpoints(self, run: str, config: Config, until: Until) -> KeptUntil:
        """Return the checkpoints of a run."""
        kept = KeptUntil(self._folder(run), min(EVERY, config.checkpoint_every), to_toml(config))
        kept.until = until
        return kept

    def _folder(self, run: str) -> Path:
        return self.folder / run


def run_of(preset: str, config: Config) -> str:
    """Return a name for a run that has the same settings each time, and no other run has."""
    digest = hashlib.blake2b(to_toml(config).encode(), digest_size=6).hexdigest()
    return re.sub(r"[^\w.-]+", "-", f"{preset}-{config.seed}-{config.methods[0]}")[:60] + f"-{digest}"


def options(doc: str | None, seeds: int, rows: int, *, needs_data: bool = True) -> argparse.ArgumentParser:
    """Return the options that benchmarks of many short runs share, with their defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=needs_data)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--json", action="store_true")
    return parser


def lines_of(measure: Callable[[argparse.Namespace], list[Line]], arguments: argparse.Namespace) -> list[Line]:
    """Return the lines that a measurement gives on one thread, in a file that is kept where --out names one."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        arguments.out = arguments.out or Path(folder) / "lines.jsonl"
        return measure(arguments)
