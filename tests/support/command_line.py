"""Running the command line in a test."""

from pathlib import Path

import click
import pytest

from skedastic.cli import main
from skedastic.errors import UserError

TINY = ("--epochs", "1", "--set", "model.width=8", "--limit", "120")
CSV = "good.csv --target quality"


def run(capsys, *arguments):
    """Run the command line in this process; return the exit status, stdout and stderr."""
    capsys.readouterr()
    status: str | int | None = 0
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refusal(capsys, *arguments, alone=False):
    """Run a command line that is refused: one line on stderr, exit status 2. Return its UserError.

    With `alone`, that line must be all that is printed.
    """
    error, captured = _stopped(capsys, arguments)
    assert isinstance(error, UserError), captured.err
    assert captured.err.splitlines()[-1] == f"error: {' '.join(str(error).split())}"
    assert not alone or (captured.out, captured.err.count("\n")) == ("", 1), captured.err
    return error


def usage_error(capsys, *arguments):
    """Run a command line that click itself refuses: one line, exit status 2.

    Return the option that the error is about, the one that it suggests where none has that name, or what it says.
    """
    error, captured = _stopped(capsys, arguments)
    assert isinstance(error, click.UsageError), captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1), captured.err
    if isinstance(error, click.NoSuchOption):
        return error.possibilities[0]
    return error.param.opts[0] if isinstance(error, click.BadParameter) else error.message


def _stopped(capsys, arguments):
    """Return the error that stops a command line with exit status 2, and what is printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    assert stop.value.code == 2
    return stop.value.__context__, capsys.readouterr()


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))
