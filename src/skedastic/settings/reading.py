"""Reading a configuration from TOML, `--set key=value` and the command line, and writing it back whole."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from skedastic.configurable import Written
from skedastic.runtime.escaping import in_toml
from skedastic.settings.config import Config
from skedastic.settings.convert import build
from skedastic.settings.layers import layered


def read(
    path: str | Path | None, overrides: Mapping[str, Any], sets: Sequence[str] = (), preset: str | None = None
) -> Config:
    """Return the configuration of the settings of `settings.layers.layered`, with its parameters and its UserError."""
    return build_config(layered(path, overrides, sets, preset))


def read_text(text: str) -> Config:
    """Return the configuration that `to_toml` wrote."""
    return build_config(tomllib.loads(text))


def to_toml(config: Config) -> str:
    """Return the whole configuration as TOML; `read` gives the same configuration back."""
    return in_toml(tomli_w.dumps(_table(config)))


def build_config(data: Mapping[str, Any]) -> Config:
    """Return the configuration of plain data. Raises UserError for an unknown key and for a value that does not fit."""
    named = {"method": {"name": data["method"]}} if isinstance(data.get("method"), str) else {}
    config: Config = build(Config, {**data, **named}, "")
    return config


def _table(settings: Any) -> dict[str, Any]:
    """Return a dataclass as a table of TOML, without the settings that are None by default; another None is "none"."""
    table = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is not None or field.default is not None:
            table[field.name] = "none" if value is None else _plain(value)
    return table


def _plain(value: Any) -> Any:
    """Return a value as TOML can hold it: tables without None, tuples as arrays."""
    if isinstance(value, Written):
        return _plain(value.written())
    if dataclasses.is_dataclass(value):
        return _table(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value
