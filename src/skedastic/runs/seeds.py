"""The seeds of a comparison: each runs all methods on one split, in this process, in several, or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import torch

from skedastic.configurable.kinds import Range, fits
from skedastic.core.choice import Trial
from skedastic.errors import UserError
from skedastic.evaluation.metrics import AnyMetrics, metrics_from_dict
from skedastic.report.content import LabelIssue
from skedastic.runs.summary import RunSummary
from skedastic.runtime.processes import mapped
from skedastic.settings.config import Config
from skedastic.training.loop import Progress

NOT_NEGATIVE = Range.parse("[0, inf)")
OF_METHODS = ("metrics", "strengths", "history", "seconds", "trials", "predictors")  # fields that are keyed by method
Workers = Callable[[Sequence[Config]], AbstractContextManager[Iterator["SeedOutcome"]]]  # outcomes as they are done


@dataclass(frozen=True, eq=False)
class SeedOutcome:
    """The outcome of one seed: plain data, since it crosses processes. Dictionaries are keyed by method.

    Parameters
    ----------
    seed : int
    classes, groups : tuple of str
        Names of the C classes (none for regression) and of the G groups.
    train_count : list of int
        Training examples of each group, [G].
    true_noise : list or None
        Noise of each group, [G], as in `RunSummary`; None where the truth is not known.
    stats : dict or None
        Estimated noise and density, as of `GroupStats.to_dict`; None where nothing was estimated.
    findings : dict or None
        The figures of the estimate that may be shown, as of `Findings.to_dict`; None where nothing was estimated.
    metrics : dict
        Metrics of the test set.
    strengths : dict
        Enforced strength of each group, [G]; None for methods without.
    history : dict
        A row for each epoch.
    seconds : dict
        Seconds of training; those of the estimate count where the method needs one.
    shown_issues : list of LabelIssue
        The label issues that the report shows.
    issue_count : int
        How many labels are called an issue.
    wrong_count : int or None
        How many of these are wrong by an estimate that is shown or bounded; None where none was made.
    notes : tuple of str
        Notes on the data and on the training.
    trials : dict
        The ways of training that were held against each other; of the methods that chose between some.
    predictors : dict
        What predicts, in words, as of `Method.predictor`; of the methods whose predictor is no network.
    own_test_rows : bool
        Whether the source itself says which rows are for testing.
    failed : dict
        The methods whose training failed, and why; they are in no other dictionary.
    """

    seed: int
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    train_count: list[int]
    true_noise: list[float | None] | None
    stats: dict[str, Any] | None
    findings: dict[str, Any] | None
    metrics: dict[str, AnyMetrics]
    strengths: dict[str, list[float] | None]
    history: dict[str, list[dict[str, Any]]]
    seconds: dict[str, float]
    shown_issues: list[LabelIssue]
    issue_count: int
    notes: tuple[str, ...]
    trials: dict[str, tuple[Trial, ...]] = field(default_factory=dict)
    predictors: dict[str, str] = field(default_factory=dict)
    own_test_rows: bool = False
    wrong_count: int | None = None
    failed: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {
            "metrics": {name: metrics.to_dict() for name, metrics in self.metrics.items()},
            "shown_issues": [asdict(issue) for issue in self.shown_issues],
            "trials": {name: [trial.to_dict() for trial in trials] for name, trials in self.trials.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SeedOutcome:
        """Return what `to_dict` described. Raises ValueError, LookupError or TypeError where it described nothing."""
        if any(values[name].keys() != values["metrics"].keys() for name in ("strengths", "history", "seconds")):
            raise ValueError("its figures are of different methods")
        return cls(
            **{
                **values,
                **{name: tuple(values[name]) for name in ("classes", "groups", "notes")},
                "metrics": {name: metrics_from_dict(metrics) for name, metrics in values["metrics"].items()},
                "shown_issues": [LabelIssue(**issue) for issue in values["shown_issues"]],
                "trials": {name: tuple(map(Trial.from_dict, trials)) for name, trials in values["trials"].items()},
            }
        )

    @classmethod
    def of(cls, seed: int, name: str, run: RunSummary) -> SeedOutcome:
        """Return the outcome of one method with a seed.

        Parameters
        ----------
        seed : int
        name : str
            The method.
        run : RunSummary
            Its run.
        """
        words = run.method.predictor(run.trials)
        return cls(
            seed=seed,
            classes=run.classes,
            groups=run.groups,
            train_count=run.train_count,
            true_noise=run.true_noise,
            stats=run.group_stats.to_dict() if run.group_stats else None,
            findings=run.findings.to_dict() if run.findings else None,
            metrics={} if run.metrics is None else {name: run.metrics},
            strengths={name: None if run.strengths is None else run.strengths.tolist()},
            history={name: run.history},
            seconds={name: run.seconds},
            shown_issues=list(run.shown_issues),
            issue_count=run.issue_count,
            notes=tuple(dict.fromkeys(run.notes)),
            trials={name: run.trials} if run.trials else {},
            predictors={name: words} if words else {},
            own_test_rows=run.own_test_rows,
            wrong_count=run.wrong_count,
        )

    @classmethod
    def joined(cls, outcomes: Sequence[SeedOutcome], failed: Mapping[str, str] | None = None) -> SeedOutcome:
        """Return the outcome of all methods with a seed; what is no method's own is that of the first.

        Parameters
        ----------
        outcomes : sequence of SeedOutcome
            The outcomes of one method each, at least one.
        failed : mapping of str to str, optional
            The methods whose training failed, and why.
        """
        of_methods: dict[str, Any] = {
            name: {key: value for outcome in outcomes for key, value in getattr(outcome, name).items()}
            for name in OF_METHODS
        }
        notes = tuple(dict.fromkeys(note for outcome in outcomes for note in outcome.notes))
        return replace(outcomes[0], **of_methods, notes=notes, failed=dict(failed or {}))


def seeds_of(config: Config) -> range:
    """Return the seeds of a comparison."""
    return range(config.first_seed, config.first_seed + config.seeds)


def check_jobs(jobs: int) -> None:
    """Raise UserError where the number of seeds at a time is no whole number of at least 0."""
    if not fits(int, jobs, NOT_NEGATIVE):
        raise UserError("must be a whole number of at least 1, or 0 for one for each core", setting="jobs", value=jobs)


def on_this_machine(run: Callable[[Config], SeedOutcome], jobs: int) -> Workers:
    """Return what runs seeds on this machine, each on one thread: one at a time in this process, several in their own.

    Parameters
    ----------
    run : callable
        The function that runs one seed: its configuration has the seed.
    jobs : int
        Seeds to run at a time, at least 1; 0 is one for each core.
    """

    def lend(configs: Sequence[Config]) -> AbstractContextManager[Iterator[SeedOutcome]]:
        at_once = jobs or (1 if torch.accelerator.is_available() else os.cpu_count() or 1)
        return mapped(run, configs, min(at_once, max(len(configs), 1)))

    return lend


def run_seeds(
    workers: Workers,
    config: Config,
    progress: Progress | None,
    done: Sequence[SeedOutcome] = (),
    keep: Callable[[SeedOutcome], None] | None = None,
) -> list[SeedOutcome]:
    """Run every seed of a comparison.

    On one thread a seed gives the same figures wherever it runs, and however many run at a time.

    Parameters
    ----------
    workers : callable
        From the configurations of seeds to a context that lends their outcomes, in the order in which they are done.
    config : Config
        The settings of the comparison.
    progress : callable or None
        Is told the number of seeds done, and of all seeds.
    done : sequence of SeedOutcome, optional
        The outcomes of seeds that were run before.
    keep : callable, optional
        Is given each other outcome as soon as it is there.

    Returns
    -------
    list of SeedOutcome
        The outcomes in the order of the seeds.

    Raises
    ------
    UserError
        A seed raised it, or what ran it is gone.
    """
    outcomes, known = list(done), {outcome.seed for outcome in done}
    configs = [replace(config, seed=seed) for seed in seeds_of(config) if seed not in known]

    def tell() -> None:
        if progress is not None:
            methods = f"{len(config.methods)} method{'s' * (len(config.methods) != 1)}"
            progress(f"{methods} × {config.seeds} seeds", len(outcomes), config.seeds)

    tell()
    with workers(configs) as seeds:
        for outcome in seeds:
            outcomes.append(outcome)
            if keep is not None:
                keep(outcome)
            tell()
    return sorted(outcomes, key=lambda o: o.seed)
