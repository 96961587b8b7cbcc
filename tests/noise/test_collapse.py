"""Label issues of models that put nearly all rows into one class: their lean is no evidence against labels."""

import numpy as np
import torch

from skedastic.data import Classes, Dataset, Grouping
from skedastic.noise.by_target import held_out_predictions, label_issues, noise_stats
from skedastic.settings.config import Estimation


def leaning(lean: tuple[float, float], n: int = 400) -> tuple[Dataset, torch.Tensor, torch.Tensor]:
    """Return data of two classes, and predictions of two folds that rank well and lean to one class each."""
    rng = np.random.default_rng(0)
    y = np.arange(n) // 2 % 2
    fold = torch.arange(n) % 2
    logit = 0.5 * (2 * y - 1) + 0.1 * rng.normal(size=n) + np.array(lean)[fold]
    p = 1 / (1 + np.exp(-logit))
    target, groups = Classes(("a", "b")), Grouping(("a", "b"))
    labels = torch.from_numpy(y)
    data = Dataset(torch.zeros(n, 1), labels, torch.arange(n), labels, target, groups, "table")
    return data, torch.from_numpy(np.c_[1 - p, p]).float(), fold


def test_folds_that_lean_to_different_classes_accuse_no_labels() -> None:
    for lean in ((0.2, -0.2), (1.0, -1.0), (3.0, -3.0)):
        data, held_out, fold = leaning(lean)
        predictions = held_out_predictions(data, held_out, fold)
        stats = noise_stats(data, predictions, Estimation())
        found = label_issues(data, predictions, stats, torch.ones(400, dtype=torch.bool))
        assert int(found["is_issue"].sum()) <= 4
        assert float(stats.wrong.max()) < 0.02
