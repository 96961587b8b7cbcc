"""Methods that treat some groups more strongly than others say how strongly, for the report."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from skedastic.methods.bases.method import Method
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.wrapper import wrapped


@runtime_checkable
class RegularizesGroups(Protocol):
    """A method with a strength for each group."""

    def enforced(self, state: Any, task: Task) -> Tensor:
        """Return how strongly each group is treated, [G], as it stands in `state`."""
        ...


def enforced_strengths(method: Method, state: Any, task: Task) -> Tensor | None:
    """Return the strength of each group, [G], as it stands in `state`; None where a method has no such thing.

    Of a wrapper it is the strength of the method inside.
    """
    regularizing = next((part for part in wrapped(method) if isinstance(part, RegularizesGroups)), None)
    return None if regularizing is None else regularizing.enforced(state, task)
