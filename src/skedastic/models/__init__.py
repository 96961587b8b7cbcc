"""The networks we ship, one file each, and the way from a model's name to one.

Every file with a function `build(input_shape, classes, options) -> nn.Module` and a class `Options` is a model of the
file's name. One that reads texts says so (`READS = "text"`); its `build` also takes `vocabulary` and `beside`, which
the data gives. One that reads columns (`READS = "columns"`) is given the positions of the `numbers`. A function
`training(inputs, rows, options)` returns the settings of training that suit the model better than the usual ones, and
`SMALL` says that it trains in seconds. A file with a `PREFIX` makes others' models, of names such as `timm:…`, `hf:…`
and `file.py:function`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from skedastic.errors import unknown
from skedastic.models.inputs import Inputs
from skedastic.models.normalized import Normalized
from skedastic.models.options import read_options
from skedastic.models.refusal import refused
from skedastic.models.row_input import RowInput, vector_width
from skedastic.runtime.discovery import modules_of

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
    """Return the functions that make a network of a name such as "hf:…", by its prefix."""
    return {m.PREFIX: m.from_name for m in _modules().values() if hasattr(m, "PREFIX")}


def choose(inputs: Inputs, *, accelerated: bool = False) -> str:
    """Return the model that "auto" means.

    That is bilstm for tokens, and tabular for columns. For images it is convnet, with an accelerator resnet32 from
    16 × 16 pixels on, and mlp below 4 × 4.

    Parameters
    ----------
    inputs : Inputs
        The network's input.
    accelerated : bool, optional
        Whether a GPU or the like trains.
    """
    if inputs.tokens:
        return "bilstm"
    if inputs.kind != "image":
        return "tabular"
    side = min(inputs.shape[-2:])
    return "mlp" if side < 4 else "resnet32" if accelerated and side >= 16 else "convnet"


def make(
    name: str, inputs: Inputs | tuple[int, ...], classes: int, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return a newly initialized network.

    Parameters
    ----------
    name : str
        A model's name, "auto", or a name with a prefix.
    inputs : Inputs or tuple of int
        Its input, or the shape of one example of real numbers.
    classes : int
        The size of its output.
    options : mapping, optional
        Of the model, by name.

    Raises
    ------
    UserError
        There is no such model or option, or the model can't take the input.
    """
    inputs = inputs if isinstance(inputs, Inputs) else Inputs.plain(inputs)
    name = choose(inputs) if name == "auto" else name
    prefix, colon, rest = name.partition(":")
    if colon and prefix in prefixes():
        return prefixes()[prefix](rest, inputs, classes, options or {})
    if colon:
        return prefixes()["file"](name, inputs, classes, options or {})
    return _around(_named(name), name, inputs, classes, options or {})


def check_model(name: str, options: Mapping[str, Any]) -> None:
    """Raise UserError where there is no such model or option, as far as that is known without its input.

    Parameters
    ----------
    name, options
        As in `make`.
    """
    if name != "auto" and ":" not in name:
        read_options(_named(name).Options, name, options)


def _named(name: str) -> ModuleType:
    try:
        return discover()[name]
    except KeyError:
        raise unknown("model", name, ["auto", *discover(), *(f"{p}:…" for p in prefixes())]) from None


def _around(module: ModuleType, name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    chosen = read_options(module.Options, name, options)
    if inputs.kind == "image":
        net = module.build(inputs.shape, classes, chosen)
        return Normalized(net, inputs.mean, inputs.deviation) if inputs.mean else net
    reads = getattr(module, "READS", "table")
    if reads == "text":
        net = module.build((inputs.tokens,), classes, chosen, vocabulary=inputs.vocabulary, beside=vector_width(inputs))
        return RowInput(net, inputs)
    if inputs.tokens:
        rule = "it reads numbers, and the data has a text; take --model bilstm, or leave the text out with --ignore"
        raise refused(name, rule)
    beside = {"numbers": inputs.numbers} if reads == "columns" else {}
    net = module.build((vector_width(inputs),), classes, chosen, **beside)
    return RowInput(net, inputs) if inputs.has_ids else net


def training_of(name: str, inputs: Inputs, rows: int, options: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return the settings of training that suit a model, by name; empty where SGD's usual ones do.

    Parameters
    ----------
    name, inputs, options
        As in `make`.
    rows : int
        Training rows.
    """
    module = _module_of(name, inputs)
    suits: Callable[..., Mapping[str, Any]] | None = getattr(module, "training", None)
    return {} if suits is None else suits(inputs, rows, options or {})


def is_small(name: str, inputs: Inputs, options: Mapping[str, Any] | None = None) -> bool:
    """Return whether a model trains in seconds, so that several ways of training can be tried.

    A frozen body is run once for each row, and what is trained on its features is small; with random weights each
    network has a body of its own, which is run again.

    Parameters
    ----------
    name, inputs, options
        As in `make`.
    """
    chosen = options or {}
    of_features = bool(chosen.get("freeze")) and chosen.get("pretrained") is not False
    return of_features or getattr(_module_of(name, inputs), "SMALL", False)


def _module_of(name: str, inputs: Inputs) -> ModuleType | None:
    name = choose(inputs) if name == "auto" else name
    return _of_prefix(name) if ":" in name else _named(name)


def reads_tokens(name: str) -> bool:
    """Return whether a model reads the tokens of a text; else a text becomes numbers.

    Parameters
    ----------
    name : str
        A model's name, "auto", or a name with a prefix.
    """
    return ":" in name or (name != "auto" and getattr(_named(name), "READS", "table") == "text")


def _of_prefix(name: str) -> ModuleType | None:
    """Return the module that makes models of a name with a prefix, such as "hf:…"."""
    prefix = name.partition(":")[0]
    return next((m for m in _modules().values() if getattr(m, "PREFIX", None) == prefix), None)


def tokenizer_file(name: str, options: Mapping[str, Any] | None = None) -> Path | None:
    """Return the tokenizer of a pretrained model; None where it has none of its own.

    Parameters
    ----------
    name : str
        The model's name.
    options : mapping, optional
        Of the model, by name.

    Raises
    ------
    UserError
        The model can't be found, or has weights and no tokenizer.
    """
    _, colon, rest = name.partition(":")
    module = _of_prefix(name) if colon else None
    find: Callable[..., Path | None] | None = getattr(module, "tokenizer_file", None)
    return None if find is None else find(rest, (options or {}).get("pretrained"))


def factory(
    name: str, inputs: Inputs, classes: int, options: Mapping[str, Any] | None = None
) -> Callable[[], nn.Module]:
    """Return the function that makes a fresh network of a model, as `make` does.

    Parameters
    ----------
    name, inputs, classes, options
        As in `make`.
    """
    return lambda: make(name, inputs, classes, options)
