"""Criteria: what two ways of training are compared by, on labels that neither has seen.

Each criterion is a number of the predictions, the larger the better, and the influence of each example on it: by how
much the number would change if the example counted a little more. The standard error of a difference is that of the
differences of the influences, which are paired (Hampel, "The Influence Curve and its Role in Robust Estimation", 1974;
for the area under the curve that is DeLong, DeLong, Clarke-Pearson, Biometrics 1988). Of means it is that of
`paired_gain`, which allows for groups of few rows besides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from skedastic.configurable import Configurable, setting
from skedastic.core.choice import LEAST_LABELS, Gain, Score, paired_gain, shares_of_groups, together
from skedastic.errors import UserError, suggestion

PLACE = "method.optimize"  # of the criterion, in messages
MOST_COST = 1e9
AT_PRIOR = " at the prior"  # is what the accuracy then is


class Held(NamedTuple):
    """The n examples that predictions are held against.

    Parameters
    ----------
    y : Tensor
        Their labels, [n] int64.
    group : Tensor
        Their groups, [n] int64.
    classes : tuple of str
        The names of the C classes.
    unit : Tensor, optional
        Their units, [n] int64: examples of one may err together.
    """

    y: Tensor
    group: Tensor
    classes: tuple[str, ...]
    unit: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Criterion(Configurable, ABC):
    """A number of predictions, the larger the better.

    Attributes
    ----------
    of_groups : bool
        Whether it goes by the groups, which need not be the classes.
    of_numbers : bool
        Whether it is for targets that are numbers, and not for classes.
    """

    of_groups: ClassVar[bool] = False
    of_numbers: ClassVar[bool] = False

    @property
    def told(self) -> str:
        """The name of the figure, for the user."""
        return self.shown_name()

    @property
    def shifted(self) -> str:
        """The word for predictions at the shares that `target` says."""
        return "balanced"

    @property
    def tau(self) -> float:
        """How much the shares of the classes are made up for by what all ways are held against, in [0, 1]."""
        return 0.5

    def target(self, share: Tensor, classes: Sequence[str]) -> Tensor:
        """Return the shares of the classes at which it counts them, [C], by default all alike.

        Parameters
        ----------
        share : Tensor
            The shares of the classes in training, [C].
        classes : sequence of str
            Their names.

        Raises
        ------
        UserError
            The setting names another class, or misses one.
        """
        return torch.full_like(share, 1 / len(share))

    @abstractmethod
    def score(self, scores: Tensor, held: Held) -> Score:
        """Return the criterion of predictions.

        Parameters
        ----------
        scores : Tensor
            Of each class, [n, C]; the largest is the prediction.
        held : Held
            The examples.
        """

    def gain(self, scores: Tensor, others: Tensor, held: Held) -> Gain:
        """Return by how much predictions are better than others.

        Parameters
        ----------
        scores, others : Tensor
            Of each class, [n, C].
        held : Held
            The examples.
        """
        own, other = self.score(scores, held), self.score(others, held)
        rest, n = own.influence - other.influence, len(held.y)
        error = float((rest**2).sum() * n / max(1, n - 1)) ** 0.5
        return Gain(own.value - other.value, error * together(rest, held.unit))


@dataclass(frozen=True, kw_only=True)
class OfRows(Criterion):
    """A mean over groups, or all rows, of what each prediction is worth; its error is that of `paired_gain`."""

    @abstractmethod
    def worth(self, predicted: Tensor, held: Held) -> Tensor:
        """Return what each predicted class is worth, [n] float64."""

    def parts(self, held: Held) -> Tensor:
        """Return the part of each row, [n] int64, over which the mean is taken first; by default all are one."""
        return torch.zeros_like(held.y)

    def weight(self, held: Held) -> Tensor | None:
        """Return how much each part counts, [P]; None where all do alike. Parts without rows don't."""
        return None

    def score(self, scores: Tensor, held: Held) -> Score:
        """Return the mean over the parts."""
        worth, part = self.worth(scores.argmax(1), held), self.parts(held)
        count = torch.bincount(part)
        mean = torch.bincount(part, worth) / count.clamp_min(1)
        share = shares_of_groups(count > 0, self.weight(held))
        return Score(float((share * mean).sum()), (share / count.clamp_min(1))[part] * (worth - mean[part]))

    def gain(self, scores: Tensor, others: Tensor, held: Held) -> Gain:
        """Return the mean over the parts of the differences."""
        own, other = (self.worth(s.argmax(1), held) for s in (scores, others))
        return paired_gain(own, other, self.parts(held), held.unit, self.weight(held))


@dataclass(frozen=True, kw_only=True)
class Balanced(OfRows):
    """The mean of the groups' accuracies."""

    of_groups = True

    def worth(self, predicted: Tensor, held: Held) -> Tensor:
        """Return 1 where a prediction is right."""
        return (predicted == held.y).double()

    def parts(self, held: Held) -> Tensor:
        """Return the groups."""
        return held.group


@dataclass(frozen=True, kw_only=True)
class Accuracy(OfRows):
    """The share of rows that are right, where the classes are as frequent as in training, or as `prior` says."""

    prior: Mapping[str, float] | None = setting(
        None,
        "the shares of the classes where the model will be used, of every class one above 0, whose sum is 1; by "
        "default those of training",
        "(0, inf)",
    )

    @property
    def told(self) -> str:
        """Accuracy, or that at the prior."""
        return self.shown_name() + AT_PRIOR * (self.prior is not None)

    @property
    def shifted(self) -> str:
        """What it is where the shares are given."""
        return super().shifted if self.prior is None else "shifted"

    @property
    def tau(self) -> float:
        """1 where the shares are given, and else 0."""
        return 0.0 if self.prior is None else 1.0

    def target(self, share: Tensor, classes: Sequence[str]) -> Tensor:
        """Return the shares of use; all alike where these are those of training, and more than them is tried."""
        if self.prior is None:
            return super().target(share, classes)
        return _of_classes(self.prior, classes, "prior").to(share)

    def worth(self, predicted: Tensor, held: Held) -> Tensor:
        """Return 1 where a prediction is right."""
        return (predicted == held.y).double()

    def parts(self, held: Held) -> Tensor:
        """Return the classes, where they will be as frequent as the prior says."""
        return super().parts(held) if self.prior is None else held.y

    def weight(self, held: Held) -> Tensor | None:
        """Return the prior."""
        return None if self.prior is None else _of_classes(self.prior, held.classes, "prior")


@dataclass(frozen=True, kw_only=True)
class Worst(Criterion):
    """The accuracy of the worst group, of those with ten rows."""

    of_groups = True

    def score(self, scores: Tensor, held: Held) -> Score:
        """Return the least accuracy of a group; only its own rows have influence."""
        right = (scores.argmax(1) == held.y).double()
        count = torch.bincount(held.group)
        mean = torch.bincount(held.group, right) / count.clamp_min(1)
        judged = count >= min(LEAST_LABELS, int(count.max()))
        worst = int(torch.where(judged, mean, torch.inf).argmin())
        own = (held.group == worst).double()
        n, k = len(right), int(count[worst])
        unbiased = ((n - 1) / n * k / max(1, k - 2)) ** 0.5  # of k rows, not of n, and the group was picked by them
        return Score(float(mean[worst]), own * (right - mean[worst]) / k * unbiased)


@dataclass(frozen=True, kw_only=True)
class MacroF1(Criterion):
    """The mean of the classes' F1."""

    def score(self, scores: Tensor, held: Held) -> Score:
        """Return the mean over classes that are labelled or predicted of 2 TP / (predicted + labelled)."""
        predicted, classes = scores.argmax(1), scores.shape[1]
        own, said = (torch.bincount(c, minlength=classes).double() for c in (held.y, predicted))
        hits = (predicted == held.y).double()
        both = (own + said).clamp_min(1)
        f1 = 2 * torch.bincount(held.y, hits, minlength=classes) / both
        there = int(((own + said) > 0).sum())
        influence = 2 * hits / both[held.y] - f1[held.y] / both[held.y] - f1[predicted] / both[predicted]
        return Score(float(f1.sum()) / there, influence / there)


@dataclass(frozen=True, kw_only=True)
class AUC(Criterion):
    """The mean over classes of the area under the ROC curve of each against the rest, whatever the thresholds."""

    @property
    def tau(self) -> float:
        """None: thresholds don't count."""
        return 0.0

    def score(self, scores: Tensor, held: Held) -> Score:
        """Return the mean of the areas; a tie counts half."""
        scores, areas, influence = scores.double(), [], torch.zeros(len(held.y), dtype=torch.float64)
        for c in torch.unique(held.y).tolist():
            own = held.y == c
            if own.all():
                continue
            others = torch.cat([scores[:, :c], scores[:, c + 1 :]], 1).logsumexp(1)
            odds = scores[:, c] - others  # as its probability ranks, without being rounded to 1
            inside, outside = odds[own], odds[~own]
            above, below = _share_below(inside, outside), 1 - _share_below(outside, inside)
            areas.append(area := float(above.mean()))
            influence[own] += (above - area) / len(above)
            influence[~own] += (below - area) / len(below)
        return Score(sum(areas) / max(1, len(areas)), influence / max(1, len(areas)))


@dataclass(frozen=True, kw_only=True)
class Cost(OfRows):
    """The mean cost of a row, negative: of each true class, what it costs to predict each other one."""

    costs: Mapping[str, Mapping[str, float]] = setting(
        factory=dict, meaning="of each true class, the cost of predicting each other one, at least 0"
    )

    @property
    def shifted(self) -> str:
        """By costs."""
        return "cost-weighted"

    @property
    def tau(self) -> float:
        """1: costs count wholly."""
        return 1.0

    def of_classes(self, classes: Sequence[str]) -> Tensor:
        """Return the costs, [C, C] float64, [true, predicted]; 0 of what is right.

        Parameters
        ----------
        classes : sequence of str
            The names of the classes.

        Raises
        ------
        UserError
            A class is missing or unknown, a cost is none, negative, or not 0 for what is right, or all are 0.
        """
        if not self.costs:
            rule = "there are no costs; name a file of them, cost:FILE, with a line for each true class"
            raise UserError(rule, setting=f"{PLACE}.costs", given="optimize=cost")
        _check_names(self.costs, classes, "costs")
        found = torch.zeros(len(classes), len(classes), dtype=torch.float64)
        for i, true in enumerate(classes):
            row = self.costs[true]
            _check_known(row, classes, "costs")
            missing = next((c for c in classes if c != true and c not in row), None)
            if missing is not None:
                rule = f"they do not say what it costs to predict {missing!r} where {true!r} is true; give 0 if nothing"
                raise UserError(rule, setting=f"{PLACE}.costs", value=true)
            for j, predicted in enumerate(classes):
                cost = row.get(predicted, 0.0)
                if not 0 <= cost <= MOST_COST or (i == j and cost != 0):
                    wanted = "0, for it is right" if i == j else f"between 0 and {MOST_COST:.0e}"
                    rule = f"to predict {predicted!r} where {true!r} is true must cost {wanted}"
                    raise UserError(rule, setting=f"{PLACE}.costs", value=cost)
                found[i, j] = cost
        if not (found.sum(1) > 0).all():
            free = classes[int((found.sum(1) == 0).nonzero()[0])]
            rule = f"all mistakes of {free!r} cost nothing, so that it would never be predicted; give each class a cost"
            raise UserError(rule, setting=f"{PLACE}.costs", value=free)
        return found

    def target(self, share: Tensor, classes: Sequence[str]) -> Tensor:
        """Return shares times the mean cost of each true class, [C]; of two classes that is exact (Elkan, 2001)."""
        weighted = share.double() * self.of_classes(classes).sum(1)
        return (weighted / weighted.sum()).to(share)

    def worth(self, predicted: Tensor, held: Held) -> Tensor:
        """Return the cost of each prediction, negative."""
        return -self.of_classes(held.classes)[held.y, predicted]


CRITERIA: Mapping[str, type[Criterion]] = {
    criterion.shown_name(): criterion for criterion in (Balanced, Worst, Accuracy, MacroF1, AUC, Cost)
}


def _share_below(values: Tensor, others: Tensor) -> Tensor:
    """Return the share of others that are below each value, a tie half, [n] float64."""
    others = others.sort().values
    low, high = (torch.searchsorted(others, values, right=right) for right in (False, True))
    return (low + high).double() / 2 / len(others)


def _of_classes(given: Mapping[str, float], classes: Sequence[str], name: str) -> Tensor:
    """Return the given shares of the classes, [C] float64, whose sum is 1."""
    _check_names(given, classes, name)
    found = torch.tensor([given[c] for c in classes], dtype=torch.float64)
    return found / found.sum()


def _check_names(given: Mapping[str, object], classes: Sequence[str], name: str) -> None:
    """Raise UserError where a class has no value, or a name is no class."""
    _check_known(given, classes, name)
    missing = [repr(c) for c in classes if c not in given]
    if missing:
        rule = f"they say nothing of class {', '.join(missing[:5])}{', …' * (len(missing) > 5)}; name every class"
        raise UserError(rule, setting=f"{PLACE}.{name}", value=sorted(given))


def _check_known(given: Mapping[str, object], classes: Sequence[str], name: str) -> None:
    other = next((key for key in given if key not in classes), None)
    if other is not None:
        shown = ", ".join(map(repr, classes[:8])) + ", …" * (len(classes) > 8)
        rule = f"{other!r} is no class; there are {shown}{suggestion(other, classes)}"
        raise UserError(rule, setting=f"{PLACE}.{name}", value=other)
