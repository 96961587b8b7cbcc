"""The command line: verbs over `pipeline`, one file each, loaded when they are asked for.

A verb first makes the checks that need no data (`early`). Only then does it import torch, pandas and the like.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from typing import Any

import click

from skedastic.cli import console
from skedastic.errors import Diverged, Interrupted, UserError, shortened, unknown
from skedastic.runtime.allocator import keep_freed_memory
from skedastic.runtime.escaping import visible
from skedastic.runtime.launch import end_with_parent, is_first, is_launched
from skedastic.runtime.printing import forgiving
from skedastic.runtime.signals import taken_as_interrupts
from skedastic.version import __version__

DIVERGED, UNPRINTED = 3, 4  # the exit statuses where training went wrong, and what is printed could not be written
READER_GONE = 141  # as a shell says of a process that SIGPIPE has ended
VERBS = ("fit", "compare", "estimate", "predict", "evaluate", "suspects", "export", "show", "doctor", "methods", "taps")


class Verbs(click.Group):
    """A group that loads a verb from the module of its name, and suggests the nearest one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, in the order of `--help`."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a verb by its name; None where there is none."""
        if name not in VERBS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{name}"), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Return the verb; raises UserError with the nearest one where there is none."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise unknown("verb", args[0], VERBS)
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="skedastic")
def app() -> None:
    """Train models that hold up where labels are noisy and examples are rare.

    \b
    skedastic fit data.csv --target quality          train one model, see its report
    skedastic compare data.csv --target quality      plain training against HAR, over seeds
    skedastic estimate data.csv --target quality     how noisy and how rare each group is
    skedastic predict runs/fit-data new.csv --out predicted.csv
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    A value that can't be used is one line on stderr, and exit status 2. Numbers of training that are no longer finite
    are a line too, and exit status 3. An interrupt is one line, and exit status 130;
    so is a signal that tells the process to end, and its status. Where what is printed can't be written the work goes
    on all the same; the exit status is then 141 if its reader has ended, as `head` does, and else 4.

    Parameters
    ----------
    arguments : list of str, optional
        The words of the command line; by default those of the process.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.showwarning = _noted
    console.forget()
    keep_freed_memory()
    with forgiving() as printed:
        _run(sys.argv[1:] if arguments is None else arguments)
        printed.flush()
        if printed.failure is not None and not printed.reader_is_gone:
            reason = printed.failure.strerror or printed.failure
            _stop(f"what is printed can't be written ({reason}); what was asked for is done", UNPRINTED)
    if printed.reader_is_gone:
        sys.exit(READER_GONE)
    _leave(0)


def _run(arguments: list[str]) -> None:
    """Run the verb of a command line; each error that a user can mend is one line and an exit status."""
    with taken_as_interrupts() as came:
        try:
            if is_launched():
                _check_launched(arguments)
            app.main(args=arguments or ["--help"], prog_name="skedastic", standalone_mode=False, obj=arguments)
        except Diverged as error:
            _stop(str(error), DIVERGED)
        except UserError as error:
            _stop(str(error), 2)
        except (click.exceptions.Abort, KeyboardInterrupt):
            left = "the run is as it was" if "--resume" in arguments else "nothing was written"
            _stop(f"interrupted; {left}", came.status)
        except Interrupted as error:
            _stop(str(error), came.status)
        except click.ClickException as error:
            _stop(error.format_message(), 2)
        except MemoryError:
            _stop("there is not enough memory; take fewer rows (--limit N), or a machine with more", 2)
        except OSError as error:
            if error.filename is None:
                raise
            _stop(f"{shortened(str(error.filename))}: {error.strerror}", 2)


def _check_launched(arguments: list[str]) -> None:
    """Refuse verbs that several processes can't share; all but the first are silent."""
    if arguments[:1] != ["fit"]:
        rule = "only fit trains in several processes; run this in one"
        raise UserError(rule, setting="verb", value=" ".join(arguments[:1]), given=" ".join(arguments[:1]))
    end_with_parent()
    if not is_first():
        warnings.showwarning = lambda *_, **__: None
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives


def _noted(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as a note, once, and without the line of code that it comes from."""
    console.notes([" ".join(str(message).split())])


def _stop(message: str, status: int) -> None:
    click.echo(f"error: {visible(' '.join(message.split()))}", err=True)
    _leave(status)
    sys.exit(status)


def _leave(status: int) -> None:
    """End one of several processes at once: torch's threads might wait for the others, or end it by an abort."""
    if is_launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
