"""The figure of the test set that `--optimize` names."""

from __future__ import annotations

import torch
from torch import Tensor

from skedastic.core.criteria import Accuracy, Balanced, Criterion, Held, Worst
from skedastic.data import Dataset
from skedastic.evaluation.metrics import COST


def asked_for(criterion: Criterion | None, predicted: Tensor, test: Dataset) -> dict[str, float]:
    """Return the figure of the test set that a criterion names, by its part; none where it is shown anyway.

    Parameters
    ----------
    criterion : Criterion or None
        The criterion, if any.
    predicted : Tensor
        Class probabilities [m, C].
    test : Dataset
        The m examples of the test set.
    """
    shown = criterion is None or isinstance(criterion, (Balanced, Worst))
    if shown or (isinstance(criterion, Accuracy) and criterion.prior is None):
        return {}
    assert criterion is not None
    scores = predicted.double().clamp_min(torch.finfo(torch.float32).tiny).log()
    value = criterion.score(scores, Held(test.y, test.group, test.classes)).value
    name = "accuracy_at_prior" if isinstance(criterion, Accuracy) else criterion.shown_name().replace("-", "_")
    return {name: -value if name == COST else value}
