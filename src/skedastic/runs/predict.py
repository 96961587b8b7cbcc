"""Predictions of a trained model for the rows of a source, into a file.

Rows are read and written chunk by chunk; the file has a temporary name until it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from skedastic.data.dataset import Features
from skedastic.data.sources.unlabelled import Chunk, Unlabelled, open_unlabelled
from skedastic.data.targets.groups import group_columns, group_names
from skedastic.runs.calibration import Calibrate, calibration
from skedastic.runs.result import Result
from skedastic.runs.tables import writing

Progress = Callable[[str, int, int], None]


def predict_source(
    result: Result,
    source: str,
    out: str | Path,
    *,
    calibrated: bool = False,
    keep: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write the predictions for the rows of a source into a file.

    Columns: `row`, from 0; those of `keep`; of a folder `path`, the file of each row; `predicted`, the most probable
    label or the number; `group`, where the groups are the source's own, or the cluster of the predicted class;
    `p_CLASS`, the probability of each class.

    Parameters
    ----------
    result : Result
    source : str
        A file, or the name of a built-in set; its columns or images are like those of training.
    out : str or Path
        The file to write: .csv, .parquet or .jsonl.
    calibrated : bool, optional
        Whether probabilities are at the temperature of the run's test rows.
    keep : sequence of str, optional
        Columns of the source that are written too.
    force : bool, optional
        Whether to replace the file.
    progress : callable, optional
        Is told the word "predict", the number of rows done, and of all rows.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    UserError
        The source has other columns than training, a cell can't be read, or `out` can't be written.
    """
    calibrate = calibration(result, calibrated)
    rows = open_unlabelled(source, result.schema, result.roles, keep)
    keep = rows.keep
    done = 0
    with writing(out, force) as writer:
        for chunk in rows.parts():
            frame = _predicted(result, rows, chunk, done, calibrate, keep)
            writer.write(frame)
            done += len(frame)
            if progress is not None:
                progress("predict", done, len(rows))
    return done


def encoded(result: Result, chunk: Chunk) -> Features:
    """Return the network's input [n, ...] for some rows of a source."""
    return chunk.features if isinstance(chunk.features, Tensor) else result.encoder.transform(chunk.features)


def _predicted(
    result: Result, rows: Unlabelled, chunk: Chunk, first: int, calibrate: Calibrate, keep: Sequence[str]
) -> pd.DataFrame:
    x, roles = encoded(result, chunk), result.roles
    predicted = calibrate(result.trained.predict(x))
    target, best, n = result.target, result.target.best(predicted), len(predicted)
    columns: dict[str, Any] = {"row": range(first, first + n)}
    columns |= {name: chunk.cells.read(name).to_numpy() for name in keep}
    columns["predicted"] = target.values(best)
    if roles.groups is not None and (rows.beside or not group_columns(roles.groups, ())):
        columns["group"] = group_names(roles.groups, chunk.cells, rows.schema, [str(v) for v in columns["predicted"]])
    if result.clusters is not None:
        columns["group"] = np.array(result.clusters.names)[result.clusters.of(x, best).numpy()]
    return pd.DataFrame(columns | target.probability_columns(predicted))
