"""The figures of a run, without the network that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from skedastic.core.choice import Trial
from skedastic.core.learning_curve import Rise
from skedastic.core.strengths import GroupStats
from skedastic.core.transitions import Transitions
from skedastic.data import Grouping, Roles, Schema, Target
from skedastic.evaluation.metric import Metric, metric_of
from skedastic.evaluation.metrics import AnyMetrics
from skedastic.methods.bases.method import Method
from skedastic.noise.findings import Findings
from skedastic.report.content import LabelIssue
from skedastic.settings.config import Config

HELD_OUT, TEST = "held-out rows", "test rows"  # that a temperature is fitted by


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RunSummary:
    """The figures of a run, and the values that they come from. A `Result` is one that also has the network.

    Parameters
    ----------
    config : Config
        The settings of the run, complete: the run can be repeated with them.
    method : Method
        The method that was asked for.
    kind : str
        The kind of features: "table", "text" or "image".
    schema : Schema
        The columns, or the images, that other data must have.
    source_summary : str
        A sentence that describes the source.
    target : Target
        The target, in the units of the training rows.
    grouping : Grouping
        The G groups of the training rows.
    train_count : list of int
        Training examples of each group, [G], at least 0.
    class_count : list of int
        Training examples of each class, [C], at least 0.
    density : list of float
        Density of each group, [G], as in `GroupStats`.
    true_noise : list or None
        Share of wrong labels of each group, [G] in [0, 1]; for regression, mean squared difference between the target
        and the true target. For evaluation only. None where the truth is not known, of the whole or of a group.
    group_stats : GroupStats or None
        Estimated noise and density of each group, of which strengths are made; None where nothing was estimated.
    transitions : Transitions or None
        How labels go wrong, by the estimate; None where it tells nothing of that.
    findings : Findings or None
        The figures of the estimate that may be shown, and why others are not; None where nothing was estimated.
    strengths : Tensor or None
        Enforced strength λτ_g of each group, [G], float32, at least 0; None for methods without.
    label_issues : DataFrame or None
        Held-out training examples, the label that is most probably wrong first; none of those that the estimating
        models learned nothing of. None where nothing was estimated.
    shown_issues : tuple of LabelIssue
        The first label issues as the report shows them, with their pictures or cells.
    metrics : ClassificationMetrics, RegressionMetrics or None
        Metrics of the test set; None without one.
    predictions : DataFrame
        Predictions on the test set, a row each; no rows without one.
    temperature : float or None
        Temperature at which the probabilities are calibrated, above 0; None where there were no rows to fit it on.
    temperature_by : str
        By which rows: "held-out rows" of the training set, predicted by models that had not seen them, or "test rows".
    history : list of dict
        Loss, accuracy on the labels as given, and learning rate: a row for each epoch.
    seconds : float
        Seconds of training; those of the estimate count where the method needs one.
    trials : tuple of Trial
        The ways of training that were held against each other, where the method chose between some.
    rises : tuple of Rise
        How much accuracy on rows not seen rose where the training rows doubled, where the method tried that.
    notes : tuple of str
        Notes on the data and on the training.
    environment : mapping of str to str
        Versions and hardware that the figures were computed with.
    own_test_rows : bool
        Whether the source itself says which rows are for testing, by a column or by its folders.
    """

    config: Config
    method: Method
    kind: str
    schema: Schema
    source_summary: str
    target: Target
    grouping: Grouping
    train_count: list[int]
    class_count: list[int]
    density: list[float]
    true_noise: list[float | None] | None
    group_stats: GroupStats | None
    transitions: Transitions | None
    findings: Findings | None
    strengths: Tensor | None
    label_issues: pd.DataFrame | None
    shown_issues: tuple[LabelIssue, ...]
    metrics: AnyMetrics | None
    predictions: pd.DataFrame
    temperature: float | None
    temperature_by: str
    history: list[dict[str, Any]]
    seconds: float
    trials: tuple[Trial, ...]
    rises: tuple[Rise, ...]
    notes: tuple[str, ...]
    environment: Mapping[str, str]
    own_test_rows: bool = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name} on {self.config.source or 'data from Python'}>"

    @property
    def name(self) -> str:
        """The name of the method or the preset that was asked for."""
        return str(self.config.method.get("name", self.method.card.name))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the C classes; none for regression."""
        return self.target.classes

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the G groups."""
        return self.grouping.names

    @property
    def groups_are_classes(self) -> bool:
        """Whether the groups are the classes."""
        return self.config.groups is None and self.groups == self.classes

    @property
    def metric(self) -> Metric:
        """The metric that predictions are judged by: accuracy, or error."""
        return metric_of(self.target)

    @property
    def roles(self) -> Roles:
        """The roles that its configuration gives to the columns of a source."""
        return Roles(**self.config.column_roles)

    @property
    def issue_count(self) -> int:
        """The number of labels that are called an issue; 0 where there are no label issues."""
        return 0 if self.label_issues is None else int(self.label_issues["is_issue"].sum())

    @property
    def wrong_count(self) -> int | None:
        """How many label issues are wrong at the least, by an estimate that is shown or bounded; None without one."""
        if self.label_issues is None or "by_estimate" not in self.label_issues:
            return None
        return int(self.label_issues["by_estimate"].sum())

    @property
    def unranked_classes(self) -> tuple[str, ...]:
        """The classes that held-out predictions were to judge, and of which no label is ranked."""
        judged = self.findings is not None and self.findings.learned and self.config.estimate.kind != "annotators"
        if not judged or self.label_issues is None or "given" not in self.label_issues:
            return ()
        ranked = set(self.label_issues["given"])
        return tuple(name for name, n in zip(self.classes, self.class_count, strict=False) if n and name not in ranked)
