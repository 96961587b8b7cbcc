"""Checkpoints: the state of a stage of training, one safetensors file each; nothing pickled.

A run that was interrupted resumes from them and ends with the same weights, to the bit: the order of the examples and
their augmentation are functions of seed and epoch, and everything else is in the file.
"""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from skedastic.errors import UserError
from skedastic.runtime.plain_files import json_value

FOLDER, SETTINGS = "checkpoints", "config.toml"
FAILED = "failed"  # the fact that says why a stage failed


def has_checkpoints(folder: str | Path) -> bool:
    """Return whether a folder holds the checkpoints of a run that has begun.

    Parameters
    ----------
    folder : str or Path
        As in `Checkpoints`.
    """
    return (Path(folder) / SETTINGS).exists()


def change_settings(folder: str | Path, settings: str) -> None:
    """Write other settings into the folder of a run that has begun, whole or not at all, so that it goes on with them.

    Parameters
    ----------
    folder : str or Path
        As in `Checkpoints`.
    settings : str
        The settings.
    """
    path = Path(folder) / SETTINGS
    part = path.with_suffix(".part")
    part.write_text(settings, "utf-8")
    os.replace(part, path)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a stage.

    Parameters
    ----------
    tensors : dict of Tensor
        By name.
    facts : dict
        The rest, in JSON's types.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Checkpoints:
    """The checkpoints of one training run: a file for each stage, overwritten while it trains.

    Parameters
    ----------
    folder : str or Path
        Created when the first is written; its `config.toml` has the settings, its `checkpoints/` the files.
    every : float
        Least seconds between two, at the end of an epoch; 0 is after every epoch. A stage's end is always kept.
    settings : str
        The settings of the run; one with other settings can't resume.
    name : str
        Of the training run, where a job has several.

    Raises
    ------
    UserError
        The folder holds the checkpoints of a run with other settings.
    """

    def __init__(self, folder: str | Path, every: float = 60.0, settings: str = "", *, name: str = "") -> None:
        self.folder = Path(folder)
        self.every = every
        self.settings = settings
        self._name = name
        self._last = time.monotonic()
        config = self.folder / SETTINGS
        if config.exists() and config.read_text("utf-8") != settings:
            rule = "it holds the checkpoints of a run with other settings; name another folder"
            raise UserError(rule, setting="checkpoints", value=str(folder), given=repr(str(folder)))

    def of(self, name: str) -> Checkpoints:
        """Return the checkpoints of another training run of the same job.

        Parameters
        ----------
        name : str
            Of that run.
        """
        return Checkpoints(self.folder, self.every, self.settings, name=f"{name}-")

    @property
    def due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() - self._last >= self.every

    def write(self, stage: str, snapshot: Snapshot) -> None:
        """Write the state of a stage, in the place of an earlier one. Where that fails, warn: training goes on.

        Parameters
        ----------
        stage : str
            The stage's key.
        snapshot : Snapshot
            Its state.
        """
        path = self._path(stage)
        part = path.with_suffix(".part")
        tensors = {k: v.cpu().clone(memory_format=torch.contiguous_format) for k, v in snapshot.tensors.items()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write_settings()
            save_file(tensors, part, metadata={"facts": json.dumps(snapshot.facts)})
            os.replace(part, path)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            warnings.warn(f"the checkpoint {str(path)!r} can't be written ({error}); training goes on", stacklevel=2)
        self._last = time.monotonic()

    def keep_settings(self) -> None:
        """Write what a resume needs, where no checkpoint is there yet. Where that fails, warn."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_settings()
        except OSError as error:
            warnings.warn(f"{str(self.folder)!r} can't be written ({error})", stacklevel=2)

    def _write_settings(self) -> None:
        """Write the configuration, whole or not at all."""
        path = self.folder / SETTINGS
        if not path.exists() or path.read_text("utf-8") != self.settings:
            change_settings(self.folder, self.settings)

    def read(self, stage: str) -> Snapshot | None:
        """Return the state of a stage; None where there is no checkpoint of it.

        Parameters
        ----------
        stage : str
            The stage's key.

        Raises
        ------
        UserError
            The file is damaged.
        """
        return self._read(stage, tensors=True)

    def _read(self, stage: str, *, tensors: bool) -> Snapshot | None:
        """Return the state of a stage, with its tensors or, which is quick, its facts alone."""
        path = self._path(stage)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                names = file.keys() if tensors else ()
                return Snapshot(
                    {name: file.get_tensor(name) for name in names}, json_value(file.metadata()["facts"], path.name)
                )
        except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
            raise self.unusable(stage, str(error)) from None

    def failure(self, stage: str) -> str:
        """Return why a stage failed, where its checkpoint says that it did; empty where it does not.

        Parameters
        ----------
        stage : str
            The stage's key.
        """
        snapshot = self._read(stage, tensors=False)
        return "" if snapshot is None else str(snapshot.facts.get(FAILED, ""))

    def has_ended(self, stage: str, epochs: int) -> bool:
        """Return whether a stage was trained to its end, or failed.

        Parameters
        ----------
        stage : str
            The stage's key.
        epochs : int
            Its epochs.
        """
        snapshot = self._read(stage, tensors=False)
        return snapshot is not None and (FAILED in snapshot.facts or snapshot.facts.get("epoch") == epochs)

    def unusable(self, stage: str, reason: str) -> UserError:
        """Return the error that says why a checkpoint can't be resumed from.

        Parameters
        ----------
        stage : str
            The stage's key.
        reason : str
            The reason, as a clause.
        """
        path = str(self._path(stage))
        given = f"can't resume from the checkpoint {path!r}"
        return UserError(f"{reason}; delete it, or start again", setting=path, given=given)

    def _path(self, stage: str) -> Path:
        return self.folder / FOLDER / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', self._name + stage)}.safetensors"
