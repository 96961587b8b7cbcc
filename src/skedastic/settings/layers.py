"""Settings as they are given: a preset, a file, options and `--set key=value`, one over the other, as plain data.

`skedastic.settings.config` makes a configuration of them. Nothing here needs torch, so that a wrong name is refused at
once.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from skedastic.errors import UserError, unknown
from skedastic.runtime.plain_files import check_nesting
from skedastic.settings import presets

LONG_KEY = re.compile(  # a key that tomllib would take minutes to read
    r"""(?<![\w-])(?:(?:"[^"\n]*+"|'[^'\n]*+'|[\w-]++)[ \t]*+\.[ \t]*+){500}"""
)


def layered(
    path: str | Path | None, overrides: Mapping[str, Any], sets: Sequence[str] = (), preset: str | None = None
) -> dict[str, Any]:
    """Return the settings of a preset, with the settings of a TOML file, `overrides` and `sets` on top.

    Parameters
    ----------
    path : str or Path, optional
        The TOML file.
    overrides : Mapping
        Settings by dotted name, such as "train.lr"; one that is None counts as absent.
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
        data = _over(data, file_settings(path))
    for key, value in overrides.items():
        if value is not None:
            _put(data, key, value)
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            rule = "write key=value, for example --set train.lr=0.1"
            raise UserError(rule, setting="--set", value=item, given=f"--set {item!r}")
        _put(data, key.strip(), parse(text.strip()))
    return data


def check_keys(cls: type[Any], data: Mapping[str, Any], where: str = "") -> None:
    """Raise UserError for a key that is no setting of a dataclass, or of the dataclasses that are its tables."""
    hints, names = get_type_hints(cls), {f.name for f in dataclasses.fields(cls) if f.init}
    for key, value in data.items():
        place = f"{where}.{key}" if where else key
        if key not in names:
            raise unknown_setting(cls, place)
        if isinstance(value, Mapping) and dataclasses.is_dataclass(hints[key]):
            check_keys(hints[key], value, place)


def unknown_setting(cls: type[Any], place: str) -> UserError:
    """Return the error for a place that is no setting of a dataclass; it suggests the nearest setting."""
    where = place.rpartition(".")[0]
    return unknown(
        "setting", place, [f"{where}.{f.name}" if where else f.name for f in dataclasses.fields(cls) if f.init]
    )


def parse(text: str) -> Any:
    """Return the value of `text` as TOML reads it; bare words need no quotes."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
        check_nesting(value, text)
    except (ValueError, RecursionError):  # no TOML, a number of thousands of digits, or brackets too deep
        return text
    return value


def _over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others on top; of a table that both have, setting by setting, unless it has a name."""
    tables = {
        key: _over(under[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(under.get(key), Mapping) and "name" not in value
    }
    return {**under, **over, **tables}


def file_settings(path: str | Path) -> dict[str, Any]:
    """Return the settings of a TOML file, as plain data.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    UserError
        It can't be read, is not TOML, or is nested too deeply.
    """
    try:
        text = Path(path).read_text("utf-8")
        if LONG_KEY.search(text):
            raise ValueError("a key has 500 parts or more")
        settings = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"the configuration can't be read ({reason}); name a TOML file", setting=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"the configuration is not TOML ({error}); correct it", setting=str(path)) from None
    check_nesting(settings, str(path))
    return settings


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            rule = f"{table!r} is already a value, and must be a table; leave {table}=… out"
            raise UserError(rule, setting=key, value=value)
    data[last] = value
