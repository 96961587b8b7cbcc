"""The way that is taken: the best on labels not seen that gives no class up, trained as if it had been asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

import skedastic as sk
from skedastic.core.choice import Gain
from skedastic.core.class_weights import EffectiveNumber
from skedastic.core.criteria import Accuracy, Balanced, Cost, Criterion
from skedastic.core.heads import CosineHead
from skedastic.core.samplers import ClassBalanced
from skedastic.core.transitions import Transitions
from skedastic.data import folds
from skedastic.evaluation.calibration import fit_temperature
from skedastic.losses.corrected import Corrected
from skedastic.losses.gce import GCE
from skedastic.losses.logit_adjusted import LogitAdjusted
from skedastic.methods.auto import CORRECTED, GO_ONE_WAY, MIXTURES, PLAIN, STRONG, Auto
from skedastic.methods.bases.held_out import is_trial
from skedastic.methods.bases.one_network import OneNetwork
from skedastic.methods.bases.standing import Candidate
from skedastic.methods.erm import ERM
from skedastic.methods.fitted_ways import FITTED, L2
from skedastic.methods.har import HAR
from skedastic.methods.linear import Linear
from skedastic.methods.mixup import Mixup
from skedastic.methods.post_hoc import PostHoc
from skedastic.methods.sam import SAM
from skedastic.methods.trees import Trees
from skedastic.methods.two_stage import TwoStage
from skedastic.runs.choice import choice_of
from skedastic.runs.reports import fit_report
from skedastic.training import Checkpoints, TrainingConfig, train
from tests.support.methods import dataset, make_net, same, task, weights
from tests.support.refusals import refused
from tests.support.tables import sharp_rules

TRAINING = TrainingConfig(epochs=6, batch_size=16, lr=0.05, device="cpu")
WAYS = (MIXTURES, PLAIN, CORRECTED)
NETWORKS = (MIXTURES, PLAIN, STRONG, CORRECTED)
HALF = "mixup, half balanced"  # what all are held against
TREES = ("trees", "small trees")
WITHOUT_WORDS = (*L2, *TREES)  # what is tried beside networks where there are no texts
T = torch.tensor([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).double()
KNOWN = Transitions(matrix=T, gain=Gain(0.1, 0.01), gives_up=False)


def known(data):
    return replace(task(data), transitions=KNOWN)


def trained(method, data=None, **settings):
    data = data or dataset(120)
    return train(method, data, make_net, TRAINING, seed=4, task=known(data), **settings)


def stages(history):
    return list(dict.fromkeys(row["stage"] for row in history))


def test_every_way_is_tried_on_the_same_halves_and_those_behind_on_one_alone() -> None:
    auto = trained(Auto())
    seen = stages(auto.history)
    early = [f"{way}, half {k}" for way in L2 for k in (1, 2)] + ["trees, half 1"]
    early += ["trees, half 2"] * ("trees, half 2" in seen)
    first = [
        f"{way}, half 1" for way in WAYS
    ]  # HAR is not, since labels go one way; of small trees where large are close
    assert seen[: len(early)] == early, "what is quick is tried first"
    assert [name for name in seen[len(early) :] if name.endswith("half 1") and "trees" not in name] == first
    at, begun = seen.index("mixup, half 2"), len(early) + len(first)
    second = {name for name in seen[:at] if name.endswith("half 2")}
    assert {f"{way}, half 2" for way in L2} <= second
    assert begun <= at
    assert len(seen[at + 1 :]) in (1, 2)
    names = [trial.name.removeprefix("half-").removeprefix("balanced ") for trial in auto.trials]
    assert names == [
        "mixup",
        "plain training",
        "HAR at 0.3",
        "HAR at 0.3, loss=corrected",
        "linear model",
        "linear model, shrunk",
        "boosting",
        "boosting of small trees",
    ]
    assert {t.name: t.left_out for t in auto.trials}["HAR at 0.3"] == GO_ONE_WAY
    on_one = {trial.name for trial in auto.trials if trial.half}
    halves = [name.rpartition(", half ")[::2] for name in seen[: at + 1]]
    begun_ways, done = ({way for way, half in halves if half == k} for k in "12")
    assert len(on_one) == len(begun_ways - done) > 0
    assert not {trial.name for trial in auto.trials if trial.chosen} & on_one
    assert {row[0] for row in choice_of(auto.trials).rows if "tried on half of the rows" in row[-1]} == on_one


@pytest.mark.parametrize(("right", "ahead"), [(0.5, False), (0.6, False), (0.7, True), (1.0, True)])
def test_a_way_is_tried_further_where_it_is_ahead_by_half_a_standard_error(right: float, ahead: bool) -> None:
    """Of 150 labels the base tells 60 %, the other way the same ones and more, or fewer."""
    t, method = known(dataset(300)), Auto(trees=False)
    rank = torch.argsort(torch.from_numpy(np.random.default_rng(0).random(300))).argsort().double() / 300
    ways = {way: torch.where(rank < share, t.y, (t.y + 1) % 3) for way, share in ((MIXTURES, 0.6), (PLAIN, right))}
    found = {name: p for name, p in handed(t, ways).items() if name.endswith("half 1")}
    now = replace(t, handed_on=found)
    [second] = [stage for stage in method.stages(t) if stage.name == "plain, half 2"]
    assert second.chosen is not None
    assert second.chosen(now) == ahead


def test_a_way_that_gives_a_class_up_on_the_first_half_is_not_tried_further() -> None:
    t, method = known(dataset(300)), Auto(trees=False)
    some = torch.where(torch.arange(300) % 4 == 0, (t.y + 1) % 3, t.y)
    no_c = torch.where(t.y == 2, torch.tensor(0), t.y)
    now = replace(t, handed_on=handed(t, {MIXTURES: some, PLAIN: no_c}))
    [second] = [stage for stage in method.stages(t) if stage.name == "plain, half 2"]
    assert second.chosen is not None
    assert not second.chosen(now)


def asked(t, method, way, half, predicted):
    """Return whether a half of a way is tried, where the first halves of others predict these labels."""
    found = {name: p for name, p in handed(t, predicted).items() if name.endswith("half 1")}
    [stage] = [stage for stage in method.stages(t) if stage.name == f"{way}, half {half}"]
    assert stage.chosen is not None
    return stage.chosen(replace(t, handed_on=found))


def some_right(t, share, seed=0):
    """Return labels of which so many are right; by the same seed the same ones, and more for a larger share."""
    n = len(t.y)
    rank = torch.argsort(torch.from_numpy(np.random.default_rng(seed).random(n))).argsort().double() / n
    return torch.where(rank < share, t.y, (t.y + 1) % 3)


@pytest.mark.parametrize(("linear", "hopeful"), [(0.6, True), (0.62, True), (0.9, False)])
def test_networks_are_not_tried_where_a_model_fitted_at_once_is_far_better(linear: float, hopeful: bool) -> None:
    t = known(dataset(300))
    ways = {MIXTURES: some_right(t, 0.6), "linear": some_right(t, linear)}
    for way in (PLAIN, CORRECTED):
        assert asked(t, Auto(), way, 1, ways) == hopeful
    assert asked(t, Auto(effort="high"), STRONG, 1, ways)


@pytest.mark.parametrize(("large", "further"), [(0.3, False), (0.6, True), (0.8, True)])
def test_large_trees_are_not_tried_further_where_linear_models_are_better(large: float, further: bool) -> None:
    t = known(dataset(300))
    ways = {"linear": some_right(t, 0.6), "trees": some_right(t, large, seed=1)}
    assert asked(t, Auto(), "trees", 2, ways) == further


@pytest.mark.parametrize(("large", "hopeful"), [(0.3, False), (0.6, True), (0.8, True)])
def test_small_trees_are_not_tried_where_large_ones_are_worse(large: float, hopeful: bool) -> None:
    t = known(dataset(300))
    ways = {MIXTURES: some_right(t, 0.6), "trees": some_right(t, large, seed=1)}
    assert asked(t, Auto(), "small trees", 1, ways) == hopeful


@pytest.mark.parametrize(
    ("rows", "har", "corrected"),
    [
        ([[0.83, 0.17, 0], [0, 1, 0], [0, 0, 1]], False, False),  # of all labels 7 % are wrong
        ([[0.6, 0.4, 0], [0, 1, 0], [0, 0, 1]], False, True),
        ([[0.7, 0.3, 0], [0.3, 0.7, 0], [0, 0, 1]], True, False),
        ([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]], True, False),
    ],
)
def test_har_is_tried_where_labels_are_exchanged_and_the_corrected_loss_where_they_go_one_way(
    rows: list[list[float]], har: bool, corrected: bool
) -> None:
    t = known(dataset(300))
    t = replace(t, transitions=Transitions(matrix=torch.tensor(rows).double(), gain=Gain(0.1, 0.01), gives_up=False))
    base = {MIXTURES: some_right(t, 0.6)}
    assert (asked(t, Auto(), STRONG, 1, base), asked(t, Auto(), CORRECTED, 1, base)) == (har, corrected)
    assert t.transitions is not None
    unclear = replace(t, transitions=replace(t.transitions, gain=Gain(-0.01, 0.01)))
    tried = (asked(unclear, Auto(), STRONG, 1, base), asked(unclear, Auto(), CORRECTED, 1, base))
    assert tried == (har or corrected, False), "which explains labels not fitted to no better"
    assert all(asked(t, Auto(effort="high"), way, 1, base) for way in (STRONG, CORRECTED)), "which tries all"
    images = replace(t, columns=False)
    assert asked(images, Auto(), STRONG, 1, {PLAIN: base[MIXTURES]})
    assert asked(images, Auto(), CORRECTED, 1, {PLAIN: base[MIXTURES]}) == (har or corrected)


def test_a_way_behind_the_best_is_not_tried_further() -> None:
    t = known(dataset(300))
    ways = {MIXTURES: some_right(t, 0.6), PLAIN: some_right(t, 0.7)}
    assert asked(t, Auto(), PLAIN, 2, ways)
    assert asked(t, Auto(), PLAIN, 2, ways | {CORRECTED: some_right(t, 0.75, seed=1)})
    assert not asked(t, Auto(), PLAIN, 2, ways | {"linear": some_right(t, 0.9)})


def handed(t, predicted):
    """Return what the trials hand on, where each way predicts these labels."""
    found = {}
    for way, labels in predicted.items():
        for k in (0, 1):
            rows = (folds(t.group, t.y, 2, t.seed) == 1 - k).nonzero()[:, 0]
            found[f"{way}, half {k + 1}"] = one_hot(labels[rows], 3).float()
    return found


def taken(t, method, predicted, in_the_end=None):
    """Return the names of the stages that follow the trials, and which trial is called chosen."""
    now, names = replace(t, handed_on=handed(t, predicted)), []
    for stage in method.stages(t):
        if stage.chosen is not None and not is_trial(stage.name) and stage.chosen(now):
            names.append(stage.name)
            if stage.predicts is not None:
                end = t.y if in_the_end is None else in_the_end
                now = replace(now, handed_on={**now.handed_on, stage.name: one_hot(end, 3).float()})
    trials = [trial for trial in method.trials(now) if not trial.left_out]
    return names, [trial.chosen for trial in trials], [trial.gives_up for trial in trials]


def test_the_best_is_taken_if_it_is_better_and_gives_no_class_up() -> None:
    t, method, rng = known(dataset(120)), Auto(trees=False), np.random.default_rng(0)
    some = torch.from_numpy(np.where(rng.random(120) < 0.6, t.y, (t.y + 1) % 3))
    better, best = some.clone(), some.clone()
    better[:30], best[:60] = t.y[:30], t.y[:60]
    slightly = some.clone()
    wrong = (some != t.y).nonzero()[:9, 0]
    slightly[wrong[:5]], slightly[(some == t.y).nonzero()[:4, 0]] = (
        t.y[wrong[:5]],
        (t.y[(some == t.y).nonzero()[:4, 0]] + 1) % 3,
    )
    no_c = torch.where(t.y == 2, torch.tensor(0), t.y)
    cases = [
        ((some, better, best), ["har, corrected"], [False, False, True]),
        ((some, best, better), ["plain"], [False, True, False]),
        ((best, some, better), [HALF], [False, False, False]),
        ((some, some, some), [HALF], [False, False, False]),
        ((some, slightly, some), [HALF], [False, False, False]),  # by less than a standard error
        ((some, better, no_c), ["plain"], [False, True, False]),  # right more often, and c is given up
    ]
    for predicted, names, chosen in cases:
        assert taken(t, method, dict(zip(WAYS, predicted, strict=True)))[:2] == (names, chosen)


def test_a_class_that_the_network_of_all_rows_gives_up_brings_the_base_back() -> None:
    t, rng = known(dataset(120)), np.random.default_rng(0)
    some = torch.from_numpy(np.where(rng.random(120) < 0.6, t.y, (t.y + 1) % 3))
    ways = dict(zip(WAYS, (some, t.y, some), strict=True))
    no_c = torch.where(t.y == 2, torch.tensor(0), t.y)
    given_up = (["plain", HALF], [False, False, False], [False, True, False])
    assert taken(t, Auto(trees=False), ways, no_c) == given_up


@pytest.mark.parametrize(
    ("of_base", "of_other", "criterion", "given_up"),
    [
        (0.6, 0.48, Balanced(), True),
        (0.6, 0.52, Balanced(), False),
        (0.6, 0.48, Accuracy(prior={"a": 0.2, "b": 0.4, "c": 0.4}), False),  # the shares are as asked for
        (1.0, 0.48, Accuracy(), True),
        (0.45, 0.48, Balanced(), False),  # the base gives it up itself, and more
    ],
)
def test_a_frequent_class_that_the_half_balanced_base_predicts_less_is_held_against_the_base_as_it_is(
    of_base: float, of_other: float, criterion: Criterion, given_up: bool
) -> None:
    """200 of 300 labels; mixup as it is predicts all, half balanced or shifted a part, and the other way less."""
    data = dataset(300)
    y = torch.where(torch.arange(300) % 3 == 2, 1 + torch.arange(300) % 2, 0)
    t = replace(known(replace(data, y=y, group=y)), class_count=torch.bincount(y))
    doubtful = (y == 0) & (torch.arange(300) >= 300 * of_base)  # as it is class 0, and made up for class 1
    p = one_hot(y, 3).float()
    p[doubtful] = torch.tensor([0.51, 0.49, 0.0])
    half = {f"{MIXTURES}, half {k + 1}": p[folds(t.group, t.y, 2, t.seed) == 1 - k] for k in (0, 1)}
    auto = Auto(trees=False, optimize=criterion)
    standing = auto.standing(replace(t, handed_on=half))
    assert int((standing.scores(standing.base)[1].argmax(1) == 0).sum()) == round(200 * of_base)
    other = torch.where((y == 0) & (torch.arange(300) >= 300 * of_other), 1, y)
    assert standing.gives_up(other, standing.base) == given_up
    assert not standing.gives_up(standing.scores(standing.base)[1].argmax(1), standing.base), (
        "the base gives nothing up"
    )


def test_training_that_goes_wrong_on_all_rows_brings_the_base_back() -> None:
    """As trees that diverge: no class is given up, and most of its own rows are wrong."""
    t, rng = known(dataset(120)), np.random.default_rng(0)
    some = torch.from_numpy(np.where(rng.random(120) < 0.6, t.y, (t.y + 1) % 3))
    ways = dict(zip(WAYS, (some, t.y, some), strict=True))
    diverged = torch.from_numpy(np.where(rng.random(120) < 0.4, t.y, (t.y + 1) % 3))
    method = Auto(trees=False)
    assert taken(t, method, ways, diverged) == (["plain", HALF], [False, False, False], [False, False, False])
    now = replace(t, handed_on={**handed(t, ways), "plain": one_hot(diverged, 3).float()})
    assert [trial.went_wrong for trial in method.trials(now) if not trial.left_out] == [False, True, False]
    assert [row[0] for row in choice_of(method.trials(now)).rows if row[-1] == "went wrong on all rows"] == [
        method.trials(now)[1].name
    ]


def test_shares_that_are_made_up_for_are_a_way_too_and_of_the_corrected_loss_those_of_the_true_classes() -> None:
    """A third class of 12 in 120, which no network predicts first: half of its probability in 0.55 is 0.45."""
    data = dataset(120)
    y = torch.where(torch.arange(120) % 10 == 0, 2, torch.arange(120) % 2)
    t, method = replace(known(replace(data, y=y, group=y)), class_count=torch.bincount(y)), Auto(trees=False)
    unsure = torch.full((120, 3), 0.0)
    unsure[torch.arange(120), y] = 1.0
    rare = y == 2
    unsure[rare] = torch.tensor([0.55, 0.0, 0.45])
    found = {}
    for way in WAYS:
        for k in (0, 1):
            found[f"{way}, half {k + 1}"] = unsure[folds(t.group, t.y, 2, t.seed) == 1 - k]
    now = replace(t, handed_on={**found, HALF: one_hot(y, 3).float()})
    trials = [trial for trial in method.trials(now) if not trial.left_out]
    assert {trial.other for trial in trials} == {"half-balanced mixup"}
    assert [trial.chosen for trial in trials] == [False, False, False]
    as_they_are = Auto(optimize=Accuracy(), trees=False)
    assert as_they_are.base(t) == Candidate(MIXTURES, 0.0)
    handed_on = {**found, HALF: one_hot(y, 3).float()}
    balanced = as_they_are.trials(replace(t, handed_on=handed_on))[0]
    assert (balanced.name, balanced.other, balanced.chosen) == (
        "half-balanced mixup",
        "mixup",
        True,
    )
    assert balanced.gain.mean == pytest.approx(0.1), "a tenth of the rows is right now"


def test_shares_are_made_up_for_only_where_nothing_else_does() -> None:
    t = known(dataset(120))
    taus = {c.tau for c in Auto().candidates(t)}
    assert taus == {0.0, 0.5, 1.0}
    others: list[Auto] = [Auto(loss=GCE()), Auto(class_weights=EffectiveNumber()), Auto(sampler=ClassBalanced())]
    for method in others:
        assert {c.tau for c in method.candidates(t)} == {0.0}
    made = {c: Auto().method(c, t) for c in Auto().candidates(t)}
    assert made[Candidate(PLAIN, 0.5)] == ERM(loss=LogitAdjusted(tau=0.5))
    assert made[Candidate(STRONG, 1.0)] == HAR(strength=0.3, loss=LogitAdjusted(tau=1.0))
    assert made[Candidate(CORRECTED, 0.5)] == HAR(strength=0.3, loss=Corrected(tau=0.5))
    assert made[Candidate(MIXTURES, 0.5)] == PostHoc(base=Mixup(), tau=0.5)
    assert made[Candidate("shrunk linear", 1.0)] == Linear(l2=100.0, tau=1.0)


def test_costs_and_a_prior_are_targets_of_every_way() -> None:
    t = known(dataset(120))
    t = replace(t, class_count=torch.tensor([60, 30, 10]))
    prior = Accuracy(prior={"a": 0.2, "b": 0.2, "c": 0.6})
    auto = Auto(optimize=prior)
    assert auto.base(t) == Candidate(MIXTURES, 1.0)
    for candidate in auto.candidates(t):
        method: Any = auto.method(candidate, t)
        holder: Any = method if candidate.way in (*FITTED, MIXTURES) else method.loss
        if candidate.tau:
            assert (holder.tau, holder.target) == (candidate.tau, pytest.approx((0.2, 0.2, 0.6)))
    assert auto.shown(Candidate(STRONG, 0.5)) == "half-shifted HAR at 0.3"
    costs = Auto(optimize=Cost(costs={"a": {"b": 1, "c": 1}, "b": {"a": 1, "c": 1}, "c": {"a": 9, "b": 9}}))
    plain = costs.method(Candidate(PLAIN, 1.0), t)
    assert isinstance(plain, ERM)
    assert isinstance(plain.loss, LogitAdjusted)
    assert plain.loss.target == pytest.approx(tuple(share / 180 for share in (60, 30, 90)))
    assert costs.shown(Candidate(PLAIN, 1.0)) == "cost-weighted plain training"
    wrong = Accuracy(prior={"a": 1, "b": 1})
    for method in (
        Auto(optimize=wrong),
        Auto(optimize=wrong, loss=GCE()),
        Auto(optimize=wrong, sampler=ClassBalanced()),
    ):
        with refused("method.optimize.prior", rule="nothing of class 'c'"):
            method.stages(t)


def test_images_are_held_against_plain_training() -> None:
    t = replace(known(dataset(120)), columns=False)
    assert Auto().base(t) == Candidate(PLAIN, 0.5)
    assert list(Auto().ways(t)) == [PLAIN, STRONG, CORRECTED]


def test_texts_beside_other_columns_are_read_by_some_trees_and_not_by_others() -> None:
    t = replace(known(dataset(120)), input_shape=(256 + 6,), words=(4, 260))
    ways = Auto().ways(t)
    assert list(ways) == [*NETWORKS, *FITTED], "trees are quick, for they read few of the numbers of texts"
    assert ways["trees without texts"] == Trees(words=0)
    alone = replace(t, input_shape=(256,), words=(0, 0))
    assert list(Auto().ways(alone)) == [*NETWORKS, *L2]


def test_ids_cannot_be_mixed_and_all_are_held_against_har() -> None:
    t = replace(known(dataset(120)), ids=1)
    assert Auto().base(t) == Candidate(STRONG, 0.5)
    assert list(Auto().ways(t)) == [STRONG, PLAIN, CORRECTED, *WITHOUT_WORDS]


def test_what_is_taken_is_trained_to_the_bit_as_if_it_had_been_asked_for() -> None:
    auto = trained(Auto(strength=1e-6))
    t = known(dataset(120))
    made = {c.name: Auto(strength=1e-6).method(c, t) for c in Auto().candidates(t)}
    alone = made[auto.stages[-1]]
    assert same(weights(auto.state.net), weights(trained(alone).state.net))


@pytest.mark.parametrize("settings", [{"optimize": Accuracy()}, {"class_weights": EffectiveNumber()}])
def test_the_base_is_plain_training_where_shares_are_not_made_up_for(settings) -> None:
    few = trained(Auto(**settings), dataset(30))
    plain = trained(ERM(**{k: v for k, v in settings.items() if k != "optimize"}), dataset(30))
    assert same(weights(few.state.net), weights(plain.state.net))


def test_ways_have_the_axes_and_are_left_out_where_they_cannot_be_trained() -> None:
    data = dataset(120)
    networks = [*NETWORKS]
    assert list(Auto().ways(known(data))) == [*networks, *WITHOUT_WORDS]
    assert list(Auto(trees=False).ways(known(data))) == networks
    for other in ({"input_shape": (129,)}, {"classes": tuple(map(str, range(21)))}):
        assert list(Auto().ways(replace(known(data), **other))) == [*networks, *L2], "trees are slow"
    many = replace(known(data), class_count=torch.tensor([20_000_000, 1, 1]))
    assert list(Auto().ways(many)) == networks, "and so is a linear model"
    assert list(Auto(mixup=False).ways(known(data))) == [STRONG, PLAIN, CORRECTED, *WITHOUT_WORDS]
    unknown = task(data)
    assert list(Auto().ways(unknown)) == [MIXTURES, PLAIN, STRONG, *WITHOUT_WORDS], "how labels go wrong is not known"
    assert asked(unknown, Auto(), STRONG, 1, {MIXTURES: some_right(unknown, 0.6)})
    assert list(Auto(effort="low").ways(known(data))) == [MIXTURES, *WITHOUT_WORDS]
    assert list(Auto(loss=GCE()).ways(known(data))) == [STRONG, PLAIN], "another loss was asked for"
    weighted = Auto(class_weights=EffectiveNumber()).ways(known(data)).values()
    inner = [way.base if isinstance(way, Mixup) else way for way in weighted]
    assert all(isinstance(way, OneNetwork) and way.class_weights == EffectiveNumber() for way in inner)
    told = [way.probabilities_of for way in Auto(trees=False).ways(known(data)).values()]
    assert told == ["neither", "labels", "neither", "true classes"]


def test_trees_are_taken_where_labels_follow_sharp_rules_and_are_those_asked_for_by_name(tmp_path: Path) -> None:
    x, y = sharp_rules()
    training = sk.TrainingConfig(epochs=5)
    result = sk.fit(x, y, method="auto", train=training)
    best = result.trained.stages[-1]
    assert best.partition(",")[0] in TREES
    way, tau = next(c for c in Auto().candidates(task(dataset(120))) if c.name == best)
    alone = sk.fit(x, y, method=Auto().method(Candidate(way, tau), task(dataset(120))), train=training)
    np.testing.assert_array_equal(result.predict_proba(x), alone.predict_proba(x))
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    np.testing.assert_array_equal(back.predict_proba(x), result.predict_proba(x))
    said = dict(fit_report(back, tmp_path / "run").asked)
    assert said["Model"].startswith("boosted trees, 100 of each output")
    assert said["Networks that were tried"] == "tabular"


def test_trees_are_left_out_inside_other_methods_and_beside_a_network_of_ones_own() -> None:
    assert SAM(base=Auto()).base == Auto(trees=False, mixup=False, members=1)
    assert TwoStage(first=Auto()).first == Auto(trees=False, mixup=False, members=1)
    assert not set(TREES) & set(Auto(head=CosineHead()).ways(known(dataset(120))))
    x, y = sharp_rules(200)
    quick = sk.TrainingConfig(epochs=1)
    assert isinstance(sk.fit(x, y, train=quick, model=make_two).method, HAR)
    assert not sk.fit(x, y, train=quick, model=make_two, method="auto").config.method["trees"]
    for named in ({}, {"model": "mlp"}):
        assert sk.fit(x, y, train=quick, **named).config.method["trees"]


def make_two():
    layers = (torch.nn.Linear(10, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    return torch.nn.Sequential(*layers)


def test_with_few_rows_nothing_is_tried() -> None:
    auto = trained(Auto(), dataset(30))
    assert stages(auto.history) == ["plain, half balanced"]
    assert auto.trials == ()
    said = "auto took half-balanced plain training: fewer than 40 training rows are too few "
    assert auto.notes == (f"{said}to try other ways on halves of them.",)


def test_settings_that_leave_no_other_way_are_said() -> None:
    auto = trained(Auto(effort="low", trees=False, class_weights=EffectiveNumber()))
    assert stages(auto.history) == ["mixup"]
    assert auto.trials == ()
    assert auto.notes == ("auto took mixup: its settings leave no other way to try.",)


def test_an_interrupted_choice_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole, seen = trained(Auto()), []

    def stop(name, done, total):
        seen.append(name)
        if len(seen) == 15:
            raise KeyboardInterrupt

    kept = Checkpoints(tmp_path, 0.0, "")
    with pytest.raises(KeyboardInterrupt):
        trained(Auto(), progress=stop, checkpoints=kept)
    again = trained(Auto(), checkpoints=kept)
    assert again.trials == whole.trials
    assert same(weights(again.state.net), weights(whole.state.net))


def one_way(n=600, seed=0):
    """Return rows of three classes, of which 45 % of the first are labelled as the second."""
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 3, n)
    x = np.array([[0, 0], [2, 0], [0, 2]])[z] + rng.normal(0, 0.8, (n, 2))
    return x, np.where((z == 0) & (rng.random(n) < 0.45), 1, z), z


def test_the_temperature_is_that_of_held_out_rows_and_tests_are_not_needed(tmp_path: Path) -> None:
    x, y, _ = one_way()
    training = sk.TrainingConfig(epochs=10, lr=0.01, optimizer="adam")
    settings = {"method": "auto", "train": training, "model": {"name": "mlp", "width": 32}}
    result = sk.fit(x, y, test=None, **settings)
    held_out, labels = result.trained.held_out, result.trained.target
    assert held_out.shape == (len(y), 3)
    assert result.temperature == pytest.approx(fit_temperature(held_out, torch.from_numpy(y)))
    assert (labels.has_probabilities, result.temperature_by) == (True, "held-out rows")
    tested = sk.fit(x, y, test=0.3, **settings | {"method": "har"})
    assert tested.temperature_by == "test rows"
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    assert (back.temperature, back.temperature_by) == (result.temperature, "held-out rows")


def test_held_out_rows_are_those_of_the_way_that_was_taken() -> None:
    t, method = known(dataset(120)), Auto(trees=False)
    right, some = t.y, some_right(t, 0.6)
    now = replace(t, handed_on=handed(t, dict(zip(WAYS, (some, right, some), strict=True))))
    for wrong_in_the_end, expected in ((right, right), (torch.zeros_like(t.y), some)):
        ended = replace(now, handed_on={**now.handed_on, "plain": one_hot(wrong_in_the_end, 3).float()})
        assert torch.equal(method.held_out(ended).argmax(1), expected)
    assert method.held_out(replace(t, handed_on={})) is None


def test_a_run_says_what_was_tried_and_is_read_back(tmp_path: Path) -> None:
    x, y, _ = one_way()
    training = sk.TrainingConfig(epochs=10, lr=0.01, optimizer="adam")
    result = sk.fit(x, y, method="auto", test=None, train=training, model={"name": "mlp", "width": 32})
    assert len(result.trials) == 8
    assert fit_report(result, tmp_path / "run").choice == choice_of(result.trials)
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    assert (back.trials, back.notes, back.trained.method) == (result.trials, result.notes, result.trained.method)
    new, _, _ = one_way(seed=1)
    np.testing.assert_array_equal(back.predict_proba(new), result.predict_proba(new))


def test_a_strength_is_shown_where_one_is_enforced_alone(tmp_path: Path) -> None:
    x, y, _ = one_way(30)
    training, model = sk.TrainingConfig(epochs=1), {"name": "mlp", "width": 8}
    plain, strong = (sk.fit(x, y, method=m, test=None, train=training, model=model) for m in ("auto", "har"))
    assert plain.trials == ()
    assert plain.strengths is None
    assert "Strength" not in dict(fit_report(plain, tmp_path).asked)
    assert dict(fit_report(strong, tmp_path).asked)["Strength"] == "0.1"
