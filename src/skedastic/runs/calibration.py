"""Probabilities at the temperature of a run."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from skedastic.errors import UserError
from skedastic.evaluation.calibration import with_temperature
from skedastic.runs.summary import RunSummary

Calibrate = Callable[[Tensor], Tensor]


def calibration(summary: RunSummary, calibrated: bool) -> Calibrate:
    """Return the function that probabilities [n, C] go through before they are used.

    Parameters
    ----------
    summary : RunSummary
        The run that predicts.
    calibrated : bool
        Whether its temperature is applied; otherwise probabilities stay as they are.

    Raises
    ------
    UserError
        The run has no temperature, or predicts numbers.
    """
    if not calibrated:
        return lambda probabilities: probabilities
    if not summary.target.has_probabilities:
        rule = "this model predicts numbers, and only probabilities can be calibrated; leave it out"
        raise UserError(rule, setting="calibrated", value=calibrated)
    if (temperature := summary.temperature) is None:
        rule = "this run has no temperature, since there were no rows to fit it on; fit again with --test"
        raise UserError(rule, setting="calibrated", value=calibrated)
    return lambda probabilities: with_temperature(probabilities, temperature)
