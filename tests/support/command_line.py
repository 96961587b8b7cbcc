"""Running the command line in a test."""

from pathlib import Path

from skedastic.cli import main

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


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))
