"""What a user is told when something they gave can't be used: one line, exit status 2."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Something the user gave can't be used.

    The message is one line: what was given, where, the rule it breaks, the way out.
    """


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
        raise UserError(f"{name}={value!r}: must be one of {', '.join(known)}{suggestion(str(value), known)}")


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a `name` that is no `kind`, with the nearest right one and what there is."""
    known = list(known)
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return UserError(f"unknown {kind} {name!r}{suggestion(name, known)} (known: {shown or 'none'})")
