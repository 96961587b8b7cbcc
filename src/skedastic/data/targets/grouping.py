"""The groups of a data set: their names, and how a row gets its group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from skedastic.data.targets.regression import Bins


@dataclass(frozen=True)
class Grouping:
    """G groups. A data set holds the group of each row, [n] int64 in 0..G-1.

    Parameters
    ----------
    names : tuple of str
        The names of the groups, in their order.
    target_bins : Bins or None
        Bins of the target, where these are the groups.
    column_bins : Bins or None
        Bins of a column, where these are the groups.
    """

    names: tuple[str, ...]
    target_bins: Bins | None = None
    column_bins: Bins | None = None

    @classmethod
    def of_target(cls, bins: Bins) -> Grouping:
        """Return the groups that bins of the target make.

        Parameters
        ----------
        bins : Bins
            The G bins.
        """
        return cls(bins.names, target_bins=bins)

    @classmethod
    def of_column(cls, bins: Bins) -> Grouping:
        """Return the groups that bins of a column make.

        Parameters
        ----------
        bins : Bins
            The G bins.
        """
        return cls(bins.names, column_bins=bins)

    def __len__(self) -> int:
        return len(self.names)

    def counts(self, group: Tensor) -> Tensor:
        """Return the number of examples of each group, [G] int64.

        Parameters
        ----------
        group : Tensor
            The group of each example, [n] int64 in 0..G-1.
        """
        return torch.bincount(group, minlength=len(self.names))

    def density(self, group: Tensor) -> Tensor:
        """Return the density of each group, [G] float64, which sums to 1.

        It is the share of the examples; for bins of the target, relative to the width of the bin.

        Parameters
        ----------
        group : Tensor
            The group of each example, [n] int64 in 0..G-1.
        """
        share = self.counts(group).double() / len(group)
        if self.target_bins is None:
            return share
        density = share / torch.tensor(self.target_bins.widths, dtype=torch.float64)
        return density / density.sum()

    def follow(self, group: Tensor, before: Tensor, after: Tensor, classes: tuple[str, ...]) -> Tensor:
        """Return the groups [n] of rows whose targets have changed: groups that the targets make follow them.

        Parameters
        ----------
        group : Tensor
            The groups before, [n].
        before, after : Tensor
            The targets, [n].
        classes : tuple of str
            The names of the classes; none of numbers.
        """
        if self.target_bins is not None:
            return self.target_bins.of(after)
        by_label = self.names == classes and torch.equal(group, before)
        return after if by_label else group

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def grouping_from_json(state: Mapping[str, Any]) -> Grouping:
    """Return the grouping that `Grouping.to_json` described.

    Parameters
    ----------
    state : mapping
        The plain JSON values.
    """
    target_bins, column_bins = (_bins(state[name]) for name in ("target_bins", "column_bins"))
    return Grouping(tuple(state["names"]), target_bins, column_bins)


def _bins(state: Mapping[str, Any] | None) -> Bins | None:
    return None if state is None else Bins(tuple(state["edges"]), tuple(state["widths"]), tuple(state["names"]))
