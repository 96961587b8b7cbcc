"""Predictions of a trained model for the rows of a source, into a file.

Rows are read and written chunk by chunk; the file has a temporary name until it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from skedastic.data.dataset import Features
from skedastic.data.encoders.odd_cells import OddCells
from skedastic.data.encoders.rows import RowEncoder
from skedastic.data.sources.names import named_files
from skedastic.data.sources.unlabelled import Chunk, Unlabelled, open_unlabelled
from skedastic.data.tables.table import Columns
from skedastic.data.targets.groups import group_columns, group_names
from skedastic.errors import UserError
from skedastic.runs.calibration import Calibrate
from skedastic.runs.result import Result
from skedastic.runs.tables import in_type, names_beside, writing, written_type
from skedastic.runs.true_classes import Labels

Progress = Callable[[str, int, int], None]


def unheard(note: str) -> None:
    """Say nothing."""


def predict_source(
    result: Result,
    source: str,
    out: str | Path,
    *,
    calibrated: bool = False,
    labels: Labels = "given",
    keep: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] = unheard,
) -> int:
    """Write the predictions for the rows of a source into a file.

    Columns: `row`, from 0; those of `keep`; of a folder `path`, the file of each row; `predicted`, the most probable
    label or the number; `group`, where the groups are the source's own, or the cluster of the predicted class;
    `p_CLASS`, the probability of each class. A column of `keep` that has the name of one of these is written as
    `source_NAME`. Columns of `keep` have the types that they have in the source.

    Parameters
    ----------
    result : Result
    source : str
        A file, or the name of a built-in set; its columns or images are like those of training.
    out : str or Path
        The file to write: .csv, .parquet or .jsonl.
    calibrated : bool, optional
        Whether probabilities are at the run's temperature.
    labels : str, optional
        "given", "true" or "auto", as in `Result.calibration`.
    keep : sequence of str, optional
        Columns of the source that are written too.
    force : bool, optional
        Whether to replace the file.
    progress : callable, optional
        Is told the word "predict", the number of rows done, and of all rows.
    say : callable, optional
        Is told, a sentence each, what is odd: the columns without any value, and the categories that training never
        saw.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    UserError
        The source has other columns than training, a cell can't be read, `out` can't be written, or nothing is known
        of the true classes.
    """
    if Path(out).resolve() in [Path(path).resolve() for path in named_files(source) or ()]:
        rule = "it is the source, which would be lost; name another file"
        raise UserError(rule, setting="out", value=str(out))
    calibrate = result.calibration(labels, calibrated=calibrated, say=say)
    rows = open_unlabelled(source, result.schema, result.roles, keep)
    schema, names = _columns(result, rows, Path(out).suffix.lower())
    done, odd = 0, OddCells()
    with writing(out, force, schema) as writer:
        for chunk in rows.parts():
            count_odd(result, chunk.features, odd)
            writer.write_table(_predicted(result, rows, chunk, done, calibrate, names, schema))
            done += len(chunk)
            if progress is not None:
                progress("predict", done, len(rows))
    for note in (*rows.notes, *odd.notes):
        say(note)
    return done


def count_odd(result: Result, features: Columns | Tensor | Features, odd: OddCells) -> None:
    """Add what is odd in some rows to `odd`, as the encoder of tables counts it; images have nothing odd."""
    if isinstance(features, Columns) and isinstance(result.encoder, RowEncoder):
        result.encoder.count_odd(features, odd)


def encoded(result: Result, chunk: Chunk) -> Features:
    """Return the network's input [n, ...] for some rows of a source."""
    return chunk.features if isinstance(chunk.features, Tensor) else result.encoder.transform(chunk.features)


def _columns(result: Result, rows: Unlabelled, ending: str) -> tuple[pa.Schema, dict[str, str]]:
    """Return the columns of the file and their types, and the name of each kept column among them."""
    labels = result.target.values(result.target.best(result.target.no_predictions(0)))
    after = {"predicted": pa.array(labels).type}
    if _groups(result, rows) or result.clusters is not None:
        after["group"] = pa.string()
    after |= dict.fromkeys((f"p_{name}" for name in result.target.classes), pa.float32())
    names = names_beside(list(dict.fromkeys(rows.keep)), ("row", *after))
    kept = {new: written_type(rows.kept_type(name), ending) for name, new in names.items()}
    return pa.schema({"row": pa.int64()} | kept | after), names


def _groups(result: Result, rows: Unlabelled) -> bool:
    """Whether each row has a group of its own, beside its prediction."""
    groups = result.roles.groups
    return groups is not None and set(group_columns(groups, rows.beside)) <= set(rows.beside)


def _predicted(
    result: Result,
    rows: Unlabelled,
    chunk: Chunk,
    first: int,
    calibrate: Calibrate,
    names: Mapping[str, str],
    schema: pa.Schema,
) -> pa.Table:
    x, groups = encoded(result, chunk), result.roles.groups
    predicted = calibrate(result.trained.predict(x))
    target, best, n = result.target, result.target.best(predicted), len(predicted)
    labels = target.values(best)
    columns: dict[str, Any] = {"row": range(first, first + n), "predicted": labels}
    columns |= {new: chunk.cells.reader.arrow(name) for name, new in names.items()}
    if groups is not None and _groups(result, rows):
        columns["group"] = group_names(groups, chunk.cells, rows.schema, list(map(str, labels)))
    if result.clusters is not None:
        columns["group"] = np.array(result.clusters.names)[result.clusters.of(x, best).numpy()]
    columns |= target.probability_columns(predicted)
    return pa.table([in_type(_cells(columns[f.name]), f.type, f.name) for f in schema], schema=schema)


def _cells(column: Any) -> pa.Array | pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.array(column)
