"""A method's account of itself. Nothing dispatches on a method's class or name; the pipeline asks its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from skedastic.errors import UserError

CLASSIFICATION = frozenset({"classification"})
REGRESSION = frozenset({"regression"})
ANY_TASK = frozenset({"classification", "regression"})

GROUP_STATS = "group_stats"  # a need: an estimate of noise and density per group
TRANSITIONS = "transitions"  # a need: how labels go wrong, by held-out predictions
REFERENCE = "reference"  # a need, and the stream that it comes by: trusted examples, apart from the training set
NEEDS_REFERENCE = (
    "learns from a reference set, trusted examples beside the training set, and there is none: name a file with "
    "--reference, or a share of the training rows to set apart, such as --reference 0.05"
)


def without_reference(name: str) -> UserError:
    """Return the error for a method, by its name, that has no reference set to learn from."""
    return UserError(f"{name} {NEEDS_REFERENCE}", setting="reference", given="")


LAST_LAYER = "a last nn.Linear"
IMAGES = "images"
COLUMNS = "rows of numbers and categories"  # neither images nor tokens
REAL_INPUTS = "numbers or pixels"  # no ids or tokens: it mixes inputs, or moves them a little

ProbabilitiesOf = Literal["labels", "true classes", "neither"]  # of a network that was trained so

PERTURBED = "perturbed"  # a way to wrap: the objective is taken once more, at other weights or with something added
MIXED = "mixed"  # a way to wrap: the examples are mixtures of two, with mixtures of their labels

Role = Literal[
    "baseline", "other", "yardstick", "headline"
]  # in a comparison of all methods; they stand there in this order


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """The tasks of a method, its needs, and the ways in which it can't be wrapped; by default nothing limits it.

    `a & b` are those of a method of both parts: where both have a reason against the same wrapping, that of `a`
    counts.

    Parameters
    ----------
    tasks : frozenset of str
        "classification", "regression" or both.
    needs : frozenset of str
        Its needs beyond the data: GROUP_STATS, TRANSITIONS, REFERENCE.
    takes : tuple of str
        The networks and data that it takes, in words, such as LAST_LAYER or IMAGES.
    incompatible_with : Mapping of str to str
        The ways in which it can't be wrapped, PERTURBED or MIXED, and the reason of each, as a clause.
    """

    tasks: frozenset[str] = ANY_TASK
    needs: frozenset[str] = frozenset()
    takes: tuple[str, ...] = ()
    incompatible_with: Mapping[str, str] = field(default_factory=dict)

    def __and__(self, other: Capabilities) -> Capabilities:
        """Return the capabilities under both limits."""
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
        The name in the configuration and on the command line.
    title, paper, equations : str
        Its title, its source, and the objective that it minimizes.
    family : str
        The heading under which it is listed.
    role : str
        Its place in a comparison of all methods: "baseline" stands first, "headline" last, and
        "yardstick" is in every comparison that it suits.
    capabilities : Capabilities
        Its tasks, needs and requirements, whatever its settings are.
    reduces_to_erm : tuple of Mapping
        Settings in which the method equals plain training to the bit.
    never_erm : str
        Why there are none, where there are none.
    cost : str
        The cost of a step, in words.
    memory : str
        The memory that it takes for each example, in words.
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
