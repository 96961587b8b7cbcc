"""Families of classes that are chosen by name: losses, class weights, samplers, heads, criteria, methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from skedastic import losses
from skedastic.core.class_weights import CLASS_WEIGHTS, ClassWeights
from skedastic.core.criteria import CRITERIA, Criterion
from skedastic.core.criteria_of_numbers import CRITERIA_OF_NUMBERS
from skedastic.core.heads import HEAD_NAMES, Head
from skedastic.core.samplers import SAMPLERS, Sampler
from skedastic.losses import PerExampleLoss
from skedastic.methods.bases.method import Method
from skedastic.methods.presets import presets


class Family(NamedTuple):
    """Classes that are chosen by name.

    Parameters
    ----------
    kind, many : str
        The name of the family in messages, such as "loss", and its plural.
    base : type
        The base of the classes.
    names : callable
        Returns the classes by name.
    """

    kind: str
    many: str
    base: type[Any]
    names: Callable[[], Mapping[str, Any]]

    def name_of(self, value: Any) -> str:
        """Return the name of an instance; for a class of the user's own, the name of the class."""
        return next((name for name, cls in self.names().items() if cls is type(value)), type(value).__name__)


FAMILIES = (
    Family("loss", "losses", PerExampleLoss, losses.discover),
    Family("class weights", "class weights", ClassWeights, lambda: CLASS_WEIGHTS),
    Family("sampler", "samplers", Sampler, lambda: SAMPLERS),
    Family("head", "heads", Head, lambda: HEAD_NAMES),
    Family("criterion", "criteria", Criterion, lambda: {**CRITERIA, **CRITERIA_OF_NUMBERS}),
    Family("method", "methods", Method, presets),
)


def family_of(hint: Any) -> Family | None:
    """Return the family that a type or a value's type is of."""
    fits = (family for family in FAMILIES if isinstance(hint, type) and issubclass(hint, family.base))
    return next(fits, None)
