"""The metrics of a test set: overall, by group, in the worst group, by the groups' size in training.

Figures of groups that the test set lacks are None, never NaN: all of them can be written as JSON.
Thresholds of many/medium/few: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from skedastic.errors import UserError, unknown
from skedastic.evaluation.intervals import LEAST_ROWS
from skedastic.evaluation.metric import ACCURACY, ERROR, Metric

ASKED = {
    "macro_f1": "macro F1",
    "auc": "area under the ROC curve",
    "accuracy_at_prior": "accuracy at the prior",
}  # what `--optimize` may ask for beside accuracies
COST = "cost"
MANY_ABOVE = 100  # training examples
FEW_BELOW = 20


@dataclass(frozen=True, kw_only=True)
class Score(ABC):
    """The metric of some test rows, with its 95 % interval.

    Parameters
    ----------
    n : int
        The number of rows.
    low, high : float or None
        The ends of the interval of `value`; None where there are too few rows.
    """

    n: int
    low: float | None
    high: float | None

    @property
    @abstractmethod
    def value(self) -> float | None:
        """The metric; None where there are no rows."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""


@dataclass(frozen=True, kw_only=True)
class Accuracy(Score):
    """The share of rows whose label is predicted, in [0, 1]."""

    accuracy: float | None

    @property
    def value(self) -> float | None:
        """The accuracy."""
        return self.accuracy

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"n": self.n, "accuracy": self.accuracy, "low": self.low, "high": self.high}


@dataclass(frozen=True, kw_only=True)
class Error(Score):
    """The errors of predicted numbers, in the target's units.

    Parameters
    ----------
    rmse : float or None
        Root mean squared error, whose interval is `low`, `high`.
    mae, mae_low, mae_high : float or None
        Mean absolute error and its interval.
    """

    rmse: float | None
    mae: float | None
    mae_low: float | None
    mae_high: float | None

    @property
    def value(self) -> float | None:
        """The root mean squared error."""
        return self.rmse

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        root = {"n": self.n, "rmse": self.rmse, "low": self.low, "high": self.high}
        return root | {"mae": self.mae, "mae_low": self.mae_low, "mae_high": self.mae_high}


@dataclass(frozen=True, kw_only=True)
class BySize:
    """The mean of the metric over the groups of some size in training.

    Parameters
    ----------
    many, medium, few : float or None
        Over the groups with more than 100, 20 to 100, and fewer than 20 training examples; None where the test set has
        no such group.
    """

    many: float | None
    medium: float | None
    few: float | None

    @classmethod
    def of(cls, scores: Iterable[Score], train: NDArray[np.int64]) -> BySize:
        """Return the means for the scores of G groups.

        Parameters
        ----------
        scores : iterable of Score
            The score of each group, [G].
        train : ndarray
            The number of training examples of each group, [G].
        """
        scores = list(scores)
        sizes = (train > MANY_ABOVE, (train >= FEW_BELOW) & (train <= MANY_ABOVE), train < FEW_BELOW)
        many, medium, few = (_mean(s.value for s, member in zip(scores, size, strict=True) if member) for size in sizes)
        return cls(many=many, medium=medium, few=few)


@dataclass(frozen=True, kw_only=True)
class WorstGroup:
    """The group with the worst metric of those with 30 test rows or more, the first of equals.

    Of fewer rows the worst is often only the unluckiest (`intervals.LEAST_ROWS`).

    Parameters
    ----------
    name : str
        The name of the group.
    value : float
        Its metric.
    """

    name: str
    value: float

    @classmethod
    def of(cls, groups: Mapping[str, Score], metric: Metric) -> WorstGroup | None:
        """Return the worst group; None where none has enough rows, or one alone of several that were tested.

        Parameters
        ----------
        groups : mapping of str to Score
            The score of each group by name.
        metric : Metric
            What the scores are.
        """
        enough = [(name, s.value) for name, s in groups.items() if s.n >= LEAST_ROWS and s.value is not None]
        if len(enough) == 1 < sum(s.n > 0 for s in groups.values()):
            return None
        sign = 1 if metric.higher_is_better else -1
        worst = min(enough, key=lambda named: sign * named[1], default=None)
        return None if worst is None else cls(name=worst[0], value=worst[1])


S = TypeVar("S", bound=Score)


@dataclass(frozen=True, kw_only=True)
class Metrics(ABC, Generic[S]):
    """The metrics of a test set.

    Parameters
    ----------
    overall : S
        Of all rows.
    worst_group : WorstGroup or None
        Of the groups with at least 30 test rows; None where there is none.
    groups : mapping of str to S
        By name, in order; a group that the test set lacks has n = 0.
    by_size : BySize
        By the groups' size in training.
    by_truth : bool
        Whether predictions are compared with clean targets, and not with those that the rows were given.
    """

    metric: ClassVar[Metric]

    overall: S
    worst_group: WorstGroup | None
    groups: Mapping[str, S]
    by_size: BySize
    by_truth: bool = False

    @property
    def value(self) -> float:
        """The metric of all rows, of which there is at least one."""
        assert self.overall.value is not None
        return self.overall.value

    def mean_of_groups(self, names: Sequence[str]) -> float:
        """Return the mean of the metric over some groups; those that the test set lacks are left out.

        Parameters
        ----------
        names : sequence of str
            The names of the groups.

        Raises
        ------
        UserError
            A name is no group, or none of them is in the test set.
        """
        for name in names:
            if name not in self.groups:
                raise unknown("group", name, self.groups)
        mean = _mean(self.groups[name].value for name in names)
        if mean is None:
            rule = "the test set must have an example of one of these groups"
            raise UserError(rule, setting="mean_of_groups: names", value=list(names))
        return mean

    @abstractmethod
    def means(self, *, groups_are_classes: bool) -> dict[str, float]:
        """Return the means of accuracies by name; none for numbers.

        Parameters
        ----------
        groups_are_classes : bool
            Whether the groups are the classes, so that the mean over groups is balanced accuracy and is left out.

        Returns
        -------
        dict of str to float
            `balanced_accuracy`, the mean over the classes of the test set, and `mean_of_groups`, the mean over its
            groups, by which `auto` chooses; and what `--optimize` names, a key of `ASKED`.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values, as `metrics.json` holds them."""

    @classmethod
    @abstractmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Return the metrics that `to_dict` described.

        Parameters
        ----------
        state : mapping
            The plain values.
        """

    def _by_group(self) -> dict[str, Any]:
        """Return what both kinds have below `overall`, as plain values."""
        worst = self.worst_group
        return {
            "worst_group": worst and {"name": worst.name, self.metric.key: worst.value},
            "groups": [{"name": name, **score.to_dict()} for name, score in self.groups.items()],
            **asdict(self.by_size),
            "by_truth": self.by_truth,
        }

    @classmethod
    def _read_by_group(cls, state: Mapping[str, Any], score: type[S]) -> dict[str, Any]:
        """Return the fields that `_by_group` described."""
        worst = state["worst_group"]
        rows = [dict(row) for row in state["groups"]]
        return {
            "worst_group": worst and WorstGroup(name=worst["name"], value=worst[cls.metric.key]),
            "groups": {row.pop("name"): score(**row) for row in rows},
            "by_size": BySize(many=state["many"], medium=state["medium"], few=state["few"]),
            "by_truth": bool(state.get("by_truth", False)),
        }


@dataclass(frozen=True, kw_only=True)
class ClassificationMetrics(Metrics[Accuracy]):
    """The metrics of predicted classes, all rates in [0, 1], intervals at 95 % (Wilson).

    Parameters
    ----------
    correct : int
        The number of right predictions.
    balanced_accuracy : float
        The mean of the accuracies of the classes in the test set.
    ece : float
        Expected calibration error, 15 equal bins of confidence.
    asked : mapping of str to float
        What `--optimize` names, where that is another figure: a key of `ASKED`, or "cost" for the mean cost of a row.
    """

    metric = ACCURACY

    correct: int
    balanced_accuracy: float
    ece: float
    asked: Mapping[str, float] = field(default_factory=dict)

    def means(self, *, groups_are_classes: bool) -> dict[str, float]:
        """Return balanced accuracy, and the mean over groups where these are not the classes."""
        of_groups = {} if groups_are_classes else {"mean_of_groups": self.mean_of_groups(tuple(self.groups))}
        asked = {part: value for part, value in self.asked.items() if part in ASKED}
        return {"balanced_accuracy": self.balanced_accuracy, **of_groups, **asked}

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values, as `metrics.json` holds them."""
        return {
            "overall": {**self.overall.to_dict(), "correct": self.correct},
            "balanced_accuracy": self.balanced_accuracy,
            **({"asked": dict(self.asked)} if self.asked else {}),
            **self._by_group(),
            "ece": self.ece,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Return the metrics that `to_dict` described."""
        overall = dict(state["overall"])
        correct = overall.pop("correct")
        return cls(
            overall=Accuracy(**overall),
            correct=correct,
            balanced_accuracy=state["balanced_accuracy"],
            asked=state.get("asked", {}),
            ece=state["ece"],
            **cls._read_by_group(state, Accuracy),
        )


@dataclass(frozen=True, kw_only=True)
class RegressionMetrics(Metrics[Error]):
    """The metrics of predicted numbers, in the target's units.

    Intervals are at 95 %, by Student's t on the logarithm of the mean.

    Parameters
    ----------
    r2 : float or None
        The share of the targets' variance that the predictions explain; None where there is none.
    """

    metric = ERROR

    r2: float | None

    def means(self, *, groups_are_classes: bool) -> dict[str, float]:
        """Return none."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values, as `metrics.json` holds them."""
        return {"overall": {**self.overall.to_dict(), "r2": self.r2}, **self._by_group()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Return the metrics that `to_dict` described."""
        overall = dict(state["overall"])
        r2 = overall.pop("r2")
        return cls(overall=Error(**overall), r2=r2, **cls._read_by_group(state, Error))


AnyMetrics = ClassificationMetrics | RegressionMetrics


def metrics_from_dict(state: Mapping[str, Any]) -> AnyMetrics:
    """Return the metrics of either kind that `to_dict` described.

    Parameters
    ----------
    state : mapping
        The plain values.

    Raises
    ------
    LookupError, TypeError
        They are damaged.
    """
    kind = ClassificationMetrics if ACCURACY.key in state["overall"] else RegressionMetrics
    return kind.from_dict(state)


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are there; None where there is none."""
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None
