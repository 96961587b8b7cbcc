"""How much surer models are than right: against loops, and in the limits."""

from __future__ import annotations

import numpy as np
import pytest

from skedastic.noise.group_noise import Rates, begun_lower
from skedastic.noise.overconfidence import overconfidence


def by_loops(p, y, group, groups) -> list[float]:
    """Return the overconfidence of each group, row by row."""
    rows = [(int(np.argmax(row)), float(max(row))) for row in p]
    surer = []
    for predicted, _ in rows:
        alike = [i for i, (other, _) in enumerate(rows) if other == predicted]
        surer.append(sum(rows[i][1] for i in alike) / len(alike) - sum(y[i] == predicted for i in alike) / len(alike))
    found = []
    for g in range(groups):
        inside = [i for i, at in enumerate(group) if at == g]
        means = [0.0, sum(surer) / len(surer)]
        if inside:
            means.append(sum(surer[i] for i in inside) / len(inside))
        if len({y[i] for i in inside}) > 1:
            means.append(sum(rows[i][1] - (rows[i][0] == y[i]) for i in inside) / len(inside))
        found.append(max(means))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_by_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(4, 0.4), 60).astype(np.float32)
    y, group = rng.integers(0, 4, 60), rng.integers(0, 3, 60)
    np.testing.assert_allclose(overconfidence(p, y, group, 5), by_loops(p, y, group, 5), atol=1e-6)


def drawn(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a label of each row, by its chances [n, C]."""
    return (rng.random(len(p))[:, None] > p.cumsum(1)).sum(1).clip(0, p.shape[1] - 1)


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_chances_of_the_given_labels_are_not_surer_than_right_though_many_are_wrong(wrong: float) -> None:
    rng = np.random.default_rng(0)
    q = rng.dirichlet(np.full(3, 0.2), 20_000)
    p = q @ (np.eye(3) * (1 - 1.5 * wrong) + wrong / 2)
    y = drawn(p, rng)
    assert overconfidence(p, y, y * 0, 1)[0] < 0.01


def test_it_is_found_where_it_is() -> None:
    """Two of four classes overlap, and the model is sure of one of the two."""
    rng = np.random.default_rng(1)
    true = rng.integers(0, 4, 8000)
    seen = np.where(true < 2, rng.integers(0, 2, 8000), true)
    p = np.eye(4)[seen] * 0.96 + 0.01
    found = overconfidence(p, true, true, 4)
    np.testing.assert_allclose(found[:2], 0.97 - 0.5, atol=0.03)
    np.testing.assert_allclose(found[2:], found[2], atol=1e-9)
    assert found[2] == pytest.approx((0.97 * 8000 - (seen == true).sum()) / 8000), "that of all rows, which is larger"


def test_one_site_where_the_model_is_too_sure_is_not_made_up_for_by_others() -> None:
    rng = np.random.default_rng(2)
    site, sure = np.arange(8000) % 2, np.array([0.8, 0.95])
    predicted = rng.integers(0, 4, 8000)
    p = np.eye(4)[predicted] * (sure[site] - 0.05 / 3)[:, None] + 0.05 / 3
    y = np.where(rng.random(8000) < np.array([0.95, 0.8])[site], predicted, (predicted + 1) % 4)
    assert overconfidence(p, y, site, 2) == pytest.approx([0.0, 0.15], abs=0.02)


def test_less_sure_than_right_is_none() -> None:
    p = np.full((30, 3), 0.3) + 0.1 * np.eye(3)[np.arange(30) % 3]
    assert overconfidence(p, np.arange(30) % 3, np.arange(30) % 2, 2).tolist() == [0.0, 0.0]


def test_no_rows() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert overconfidence(np.zeros((0, 3)), none, none, 2).tolist() == [0.0, 0.0]


def test_an_interval_begins_lower_and_stays_within_0_and_its_rate() -> None:
    rates = Rates(*(np.array(ends) for ends in ([0.5, 0.3, 0.2], [0.2, 0.25, 0.2], [0.6, 0.4, 0.3])))
    lower = begun_lower(rates, np.array([0.4, 0.0, 0.9]))
    np.testing.assert_allclose(lower.low, [0.0, 0.25, 0.0], atol=1e-12)
    assert lower.rate is rates.rate
    assert lower.high is rates.high
