"""Checkpoints: the state of a stage of training, a safetensors file and the one before it; nothing pickled.

A stage that has ended keeps the last alone, once the stage after it has a checkpoint.

A run that was interrupted resumes from them and ends with the same weights, to the bit: the order of the examples and
their augmentation are functions of seed and epoch, and everything else is in the file. Each has the run's settings and
a checksum; one that is damaged is passed over for the one before.
"""

from __future__ import annotations

import json
import os
import re
import time
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from skedastic.errors import UserError, first_line
from skedastic.runtime.durable import make_folder, replacing
from skedastic.runtime.plain_files import check_regular, json_value
from skedastic.training.tensor_files import Damaged, read_tensors, read_texts, remove_parts, write_tensors

FOLDER, SETTINGS = "checkpoints", "config.toml"
ENDING, BEFORE = ".safetensors", ".before"  # of a checkpoint, and after that of the one before it
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

    Its checkpoints have the settings of before until the next is written, so a checksum beside them says that they were
    changed.

    Parameters
    ----------
    folder : str or Path
        As in `Checkpoints`.
    settings : str
        The settings.
    """
    path = Path(folder) / SETTINGS
    for file, text in ((_changed(path), _checksum(settings.encode())), (path, settings)):
        with replacing(file) as part:
            part.write_text(text, "utf-8", newline="")


def mend_settings(folder: str | Path) -> None:
    """Write the settings of a run again, with a warning, where they are not as its newest whole checkpoint has them.

    Those that were changed since, and are whole, stay.

    Parameters
    ----------
    folder : str or Path
        As in `Checkpoints`.
    """
    path, kept = Path(folder) / SETTINGS, damaged_settings(folder)
    if kept is None:
        return
    try:
        with replacing(path) as part:
            part.write_bytes(kept.encode())
    except OSError:  # a folder that can only be read; who needs the settings refuses them
        return
    warnings.warn(f"{str(path)!r} was damaged, and is written again from the checkpoints beside it", stacklevel=2)


def damaged_settings(folder: str | Path) -> str | None:
    """Return the settings that a run had, where those in its folder are damaged and a checkpoint has them; else None.

    Parameters
    ----------
    folder : str or Path
        As in `Checkpoints`.
    """
    path, kept = Path(folder) / SETTINGS, _kept_settings(Path(folder) / FOLDER)
    found = path.read_bytes() if path.is_file() else None
    whole = kept is None or found == kept.encode() or (found is not None and _is_changed(path, found))
    return None if whole else kept


def _kept_settings(folder: Path) -> str | None:
    """Return the settings that the newest whole checkpoint of a folder has; None where none has any."""
    files = [file for file in folder.glob(f"*{ENDING}*") if file.suffix in (ENDING, BEFORE)]
    for file in sorted(files, key=_written_at, reverse=True):
        with suppress(Damaged, FileNotFoundError):
            if (settings := read_texts(file).get(SETTINGS)) is not None:
                return settings
    return None


def _written_at(file: Path) -> int:
    """Return when a file was written, in nanoseconds; 0 where it is there no more."""
    return (_identity(file) or (0, 0))[1]


def _changed(path: Path) -> Path:
    """Return the file that has the checksum of settings that were changed on the way."""
    return path.with_name(f"{path.name}.changed")


def _is_changed(path: Path, found: bytes) -> bool:
    return _changed(path).is_file() and _changed(path).read_text("utf-8") == _checksum(found)


def _checksum(text: bytes) -> str:
    return f"{zlib.crc32(text):08x}"


class Unusable(UserError):
    """A checkpoint can't be resumed from."""


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


@dataclass(frozen=True)
class File:
    """A file of a checkpoint, as it was found.

    Parameters
    ----------
    path : Path
        The file: the last checkpoint of a stage, or the one before.
    damage : str
        Why it can't be resumed from; empty where it can.
    epochs, of, batches : int
        Epochs done, those of the stage, and the batches done in the epoch that has begun; 0 where it is damaged.
    failed : str
        Why the stage failed; empty where it did not.
    """

    path: Path
    damage: str = ""
    epochs: int = 0
    of: int = 0
    batches: int = 0
    failed: str = ""

    @property
    def stage(self) -> str:
        """The key of the stage."""
        return self.path.name.removesuffix(BEFORE).removesuffix(ENDING)

    @property
    def has_ended(self) -> bool:
        """Whether the stage was trained to its end, or failed."""
        return bool(self.failed) or (not self.damage and (self.epochs, self.batches) == (self.of, 0))


def files_of(folder: str | Path) -> list[list[File]]:
    """Return the checkpoints of each stage, the last and the one before, in the order in which stages were written.

    They are read whole, so that one flipped bit is noticed; nothing is changed.

    Parameters
    ----------
    folder : str or Path
        As in `Checkpoints`.
    """
    found: dict[str, list[File]] = {}
    for path in sorted((Path(folder) / FOLDER).glob(f"*{ENDING}*"), key=_written_at):
        if path.name.endswith((ENDING, f"{ENDING}{BEFORE}")) and (file := _file(path)) is not None:
            found.setdefault(file.stage, []).append(file)
    return [sorted(files, key=lambda file: file.path.name) for files in found.values()]


def _file(path: Path) -> File | None:
    """Return what is found in a file, as it was in one moment; None where it was renamed meanwhile."""
    check_regular(path)
    while True:
        before = _identity(path)
        file = _found(path)
        if file is None or not file.damage or before == _identity(path):
            return file


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that takes its name later; None where it is there no more."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _found(path: Path) -> File | None:
    try:
        facts = _snapshot(path, tensors=True).facts
        if FAILED in facts:
            return File(path, failed=str(facts[FAILED]))
        return File(path, "", int(facts["epoch"]), int(facts["epochs"]), int(facts.get("batches", 0)))
    except FileNotFoundError:
        return None
    except (Damaged, OSError, LookupError, TypeError, ValueError) as error:
        return File(path, first_line(error))


class Checkpoints:
    """The checkpoints of one training run: of the stage under way the last and the one before it, of others the last.

    Parameters
    ----------
    folder : str or Path
        Created when the first is written; its `config.toml` has the settings, its `checkpoints/` the files.
    every : float
        Least seconds between two, within an epoch too; 0 is after every epoch. A stage's end is always kept.
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
        self._begin(folder, every, settings, name)
        mend_settings(self.folder)
        if self._kept_settings() not in (settings.encode(), b""):
            rule = "it holds the checkpoints of a run with other settings; name another folder"
            raise UserError(rule, setting="checkpoints", value=str(folder), given=repr(str(folder)))

    def _begin(self, folder: str | Path, every: float, settings: str, name: str) -> None:
        self.folder = Path(folder)
        self.every = every
        self.settings = settings
        self._name = name
        self._last = time.monotonic()

    def _kept_settings(self) -> bytes:
        """Return the settings that the folder has; nothing where it has none."""
        path = self.folder / SETTINGS
        return path.read_bytes() if path.exists() else b""

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
        """Whether it is time for another, at the end of an epoch."""
        return time.monotonic() - self._last >= self.every

    @property
    def due_within_epoch(self) -> bool:
        """Whether it is time for another after a step."""
        return self.every > 0 and time.monotonic() - self._last >= self.every

    def write(self, stage: str, snapshot: Snapshot) -> None:
        """Write the state of a stage; the last one becomes the one before. Where that fails, warn: training goes on.

        Of other stages, which have ended, the last alone stays.

        Parameters
        ----------
        stage : str
            The stage's key.
        snapshot : Snapshot
            Its state.
        """
        path = self._path(stage)
        texts = {"facts": json.dumps(snapshot.facts), SETTINGS: self.settings}
        try:
            make_folder(path.parent)
            self._write_settings()
            remove_parts(path.parent)
            with replacing(path, before=_before(path)) as part:
                write_tensors(snapshot.tensors, part, texts)
            _keep_last_of_ended(path)
        except OSError as error:
            warnings.warn(f"the checkpoint {str(path)!r} can't be written ({error}); training goes on", stacklevel=2)
        self._last = time.monotonic()

    def keep_settings(self) -> None:
        """Write what a resume needs, where no checkpoint is there yet. Where that fails, warn."""
        try:
            make_folder(self.folder)
            self._write_settings()
        except OSError as error:
            warnings.warn(f"{str(self.folder)!r} can't be written ({error})", stacklevel=2)

    def _write_settings(self) -> None:
        """Write the configuration, once."""
        path = self.folder / SETTINGS
        if not path.exists() or self._kept_settings() != self.settings.encode():
            with replacing(path) as part:
                part.write_bytes(self.settings.encode())

    def read(self, stage: str) -> Snapshot | None:
        """Return the state of a stage; None where there is no checkpoint of it.

        The one before takes the place of one that is damaged, with a warning.

        Parameters
        ----------
        stage : str
            The stage's key.

        Raises
        ------
        UserError
            The file is damaged, and so is the one before, or there is none.
        """
        return self._read(stage, tensors=True)

    def _read(self, stage: str, *, tensors: bool) -> Snapshot | None:
        """Return the state of a stage, with its tensors or, which is quick, its facts alone."""
        path, reason = self._path(stage), ""
        if path.exists():
            try:
                return _snapshot(path, tensors=tensors)
            except (OSError, Damaged) as error:
                reason = str(error)
        try:
            snapshot = self._read_before(stage, tensors=tensors)
        except (OSError, Damaged) as error:
            raise self.unusable(stage, reason or str(error)) from None
        if snapshot is None and reason:
            raise self.unusable(stage, reason)
        if reason:
            said = f"the checkpoint {str(path)!r} is damaged ({reason}); the one before takes its place"
            warnings.warn(said, stacklevel=3)
        return snapshot

    def _read_before(self, stage: str, *, tensors: bool) -> Snapshot | None:
        """Return the state in the checkpoint before the last, which takes the last one's name; None without one.

        So what is written next does not put a damaged one in its place.
        """
        path = self._path(stage)
        if not _before(path).exists():
            return None
        snapshot = _snapshot(_before(path), tensors=tensors)
        with suppress(OSError):  # a folder that can only be read
            os.replace(_before(path), path)
        return snapshot

    def remove(self) -> None:
        """Remove those of this training run, and the folder where it keeps those of no other."""
        own = self._path("")
        with suppress(OSError):  # what stays is in nobody's way
            for file in own.parent.glob(f"{own.name.removesuffix(ENDING)}*"):
                file.unlink()
            own.parent.rmdir()
            (self.folder / SETTINGS).unlink()
            self.folder.rmdir()

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

    def unusable(self, stage: str, reason: str) -> Unusable:
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
        return Unusable(f"{reason}; delete it, or start again", setting=path, given=given)

    def _path(self, stage: str) -> Path:
        return self.folder / FOLDER / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', self._name + stage)}{ENDING}"


def _before(path: Path) -> Path:
    """Return the name of the checkpoint before the last, by that of the last."""
    return path.with_name(f"{path.name}{BEFORE}")


def _keep_last_of_ended(path: Path) -> None:
    """Remove the checkpoint before the last of the stages that ended before the one of `path` began.

    It stays where the last is not whole. Raises OSError.
    """
    for before in path.parent.glob(f"*{ENDING}{BEFORE}"):
        last = before.with_name(before.name.removesuffix(BEFORE))
        if last != path:
            with suppress(Damaged, FileNotFoundError):
                facts = _snapshot(last, tensors=True).facts
                if FAILED in facts or facts["epoch"] == facts["epochs"]:
                    before.unlink()


def _snapshot(path: Path, *, tensors: bool) -> Snapshot:
    """Return what a file holds, with or without its tensors. Raises Damaged, FileNotFoundError."""
    found, texts = read_tensors(path) if tensors else ({}, read_texts(path))
    try:
        return Snapshot(found, json_value(texts["facts"], path.name))
    except (LookupError, ValueError) as error:
        raise Damaged(str(error)) from None
