"""How much accuracy on rows not seen rises where the training rows double: a learning curve of two points, by group.

The same rows are predicted by models of many and of half as many rows, and compared row by row, as two ways of training
are (`skedastic.core.choice`). Nothing is extrapolated: from then on rows are worth less, but how much less two points
do not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skedastic.core.choice import Gain, paired_gain


class Rise(NamedTuple):
    """How much the accuracy of a group's rows rose.

    Parameters
    ----------
    group : str
        The group; empty for the mean over groups.
    rows : int
        Its training rows of the larger model, at least 0; of the mean all of them.
    gain : Gain
        By how much its accuracy is higher than that of the model of half as many, and the standard error.
    way : str
        The way of training, for the user.
    """

    group: str
    rows: int
    gain: Gain
    way: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict() | {"gain": self.gain._asdict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rise:
        """Return what `to_dict` described."""
        return cls(**{**values, "gain": Gain(**values["gain"])})


def rises(
    many: Tensor, few: Tensor, group: Tensor, unit: Tensor | None, names: Sequence[str], way: str
) -> tuple[Rise, ...]:
    """Return how much accuracy rose where training rows doubled: the mean over groups, and each group that has rows.

    Parameters
    ----------
    many, few : Tensor
        Whether an example is predicted as it is labelled by a model of half of all rows, and of a quarter, [n] bool.
    group : Tensor
        The group of each example, [n] int64.
    unit : Tensor or None
        The unit of each example, [n] int64, as of `paired_gain`.
    names : sequence of str
        The names of the groups.
    way : str
        The way of training, for the user.
    """
    found = [Rise("", len(group) // 2, paired_gain(many, few, group, unit), way)]
    for g in torch.unique(group).tolist():
        own = group == g
        alone = paired_gain(many[own], few[own], torch.zeros_like(group[own]), None if unit is None else unit[own])
        found.append(Rise(names[g], int(own.sum()) // 2, alone, way))
    return tuple(found)
