"""The networks we ship, one file each, and how a model's name becomes a network.

Every file but this one and `normalized.py` is a model of the file's name, with a function
`build(input_shape, classes, *, …options) -> nn.Module` whose keyword-only parameters are the model's options.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from torch import nn

from skedastic.errors import UserError, unknown
from skedastic.models.normalized import Normalized

Build = Callable[..., nn.Module]


@cache
def discover() -> Mapping[str, Build]:
    """Return the `build` function of every model by its name."""
    modules = (importlib.import_module(m.name) for m in pkgutil.iter_modules(__path__, f"{__name__}."))
    return {m.__name__.rpartition(".")[2]: m.build for m in modules if hasattr(m, "build")}


def choose(kind: str, input_shape: tuple[int, ...]) -> str:
    """Return the model that "auto" means: resnet32 for images from 16 × 16 pixels, else mlp."""
    return "resnet32" if kind == "image" and min(input_shape[-2:]) >= 16 else "mlp"


def make(name: str, input_shape: tuple[int, ...], classes: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Return a newly initialized network.

    name: a model's name. input_shape: of one example, without the batch. classes: the size C of the output.
    Raises UserError on an unknown name or option, or an input that the model can't take.
    """
    try:
        build = discover()[name]
    except KeyError:
        raise unknown("model", name, ["auto", *discover()]) from None
    known = [p.name for p in inspect.signature(build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options or {}:
        if option not in known:
            raise unknown(f"option of model {name!r}", option, known)
    return build(input_shape, classes, **(options or {}))


def factory(
    name: str,
    kind: str,
    input_shape: tuple[int, ...],
    classes: int,
    options: Mapping[str, Any] | None = None,
    pixels: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Callable[[], nn.Module]:
    """Return the function that makes a fresh network of model `name` ("auto": by `kind` and shape).

    pixels: mean and deviation of each channel, where the input is images; the network then standardizes them itself.
    """
    name = choose(kind, input_shape) if name == "auto" else name

    def make_net() -> nn.Module:
        net = make(name, input_shape, classes, options)
        return Normalized(net, *pixels) if pixels else net

    return make_net


def whole(name: str, value: int, at_least: int = 1) -> int:
    """Return `value` if it is a whole number of at least `at_least`, else raise UserError naming the option."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise UserError(f"model.{name}={value!r}: must be a whole number, {at_least} or more")
    return value
