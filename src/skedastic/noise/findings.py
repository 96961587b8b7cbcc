"""What an estimate may be said to have found: a figure where data stands behind it, a reason where none does.

The estimate itself, `GroupStats`, has a number for every group, since strengths are made of it. Where a group has no
rows that number is a prior, and where the models learned nothing it is their failure. Neither is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.data import Dataset
from skedastic.evaluation.intervals import LEAST_ROWS, Interval
from skedastic.evaluation.metric import Metric
from skedastic.noise.by_target import learned, noise_stats, wrong_labels
from skedastic.noise.held_out import HeldOut
from skedastic.noise.learned import Learned
from skedastic.settings.config import Estimation
from skedastic.training import TrainingConfig

NO_ROWS = "no rows"
NOT_LEARNED = "not learned"
NONE_COUNTED = "no prediction counts"
NOT_ESTIMATED = "not estimated"
LEAST_TOLD = 10  # rows of a group or class, below which that it was not learned tells nothing of its labels
FEW_ROWS = 300
NOISE = ("noise", "noise_low", "noise_high")
WRONG = {"wrong_labels": "mean", "wrong_labels_low": "low", "wrong_labels_high": "high"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """The figures of an estimate that data stands behind.

    Parameters
    ----------
    stats : GroupStats
        The disagreement of held-out predictions, or of annotators, with the targets of each of G groups. Folds in
        which nothing was learned are left out. A number that is withheld stands there too.
    withheld : tuple of str
        Why the disagreement of a group is not shown, [G]; empty where it is.
    wrong : tuple of (Interval or None)
        The share of wrong labels of each group, [G], with its interval; None where it is withheld.
    wrong_withheld : tuple of str
        Why, [G]; empty where it is shown, and where targets are numbers.
    learned : bool
        Whether anything was learned. If not, all is withheld, and there are no label issues.
    notes : tuple of str
        Notes for the user: what was not learned, and the way out.
    """

    stats: GroupStats
    withheld: tuple[str, ...]
    wrong: tuple[Interval | None, ...]
    wrong_withheld: tuple[str, ...]
    learned: bool = True
    notes: tuple[str, ...] = ()

    @classmethod
    def without_predictions(cls, stats: GroupStats) -> Findings:
        """Return the findings where no predictions can be judged: a group of which nothing is counted has none.

        Parameters
        ----------
        stats : GroupStats
            The disagreement of annotators, or an estimate whose predictions were not kept.
        """
        return cls(
            stats=stats,
            withheld=tuple(_uncounted(stats)),
            wrong=(None,) * len(stats.names),
            wrong_withheld=_of_labels(stats, [NOT_ESTIMATED] * len(stats.names)),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the G groups."""
        return self.stats.names

    def disagreement(self, g: int) -> Interval | None:
        """Return the disagreement of group g with its interval, as in `GroupStats`; None where it is withheld."""
        if self.withheld[g]:
            return None
        mean, low, high = (float(getattr(self.stats, name)[g]) for name in NOISE)
        return Interval(mean=mean, low=low, high=high)

    def shown(self, g: int, metric: Metric) -> Interval | None:
        """Return `disagreement` as it is shown: a rate as it is, the deviation of a variance."""
        found = self.disagreement(g)
        if found is None:
            return None
        mean, low, high = (metric.of_noise(value) for value in (found.mean, found.low, found.high))
        return Interval(mean=mean, low=low, high=high)

    @property
    def largest(self) -> int | None:
        """The group with the largest disagreement of those that may be a headline; None where there is none."""
        enough = [g for g in range(len(self.names)) if not self.withheld[g] and self.stats.counted[g] >= LEAST_ROWS]
        return max(enough, key=lambda g: float(self.stats.noise[g]), default=None)

    @property
    def few(self) -> tuple[str, ...]:
        """The groups whose disagreement is shown, of too few rows for a headline."""
        counted = self.stats.counted.tolist()
        return tuple(
            name
            for name, reason, n in zip(self.names, self.withheld, counted, strict=True)
            if not reason and n < LEAST_ROWS
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `group_stats.json` holds them: null for all that is withheld, and why."""
        values: dict[str, Any] = self.stats.to_dict()
        for name in NOISE:
            values[name] = [None if why else v for v, why in zip(values[name], self.withheld, strict=True)]
        values |= {"learned": self.learned, "withheld": [why or None for why in self.withheld]}
        if self.stats.measure == "rate":
            for key, end in WRONG.items():
                values[key] = [None if w is None else getattr(w, end) for w in self.wrong]
            values["wrong_labels_withheld"] = [why or None for why in self.wrong_withheld]
        return values

    @classmethod
    def from_dict(cls, values: Any, used: Mapping[str, Any]) -> Findings:
        """Return what `to_dict` described; notes are kept with those of the run.

        Parameters
        ----------
        values : mapping
            The plain values.
        used : mapping
            The estimate that the strengths were made of, as plain values, which stand for those that are withheld.

        Raises
        ------
        UserError, LookupError, TypeError
            They are damaged.
        """
        if not isinstance(values, Mapping) or "withheld" not in values:
            return cls.without_predictions(GroupStats.from_dict(values))
        rest = dict(values)
        told, withheld = bool(rest.pop("learned")), tuple(why or "" for why in rest.pop("withheld"))
        columns = {end: rest.pop(key, [None] * len(withheld)) for key, end in WRONG.items()}
        reasons = tuple(why or "" for why in rest.pop("wrong_labels_withheld", [None] * len(withheld)))
        for name in NOISE:
            rest[name] = [b if a is None else a for a, b in zip(rest[name], used[name], strict=True)]
        wrong = tuple(
            None if mean is None else Interval(mean=mean, low=low, high=high)
            for mean, low, high in zip(*(columns[end] for end in ("mean", "low", "high")), strict=True)
        )
        stats = GroupStats.from_dict(rest)
        return cls(stats=stats, withheld=withheld, wrong=wrong, wrong_withheld=reasons, learned=told)


def examine(
    dataset: Dataset, held_out: HeldOut, how: Estimation, stats: GroupStats, training: TrainingConfig
) -> tuple[Findings, Tensor]:
    """Return what held-out predictions found, and the rows whose targets they can judge, [n] bool.

    Parameters
    ----------
    dataset : Dataset
        n examples.
    held_out : HeldOut
        Their held-out predictions.
    how : Estimation
        How the noise was estimated.
    stats : GroupStats
        The estimate.
    training : TrainingConfig
        The training configuration of the run; for the note on what to do.
    """
    known = learned(dataset, held_out)
    if not (known.whole and known.folds.any()):
        note = _nothing_learned(dataset, known.collapsed, how.epochs_of(training), training.epochs)
        found = Findings(
            stats=stats,
            withheld=tuple(why if why == NO_ROWS else NOT_LEARNED for why in _uncounted(stats)),
            wrong=(None,) * len(stats.names),
            wrong_withheld=_of_labels(stats, [NOT_LEARNED] * len(stats.names)),
            learned=False,
            notes=(note,),
        )
        return found, torch.zeros(len(dataset), dtype=torch.bool)
    kept = torch.from_numpy(known.folds)
    usable = held_out.present & kept[held_out.fold.clamp_min(0)]
    if not kept.all():
        held_out = held_out.only(usable, kept)
        stats = noise_stats(dataset, held_out, how)
    withheld = tuple(
        why or ("" if told else NOT_LEARNED) for why, told in zip(_uncounted(stats), known.groups, strict=True)
    )
    wrong, reasons = wrong_labels(dataset, held_out)
    found = Findings(
        stats=stats,
        withheld=withheld,
        wrong=tuple(None if why else figure for figure, why in zip(wrong, withheld, strict=True)),
        wrong_withheld=_of_labels(stats, [why or reason for why, reason in zip(withheld, reasons, strict=True)]),
        notes=tuple(_folds_left_out(known)),
    )
    return found, usable & _told(dataset, known)


def _of_labels(stats: GroupStats, reasons: Sequence[str]) -> tuple[str, ...]:
    """Return why no share of wrong labels is given, [G]; empty where targets are numbers, which have none."""
    return tuple(reasons) if stats.measure == "rate" else ("",) * len(reasons)


def _uncounted(stats: GroupStats) -> Sequence[str]:
    """Return why a group can have no figure, [G]: it has no rows, or none of them counts."""
    return [
        NO_ROWS if not rows else "" if counted else NONE_COUNTED
        for rows, counted in zip(stats.count.tolist(), stats.counted.tolist(), strict=True)
    ]


def _told(dataset: Dataset, known: Learned) -> Tensor:
    """Return the rows whose group and class were learned, or have too few rows for it to be told, [n] bool."""
    told = (torch.from_numpy(known.groups) | (dataset.group_counts() < LEAST_TOLD))[dataset.group]
    if known.classes is None:
        return told
    few = torch.bincount(dataset.y, minlength=len(known.classes)) < LEAST_TOLD
    return told & (torch.from_numpy(known.classes) | few)[dataset.y]


def _nothing_learned(dataset: Dataset, collapsed: bool, epochs: int, most: int) -> str:
    """Return a note that says that nothing was learned, and what to do."""
    simple = "the mean" if not dataset.classes else "always the most frequent label"
    more = f"; estimate.epochs=1 gives them all {most}" * (most > epochs)
    ways = [f"train longer (the estimating models had {epochs} epoch{'s' * (epochs != 1)}{more})"]
    if collapsed:
        ways.append("take another learning rate, since nearly every row is put into one class")
    if len(dataset) < FEW_ROWS:
        ways.append(f"get more rows than {len(dataset):,}")
    ways.append("take another model or other features")
    return (
        f"the held-out predictions are no better than {simple}: nothing was learned, so no noise and no suspect "
        f"{dataset.target.noun} are shown; {', '.join(ways[:-1])}, or {ways[-1]}"
    )


def _folds_left_out(known: Learned) -> list[str]:
    left = [str(k + 1) for k, kept in enumerate(known.folds.tolist()) if not kept]
    if not left:
        return []
    which = f"fold{'s' * (len(left) > 1)} {', '.join(left)} of {len(known.folds)}"
    return [f"the estimating model of {which} learned nothing: its rows get no figure and no suspects; train longer"]


def with_strengths(findings: Findings, method: str) -> Findings:
    """Return the findings of a run whose strengths come from the estimate: where nothing was learned, a note says so.

    Parameters
    ----------
    findings : Findings
        Of the estimate.
    method : str
        The name of the method.
    """
    if findings.learned:
        return findings
    note = (
        f"the strengths of {method} still come from these predictions: they tell the model's errors and the groups' "
        "sizes, and not the noise; --method unif makes all strengths equal"
    )
    return replace(findings, notes=(*findings.notes, note))
