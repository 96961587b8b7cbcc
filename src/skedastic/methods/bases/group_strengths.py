"""The strengths of methods that treat some groups more strongly than others, for the report."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from skedastic.methods.bases.method import Method
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.wrapper import Wrapper


@runtime_checkable
class RegularizesGroups(Protocol):
    """A method with a strength for each group."""

    def enforced(self, state: Any, task: Task) -> Tensor:
        """Return how strongly each group is treated, [G], as it stands in the state.

        Parameters
        ----------
        state : State
            The method's state.
        task : Task
            The data, as far as a method may know them.
        """
        ...


def enforced_strengths(method: Method, state: Any, task: Task) -> Tensor | None:
    """Return the strength of each group, [G], as it stands in the state; None where a method has none.

    Of a wrapper it is the strength of the method inside.

    Parameters
    ----------
    method : Method
        Any method.
    state : State
        The method's state.
    task : Task
        The data, as far as a method may know them.
    """
    while not isinstance(method, RegularizesGroups):
        if not isinstance(method, Wrapper):
            return None
        state, method = method.inside(state), method.base
    return method.enforced(state, task)
