"""The estimate of each group's noise: the folds that are held out, and its distance from the truth."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from skedastic.data import Classes, Dataset, Grouping
from skedastic.noise.estimate import estimate_groups
from skedastic.noise.group_noise import group_noise
from skedastic.settings.config import Estimation
from skedastic.training import TrainingConfig, train
from tests.support.refusals import refused

QUICK = TrainingConfig(epochs=2, batch_size=32, lr=0.1, device="cpu")


def dataset(n=200, classes=4, group=None, noise=()):
    """Blobs that are far apart; `noise` is the share of wrong labels of each true class, moved to the next one."""
    generator = np.random.default_rng(0)
    clean = np.arange(n) % classes
    x = 4 * np.eye(classes)[clean] + generator.normal(size=(n, classes))
    wrong = generator.random(n) < np.append(noise, [0] * (classes - len(noise)))[clean]
    y = torch.from_numpy(np.where(wrong, (clean + classes // 2) % classes, clean))
    names = tuple(str(c) for c in range(classes))
    group = y if group is None else torch.as_tensor(group)
    groups = names if group is y else tuple(f"group {g}" for g in range(int(group.max()) + 1))
    x = torch.tensor(x, dtype=torch.float32)
    return Dataset(
        x=x,
        y=y,
        index=torch.arange(n) + 1000,
        group=group,
        target=Classes(names),
        grouping=Grouping(groups),
        kind="table",
    )


def net_for(classes):
    return lambda: nn.Sequential(nn.Linear(classes, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, classes))


def watched(monkeypatch):
    """Return the index of what each estimating model is trained on."""
    trained_on = []

    def watching(method, rest, *arguments, **options):
        trained_on.append((rest.index, arguments[1].epochs, options["seed"]))
        return train(method, rest, *arguments, **options)

    monkeypatch.setattr("skedastic.noise.fold_networks.train", watching)
    return trained_on


@pytest.mark.parametrize("k", [2, 3, 5])
def test_every_example_is_held_out_exactly_once(k, monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on = watched(monkeypatch)
    data = dataset(103)
    estimate = estimate_groups(data, net_for(4), QUICK, Estimation(folds=k))
    held = torch.cat([data.index[~torch.isin(data.index, index)] for index, _, _ in trained_on])
    assert len(trained_on) == k
    assert torch.equal(held.sort().values, data.index)
    assert torch.isfinite(estimate.held_out).all()
    assert torch.allclose(estimate.held_out.sum(1), torch.ones(103))
    assert len({seed for _, _, seed in trained_on}) == k


def test_the_paper_holds_one_half_out_and_counts_raw_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on = watched(monkeypatch)
    data = dataset(noise=(0.5,))
    estimate = estimate_groups(data, net_for(4), QUICK, Estimation(kind="paper"))
    [(index, _, _)] = trained_on
    assert len(index) == 100
    held = ~torch.isin(data.index, index)
    assert torch.equal(torch.isfinite(estimate.held_out).all(1), held)
    assert torch.isnan(estimate.held_out[~held]).all()
    assert int(estimate.stats.counted.sum()) == 100
    raw = estimate.stats.errors.double() / estimate.stats.counted
    assert torch.equal(estimate.stats.uncertainty, raw)
    assert set(estimate.label_issues["index"]) == set(data.index[held].tolist())


def test_epochs_are_a_fraction_of_the_configured_ones_and_not_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on = watched(monkeypatch)
    for fraction in (0.5, 2.0, 0.01):
        estimate_groups(dataset(40), net_for(4), QUICK, Estimation(epochs=fraction))
    assert [epochs for _, epochs, _ in trained_on] == [1, 1, 4, 4, 1, 1]
    training = TrainingConfig(epochs=60).settled()
    assert Estimation().epochs_of(training) == 15
    assert Estimation(kind="paper").epochs_of(training) == 60
    assert Estimation(kind="paper", epochs=0.5).epochs_of(training) == 30
    assert [Estimation().epochs_of(TrainingConfig(epochs=n).settled()) for n in (1, 8, 20, 60, 80)] == [
        1,
        8,
        15,
        15,
        20,
    ]


@pytest.mark.parametrize("kind", ["cross-fit", "paper"])
@pytest.mark.parametrize("seed", range(3))
def test_groups_of_one_and_absent_groups_are_no_trouble(kind, seed) -> None:
    group = [0] * 99 + [1] + [3] * 98 + [4] * 2  # group 2 has nobody
    data = dataset(group=group)
    estimate = estimate_groups(data, net_for(4), QUICK, Estimation(kind=kind), seed=seed)
    stats = estimate.stats
    assert stats.count.tolist() == [99, 1, 0, 98, 2]
    for name in ("uncertainty", "uncertainty_low", "uncertainty_high", "wrong", "wrong_low", "wrong_high", "density"):
        values = getattr(stats, name)
        assert torch.isfinite(values).all()
        assert ((values >= 0) & (values <= 1)).all()
    assert (stats.uncertainty_low <= stats.uncertainty).all()
    assert (stats.uncertainty <= stats.uncertainty_high).all()
    assert (stats.uncertainty_high - stats.uncertainty_low)[2] >= (stats.uncertainty_high - stats.uncertainty_low)[0]
    tau = stats.strengths
    assert torch.isfinite(tau).all()
    assert float(tau.max()) == 1


@pytest.mark.parametrize("kind", ["cross-fit", "paper"])
def test_groups_without_any_error_are_no_trouble(kind) -> None:
    data = dataset(240)
    estimate = estimate_groups(
        data, net_for(4), TrainingConfig(epochs=10, lr=0.1, batch_size=32), Estimation(kind=kind)
    )
    assert int(estimate.stats.errors.sum()) <= 3
    assert torch.isfinite(estimate.stats.strengths).all()


@pytest.mark.parametrize("kind", ["cross-fit", "paper"])
def test_the_estimate_ranks_groups_as_the_true_noise_does(kind) -> None:
    noise = (0.4, 0.3, 0.2, 0.1, 0.0, 0.05)
    data = dataset(1800, classes=6, group=np.arange(1800) % 6, noise=noise)
    training = TrainingConfig(epochs=8, lr=0.05, batch_size=64, device="cpu")
    stats = estimate_groups(data, net_for(6), training, Estimation(kind=kind)).stats
    assert spearmanr(stats.uncertainty.numpy(), noise).statistic > 0.9
    assert torch.allclose(stats.uncertainty, torch.tensor(noise, dtype=torch.float64), atol=0.12)


def test_label_issues_are_mostly_the_wrong_labels() -> None:
    data = dataset(600, noise=(0.2, 0.2, 0.2, 0.2))
    clean = torch.arange(600) % 4
    estimate = estimate_groups(data, net_for(4), TrainingConfig(epochs=8, lr=0.05, batch_size=64), Estimation())
    issues = estimate.label_issues
    wrong = set((data.index[data.y != clean]).tolist())
    first = issues["index"].head(len(wrong))
    assert np.mean([index in wrong for index in first]) > 0.8


def test_it_is_a_function_of_the_seed() -> None:
    first, again = (estimate_groups(dataset(), net_for(4), QUICK, Estimation(), seed=1) for _ in range(2))
    other = estimate_groups(dataset(), net_for(4), QUICK, Estimation(), seed=2)
    assert torch.equal(first.held_out, again.held_out)
    assert not torch.equal(first.held_out, other.held_out)


def test_more_folds_than_examples_are_refused() -> None:
    with refused("folds", 50):
        estimate_groups(dataset(40), net_for(4), QUICK, Estimation(folds=50))


def test_groups_that_are_always_wrong_are_no_trouble() -> None:
    rates = group_noise([32, 92, 48, 161, 162], [32, 92, 397, 255, 224])
    assert (np.diff(np.stack([rates.low, rates.rate, rates.high]), axis=0) >= 0).all()
    assert rates.rate[1] > rates.rate[0] > 0.9


def test_all_errors_are_counted_when_asked_for() -> None:
    data = dataset(400, noise=(0.3, 0.1))
    every = estimate_groups(data, net_for(4), QUICK, Estimation(uncertainty="errors"))
    other = estimate_groups(data, net_for(4), QUICK, Estimation())
    assert torch.equal(every.held_out, other.held_out)
    assert torch.equal(every.stats.counted, every.stats.count)
    wrong = (every.held_out.argmax(1) != data.y).long()
    errors = torch.zeros(4, dtype=torch.int64).index_add(0, data.group, wrong)
    assert torch.equal(every.stats.errors, errors)
    rates = group_noise(errors.numpy(), every.stats.count.numpy())
    np.testing.assert_allclose(every.stats.uncertainty.numpy(), rates.rate)
    assert torch.equal(every.stats.wrong, other.stats.wrong)
    assert (every.stats.uncertainty - other.stats.uncertainty).abs().max() > 0.05


def test_groups_that_are_not_the_labels_are_counted_apart() -> None:
    group = torch.arange(600) % 4 // 2  # of the classes 0, 1 and 2, 3
    data = dataset(600, group=group, noise=(0.4, 0.4))
    stats = estimate_groups(data, net_for(4), TrainingConfig(epochs=8, lr=0.05, batch_size=64), Estimation()).stats
    assert stats.uncertainty.tolist() == pytest.approx([0.4, 0.0], abs=0.12)
