"""What training sees: features, labels as given, stable names, groups. Clean labels are kept apart, in `Truth`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from skedastic.data.on_disk import OnDiskFeatures
from skedastic.data.targets.regression import Bins, Scale

BESIDE = ("unit", "soft", "disagreement")  # what an example may have, or not
DEFAULT_MEMORY = 2 * 2**30  # bytes; streamed features that are larger stay on disk


class Stream(Protocol):
    """Features that are read from disk when they are asked for, n examples of one shape."""

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
        """Return the stream of the examples at positions `rows` [m]; nothing is read."""
        ...


Features = Tensor | Stream


@dataclass(frozen=True, eq=False)
class Dataset:
    """n examples of C classes, or with real targets, in G groups.

    x: features, float32 [n, d] or images [n, C, H, W] (uint8, or float32 in [0, 1]), or a stream of them. y: [n] int64
    in 0..C-1, the labels as given, maybe corrupted; or real targets, [n] float64 in their units, and no classes. index:
    [n] int64, the row in the source, stable for life. group: [n] int64 in 0..G-1. kind: "table", "text" or "image".
    scale: the units of real targets, None for classes. bins: of the target, where these are the groups. tokens: of the last
    columns of x, the ids of a text, 0 after its end. has_ids: some columns of x are ids, which can be neither mixed nor moved. unit: [n] int64,
    what no split may tear apart. soft: [n, C] float32, the shares of annotators' votes; what is trained on, where a method can.
    disagreement: [n] float64, how noisy each example's annotators say it is.
    """

    x: Features
    y: Tensor
    index: Tensor
    group: Tensor
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    kind: str
    scale: Scale | None = None
    bins: Bins | None = None
    tokens: int = 0
    has_ids: bool = False
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
        """Return the examples at positions `rows` [m] int64, in that order; a stream stays a stream."""
        x = self.x[rows] if isinstance(self.x, Tensor) else self.x.take(rows)
        parts = {name: part[rows] for name in BESIDE if (part := getattr(self, name)) is not None}
        return replace(self, x=x, y=self.y[rows], index=self.index[rows], group=self.group[rows], **parts)

    @property
    def task(self) -> str:
        """Return "classification" or "regression"."""
        return "classification" if self.scale is None else "regression"

    @property
    def targets(self) -> Tensor:
        """What a network is trained on: labels [n] int64, or standardized targets [n] float32."""
        return self.y if self.scale is None else self.scale.standardized(self.y)

    @property
    def answers(self) -> Tensor:
        """What a batch has: the targets, or where there are some soft labels [n, C] float32."""
        return self.targets if self.soft is None else self.soft

    @property
    def strata(self) -> Tensor:
        """What a split keeps in proportion within each group, [n] int64: the label, nothing where targets are real."""
        return self.y if self.scale is None else torch.zeros_like(self.group)

    def density(self) -> Tensor:
        """Return the share of each group, [G] float64; of bins relative to their width, so as to sum to 1."""
        share = self.group_counts().double() / len(self)
        if self.bins is None:
            return share
        density = share / torch.tensor(self.bins.widths, dtype=torch.float64)
        return density / density.sum()

    def group_counts(self) -> Tensor:
        """Return the number of examples of each group, [G]."""
        return torch.bincount(self.group, minlength=len(self.groups))

    def in_memory(self, memory: int = DEFAULT_MEMORY) -> Dataset:
        """Read a stream that takes at most `memory` bytes into one tensor, once; else return the dataset as it is.

        What is stored was encoded once, and stays where it is.
        """
        if isinstance(self.x, (Tensor, OnDiskFeatures)):
            return self
        size = self.x.dtype.itemsize * torch.Size(self.x.shape).numel()
        return replace(self, x=self.x[torch.arange(len(self))]) if size <= memory else self


def without_padding(x: Tensor, tokens: int) -> Tensor:
    """Return a batch x [B, d] whose last `tokens` columns are those of texts, cut to the longest of them."""
    if not tokens or not len(x):
        return x
    used = int((x[:, x.shape[1] - tokens :] != 0).any(0).sum())  # padding is at the end only
    return x[:, : x.shape[1] - tokens + max(used, 1)]


@dataclass(frozen=True, eq=False)
class Truth:
    """Clean labels, for evaluation only.

    clean: [n] int64 in 0..C-1, or real targets in their units; index: [n] int64, the examples they belong to.
    """

    clean: Tensor
    index: Tensor

    def of(self, index: Tensor) -> Tensor:
        """Return the clean labels [m] of the examples named by `index` [m] int64.

        Raises KeyError where one of them is unknown.
        """
        ordered, order = self.index.sort()
        position = torch.searchsorted(ordered, index).clamp_max(max(len(ordered) - 1, 0))
        if len(index) and (len(ordered) == 0 or not torch.equal(ordered[position], index)):
            raise KeyError("no clean label is known of some of these examples")
        return self.clean[order[position]]


def with_clean_labels(test: Dataset, truth: Truth | None) -> Dataset:
    """Return a test set with its clean labels, where they are known."""
    if truth is None:
        return test
    clean = truth.of(test.index)
    if test.bins is not None:
        return replace(test, y=clean, group=test.bins.of(clean))
    by_label = test.groups == test.classes and torch.equal(test.group, test.y)
    return replace(test, y=clean, group=clean if by_label else test.group)
