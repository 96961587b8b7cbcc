"""Whether a source is the one that a run was trained on, by its name: rows themselves are not kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skedastic.data.sources.names import exact_name, named_files
from skedastic.data.split_columns import TRAIN
from skedastic.errors import UserError
from skedastic.runs.summary import RunSummary


def trained_on_note(summary: RunSummary, source: str, rows: int) -> tuple[str, ...]:
    """Return a note that rows of a source were trained on, where the run was trained on it; else nothing.

    A copy under another name is not found.

    Parameters
    ----------
    summary : RunSummary
        The run.
    source : str
        The name of the source that the run is evaluated on.
    rows : int
        How many rows it has.
    """
    trained, own, n = summary.config.source, exact_name(source), sum(summary.train_count)
    if trained is None:
        return ()
    too_good = "so these figures are better than those of new rows would be"
    files, others = _files(own), _files(trained)
    if own == trained or (files and set(files) == set(others)):
        if n > rows:
            return ("the run was trained on a source of this name that had more rows",)
        what = "folder" if Path(own).is_dir() else "file" if files else "set"
        return (f"this is the {what} that the run was trained on: {n:,} of its {rows:,} rows were, {too_good}",)
    if set(files) & set(others) or _is_training_part(own, trained, own_parts=summary.own_test_rows):
        return (f"rows of this source were trained on: it is a part of the run's own source, {too_good}",)
    return ()


def _files(name: str) -> Sequence[Path]:
    """Return the files that a name means, or its folder; nothing where it means none, or they are gone."""
    try:
        files = named_files(name)
    except UserError:
        return ()
    if files is None:
        files = [Path(name)] if Path(name).is_dir() else []
    return [file.resolve() for file in files]


def _is_training_part(name: str, folder: str, *, own_parts: bool) -> bool:
    """Whether a name is a folder below another one; where that has parts for testing, below one for training."""
    inner, outer = Path(name).resolve(), Path(folder).resolve()
    if not (inner.is_dir() and outer.is_dir() and inner.is_relative_to(outer)):
        return False
    below = inner.relative_to(outer).parts
    return not own_parts or (bool(below) and below[0].lower() in TRAIN)
