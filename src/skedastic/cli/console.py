"""Printing on the command line: progress, tables, notes and sentences. Only this file imports rich, when needed.

Every text goes through `visible`, so that no name can send a terminal its own commands.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import click

from skedastic.report.escaping import in_json, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.table import Table
    from rich.text import Text

    from skedastic.pipeline.prepare import Data
    from skedastic.training.loop import Progress

MOST_GROUPS = 40  # rows of a table of groups
LONGEST_NAME = 40  # characters of a name in a table


@cache
def out() -> Console:
    """Return the console of results."""
    from rich.console import Console

    return Console(highlight=False)


@cache
def err() -> Console:
    """Return the console of progress and notes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print a sentence, broken between words on a terminal and nowhere else."""
    out().print(visible(text), markup=False, emoji=False, soft_wrap=not out().is_terminal)


def say_json(value: Any) -> None:
    """Print plain data as JSON."""
    print(in_json(json.dumps(value, indent=2, ensure_ascii=False)))


def plain(text: str) -> Text:
    """Return a text as the cell of a table, as it is: brackets and words between colons are no markup."""
    from rich.text import Text

    return Text(visible(text))


def name(text: str) -> Text:
    """Return a name of the user's as the cell of a table; a long one keeps its beginning and its end."""
    from skedastic.report.words import shortened

    return plain(shortened(text, LONGEST_NAME))


def reading(source: object, columns: Sequence[str] | None) -> None:
    """Print the source before torch is imported, which takes seconds; nothing where torch is imported already."""
    if "torch" not in sys.modules:
        click.echo(f"reading {visible(str(source))}{'' if columns is None else f': {len(columns)} columns'}", err=True)


def notes(texts: Sequence[str]) -> None:
    """Print notes, a line each."""
    for text in texts:
        err().print(f"note: {visible(text)}", markup=False, emoji=False, style="dim", soft_wrap=not err().is_terminal)


def table(*columns: str, title: str | None = None) -> Table:
    """Return a table without rows, whose first column is text and whose others are numbers."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="dim", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    return table


def show_data(data: Data) -> None:
    """Print the columns and the rows of the data, before anything is trained."""
    test = "no test set" if data.test is None else f"{len(data.test):,} rows to test on"
    err().print(visible(data.source.summary), markup=False, emoji=False, soft_wrap=True)
    err().print(f"{len(data.train):,} rows to train on, {test}", markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Lend a function that shows the progress of each stage: bars on a terminal, else a line when a stage ends."""
    if not err().is_terminal:
        yield _line
        return
    with _bars() as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield report


def _line(stage: str, done: int, total: int) -> None:
    if done == total:
        err().print(f"{stage}: {total} done", markup=False, soft_wrap=True)


def _bars() -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err(), transient=True)
