"""The way of the data, top to bottom: source, corrupt, estimate, strengths, train, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from skedastic.comparison import Comparison, SeedOutcome, run_seeds
from skedastic.config import Config, Estimation, compared_methods, make_method, method_table, the_method
from skedastic.data import Dataset, Encoder, Source, Truth, corrupt, from_arrays, limit, open_source, split_rows
from skedastic.errors import UserError
from skedastic.estimate import Estimate, estimate_groups
from skedastic.evaluate import evaluate
from skedastic.methods.base import Method
from skedastic.results import Result, make_network, make_result
from skedastic.training import Budget, train
from skedastic.training.loop import Progress, make_task

MakeNet = Callable[[], nn.Module]


@dataclass(frozen=True, eq=False)
class Data:
    """A source made ready: what is trained on, what is tested on, and apart from both what is truly so."""

    source: Source
    test_source: Source | None
    encoder: Encoder
    train: Dataset
    test: Dataset | None
    truth: Truth | None


def fit(
    source: Any,
    y: Any = None,
    *,
    method: Method | str = "har",
    groups: Any = None,
    test: Any = None,
    model: str | MakeNet = "auto",
    train: Budget | None = None,
    estimate: Estimation | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """Train one model and return it with everything that was found out on the way.

    source: features X [n, ...] (NumPy, torch, pandas) with labels y [n]; or, without y, what the command line takes
    (a file or the name of a built-in set, with `target="column"`). method: a method such as `sk.HAR(strength=0.1)`, or
    a preset's name. groups: [n] group of each example, or with a file the name of a column; by default its label.
    test: (X, y), or (X, y, groups), or a share in (0, 1) to hold out, or a file; by default everything is trained on
    and nothing is evaluated. model: a model's name, or a function without arguments that returns a fresh network for
    the encoded features. train, estimate: the budget, and how the noise is estimated. settings: further fields of
    `skedastic.config.Config`, such as noise="uniform:0.2".

    Raises UserError, in one line, on whatever can't be used.
    """
    config = Config(seed=seed, train=train or Budget(), estimate=estimate or Estimation(), **settings)
    if isinstance(method, str):
        method = make_method(method, {})
    config = replace(config, model={"name": model if isinstance(model, str) else "own"})
    test_source = None
    if y is None:
        if not isinstance(source, str):
            source = str(source)
        config = replace(config, source=source, groups=groups)
        opened = _open(config)
        if isinstance(test, str):
            test_source = open_source(test, target=config.target, groups=groups, ignore=config.ignore, like=opened)
    else:
        opened = from_arrays(source, y, groups)
        if isinstance(test, tuple):
            test_source = from_arrays(*test, like=opened)
    config = replace(config, test="none" if test is None else str(test) if isinstance(test, (float, str)) else "given")
    data = prepare(config, opened, test_source)
    return run(config, data, method, None if isinstance(model, str) else model, progress=progress)


def fit_config(config: Config, progress: Progress | None = None) -> Result:
    """Train the method that `config` names on the source that it names."""
    return run(config, open_data(config), the_method(config), progress=progress)


def run(
    config: Config, data: Data, method: Method, own_net: MakeNet | None = None, *, progress: Progress | None = None
) -> Result:
    """Estimate, train and evaluate one method on data that is ready."""
    config = replace(config, method=method_table(method))  # complete, so that config.toml can be run again
    make_net = own_net or network(config, data)
    estimated = None
    if config.estimate.kind != "none" or "group_stats" in method.needs:
        estimated = estimate_noise(config, data, make_net, progress)
    return train_and_evaluate(config, data, method, make_net, estimated, progress)


def estimate_noise(config: Config, data: Data, make_net: MakeNet, progress: Progress | None = None) -> Estimate:
    """Estimate noise and density per group; refuses `estimate.kind=none`, which only some methods can do without."""
    if config.estimate.kind == "none":
        raise UserError("estimate.kind=none, but this method needs each group's noise; use cross-fit or paper")
    return estimate_groups(data.train, make_net, config.train, config.estimate, seed=config.seed, progress=progress)


def train_and_evaluate(
    config: Config,
    data: Data,
    method: Method,
    make_net: MakeNet,
    estimated: Estimate | None,
    progress: Progress | None = None,
) -> Result:
    """Train one method with the groups' statistics known, and evaluate it on the test set."""
    task = replace(make_task(data.train), stats=estimated.stats if estimated else None)
    trained = train(method, data.train, make_net, config.train, seed=config.seed, task=task, progress=progress)
    probabilities = metrics = None
    if data.test is not None:
        probabilities = trained.predict(data.test.x)
        metrics = evaluate(
            probabilities, data.test.y, data.test.group, data.test.classes, data.test.groups, task_counts(data.train)
        )
    return make_result(config, data, task, trained, estimated, metrics, probabilities)


def compare(config: Config, *, jobs: int = 0, progress: Progress | None = None) -> Comparison:
    """Train every method of `config.methods` on the same splits of the same data, over seeds; see `Comparison`."""
    compared_methods(config)  # a wrong name is refused before any work
    open_data(replace(config, seed=config.first_seed))
    return Comparison(config, run_seeds(compare_seed, config, jobs, progress))


def compare_seed(config: Config) -> SeedOutcome:
    """Run all methods with one seed: one split, one corruption, one estimate, one start for all."""
    data, methods = open_data(config), compared_methods(config)
    make_net = network(config, data)
    estimated = None
    if config.estimate.kind != "none" or any("group_stats" in m.needs for m in methods.values()):
        estimated = estimate_noise(config, data, make_net)
    results = {name: train_and_evaluate(config, data, m, make_net, estimated) for name, m in methods.items()}
    return SeedOutcome.of(config.seed, results)


def estimate(config: Config, progress: Progress | None = None) -> tuple[Estimate, Data]:
    """Estimate noise and density per group of the whole source, and train no final model."""
    source = _open(config)
    data = prepare(replace(config, test="none"), source, None)
    return estimate_noise(config, data, network(config, data), progress), data


def open_data(config: Config) -> Data:
    """Open the sources that `config` names and make them ready."""
    source = _open(config)
    test_source = None
    if config.test_fraction is None:
        test_source = open_source(
            config.test,
            target=config.target,
            groups=config.groups,
            ignore=config.ignore,
            truth=config.truth,
            like=source,
        )
    return prepare(config, source, test_source)


def prepare(config: Config, source: Source, test_source: Source | None) -> Data:
    """Split, limit, encode and (for experiments) corrupt. The test set keeps its clean labels; training never sees any."""
    rows, test_rows = torch.arange(len(source)), None
    if test_source is not None:
        test_rows = torch.arange(len(test_source))
    elif config.test != "none":
        rows, test_rows = split_rows(source, config.test_fraction or 0.2, config.seed)
    encoder = source.encode(rows)
    training = source.dataset(rows, encoder)
    if config.limit is not None:
        training = limit(training, config.limit, config.seed)
    truth = source.truth_of(training.index)
    if config.noise or config.imbalance:
        training, truth = corrupt(training, truth, noise=config.noise, imbalance=config.imbalance, seed=config.seed)
    test = None
    if test_rows is not None:
        test_from = test_source or source
        test = _with_clean_labels(test_from.dataset(test_rows, encoder), test_from.truth_of(test_rows)).in_memory()
    return Data(source, test_source, encoder, training.in_memory(), test, truth)


def network(config: Config, data: Data) -> MakeNet:
    """Return the function that makes a fresh network of the configured model; a model that can't be is refused here."""
    make_net = make_network(config, data.encoder, len(data.train.classes))
    with torch.random.fork_rng(devices=[]):
        make_net()
    return make_net


def task_counts(training: Dataset) -> Tensor:
    """Return the number of training examples of each group, [G]."""
    return torch.bincount(training.group, minlength=len(training.groups))


def _open(config: Config) -> Source:
    return open_source(
        config.source, target=config.target, groups=config.groups, ignore=config.ignore, truth=config.truth
    )


def _with_clean_labels(test: Dataset, truth: Truth | None) -> Dataset:
    if truth is None:
        return test
    clean = truth.of(test.index)
    return replace(test, y=clean, group=clean if test.groups == test.classes else test.group)
