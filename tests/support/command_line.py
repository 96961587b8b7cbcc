"""Running the command line in a test."""

from pathlib import Path

import pytest

from skedastic.cli import main
from skedastic.errors import UserError

TINY = ("--epochs", "1", "--set", "model.width=8", "--set", "model.depth=1", "--limit", "120")
CSV = "good.csv --target quality"


def run(capsys, *arguments):
    """Run the command line in this process; return the exit status, stdout and stderr."""
    capsys.readouterr()
    try:
        main([str(a) for a in arguments])
        status = 0
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refusal(capsys, *arguments):
    """Run a command line that is refused: one line on stderr, exit status 2. Return its UserError."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    error = stop.value.__context__
    captured = capsys.readouterr()
    assert stop.value.code == 2
    assert isinstance(error, UserError), captured.err
    assert captured.err.splitlines()[-1] == f"error: {' '.join(str(error).split())}"
    return error


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))
