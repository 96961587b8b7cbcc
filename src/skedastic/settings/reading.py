"""A configuration is read from TOML, `--set key=value` and the command line, and written back whole."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from skedastic.configurable import Written
from skedastic.errors import UserError
from skedastic.settings import presets as experiments
from skedastic.settings.config import Config
from skedastic.settings.convert import build, parse


def read(
    path: str | Path | None, overrides: Mapping[str, Any], sets: Sequence[str] = (), preset: str | None = None
) -> Config:
    """Return the configuration of a preset of `experiments`, with a TOML file, `overrides` and `--set key=value` on top.

    Each may be left out; an override that is None is not given. Raises UserError where one can't be read.
    """
    data: dict[str, Any] = {} if preset is None else dict(experiments.settings(preset))
    if path is not None:
        try:
            data |= tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"can't read the configuration {str(path)!r}: {getattr(error, 'strerror', None) or error}"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"{str(path)!r} is not TOML: {error}") from None
    for key, value in overrides.items():
        if value is not None:
            _put(data, key, value)
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {item!r}: write key=value, for example --set train.lr=0.1")
        _put(data, key.strip(), parse(text.strip()))
    return build_config(data)


def to_toml(config: Config) -> str:
    """Return the whole configuration as TOML; `read` gives the same configuration back."""
    return tomli_w.dumps(_table(config))


def build_config(data: Mapping[str, Any]) -> Config:
    """Return the configuration of plain data; raises UserError for an unknown key, and a value of the wrong type."""
    named = {"method": {"name": data["method"]}} if isinstance(data.get("method"), str) else {}
    config: Config = build(Config, {**data, **named}, "")
    return config


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise UserError(f"{key}: {table!r} is already a value, and must be a table; leave {table}=… out")
    data[last] = value


def _table(settings: Any) -> dict[str, Any]:
    """Return a dataclass as a table of TOML. None is no value there: it is absent where it is the default, else "none"."""
    table = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is not None or field.default is not None:
            table[field.name] = "none" if value is None else _plain(value)
    return table


def _plain(value: Any) -> Any:
    """Return what TOML can hold: tables without None, tuples as arrays."""
    if isinstance(value, Written):
        return _plain(value.written())
    if dataclasses.is_dataclass(value):
        return _table(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value
