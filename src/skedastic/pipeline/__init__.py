"""The way of the data, top to bottom: source, corrupt, estimate, strengths, train, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from skedastic.data import Dataset, from_arrays, from_torch, is_frame, is_torch, open_source
from skedastic.data.settings import TaskName, TextSettings, clusters_asked
from skedastic.errors import UserError, unknown
from skedastic.evaluation.evaluate import evaluate
from skedastic.methods.bases.card import GROUP_STATS, IMAGES, NEEDS_REFERENCE, REAL_INPUTS, REFERENCE, Role
from skedastic.methods.bases.method import MakeNet, Method
from skedastic.methods.erm import ERM
from skedastic.methods.presets import presets
from skedastic.noise.clusters import check_clusters
from skedastic.noise.estimate import Estimate, estimate_groups
from skedastic.pipeline.dry_run import dry_run
from skedastic.pipeline.gather import make_result
from skedastic.pipeline.prepare import Data, network, open_data
from skedastic.runs.comparison import Comparison
from skedastic.runs.result import Result
from skedastic.runs.seeds import SeedOutcome, check_jobs, run_seeds
from skedastic.settings.config import Config, Estimation
from skedastic.settings.data_apart import DataApart, FromPython, Nothing
from skedastic.settings.methods import compared_methods, make_method, method_table, the_method
from skedastic.settings.model_choice import OwnModel
from skedastic.settings.reading import build_config, to_toml
from skedastic.training import Checkpoints, TrainingConfig, train
from skedastic.training.loop import Progress, make_task

ALL = "all"  # instead of the names of methods
OF_FRAMES = ("task", "bins", "text", "numeric", "categorical", "ignore")  # what is said of X where y comes beside it
ColumnNames = str | Sequence[str]  # names, or several in one text by comma
Tell = Callable[[Data], None]


def fit(
    source: Any,
    y: Any = None,
    *,
    method: Method | str = "har",
    model: str | Mapping[str, Any] | MakeNet = "auto",
    train: TrainingConfig | None = None,
    estimate: Estimation | None = None,
    tokens: TextSettings | None = None,
    test: Any = None,
    reference: Any = None,
    target: str | None = None,
    task: TaskName = "auto",
    groups: Any = None,
    bins: int | None = None,
    ignore: ColumnNames = (),
    text: ColumnNames = (),
    numeric: ColumnNames = (),
    categorical: ColumnNames = (),
    image: str | None = None,
    image_size: int | None = None,
    annotators: ColumnNames = (),
    split: str | None = None,
    group_by: str | None = None,
    truth: str | None = None,
    labels: str | Path | None = None,
    noise: str | None = None,
    imbalance: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    checkpoints: str | Path | None = None,
    checkpoint_every: float = 60.0,
    progress: Progress | None = None,
) -> Result:
    """Train one model and return it with everything that was found out on the way.

    Parameters
    ----------
    source : array [n, ...], frame, data set, str or Path
        Features X, with labels `y` beside them: NumPy, torch, pandas, Polars, lists or texts. Without `y`, a map-style torch
        data set of pairs (x, label), a frame, a file, or the name of a built-in set; columns are then given by name.
    y : array [n], optional
        Labels of any kind, or numbers.
    method : Method or str
        Such as `sk.HAR(strength=0.1)`, or the name of a preset.
    model : str, mapping or callable
        A model's name, a table {"name": …} with its options, or a function without arguments that returns a fresh network
        for the encoded features.
    train : TrainingConfig, optional
        Epochs, batches, optimizer and learning rate.
    estimate : Estimation, optional
        How the noise of the groups is estimated.
    tokens : TextSettings, optional
        How text becomes tokens.
    test : tuple (X, y) or (X, y, groups), float in (0, 1), str or Path, optional
        Arrays, a share to hold out, or a file. By default everything is trained on, and nothing is evaluated.
    reference : tuple (X, y) or (X, y, groups), float in (0, 1), str or Path, optional
        Trusted examples for the methods that learn from some. A share is set apart from the training rows, as many of each
        class.
    target : str, optional
        Column with the labels, or numbers.
    task : {'auto', 'classification', 'regression'}
        "auto" is regression where the target holds measurements.
    groups : array [n], or str, optional
        Group of each example; of a file or a frame the name of a column; or "cluster:K". By default each label, or bins of
        numbers.
    bins : int, at least 1, optional
        Bins of a target of numbers that are the groups; by default 10.
    ignore, text, numeric, categorical : sequence of str
        ColumnNames to leave out, and those to read as text, numbers or categories, whatever they look like.
    image : str, optional
        Column of images, or of paths to images.
    image_size : int, at least 4, optional
        Pixels of each side that images are resized to.
    annotators : sequence of str
        ColumnNames of one person's labels each; they make the target where none is named.
    split : str, optional
        Column that names each row train, test or validation.
    group_by : str, optional
        Column whose equal cells stay together in every split.
    truth : str, optional
        Column with clean labels, for evaluation only and never for training.
    labels : str or Path, optional
        File of corrected labels, which take the place of the source's.
    noise, imbalance : str, optional
        What to corrupt the training rows with, such as "uniform:0.2" and "longtail:100".
    limit : int, at least 2, optional
        Training examples to use, drawn by seed.
    seed : int in [0, 2147483647]
        Of the split, the initial weights and the batches.
    checkpoints : str or Path, optional
        Folder to keep checkpoints in. The same call goes on from those that are there.
    checkpoint_every : float, at least 0
        Least seconds between two checkpoints; inf is at the end of each stage only.
    progress : callable, optional
        Is told of every epoch.

    Returns
    -------
    Result
        The model with its figures.

    Raises
    ------
    UserError
        In one line, for whatever can't be used.
    """
    if y is None and is_torch(source):
        source, y = from_torch(source)
    named = y is None and isinstance(source, (str, Path))
    if y is None and not named and not (is_frame(source) and (target is not None or annotators)):
        raise UserError("fit needs labels: fit(X, y), or the name of a file or a frame with target=… or annotators=…")
    own_net = None if isinstance(model, (str, Mapping)) else model
    name = method if isinstance(method, str) else None
    method = make_method(method, {}) if isinstance(method, str) else method
    asks_for_clusters = isinstance(groups, str) and clusters_asked(groups) is not None
    config = build_config(
        {
            "source": str(source) if named else None,
            "target": target,
            "task": task,
            "groups": groups if y is None or asks_for_clusters else None,
            "bins": bins,
            "ignore": ignore,
            "text": text,
            "numeric": numeric,
            "categorical": categorical,
            "image": image,
            "image_size": image_size,
            "annotators": annotators,
            "split": split,
            "group_by": group_by,
            "truth": truth,
            "labels": None if labels is None else str(labels),
            "test": _apart("test", test),
            "reference": _apart("reference", reference),
            "noise": noise,
            "imbalance": imbalance,
            "limit": limit,
            "seed": seed,
            "checkpoint_every": checkpoint_every,
            "method": method_table(method, name),
            "model": model if own_net is None else OwnModel(),
            "train": train or TrainingConfig(),
            "estimate": estimate or Estimation(),
            "tokens": tokens or TextSettings(),
        }
    )
    if y is None:
        opened = open_source(source, **config.column_roles)
    else:
        said = {name: value for name, value in config.column_roles.items() if name in OF_FRAMES}
        opened = from_arrays(source, y, None if asks_for_clusters else groups, **said)
    data = open_data(config, opened, *(given if isinstance(given, tuple) else None for given in (test, reference)))
    return _fit(config, data, method, own_net, progress, checkpoints)


def _apart(name: str, given: Any) -> DataApart:
    """Return where the test or reference data that `fit` was given comes from."""
    if isinstance(given, tuple):
        return FromPython()
    if not isinstance(given, (str, Path, int, float, np.floating, type(None))):
        rule = f"is a {type(given).__name__}; give (X, y), a share in (0, 1), the name of a file, or None"
        raise UserError(rule, setting=name)
    found: DataApart = DataApart.read(given, name)
    return found


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
    dry_run([method], data.train, make_net, config.train, data.reference)
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
        predicted = trained.predict(test.x)
        metrics = evaluate(predicted, test, data.train.group_counts())
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
    dry_run(methods, data.train, network(config, data), config.train, data.reference)
    check_clusters(config.clusters, data.train, config.estimate.folds, network(config, data))
    if tell is not None:
        tell(data)
    return Comparison(config, run_seeds(compare_seed, config, jobs, progress))


def _with_all_methods(config: Config, data: Data) -> Config:
    """Name every method that the data can be used with; a note says which it can't, and why.

    The baseline comes first and the headline's method last, so that the headline was chosen before anything was trained.
    """
    names, left_out = list[str](), list[str]()
    for name, preset in presets().items():
        why = _why_not(preset.make(), config, data)
        if why:
            left_out.append(f"{name} ({why})")
        else:
            names.append(name)
    names.sort(key=lambda name: get_args(Role).index(presets()[name].role))
    notes = (f"methods=all leaves out {', '.join(left_out)}.",) if left_out else ()
    return replace(config, methods=tuple(names), notes=(*config.notes, *notes))


def _why_not(method: Method, config: Config, data: Data) -> str:
    able, task = method.capabilities, data.train.target.task
    if task not in able.tasks:
        return f"not for {task}"
    if REFERENCE in able.needs and data.reference is None:
        return "no reference set"
    if GROUP_STATS in able.needs and config.estimate.kind is None:
        return "no estimate of the noise"
    if IMAGES in able.takes and data.train.kind != "image":
        return "for images"
    if REAL_INPUTS in able.takes and data.train.has_ids:
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
    if config.estimate.kind is None:
        raise UserError("estimate.kind=none leaves nothing to do; use cross-fit or paper")
    data = open_data(replace(config, test=Nothing()))
    make_net = network(config, data)
    _check_annotators(config, data)
    dry_run([ERM()], data.train, make_net, config.train)
    check_clusters(config.clusters, data.train, config.estimate.folds, make_net)
    if tell is not None:
        tell(data)
    estimated = estimate_noise(config, data, make_net, progress)
    return estimated, data.regrouped(estimated)


def _estimates(config: Config, methods: Iterable[Method]) -> bool:
    """Whether the noise is estimated; refuses to do without where a method can't."""
    for method in methods:
        if config.estimate.kind is None and GROUP_STATS in method.capabilities.needs:
            raise UserError(
                f"estimate.kind=none, but {method.card.name} needs each group's noise; use cross-fit or paper"
            )
    return config.estimate.kind is not None


def _check_annotators(config: Config, data: Data) -> None:
    if config.estimate.kind == "annotators" and data.train.disagreement is None:
        raise UserError("estimate.kind=annotators: there are none; name their columns with --annotators")


def _check_reference(data: Data, methods: Iterable[Method]) -> None:
    for method in methods:
        if data.reference is None and REFERENCE in method.capabilities.needs:
            raise UserError(f"{method.card.name} {NEEDS_REFERENCE}")


def _check_focus(config: Config, test: Dataset) -> None:
    for name in config.focus:
        if name not in test.groups:
            raise unknown("group in focus", name, test.groups)
    ids = torch.tensor([test.groups.index(name) for name in config.focus])
    if len(ids) and not torch.isin(test.group, ids).any():
        raise UserError(f"focus={','.join(config.focus)}: the test set has no example of it; name other groups")
