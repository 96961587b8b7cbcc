"""The plan of a fit or an estimate: what is trained, and how long each part is, beside the others or in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import takewhile
from statistics import fmean

import torch

from skedastic.methods.bases.held_out import is_trial
from skedastic.methods.bases.method import Method, Stage
from skedastic.methods.bases.task import Task
from skedastic.noise.classifiers import may_be_better
from skedastic.noise.true_labels import LEAST_ROWS, MOST_CELLS
from skedastic.pipeline.dry_run import task_without_estimate
from skedastic.pipeline.prepare import Data
from skedastic.settings.config import Config
from skedastic.training.loop import epochs_of
from skedastic.training.plan import Part, Plan
from skedastic.training.speed import Speed

OF_ANY, OF_A_ROW = 0.3, 2e-5  # seconds of figures and files: of any fit, and of each row
OF_LIKELIHOODS, MOST_STEPS_OF = 5e-6, 10  # seconds of the true labels, for each cell · classes, these up to 10
OfAlternatives = Callable[[Iterable[float]], float]  # from the seconds of last stages, of which one is trained


@dataclass(frozen=True)
class Speeds:
    """The speeds of what a fit trains.

    Parameters
    ----------
    stages : tuple of Speed
        Of each stage of the method.
    network : Speed or None
        Of the networks of the estimate, where it trains some.
    trees : Speed or None
        Of the trees of the estimate, where it fits some.
    """

    stages: tuple[Speed, ...]
    network: Speed | None = None
    trees: Speed | None = None


@dataclass(frozen=True)
class Outline:
    """The stages of a fit, whatever its epochs.

    Parameters
    ----------
    task : Task
        The task, as if nothing had been held out.
    stages : tuple of Stage
        The stages of the method.
    rows, predicted : tuple of int
        How many examples each of them is trained on, and predicts at its end; last ones also those of the test set.
    """

    task: Task
    stages: tuple[Stage, ...]
    rows: tuple[int, ...]
    predicted: tuple[int, ...]


def outline_of(data: Data, method: Method) -> Outline:
    """Return the stages of a fit. The caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        task = task_without_estimate(data.train, data.reference)
        stages = method.stages(task)
    rows = [len(data.train if stage.data is None else stage.data(task)) for stage in stages]
    tested = 0 if data.test is None else len(data.test)
    predicted = [
        (0 if stage.predicts is None else len(stage.predicts(task)))
        + (tested if _is_alternative(stage) or stage is stages[-1] else 0)
        for stage in stages
    ]
    return Outline(task, tuple(stages), tuple(rows), tuple(predicted))


def plan_of_estimate(config: Config, data: Data, speed: Speed | None = None) -> Plan:
    """Return the parts of the estimate: a network for each fold, trained on the others."""
    how, n = config.estimate, len(data.train)
    if not trains_networks(config, data):
        return ()
    models, held_out = (1, n - n // 2) if how.kind == "paper" else (how.folds, n // how.folds)
    epochs, rows = how.epochs_of(config.training), max(1, n - held_out)
    seconds = None if speed is None else speed.seconds(epochs, rows, config.training.batch_size, held_out)
    return tuple(Part(f"estimate {k}/{models}", epochs, rows, seconds=seconds) for k in range(1, models + 1))


def plan_of_fit(
    config: Config,
    data: Data,
    outline: Outline,
    speeds: Speeds | None = None,
    of_alternatives: OfAlternatives = fmean,
) -> Plan:
    """Return the parts of a fit: early stages, those of the estimate, and other stages, of alternatives the first.

    Parameters
    ----------
    speeds : Speeds, optional
        Give each part its seconds.
    of_alternatives : callable, optional
        From the seconds of the alternatives to those of the part that stands for them; by default their mean.
    """
    training = config.training
    parts, alternatives = list[Part](), list[float]()
    first: int | None = None
    lengths = epochs_of(outline.stages, training.epochs)
    for i, (stage, epochs, rows) in enumerate(zip(outline.stages, lengths, outline.rows, strict=True)):
        seconds = None
        if speeds is not None:
            seconds = speeds.stages[i].seconds(epochs, rows, training.batch_size, outline.predicted[i])
        if stage.chosen is not None and is_trial(stage.name):
            seconds = None if seconds is None else of_alternatives((0.0, seconds))  # it may be left out
        if _is_alternative(stage):
            alternatives += [] if seconds is None else [seconds]
            if first is not None:
                continue
            first = len(parts)
        parts.append(Part(stage.name, epochs, rows, trains=not stage.passes, seconds=seconds))
    if first is not None and alternatives:
        parts[first] = replace(parts[first], seconds=of_alternatives(alternatives))
    early = len(early_stages(outline.stages, config))
    of_estimate = plan_of_estimate(config, data, None if speeds is None else speeds.network)
    return (*parts[:early], *of_estimate, *parts[early:])


def early_stages(stages: Iterable[Stage], config: Config) -> list[Stage]:
    """Return the first stages, as far as they are trials that take no epochs: they are trained before the estimate.

    There are none where the estimate finds the groups.
    """
    quick = takewhile(lambda stage: stage.optional and stage.passes is not None, stages)
    return [] if config.clusters is not None else list(quick)


def _is_alternative(stage: Stage) -> bool:
    """Return whether it is one of the last stages, of which one is trained."""
    return stage.chosen is not None and not is_trial(stage.name)


def seconds_beside(config: Config, data: Data, speeds: Speeds) -> float:
    """Return the seconds of a fit beside the parts of its plan: trees of the estimate, statistics, figures, files."""
    n, folds = len(data.train), 1 if config.estimate.kind == "paper" else config.estimate.folds
    rows = n // 2 if config.estimate.kind == "paper" else n - n // folds
    classes = len(data.train.classes) if config.estimate.kind in ("cross-fit", "paper") else 0
    cells = min(n * classes, max(MOST_CELLS, LEAST_ROWS * classes))  # that the true labels are fitted to
    likelihoods = OF_LIKELIHOODS * cells * min(classes, MOST_STEPS_OF)
    trees = 0.0 if speeds.trees is None else folds * speeds.trees.seconds(1, rows, 1, n - rows)
    return OF_ANY + OF_A_ROW * n + likelihoods + trees


def trains_networks(config: Config, data: Data) -> bool:
    """Return whether networks are trained for the estimate."""
    how = config.estimate
    return how.kind in ("cross-fit", "paper") and how.of_networks and data.pred_probs is None


def fits_trees(config: Config, data: Data) -> bool:
    """Return whether trees are fitted for the estimate."""
    how = config.estimate
    if how.kind not in ("cross-fit", "paper") or data.pred_probs is not None:
        return False
    return how.by == "hgb" or (config.clusters is None and may_be_better(how, data.train))
