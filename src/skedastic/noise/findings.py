"""What an estimate may be said to have found: a figure where data stands behind it, a reason where none does.

The estimate itself, `GroupStats`, has numbers for every group, since strengths are made of them. Where a group has no
rows such a number is a prior, and where the models learned nothing it is their failure. Neither is shown.

Three figures are: how many predictions disagree with the labels, which is a count; how many labels are wrong; and how
uncertain labels are where these examples lie. The latter two are estimates, shown where data stands behind them.
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
from skedastic.noise.by_target import learned, like_another, noise_stats, only, surer_than_right
from skedastic.noise.group_noise import group_noise
from skedastic.noise.held_out import HeldOut
from skedastic.noise.learned import Learned
from skedastic.noise.wrong_labels import SLACK, UNCERTAIN, UNLIKE_TEST, shown_rates, told_by_test
from skedastic.settings.config import Estimation
from skedastic.training.config import Training

NO_ROWS = "no rows"
NOT_LEARNED = "not learned"
NONE_COUNTED = "no prediction counts"
NOT_ESTIMATED = "not estimated"
LEAST_TOLD = 10  # rows of a group or class, below which that it was not learned tells nothing of its labels
FEW_ROWS = 300
MANY_WRONG = 0.1  # of a group's labels at the least, which may be called wrong though T explains labels no better
COUNTED = ("count", "density", "errors", "counted")
ENDS = {"": "mean", "_low": "low", "_high": "high"}  # of the keys of an interval, and its fields


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """The figures of an estimate that data stands behind.

    Parameters
    ----------
    stats : GroupStats
        Both quantities of each of G groups. Folds in which nothing was learned are left out. A number that is withheld
        stands there too.
    disagreement : tuple of (Interval or None)
        The share of labels that held-out predictions, or the votes of annotators, disagree with, [G]; where targets are
        numbers the variance. None where it is withheld.
    withheld : tuple of str
        Why, [G]; empty where it is shown.
    wrong : tuple of (Interval or None)
        The share of wrong labels of each group, [G]; None where it is withheld.
    wrong_withheld : tuple of str
        Why, [G]; empty where it is shown, and where targets are numbers.
    uncertain : tuple of (Interval or None)
        How uncertain labels are where the examples of each group lie, [G]; None where it is withheld.
    uncertain_withheld : tuple of str
        Why, [G]; empty where it is shown, and where targets are numbers.
    learned : bool
        Whether anything was learned. If not, all is withheld, and there are no label issues.
    notes : tuple of str
        Notes for the user: what was not learned, and the way out.
    """

    stats: GroupStats
    disagreement: tuple[Interval | None, ...]
    withheld: tuple[str, ...]
    wrong: tuple[Interval | None, ...]
    wrong_withheld: tuple[str, ...]
    uncertain: tuple[Interval | None, ...]
    uncertain_withheld: tuple[str, ...]
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
        withheld = _uncounted(stats)
        return _of_no_labels(stats, _where(_intervals(stats, "uncertainty"), withheld), withheld, NOT_ESTIMATED)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the G groups."""
        return self.stats.names

    def most_issues(self, *, clear: bool) -> Tensor:
        """Return the largest share of each group's labels that may be called wrong by estimate, [G] float64 in [0, 1].

        The lower end of its interval, also where that is too wide to be shown: so many are wrong at the least. None
        where nothing is known. Where it is not clear that labels go wrong, only a lower end above 10 % that is shown.

        Parameters
        ----------
        clear : bool
            Whether it explains labels not fitted to that some go wrong (`Transitions.clear`).
        """
        low = torch.zeros(len(self.names)) if self.stats.wrong_low is None else self.stats.wrong_low
        ends = zip(self.wrong, self.wrong_withheld, (low - SLACK).clamp_min(0).tolist(), strict=True)
        shares = [
            end if (clear and why == UNCERTAIN) or (shown and (clear or end > MANY_WRONG)) else 0.0
            for shown, why, end in ends
        ]
        return torch.tensor(shares, dtype=torch.float64)

    def shown(self, g: int, metric: Metric) -> Interval | None:
        """Return `disagreement` as it is shown: a rate as it is, the deviation of a variance."""
        found = self.disagreement[g]
        if found is None:
            return None
        mean, low, high = (metric.of_noise(value) for value in (found.mean, found.low, found.high))
        return Interval(mean=mean, low=low, high=high)

    @property
    def largest(self) -> int | None:
        """The group with the most wrong labels, of those that surely have some; else the one disagreed with most.

        None where no group has a figure and enough rows for a headline.
        """
        some_wrong = [figure if figure is not None and figure.low > 0 else None for figure in self.wrong]
        for figures in (some_wrong, self.disagreement):
            means = {g: f.mean for g, f in enumerate(figures) if f is not None and self.stats.counted[g] >= LEAST_ROWS}
            if means:
                return max(means, key=means.__getitem__)
        return None

    @property
    def few(self) -> tuple[str, ...]:
        """The groups whose disagreement is shown, of too few rows for a headline."""
        counted = self.stats.counted.tolist()
        return tuple(
            name
            for name, reason, n in zip(self.names, self.withheld, counted, strict=True)
            if not reason and n < LEAST_ROWS
        )

    @property
    def unranked(self) -> tuple[str, ...]:
        """The groups that were not learned, of enough rows for that to tell: their labels are not ranked."""
        rows = zip(self.names, self.withheld, self.stats.count.tolist(), strict=True)
        return tuple(name for name, why, n in rows if why == NOT_LEARNED and n >= LEAST_TOLD)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `group_stats.json` holds them: null for all that is withheld, and why."""
        values = {name: column for name, column in self.stats.to_dict().items() if column is not None}
        for key, (figures, reasons) in self._figures().items():
            for suffix, end in ENDS.items():
                values[key + suffix] = [None if f is None else getattr(f, end) for f in figures]
            values[f"{key}_withheld"] = [why or None for why in reasons]
        return values | {"learned": self.learned}

    def _figures(self) -> dict[str, tuple[tuple[Interval | None, ...], tuple[str, ...]]]:
        """Return figures and reasons by the key of the plain values."""
        disagreement = {"disagreement": (self.disagreement, self.withheld)}
        if self.stats.measure == "variance":
            return disagreement | {"uncertainty": (self.disagreement, self.withheld)}
        return disagreement | {
            "wrong": (self.wrong, self.wrong_withheld),
            "uncertainty": (self.uncertain, self.uncertain_withheld),
        }

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
        if not isinstance(values, Mapping) or "disagreement" not in values:
            return cls.without_predictions(GroupStats.from_dict(values))
        stats = GroupStats.from_dict({**used, **{name: values.get(name) for name in COUNTED}})
        figures = {key: _read(values, key, len(stats.names)) for key in ("disagreement", "wrong", "uncertainty")}
        if stats.measure == "variance":
            figures["uncertainty"] = figures["wrong"]  # the deviation is their disagreement
        return cls(
            stats=stats,
            disagreement=figures["disagreement"][0],
            withheld=figures["disagreement"][1],
            wrong=figures["wrong"][0],
            wrong_withheld=figures["wrong"][1],
            uncertain=figures["uncertainty"][0],
            uncertain_withheld=figures["uncertainty"][1],
            learned=bool(values["learned"]),
        )


def _read(values: Mapping[str, Any], key: str, groups: int) -> tuple[tuple[Interval | None, ...], tuple[str, ...]]:
    """Return figures and reasons, [G] each, from plain values; None and empty where they have none of that key."""
    columns = [values.get(key + suffix, [None] * groups) for suffix in ENDS]
    ends = zip(*columns, strict=True)
    figures = tuple(None if mean is None else Interval(mean=mean, low=low, high=high) for mean, low, high in ends)
    return figures, tuple(why or "" for why in values.get(f"{key}_withheld", [None] * groups))


def examine(
    dataset: Dataset, held_out: HeldOut, how: Estimation, stats: GroupStats, training: Training | None
) -> tuple[Findings, Tensor, HeldOut]:
    """Return what held-out predictions found, the rows whose targets they can judge, [n] bool, and those that count.

    The predictions of a fold in which nothing was learned don't count, where something was learned at all.

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
    training : Training or None
        The training configuration of the run, for the note on what to do; None where the predictions are the user's.
    """
    known = learned(dataset, held_out)
    if not (known.whole and known.folds.any()):
        note = _nothing_learned(dataset, _ways(dataset, known.collapsed, how, training))
        withheld = tuple(why if why == NO_ROWS else NOT_LEARNED for why in _uncounted(stats))
        found = _of_no_labels(stats, (None,) * len(withheld), withheld, NOT_LEARNED)
        found = replace(found, learned=False, notes=(note,))
        return found, torch.zeros(len(dataset), dtype=torch.bool), held_out
    kept = torch.from_numpy(known.folds)
    usable = held_out.present & kept[held_out.fold.clamp_min(0)]
    if not kept.all():
        held_out = only(dataset, held_out, usable, kept)
        stats = noise_stats(dataset, held_out, how)
    withheld = tuple(
        why or ("" if told else NOT_LEARNED) for why, told in zip(_uncounted(stats), known.groups, strict=True)
    )
    of_classes = dataset.groups == dataset.classes and torch.equal(dataset.group, dataset.y)
    alike, surer = like_another(dataset, held_out), surer_than_right(dataset, held_out)
    figures = _found(stats, withheld, of_classes=of_classes, alike=alike, surer=surer)
    found = replace(figures, notes=tuple(_folds_left_out(known, how)))
    return found, usable & _told(dataset, known), held_out


def _found(stats: GroupStats, withheld: tuple[str, ...], **known: Any) -> Findings:
    """Return the figures that held-out predictions found, but for the groups in which nothing is known.

    withheld: why nothing is, [G]; empty where something is. known: what `shown_rates` goes by beside the estimate.
    """
    if stats.errors is None:
        return _of_no_labels(stats, _where(_intervals(stats, "uncertainty"), withheld), withheld, "")
    rates = group_noise(stats.errors.numpy(), stats.counted.numpy(), shrink=False)
    ends = zip(*(end.tolist() for end in rates), strict=True)
    disagreement = _where([Interval(mean=m, low=a, high=b) for m, a, b in ends], withheld)
    wrong, why_wrong = shown_rates(stats, "wrong", **known)
    uncertain, why_uncertain = shown_rates(stats, "uncertainty", **known)
    return Findings(
        stats=stats,
        disagreement=disagreement,
        withheld=withheld,
        wrong=_where(wrong, withheld),
        wrong_withheld=_first(withheld, why_wrong),
        uncertain=_where(uncertain, withheld),
        uncertain_withheld=_first(withheld, why_uncertain),
    )


def _of_no_labels(
    stats: GroupStats, disagreement: tuple[Interval | None, ...], withheld: tuple[str, ...], reason: str
) -> Findings:
    """Return the findings where nothing is said of labels, for a reason; numbers have none."""
    nothing = (None,) * len(stats.names)
    reasons = (reason if stats.measure == "rate" else "",) * len(stats.names)
    return Findings(
        stats=stats,
        disagreement=disagreement,
        withheld=withheld,
        wrong=nothing,
        wrong_withheld=_first(withheld, reasons) if stats.measure == "rate" else reasons,
        uncertain=nothing,
        uncertain_withheld=_first(withheld, reasons) if stats.measure == "rate" else reasons,
    )


def _intervals(stats: GroupStats, quantity: str) -> list[Interval]:
    columns = (getattr(stats, quantity + suffix).tolist() for suffix in ENDS)
    return [Interval(mean=m, low=a, high=b) for m, a, b in zip(*columns, strict=True)]


def _where(figures: Sequence[Interval | None], withheld: Sequence[str]) -> tuple[Interval | None, ...]:
    """Return the figures of the groups of which nothing is withheld."""
    return tuple(None if why else figure for figure, why in zip(figures, withheld, strict=True))


def _first(reasons: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(why or other for why, other in zip(reasons, others, strict=True))


def _uncounted(stats: GroupStats) -> tuple[str, ...]:
    """Return why a group can have no figure, [G]: it has no rows, or none of them counts."""
    return tuple(
        NO_ROWS if not rows else "" if counted else NONE_COUNTED
        for rows, counted in zip(stats.count.tolist(), stats.counted.tolist(), strict=True)
    )


def _told(dataset: Dataset, known: Learned) -> Tensor:
    """Return the rows whose group and class were learned, or have too few rows for it to be told, [n] bool."""
    told = (torch.from_numpy(known.groups) | (dataset.group_counts() < LEAST_TOLD))[dataset.group]
    if known.classes is None:
        return told
    few = torch.bincount(dataset.y, minlength=len(known.classes)) < LEAST_TOLD
    return told & (torch.from_numpy(known.classes) | few)[dataset.y]


def _ways(dataset: Dataset, collapsed: bool, how: Estimation, training: Training | None) -> list[str]:
    """Return what to do where nothing was learned; arguments as in `examine`."""
    more_rows = [f"get more rows than {len(dataset):,}"] * (len(dataset) < FEW_ROWS)
    if training is None:
        return ["see that each row of pred_probs is of the same row of the source", *more_rows, "leave pred_probs out"]
    if not how.of_networks:
        return [f"take another estimate.by than {how.by}", *more_rows, "take other features"]
    epochs, most = how.epochs_of(training), training.epochs
    more = f"; estimate.epochs=1, the whole, gives them {most}" * (most > epochs)
    ways = [f"train longer (the estimating models had {epochs} epoch{'s' * (epochs != 1)}{more})"]
    if collapsed:
        ways.append("take another learning rate, since nearly every row is put into one class")
    return [*ways, *more_rows, "take another model or other features"]


def _nothing_learned(dataset: Dataset, ways: Sequence[str]) -> str:
    """Return a note that says that nothing was learned, and what to do."""
    simple = "the mean" if not dataset.classes else "always the most frequent label"
    return (
        f"the held-out predictions are no better than {simple}: nothing was learned, so no noise and no suspect "
        f"{dataset.target.noun} are shown; {', '.join(ways[:-1])}, or {ways[-1]}"
    )


def _folds_left_out(known: Learned, how: Estimation) -> list[str]:
    left = [str(k + 1) for k, kept in enumerate(known.folds.tolist()) if not kept]
    if not left:
        return []
    which = f"fold{'s' * (len(left) > 1)} {', '.join(left)} of {len(known.folds)}"
    way = "train longer" if how.of_networks else f"take another estimate.by than {how.by}"
    return [f"the estimating model of {which} learned nothing: its rows get no figure and no suspects; {way}"]


def held_against_test(findings: Findings, train: Dataset, test: Dataset, predicted: Sequence[Tensor]) -> Findings:
    """Return the findings; without shares of wrong labels where test labels speak against them, and a note says so.

    Parameters
    ----------
    findings : Findings
        Of an estimate by held-out predictions.
    train, test : Dataset
        The examples; test labels were not made as those of the training rows.
    predicted : sequence of Tensor
        The classes that estimating models predict of the test rows, [m] each; of none nothing is told.
    """
    if not predicted or findings.stats.measure != "rate":
        return findings
    right = torch.stack([(classes == test.y).double() for classes in predicted]).mean(0)
    units = [_units(part) for part in (train, test)]
    told = [
        (1 - shown.mean, units[0][g], float(right[test.group == g].mean()), units[1][g])
        for g, shown in enumerate(findings.disagreement)
        if shown is not None and units[1][g]
    ]
    if (easier := told_by_test(told)) is None:
        return findings
    note = (
        f"training labels are easier to predict than test labels, by {100 * easier:.0f} points (the mean over groups): "
        "they are wrong by a rule that models learn, training rows repeat one another, or the test rows are of another "
        "kind; how many labels are wrong is not known"
    )
    withheld = tuple(why or UNLIKE_TEST for why in findings.withheld)
    nothing: tuple[Interval | None, ...] = (None,) * len(withheld)
    return replace(
        findings,
        wrong=nothing,
        wrong_withheld=withheld,
        uncertain=nothing,
        uncertain_withheld=withheld,
        notes=(*findings.notes, note),
    )


def _units(dataset: Dataset) -> list[int]:
    """Return how many units, or rows where each is its own, a group has, [G]."""
    if dataset.unit is None:
        return dataset.group_counts().tolist()
    return [len(torch.unique(dataset.unit[dataset.group == g])) for g in range(len(dataset.groups))]


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
