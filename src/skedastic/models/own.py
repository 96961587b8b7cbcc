"""A user's network by the name of the function that makes it: "nets.py:make" or "package.module:make"."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from skedastic.errors import UserError, unknown
from skedastic.models.inputs import Inputs
from skedastic.models.normalized import Normalized
from skedastic.models.rows import Rows

PREFIX = "file"  # of names with a colon that have no other


def own_network(name: str) -> nn.Module:
    """Return what the named function or class gives when called without arguments.

    name: "file.py:function", or "package.module:function" as it can be imported from here. The file is run.
    Raises UserError where it can't be found, or gives no network.
    """
    return _called(_find(name), name, {})


def from_name(name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Return what the named function gives, called with those of `inputs`, `classes` and the options that it takes by name.

    Images come to it standardized, ids and tokens as `Rows` gives them. Raises UserError as `own_network` does, and for an
    option that the function does not take.
    """
    make = _find(name)
    takes = inspect.signature(make).parameters if not isinstance(make, nn.Module) else {}
    anything = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    for option in options:
        if option not in takes and not anything:
            raise unknown(f"option of model {name!r}", option, [p for p in takes if p not in ("inputs", "classes")])
    given = {k: v for k, v in (("inputs", inputs), ("classes", classes)) if k in takes}
    net = _called(make, name, {**given, **options})
    if inputs.kind == "image":
        return Normalized(net, inputs.mean, inputs.deviation) if inputs.mean else net
    return Rows(net, inputs) if inputs.has_ids else net


def _find(name: str) -> Any:
    where, _, function = name.rpartition(":")
    module = _from_file(Path(where)) if where.endswith(".py") else _imported(where)
    make = getattr(module, function, None)
    if make is None:
        raise unknown(f"function in {where}", function, [n for n, v in vars(module).items() if callable(v)])
    return make


def _called(make: Any, name: str, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        net = make if isinstance(make, nn.Module) else make(**arguments)
    except Exception as error:  # the user's code may raise anything
        raise UserError(f"{name}() failed: {type(error).__name__}: {error}") from None
    if not isinstance(net, nn.Module):
        raise UserError(f"{name} gives a {type(net).__name__}, and no torch.nn.Module")
    return net


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UserError(f"{str(path)!r}: no such file; give file.py:function")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{str(path)!r} can't be run: {type(error).__name__}: {error}") from None
    return module


def _imported(name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise UserError(f"module {name!r} can't be imported: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove("")
