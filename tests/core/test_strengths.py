"""Strengths: the formula, its limits, and what may be put into the statistics of groups."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from skedastic.core.strengths import OF_LABELS, GroupStats, strengths
from tests.reference import strengths as literal
from tests.support.refusals import refused


def of(noise: list[float], density: list[float]) -> Tensor:
    return strengths(torch.tensor(noise, dtype=torch.float64), torch.tensor(density, dtype=torch.float64))


def stats(**changes: Any) -> GroupStats:
    fields: dict[str, Any] = {
        "names": ("cat", "dog"),
        "count": torch.tensor([30, 10]),
        "density": torch.tensor([0.75, 0.25]),
        "errors": torch.tensor([3, 4]),
        "counted": torch.tensor([30, 8]),
        "uncertainty": torch.tensor([0.1, 0.5]),
        "uncertainty_low": torch.tensor([0.05, 0.2]),
        "uncertainty_high": torch.tensor([0.2, 0.8]),
        "wrong": torch.tensor([0.3, 0.1]),
        "wrong_low": torch.tensor([0.2, 0.0]),
        "wrong_high": torch.tensor([0.4, 0.2]),
    }
    return GroupStats(**(fields | changes))


def test_the_literal_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    for groups in (1, 2, 10, 100):
        noise = torch.rand(groups, generator=generator, dtype=torch.float64)
        density = torch.rand(groups, generator=generator, dtype=torch.float64)
        density /= density.sum()
        expected = torch.tensor(literal.strengths(noise.tolist(), density.tolist()), dtype=torch.float64)
        assert_close(strengths(noise, density), expected, rtol=1e-12, atol=0)


def test_equal_groups_are_regularized_alike() -> None:
    assert of([0.3] * 5, [0.2] * 5).tolist() == [1.0] * 5


def test_exponents() -> None:
    assert_close(of([0.01, 0.32], [0.5, 0.5])[0].item(), 1 / 8)  # 32 times the noise: 32^{3/5} = 8
    assert_close(of([0.1, 0.1], [0.32, 0.01])[0].item(), 1 / 4)  # 32 times rarer: 32^{2/5} = 4


def test_only_ratios_matter() -> None:
    noise, density = [0.1, 0.2, 0.4], [0.6, 0.3, 0.1]
    assert_close(of([i / 7 for i in noise], [q / 3 for q in density]), of(noise, density))


def test_more_noise_or_fewer_examples_mean_more_strength() -> None:
    rates = [0.01, 0.1, 0.2, 0.5, 1.0]
    assert (of(rates, [0.2] * 5).diff() > 0).all()
    assert (of([0.2] * 5, rates).diff() < 0).all()


def test_groups_without_noise_or_examples_have_none() -> None:
    assert of([0.0, 0.0], [0.5, 0.5]).tolist() == [0.0, 0.0]
    assert of([0.0, 0.2], [0.01, 0.99]).tolist() == [0.0, 1.0]
    assert of([0.9, 0.2, 0.0], [0.0, 1.0, 0.0]).tolist() == [0.0, 1.0, 0.0]


def test_extreme_values_stay_finite() -> None:
    tau = of([1e-300, 1.0], [1e-300, 1.0])
    assert torch.isfinite(tau).all()
    assert tau.max() == 1


@pytest.mark.parametrize(
    ("noise", "density", "setting", "value"),
    [
        ([0.1, 1.1], [0.5, 0.5], "strengths: uncertainty", 1.1),
        ([0.1, 0.1], [0.5, -0.5], "strengths: density", -0.5),
        ([0.1], [0.5, 0.5], "strengths: uncertainty", [1]),
        ([], [], "strengths: uncertainty", [0]),
    ],
)
def test_values_that_are_no_rates_are_refused(
    noise: list[float], density: list[float], setting: str, value: object
) -> None:
    with refused(setting, value):
        of(noise, density)


def test_a_rate_that_is_no_number_is_refused() -> None:
    with refused("strengths: uncertainty") as caught:
        of([0.1, float("nan")], [0.5, 0.5])
    assert str(caught.value).startswith("strengths: uncertainty of group number 1 is nan: must be a number in [0, 1]")


def test_stats_through_json_are_the_same_to_the_bit() -> None:
    before = stats(uncertainty=torch.tensor([1 / 7, 1 / 3]))
    after = GroupStats.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after.names == before.names
    for name in [field.name for field in fields(GroupStats) if field.name != "names"]:
        value = getattr(after, name)
        assert torch.equal(value, getattr(before, name))
        assert value.dtype == (torch.int64 if name in ("count", "errors", "counted") else torch.float64)
    assert torch.equal(after.strengths, before.strengths)


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"names": ("cat", "cat")}, "names", ["cat", "cat"]),
        ({"names": ()}, "names", []),
        ({"uncertainty": torch.tensor([0.1])}, "uncertainty", [1]),
        ({"uncertainty_high": torch.tensor([0.2, 1.8])}, "uncertainty_high", pytest.approx(1.8)),
        ({"density": torch.tensor([float("nan"), 1])}, "density", pytest.approx(math.nan, nan_ok=True)),
        ({"errors": torch.tensor([3, 9])}, "counted", 8),
        ({"errors": torch.tensor([-1, 0])}, "errors", -1),
        ({"counted": torch.tensor([31, 8])}, "count", 30),
        ({"uncertainty_low": torch.tensor([0.15, 0.2])}, "uncertainty", pytest.approx(0.1)),
        ({"uncertainty_high": torch.tensor([0.2, 0.4])}, "uncertainty_high", pytest.approx(0.4)),
        ({"wrong": torch.tensor([0.1, 0.1])}, "wrong", pytest.approx(0.1)),
        ({"wrong_high": torch.tensor([1.4, 0.2])}, "wrong_high", pytest.approx(1.4)),
    ],
)
def test_impossible_stats_are_refused(changes: dict[str, Any], field: str, value: object) -> None:
    with refused(f"GroupStats: {field}", value):
        stats(**changes)


def test_labels_have_both_quantities_and_numbers_one() -> None:
    assert stats().quantities == ("uncertainty", "wrong")
    assert stats().measure == "rate"
    numbers = stats(
        **dict.fromkeys(OF_LABELS), uncertainty=torch.tensor([3.0, 4.0]), uncertainty_high=torch.tensor([5, 6])
    )
    assert numbers.quantities == ("uncertainty",)
    assert numbers.measure == "variance"
    with refused("GroupStats", ["errors", "wrong_low", "wrong_high"], rule="give all of them"):
        stats(wrong=None)


def test_strengths_follow_the_uncertainty_and_not_the_wrong_labels() -> None:
    tau = stats().strengths
    assert_close(tau, of([0.1, 0.5], [0.75, 0.25]))
    assert tau[1] > tau[0], "though more labels of the first are wrong"


def test_stats_of_other_fields_are_refused() -> None:
    good = stats().to_dict()
    with refused("GroupStats: uncertainty", None, rule="missing"):
        GroupStats.from_dict({name: value for name, value in good.items() if name != "uncertainty"})
    with refused("GroupStats: nois", None, rule="unknown"):
        GroupStats.from_dict(good | {"nois": [0, 0]})
    with refused("GroupStats: uncertainty", None, rule="must be numbers"):
        GroupStats.from_dict(good | {"uncertainty": ["a", "b"]})
