"""The checkpoints of several processes: the first writes and reads them, and tells the others what it read.

So only the first needs the disk that they are on. A checkpoint is of the whole training, whatever the number of
processes: the next run may have more, or fewer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from skedastic.runtime.launch import is_first
from skedastic.training.checkpoints import Checkpoints, Snapshot
from skedastic.training.ranks import agreed, agreed_tensor, is_leading, joined


def checkpoints_in(folder: str | Path, every: float = 60.0, settings: str = "", *, name: str = "") -> Checkpoints:
    """Return the checkpoints of this process, which may be one of several; parameters as of `Checkpoints`."""
    kind = Checkpoints if joined() is None else AgreedCheckpoints
    return kind(folder, every, settings, name=name)


class AgreedCheckpoints(Checkpoints):
    """The checkpoints of one training run of several processes. Within `ranks.apart`, each has its own."""

    def __init__(self, folder: str | Path, every: float = 60.0, settings: str = "", *, name: str = "") -> None:
        if is_first():
            super().__init__(folder, every, settings, name=name)
        else:
            self._begin(folder, every, settings, name)

    def of(self, name: str) -> Checkpoints:
        """Return the checkpoints of another training run of the same job."""
        return AgreedCheckpoints(self.folder, self.every, self.settings, name=f"{name}-")

    @property
    def due(self) -> bool:
        """Whether it is time for another, at the end of an epoch; the first process's clock counts."""
        return is_leading() and super().due

    @property
    def due_within_epoch(self) -> bool:
        """Whether it is time for another after a step."""
        return is_leading() and super().due_within_epoch

    def write(self, stage: str, snapshot: Snapshot) -> None:
        """Write the state of a stage, where this is the first process, or what it trains is its own."""
        if self._may_write:
            super().write(stage, snapshot)

    def keep_settings(self) -> None:
        """Write what a resume needs, where this is the first process."""
        if is_leading():
            super().keep_settings()

    def failure(self, stage: str) -> str:
        """Return why a stage failed; empty where it did not."""
        return str(self._agreed(super().failure, stage))

    def has_ended(self, stage: str, epochs: int) -> bool:
        """Return whether a stage was trained to its end, or failed."""
        return bool(self._agreed(super().has_ended, stage, epochs))

    def read(self, stage: str) -> Snapshot | None:
        """Return the state of a stage; None where there is no checkpoint of it."""
        if joined() is None:
            return super().read(stage)
        own = super().read(stage) if is_first() else None
        shapes = None if own is None else {name: [str(t.dtype), list(t.shape)] for name, t in own.tensors.items()}
        told = agreed([shapes, None if own is None else own.facts])
        if told[0] is None:
            return None
        tensors = {}
        for name, (dtype, shape) in told[0].items():
            like = torch.empty(shape, dtype=getattr(torch, dtype.removeprefix("torch.")))
            tensors[name] = agreed_tensor(like if own is None else own.tensors[name])
        return Snapshot(tensors, told[1])

    @property
    def _may_write(self) -> bool:
        return is_first() or (joined() is None and self.folder.is_dir())  # else another machine's disk

    def _agreed(self, ask: Any, *given: Any) -> Any:
        return agreed(ask(*given) if is_leading() else None)
