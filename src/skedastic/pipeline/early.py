"""What is tried before the noise is estimated, so that a first model is there soon, and a fit that is cut short."""

from __future__ import annotations

from dataclasses import replace

from skedastic.errors import UserError
from skedastic.methods.bases.method import MakeNet, Method
from skedastic.methods.bases.task import Task
from skedastic.noise.estimate import networks_are_kept
from skedastic.pipeline.plan import Outline, early_stages, outline_of, trains_networks
from skedastic.pipeline.prepare import Data
from skedastic.settings.config import Config
from skedastic.training import Checkpoints
from skedastic.training.loop import Course, Found, Progress

NO_ESTIMATE = "the noise was not estimated, since training was cut short before"


def _check_can_finish(method: Method, outline: Outline) -> None:
    """Raise UserError where the method has no trials to leave out."""
    if not any(stage.optional for stage in outline.stages):
        name = method.card.name
        rule = f"it ends the trials of auto, and {name} has none with these data; go on without --finish"
        raise UserError(rule, setting="--finish", value=name, given="--finish")


def try_early(
    config: Config,
    data: Data,
    method: Method,
    make_net: MakeNet,
    checkpoints: Checkpoints,
    progress: Progress | None = None,
    found: Found | None = None,
    finish: bool = False,
) -> Task:
    """Train the stages that need no estimate, and return the task with what they hand on; the checkpoints have more.

    Parameters
    ----------
    make_net, checkpoints, progress, found, finish
        As of `skedastic.training.train`.

    Raises
    ------
    UserError
        Training is to be cut short, and the method has no trials to leave out.
    """
    outline = outline_of(data, method)
    if finish:
        _check_can_finish(method, outline)
    task = replace(outline.task, seed=config.seed)
    how = (make_net, config.train, config.seed, task, data.reference, progress, checkpoints, found, finish)
    course = Course(method, data.train, *how)
    course.run(len(early_stages(outline.stages, config)))
    return course.task


def does_without_estimate(config: Config, data: Data, method: Method, early: Task, checkpoints: Checkpoints) -> bool:
    """Return whether a fit that is cut short leaves the estimate out: it would take long, and a model is there.

    Parameters
    ----------
    early : Task
        As `try_early` returns it.
    """
    is_there = trains_networks(config, data) and method.so_far(early) is not None
    return is_there and not networks_are_kept(config.estimate, config.training, checkpoints)
