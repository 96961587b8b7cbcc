"""The figures of a comparison: several methods, the same splits, several seeds; means and paired differences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from skedastic.core.strengths import GroupStats
from skedastic.data import affected_classes
from skedastic.errors import UserError
from skedastic.evaluation.intervals import mean_interval, paired
from skedastic.evaluation.metric import Metric
from skedastic.runs.seeds import SeedOutcome
from skedastic.runtime.environment import environment
from skedastic.settings.config import Config

MOST_PAIRED = 6  # methods, of which every pair is shown
UNPAIRED = "worst_group"  # may be another group in each method


@dataclass(frozen=True, eq=False)
class ComparisonSummary:
    """The outcomes of a comparison and its figures.

    All accuracies are on the test set, in [0, 1], averaged within groups first. Balanced accuracy is the mean over the
    classes that the test set has. For regression, errors (`rmse`, in the target's units) stand for accuracies, lower is
    better, and there is no balanced accuracy. A method whose training failed with some seed is left out of all figures,
    and a note names it.

    Parameters
    ----------
    config : Config
        The settings of the comparison.
    outcomes : list of SeedOutcome
        The outcome of each seed, at least one.

    Raises
    ------
    UserError
        The training of every method failed.
    """

    config: Config
    outcomes: list[SeedOutcome]

    def __post_init__(self) -> None:
        if not self.methods:
            name, why = next(iter(self.failed.items()))
            raise UserError(why, setting="methods", value=name, given=name)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods that every seed trained to the end."""
        return tuple(name for name in self.config.methods if name not in self.failed)

    @cached_property
    def failed(self) -> dict[str, str]:
        """The methods whose training failed, with the first seed that failed and the reason."""
        first = {name: f"seed {o.seed}: {why}" for o in reversed(self.outcomes) for name, why in o.failed.items()}
        return {name: first[name] for name in self.config.methods if name in first}

    @cached_property
    def metric(self) -> Metric:
        """The metric that is compared: accuracy, or error."""
        return next(iter(self.outcomes[0].metrics.values())).metric

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the data and on the training; one that is not of all seeds says of how many it is."""
        count = Counter(note for o in self.outcomes for note in o.notes)
        seeds = len(self.outcomes)
        failed = [f"{name} is left out, since its training failed; {why}" for name, why in self.failed.items()]
        return (*failed, *(text if n == seeds else f"{text} ({n} of {seeds} seeds)" for text, n in count.items()))

    @cached_property
    def focus(self) -> tuple[str, ...]:
        """The groups whose mean accuracy is the headline; none where the test set of a seed has none of them.

        These are the named groups; else the groups that `noise` and `imbalance` touch; else the quarter of the groups
        with the largest estimated τ, where every seed learned something. The figures of the methods do not matter for
        it.
        """
        focus = self.config.focus or self._touched() or self._most_regularized()
        return focus if self._tested(focus) else ()

    def _touched(self) -> tuple[str, ...]:
        first = self.outcomes[0]
        if self.config.groups is not None:
            return ()
        touched = affected_classes(self.config.noise, self.config.imbalance, first.classes)
        return touched if len(touched) < len(first.groups) else ()

    def _most_regularized(self) -> tuple[str, ...]:
        first = self.outcomes[0]
        stats = [GroupStats.from_dict(o.stats) for o in self.outcomes if o.stats is not None]
        if any(o.findings and not o.findings["learned"] for o in self.outcomes):
            return ()  # these strengths tell nothing of the noise
        if not stats or len(first.groups) < 2 or self.config.clusters is not None:  # which differ from seed to seed
            return ()
        tau = torch.stack([s.strengths for s in stats]).mean(0)
        most = tau.argsort(descending=True, stable=True)[: max(1, len(tau) // 4)]
        return tuple(first.groups[g] for g in most.sort().values.tolist())

    def _tested(self, names: tuple[str, ...]) -> bool:
        rows = [
            [s.n for name, s in m.groups.items() if name in names] for o in self.outcomes for m in o.metrics.values()
        ]
        return all(sum(n) for n in rows)

    @cached_property
    def values(self) -> dict[str, dict[str, list[float]]]:
        """Accuracy, or error, by method and part: one value a seed, or none where a test set lacks the part.

        The parts are `overall`, `focus`, `rest`, `worst_group`, and for classes those of `Metrics.means`.
        """
        rest = tuple(g for g in self.outcomes[0].groups if g not in self.focus) if self.focus else ()
        rest = rest if self._tested(rest) else ()
        values: dict[str, dict[str, list[float]]] = {}
        for name in self.methods:
            metrics = [o.metrics[name] for o in self.outcomes]
            means = [m.means(groups_are_classes=self._groups_are_classes) for m in metrics]
            worst = [m.worst_group.value for m in metrics if m.worst_group is not None]
            values[name] = {
                "overall": [m.value for m in metrics],
                "focus": [m.mean_of_groups(self.focus) for m in metrics] if self.focus else [],
                "rest": [m.mean_of_groups(rest) for m in metrics] if rest else [],
                **{part: [of_seed[part] for of_seed in means] for part in means[0]},
                "worst_group": worst if len(worst) == len(metrics) else [],
            }
        return values

    @property
    def _groups_are_classes(self) -> bool:
        return self.config.groups is None and self.outcomes[0].groups == self.outcomes[0].classes

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs of methods whose difference is shown, the later named minus the earlier.

        Returns
        -------
        list of (str, str)
            All pairs; of more than 6 methods, each with the first.
        """
        names = self.methods  # the last against the first comes first: the headline
        first = 1 if len(names) > MOST_PAIRED else len(names)
        return [(b, a) for i, b in reversed(list(enumerate(names))) for a in names[: min(i, first)]]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `compare.json`.

        Returns
        -------
        dict
            Plain values: the seeds, the focus, mean and interval by method and part, paired differences, failures.
        """
        methods: dict[str, Any] = {}
        for name, parts in self.values.items():
            methods[name] = {part: mean_interval(v) if v else None for part, v in parts.items()}
            seconds = [o.seconds[name] for o in self.outcomes]
            methods[name]["seconds"] = sum(seconds) / len(seconds)
        differences = {
            f"{b}-{a}": {
                part: _difference(self.values[b][part], self.values[a][part])
                for part in self.values[b]
                if part != UNPAIRED
            }
            for b, a in self.pairs()
        }
        return {
            "source": self.config.source,
            "seeds": [o.seed for o in self.outcomes],
            "focus": list(self.focus),
            "metric": self.metric.key,
            "methods": methods,
            "paired": differences,
            "failed": self.failed,
            "environment": environment(threads=1),  # of each seed
        }


def _difference(values: list[float], base: list[float]) -> dict[str, float | None] | None:
    if not values:
        return None
    difference = paired(values, base)
    return {key: difference[key] for key in ("mean", "low", "high")}
