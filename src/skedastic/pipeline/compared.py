"""One seed of a comparison, and which methods take part in it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar, get_args

from skedastic.errors import UserError
from skedastic.methods.auto import MOST_CLASSES
from skedastic.methods.bases.card import COLUMNS, GROUP_STATS, IMAGES, REAL_INPUTS, REFERENCE, Role
from skedastic.methods.bases.method import Method
from skedastic.methods.presets import presets
from skedastic.methods.trees import are_quick, can_read_trees, places_read
from skedastic.noise.estimate import Estimate
from skedastic.pipeline.keep_features import keep_features
from skedastic.pipeline.prepare import Data, Opened, data_of, network, open_sources, settled
from skedastic.pipeline.set_aside import without_gross_errors
from skedastic.pipeline.steps import estimate_noise, train_and_evaluate
from skedastic.runs.done_seeds import DoneSeeds
from skedastic.runs.seeds import SeedOutcome
from skedastic.settings.config import Config
from skedastic.settings.expression import name_and_settings
from skedastic.settings.methods import compared_methods, the_criterion
from skedastic.training.checkpoints import Checkpoints, Unusable
from skedastic.training.engine import threads
from skedastic.training.loop import make_task

Outcome = TypeVar("Outcome")


def compare_seed(config: Config, opened: Opened | None = None, done: DoneSeeds | None = None) -> SeedOutcome:
    """Run all methods with one seed: one split, one corruption, one estimate, one start for all.

    A method whose training fails is left out, so that the others' work is not lost. Raises UserError where none is
    left. `opened` are the sources of the configuration, where they are open already. `done` keeps the seed's
    checkpoints, and goes on from those that are there.
    """
    kept = None if done is None else done.checkpoints(config)
    data, methods = data_of(config, opened or open_sources(config)), compared_methods(config)
    config = settled(config, data)
    data, make_net = without_gross_errors(config, data, bins_anew=False), network(config, data)
    with threads(config.training.threads):
        keep_features(config, data, make_net)
    estimated: Estimate | None = None
    if config.estimate.kind is not None:
        estimated = or_anew(partial(estimate_noise, config, data, make_net, None), kept)
    data = data.regrouped(estimated)
    outcomes, failed = list[SeedOutcome](), dict[str, str]()
    for i, (name, method) in enumerate(methods.items(), 1):
        if done is not None and (known := done.of_method(config.seed, i, name)) is not None:
            outcomes.append(known)
            continue
        of_method = None if kept is None else kept.of(f"method {i}")
        try:
            run = partial(train_and_evaluate, config, data, method, make_net, estimated, None)
            result = or_anew(partial(run, criterion=the_criterion(config)), of_method)
        except UserError as error:
            if len(failed) + 1 == len(methods):
                raise
            failed[name] = str(error)
            continue
        outcomes.append(SeedOutcome.of(config.seed, name, result))
        del result  # its network
        if done is not None and of_method is not None:
            done.write_method(outcomes[-1], i, of_method)
    return SeedOutcome.joined(outcomes, failed)


def or_anew(run: Callable[[Checkpoints | None], Outcome], kept: Checkpoints | None) -> Outcome:
    """Return what is trained from checkpoints; where they are damaged, with a warning, what is trained without.

    Parameters
    ----------
    run : callable
        From checkpoints, or None, to the outcome.
    kept : Checkpoints or None
        The checkpoints.
    """
    try:
        return run(kept)
    except Unusable as error:
        warnings.warn(f"{error}; it is trained from the beginning", stacklevel=2)
        return run(None)


def with_all_methods(config: Config, data: Data) -> Config:
    """Name every method that can be used with the data; a note says which are left out, and why.

    The baseline comes first and the headline's method last: the headline is chosen before anything is trained.
    """
    names, left_out = list[str](), list[str]()
    for name, preset in presets().items():
        reason = _why_left_out(preset.make(), config, data)
        if reason:
            left_out.append(f"{name} ({reason})")
        else:
            names.append(name)
    names.sort(key=lambda name: get_args(Role).index(presets()[name].role))
    notes = (f"methods=all leaves out {', '.join(left_out)}.",) if left_out else ()
    return replace(config, methods=tuple(names), notes=(*config.notes, *notes))


def with_yardstick(config: Config, data: Data) -> Config:
    """Name the methods that are a row of every comparison too, where they suit the data; a note says so.

    They come before the last method, which the headline holds against the first, and after one that is alone. A
    configuration that names them asks for no more.
    """
    named = {name_and_settings(name, "methods")[0] for name in config.methods}
    yardsticks = [name for name, preset in presets().items() if preset.role == "yardstick" and name not in named]
    added = [name for name in yardsticks if not _why_left_out(presets()[name].make(), config, data) and _is_quick(data)]
    if not added:
        return config
    note = f"{', '.join(added)} was added as a yardstick; a comparison with --without-trees (yardstick=false) has none."
    last = len(config.methods) - 1 or 1
    methods = (*config.methods[:last], *added, *config.methods[last:])
    return replace(config, methods=methods, yardstick=False, notes=(*config.notes, note))


def _is_quick(data: Data) -> bool:
    """Return whether trees are fitted and predict within seconds."""
    few = len(data.train.classes) <= MOST_CLASSES
    entries = len(places_read(math.prod(data.train.x.shape[1:]), data.train.words))
    return few and are_quick(entries, len(data.train)) and can_read_trees()


def _why_left_out(method: Method, config: Config, data: Data) -> str:
    """Return why a method can't be used with the data; empty where it can."""
    able, task = method.capabilities, data.train.target.task
    if task not in able.tasks:
        return f"not for {task}"
    if REFERENCE in able.needs and data.reference is None:
        return "no reference set"
    if GROUP_STATS in able.needs and config.estimate.kind is None:
        return "no estimate of the noise"
    if IMAGES in able.takes and data.train.kind != "image":
        return "for images"
    if COLUMNS in able.takes and not data.train.has_columns:
        return f"for {COLUMNS}"
    if REAL_INPUTS in able.takes and data.train.has_ids:
        return f"for {REAL_INPUTS}"
    least = method.least_batch(make_task(data.train))
    return f"needs batches of {least}" if least > config.training.batch_size else ""
