"""Noise and label issues by the kind of target."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from skedastic.data import Classes, Dataset, Grouping, Numbers
from skedastic.noise.by_target import held_out_predictions, label_issues, like_another, noise_stats, unknown_noise
from skedastic.noise.label_issues import find_label_issues
from skedastic.noise.label_issues_regression import find_label_issues_regression
from skedastic.noise.wrong_labels import DOUBTED, trusted
from skedastic.settings.config import Estimation

GROUP = torch.arange(40) % 2
GROUPS = Grouping(("x", "y"))
PAPER = Estimation(kind="paper")


def of_classes() -> tuple[Dataset, torch.Tensor]:
    """Return 40 examples and held-out probabilities, which are against every fourth label of group y."""
    y = torch.arange(40) // 2 % 2
    wrong = (torch.arange(40) % 8 == 1).long()
    held_out = 0.1 + 0.8 * torch.nn.functional.one_hot((y + wrong) % 2, 2).float()
    data = Dataset(torch.zeros(40, 1), y, torch.arange(40), GROUP, Classes(("a", "b")), GROUPS, "table")
    return data, held_out


def of_numbers() -> tuple[Dataset, torch.Tensor]:
    """Return 40 examples and held-out predictions, which are off by 1 in group x and by 3 in group y."""
    y = torch.arange(40, dtype=torch.float64)
    data = Dataset(torch.zeros(40, 1), y, torch.arange(40), GROUP, Numbers().fit(y), GROUPS, "table")
    return data, y + 1 + 2 * GROUP


FOLD = torch.zeros(40, dtype=torch.int64)


def test_noise_of_classes_is_a_rate_and_of_numbers_a_variance() -> None:
    data, held_out = of_classes()
    stats = noise_stats(data, held_out_predictions(data, held_out, FOLD), PAPER)
    assert stats.errors.tolist() == [0, 5]
    assert stats.uncertainty.tolist() == [0, 0.25]
    data, held_out = of_numbers()
    stats = noise_stats(data, held_out_predictions(data, held_out, FOLD), PAPER)
    assert stats.errors is None
    assert stats.uncertainty.tolist() == pytest.approx([1, 9])


@pytest.mark.parametrize("make", [of_classes, of_numbers])
def test_unknown_noise_counts_no_example(make) -> None:
    stats = unknown_noise(make()[0])
    assert stats.names == GROUPS.names
    assert stats.counted.tolist() == [0, 0]
    assert stats.count.tolist() == [20, 20]


def test_the_share_that_looks_like_one_other_class_one_example_at_a_time() -> None:
    data, values = of_classes()
    held_out = held_out_predictions(data, values, FOLD)
    posterior = held_out.truth.by.posterior(values.numpy(), data.y.numpy(), FOLD.numpy())
    expected = []
    for g in range(2):
        sums = torch.zeros(2, dtype=torch.float64)
        for i in (data.group == g).nonzero().flatten().tolist():
            for z in range(2):
                sums[z] += posterior[i, z] if z != data.y[i] else 0.0
        expected.append(float(sums.max()) / 20)
    assert like_another(data, held_out).tolist() == pytest.approx(expected)
    assert expected[1] > expected[0]
    nothing = held_out_predictions(data, torch.full_like(values, torch.nan), FOLD - 1)
    assert like_another(data, nothing).tolist() == [0, 0]
    data, values = of_numbers()
    assert like_another(data, held_out_predictions(data, values, FOLD)).tolist() == [0, 0]


def test_label_issues_are_those_of_the_kind() -> None:
    data, held_out = of_classes()
    stats = noise_stats(data, held_out_predictions(data, held_out, FOLD), PAPER)
    predictions, every = held_out_predictions(data, held_out, FOLD), torch.ones(40, dtype=torch.bool)
    expected = find_label_issues(held_out, data.y, data.index, ("a", "b"))
    found = label_issues(data, predictions, stats, every)
    assert trusted(stats)
    assert (found["by_estimate"] == found["is_issue"] & (found["score"] < 0.5)).all(), "by default of all"
    expected["by_estimate"] = found["by_estimate"]
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    doubted = replace(stats, errors=torch.tensor([20, 20]))
    fewer = label_issues(data, predictions, doubted, every)
    assert fewer["index"].tolist() == found["index"].tolist()
    for name in ("a", "b"):
        check = [int(of["is_issue"][of["given"] == name].sum()) for of in (found, fewer)]
        assert abs(check[1] - DOUBTED * check[0]) <= 1
    some = data.index < 30
    assert sorted(label_issues(data, predictions, stats, some)["index"]) == list(range(30))
    data, held_out = of_numbers()
    stats = noise_stats(data, held_out_predictions(data, held_out, FOLD), PAPER)
    expected = find_label_issues_regression(held_out, data.y, data.index, torch.tensor([1.0, 9.0])[GROUP])
    predictions = held_out_predictions(data, held_out, FOLD)
    pd.testing.assert_frame_equal(label_issues(data, predictions, stats, every), expected)
