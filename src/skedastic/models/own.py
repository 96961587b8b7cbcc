"""A user's network by the name of the function that makes it: "nets.py:make" or "package.module:make"."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from torch import nn

from skedastic.errors import UserError, unknown


def own_network(name: str) -> nn.Module:
    """Return what the named function or class gives when called without arguments.

    name: "file.py:function", or "package.module:function" as it can be imported from here. The file is run.
    Raises UserError where it can't be found, or gives no network.
    """
    where, _, function = name.rpartition(":")
    module = _from_file(Path(where)) if where.endswith(".py") else _imported(where)
    make = getattr(module, function, None)
    if make is None:
        raise unknown(f"function in {where}", function, [n for n, v in vars(module).items() if callable(v)])
    try:
        net = make if isinstance(make, nn.Module) else make()
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
