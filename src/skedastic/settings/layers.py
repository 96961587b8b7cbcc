"""Settings as they are given: a preset, a file, options and `--set key=value`, one over the other, as plain data.

`skedastic.settings.config` makes a configuration of them. Nothing here needs torch, so that a name that can't be is refused at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skedastic.errors import UserError
from skedastic.settings import presets


def layered(
    path: str | Path | None, overrides: Mapping[str, Any], sets: Sequence[str] = (), preset: str | None = None
) -> dict[str, Any]:
    """Return the settings of a preset, with those of a TOML file, `overrides` and `sets` on top; each may be left out.

    Parameters
    ----------
    path : str or Path, optional
        The TOML file.
    overrides : Mapping
        Settings by dotted name, such as "train.lr"; one that is None is not given.
    sets : sequence of str
        Texts such as "train.lr=0.1", whose values are read as in TOML; bare words need no quotes.
    preset : str, optional
        A paper's table, such as "har-table1".

    Raises
    ------
    UserError
        The preset is unknown, the file can't be read, or a text is no key=value.
    """
    data: dict[str, Any] = {} if preset is None else dict(presets.settings(preset))
    if path is not None:
        data |= _file(path)
    for key, value in overrides.items():
        if value is not None:
            _put(data, key, value)
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {item!r}: write key=value, for example --set train.lr=0.1")
        _put(data, key.strip(), parse(text.strip()))
    return data


def parse(text: str) -> Any:
    """Return what TOML makes of `text`; bare words need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def number(text: str | None) -> float | None:
    """Return the number that a setting such as `test` gives; None where it gives a name, or nothing."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _file(path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"can't read the configuration {str(path)!r}: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{str(path)!r} is not TOML: {error}") from None


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise UserError(f"{key}: {table!r} is already a value, and must be a table; leave {table}=… out")
    data[last] = value
