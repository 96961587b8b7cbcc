"""The criteria of a choice: literal versions, oracles of scikit-learn, and errors as large as those of resampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from skedastic.core.choice import made_up_for
from skedastic.core.criteria import AUC, CRITERIA, Accuracy, Balanced, Cost, Held, MacroF1, Worst
from tests.support.refusals import refused

CLASSES = ("a", "b", "c")
COSTS = {"a": {"b": 1.0, "c": 2.0}, "b": {"a": 5.0, "c": 0.5}, "c": {"a": 30.0, "b": 10.0}}
EACH = [Balanced(), Worst(), Accuracy(), Accuracy(prior={"a": 1, "b": 2, "c": 7}), MacroF1(), AUC(), Cost(costs=COSTS)]


def predicted(n=600, seed=0):
    """Return labels, 6 : 3 : 1, and the logits of two ways, of which the first is better."""
    rng = np.random.default_rng(seed)
    y = torch.from_numpy(rng.choice(3, n, p=[0.6, 0.3, 0.1]))
    common = torch.from_numpy(rng.normal(size=(n, 3)))
    own, other = (
        common + s * torch.eye(3)[y].double() + torch.from_numpy(0.7 * rng.normal(size=(n, 3))) for s in (1.6, 1.2)
    )
    return y, own, other


def held(y, unit=None):
    return Held(y, y, CLASSES, unit)


def literally(criterion, scores, y):
    p, hard, y = scores.softmax(1).numpy(), scores.argmax(1).numpy(), y.numpy()
    recall = [(hard[y == c] == c).mean() for c in range(3)]
    if isinstance(criterion, Accuracy) and criterion.prior is not None:
        return sum(criterion.prior[name] * r for name, r in zip(CLASSES, recall, strict=True)) / 10
    return {
        "balanced": lambda: balanced_accuracy_score(y, hard),
        "worst": lambda: min(recall),
        "accuracy": lambda: np.mean(hard == y),
        "macro-f1": lambda: f1_score(y, hard, average="macro"),
        "auc": lambda: roc_auc_score(y, p, multi_class="ovr", average="macro"),
        "cost": lambda: -np.mean([COSTS[CLASSES[t]].get(CLASSES[h], 0.0) for t, h in zip(y, hard, strict=True)]),
    }[criterion.shown_name()]()


@pytest.mark.parametrize("criterion", EACH, ids=str)
def test_a_criterion_is_its_literal_version(criterion) -> None:
    y, own, other = predicted()
    rounded = (4 * own).round() / 4  # with ties
    for scores in (own, other, rounded):
        if scores is rounded and not isinstance(criterion, AUC):
            continue
        score = criterion.score(scores, held(y))
        assert score.value == pytest.approx(literally(criterion, scores, y), rel=1e-3 if scores is rounded else 1e-6)
        assert float(score.influence.sum()) == pytest.approx(0, abs=1e-9)
    gain = criterion.gain(own, other, held(y))
    assert gain.mean == pytest.approx(literally(criterion, own, y) - literally(criterion, other, y))


@pytest.mark.parametrize("criterion", EACH, ids=str)
def test_the_error_of_a_gain_is_the_spread_over_data_drawn_anew(criterion) -> None:
    gains = [criterion.gain(own, other, held(y)) for y, own, other in map(lambda s: predicted(seed=s), range(120))]
    spread = np.std([gain.mean for gain in gains])
    error = np.mean([gain.error for gain in gains])
    assert error == pytest.approx(spread, rel=0.5 if criterion == Worst() else 0.3)
    assert criterion.gain(own := predicted()[1], own, held(predicted()[0])) == (0.0, 0.0)


@pytest.mark.parametrize("criterion", [c for c in EACH if not isinstance(c, (AUC, Worst))], ids=str)
def test_influence_is_how_the_criterion_changes_with_the_weight_of_an_example(criterion) -> None:
    """With 200 of each example, 60 more of one move it by its influence · 60 / 200, but for the square of that."""
    y, own, _ = predicted(60)
    score, many = criterion.score(own, held(y)), 200
    for i in range(0, 60, 7):
        rows = torch.cat([torch.arange(60).repeat(many), torch.tensor([i] * 60)])
        moved = criterion.score(own[rows], held(y[rows])).value - score.value
        scale = 60 / many
        assert moved == pytest.approx(float(score.influence[i]) * scale, abs=0.1 * scale / 60 + 1e-4)


def test_a_prior_counts_the_classes_that_are_there() -> None:
    y = torch.tensor([0] * 6 + [1] * 4)
    scores = torch.eye(3)[y].double()
    prior = Accuracy(prior={"a": 0.3, "b": 0.3, "c": 0.4})
    assert prior.score(scores, held(y)).value == pytest.approx(1.0)
    scores[0] = scores[0].flip(0)
    assert prior.score(scores, held(y)).value == pytest.approx(0.5 * 5 / 6 + 0.5)
    assert prior.gain(torch.eye(3)[y].double(), scores, held(y)).mean == pytest.approx(0.5 / 6)


def test_shifting_two_classes_does_not_change_the_area_under_the_curve_however_sure_they_are() -> None:
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.integers(0, 2, 300))
    logits = 30 * torch.eye(2)[y].double() + torch.from_numpy(rng.normal(0, 25, (300, 2)))
    shifted = logits + torch.tensor([0.0, 4.0])
    of_two = Held(y, y, ("a", "b"))
    assert AUC().gain(logits, shifted, of_two) == (0.0, 0.0)


@pytest.mark.parametrize("criterion", EACH, ids=str)
def test_examples_of_a_unit_count_as_one(criterion) -> None:
    y, own, other = predicted(200)
    thrice = [part.repeat(3, *[1] * (part.dim() - 1)) for part in (own, other)]
    gain = criterion.gain(own, other, held(y))
    repeated = criterion.gain(*thrice, held(y.repeat(3), torch.arange(200).repeat(3)))
    assert repeated.mean == pytest.approx(gain.mean)
    assert repeated.error == pytest.approx(gain.error, rel=0.05)


def test_a_worst_group_of_few_rows_is_not_judged_where_others_have_enough() -> None:
    y = torch.tensor([0] * 20 + [1] * 9)
    scores = torch.eye(2)[torch.tensor([0] * 15 + [1] * 5 + [0] * 9)].double()
    assert Worst().score(scores, Held(y, y, ("a", "b"))).value == 0.75
    few = torch.tensor([0] * 5 + [1] * 4)
    assert Worst().score(torch.eye(2)[few].double(), Held(few, few, ("a", "b"))).value == 1.0


def test_a_single_row_more_that_is_right_in_the_worst_group_is_within_chance() -> None:
    y = torch.tensor([0] * 50 + [1] * 12)
    other = torch.where((y == 1) & (torch.arange(62) % 2 == 0), 0, y)
    own = other.clone()
    own[50] = 1
    gain = Worst().gain(torch.eye(2)[own].double(), torch.eye(2)[other].double(), Held(y, y, ("a", "b")))
    assert 0 < gain.mean <= gain.error


def test_shares_of_two_classes_are_those_of_the_least_expected_cost() -> None:
    """Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001, equation 2: p ≥ c10 / (c10 + c01)."""
    cost = Cost(costs={"a": {"b": 1.0}, "b": {"a": 4.0}})
    p_b = torch.linspace(0.01, 0.99, 99)
    p, share = torch.stack([1 - p_b, p_b], 1), torch.tensor([0.7, 0.3])
    logits = made_up_for(p, share, 1.0, cost.target(share, ("a", "b")))
    assert torch.equal(logits.argmax(1) == 1, p_b > 0.2 + 1e-6)


def test_the_prior_of_use_is_that_of_bayes() -> None:
    """Saerens, Latinne, Decaestecker, Neural Computation 2002, equation 2.4: p' ∝ p π'/π."""
    share, prior = torch.tensor([0.5, 0.3, 0.2]), {"a": 0.1, "b": 0.1, "c": 0.8}
    p = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    p = p / p.sum(1, keepdim=True)
    target = Accuracy(prior=prior).target(share, CLASSES)
    expected = p * torch.tensor(list(prior.values())) / share
    found = made_up_for(p, share, 1.0, target).softmax(1)
    torch.testing.assert_close(found, (expected / expected.sum(1, keepdim=True)).double(), rtol=1e-5, atol=1e-7)


def test_criteria_have_the_names_that_users_write() -> None:
    assert list(CRITERIA) == ["balanced", "worst", "accuracy", "macro-f1", "auc", "cost"]


@pytest.mark.parametrize(
    ("criterion", "place", "rule"),
    [
        (Cost(costs={"a": {"b": 1.0}, "b": {"a": 1.0}}), "costs", "nothing of class 'c'"),
        (Cost(costs={**COSTS, "d": {"a": 1.0}}), "costs", "'d' is no class"),
        (Cost(costs={**COSTS, "c": {"q": 1.0}}), "costs", "'q' is no class"),
        (Cost(costs={**COSTS, "c": {"a": -1.0, "b": 1.0}}), "costs", "where 'c' is true must cost between 0 and"),
        (Cost(costs={**COSTS, "c": {"a": 1e200, "b": 1.0}}), "costs", "between 0 and 1e+09"),
        (Cost(costs={**COSTS, "c": {"a": float("inf"), "b": 1.0}}), "costs", "between 0 and"),
        (Cost(costs={**COSTS, "c": {"a": 1.0, "b": 1.0, "c": 1.0}}), "costs", "must cost 0, for it is right"),
        (Cost(costs={**COSTS, "c": {"a": 1.0}}), "costs", "do not say what it costs to predict 'b'"),
        (Cost(costs={**COSTS, "c": {"a": 0.0, "b": 0.0}}), "costs", "all mistakes of 'c' cost nothing"),
        (Accuracy(prior={"a": 0.5, "b": 0.5}), "prior", "nothing of class 'c'"),
        (Accuracy(prior={"a": 0.5, "b": 0.5, "x": 0.1}), "prior", "'x' is no class"),
    ],
)
def test_classes_that_are_missing_or_unknown_are_refused(criterion, place: str, rule: str) -> None:
    with refused(f"method.optimize.{place}", rule=rule):
        criterion.target(torch.tensor([0.5, 0.3, 0.2]), CLASSES)
