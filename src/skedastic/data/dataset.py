"""The data that training sees: features, targets as given, stable names, groups.

Clean targets are kept apart, in `Truth`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from skedastic.data.on_disk import OnDiskFeatures
from skedastic.data.targets.grouping import Grouping
from skedastic.data.targets.target import Target

OPTIONAL = ("unit", "soft", "disagreement")  # fields that there may be none of
DEFAULT_MEMORY = 2 * 2**30  # bytes; streamed features that are larger stay on disk


class Stream(Protocol):
    """Features that are read from disk when they are asked for: n examples of one shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, ...), the shape of the tensor that all examples would make."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the tensor that `stream[rows]` gives."""
        ...

    def __len__(self) -> int:
        """Return n."""
        ...

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Read the examples at positions `rows` [m] int64: [m, ...]."""
        ...

    def take(self, rows: Tensor) -> Stream:
        """Return some of the examples as a stream; nothing is read.

        Parameters
        ----------
        rows : Tensor
            The positions of the examples, [m] int64.
        """
        ...


Features = Tensor | Stream


@dataclass(frozen=True, eq=False)
class Dataset:
    """n examples, each with a target and a group.

    Parameters
    ----------
    x : Features
        Features, float32 [n, d] or images [n, C, H, W] (uint8, or float32 in [0, 1]), or a stream of them.
    y : Tensor
        Targets as given, which may be corrupted: labels [n] int64 in 0..C-1, or numbers [n] float64 in the user's
        units.
    index : Tensor
        The row in the source, [n] int64, stable for life.
    group : Tensor
        [n] int64 in 0..G-1.
    target : Target
        The kind of y.
    grouping : Grouping
        The G groups.
    kind : str
        "table", "text" or "image".
    tokens : int
        The number of the last columns of x that are the ids of a text, 0 after its end.
    ids : int
        The number of the columns before these that are ids of categories.
    words : tuple of int
        Where the numbers of a text stand in x beside other columns, as in `Inputs`.
    unit : Tensor or None
        The unit of each example, [n] int64; a split keeps a unit whole.
    soft : Tensor or None
        Shares of annotators' votes, [n, C] float32; trained on where a method can.
    disagreement : Tensor or None
        How noisy each target is by the disagreement of its annotators, [n] float64.
    """

    x: Features
    y: Tensor
    index: Tensor
    group: Tensor
    target: Target
    grouping: Grouping
    kind: str
    tokens: int = 0
    ids: int = 0
    words: tuple[int, int] = (0, 0)
    unit: Tensor | None = None
    soft: Tensor | None = None
    disagreement: Tensor | None = None

    def __post_init__(self) -> None:
        sizes = {"x": len(self.x), "y": len(self.y), "index": len(self.index), "group": len(self.group)}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"the parts of a Dataset must have one length, got {sizes}")

    def __len__(self) -> int:
        return len(self.y)

    def subset(self, rows: Tensor) -> Dataset:
        """Return some of the examples, in the order that is given; a stream stays a stream.

        Parameters
        ----------
        rows : Tensor
            The positions of the examples, [m] int64.
        """
        x = self.x[rows] if isinstance(self.x, Tensor) else self.x.take(rows)
        parts = {name: part[rows] for name in OPTIONAL if (part := getattr(self, name)) is not None}
        return replace(self, x=x, y=self.y[rows], index=self.index[rows], group=self.group[rows], **parts)

    @property
    def has_ids(self) -> bool:
        """Whether some columns of x are ids, which can't be mixed or moved."""
        return bool(self.ids or self.tokens)

    @property
    def has_columns(self) -> bool:
        """Whether an example is a row of numbers and ids of categories, and neither an image nor tokens."""
        return self.kind != "image" and not self.tokens

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; none where targets are numbers."""
        return self.target.classes

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups."""
        return self.grouping.names

    @property
    def targets(self) -> Tensor:
        """The targets that a network is trained on: labels [n] int64, or standardized numbers [n] float32."""
        return self.target.for_training(self.y)

    @property
    def batch_targets(self) -> Tensor:
        """The targets that a batch holds: `targets`, or where there are some soft labels [n, C] float32."""
        return self.targets if self.soft is None else self.soft

    @property
    def strata(self) -> Tensor:
        """The strata that a split keeps in proportion within each group, [n] int64 (`Target.strata`)."""
        return self.target.strata(self.y)

    def density(self) -> Tensor:
        """Return the density of each group, [G] float64 (`Grouping.density`)."""
        return self.grouping.density(self.group)

    def group_counts(self) -> Tensor:
        """Return the number of examples of each group, [G]."""
        return self.grouping.counts(self.group)

    def with_targets(self, y: Tensor) -> Dataset:
        """Return the data set with other targets, in groups that follow them (`Grouping.follow`).

        Parameters
        ----------
        y : Tensor
            The targets, as `Dataset.y`, [n].
        """
        return replace(self, y=y, group=self.grouping.follow(self.group, self.y, y, self.classes))

    def in_memory(self, memory: int = DEFAULT_MEMORY) -> Dataset:
        """Read a stream into one tensor, once, where it is small enough; else return the data set as it is.

        Features that were encoded and stored once stay where they are.

        Parameters
        ----------
        memory : int, optional
            The most bytes that the tensor may take.
        """
        if isinstance(self.x, (Tensor, OnDiskFeatures)):
            return self
        size = self.x.dtype.itemsize * torch.Size(self.x.shape).numel()
        return replace(self, x=self.x[torch.arange(len(self))]) if size <= memory else self


def without_padding(x: Tensor, tokens: int) -> Tensor:
    """Return a batch whose texts are cut to the longest of them.

    Parameters
    ----------
    x : Tensor
        The batch, [B, d].
    tokens : int
        The number of its last columns that are the ids of a text.
    """
    if not tokens or not len(x):
        return x
    used = int((x[:, x.shape[1] - tokens :] != 0).any(0).sum())  # padding is at the end only
    return x[:, : x.shape[1] - tokens + max(used, 1)]


@dataclass(frozen=True, eq=False)
class Truth:
    """Clean targets, for evaluation only.

    Parameters
    ----------
    clean : Tensor
        As `Dataset.y`, [n].
    index : Tensor
        The examples that they belong to, [n] int64.
    """

    clean: Tensor
    index: Tensor

    def of(self, index: Tensor) -> Tensor:
        """Return the clean targets [m] of some examples.

        Parameters
        ----------
        index : Tensor
            The examples, as `Dataset.index` names them, [m] int64.

        Raises
        ------
        KeyError
            The clean target of one of them is unknown.
        """
        ordered, order = self.index.sort()
        position = torch.searchsorted(ordered, index).clamp_max(max(len(ordered) - 1, 0))
        if len(index) and (len(ordered) == 0 or not torch.equal(ordered[position], index)):
            raise KeyError("no clean label is known of some of these examples")
        return self.clean[order[position]]


def with_clean_labels(test: Dataset, truth: Truth | None) -> Dataset:
    """Return a test set with its clean targets, where they are known.

    Parameters
    ----------
    test : Dataset
        The test set.
    truth : Truth or None
        The clean targets of all of its examples.
    """
    return test if truth is None else test.with_targets(truth.of(test.index))
