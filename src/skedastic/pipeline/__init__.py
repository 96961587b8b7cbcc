"""The way of the data, top to bottom: source, corrupt, estimate, strengths, train, evaluate, report.

    open_data             sources, opened, split, encoded and, in experiments, corrupted      `prepare`
    check                 what would fail after minutes is refused now                        `checks`, `dry_run`
    planned_fit           how long all takes, and the epochs of a budget                      `budget`, `speeds`
    try_early             ways of training that are quick and need no estimate                `early`
    estimate_noise        noise and density of each group, from held-out predictions          `steps`, `noise`
    train_and_evaluate    strengths from these, training, figures of the test set             `steps`, `gather`

`fit` does so once, `compare` for several methods and seeds, and `estimate` stops before the training.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from skedastic.errors import UserError
from skedastic.methods.erm import ERM
from skedastic.noise.estimate import Estimate
from skedastic.pipeline.checks import check_focus, check_no_budget
from skedastic.pipeline.compared import compare_seed, with_all_methods, with_yardstick
from skedastic.pipeline.from_python import fit as fit
from skedastic.pipeline.plan import plan_of_estimate
from skedastic.pipeline.prepare import (
    Data,
    Opened,
    data_of,
    network,
    open_data,
    open_sources,
    settled,
    with_exact_names,
)
from skedastic.pipeline.set_aside import with_gross_errors_decided, without_gross_errors
from skedastic.pipeline.steps import Tell, check, estimate_noise, fit_data
from skedastic.pipeline.steps import train_and_evaluate as train_and_evaluate
from skedastic.pipeline.usual_method import with_methods_of_task
from skedastic.runs.comparison import Comparison
from skedastic.runs.done_seeds import DoneSeeds
from skedastic.runs.result import Result
from skedastic.runs.seeds import check_jobs, on_this_machine, run_seeds, seeds_of
from skedastic.runs.unfinished import alone
from skedastic.runtime.cluster import connected, packed
from skedastic.settings.config import Config
from skedastic.settings.data_apart import Nothing
from skedastic.settings.methods import compared_methods, the_method
from skedastic.training.loop import Found, Progress

ALL = "all"  # instead of the names of methods


def fit_config(
    config: Config,
    progress: Progress | None = None,
    checkpoints: str | Path | None = None,
    tell: Tell | None = None,
    began: float | None = None,
    found: Found | None = None,
    finish: bool = False,
) -> Result:
    """Train the method that `config` names on the source that it names; `sk.fit` is the same for what Python holds.

    Parameters
    ----------
    config : Config
        All settings. The result's is complete, so that its config.toml can be run again.
    progress : callable, optional
        Is told of every epoch.
    checkpoints : str or Path, optional
        Folder to keep checkpoints in. The same call goes on from those that are there.
    tell : callable, optional
        As of `steps.fit_data`.
    began : float, optional
        The reading of `time.monotonic()` when the budget began; by default that of now.
    found, finish
        As of `steps.fit_data`.

    Raises
    ------
    UserError
        In one line, for whatever can't be used.
    """
    began = time.monotonic() if began is None else began
    config, data, method = with_exact_names(config), open_data(config), the_method(config)
    return fit_data(config, data, method, None, progress, checkpoints, tell, began, found, finish)


def compare(
    config: Config,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
    checkpoints: str | Path | None = None,
) -> Comparison:
    """Train every method of `config.methods` on the same splits of the same data, over seeds.

    Parameters
    ----------
    config : Config
        All settings. `methods=("all",)` is every name that there is, plain training first, but for those that can't be
        used with the data. With `yardstick`, boosted trees are added to other methods where they suit the data.
    jobs : int, at least 0
        Seeds at a time on this machine, each on one core and, where these are several, in a process of its own; 0 is
        one for each core.
    cluster : str, optional
        The scheduler of a Dask cluster whose workers run the seeds, such as "dask:tcp://10.0.0.1:8786".
    progress : callable, optional
        Is told of every method and seed.
    tell : callable, optional
        Is shown the first seed's data, before anything is trained, and what goes to a cluster; the plan is empty.
    checkpoints : str or Path, optional
        Folder to keep each seed in that is done and, of those under way on this machine, checkpoints. The same call
        goes on from there. No other process writes there meanwhile.

    Returns
    -------
    Comparison
        A method whose training fails with some seed is left out, and named in its notes.

    Raises
    ------
    UserError
        In one line, for whatever can't be used, and where no method is left.
    """
    with alone(checkpoints, "comparison"):
        return compare_config(config, jobs, cluster, progress, tell, checkpoints)


def compare_config(
    config: Config,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
    checkpoints: str | Path | None = None,
) -> Comparison:
    """Compare as `compare` does, for a caller that has the lock of the folder."""
    check_jobs(jobs)
    check_no_budget(config)
    if config.methods != (ALL,):
        compared_methods(config)
    with nullcontext() if cluster is None else connected(cluster) as there:
        asked, opened = config, open_sources(config)
        config, data = _comparable(config, opened, progress)
        sent = packed(None if there is None else opened.portable())
        if tell is not None:
            tell(data, (), "" if there is None else there.about(sent))
        parts = [part for part in (data.train, data.test) if part is not None]
        kept = None if checkpoints is None else DoneSeeds(checkpoints, asked, parts)
        done = () if kept is None else kept.read(seeds_of(config))
        if there is None:
            workers = on_this_machine(partial(compare_seed, done=kept), jobs)
        else:
            workers = partial(there.mapped, compare_seed, shared=sent)
        outcomes = run_seeds(workers, config, progress, done, None if kept is None else kept.write)
    return Comparison(with_exact_names(config), outcomes)


def _comparable(config: Config, opened: Opened, progress: Progress | None) -> tuple[Config, Data]:
    """Return the settings with the methods that are compared, checked, and the data of the first seed."""
    data = data_of(replace(config, seed=config.first_seed), opened)
    if data.test is None:
        rule = "a comparison needs a test set; give a share such as test=0.2, or a file"
        raise UserError(rule, setting="test", value="none")
    config = with_methods_of_task(settled(config, data), data)
    if config.methods == (ALL,):
        config = with_all_methods(config, data)
    elif config.yardstick:
        config = with_yardstick(config, data)
    check_focus(config, data.test)
    check(config, data, list(compared_methods(config).values()), network(config, data), progress)
    with_gross_errors_decided(config, data)  # refuses what can't be set aside
    return config, data


def estimate(config: Config, progress: Progress | None = None, tell: Tell | None = None) -> tuple[Estimate, Data]:
    """Estimate noise and density per group of the whole source, and train no final model.

    Parameters
    ----------
    config : Config
        All settings. Nothing is held out for testing.
    progress : callable, optional
        Is told of every epoch.
    tell : callable, optional
        Is shown the data and what will be trained, before anything is.

    Returns
    -------
    tuple of Estimate and Data
        The estimate, and the data by the groups that it is about.

    Raises
    ------
    UserError
        In one line, for whatever can't be used, and for `estimate.kind=none`.
    """
    check_no_budget(config)
    if config.estimate.kind is None:
        rule = "leaves nothing to do; use cross-fit or paper"
        raise UserError(rule, setting="estimate.kind", value="none")
    data = open_data(replace(config, test=Nothing()))
    config = settled(config, data)
    make_net = network(config, data)
    check(config, data, [ERM()], make_net, progress)
    config = with_gross_errors_decided(config, data)
    data = without_gross_errors(config, data)
    if tell is not None:
        tell(data, plan_of_estimate(config, data), "")
    estimated = estimate_noise(config, data, make_net, progress)
    return estimated, data.regrouped(estimated)
