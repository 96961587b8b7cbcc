"""Weights of the classes in the loss, by how many examples each has; at once, or from some epoch on.

`Inverse`: w_c ∝ 1/n_c^power (Huang et al., "Learning Deep Representation for Imbalanced Classification", CVPR 2016).
`EffectiveNumber`: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, equation 2.
`Balanced`: King and Zeng, "Logistic Regression in Rare Events Data", 2001, as scikit-learn's class_weight="balanced".
`Deferred`: DRW, Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019,
Algorithm 1, where the learning rate drops as the weights begin. Their code (github.com/kaidic/LDAM-DRW) divides the
weighted losses of a batch by the sum of their weights. Here the losses are multiplied and the mean is over B, so that a
batch of rare classes counts for more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skedastic.configurable import Configurable, setting
from skedastic.core.epochs import FIRST_DROP, When
from skedastic.errors import UserError, unknown


@dataclass(frozen=True, kw_only=True)
class ClassWeights(Configurable, ABC):
    """How much the losses of each class count."""

    @property
    def begins(self) -> When:
        """When the weights begin to count, as in `core.epochs.epoch_of`."""
        return 0.0

    def __call__(self, count: Tensor, classes: Sequence[str] = ()) -> Tensor:
        """Return the weights of the classes, [C] float32.

        A class without examples has no weight, 0, and changes none of the others.

        Parameters
        ----------
        count : Tensor
            Training examples of each class, [C] ≥ 0.
        classes : sequence of str, optional
            Names of the classes.

        Raises
        ------
        UserError
            Weights are given for a class that has no example.
        """
        present = count > 0
        named = [name for name, n in zip(classes, count.tolist(), strict=False) if n > 0]
        weights = torch.zeros(len(count), dtype=torch.float64)
        weights[present] = self.weights(count[present].double(), named)
        return weights.float()

    @abstractmethod
    def weights(self, count: Tensor, classes: Sequence[str]) -> Tensor:
        """Return the weights of the classes, [C] float64.

        Parameters
        ----------
        count : Tensor
            Training examples of each class, [C] float64 ≥ 1.
        classes : sequence of str
            Names of the classes.
        """


@dataclass(frozen=True, kw_only=True)
class Inverse(ClassWeights):
    """w_c ∝ n_c^-power, with the mean over classes 1."""

    power: float = setting(1.0, "0 weighs all classes alike, 1 is 1/n, 0.5 its square root", "[0, 1]")

    def weights(self, count: Tensor, classes: Sequence[str]) -> Tensor:
        """Return n_c^-power, scaled to mean 1."""
        return _mean_one(count**-self.power)


@dataclass(frozen=True, kw_only=True)
class EffectiveNumber(ClassWeights):
    """w_c ∝ (1 − β) / (1 − β^{n_c}), with the mean over classes 1."""

    beta: float = setting(
        0.9999, "0 weighs all classes alike; the limit 1 is 1/n, which is class_weights=inverse", "[0, 1)"
    )

    def weights(self, count: Tensor, classes: Sequence[str]) -> Tensor:
        """Return the inverse effective numbers, scaled to mean 1."""
        return _mean_one((1 - self.beta) / (1 - self.beta**count))


@dataclass(frozen=True, kw_only=True)
class Balanced(ClassWeights):
    """w_c = n / (C n_c): every class weighs n/C in all, so that the mean over examples is 1."""

    def weights(self, count: Tensor, classes: Sequence[str]) -> Tensor:
        """Return n / (C n_c)."""
        return count.sum() / (len(count) * count)


@dataclass(frozen=True, kw_only=True)
class Given(ClassWeights):
    """Weights that the user gives, by class; classes that are not named weigh 1."""

    weights_of: Mapping[str, float] = setting(
        meaning="weight of each class by its name, such as weights_of={cat=2, dog=0.5}", range="[0, inf)", factory=dict
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weights_of", {str(name): weight for name, weight in self.weights_of.items()})
        if not self.weights_of:
            rule = "name the classes and their weights, such as weights_of={cat=2, dog=0.5}"
            raise UserError(rule, setting=self.place("weights_of"), value={})

    def weights(self, count: Tensor, classes: Sequence[str]) -> Tensor:
        """Return the weights by name. Raises UserError for a class that does not exist."""
        for name in self.weights_of:
            if name not in classes:
                raise unknown("class in class_weights", name, classes)
        weights = torch.tensor([float(self.weights_of.get(name, 1.0)) for name in classes], dtype=torch.float64)
        if not weights.any():
            rule = "all weights are 0; one at least must be above, or nothing is trained"
            raise UserError(rule, setting=self.place("weights_of"), value=dict(self.weights_of))
        return weights


@dataclass(frozen=True, kw_only=True)
class Deferred(ClassWeights):
    """Other weights, from later on (DRW)."""

    of: ClassWeights = setting(meaning="the weights that are deferred", factory=EffectiveNumber)
    start: When = setting(
        FIRST_DROP,
        "when they begin: a fraction of the epochs below 1, from 1 on an epoch counted from 0, or first-drop: with the "
        "first drop of the learning rate, where schedule=steps, else at 0.8",
        "[0, inf)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.of, Deferred):
            rule = "weights can be deferred once; leave one deferred(…) out"
            raise UserError(rule, setting=self.place("of"), value=self.of.shown_name())

    @property
    def begins(self) -> When:
        """Return `start`."""
        return self.start

    def weights(self, count: Tensor, classes: Sequence[str]) -> Tensor:
        """Return the weights that are deferred."""
        return self.of.weights(count, classes)


CLASS_WEIGHTS: Mapping[str, type[ClassWeights]] = {
    "inverse": Inverse,
    "effective-number": EffectiveNumber,
    "balanced": Balanced,
    "given": Given,
    "deferred": Deferred,
}


def _mean_one(raw: Tensor) -> Tensor:
    return raw / raw.mean()
