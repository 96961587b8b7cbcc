"""What is planted in files of others: payloads that would leave a canary where they ran, and the rows of the tables."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

CANARY = "CANARY"  # the file that a payload makes, in the working directory
OWN_CODE = f"""
import pathlib
pathlib.Path({CANARY!r}).touch()
from torch import nn
def make(inputs, classes):
    return nn.Linear(inputs.shape[0], classes)
"""


class _Payload:
    def __reduce__(self):
        return os.system, (f"touch {CANARY}",)


PICKLE = pickle.dumps(_Payload())


@dataclass(frozen=True)
class Hostile:
    """A row: what is planted, by a function that returns the command line to run, and words of the refusal."""

    section: str
    what: str
    plant: Callable[[World], Sequence[object]]
    says: str = ""

    def __str__(self) -> str:
        return f"{self.section}: {self.what}"


@dataclass(frozen=True)
class World:
    """The working directory of a row, and an honest run to copy."""

    here: Path
    honest: Path

    def run(self, name: str = "run") -> Path:
        return shutil.copytree(self.honest, self.here / name)

    def write(self, name: str, content: str | bytes) -> str:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def table(self, name: str = "d.csv", **columns: object) -> str:
        """Write an honest table, with further columns."""
        frame(**columns).to_csv(self.here / name, index=False)
        return name

    def image(self, name: str, colour: int = 0) -> str:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (colour % 256, 99, 7)).save(path)
        return name

    def images(self, folder: str, count: int = 4) -> str:
        """Write a folder of images in two classes."""
        for i in range(count):
            self.image(f"{folder}/{('cat', 'dog')[i % 2]}/{i}.png", 20 * i)
        return folder

    def pipe(self, name: str) -> str:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        return name

    def link(self, name: str, target: str | Path) -> str:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return name


def frame(n: int = 60, **columns: object) -> pd.DataFrame:
    generator, y = np.random.default_rng(0), np.arange(n) % 2
    return pd.DataFrame({"a": generator.normal(size=n) + y, "b": generator.normal(size=n), **columns, "label": y})


def fit(source: str, *options: object) -> tuple[object, ...]:
    return ("fit", source, *options, "--out", "new")
