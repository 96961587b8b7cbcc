"""The steps that the verbs share: check what was asked, estimate the noise, train, evaluate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from skedastic.core.criteria import Criterion
from skedastic.errors import UserError
from skedastic.evaluation.evaluate import evaluate
from skedastic.evaluation.metrics import ClassificationMetrics
from skedastic.methods.bases.method import MakeNet, Method
from skedastic.methods.bases.task import Task
from skedastic.noise.classifiers import check_classifier
from skedastic.noise.clusters import check_clusters
from skedastic.noise.estimate import Estimate, estimate_groups, given_estimate
from skedastic.noise.tried import Tried, foretold, tried_of
from skedastic.pipeline.budget import planned_fit
from skedastic.pipeline.checks import check_annotators, check_estimate, check_prior, check_reference, check_votes
from skedastic.pipeline.dry_run import dry_run
from skedastic.pipeline.early import NO_ESTIMATE, does_without_estimate, try_early
from skedastic.pipeline.gather import make_result
from skedastic.pipeline.keep_features import keep_features
from skedastic.pipeline.prepare import Data, network, settled
from skedastic.pipeline.set_aside import with_gross_errors_decided, without_gross_errors
from skedastic.pipeline.usual_method import taken_method
from skedastic.runs.asked import asked_for
from skedastic.runs.result import Result
from skedastic.runtime.launch import count, is_first
from skedastic.settings.config import Config
from skedastic.settings.methods import method_table, the_criterion
from skedastic.settings.reading import to_toml
from skedastic.training import Checkpoints, train
from skedastic.training.agreed_checkpoints import checkpoints_in
from skedastic.training.checkpoints import has_checkpoints, mend_settings
from skedastic.training.engine import threads
from skedastic.training.loop import Found, Progress, make_task
from skedastic.training.plan import Plan
from skedastic.training.ranks import agreed, apart

Tell = Callable[[Data, Plan, str], None]  # the data, the parts, and how long all takes in a sentence


def fit_data(
    config: Config,
    data: Data,
    method: Method | None,
    own_net: MakeNet | None = None,
    progress: Progress | None = None,
    checkpoints: str | Path | None = None,
    tell: Tell | None = None,
    began: float | None = None,
    found: Found | None = None,
    finish: bool = False,
) -> Result:
    """Train one method on data that is ready: check, estimate, train and evaluate.

    Parameters
    ----------
    method : Method or None
        The method; None is the usual one for such data.
    own_net : callable, optional
        Returns a fresh network, in place of the one that `config` names.
    checkpoints : str or Path, optional
        Folder to keep checkpoints in. The same call goes on from those that are there.
    tell : callable, optional
        Is shown the data and which method is taken, where none was named; then, before all but what is quick, what
        will be trained and how long that takes.
    began : float, optional
        The reading of `time.monotonic()` when the budget began; by default that of now.
    found : callable, optional
        Is told the best way of training so far, where the method tries several.
    finish : bool, optional
        Whether no more ways are tried than the checkpoints have, and the best of these is trained.
    """
    began = time.monotonic() if began is None else began
    if checkpoints is not None and is_first():
        mend_settings(checkpoints)
    if config.budget is not None and count() > 1:
        rule = "is measured on one device; give epochs where several train together"
        raise UserError(rule, setting="budget", value=config.budget.text)
    budget, config = config.budget, replace(config, budget=None)
    config = settled(config, data)
    taken = taken_method(config, data, method)
    name = config.method.get("name") if taken.method is method else None
    method = taken.method if own_net is None else taken.method.of_networks()
    config = with_gross_errors_decided(config, data)
    said = (taken.said,) * bool(taken.said)
    config = replace(config, method=method_table(method, name), notes=(*config.notes, *said))
    criterion = the_criterion(config)
    make_net = network(config, data) if own_net is None else own_net
    check(config, data, [method], make_net, progress)
    data = without_gross_errors(config, data)
    begun = checkpoints if checkpoints is not None and agreed(has_checkpoints(checkpoints)) else None
    early, ends = None, (progress, found, finish)
    if tell is not None and (taken.said or (budget is None and checkpoints is not None)):
        tell(data, (), taken.said)
    if budget is None and checkpoints is not None:  # a plan takes seconds, and would change nothing of these
        early = try_early(config, data, method, make_net, _kept(config, checkpoints), *ends)
    if tell is not None or budget is not None:
        with apart():
            planned = planned_fit(config, data, method, make_net, budget, began, begun)
        config, method = planned.config, planned.method
        if tell is not None:
            tell(data, planned.plan, planned.said)
    kept = None if checkpoints is None else _kept(config, checkpoints)
    if early is None and kept is not None:
        early = try_early(config, data, method, make_net, kept, *ends)
    data, skipped = replace(data, notes=(*config.notes, *data.notes)), config.estimate.kind is None
    if finish and early is not None and kept is not None and does_without_estimate(config, data, method, early, kept):
        data, skipped = replace(data, notes=(*data.notes, NO_ESTIMATE)), True
    tried = () if early is None else tried_of(method, early, config.training.epochs)
    estimated = None if skipped else estimate_noise(config, data, make_net, progress, kept, tried)
    regrouped = data.regrouped(estimated)
    return train_and_evaluate(
        config, regrouped, method, make_net, estimated, progress, kept, criterion, early, found, finish
    )


def _kept(config: Config, folder: str | Path) -> Checkpoints:
    """Return the checkpoints of a fit."""
    return checkpoints_in(folder, config.checkpoint_every, to_toml(config))


def check(
    config: Config, data: Data, methods: Sequence[Method], make_net: MakeNet, progress: Progress | None = None
) -> None:
    """Raise UserError for what would fail after minutes, each method's first step included.

    A frozen model computes its features before that step, which `progress` is told of.
    """
    check_reference(data, methods)
    check_annotators(config, data)
    check_estimate(config, methods)
    check_classifier(config.estimate, data.train)
    check_votes(data, methods)
    check_prior(data, methods)
    with threads(config.training.threads):
        keep_features(config, data, make_net, progress)
        with apart():
            dry_run(methods, data.train, make_net, config.training, data.reference)
    check_clusters(config.clusters, data.train, config.estimate.folds, make_net)


def estimate_noise(
    config: Config,
    data: Data,
    make_net: MakeNet,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    tried: Sequence[Tried] = (),
) -> Estimate:
    """Estimate noise and density per group, and find the groups where they are clusters.

    Nothing is trained where the user has probabilities of their own. `Data.regrouped` takes the clusters over. `tried`
    is of `estimate_groups`.
    """
    with threads(config.training.threads):
        if data.pred_probs is not None:
            return given_estimate(data.train, data.pred_probs, config.estimate)
        found = estimate_groups(
            data.train,
            make_net,
            config.train,
            config.estimate,
            seed=config.seed,
            progress=progress,
            checkpoints=checkpoints,
            clusters=config.clusters,
            tried=tried,
            elsewhere=data.test.x
            if data.train.classes and data.test is not None and data.has_test_of_its_own
            else None,
        )
        return replace(found, gross_errors=data.gross_errors)


def with_estimate(task: Task, estimated: Estimate, method: Method, epochs: int) -> Task:
    """Return the task of a method with what the estimate knows, and with what its models predict in the method's place.

    Parameters
    ----------
    task : Task
        The task.
    estimated : Estimate
        The estimate, of the same training set.
    method : Method
        The method.
    epochs : int
        The epochs of the training configuration.
    """
    task = replace(task, stats=estimated.stats, transitions=estimated.transitions)
    return replace(task, handed_on={**foretold(method, task, estimated.tried, epochs), **task.handed_on})


def train_and_evaluate(
    config: Config,
    data: Data,
    method: Method,
    make_net: MakeNet,
    estimated: Estimate | None,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    criterion: Criterion | None = None,
    early: Task | None = None,
    found: Found | None = None,
    finish: bool = False,
) -> Result:
    """Train one method with the groups' statistics known, and evaluate it on the test set, by the criterion too.

    Parameters
    ----------
    early : Task, optional
        What was tried before the estimate, as `try_early` returns it.
    found, finish
        As of `fit_data`.
    """
    with threads(config.training.threads):
        task = replace(make_task(data.train, data.reference), seed=config.seed)
        if early is not None:
            task = replace(task, handed_on=early.handed_on, failed=early.failed)
        if estimated is not None:
            task = with_estimate(task, estimated, method, config.training.epochs)
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
            found=found,
            finish=finish,
        )
        predicted = metrics = None
        if (test := data.test) is None:
            trained.predict(data.train.subset(torch.arange(min(len(data.train), 2))).x)  # refuses a model that diverged
        else:
            predicted = trained.predict(test.x)
            by_truth = config.noise is not None or data.has_clean_test
            metrics = replace(evaluate(predicted, test, data.train.group_counts()), by_truth=by_truth)
            if isinstance(metrics, ClassificationMetrics):
                metrics = replace(metrics, asked=asked_for(criterion, predicted, test))
        return make_result(config, data, method, task, trained, estimated, metrics, predicted)
