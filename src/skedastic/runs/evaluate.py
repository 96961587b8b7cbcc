"""The figures of a trained model on a labelled source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from skedastic.data import open_later
from skedastic.data.dataset import with_clean_labels
from skedastic.data.encoders.odd_cells import OddCells
from skedastic.errors import UserError
from skedastic.evaluation.evaluate import evaluate
from skedastic.evaluation.metrics import AnyMetrics, ClassificationMetrics
from skedastic.runs.asked import asked_for
from skedastic.runs.predict import count_odd, unheard
from skedastic.runs.result import Result
from skedastic.runs.trained_on import trained_on_note
from skedastic.runs.true_classes import Labels
from skedastic.settings.methods import the_criterion


def evaluate_source(
    result: Result,
    source: str,
    calibrated: bool = False,
    labels: Labels = "given",
    say: Callable[[str], None] = unheard,
) -> AnyMetrics:
    """Return the metrics of a trained model on a labelled source.

    Parameters
    ----------
    result : Result
    source : str
        A file, or the name of a built-in set; its columns or images are like those of training, with the target.
    calibrated : bool, optional
        Whether probabilities are at the run's temperature.
    labels : str, optional
        "given", "true" or "auto", as in `Result.calibration`.
    say : callable, optional
        Is told, a sentence each, what is odd: that rows were trained on, the columns without any value, and the
        categories that training never saw.

    Raises
    ------
    UserError
        The source can't be read, or has other columns, labels or groups than training; or nothing is known of the
        true classes.
    """
    calibrate = result.calibration(labels, calibrated=calibrated, say=say)
    opened = open_later(source, result.schema, result.config.column_roles)
    if opened.groups != result.schema.grouping.names:
        rule = "it has no groups, and the training data has groups of its own; name them in the source"
        raise UserError(rule, setting=source)
    dataset = opened.dataset(torch.arange(len(opened)), result.encoder, result.target)
    odd = OddCells()
    count_odd(result, opened.features, odd)
    for note in (*trained_on_note(result, source, len(opened)), *opened.notes, *odd.notes):
        say(note)
    truth = opened.truth_of(dataset.index)
    test = with_clean_labels(dataset, truth)
    test = test if result.clusters is None else result.clusters.regrouped(test)
    predicted = calibrate(result.trained.predict(test.x))
    metrics = replace(evaluate(predicted, test, result.train_count), by_truth=truth is not None)
    if isinstance(metrics, ClassificationMetrics):
        return replace(metrics, asked=asked_for(the_criterion(result.config), predicted, test))
    return metrics
