"""The seeds of a comparison that are done, a file each, so that one that was interrupted goes on from there.

A seed that is under way keeps its checkpoints beside them, and the outcome of each method that is done: these, and its
estimate, are not trained again.
"""

from __future__ import annotations

import json
import shutil
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skedastic.data import Dataset
from skedastic.errors import UserError
from skedastic.runs.folder import ABOUT, SEEDS
from skedastic.runs.seeds import SeedOutcome
from skedastic.runtime.durable import make_folder, replacing
from skedastic.runtime.plain_files import json_value
from skedastic.settings.config import Config
from skedastic.settings.reading import to_toml
from skedastic.training.checkpoints import SETTINGS, Checkpoints
from skedastic.training.fingerprint import alike, digest_of_labels, fingerprint

CHECKSUM = "crc32"  # the name of the checksum in a file


def mend_settings(folder: Path) -> None:
    """Write the settings of a comparison again, with a warning, where they are not as its seeds have them.

    Parameters
    ----------
    folder : Path
        The folder of the comparison that is not whole.
    """
    path, settings = folder / SETTINGS, damaged_settings(folder)
    if settings is None:
        return
    with replacing(path) as part:
        part.write_bytes(settings.encode())
    warnings.warn(f"{str(path)!r} was damaged, and is written again from the seeds beside it", stacklevel=2)


def outcome_in(path: Path) -> SeedOutcome:
    """Return the outcome of a seed that is in a file. Raises ValueError where the file is damaged."""
    try:
        return SeedOutcome.from_dict(_checked(json_value(path.read_text("utf-8"), path.name)))
    except (OSError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def damaged_settings(folder: Path) -> str | None:
    """Return the settings that a comparison had, where those in its folder are damaged and its seeds have them.

    Parameters
    ----------
    folder : Path
        The folder of the comparison that is not whole.
    """
    about, path = _read_about(folder / SEEDS / f"{ABOUT}.json"), folder / SETTINGS
    if about is None or (path.is_file() and path.read_bytes() == about["settings"].encode()):
        return None
    return str(about["settings"])


def _read_about(path: Path) -> dict[str, Any] | None:
    """Return what is known of a comparison; None where there is nothing, or it is damaged."""
    try:
        found = _checked(json_value(path.read_text("utf-8"), path.name))
        return found if isinstance(found["settings"], str) and {"labels", "features"} <= found.keys() else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _about(config: Config, data: Sequence[Dataset]) -> dict[str, Any]:
    """Return what tells a comparison and its data from others."""
    return {
        "settings": to_toml(config),
        "labels": digest_of_labels(data),
        "features": [fingerprint(dataset.x) for dataset in data],
    }


def _with_checksum(values: dict[str, Any]) -> str:
    """Return plain values as JSON, with a checksum."""
    return json.dumps({**values, CHECKSUM: _checksum(values)})


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that `_with_checksum` wrote, or as they are without one. Raises ValueError where it differs."""
    written = values.pop(CHECKSUM, None)
    if written not in (None, _checksum(values)):
        raise ValueError("the checksum differs")
    return values


def _checksum(values: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(values).encode()):08x}"


class DoneSeeds:
    """The seeds of a comparison that are done.

    Parameters
    ----------
    folder : str or Path
        The folder of the comparison that is not whole yet. Created when the first is written.
    config : Config
        The settings of the comparison, as they were asked for.
    data : sequence of Dataset
        The training set and the test set of the first seed.

    Raises
    ------
    UserError
        The folder is that of another comparison, or of one of other data.
    """

    def __init__(self, folder: str | Path, config: Config, data: Sequence[Dataset]) -> None:
        self.folder = Path(folder)
        make_folder(self.folder / SEEDS)
        Checkpoints(self.folder, settings=to_toml(config)).keep_settings()
        about, now = self.folder / SEEDS / f"{ABOUT}.json", _about(config, data)
        if not about.exists():
            with replacing(about) as part:
                part.write_text(_with_checksum(now), "utf-8")
            return
        then = _read_about(about)
        if then is None:
            rule = "it is damaged, and tells which data the seeds are of; restore it, or start again with --force"
            raise UserError(rule, setting="checkpoints", value=str(about), given=str(about))
        if then["labels"] != now["labels"] or not alike(now["features"], then["features"]):
            rule = "the data are not those of the seeds that are done; give them back, or start again with --force"
            raise UserError(rule, setting="checkpoints", value=str(folder), given=f"can't go on with {str(folder)!r}")

    def read(self, seeds: Sequence[int]) -> list[SeedOutcome]:
        """Return the outcomes of those of some seeds that are done. One that is damaged is passed over, with a warning.

        Parameters
        ----------
        seeds : sequence of int
            The seeds.
        """
        return [outcome for seed in seeds if (outcome := self._read(seed)) is not None]

    def write(self, outcome: SeedOutcome) -> None:
        """Keep the outcome of a seed, whose checkpoints then go. Where that fails, warn: the comparison goes on.

        Parameters
        ----------
        outcome : SeedOutcome
            The outcome, of all methods.
        """
        if self._write(self._path(outcome.seed), outcome):
            for path in self.folder.glob(f"{SEEDS}/{outcome.seed}.*.json"):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.under_way(outcome.seed), ignore_errors=True)

    def write_method(self, outcome: SeedOutcome, number: int, checkpoints: Checkpoints) -> None:
        """Keep the outcome of a method with a seed, whose checkpoints then go. Where that fails, warn.

        Parameters
        ----------
        outcome : SeedOutcome
            The outcome, of this method alone.
        number : int
            Its number among the methods, from 1.
        checkpoints : Checkpoints
            Those of the method.
        """
        if self._write(self._path(outcome.seed, number), outcome):
            checkpoints.remove()

    def of_method(self, seed: int, number: int, name: str) -> SeedOutcome | None:
        """Return the outcome of a method with a seed; None where it is not done, or with a warning is damaged.

        Parameters
        ----------
        seed : int
            The seed.
        number : int
            The number of the method, from 1.
        name : str
            The method.
        """
        return self._read(seed, number, name)

    def _write(self, path: Path, outcome: SeedOutcome) -> bool:
        """Write an outcome; return whether that went well."""
        try:
            with replacing(path) as part:
                part.write_text(_with_checksum(outcome.to_dict()), "utf-8")
        except OSError as error:
            warnings.warn(f"{str(path)!r} can't be written ({error}); the comparison goes on", stacklevel=3)
            return False
        return True

    def checkpoints(self, config: Config) -> Checkpoints:
        """Return the checkpoints of a seed, whose configuration it is."""
        return Checkpoints(self.under_way(config.seed), config.checkpoint_every, to_toml(config))

    def under_way(self, seed: int) -> Path:
        """Return the folder of a seed's checkpoints."""
        return self.folder / SEEDS / str(seed)

    def _path(self, seed: int, number: int | None = None) -> Path:
        return self.folder / SEEDS / (f"{seed}.json" if number is None else f"{seed}.{number}.json")

    def _read(self, seed: int, number: int | None = None, name: str = "") -> SeedOutcome | None:
        path, what = self._path(seed, number), f"seed {seed}" if number is None else f"{name} with seed {seed}"
        if not path.exists():
            return None
        try:
            outcome = outcome_in(path)
            if outcome.seed != seed or (number is not None and list(outcome.history) != [name]):
                raise ValueError("it is of something else")
        except ValueError as error:
            warnings.warn(f"{str(path)!r} is damaged ({error}); {what} is run again", stacklevel=3)
            return None
        return outcome
