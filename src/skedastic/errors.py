"""Errors for users: one line about a value that can't be used, and exit status 2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Number
from typing import Any, Self

LONGEST = 200  # characters that are shown of a value


class UserError(ValueError):
    """A value that the user gave can't be used. The message is one line: the place, the value, the rule, the way out.

    The message is "given: rule", or the rule alone where `given` is empty.

    Parameters
    ----------
    rule : str
        The rule that the value breaks, and the way out.
    setting : str
        Where the value was given: a setting such as "train.lr", an option such as "--resume", a file, or a place in
        one such as "good.csv, line 5, column 'price'".
    value : object
        The value that was given there; None where there was none, or where it can't be shown.
    given : str, optional
        How the message shows setting and value. By default "setting=value", with text in quotes, or "setting" alone
        where there is no value. Empty where the rule is a whole sentence that names them.
    """

    def __init__(self, rule: str, *, setting: str = "", value: object = None, given: str | None = None) -> None:
        value = _plain(value)
        if given is None:
            given = setting if value is None else f"{setting}={_shown(value)}"
        super().__init__(f"{given}: {rule}" if given else rule)
        self.setting, self.value, self.rule, self.given = setting, value, rule, given

    def at(self, place: str) -> Self:
        """Return the same error with the place where it occurred, such as a file, in front."""
        setting = f"{place}, {self.setting}" if self.setting else place
        given = f"{place}: {self.given}" if self.given else place
        return self._with(self.rule, setting, given)

    def during(self, part: str) -> Self:
        """Return the same error about the same setting, with the part of a job in front of its message."""
        return self._with(self.rule, self.setting, f"{part}: {self.given}")

    def of(self, setting: str) -> Self:
        """Return the same error about a setting that is called so where the user gave it."""
        return self._with(self.rule, setting, None)

    def adding(self, way: str) -> Self:
        """Return the same error with a text at its end, such as a way out."""
        return self._with(f"{self.rule}{way}", self.setting, self.given)

    def _with(self, rule: str, setting: str, given: str | None) -> Self:
        error = type(self).__new__(
            type(self)
        )  # not copy.copy: tblib, which distributed brings, makes it share its fields
        error.__dict__.update(self.__dict__)
        UserError.__init__(error, rule, setting=setting, value=self.value, given=given)
        return error


class Diverged(UserError):
    """Training went wrong: the loss, a weight or a prediction is no longer finite.

    Parameters
    ----------
    rule : str
        As of UserError.
    stage : str, optional
        The stage of training; empty where none is known, or it had ended.
    step : int, optional
        The step of the stage, from 1; 0 where none is known.
    rows : sequence of int, optional
        The rows of the source whose loss is not finite; where no stage is known, places in the batch.
    **where
        `setting`, `value` and `given` of UserError.
    """

    def __init__(self, rule: str, *, stage: str = "", step: int = 0, rows: Sequence[int] = (), **where: Any) -> None:
        super().__init__(rule, **where)
        self.stage, self.step, self.rows = stage, step, list(rows)


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's own, which are shown without their type."""
    return value.item() if isinstance(value, Number) and hasattr(value, "item") else value


def _shown(value: object) -> str:
    """Return a value in one line, as Python writes it where it can."""
    try:
        text = repr(value)
    except Exception:  # such as an integer of thousands of digits
        text = f"<{type(value).__name__}>"
    return shortened(" ".join(text.split()) if len(text.splitlines()) > 1 else text)


def shortened(text: str) -> str:
    """Return a text, or its beginning where it is too long for a message."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def first_line(error: BaseException, most: int = 160) -> str:
    """Return the first line of another library's error, or the name of an error that says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0][:most]


class Interrupted(Exception):
    """The user interrupted a run that can be resumed; the message says how."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'har'?" for a name close to a known one, else an empty string."""
    by_lower_case = {str(k).lower(): k for k in known}
    close = get_close_matches(str(name).lower(), by_lower_case, n=1, cutoff=0.6)
    return f"; did you mean {by_lower_case[close[0]]!r}?" if close else ""


def check_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Raise UserError where the value of setting `name` is not a known one."""
    known = list(known)
    if value not in known:
        rule = f"must be one of {', '.join(known)}{suggestion(str(value), known)}"
        raise UserError(rule, setting=name, value=value)


def quoted(name: str) -> str:
    """Return a name as it stands in a list: one with a comma, or a quote before it, in quotes; as in CSV."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"' if "," in name or name.startswith('"') else name


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a `name` that is no `kind`; it has the nearest right name and the known names."""
    known = list(known)
    shown = ", ".join(map(quoted, known[:12])) + (", …" if len(known) > 12 else "")
    close = suggestion(name, known).removeprefix("; ")
    rule = f"{close} (known: {shown or 'none'})" if close else f"known: {shown or 'none'}"
    return UserError(rule, setting=kind, value=name, given=f"unknown {kind} {name!r}")
