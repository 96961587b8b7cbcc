"""The speeds of all that a fit trains, measured before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from skedastic.core.strengths import GroupStats
from skedastic.methods.bases.method import MakeNet, Method, Stage
from skedastic.methods.bases.step import State
from skedastic.methods.erm import ERM
from skedastic.methods.trees import Trees
from skedastic.pipeline.plan import Outline, Speeds, fits_trees, trains_networks
from skedastic.pipeline.prepare import Data
from skedastic.settings.config import Config
from skedastic.training.engine import find_device, threads
from skedastic.training.loop import only_trainable, placed, with_supported_labels
from skedastic.training.speed import Speed, measured

TINY_RATE = 1e-8  # by which no step leads anywhere, and none diverges
LEAST_NOISE = 0.1  # of a group, so that HAR regularizes it
Known = list[tuple[Stage, Speed]]


def measured_speeds(config: Config, data: Data, outline: Outline, method: Method, make_net: MakeNet) -> Speeds:
    """Return the speeds of what a fit trains, each method's once; of alternatives those of their kind.

    Networks are thrown away, and the caller's random state is left alone.
    """
    training = replace(config.training, lr=TINY_RATE, compile=False)  # compiling takes longer than what is measured
    device = find_device(training.device)
    dataset, _ = with_supported_labels(data.train, method)
    task = replace(outline.task, seed=config.seed, stats=_noisy(outline.task.stats))
    known = Known()

    def speed_of(stage: Stage, state: State) -> Speed:
        rows = dataset if stage.data is None else dataset.subset(stage.data(task))
        with only_trainable(stage, state):
            speed = measured(stage, state, task, rows, training, device, dataset, data.reference)
        known.append((stage, speed))
        return speed

    def alone(of_estimate: Method) -> Speed:
        stage = Stage(name="estimate", method=of_estimate, passes=of_estimate.passes)
        return _known(stage, known) or speed_of(stage, placed(of_estimate.init(task, make_net), training, device))

    devices = [] if device.type == "cpu" else [device]
    with threads(training.threads), torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        speeds, state = list[Speed](), None
        for stage, following in zip(outline.stages, (*outline.stages[1:], None), strict=True):
            speed = Speed(0.0, 1.0, 0.0) if stage.passes == 0 else _known(stage, known)
            if speed is None or (following is not None and not following.reinit):
                if state is None or stage.reinit:
                    state = placed(stage.method.init(task, make_net), training, device)
                elif stage.enter is not None:
                    state = placed(stage.enter(state, task), training, device)
            if speed is None:
                assert state is not None
                speed = speed_of(stage, state)
            speeds.append(speed)
        return Speeds(
            tuple(speeds),
            alone(ERM()) if trains_networks(config, data) else None,
            alone(Trees()) if fits_trees(config, data) else None,
        )


def _noisy(stats: GroupStats | None) -> GroupStats | None:
    """Return statistics by which every group is noisy, as numbers are not before they are estimated."""
    if stats is None:
        return None
    noise, high = (rate.clamp(min=LEAST_NOISE) for rate in (stats.uncertainty, stats.uncertainty_high))
    return replace(stats, uncertainty=noise, uncertainty_high=high)


def _known(stage: Stage, known: Sequence[tuple[Stage, Speed]]) -> Speed | None:
    """Return the speed of the same method; of an alternative, which none is the same as, that of its kind."""
    same = [speed for of, speed in known if of.method == stage.method and of.trainable == stage.trainable]
    kin = [speed for of, speed in known if stage.chosen is not None and type(of.method) is type(stage.method)]
    return next(iter((*same, *kin)), None)
