"""Label issues of models that put nearly all rows into one class: their lean is no evidence against labels."""

import numpy as np
import torch

from skedastic.data import Classes, Dataset, Grouping
from skedastic.noise.by_target import held_out_predictions, label_issues, noise_stats, without_collapse
from skedastic.noise.confident import match_counts
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


def issues(data: Dataset, held_out: torch.Tensor, fold: torch.Tensor) -> int:
    stats = noise_stats(data, held_out_predictions(data, held_out, fold), Estimation())
    return int(label_issues(data, held_out, stats)["is_issue"].sum())


def test_folds_that_lean_to_different_classes_accuse_no_labels() -> None:
    data, held_out, fold = leaning((3.0, -3.0))
    assert issues(data, held_out, fold) > 100, "as they are, half of the labels look wrong"
    found = without_collapse(data, held_out, fold)
    assert issues(data, found, fold) == 0
    for k in (0, 1):
        torch.testing.assert_close(found[fold == k].mean(0), torch.tensor([0.5, 0.5]), atol=1e-4, rtol=0)


def test_predictions_of_both_classes_stay_as_they_are() -> None:
    data, held_out, fold = leaning((0.2, -0.2))
    assert torch.equal(without_collapse(data, held_out, fold), held_out)
    held_out[:10] = torch.nan
    assert without_collapse(data, held_out, fold)[:10].isnan().all()


def test_a_sharpness_of_one_matches_the_mean() -> None:
    rng = np.random.default_rng(1)
    p, y = torch.from_numpy(rng.dirichlet([5, 1, 1], 300)), torch.from_numpy(rng.choice(3, 300, p=[0.2, 0.5, 0.3]))
    matched = match_counts(p, y, sharpness=1.0)
    torch.testing.assert_close(matched.mean(0), torch.bincount(y).double() / 300, atol=1e-4, rtol=0)
    odds = (matched / p).log()
    torch.testing.assert_close((odds - odds[:1]).diff(dim=1), torch.zeros(300, 2, dtype=odds.dtype), atol=1e-6, rtol=0)
