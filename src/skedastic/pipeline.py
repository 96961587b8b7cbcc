"""The way of the data, top to bottom: source, corrupt, estimate, strengths, train, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skedastic.clusters import check_clusters
from skedastic.comparison import Comparison, SeedOutcome, check_jobs, run_seeds
from skedastic.config import (
    Config,
    Estimation,
    build_config,
    compared_methods,
    make_method,
    method_table,
    the_method,
    to_toml,
)
from skedastic.data import Dataset, from_arrays, from_torch, is_frame, is_torch, open_source
from skedastic.data.answers import TaskName
from skedastic.data.groups import clusters_asked
from skedastic.errors import UserError, unknown
from skedastic.estimate import Estimate, estimate_groups
from skedastic.evaluate import evaluate
from skedastic.evaluate_real import evaluate_real
from skedastic.methods import presets
from skedastic.methods.base import GROUP_STATS, IMAGES, NEEDS_REFERENCE, REAL_INPUTS, REFERENCE, Method
from skedastic.methods.erm import ERM
from skedastic.preparation import Data, column_roles, network, open_data
from skedastic.rehearsal import MakeNet, rehearse
from skedastic.results import Result, make_result
from skedastic.training import Budget, Checkpoints, train
from skedastic.training.loop import Progress, make_task

ALL = "all"  # instead of the names of methods
OF_FRAMES = ("task", "bins", "text", "numeric", "categorical", "ignore")  # what is said of X where y comes beside it
Tell = Callable[[Data], None]


def fit(
    source: Any,
    y: Any = None,
    *,
    method: Method | str = "har",
    task: TaskName = "auto",
    groups: Any = None,
    test: Any = None,
    reference: Any = None,
    model: str | Mapping[str, Any] | MakeNet = "auto",
    train: Budget | None = None,
    estimate: Estimation | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoints: str | Path | None = None,
    **settings: Any,
) -> Result:
    """Train one model and return it with everything that was found out on the way.

    source: features X [n, ...] (NumPy, torch, pandas, Polars, lists, texts) with labels y [n]; or, without y, a map-style torch data
    set of pairs (x, label), or a frame or what the command line takes (a file, the name of a built-in set) with
    `target="column"`, and the other columns by name: `text=["review"]`, `ignore=["id"]`, `annotators=[…]`, …. method: a method such as
    `sk.HAR(strength=0.1)`, or a preset's name. task: "classification", "regression", or "auto": regression where y holds
    measurements. groups: [n] group of each example, or with a file the name of a column, or "cluster:K"; by default its label, or ten
    bins of real targets (`bins=N`). test: (X, y), or (X, y, groups), or a share in (0, 1) to hold out, or a file; by default
    everything is trained on and nothing is evaluated. reference: trusted examples for the methods that learn from some, given
    as `test` is; a share is set apart from the training rows, as many of each class. model: a model's name, or {"name": …} with its options, or a
    function without arguments that returns a fresh network for the encoded features. train, estimate: the budget, and
    how the noise is estimated. checkpoints: a folder to keep checkpoints in; the same call goes on from those that are
    there. settings: further fields of `skedastic.Config`, such as noise="uniform:0.2".

    Raises UserError, in one line, on whatever can't be used.
    """
    if y is None and is_torch(source):
        source, y = from_torch(source)
    if (
        y is None
        and not isinstance(source, (str, Path))
        and not (is_frame(source) and {"target", "annotators"} & settings.keys())
    ):
        raise UserError("fit needs labels: fit(X, y), or the name of a file or a frame with target=… or annotators=…")
    for what, given_as in (("test", test), ("reference", reference)):
        if not isinstance(given_as, (tuple, str, Path, int, float, np.floating, type(None))):
            raise UserError(
                f"{what}={type(given_as).__name__}: give (X, y), a share in (0, 1), the name of a file, or None"
            )
    own_net = None if isinstance(model, (str, Mapping)) else model
    name = method if isinstance(method, str) else None
    method = make_method(method, {}) if isinstance(method, str) else method
    asks_for_clusters = isinstance(groups, str) and clusters_asked(groups) is not None
    given = {
        "source": str(source) if isinstance(source, (str, Path)) and y is None else "",
        "task": task,
        "groups": groups if y is None or asks_for_clusters else None,
        "test": "none" if test is None else "given" if isinstance(test, tuple) else str(test),
        "reference": None if reference is None else "given" if isinstance(reference, tuple) else str(reference),
        "model": model if isinstance(model, Mapping) else {"name": "own" if own_net else model},
        "method": method_table(method, name),
        "train": train or Budget(),
        "estimate": estimate or Estimation(),
        "seed": seed,
    }
    config = build_config(settings | given)
    if y is None:
        opened = open_source(source, **column_roles(config))
    else:
        said = {name: value for name, value in column_roles(config).items() if name in OF_FRAMES}
        opened = from_arrays(source, y, None if asks_for_clusters else groups, **said)
    data = open_data(config, opened, *(given if isinstance(given, tuple) else None for given in (test, reference)))
    return _fit(config, data, method, own_net, progress, checkpoints)


def fit_config(
    config: Config, progress: Progress | None = None, checkpoints: str | Path | None = None, tell: Tell | None = None
) -> Result:
    """Train the method that `config` names on the source that it names; checkpoints as in `fit`.

    tell: is shown the data, made ready, before anything is trained.
    """
    method = the_method(config)
    table = method_table(method, config.method.get("name"))  # complete, so that config.toml can be run again
    return _fit(replace(config, method=table), open_data(config), method, None, progress, checkpoints, tell)


def _fit(
    config: Config,
    data: Data,
    method: Method,
    own_net: MakeNet | None,
    progress: Progress | None,
    checkpoints: str | Path | None,
    tell: Tell | None = None,
) -> Result:
    make_net = own_net or network(config, data)
    _check_reference(data, [method])
    _check_annotators(config, data)
    estimates = _estimates(config, [method])
    rehearse([method], data.train, make_net, config.train, data.reference)
    check_clusters(config.clusters, data.train, config.estimate.folds, make_net)
    if tell is not None:
        tell(data)
    kept = None if checkpoints is None else Checkpoints(checkpoints, config.checkpoint_every, to_toml(config))
    estimated = estimate_noise(config, data, make_net, progress, kept) if estimates else None
    return train_and_evaluate(config, data.regrouped(estimated), method, make_net, estimated, progress, kept)


def estimate_noise(
    config: Config,
    data: Data,
    make_net: MakeNet,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> Estimate:
    """Estimate noise and density per group; where the groups are clusters, find them (`Data.regrouped` takes them over)."""
    return estimate_groups(
        data.train,
        make_net,
        config.train,
        config.estimate,
        seed=config.seed,
        progress=progress,
        checkpoints=checkpoints,
        clusters=config.clusters,
    )


def train_and_evaluate(
    config: Config,
    data: Data,
    method: Method,
    make_net: MakeNet,
    estimated: Estimate | None,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> Result:
    """Train one method with the groups' statistics known, and evaluate it on the test set."""
    task = replace(
        make_task(data.train, data.reference), seed=config.seed, stats=estimated.stats if estimated else None
    )
    trained = train(
        method,
        data.train,
        make_net,
        config.train,
        seed=config.seed,
        task=task,
        reference=data.reference,
        progress=progress,
        checkpoints=checkpoints,
    )
    predicted = metrics = None
    if (test := data.test) is not None:
        predicted, count = trained.predict(test.x), data.train.group_counts()
        if test.scale is None:
            metrics = evaluate(predicted, test.y, test.group, test.classes, test.groups, count)
        else:
            metrics = evaluate_real(predicted, test.y, test.group, test.groups, count)
    return make_result(config, data, method, task, trained, estimated, metrics, predicted)


def compare(config: Config, *, jobs: int = 1, progress: Progress | None = None, tell: Tell | None = None) -> Comparison:
    """Train every method of `config.methods` on the same splits of the same data, over seeds; see `Comparison`.

    `methods=("all",)` is every name that there is, plain training first, but for those that the data can't be used with.
    A method whose training fails with some seed is left out and named in the remarks; raises UserError where that leaves none.
    tell: is shown the first seed's data before anything is trained. jobs: how many seeds at a time, each on one core
    and, where these are several, in a process of its own; 0 is one for each core.
    """
    check_jobs(jobs)
    data = open_data(replace(config, seed=config.first_seed))
    if data.test is None:
        raise UserError("test=none: a comparison needs a test set; give a share such as test=0.2, or a file")
    if config.methods == (ALL,):
        config = _with_all_methods(config, data)
    methods = list(compared_methods(config).values())
    _check_focus(config, data.test)
    _check_annotators(config, data)
    _estimates(config, methods)
    _check_reference(data, methods)
    rehearse(methods, data.train, network(config, data), config.train, data.reference)
    check_clusters(config.clusters, data.train, config.estimate.folds, network(config, data))
    if tell is not None:
        tell(data)
    return Comparison(config, run_seeds(compare_seed, config, jobs, progress))


def _with_all_methods(config: Config, data: Data) -> Config:
    """Name every method that the data can be used with; a note says which it can't, and why.

    Plain training comes first and har-auto last, so that the headline is about these, and was chosen before anything was trained.
    """
    names, left_out = list[str](), list[str]()
    for name, preset in presets().items():
        why = _why_not(preset.make(), config, data)
        if why:
            left_out.append(f"{name} ({why})")
        else:
            names.append(name)
    names.sort(key=lambda name: (name != "erm", name == "har-auto"))
    notes = (f"methods=all leaves out {', '.join(left_out)}.",) if left_out else ()
    return replace(config, methods=tuple(names), notes=(*config.notes, *notes))


def _why_not(method: Method, config: Config, data: Data) -> str:
    if data.train.task not in method.supports:
        return f"not for {data.train.task}"
    if REFERENCE in method.needs and data.reference is None:
        return "no reference set"
    if GROUP_STATS in method.needs and config.estimate.kind == "none":
        return "no estimate of the noise"
    if IMAGES in method.requirements and data.train.kind != "image":
        return "for images"
    if REAL_INPUTS in method.requirements and data.train.has_ids:
        return f"for {REAL_INPUTS}"
    least = method.least_batch(make_task(data.train))
    return f"needs batches of {least}" if least > config.train.batch_size else ""


def compare_seed(config: Config) -> SeedOutcome:
    """Run all methods with one seed: one split, one corruption, one estimate, one start for all.

    A method whose training fails is left out, so that the others' work is not lost. Raises UserError where none is left.
    """
    data, methods = open_data(config), compared_methods(config)
    make_net = network(config, data)
    estimated = estimate_noise(config, data, make_net) if _estimates(config, methods.values()) else None
    data = data.regrouped(estimated)
    results, failed = dict[str, Result](), dict[str, str]()
    for name, method in methods.items():
        try:
            results[name] = train_and_evaluate(config, data, method, make_net, estimated)
        except UserError as error:
            if len(failed) + 1 == len(methods):
                raise
            failed[name] = str(error)
    return SeedOutcome.of(config.seed, results, failed)


def estimate(config: Config, progress: Progress | None = None, tell: Tell | None = None) -> tuple[Estimate, Data]:
    """Estimate noise and density per group of the whole source, and train no final model."""
    if config.estimate.kind == "none":
        raise UserError("estimate.kind=none leaves nothing to do; use cross-fit or paper")
    data = open_data(replace(config, test="none"))
    make_net = network(config, data)
    _check_annotators(config, data)
    rehearse([ERM()], data.train, make_net, config.train)
    check_clusters(config.clusters, data.train, config.estimate.folds, make_net)
    if tell is not None:
        tell(data)
    estimated = estimate_noise(config, data, make_net, progress)
    return estimated, data.regrouped(estimated)


def _estimates(config: Config, methods: Iterable[Method]) -> bool:
    """Whether the noise is estimated; refuses to do without where a method can't."""
    for method in methods:
        if config.estimate.kind == "none" and GROUP_STATS in method.needs:
            raise UserError(
                f"estimate.kind=none, but {method.card.name} needs each group's noise; use cross-fit or paper"
            )
    return config.estimate.kind != "none"


def _check_annotators(config: Config, data: Data) -> None:
    if config.estimate.kind == "annotators" and data.train.disagreement is None:
        raise UserError("estimate.kind=annotators: there are none; name their columns with --annotators")


def _check_reference(data: Data, methods: Iterable[Method]) -> None:
    for method in methods:
        if data.reference is None and REFERENCE in method.needs:
            raise UserError(f"{method.card.name} {NEEDS_REFERENCE}")


def _check_focus(config: Config, test: Dataset) -> None:
    for name in config.focus:
        if name not in test.groups:
            raise unknown("group in focus", name, test.groups)
    ids = torch.tensor([test.groups.index(name) for name in config.focus])
    if len(ids) and not torch.isin(test.group, ids).any():
        raise UserError(f"focus={','.join(config.focus)}: the test set has no example of it; name other groups")
