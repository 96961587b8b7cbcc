"""The likely true labels: against the density written out, and against simulations whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skedastic.core.transitions import BEND, RIDGE
from skedastic.noise import true_labels as module
from skedastic.noise.group_noise import OF_OWN, Rates, expected_rates, group_noise
from skedastic.noise.label_density import BIAS_SD, OTHERS, OWN, SHARPNESS_SD, UNCLEAR, LabelDensity
from skedastic.noise.true_labels import TrueLabels, how_labels_go_wrong, true_labels, wrong_in_groups

ONE_WAY = np.array([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
TWO_WAY = np.array([[0.7, 0.3, 0.0], [0.3, 0.7, 0.0], [0.0, 0.0, 1.0]])
SYMMETRIC = 0.7 * np.eye(3) + 0.1
CLEAN = np.eye(3)


def simulated(transitions, n=4000, *, skill=2.5, folds=2, seed=0, shares=None):
    """Return probabilities of the given label as a good model would learn them, given and true labels, and folds."""
    rng = np.random.default_rng(seed)
    classes = len(transitions)
    share = np.full(classes, 1 / classes) if shares is None else np.asarray(shares)
    true = rng.choice(classes, n, p=share)
    means = skill * np.eye(classes)
    x = rng.normal(size=(n, classes)) + means[true]
    scores = np.log(share) - ((x[:, None] - means) ** 2).sum(2) / 2
    q = np.exp(scores - scores.max(1, keepdims=True))
    q /= q.sum(1, keepdims=True)
    y = np.array([rng.choice(classes, p=transitions[z]) for z in true])
    return q @ transitions, y, true, rng.integers(0, folds, n)


def by_class(values, y, classes=3):
    return np.array([values[y == c].mean() for c in range(classes)])


def written_out(p, y, fold, found: TrueLabels) -> float:
    """Return the log posterior density, less a constant, of what was found, one example at a time."""
    total = 0.0
    for i in range(len(y)):
        q = before(p[i], found.sharpness[fold[i]], found.bias[fold[i]], found.transitions)
        total += np.log(sum(chance * found.transitions[z, y[i]] for z, chance in enumerate(q)))
        total += UNCLEAR * (q * np.log(q)).sum()
    for z, row in enumerate(found.transitions):
        for j, chance in enumerate(row):
            total += (OWN if z == j else OTHERS / (len(row) - 1)) * np.log(max(chance, 1e-300))
    total -= sum(np.log(a) ** 2 for a in found.sharpness) / (2 * SHARPNESS_SD**2)
    return total - float((found.bias**2).sum()) / (2 * BIAS_SD**2)


def before(p, a, b, transitions):
    """Return q of one example, written out from the module's docstring."""
    u = p @ np.linalg.inv(transitions + RIDGE * np.eye(len(p)))
    u = (u + np.sqrt(u**2 + (BEND * p) ** 2)) / 2
    odds = np.exp(b) * u**a
    return odds / odds.sum()


def test_it_is_the_largest_of_the_density_written_out() -> None:
    p, y, _, fold = simulated(ONE_WAY, 300)
    found = true_labels(p, y, fold)
    best, rng = written_out(p, y, fold, found), np.random.default_rng(1)
    np.testing.assert_allclose(found.transitions.sum(1), 1)
    for _ in range(60):
        t = found.transitions * np.exp(0.1 * rng.normal(size=(3, 3)))
        other = replace(
            found,
            transitions=t / t.sum(1, keepdims=True),
            sharpness=found.sharpness * np.exp(0.05 * rng.normal(size=2)),
            bias=found.bias + 0.05 * rng.normal(size=(2, 3)),
        )
        assert written_out(p, y, fold, other) < best


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("classes", [3, 4])
def test_the_gradient_is_that_of_the_density(noisy, classes) -> None:
    """Against differences; of four classes the last has no label."""
    p, y, _, fold = simulated(ONE_WAY, 40)
    p = np.c_[p, np.full((40, classes - 3), 0.01)]
    absent = np.bincount(y, minlength=classes) == 0
    density = LabelDensity(p, y, fold, 2, absent, noisy=noisy)
    values = np.random.default_rng(0).normal(size=2 + 2 * classes + classes**2)
    slope = density.loss(values)[1]
    for i in range(len(values)):
        step = 1e-5 * (np.arange(len(values)) == i)
        difference = density.loss(values + step)[0] - density.loss(values - step)[0]
        assert slope[i] == pytest.approx(difference / 2e-5, rel=1e-4, abs=1e-8)


def test_the_posterior_is_bayes_rule() -> None:
    p, y, _, fold = simulated(TWO_WAY, 50)
    found = true_labels(p, y, fold)
    for i in range(50):
        q = before(p[i], found.sharpness[fold[i]], found.bias[fold[i]], found.transitions)
        odds = [q[z] * found.transitions[z, y[i]] for z in range(3)]
        posterior = np.array(odds) / sum(odds)
        assert found.wrong[i] == pytest.approx(1 - posterior[y[i]])
        uncertain = sum(posterior[z] * (1 - found.transitions[z].max()) for z in range(3))
        assert found.uncertain[i] == pytest.approx(uncertain)


def test_the_posterior_is_averaged_over_maxima_by_how_high_they_are() -> None:
    p, y, _, fold = simulated(TWO_WAY, 50)
    maxima = module._maxima(p, y, fold, beside=True)
    assert len(maxima) == 3
    assert maxima[0].loss <= maxima[1].loss, "the third comes last, however high it is"
    assert max(m.loss for m in maxima) - min(m.loss for m in maxima) > 0.1, "or there is nothing to be seen"
    weight = [np.exp(-m.loss / 5) for m in maxima]
    mean = sum(w * m.fit.posterior(p, y, fold) for w, m in zip(weight, maxima, strict=True)) / sum(weight)
    np.testing.assert_allclose(true_labels(p, y, fold).by.posterior(p, y, fold), mean, atol=1e-9)


def test_where_one_maximum_is_far_higher_it_stands_alone() -> None:
    p, y, _, fold = simulated(ONE_WAY, 3000)
    found = true_labels(p, y, fold)
    assert np.abs(1 - found.right - found.wrong).mean() < 0.002


@pytest.mark.parametrize("transitions", [CLEAN, SYMMETRIC, TWO_WAY, ONE_WAY], ids=["clean", "all", "two", "one"])
@pytest.mark.parametrize("shares", [None, (0.2, 0.3, 0.5)], ids=["even", "rare"])
def test_both_quantities_of_known_noise(transitions, shares) -> None:
    p, y, true, fold = simulated(transitions, 6000, shares=shares)
    found = true_labels(p, y, fold)
    np.testing.assert_allclose(found.transitions, transitions, atol=0.16)
    np.testing.assert_allclose(by_class(found.wrong, y), by_class((y != true).astype(float), y), atol=0.07)
    uncertain = (1 - transitions.max(1))[true]
    np.testing.assert_allclose(by_class(found.uncertain, y), by_class(uncertain, y), atol=0.1)


def test_the_two_are_opposite_where_noise_goes_one_way() -> None:
    p, y, _, fold = simulated(ONE_WAY, 6000)
    found = true_labels(p, y, fold)
    wrong, uncertain = by_class(found.wrong, y), by_class(found.uncertain, y)
    assert wrong[1] > wrong[0] + 0.15, "labels 1 are wrong"
    assert uncertain[0] > uncertain[1] + 0.15, "labels are uncertain where class 0 lies"


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_a_model_that_is_too_sure_or_not_sure_enough_is_put_right(power) -> None:
    p, y, true, fold = simulated(SYMMETRIC, 6000)
    p = p**power / (p**power).sum(1, keepdims=True)
    found = true_labels(p, y, fold)
    assert abs(found.wrong.mean() - (y != true).mean()) < 0.04


def test_the_lean_of_a_fold_to_a_class_is_no_noise() -> None:
    p, y, true, fold = simulated(CLEAN, 4000)
    p = p * np.where(fold[:, None] == 0, [20.0, 1.0, 1.0], [1.0, 1.0, 20.0])
    p /= p.sum(1, keepdims=True)
    assert (p.argmax(1) != true).mean() > 0.1
    assert true_labels(p, y, fold).wrong.mean() < 0.02


def test_only_so_many_rows_are_fitted_and_all_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    p, y, _, fold = simulated(TWO_WAY, 6000)
    whole = true_labels(p, y, fold)
    monkeypatch.setattr(module, "MOST_CELLS", 3 * 3000)
    part = true_labels(p, y, fold)
    assert part.right.shape == whole.right.shape
    assert not np.array_equal(part.transitions, whole.transitions)
    np.testing.assert_allclose(by_class(part.wrong, y), by_class(whole.wrong, y), atol=0.04)


def test_of_many_classes_one_start_is_left_after_a_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    p, y, _, fold = simulated(TWO_WAY, 3000)
    both = true_labels(p, y, fold)
    monkeypatch.setattr(module, "MANY_CLASSES", 2)
    one = true_labels(p, y, fold)
    np.testing.assert_allclose(by_class(one.wrong, y), by_class(both.wrong, y), atol=0.01)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_few_rows_absent_classes_and_sure_models_give_finite_numbers(n) -> None:
    rng = np.random.default_rng(n)
    for p in (rng.dirichlet(np.ones(4), n), np.eye(4)[rng.integers(0, 4, n)]):
        known = p.reshape(n, 4), rng.integers(0, 3, n), np.arange(n) % 2
        found = true_labels(*known)
        posterior = found.by.posterior(*known)
        for values in (found.transitions, posterior, found.right, found.wrong, found.uncertain, found.wrong_apart):
            assert np.isfinite(values).all()
        np.testing.assert_allclose(posterior.sum(1), 1)
        assert (posterior[:, 3] < 1e-6).all(), "no label names class 3"


def test_groups_differ_in_how_often_labels_are_wrong() -> None:
    rng = np.random.default_rng(0)
    group, share = rng.integers(0, 3, 6000), np.array([0.0, 0.1, 0.4])
    is_wrong = rng.random(6000) < share[group]
    score = rng.normal(size=6000) + 2 * is_wrong  # what is known of each
    common = is_wrong.mean()
    chance = 1 / (1 + (1 - common) / common * np.exp(2 - 2 * score))
    before = by_class(chance, group)
    after = by_class(wrong_in_groups(chance, group, 3), group)
    assert np.abs(before - share).max() > 0.08
    np.testing.assert_allclose(after, by_class(is_wrong.astype(float), group), atol=0.02)


def covered(rates: Rates, truth: np.ndarray) -> np.ndarray:
    return (rates.low - 1e-3 <= truth) & (truth <= rates.high + 1e-3)


@pytest.mark.slow
def test_intervals_hold_both_quantities() -> None:
    """What a sample of 1,500 tells of noise in five classes, by models that are too sure, or not sure enough."""
    held: dict[str, list[np.ndarray]] = {"wrong": [], "uncertain": []}
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        transitions = np.eye(5)
        for c in rng.choice(5, 2, replace=False):
            other, rate = (c + rng.integers(1, 5)) % 5, rng.uniform(0.1, 0.4)
            transitions[c, c], transitions[c, other] = 1 - rate, rate
        p, y, true, fold = simulated(transitions, 1500, skill=2.2, seed=seed)
        p = p ** rng.uniform(0.6, 1.6)
        found = true_labels(p / p.sum(1, keepdims=True), y, fold)
        doubt = found.wrong * (1 - found.wrong)
        own = by_class(p.argmax(1) != y, y, 5) - by_class(found.wrong, y, 5)
        for name, truth in (("wrong", y != true), ("uncertain", (1 - transitions.max(1))[true])):
            values, apart = getattr(found, name), getattr(found, f"{name}_apart")
            rates = expected_rates(values, apart, doubt, own, y, fold)
            assert (rates.low <= rates.rate).all()
            assert (rates.rate <= rates.high).all()
            held[name].append(covered(rates, by_class(truth.astype(float), y, 5)))
    for name, share in ((name, np.mean(values)) for name, values in held.items()):
        assert share >= 0.92, (name, share)


def test_the_interval_is_of_chance_alone_where_nothing_is_in_doubt() -> None:
    chance, group, fold = np.r_[np.ones(20), np.zeros(180)], np.arange(200) % 2, np.arange(200) // 2 % 2
    rates = expected_rates(chance, np.full(200, 0.1), np.zeros(200), np.full(3, -0.1), group, fold)
    expected = group_noise([10, 10, 0], [100, 100, 0])
    for found, alone in zip(rates, expected, strict=True):
        np.testing.assert_allclose(found, alone, atol=1e-12)


def test_doubt_folds_that_differ_and_own_errors_widen_it() -> None:
    chance, group, fold = np.full(200, 0.3), np.zeros(200, dtype=np.int64), np.arange(200) % 2
    none, no_own = np.zeros(200), np.zeros(1)
    narrow = expected_rates(chance, chance, none, no_own, group, fold)
    doubt = expected_rates(chance, chance, np.full(200, 0.1), no_own, group, fold)
    apart = expected_rates(chance, np.where(fold == 0, 0.2, 0.4), none, no_own, group, fold)
    own = expected_rates(chance, chance, none, np.full(1, 0.1 / OF_OWN), group, fold)
    for wide in (doubt, apart, own):  # the standard error of 0.2 and 0.4 is 0.1
        half = np.hypot(narrow.high - narrow.rate, 0.2)
        np.testing.assert_allclose(wide.high - wide.rate, half, atol=1e-9)


def test_own_errors_of_all_groups_widen_one_without_own_errors() -> None:
    """Else the interval would be shortest where all of the model's errors are taken for wrong labels."""
    group, fold = np.repeat([0, 1, 2], (100, 300, 0)), np.arange(400) % 2
    chance, none = np.full(400, 0.3), np.zeros(400)
    own = np.array([0.0, 0.2, 0.0])  # 0.15 of all
    narrow = expected_rates(chance, chance, none, np.zeros(3), group, fold)
    wide = expected_rates(chance, chance, none, own, group, fold)
    half = np.hypot(narrow.rate - narrow.low, 2 * OF_OWN * np.array([0.15, 0.2, 0.15]))
    np.testing.assert_allclose(wide.rate - wide.low, half.clip(None, wide.rate), atol=1e-9)
    fewer = expected_rates(chance, chance, none, np.array([-0.6, 0.1, 0.0]), group, fold)
    half = np.hypot(narrow.rate - narrow.low, 2 * OF_OWN * np.array([0.0, 0.1, 0.0]))
    np.testing.assert_allclose(fewer.rate - fewer.low, half.clip(None, fewer.rate), atol=1e-9)


def unsteady(transitions, n=4000, **settings):
    """Return what `simulated` does, of a model whose log probabilities are off by 1 or so."""
    p, y, true, fold = simulated(transitions, n, **settings)
    p = p * np.exp(np.random.default_rng(1).normal(size=p.shape))
    return p / p.sum(1, keepdims=True), y, true, fold


def test_labels_that_go_wrong_are_explained_better_by_how_they_do_and_right_ones_are_not() -> None:
    for transitions, sound in ((ONE_WAY, True), (CLEAN, False)):
        p, y, _, fold = unsteady(transitions, skill=5)
        found = how_labels_go_wrong(p, y, fold, np.arange(4000), true_labels(p, y, fold))
        assert found.sound == sound
        np.testing.assert_allclose(found.matrix, transitions, atol=0.1)


def test_a_model_that_knows_the_chances_of_labels_gains_nothing_by_how_they_go_wrong() -> None:
    p, y, _, fold = simulated(ONE_WAY)
    found = how_labels_go_wrong(p, y, fold, np.arange(4000), true_labels(p, y, fold))
    assert abs(found.gain.mean) < 0.005


def test_the_gain_is_of_likelihoods_by_the_other_half() -> None:
    p, y, _, fold = simulated(ONE_WAY, 400)
    truth = true_labels(p, y, fold)
    found = how_labels_go_wrong(p, y, fold, np.arange(400), truth)
    half = np.random.default_rng(0).permutation(400) % 2
    absent = np.zeros(3, dtype=bool)
    gains = []
    for i in range(400):
        o = half != half[i]
        if i in (0, 1) or half[i] != half[i - 1]:
            fits = [module._fit(p[o], y[o], fold[o], absent=absent, folds=2, noisy=noisy) for noisy in (True, False)]
        with_t, without = (
            np.log(before(p[i], f.sharpness[fold[i]], f.bias[fold[i]], f.transitions) @ f.transitions[:, y[i]])
            for f in fits
        )
        gains.append(with_t - without)
    assert found.gain.mean == pytest.approx(np.mean(gains), rel=1e-4)
    assert found.gain.error == pytest.approx(np.std(gains, ddof=1) / 20, rel=1e-3)


def test_examples_of_one_unit_are_not_counted_as_many() -> None:
    rng = np.random.default_rng(0)
    p, y, _, fold = unsteady(ONE_WAY, 1000)
    alone = how_labels_go_wrong(p, y, fold, np.arange(1000), true_labels(p, y, fold))
    five = np.tile(np.arange(1000), 5)
    again = how_labels_go_wrong(p[five], y[five], fold[five], five, true_labels(p[five], y[five], fold[five]))
    assert again.gain.error == pytest.approx(alone.gain.error, rel=0.3)
    shuffled = rng.permutation(5000)
    apart = how_labels_go_wrong(p[five], y[five], fold[five], shuffled, true_labels(p[five], y[five], fold[five]))
    assert apart.gain.error < 0.6 * again.gain.error


def test_a_class_that_would_lose_its_predictions_is_told() -> None:
    p, y, _, fold = simulated(CLEAN, 400, skill=1)
    truth = true_labels(p, y, fold)
    eaten = np.array([[0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    assert not how_labels_go_wrong(p, y, fold, np.arange(400), truth).gives_up
    worse = TrueLabels(**{**vars(truth), "transitions": eaten * 0.98 + 0.02 / 3})
    assert how_labels_go_wrong(p, y, fold, np.arange(400), worse).gives_up
