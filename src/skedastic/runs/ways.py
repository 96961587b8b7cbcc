"""Commands that a message tells the user to run, as they can be pasted: a path with spaces or quotes is quoted."""

from __future__ import annotations

import shlex
from pathlib import Path

from skedastic.runtime.limits import options_given
from skedastic.settings.trust import option_naming


def way_on(verb: str, folder: str | Path, model: str = "") -> str:
    """Return the command that goes on with an interrupted run, with the trust and the limits that were given.

    Parameters
    ----------
    verb : str
        "fit" or "compare".
    folder : str or Path
        The folder of the run.
    model : str, optional
        The name of its model.
    """
    return f"{command(verb, '--resume', folder)}{option_naming(model)}{options_given()}"


def command(verb: str, *words: str | Path) -> str:
    """Return the command line of a verb with its options and their values."""
    return shlex.join(["skedastic", verb, *map(str, words)])


def option(name: str, value: str | Path) -> str:
    """Return an option with its value, such as "--out 'my runs/1'"."""
    return shlex.join([name, str(value)])
