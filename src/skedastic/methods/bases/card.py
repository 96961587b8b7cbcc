"""A method's account of itself. Nothing dispatches on a method's class or name; the pipeline asks its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CLASSIFICATION = frozenset({"classification"})
ANY_TASK = frozenset({"classification", "regression"})

GROUP_STATS = "group_stats"  # a need: an estimate of noise and density per group
REFERENCE = "reference"  # a need, and the stream that it comes by: trusted examples, apart from the training set
NEEDS_REFERENCE = (
    "learns from a reference set, trusted examples beside the training set, and there is none: name a file with "
    "--reference, or a share of the training rows to set apart, such as --reference 0.05"
)

LAST_LAYER = "a last nn.Linear"
IMAGES = "images"
REAL_INPUTS = "numbers or pixels"  # no ids or tokens: it mixes inputs, or moves them a little

PERTURBED = "perturbed"  # wrapped so: its objective is taken once more, at other weights or with something added
MIXED = "mixed"  # wrapped so: its examples are mixtures of two, and so are their labels

Role = Literal["baseline", "other", "headline"]  # in a comparison of all methods; they stand there in this order


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """The tasks that a method is for, what it needs, and how it can't be wrapped; by default nothing limits it.

    `a & b` is what a method of both parts can do: where both have a reason against the same wrapping, that of `a`
    counts.

    Parameters
    ----------
    tasks : frozenset of str
        "classification", "regression" or both.
    needs : frozenset of str
        What it needs beyond the data: GROUP_STATS, REFERENCE.
    takes : tuple of str
        What networks and data it takes, in words, such as LAST_LAYER or IMAGES.
    incompatible_with : Mapping of str to str
        The wrappings that it does not bear, PERTURBED or MIXED, and the reason of each, as a clause.
    """

    tasks: frozenset[str] = ANY_TASK
    needs: frozenset[str] = frozenset()
    takes: tuple[str, ...] = ()
    incompatible_with: Mapping[str, str] = field(default_factory=dict)

    def __and__(self, other: Capabilities) -> Capabilities:
        """Return what is left where both limits apply."""
        return Capabilities(
            tasks=self.tasks & other.tasks,
            needs=self.needs | other.needs,
            takes=(*self.takes, *other.takes),
            incompatible_with={**other.incompatible_with, **self.incompatible_with},
        )


@dataclass(frozen=True, kw_only=True)
class Card:
    """A method's account of itself; its settings stand in its fields.

    Parameters
    ----------
    name : str
        The name that a user gives it by.
    title, paper, equations : str
        What it is in a few words, where it is from, and what it minimizes.
    family : str
        The heading under which it is listed.
    role : str
        "baseline" stands first in a comparison of all methods, "headline" last.
    capabilities : Capabilities
        What it can do, needs and takes, whatever its settings are.
    reduces_to_erm : tuple of Mapping
        Settings in which the method equals plain training to the bit.
    never_erm : str
        Why there are none, where there are none.
    cost : str
        What a step costs, in words.
    memory : str
        What it keeps of each example, in words.
    """

    name: str
    title: str
    paper: str
    equations: str = ""
    family: str = "other"
    role: Role = "other"
    capabilities: Capabilities = field(default_factory=Capabilities)
    reduces_to_erm: tuple[Mapping[str, Any], ...] = ()
    never_erm: str = ""
    cost: str = ""
    memory: str = ""
