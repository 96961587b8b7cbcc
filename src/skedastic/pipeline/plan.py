"""The plan of a fit or an estimate: what is trained, and how long each part is beside the others."""

from __future__ import annotations

import torch

from skedastic.methods.bases.held_out import is_trial
from skedastic.methods.bases.method import Method
from skedastic.pipeline.dry_run import task_without_estimate
from skedastic.pipeline.prepare import Data
from skedastic.settings.config import Config
from skedastic.training.loop import epochs_of
from skedastic.training.plan import Part, Plan


def plan_of_estimate(config: Config, data: Data) -> Plan:
    """Return the parts of the estimate: a network for each fold, trained on the others."""
    how, n = config.estimate, len(data.train)
    if how.kind not in ("cross-fit", "paper") or not how.of_networks or data.pred_probs is not None:
        return ()
    models, rows = (1, n // 2) if how.kind == "paper" else (how.folds, n - n // how.folds)
    epochs = how.epochs_of(config.training)
    return tuple(Part(f"estimate {k}/{models}", epochs, max(1, rows)) for k in range(1, models + 1))


def plan_of_fit(config: Config, data: Data, method: Method) -> Plan:
    """Return the parts of a fit: those of the estimate, and the method's stages, of alternatives the first.

    Trials that may be left out are among them.
    """
    with torch.random.fork_rng(devices=[]):
        task = task_without_estimate(data.train, data.reference)
        stages = method.stages(task)
    first = next((stage for stage in stages if stage.chosen is not None and not is_trial(stage.name)), None)
    parts = [
        Part(stage.name, epochs, len(data.train if stage.data is None else stage.data(task)), trains=not stage.passes)
        for stage, epochs in zip(stages, epochs_of(stages, config.training.epochs), strict=True)
        if stage.chosen is None or is_trial(stage.name) or stage is first
    ]
    return (*plan_of_estimate(config, data), *parts)
