"""The seeds of a comparison that are done, a file each, so that one that was interrupted goes on from there.

A seed that is under way keeps its checkpoints beside them: its estimate and the methods that are trained are not
trained again.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

from skedastic.runs.folder import SEEDS
from skedastic.runs.seeds import SeedOutcome
from skedastic.runtime.durable import make_folder, replacing
from skedastic.settings.config import Config
from skedastic.settings.reading import to_toml
from skedastic.training.checkpoints import Checkpoints


class DoneSeeds:
    """The seeds of a comparison that are done.

    Parameters
    ----------
    folder : str or Path
        The folder of the comparison that is not whole yet. Created when the first is written.
    config : Config
        The settings of the comparison, as they were asked for.

    Raises
    ------
    UserError
        The folder is that of another comparison.
    """

    def __init__(self, folder: str | Path, config: Config) -> None:
        self.folder = Path(folder)
        make_folder(self.folder / SEEDS)
        Checkpoints(self.folder, settings=to_toml(config)).keep_settings()

    def read(self, seeds: Sequence[int]) -> list[SeedOutcome]:
        """Return the outcomes of those of some seeds that are done. One that is damaged is passed over, with a warning.

        Parameters
        ----------
        seeds : sequence of int
            The seeds.
        """
        return [outcome for seed in seeds if (outcome := self._read(seed)) is not None]

    def write(self, outcome: SeedOutcome) -> None:
        """Keep the outcome of a seed, whose checkpoints then go. Where that fails, warn: the comparison goes on."""
        path = self._path(outcome.seed)
        try:
            with replacing(path) as part:
                part.write_text(json.dumps(outcome.to_dict()), "utf-8")
        except OSError as error:
            warnings.warn(f"{str(path)!r} can't be written ({error}); the comparison goes on", stacklevel=2)
            return
        shutil.rmtree(self.under_way(outcome.seed), ignore_errors=True)

    def checkpoints(self, config: Config) -> Checkpoints:
        """Return the checkpoints of a seed, whose configuration it is."""
        return Checkpoints(self.under_way(config.seed), config.checkpoint_every, to_toml(config))

    def under_way(self, seed: int) -> Path:
        """Return the folder of a seed's checkpoints."""
        return self.folder / SEEDS / str(seed)

    def _path(self, seed: int) -> Path:
        return self.folder / SEEDS / f"{seed}.json"

    def _read(self, seed: int) -> SeedOutcome | None:
        path = self._path(seed)
        if not path.exists():
            return None
        try:
            return SeedOutcome.from_dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            warnings.warn(f"{str(path)!r} is damaged ({error}); seed {seed} is run again", stacklevel=3)
            return None
