"""The length of a fit, decided before it begins: its epochs by its budget of wall time, and how long all takes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

from skedastic.errors import UserError
from skedastic.methods.bases.method import MakeNet, Method
from skedastic.pipeline.plan import Outline, Speeds, outline_of, plan_of_estimate, plan_of_fit, seconds_beside
from skedastic.pipeline.prepare import Data
from skedastic.pipeline.speeds import measured_speeds
from skedastic.settings.config import Config
from skedastic.settings.methods import method_table
from skedastic.settings.reading import read, to_toml
from skedastic.settings.wall_time import WallTime
from skedastic.training.checkpoints import has_checkpoints
from skedastic.training.plan import Plan, in_words

TRIED = 1 / 3  # of the usual epochs, below which trials would tell nothing of the whole training
KEPT = 0.9  # of a budget, that a plan may take: no time is known exactly beforehand


@dataclass(frozen=True)
class Planned:
    """A fit whose length is decided.

    Parameters
    ----------
    config : Config
        The settings, with the epochs.
    method : Method
        The method.
    plan : tuple of Part
        The parts, with their seconds where the speeds were measured.
    said : str
        How long all takes, in a sentence; empty where the speeds were not measured.
    """

    config: Config
    method: Method
    plan: Plan
    said: str = ""


@dataclass(frozen=True)
class _Way:
    """A method that may be trained, with its speeds."""

    config: Config
    data: Data
    method: Method
    outline: Outline
    speeds: Speeds

    def plan(self, epochs: int) -> Plan:
        return plan_of_fit(self._of(epochs), self.data, self.outline, self.speeds)

    def seconds(self, epochs: int) -> float:
        """Return the seconds that are expected."""
        return _sum(self.plan(epochs)) + seconds_beside(self.config, self.data, self.speeds)

    def most_seconds(self, epochs: int) -> float:
        """Return the seconds with the slowest of the alternatives."""
        plan = plan_of_fit(self._of(epochs), self.data, self.outline, self.speeds, max)
        return _sum(plan) + seconds_beside(self.config, self.data, self.speeds)

    def epochs_within(self, seconds: float) -> int:
        """Return the most epochs that take no longer, up to those of the configuration; 0 where one does."""
        least, most = 0, self.config.training.epochs
        while least < most:
            middle = (least + most + 1) // 2
            if self.most_seconds(middle) <= seconds:
                least = middle
            else:
                most = middle - 1
        return least

    def without_trials(self) -> _Way | None:
        """Return the way that is taken where no trial is better than it; None where nothing is tried."""
        last = self.outline.stages[-1]
        if last.chosen is None or not last.reinit:
            return None
        speeds = replace(self.speeds, stages=self.speeds.stages[-1:])
        config = replace(self.config, method=method_table(last.method))
        return _Way(config, self.data, last.method, outline_of(self.data, last.method), speeds)

    def _of(self, epochs: int) -> Config:
        return replace(self.config, train=replace(self.config.train, epochs=epochs))


def planned_fit(
    config: Config,
    data: Data,
    method: Method,
    make_net: MakeNet,
    budget: WallTime | None = None,
    began: float | None = None,
    checkpoints: str | Path | None = None,
) -> Planned:
    """Decide the length of a fit, by a measurement of its speeds.

    Parameters
    ----------
    config : Config
        The settings, settled and without a budget.
    method : Method
        The method of `config`.
    budget : WallTime or None, optional
        The wall time of all; None leaves the epochs as they are.
    began : float or None, optional
        The reading of `time.monotonic()` when the budget began; None is now.
    checkpoints : str or Path, optional
        Folder of the fit's checkpoints. Where there are some, their epochs are taken, and nothing is measured.

    Raises
    ------
    UserError
        The budget is less than the shortest training takes.
    """
    began = time.monotonic() if began is None else began
    outline = outline_of(data, method)
    if checkpoints is not None and has_checkpoints(checkpoints):
        config, method = _begun(config, method, outline, Path(checkpoints) / "config.toml", budget)
        return Planned(config, method, plan_of_fit(config, data, outline_of(data, method)))
    way = _Way(config, data, method, outline, measured_speeds(config, data, outline, method, make_net))
    epochs = config.training.epochs
    if budget is None:
        plan, seconds = way.plan(epochs), way.seconds(epochs)
        return Planned(config, method, plan, f"Trains {_parts(way, plan)}: {in_words(seconds)}.")
    return _within(budget, way, time.monotonic() - began)


def _within(budget: WallTime, way: _Way, elapsed: float) -> Planned:
    """Return the longest fit that a budget allows, of which some seconds have elapsed already."""
    usual, left = way.config.training.epochs, KEPT * budget.seconds - elapsed
    tried = None if way.config.clusters is not None else way.without_trials()  # of clusters the base is not known yet
    for taken in (way,) if tried is None else (way, tried):
        least = math.ceil(TRIED * usual) if taken is way and tried is not None else 1
        if (epochs := taken.epochs_within(left)) >= least:
            alone = "" if taken is way else "without trials, "
            by_epochs = any(part.trains for part in taken.plan(epochs))
            count = f"all {usual} epochs" if epochs == usual else f"{epochs} of {usual} epochs"
            length = f"{alone}{count}, " if by_epochs else alone
            total = in_words(elapsed + taken.seconds(epochs))
            config = replace(taken.config, train=replace(taken.config.train, epochs=epochs))
            if alone or (by_epochs and epochs < usual):
                note = f"the budget of {budget} was enough for {count}{', and for no trials' if alone else ''}"
                config = replace(config, notes=(*config.notes, note))
            return Planned(config, taken.method, taken.plan(epochs), f"Budget {budget}: {length}{total}.")
    shortest = (elapsed + (tried or way).most_seconds(1)) / KEPT
    rule = f"the shortest training takes {in_words(KEPT * shortest)} in all; give at least {_rounded_up(shortest)}"
    raise UserError(rule, setting="budget", value=budget.text)


def _begun(
    config: Config, method: Method, outline: Outline, file: Path, budget: WallTime | None
) -> tuple[Config, Method]:
    """Return the fit with the epochs that it was begun with; as it is where the checkpoints are of another."""
    if budget is None:
        return config, method
    try:
        kept, text = read(file, {}), file.read_text("utf-8")
    except (OSError, UserError):
        return config, method
    last = outline.stages[-1].method
    for taken, table in ((method, config.method), (last, method_table(last))):
        train = replace(config.train, epochs=kept.train.epochs)
        own = replace(config, train=train, method=table, notes=kept.notes)
        if to_toml(own) == text:
            return own, taken
    return config, method


def _sum(plan: Plan) -> float:
    return sum(part.seconds or 0.0 for part in plan)


def _parts(way: _Way, plan: Plan) -> str:
    """Return what is trained, in words."""
    of_estimate = len(plan_of_estimate(way.config, way.data))
    own = len(plan) - of_estimate
    return f"{'the estimate and ' if of_estimate else ''}{'the model' if own == 1 else f'{own} parts'}"


def _rounded_up(seconds: float) -> str:
    """Return a budget that is enough, a third above what is needed: speeds differ from time to time."""
    needed = 4 / 3 * seconds
    return f"{math.ceil(needed)}s" if needed < 90 else f"{math.ceil(needed / 60)}m"
