"""The task of a method: the data, as far as it may know them before it trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from skedastic.core.strengths import GroupStats
from skedastic.core.transitions import Transitions


@dataclass(frozen=True, eq=False)
class Task:
    """The data, as far as a method may know them before it trains: shapes, group statistics and no clean label.

    Parameters
    ----------
    input_shape : tuple of int
        The shape of one example.
    classes : tuple of str
        The names of the C classes; none for regression.
    index : Tensor
        The stable names of the training examples, [n].
    y : Tensor
        Their labels as given, or standardized targets of regression, [n].
    group : Tensor
        Their groups, [n] in 0..G-1.
    groups : tuple of str
        The names of the G groups.
    binned : bool
        Whether the groups are bins of a target of numbers.
    numbers : Tensor, optional
        The targets in their units where they are numbers, [n] float64, as predictions that are handed on are.
    density : Tensor
        The density of each group, [G], as in `GroupStats`.
    class_count : Tensor
        The training examples of each class, [C].
    columns : bool
        Whether an example is a row of numbers and ids of categories, and neither an image nor tokens.
    ids : int
        How many of a row's last columns are ids of categories, where it is columns.
    words : tuple of int
        The first and the end of a row's columns that are the numbers of a text, the leading ones first, where it has
        other columns; 0 and 0 where it has no such.
    unit : Tensor, optional
        The unit of each example, [n], such as a person: examples of one may err together.
    halved : callable, optional
        From a seed and rows [m], or None for all, to the half of each, [m] bool: groups and labels spread evenly, and
        units stay whole.
    seed : int
        The seed of the run.
    stats : GroupStats, optional
        Noise and density of each group, where they were estimated.
    transitions : Transitions, optional
        How labels go wrong, where it was estimated.
    reference : Tensor, optional
        The labels of the trusted examples, [m], where there are some.
    handed_on : Mapping of str to Tensor
        The tensors that earlier stages handed on, by names of the method's own.
    failed : Mapping of str to str
        Why earlier stages failed that training went on without, by their names.
    """

    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    index: Tensor
    y: Tensor
    group: Tensor
    groups: tuple[str, ...]
    density: Tensor
    class_count: Tensor
    binned: bool = False
    numbers: Tensor | None = None
    columns: bool = True
    ids: int = 0
    words: tuple[int, int] = (0, 0)
    unit: Tensor | None = None
    halved: Callable[[int, Tensor | None], Tensor] | None = None
    seed: int = 0
    stats: GroupStats | None = None
    transitions: Transitions | None = None
    reference: Tensor | None = None
    handed_on: Mapping[str, Tensor] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_of_a_run(self) -> bool:
        """Whether it is that of a run that is loaded, which trains no more and has no examples."""
        return not len(self.index)
