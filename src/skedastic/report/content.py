"""The content of a report, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skedastic.evaluation.intervals import Interval
from skedastic.evaluation.metric import ACCURACY, Metric


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One group of the data: its size, its noise, its strength, its accuracy or error."""

    name: str
    train: int  # examples
    test: int
    noise: Interval | None  # disagreement of held-out predictions, or of annotators: a rate, or a deviation
    true_noise: float | None  # the share of wrong labels, or a deviation, where a truth is known
    strength: float | None  # λτ_g; the largest of all groups is `--strength`
    score: Mapping[str, Interval]  # accuracy or error by method, on the test set; absent where the group is
    focus: bool
    withheld: str = ""  # why there is no disagreement
    wrong: Interval | None = None  # estimated share of wrong labels
    wrong_withheld: str = ""  # why there is none
    uncertain: Interval | None = None  # how uncertain labels are where the examples of the group lie
    uncertain_withheld: str = ""  # why there is none


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """One method's accuracy, or error, on the test set."""

    name: str
    overall: Interval
    focus: Interval | None
    rest: Interval | None
    worst_group: Interval | None
    seconds: float
    balanced_accuracy: Interval | None = None  # the mean over classes; none of numbers
    mean_of_groups: Interval | None = None  # where the groups are not the classes
    macro_f1: Interval | None = None  # these where `--optimize` asked for them
    auc: Interval | None = None
    accuracy_at_prior: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference in accuracy, or error, of two methods, paired over seeds."""

    name: str  # "har − erm"
    focus: Interval | None
    rest: Interval | None
    overall: Interval
    balanced_accuracy: Interval | None = None
    mean_of_groups: Interval | None = None
    macro_f1: Interval | None = None
    auc: Interval | None = None
    accuracy_at_prior: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which of several ways of training was taken, and how each did."""

    sentence: str
    head: Sequence[str]  # the names of the columns; the last one is of notes
    rows: Sequence[Sequence[str]]  # the cells of each way, the best first
    legend: str  # what the figures mean


@dataclass(frozen=True, kw_only=True)
class LabelIssue:
    """A training example whose label is probably wrong."""

    index: int
    given: str
    suggested: str
    score: float  # the chance that the label is right, or of so large a residual, in [0, 1]; low is suspect
    truth: str | None  # where it is known
    image: str | None  # "data:image/png;base64,…", or jpeg
    row: Mapping[str, str]  # a few columns of the table, where there is no image


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows. One method is a `fit`, several are a `compare`; any of it may be empty."""

    title: str
    sentence: str  # the outcome
    asked: Sequence[tuple[str, str]]  # ("Data", "digits"), ...
    command: str  # runs it again
    methods: Sequence[MethodRow]
    differences: Sequence[Difference]
    groups: Sequence[GroupRow]
    history: Mapping[str, Mapping[str, Sequence[float]]]  # by method: "loss", "accuracy" per epoch
    label_issues: Sequence[LabelIssue]
    label_issue_count: int  # of those that are called an issue
    notes: Sequence[str]
    environment: Mapping[str, str]
    beside: Sequence[str] = ()  # sentences on the outcome that come after the first
    metric: Metric = ACCURACY
    measured: bool = False  # annotators measure the noise, and no model estimates it
    wrong_count: int | None = None  # of these, that are wrong by an estimate; None where none was made
    by_class: str = ""  # how many labels of each class are to check
    all_groups: str = ""  # the file that has all groups, where the page can't list them
    uncalled: str = ""  # of which groups few or no labels are called wrong, and why
    choice: Choice | None = None  # where ways of training were tried
    next_steps: Sequence[str] = ()  # what a person could do to gain most
