"""Plain data as text: for JSON, and as the command line takes it."""

from __future__ import annotations

from typing import Any


def as_json_values(value: Any) -> Any:
    """Return plain data for JSON, with infinities as text."""
    if isinstance(value, dict):
        return {key: as_json_values(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json_values(v) for v in value]
    return f"{value:g}" if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def as_expression(value: Any) -> str:
    """Return the text of a value as the command line takes it."""
    if isinstance(value, dict) and "name" in value:
        inside = ", ".join(f"{k}={as_expression(v)}" for k, v in value.items() if k != "name" and v is not None)
        return f"{value['name']}({inside})" if inside else str(value["name"])
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={as_expression(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_expression, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
