"""The networks we ship, one file each, and how a model's name becomes one.

Every file with a function `build(input_shape, classes, *, …options) -> nn.Module` is a model of the file's name; its
keyword-only parameters are the model's options. One that reads texts says so (`READS = "text"`); of its options,
`vocabulary` and `beside` are the data's. A file with a `PREFIX` makes others'
models of names such as `timm:…`, `hf:…` and `file.py:function`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from skedastic.errors import UserError, unknown
from skedastic.models.inputs import Inputs
from skedastic.models.normalized import Normalized
from skedastic.models.refusal import refused
from skedastic.models.row_input import RowInput, vector_width
from skedastic.runtime.discovery import modules_of

OF_THE_DATA = ("vocabulary", "beside")
Prefix = Callable[[str, Inputs, int, Mapping[str, Any]], nn.Module]


@cache
def _modules() -> Mapping[str, ModuleType]:
    return {m.__name__.rpartition(".")[2]: m for m in modules_of(__name__)}


@cache
def discover() -> Mapping[str, ModuleType]:
    """Return the module of every model by its name; its `build` makes one."""
    return {name: module for name, module in _modules().items() if hasattr(module, "build")}


@cache
def prefixes() -> Mapping[str, Prefix]:
    """Return what makes a network of a name such as "hf:…", by its prefix."""
    return {m.PREFIX: m.from_name for m in _modules().values() if hasattr(m, "PREFIX")}


def choose(inputs: Inputs) -> str:
    """Return the model that "auto" means: bilstm for text, resnet32 for images from 16 × 16 pixels, else mlp."""
    if inputs.tokens:
        return "bilstm"
    return "resnet32" if inputs.kind == "image" and min(inputs.shape[-2:]) >= 16 else "mlp"


def make(
    name: str, inputs: Inputs | tuple[int, ...], classes: int, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return a newly initialized network that reads what `inputs` describes.

    name: a model's name, "auto", or one with a prefix. inputs: or the shape of one example of real numbers. classes: the size
    of the output. options: of the model. Raises UserError on an unknown name or option, or an input that the model can't take.
    """
    inputs = inputs if isinstance(inputs, Inputs) else Inputs.plain(inputs)
    name = choose(inputs) if name == "auto" else name
    prefix, colon, rest = name.partition(":")
    if colon and prefix in prefixes():
        return prefixes()[prefix](rest, inputs, classes, options or {})
    if colon:
        return prefixes()["file"](name, inputs, classes, options or {})
    try:
        module = discover()[name]
    except KeyError:
        raise unknown("model", name, ["auto", *discover(), *(f"{p}:…" for p in prefixes())]) from None
    return _around(module, name, inputs, classes, options or {})


def _around(module: ModuleType, name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    known = [p.name for p in inspect.signature(module.build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    known = [k for k in known if k not in OF_THE_DATA]
    for option in options:
        if option not in known:
            raise unknown(f"option of model {name!r}", option, known)
    if inputs.kind == "image":
        net = module.build(inputs.shape, classes, **options)
        return Normalized(net, inputs.mean, inputs.deviation) if inputs.mean else net
    if getattr(module, "READS", "table") == "text":
        given = {"vocabulary": inputs.vocabulary, "beside": vector_width(inputs)}
        return RowInput(module.build((inputs.tokens,), classes, **given, **options), inputs)
    if inputs.tokens:
        rule = "it reads numbers, and the data has a text; take --model bilstm, or leave the text out with --ignore"
        raise refused(name, rule)
    net = module.build((vector_width(inputs),), classes, **options)
    return RowInput(net, inputs) if inputs.has_ids else net


def tokenizer_file(name: str, options: Mapping[str, Any] | None = None) -> Path | None:
    """Return the tokenizer of a pretrained model, by the model's name and options; None where it has none of its own."""
    prefix, colon, rest = name.partition(":")
    found = next((m for m in _modules().values() if getattr(m, "PREFIX", None) == prefix), None) if colon else None
    look: Callable[..., Path | None] | None = getattr(found, "tokenizer_file", None)
    return None if look is None else look(rest, (options or {}).get("pretrained"))


def factory(
    name: str, inputs: Inputs, classes: int, options: Mapping[str, Any] | None = None
) -> Callable[[], nn.Module]:
    """Return the function that makes a fresh network of model `name`, as `make` does."""
    return lambda: make(name, inputs, classes, options)


def whole(name: str, value: int, at_least: int = 1) -> int:
    """Return `value` if it is a whole number of at least `at_least`, else raise UserError naming the option."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise UserError(f"must be a whole number, {at_least} or more", setting=f"model.{name}", value=value)
    return value
