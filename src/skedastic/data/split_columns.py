"""The rows for training and for testing, and the rows that belong together, where columns of the source say it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from skedastic.data.sources.source import Source
from skedastic.data.tables.roles import Roles
from skedastic.data.tables.table import Table
from skedastic.data.tables.values import coded
from skedastic.errors import UserError

MOST_SHOWN = 6  # classes in a note
TRAIN = ("train", "training")
TEST = ("test", "testing")
VALIDATION = ("validation", "valid", "val", "dev", "eval")


def with_split_columns(source: Source, table: Table, roles: Roles) -> Source:
    """Return a source with its test rows, and its units, as the columns of `roles` say.

    Rows for validation are the test rows where none are named so; else they are left out, and a note says it.

    Parameters
    ----------
    source : Source
        The source of the table.
    table : Table
        Its rows. Where it has parts of its own these count, unless `roles` names a column.
    roles : Roles
        The columns that the user names.

    Raises
    ------
    UserError
        A cell is none of these words, or there is nothing to train on or to test on.
    """
    if roles.group_by is not None:
        codes, _ = coded(table.column(roles.group_by, "column to group by")[0])
        source = replace(source, unit=torch.from_numpy(codes))
    column = roles.split or table.split
    if column is None:
        return source
    cells, place = table.column(column, "split column")
    codes, names = coded(cells)
    words = np.array([name.lower() for name in names])
    train, test, validation = (np.isin(words, known)[codes] for known in (TRAIN, TEST, VALIDATION))
    neither = ~(train | test | validation)
    if neither.any():
        row = int(neither.argmax())
        word = names[codes[row]]
        rule = f"{word!r} is none of train, test and validation; mend the cell, or name another column with --split"
        raise place.error(row, rule, word)
    if not test.any():
        test, validation = validation, np.zeros_like(test)
    if not train.any() or not test.any():
        what = "train" if not train.any() else "test"
        raise UserError(f"it names no row {what}; write train and test into it", setting=place.column)
    left_out = f"left out: {int(validation.sum()):,} rows for validation, since there are others for testing"
    removed = torch.from_numpy(np.flatnonzero(validation))
    notes = (*source.notes, left_out) if len(removed) else source.notes
    notes += _never_trained_on(source, torch.from_numpy(train))
    return replace(source, test_rows=torch.from_numpy(np.flatnonzero(test)), removed=removed, notes=notes)


def _never_trained_on(source: Source, train: torch.Tensor) -> tuple[str, ...]:
    """Return a note on the classes that no training row has; `train` [n] says which rows are some."""
    trained = torch.bincount(source.y[train], minlength=len(source.classes)) if source.classes else torch.ones(0)
    lacking = [name for name, n in zip(source.classes, trained.tolist(), strict=True) if n == 0]
    if not lacking:
        return ()
    named = f"{', '.join(lacking[:MOST_SHOWN])}{', …' * (len(lacking) > MOST_SHOWN)}"
    return (f"no training row has these labels, so the model can't learn them: {named}",)
