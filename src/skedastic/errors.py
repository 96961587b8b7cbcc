"""What a user is told when something they gave can't be used: one line, exit status 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from numbers import Number
from typing import Any

LONGEST = 200  # characters that are shown of a value


class UserError(ValueError):
    """Something the user gave can't be used. Its message is one line: where and what was given, the rule, the way out.

    Parameters
    ----------
    rule : str
        What is right, and the way out.
    setting : str
        Where the value was given: a setting such as "train.lr", an option, a file with line and column.
    value : object
        What was given there. It is shown behind the setting, text in quotes; None shows the setting alone.

    Raises nothing of its own. `str` of it is "setting=value: rule", "setting: rule" or "rule".
    """

    def __init__(self, rule: str, *, setting: str = "", value: object = None) -> None:
        value = _plain(value)
        given = setting if value is None else f"{setting}={_one_line(repr(value))}"
        super().__init__(f"{given}: {rule}" if given else rule)
        self.setting, self.value, self.rule = setting, value, rule

    def __reduce__(self) -> tuple[Callable[..., UserError], tuple[Any, ...]]:
        """Let it cross from a process to another with its fields."""
        return _rebuilt, (type(self), self.rule, self.setting, self.value)


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's own, which are shown without their type."""
    return value.item() if isinstance(value, Number) and hasattr(value, "item") else value


def _one_line(text: str) -> str:
    text = " ".join(text.split()) if "\n" in text else text
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _rebuilt(cls: type[UserError], rule: str, setting: str, value: object) -> UserError:
    return cls(rule, setting=setting, value=value)


class Interrupted(Exception):
    """The user ended it, and it can be gone on with; the message says how."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'har'?" for a name close to a known one, else an empty string."""
    by_lower_case = {k.lower(): k for k in known}
    close = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return f"; did you mean {by_lower_case[close[0]]!r}?" if close else ""


def check_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Raise UserError where the value of setting `name` is none of the known ones."""
    known = list(known)
    if value not in known:
        rule = f"must be one of {', '.join(known)}{suggestion(str(value), known)}"
        raise UserError(rule, setting=name, value=value)


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a `name` that is no `kind`, with the nearest right one and what there is."""
    known = list(known)
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return UserError(f"unknown {kind} {name!r}{suggestion(name, known)} (known: {shown or 'none'})")
