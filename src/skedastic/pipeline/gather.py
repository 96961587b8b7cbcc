"""The result of a fit, gathered from the parts of the pipeline."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skedastic.evaluation.calibration import fit_temperature
from skedastic.evaluation.intervals import LEAST_ROWS
from skedastic.evaluation.metric import to_digits
from skedastic.evaluation.metrics import AnyMetrics, RegressionMetrics
from skedastic.methods.bases.card import GROUP_STATS
from skedastic.methods.bases.group_strengths import enforced_strengths
from skedastic.methods.bases.method import Method
from skedastic.methods.bases.task import Task
from skedastic.noise.estimate import Estimate
from skedastic.noise.findings import held_against_test, with_strengths
from skedastic.report.content import LabelIssue
from skedastic.runs.result import Result
from skedastic.runs.summary import HELD_OUT, TEST
from skedastic.runtime.environment import environment
from skedastic.settings.config import Config
from skedastic.training.loop import Trained

if TYPE_CHECKING:
    from skedastic.data import Dataset
    from skedastic.pipeline.prepare import Data

SHOWN_ISSUES = 24
EXACT = 64  # pixels of the longer side of an image up to which it is shown as it is
REDUCED = 160  # pixels that this side has at most, where an image is reduced


def make_result(
    config: Config,
    data: Data,
    method: Method,
    task: Task,
    trained: Trained,
    estimated: Estimate | None,
    metrics: AnyMetrics | None,
    predicted: Tensor | None,
) -> Result:
    """Gather the result of a fit from what each part of the pipeline gave."""
    strengths = enforced_strengths(trained.method, trained.state, task)
    if estimated is not None and data.test is not None:
        told = held_against_test(estimated.findings, data.train, data.test, estimated.elsewhere)
        estimated = replace(estimated, findings=told)
    issues = None if estimated is None else estimated.label_issues
    needed = GROUP_STATS in method.capabilities.needs
    findings = None if estimated is None else estimated.findings
    if findings is not None and strengths is not None and needed:
        findings = with_strengths(findings, config.method.get("name", method.card.name))
    return Result(
        config=config,
        method=method,
        kind=data.encoder.kind,
        schema=data.source.schema,
        source_summary=data.source.summary,
        target=data.train.target,
        grouping=data.train.grouping,
        train_count=data.train.group_counts().tolist(),
        class_count=task.class_count.long().tolist(),
        density=data.train.density().tolist(),
        true_noise=true_noise(data),
        group_stats=None if estimated is None else estimated.stats,
        transitions=None if estimated is None else estimated.transitions,
        findings=findings,
        strengths=None if strengths is None else strengths.float(),
        label_issues=issues,
        shown_issues=() if issues is None else tuple(_shown(data, issues)),
        metrics=metrics,
        predictions=_predictions(data.test, predicted),
        temperature=_temperature(data, predicted, trained.held_out),
        temperature_by=HELD_OUT if trained.held_out is not None else TEST,
        history=trained.history,
        seconds=trained.seconds + (estimated.seconds if estimated and needed else 0.0),
        trials=trained.trials,
        rises=trained.rises,
        notes=(
            *data.source.notes,
            *data.notes,
            *(findings.notes if findings else ()),
            *trained.notes,
            *_far_off(metrics, data),
        ),
        environment=environment(config.training.threads),
        own_test_rows=data.source.test_rows is not None,
        trained=trained,
        encoder=data.encoder,
        clusters=data.clusters,
    )


def _far_off(metrics: AnyMetrics | None, data: Data) -> tuple[str, ...]:
    """Return a note where numbers are predicted worse than by the mean of the test rows, of which there are some."""
    if not isinstance(metrics, RegressionMetrics) or metrics.r2 is None or metrics.r2 >= 0:
        return ()
    if data.test is None or len(data.test) < LEAST_ROWS:
        return ()
    why = (
        "wrong targets among the test rows, such as were set aside in training, may be why; mend them, or name a clean "
        "column with --truth"
        if data.gross_errors
        else "little may be learned from these columns, or wrong targets may pull them, or be among the test rows, or, "
        "if they are medians (absolute loss, --optimize mae), skewed targets may have means that are far off"
    )
    return (f"predictions are farther from the test rows than their mean is (R² {metrics.r2:.2f}): {why}",)


def _temperature(data: Data, predicted: Tensor | None, held_out: Tensor | None) -> float | None:
    """Return the temperature of held-out training rows, or else of test rows, at their labels as given.

    Clean ones are for evaluation only.
    """
    if held_out is not None:
        return fit_temperature(held_out, data.train.y)
    if predicted is None or data.test_labels is None or not data.train.target.has_probabilities:
        return None
    return fit_temperature(predicted, data.test_labels)


def _predictions(test: Dataset | None, predicted: Tensor | None) -> pd.DataFrame:
    if test is None or predicted is None:
        return pd.DataFrame(columns=["index", "label", "predicted", "group"])
    target = test.target
    columns = {
        "index": test.index.numpy(),
        "label": target.names(test.y),
        "predicted": target.names(target.best(predicted)),
        "group": pd.Categorical.from_codes(test.group.numpy(), pd.Index(test.groups)),
    }
    return pd.DataFrame(columns | target.probability_columns(predicted))


def true_noise(data: Data) -> list[float | None] | None:
    """Return the share of wrong labels of each group, or the mean squared error of the targets, [G].

    None where no clean labels are known.
    """
    if data.truth is None:
        return None
    wrong = data.train.target.noise(data.train.y, data.truth.of(data.train.index))
    return [
        float(wrong[data.train.group == g].mean()) if (data.train.group == g).any() else None
        for g in range(len(data.train.groups))
    ]


def wrong_labels(data: Data) -> Tensor | None:
    """Return whether the label of each training row is wrong; None where nothing is known, or targets are numbers."""
    if data.truth is None or not data.train.classes:
        return None
    index = data.train.index
    wrong = torch.zeros(int(index.max()) + 1, dtype=torch.bool)
    wrong[index] = data.truth.of(index) != data.train.y
    return wrong


def _shown(data: Data, issues: pd.DataFrame) -> list[LabelIssue]:
    """Return the first label issues as the report shows them; those that are called an issue come first."""
    first = np.argsort(~issues["is_issue"].to_numpy(), kind="stable")[:SHOWN_ISSUES]
    rows = issues.iloc[first]
    clean = None
    if data.truth is not None:
        clean = list(data.train.target.names(data.truth.of(torch.tensor(rows["index"].to_numpy()))))
    shown = []
    described = data.source.describe(rows["index"].tolist())
    for i, row in enumerate(rows.to_dict("records")):
        image = data.source.image(row["index"])
        shown.append(
            LabelIssue(
                index=int(row["index"]),
                given=_written(row["given"]),
                suggested=_written(row["suggested"]),
                score=float(row["score"]),
                truth=None if clean is None else _written(clean[i]),
                image=None if image is None else _data_uri(image),
                row={} if image is not None else described[i],
            )
        )
    return shown


def _written(target: str | float) -> str:
    return target if isinstance(target, str) else to_digits(float(target), 4)


def _data_uri(image: Any) -> str:
    """Return an image that a page can hold: a PNG; of a large one a small JPEG, since 24 large PNGs are megabytes."""
    buffer, kind = io.BytesIO(), "png" if max(image.size) <= EXACT else "jpeg"
    image.thumbnail((REDUCED, REDUCED))
    image.save(buffer, kind)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()
