"""From a run folder back to a result, or to its figures alone. Nothing pickled is ever read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from skedastic.errors import UserError
from skedastic.runs.damaged import UNREADABLE, reading
from skedastic.runs.folder import CHECKPOINTS, FORMAT, MODEL, STATE, WITH_COLUMNS, check_run
from skedastic.runs.group_columns import with_columns
from skedastic.runs.result import Result
from skedastic.runs.saved_network import read_network
from skedastic.runs.saved_summary import read_summary
from skedastic.runs.summary import RunSummary
from skedastic.runtime.plain_files import json_value
from skedastic.settings.trust import check_trusted


def load(folder: str | Path, model: Callable[[], nn.Module] | str | None = None, *, trust: bool = False) -> Result:
    """Return the result that `Result.save` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder of the run.
    model : callable or str, optional
        The function that makes the network, where `fit` was given one. Or the name of the model, where that is code
        such as "nets.py:make": it must be the one that the run names.
    trust : bool, optional
        Whether code that the run names may be run, though you do not name it. A run of others may name any code.

    Returns
    -------
    Result
        It predicts as the saved one did, and saving it again gives the same files.

    Raises
    ------
    UserError
        The folder is no run, another version wrote it, one of its files is damaged, or it names code to be run.
    """
    path = Path(folder)
    with _one_line(path, STATE, MODEL):
        state = _state(path)
        summary = read_summary(path, state["summary"])
        if model is None or isinstance(model, str):
            check_trusted(summary.config.model.name, typed=model, trusted=trust)
            model = None
        trained, encoder, clusters = read_network(path, state["network"], summary, model)
    kept = path.resolve() if (path / CHECKPOINTS).is_dir() else None
    return Result.of(summary, trained, encoder, clusters, kept)


def load_summary(folder: str | Path) -> RunSummary:
    """Return the figures of the run that `Result.save` wrote. The network is not read.

    Parameters
    ----------
    folder : str or Path
        The folder of the run.

    Returns
    -------
    RunSummary
        The figures, which a report, a model card and a comparison are made of.

    Raises
    ------
    UserError
        The folder is no run, another version wrote it, or a file with its figures is damaged.
    """
    path = Path(folder)
    with _one_line(path, STATE):
        return read_summary(path, _state(path)["summary"])


def _state(path: Path) -> dict[str, Any]:
    """Return the values of `state.json`: what `write_summary` and `write_network` returned is there."""
    with reading(STATE):
        state: dict[str, Any] = json_value((path / STATE).read_text("utf-8"), STATE)
        if state.get("format") not in (FORMAT, WITH_COLUMNS):
            written = state.get("format")
            rule = f"another version wrote it (format {written}, and here {FORMAT}); fit again"
            raise UserError(rule, setting=STATE, value=written, given=STATE)
        summary = dict(with_columns(state["summary"], path))
        return {**state, "summary": summary, "network": dict(state["network"])}


@contextmanager
def _one_line(path: Path, *needed: str) -> Iterator[None]:
    """Turn every error of a folder that is read in this context into a UserError of one line."""
    check_run(path, *needed)
    try:
        yield
    except UserError as error:
        raise error.at(str(path)) from None
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:160]
        rule = f"the run folder is damaged ({type(error).__name__}: {reason}); restore it, or fit again"
        raise UserError(rule, setting=str(path)) from None
