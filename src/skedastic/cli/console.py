"""Printing on the command line: progress, tables, notes and sentences. Only this file imports rich, when needed.

Every text goes through `visible`, so that no name can send a terminal its own commands.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from skedastic.runtime.escaping import in_json, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.table import Table
    from rich.text import Text

    from skedastic.pipeline.prepare import Data
    from skedastic.training.plan import Plan

MOST_GROUPS = 40  # rows of a table of groups
SHORT = 10  # seconds of which no line says that they are left
LONGEST_NAME = 40  # characters of a name in a table
LONGEST_LABEL = 24  # characters of a name that is not broken where figures need the room
UNLIMITED = 1_000_000  # characters of a line where no terminal limits it
_told = set[str]()  # notes


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


def notes(texts: Iterable[str]) -> None:
    """Print notes, a line each, but for those that were printed since `forget`."""
    for text in texts:
        if text not in _told:
            err().print(
                f"note: {visible(text)}", markup=False, emoji=False, style="dim", soft_wrap=not err().is_terminal
            )
            _told.add(text)


def forget() -> None:
    """Forget which notes were printed, before another command line is run."""
    _told.clear()


def found(text: str) -> None:
    """Print what was found on the way."""
    err().print(visible(text), markup=False, emoji=False, soft_wrap=not err().is_terminal)


def table(*columns: str, title: str | None = None) -> Table:
    """Return a table without rows, whose first column is text and whose others are numbers."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="dim", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    return table


def show(table: Table) -> None:
    """Print a table; where no terminal limits it, as wide as its cells need, without blanks at the ends of lines."""
    if _limited():
        out().print(table)
        return
    from rich.console import Console

    wide = Console(file=io.StringIO(), highlight=False, width=UNLIMITED)
    with wide.capture() as captured:
        wide.print(table)
    for line in captured.get().splitlines():
        out().print(line.rstrip(), markup=False, emoji=False, soft_wrap=True)


def show_figures(names: Sequence[str], columns: Mapping[str, Sequence[str]], title: str) -> None:
    """Print columns of figures beside names: one table, or several one below the other where a terminal is too narrow.

    Parameters
    ----------
    names : sequence of str
        The names of the n rows.
    columns : mapping of str to sequence of str
        The cells of each column by its head, [n].
    title : str
        The title of the first table.
    """
    tables = _as_few_as_fit(names, columns)
    tables[0].title = title
    for table in tables:
        show(table)


def _as_few_as_fit(names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> list[Table]:
    """Return as few tables as the width allows; a long name is broken rather than another table begun."""
    tables: list[Table] = []
    for parts in range(1, len(columns) + 1):
        for longest in (None, LONGEST_LABEL):
            tables = [_beside(names, part, longest) for part in _split(columns, parts)]
            if not _limited() or all(map(_fits, tables)):
                return tables
    return tables


def _beside(names: Sequence[str], columns: Mapping[str, Sequence[str]], longest: int | None) -> Table:
    beside = table("", *columns)
    beside.columns[0].max_width = longest
    for label, *cells in zip(names, *columns.values(), strict=True):
        beside.add_row(plain(label), *cells)
    return beside


def _split(columns: Mapping[str, Sequence[str]], parts: int) -> list[dict[str, Sequence[str]]]:
    """Return the columns in so many parts, as equal as can be."""
    heads = list(columns)
    ends = [round(len(heads) * i / parts) for i in range(parts + 1)]
    return [{head: columns[head] for head in heads[a:b]} for a, b in pairwise(ends)]


def _limited() -> bool:
    """Return whether lines have a width that they may not exceed."""
    return out().is_terminal or "COLUMNS" in os.environ


def _fits(table: Table) -> bool:
    """Return whether no cell of a table has to be broken."""
    unlimited = out().options.update(width=UNLIMITED)
    return out().measure(table, options=unlimited).maximum <= out().width


def show_data(data: Data) -> None:
    """Print the columns and the rows of the data, before anything is trained."""
    test = "no test set" if data.test is None else f"{len(data.test):,} rows to test on"
    err().print(visible(data.source.summary), markup=False, emoji=False, soft_wrap=True)
    aside = sum(len(found.table) for found in data.gross_errors)
    without = f" ({aside:,} set aside, see the notes)" * bool(aside)
    err().print(f"{len(data.train):,} rows to train on{without}, {test}", markup=False, soft_wrap=True)


class Shown:
    """The progress of a job and the time left of all of it: bars on a terminal, else a line when a part ends."""

    def __init__(self, bars: Bars | None) -> None:
        from skedastic.training.plan import TimeLeft

        self.bars, self.left = bars, TimeLeft()
        self.tasks: dict[str, Any] = {}
        self._has_begun = False

    def begin(self, data: Data, plan: Plan, said: str = "") -> None:
        """Print the data, once, and which method is taken, or how long all takes; take over the plan."""
        from skedastic.training.plan import TimeLeft

        if not self._has_begun:
            show_data(data)
        self._has_begun = True
        if said:
            err().print(visible(said), markup=False, emoji=False, soft_wrap=True)
            _told.add(said)
        self.left = TimeLeft(plan)

    def __call__(self, part: str, done: int, steps: int) -> None:
        """Show that so many steps of a part are done."""
        from skedastic.training.plan import in_words

        seconds = self.left.seconds(part, done, steps) or 0.0
        left = f"{in_words(seconds)} left in all" if seconds >= 1 else ""
        if self.bars is not None:
            self._draw(self.bars, part, done, steps, left)
        elif done == steps:
            line = f"{part}: {steps} done{f'; {left}' if seconds >= SHORT else ''}"
            err().print(visible(line), markup=False, emoji=False, soft_wrap=True)

    def _draw(self, bars: Bars, part: str, done: int, steps: int, left: str) -> None:
        if part not in self.tasks:
            for task in self.tasks.values():
                bars.update(task, left="")
            self.tasks[part] = bars.add_task(part, total=steps, left="")
        bars.update(self.tasks[part], completed=done, left=left)


@contextmanager
def progress() -> Iterator[Shown]:
    """Lend a function that shows the progress of a job."""
    if not err().is_terminal:
        yield Shown(None)
        return
    with _bars() as bars:
        yield Shown(bars)


def _bars() -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    left = TextColumn("{task.fields[left]}", markup=False)
    return Progress(text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), left, console=err(), transient=True)
