"""Shares of classes, and the names of classes in settings."""

from __future__ import annotations

import numpy as np
import pytest

import skedastic as sk
from skedastic.core.criteria import Accuracy, Cost
from skedastic.settings.class_names import by_class
from skedastic.settings.methods import the_criterion
from skedastic.settings.reading import read
from skedastic.settings.shares import check_shares
from tests.support.refusals import refused


@pytest.mark.parametrize(
    ("a", "b", "whole"), [(0.6, 0.4, True), (0.333, 0.66, True), (0.5, 0.51, True), (0.3, 0, False)]
)
def test_shares_that_sum_to_1_but_for_rounding_are_taken(a: float, b: float, whole: bool) -> None:
    check_shares({"a": a, "b": b}, whole, "x")


@pytest.mark.parametrize(
    ("a", "b", "whole", "total"), [(0.6, 0.5, False, 1.1), (10, 90, True, 100), (0.3, 0.6, True, 0.9)]
)
def test_shares_that_do_not_are_refused_with_the_way_out(a: float, b: float, whole: bool, total: float) -> None:
    with refused("x", {"a": a, "b": b}, rule=f"the shares sum to {total:g}, and"):
        check_shares({"a": a, "b": b}, whole, "x")
    with refused("x", "as written", rule=f"divide each by {total:g}"):
        check_shares({"a": a, "b": b}, whole, "x", "as written")


def test_a_number_names_the_class_however_it_is_written() -> None:
    assert by_class({"1.0": 0.3, 2: {"1.50": 1, "true": 2}}, "x") == {"1": 0.3, "2": {"1.5": 1, "True": 2}}
    with refused("x", "1.0", rule="class '1' stands twice"):
        by_class({"1": 0.3, "1.0": 0.7}, "x")
    prior = read(None, {"source": "a.csv"}, ['method.optimize={name="accuracy", prior={"1.0"=0.4, "2.0"=0.6}}'])
    assert the_criterion(prior) == Accuracy(prior={"1": 0.4, "2": 0.6})
    costs = read(None, {"source": "a.csv"}, ['method.optimize={name="cost", costs={"1.0"={"2"=3}, "2"={"1.0"=4}}}'])
    assert the_criterion(costs) == Cost(costs={"1": {"2": 3}, "2": {"1": 4}})


@pytest.mark.parametrize(
    "method", ["auto(optimize=accuracy(prior={1=0.2, 2=0.3}))", "auto(optimize=accuracy(prior={1=1, 2=9}))"]
)
def test_a_fit_refuses_a_prior_that_does_not_sum_to_1_before_it_trains(method: str) -> None:
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.array([1, 2] * 30)
    told: list[str] = []
    with refused("method.optimize.prior", rule="the shares sum to"):
        sk.fit(x, y, method=method, test=None, progress=lambda *part: told.append(str(part)))
    assert not told
