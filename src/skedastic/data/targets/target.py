"""The two kinds of target, classes and numbers. Wherever they differ, the target is asked.

`skedastic.evaluation` evaluates each kind, and `skedastic.noise` estimates its noise: both tell the kinds apart in one
place each, by `functools.singledispatch`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.core.strengths import NoiseKind
from skedastic.data.tables.dress import PLAIN, Dress
from skedastic.data.targets.regression import UNSCALED, Scale
from skedastic.errors import UserError

TaskKind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Target(ABC):
    """The kind of a target: y [n] as a data set holds it, and predictions of it.

    Parameters
    ----------
    column : str
        The name that the user has for the target: a column, or "y".
    """

    task: ClassVar[TaskKind]
    noise_kind: ClassVar[NoiseKind]
    """Noise is a rate of wrong labels, or a variance."""
    has_probabilities: ClassVar[bool]
    """Whether a prediction is a probability for each class."""
    noun: ClassVar[str]
    """The word for several of them."""

    column: str = field(default="y", kw_only=True)

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the C classes; none of numbers."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers a network gives for an example."""

    @abstractmethod
    def fit(self, y: Tensor) -> Target:
        """Return the target in the units of the training rows.

        Parameters
        ----------
        y : Tensor
            The targets of the training rows, [n].

        Raises
        ------
        UserError
            Nothing can be learned from them.
        """

    @abstractmethod
    def for_training(self, y: Tensor) -> Tensor:
        """Return the targets [n] that a network is trained on.

        Parameters
        ----------
        y : Tensor
            The targets, [n].
        """

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the predictions: probabilities [n, C] float32, or numbers [n] float64 in units of y.

        Parameters
        ----------
        outputs : Tensor
            The outputs of a network: logits [n, C], or standardized numbers [n].
        """

    @abstractmethod
    def no_predictions(self, n: int) -> Tensor:
        """Return the predictions of examples without any: all NaN.

        Parameters
        ----------
        n : int
            The number of examples.
        """

    @abstractmethod
    def best(self, predicted: Tensor) -> Tensor:
        """Return the one value of y [n] that is predicted.

        Parameters
        ----------
        predicted : Tensor
            As `predictions` returns it.
        """

    @abstractmethod
    def labels(self, y: Tensor) -> Tensor:
        """Return the labels [n] that a sampler may know; none for numbers.

        Parameters
        ----------
        y : Tensor
            The targets, [n].
        """

    @abstractmethod
    def counts(self, y: Tensor) -> Tensor:
        """Return the number of examples of each class, [C]; none for numbers.

        Parameters
        ----------
        y : Tensor
            The targets, [n].
        """

    @abstractmethod
    def strata(self, y: Tensor) -> Tensor:
        """Return the stratum [n] int64 that a split keeps in proportion: the label, or one stratum for all numbers.

        Parameters
        ----------
        y : Tensor
            The targets, [n].
        """

    @abstractmethod
    def noise(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return how wrong each target is, [n]: 1 for a wrong label, else 0; or the squared difference.

        Parameters
        ----------
        y, clean : Tensor
            The targets as given, and the clean ones, [n].
        """

    @abstractmethod
    def names(self, y: Tensor) -> pd.Categorical[Any] | NDArray[np.float64]:
        """Return targets [n] as a table holds them: the names of classes, or numbers.

        Parameters
        ----------
        y : Tensor
            The targets, [n].
        """

    @abstractmethod
    def values(self, y: Tensor) -> NDArray[Any]:
        """Return targets [n] as the user gave them: whole numbers where all labels were whole numbers.

        Parameters
        ----------
        y : Tensor
            The targets, [n].
        """

    @abstractmethod
    def probability_columns(self, predicted: Tensor) -> dict[str, NDArray[np.float32]]:
        """Return a column `p_CLASS` [n] for each class; none for numbers.

        Parameters
        ----------
        predicted : Tensor
            As `predictions` returns it.
        """

    @abstractmethod
    def summary(self, y: Tensor) -> str:
        """Return the range of the targets in words.

        Parameters
        ----------
        y : Tensor
            The targets, [n], n at least 1.
        """

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"task": self.task, **asdict(self)}


@dataclass(frozen=True)
class Classes(Target):
    """One of C classes. y: [n] int64 in 0..C-1.

    Parameters
    ----------
    classes : tuple of str
        The names of the classes, C at least 1, in their order.
    integer_labels : bool
        Whether the user's labels were whole numbers, whose decimal writing the names are.
    truth_labels : bool
        Whether the user's labels were truth values by their type.
    """

    task = "classification"
    noise_kind = "rate"
    has_probabilities = True
    noun = "labels"

    classes: tuple[str, ...] = ()
    integer_labels: bool = False
    truth_labels: bool = False

    @property
    def outputs(self) -> int:
        """C."""
        return len(self.classes)

    def fit(self, y: Tensor) -> Classes:
        """Return the target: classes have no units."""
        return self

    def for_training(self, y: Tensor) -> Tensor:
        """Return the labels [n] int64."""
        return y

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the probabilities [n, C] for logits [n, C]."""
        return outputs.softmax(1)

    def no_predictions(self, n: int) -> Tensor:
        """Return NaN [n, C] float32."""
        return torch.full((n, self.outputs), torch.nan)

    def best(self, predicted: Tensor) -> Tensor:
        """Return the most probable class [n] int64."""
        return predicted.argmax(1)

    def labels(self, y: Tensor) -> Tensor:
        """Return the labels."""
        return y

    def counts(self, y: Tensor) -> Tensor:
        """Return the number of examples of each class, [C] int64."""
        return torch.bincount(y, minlength=self.outputs)

    def strata(self, y: Tensor) -> Tensor:
        """Return the labels."""
        return y

    def noise(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return 1.0 for each wrong label, else 0.0: [n] float32."""
        return (clean != y).float()

    def names(self, y: Tensor) -> pd.Categorical[Any]:
        """Return the names of the classes of labels [n]."""
        return pd.Categorical.from_codes(y.numpy(), pd.Index(self.classes))

    def values(self, y: Tensor) -> NDArray[Any]:
        """Return labels [n] as whole numbers where the user's were some, else as names."""
        labels: NDArray[Any] = self.user_labels[y.numpy()]
        return labels

    @cached_property
    def user_labels(self) -> NDArray[Any]:
        """The user's labels of the classes, [C]."""
        if self.truth_labels:
            return np.array([c == "True" for c in self.classes])
        if not self.integer_labels:
            return np.array(self.classes)
        whole = [int(c) for c in self.classes]
        fitting = (t for t in (np.int64, np.uint64) if np.iinfo(t).min <= min(whole) and max(whole) <= np.iinfo(t).max)
        return np.array(whole, dtype=next(fitting, np.str_))

    def probability_columns(self, predicted: Tensor) -> dict[str, NDArray[np.float32]]:
        """Return a column `p_CLASS` [n] for each class."""
        return {f"p_{name}": predicted[:, i].numpy() for i, name in enumerate(self.classes)}

    def summary(self, y: Tensor) -> str:
        """Return how many classes there are, and how much more frequent one is than another."""
        counts = self.counts(y)
        ratio = float(counts.max()) / max(float(counts.min()), 1)
        return f"{self.column!r}: {self.outputs} classes, 1 : {ratio:.3g} from rarest to most frequent"


@dataclass(frozen=True)
class Numbers(Target):
    """A number. y: [n] float64, in the user's units.

    Parameters
    ----------
    scale : Scale
        Of the training rows; networks are trained on standardized targets.
    dress : Dress
        How the user writes the numbers.
    """

    task = "regression"
    noise_kind = "variance"
    has_probabilities = False
    noun = "targets"

    scale: Scale = UNSCALED
    dress: Dress = PLAIN

    @property
    def classes(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def outputs(self) -> int:
        """One number."""
        return 1

    def fit(self, y: Tensor) -> Numbers:
        """Return the target with the scale of y [n]. Raises UserError where all are the same."""
        return replace(self, scale=Scale.fit(y))

    def for_training(self, y: Tensor) -> Tensor:
        """Return the standardized targets [n] float32."""
        return self.scale.standardized(y)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the predictions [n] float64, in units of y, for outputs [n]."""
        return self.scale.in_units(outputs)

    def no_predictions(self, n: int) -> Tensor:
        """Return NaN [n] float64."""
        return torch.full((n,), torch.nan, dtype=torch.float64)

    def best(self, predicted: Tensor) -> Tensor:
        """Return the predictions."""
        return predicted

    def labels(self, y: Tensor) -> Tensor:
        """Return nothing, [0]."""
        return y[:0]

    def counts(self, y: Tensor) -> Tensor:
        """Return nothing, [0]."""
        return torch.zeros(0)

    def strata(self, y: Tensor) -> Tensor:
        """Return zeros [n] int64: all are in one stratum."""
        return torch.zeros_like(y, dtype=torch.int64)

    def noise(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return the squared difference [n] float64."""
        return (clean - y) ** 2

    def names(self, y: Tensor) -> NDArray[np.float64]:
        """Return the numbers [n]."""
        return y.numpy()

    def values(self, y: Tensor) -> NDArray[Any]:
        """Return the numbers [n]."""
        return y.numpy()

    def probability_columns(self, predicted: Tensor) -> dict[str, NDArray[np.float32]]:
        """Return no column."""
        return {}

    def summary(self, y: Tensor) -> str:
        """Return the least and the largest number."""
        return f"{self.column!r}: numbers from {float(y.min()):.6g} to {float(y.max()):.6g}"


def target_from_json(state: Mapping[str, Any]) -> Target:
    """Return the target that `Target.to_json` described.

    Parameters
    ----------
    state : mapping
        The plain JSON values.

    Raises
    ------
    UserError
        It is of a kind that is not known here.
    """
    if state["task"] == Classes.task:
        whole, truth = bool(state["integer_labels"]), bool(state["truth_labels"])
        return Classes(tuple(state["classes"]), whole, truth, column=str(state["column"]))
    if state["task"] == Numbers.task:
        return Numbers(Scale(**state["scale"]), Dress(**state["dress"]), column=str(state["column"]))
    task = state["task"]
    rule = f"it is one for {task!r}, which is not known here; fit the model again"
    raise UserError(rule, setting="the saved target", value=task, given="the saved target")
