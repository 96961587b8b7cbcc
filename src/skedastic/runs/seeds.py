"""The seeds of a comparison: each runs all methods on one split, in this process or in several."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from skedastic.errors import UserError
from skedastic.runtime.processes import mapped
from skedastic.settings.config import Config
from skedastic.training.loop import Progress

if TYPE_CHECKING:
    from skedastic.report.content import Suspect
    from skedastic.runs.result import Result


@dataclass(frozen=True, eq=False)
class SeedOutcome:
    """What one seed gave: plain data, since it crosses processes. Dictionaries are keyed by method.

    failed: the methods whose training failed, and why; they are in no other dictionary.
    """

    seed: int
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    train_count: list[int]  # [G]
    true_noise: list[float | None] | None  # [G] as in Result, where the truth is known
    stats: dict[str, Any] | None  # GroupStats
    metrics: dict[str, dict[str, Any]]
    strengths: dict[str, list[float] | None]
    history: dict[str, list[dict[str, Any]]]
    seconds: dict[str, float]  # the estimate counted where the method needs it
    suspects: list[Suspect]
    suspects_total: int
    notes: tuple[str, ...]
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, seed: int, results: Mapping[str, Result], failed: Mapping[str, str] | None = None) -> SeedOutcome:
        """Keep what a comparison needs of the results of one seed, at least one."""
        first = next(iter(results.values()))
        table = first.suspects
        return cls(
            seed=seed,
            classes=first.classes,
            groups=first.groups,
            train_count=first.train_count,
            true_noise=first.true_noise,
            stats=first.group_stats.to_dict() if first.group_stats else None,
            metrics={name: r.metrics for name, r in results.items() if r.metrics is not None},
            strengths={name: None if r.strengths is None else r.strengths.tolist() for name, r in results.items()},
            history={name: r.history for name, r in results.items()},
            seconds={name: r.seconds for name, r in results.items()},
            suspects=list(first.shown_suspects),
            suspects_total=0 if table is None else int(table["is_issue"].sum()),
            notes=tuple(dict.fromkeys(note for r in results.values() for note in r.notes)),
            failed=dict(failed or {}),
        )


def check_jobs(jobs: int) -> None:
    """Raise UserError where this can't be how many seeds run at a time."""
    if jobs < 0:
        raise UserError(f"jobs={jobs}: must be at least 1, or 0 for one for each core")


def run_seeds(
    run: Callable[[Config], SeedOutcome], config: Config, jobs: int, progress: Progress | None
) -> list[SeedOutcome]:
    """Run every seed of a comparison, `jobs` at a time (0: one for each core), each on one thread.

    One thread, so that a seed gives the same figures however many run at a time. One job runs in this process, more
    in processes of their own. Raises UserError as a seed does.
    """
    check_jobs(jobs)
    configs = [replace(config, seed=config.first_seed + i) for i in range(config.seeds)]
    at_once = min(jobs or (1 if torch.accelerator.is_available() else os.cpu_count() or 1), config.seeds)
    outcomes: list[SeedOutcome] = []

    def tell() -> None:
        if progress is not None:
            progress(f"{len(config.methods)} methods × {config.seeds} seeds", len(outcomes), config.seeds)

    tell()
    with mapped(run, configs, at_once) as seeds:
        for outcome in seeds:
            outcomes.append(outcome)
            tell()
    return sorted(outcomes, key=lambda o: o.seed)
