"""A user's network by the name of the function that makes it: "nets.py:make" or "package.module:make"."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import textwrap
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from skedastic.errors import UserError, unknown
from skedastic.models.inputs import Inputs
from skedastic.models.normalized import Normalized
from skedastic.models.row_input import RowInput

PREFIX = "file"  # of names with a colon that have no other
OF_THE_DATA = ("inputs", "classes")
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def own_network(name: str) -> nn.Module:
    """Return the network that the named function or class gives when called without arguments.

    Parameters
    ----------
    name : str
        "file.py:function", or "package.module:function" as it can be imported from here. The file is run.

    Raises
    ------
    UserError
        It can't be found, or gives no network.
    """
    return _called(_find(name), name, {})


def from_name(name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the network that the named function gives for `inputs`, `classes` and options, where it takes these.

    Images come to it standardized, ids and tokens as `RowInput` gives them.

    Parameters
    ----------
    name, inputs, classes, options
        As in `models.make`.

    Raises
    ------
    UserError
        As `own_network` does, and for an option that the function does not take.
    """
    make = _find(name)
    takes, anything = _parameters(make)
    for option in options:
        if option in OF_THE_DATA or (option not in takes and not anything):
            raise unknown(f"option of model {name!r}", option, [p for p in takes if p not in OF_THE_DATA])
    given = {k: v for k, v in (("inputs", inputs), ("classes", classes)) if k in takes}
    net = _called(make, name, {**given, **options})
    if inputs.kind == "image":
        return Normalized(net, inputs.mean, inputs.deviation) if inputs.mean else net
    return RowInput(net, inputs) if inputs.has_ids else net


def _find(name: str) -> nn.Module | Callable[..., Any]:
    where, _, function = name.rpartition(":")
    module = _from_file(Path(where), name) if where.endswith(".py") else _imported(where, name)
    make: nn.Module | Callable[..., Any] | None = getattr(module, function, None)
    if not callable(make):  # a network is, too
        raise unknown(f"function in {where}", function, [n for n, v in vars(module).items() if callable(v)])
    return make


def _parameters(make: nn.Module | Callable[..., Any]) -> tuple[list[str], bool]:
    """Return the parameters that can be given by name, and whether others can be, too."""
    if isinstance(make, nn.Module):
        return [], False
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # of some that are written in C
        return [], True
    return [p.name for p in parameters if p.kind in BY_NAME], any(p.kind is p.VAR_KEYWORD for p in parameters)


def _called(make: nn.Module | Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        net = make if isinstance(make, nn.Module) else make(**arguments)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise UserError(_line(error), setting="model", value=name, given=f"{name}() failed") from None
    if not isinstance(net, nn.Module):
        rule = f"it must return a torch.nn.Module; it returned {type(net).__name__}"
        raise UserError(rule, setting="model", value=name, given=name)
    return net


def _from_file(path: Path, name: str) -> ModuleType:
    own = f"{path.stem}_{zlib.crc32(str(path.absolute()).encode()):08x}"  # no name of a module that could be imported
    spec = importlib.util.spec_from_file_location(own, path)
    if spec is None or spec.loader is None or not path.is_file():
        rule = "no such file; give file.py:function"
        raise UserError(rule, setting="model", value=name, given=repr(str(path)))
    module = sys.modules[own] = importlib.util.module_from_spec(spec)  # where dataclasses look their types up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[own]
        given = f"{str(path)!r} can't be run"
        raise UserError(_line(error), setting="model", value=name, given=given) from None
    return module


def _imported(where: str, name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(where)
    except (Exception, SystemExit) as error:
        given = f"module {where!r} can't be imported"
        raise UserError(_line(error), setting="model", value=name, given=given) from None
    finally:
        sys.path.remove("")


def _line(error: BaseException) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …")
