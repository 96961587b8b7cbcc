"""A trained model on other data: predictions into a file, figures of a labelled source, the labels to check, an export.

Predictions are read and written a part at a time; what is written has a temporary name until it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skedastic.data import Roles, open_source, open_table
from skedastic.data.dataset import with_clean_labels
from skedastic.data.sources.unlabelled import Chunk, Unlabelled, open_unlabelled
from skedastic.data.targets.groups import group_columns, group_names
from skedastic.errors import UserError, check_choice
from skedastic.evaluation.calibration import with_temperature
from skedastic.evaluation.classification import evaluate
from skedastic.evaluation.regression import evaluate_regression
from skedastic.runs.result import Result
from skedastic.runs.tables import writing
from skedastic.settings.config import Config

Progress = Callable[[str, int, int], None]
CHECKED = 512  # rows that an exported network is checked on


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
    """Write what `result` predicts of the rows of a source into a .csv, .parquet or .jsonl file; return how many rows.

    Columns: `row`, from 0; those of `keep`; `predicted`, the most probable label or the number; `group`, where the groups are
    the source's own, or the cluster of the predicted class; `p_CLASS`, the probability of each class. calibrated: at the temperature of the run's test rows.
    Raises UserError where the source has other columns than training, a cell can't be read, or `out` can't be written.
    """
    roles = roles_of(result.config)
    if calibrated:
        _check_temperature(result)
    rows = open_unlabelled(source, result.schema, roles, keep)
    done = 0
    with writing(out, force) as writer:
        for part in rows.parts():
            frame = _predicted(result, rows, part, roles, done, calibrated, keep)
            writer.write(frame)
            done += len(frame)
            if progress is not None:
                progress("predict", done, len(rows))
    return done


def evaluate_source(result: Result, source: str, calibrated: bool = False) -> dict[str, Any]:
    """Return the figures of `result` on a labelled source, as in its metrics. Raises UserError as `open_source` does."""
    if calibrated:
        _check_temperature(result)
    opened = open_source(source, schema=result.schema, **result.config.column_roles)
    if opened.groups != result.schema.groups:
        raise UserError("the training data has groups of its own, and this source has none; name them in the source")
    dataset = opened.dataset(torch.arange(len(opened)), result.encoder, result.scale)
    test = with_clean_labels(dataset, opened.truth_of(dataset.index))
    test = test if result.clusters is None else result.clusters.regrouped(test)
    predicted = result.trained.predict(test.x)
    if result.scale is not None:
        return evaluate_regression(predicted, test.y, test.group, test.groups, result.train_count)
    predicted = _at_temperature(result, predicted, calibrated)
    return evaluate(predicted, test.y, test.group, test.classes, test.groups, result.train_count)


def roles_of(config: Config) -> Roles:
    """Return what a configuration says of the columns of a source."""
    return Roles(**config.column_roles)


def _predicted(
    result: Result, rows: Unlabelled, part: Chunk, roles: Roles, first: int, calibrated: bool, keep: Sequence[str]
) -> pd.DataFrame:
    features = part.features
    x = features if isinstance(features, Tensor) else result.encoder.transform(features)
    answers = result.trained.predict(x)
    n = len(answers)
    columns: dict[str, Any] = {"row": range(first, first + n)}
    columns |= {name: part.cells.read(name).to_numpy() for name in keep}
    if result.scale is not None:
        columns["predicted"] = answers.numpy()
    else:
        answers = _at_temperature(result, answers, calibrated)
        columns["predicted"] = result.labels[answers.argmax(1).numpy()]
    if roles.groups is not None and (rows.beside or not group_columns(roles.groups, ())):
        columns["group"] = group_names(roles.groups, part.cells, rows.schema, [str(v) for v in columns["predicted"]])
    if result.clusters is not None:
        y = torch.zeros(n, dtype=torch.int64) if result.scale is not None else answers.argmax(1)
        columns["group"] = np.array(result.clusters.names)[result.clusters.of(x, y).numpy()]
    if result.scale is None:
        columns |= {f"p_{c}": answers[:, i].numpy() for i, c in enumerate(result.classes)}
    return pd.DataFrame(columns)


def _check_temperature(result: Result) -> None:
    if result.scale is not None:
        raise UserError(
            "calibrated: this model predicts numbers, and only probabilities can be calibrated; leave it out"
        )
    if result.temperature is None:
        raise UserError(
            "calibrated: this run has no temperature, since there was no test set to fit it on; fit again with --test"
        )


def _at_temperature(result: Result, probabilities: Tensor, calibrated: bool) -> Tensor:
    if not calibrated:
        return probabilities
    assert result.temperature is not None
    return with_temperature(probabilities, result.temperature)


def suspects_with_rows(result: Result, top: int | None = None) -> pd.DataFrame:
    """Return the suspects of a run, the most suspect first, with the cells of their rows and an empty column `corrected`.

    A label that a person writes there goes into `fit --labels FILE`. top: how many; by default those that are called an
    issue. Raises UserError where nothing was estimated, or the source is no longer there.
    """
    suspects = result.suspects
    if suspects is None:
        raise UserError("this run has no suspects, since nothing was held out; fit again with estimate.kind=cross-fit")
    chosen = suspects[suspects["is_issue"]] if top is None else suspects.head(top)
    chosen = chosen.rename(columns={"index": "row"}).reset_index(drop=True)
    chosen.insert(list(chosen.columns).index("given") + 1, "corrected", "")
    if not result.config.source or not result.schema.kinds:
        return chosen
    table = open_table(result.config.source)
    rows = chosen["row"].to_numpy()
    for name in result.schema.kinds:
        if name in table.names and name not in chosen.columns:
            chosen[name] = table.read(name).take(rows).to_numpy()
    return chosen


def export_run(result: Result, form: str, out: str | Path, rows: str | None = None, force: bool = False) -> str:
    """Write the network of a run as a file that others can run; return what it is and how near, in a sentence.

    form: "onnx", "torch-export" or "safetensors". rows: a source to check it on; by default the run's own. Raises UserError
    where there are no rows, and where the file would not give what the network gives, to 1e-4.
    """
    from skedastic.runs.export import FORMATS as KINDS
    from skedastic.runs.export import export_network

    check_choice("--format", form, KINDS)
    source = rows or result.config.source
    if not source:
        raise UserError("the run's data was given in Python: name rows to check the file on with --rows SOURCE")
    part = next(open_unlabelled(source, result.schema, roles_of(result.config)).parts())
    x = part.features if isinstance(part.features, Tensor) else result.encoder.transform(part.features)
    assert isinstance(x, Tensor)
    parity = export_network(result.net, x[:CHECKED], Path(out), form, force=force)
    return f"{out}: {form}, equal to the network on {parity.rows:,} rows but for {parity.difference:.2g}"
