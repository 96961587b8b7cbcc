"""The figures of a run, without the network that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.data import Roles, Schema
from skedastic.data.targets.regression import Scale
from skedastic.evaluation.metric import ACCURACY, ERROR, Measure
from skedastic.methods.bases.method import Method
from skedastic.report.content import Suspect
from skedastic.settings.config import Config


@dataclass(frozen=True, eq=False, kw_only=True)
class RunSummary:
    """Everything that the figures of a run come from. A `Result` is one that also has the network.

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
    classes : tuple of str
        Names of the C classes; empty for regression.
    integer_labels : bool
        Whether the labels were given as whole numbers.
    scale : Scale or None
        Units of a regression target; None for classification.
    groups : tuple of str
        Names of the G groups.
    train_count : list of int
        Training examples of each group, [G], at least 0.
    class_count : list of int
        Training examples of each class, [C], at least 0.
    density : list of float
        Density of each group, [G], as in `GroupStats`.
    true_noise : list or None
        Share of wrong labels of each group, [G] in [0, 1]; for regression, mean squared difference between the target
        and the true target. For evaluation only. None where the truth is not known, as a whole or of a group.
    group_stats : GroupStats or None
        Estimated noise and density of each group; None where nothing was estimated.
    strengths : Tensor or None
        Enforced strength λτ_g of each group, [G], float32, at least 0; None for methods without.
    label_issues : DataFrame or None
        Held-out training examples, the label that is most probably wrong first; None where nothing was estimated.
    shown_issues : tuple of Suspect
        The first of them as the report shows them, with their pictures or cells.
    metrics : dict or None
        Figures on the test set; None without one.
    predictions : DataFrame
        Predictions on the test set, a row each; no rows without one.
    temperature : float or None
        Temperature at which the probabilities are calibrated on the test rows, above 0; None without test rows.
    history : list of dict
        Loss, accuracy on the labels as given, and learning rate: a row for each epoch.
    seconds : float
        Seconds of training; those of the estimate count where the method needs one.
    notes : tuple of str
        Notes on the data and on the training.
    environment : mapping of str to str
        Versions and hardware that the figures were computed with.
    """

    config: Config
    method: Method
    kind: str
    schema: Schema
    source_summary: str
    classes: tuple[str, ...]
    integer_labels: bool
    scale: Scale | None
    groups: tuple[str, ...]
    train_count: list[int]
    class_count: list[int]
    density: list[float]
    true_noise: list[float | None] | None
    group_stats: GroupStats | None
    strengths: Tensor | None
    label_issues: pd.DataFrame | None
    shown_issues: tuple[Suspect, ...] = field(repr=False)
    metrics: dict[str, Any] | None
    predictions: pd.DataFrame
    temperature: float | None
    history: list[dict[str, Any]]
    seconds: float
    notes: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def measure(self) -> Measure:
        """The figure that its metrics hold for a group: accuracy, or error."""
        return ACCURACY if self.scale is None else ERROR

    @property
    def roles(self) -> Roles:
        """The roles that its configuration gives to the columns of a source."""
        return Roles(**self.config.column_roles)

    @property
    def issue_count(self) -> int:
        """How many labels are called an issue; 0 where nothing was estimated."""
        return 0 if self.label_issues is None else int(self.label_issues["is_issue"].sum())

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels of the classes, [C]; whole numbers where those of `fit` were."""
        return np.array([int(c) for c in self.classes]) if self.integer_labels else np.array(self.classes)
