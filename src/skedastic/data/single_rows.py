"""Classes with a single training row, which can be neither held out nor learned: the row is set aside."""

from __future__ import annotations

from dataclasses import replace

import torch

from skedastic.data.sources.source import Source
from skedastic.errors import UserError

MOST_SHOWN = 6  # classes in a note
MOST_SET_ASIDE = 0.5  # of the training rows; a column of more is hardly the target
WAY_OUT = "collect more rows of such classes, or merge each with another"


def without_single_rows(source: Source, *, tested: bool) -> Source:
    """Return a source without the training rows that are the only ones of their classes; a note names these.

    The classes stay, as others without a training row do: in a test set of its own their rows count as wrong.

    Parameters
    ----------
    source : Source
        The source that is trained on, whole.
    tested : bool
        Whether test rows come from another source, and so may be of these classes; those of the source itself are
        looked at.

    Raises
    ------
    UserError
        Fewer than two classes would be left, or less than half of the rows.
    """
    if not source.classes:
        return source
    rows = source.rows if source.test_rows is None else source.rows[~torch.isin(source.rows, source.test_rows)]
    count = source.target.counts(source.y[rows])
    single = rows[count[source.y[rows]] == 1]
    if not len(single):
        return source
    names = [source.classes[c] for c in sorted(source.y[single].tolist())]
    if (count > 1).sum() < 2 or len(single) > MOST_SET_ASIDE * len(rows):
        left = "fewer than two classes" if (count > 1).sum() < 2 else "less than half of the rows"
        rule = f"a class of a single training row can't be learned, and without these {left} would be left; {WAY_OUT}"
        raise UserError(rule, setting=source.target.column, value=names[0]).at(source.name)
    if source.test_rows is not None:
        tested = bool(torch.isin(source.y[source.test_rows], source.y[single]).any())
    removed = single if source.removed is None else torch.cat([source.removed, single])
    return replace(source, removed=removed, notes=(*source.notes, _said(names, tested=tested)))


def _said(names: list[str], *, tested: bool) -> str:
    """Return the note on the rows that are set aside, one of each of these classes."""
    shown = f"{', '.join(names[:MOST_SHOWN])}{', …' * (len(names) > MOST_SHOWN)}"
    if len(names) == 1:
        of, counted = f"1 row, the only one for training of the class {shown}", "its test rows count as wrong"
    else:
        of = f"{len(names):,} rows, the only ones for training of as many classes ({shown})"
        counted = "their test rows count as wrong"
    why = "it" if len(names) == 1 else "each"
    return f"set aside: {of}; {why} can be neither held out nor learned{f', and {counted}' * tested}; {WAY_OUT}"
