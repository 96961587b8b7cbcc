"""Samplers: which rows an epoch visits, how often, and what is the same on every machine and rank."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import skedastic as sk
from skedastic.core.samplers import SAMPLERS, GroupBalanced, RowLabels, Shuffle
from skedastic.methods.erm import ERM
from skedastic.pipeline.dry_run import dry_run
from skedastic.settings.methods import make_method, method_table
from skedastic.training import TrainingConfig, train
from tests.support.methods import dataset, long_tail, make_net, net_of, same, task, weights
from tests.support.refusals import refused

COUNT = (103, 31, 9, 4)  # of the classes; no share of the 147 rows is a whole number
GROUP_COUNT = (90, 57)
EPOCHS = 9
TRAINING = TrainingConfig(epochs=2, batch_size=16, lr=0.05, device="cpu")
ALL = list(SAMPLERS)
SHARED = [name for name in ALL if name != "shuffle"]


def rows(count=COUNT):
    """Rows in an order that tells nothing of their class; groups across the classes."""
    n = sum(count)
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    label = torch.repeat_interleave(torch.arange(len(count)), torch.tensor(count))[shuffled]
    group = (torch.arange(n) >= n - sum(GROUP_COUNT[1:])).long()
    return RowLabels(label, group)


def by_power(q):
    return lambda n, t: n**q / (n**q).sum()


def progressively(n, t):
    """(1 − t/T) p_IB + (t/T) p_CB (Kang et al. 2020, equation 2), the first epoch being t = 0 and the last t = T."""
    return (1 - t) * n / n.sum() + t / len(n)


SHARES = {
    "class-balanced": by_power(0.0),
    "square-root": by_power(0.5),
    "progressively-balanced": progressively,
    "reversed": by_power(-1.0),
    "group-balanced": by_power(0.0),
}


def member(name):
    """Which class each row is of, or which group where the sampler goes by groups."""
    data = rows()
    return data.group if name == "group-balanced" else data.label


def expected(name, epoch, epochs=EPOCHS):
    """The rows that each class should get, [C], literally; not rounded."""
    n = np.array(GROUP_COUNT if name == "group-balanced" else COUNT, dtype=np.float64)
    return sum(COUNT) * SHARES[name](n, epoch / (epochs - 1))


def drawn(name, seed, epoch, epochs=EPOCHS):
    """How many rows each class gets, [C]."""
    order = SAMPLERS[name]().order(rows(), seed, epoch, epochs)
    return np.bincount(member(name)[order].numpy(), minlength=int(member(name).max()) + 1)


@pytest.mark.parametrize("name", ALL)
def test_an_order_is_a_function_of_seed_and_epoch_and_leaves_the_random_state_alone(name) -> None:
    sampler, random = SAMPLERS[name](), torch.get_rng_state()
    first = sampler.order(rows(), 3, 1, EPOCHS)
    assert torch.equal(torch.get_rng_state(), random)
    torch.manual_seed(99)
    assert torch.equal(sampler.order(rows(), 3, 1, EPOCHS), first)
    others = [sampler.order(rows(), seed, epoch, EPOCHS) for seed, epoch in ((3, 2), (4, 1), (1, 3), (0, 0))]
    assert not any(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("epoch", [0, 4, 8])
def test_an_epoch_is_as_long_as_the_data(name, epoch) -> None:
    order = SAMPLERS[name]().order(rows(), 0, epoch, EPOCHS)
    assert order.dtype == torch.int64
    assert order.shape == (sum(COUNT),)
    assert int(order.min()) >= 0
    assert int(order.max()) < sum(COUNT)


def test_shuffle_visits_every_row_once() -> None:
    for epoch in range(3):
        assert torch.equal(Shuffle().order(rows(), 0, epoch, 3).sort().values, torch.arange(sum(COUNT)))


def test_there_is_a_literal_share_for_each() -> None:
    assert set(SHARES) == set(SHARED), "write the share of a new sampler here"


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("epoch", [0, 3, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_shares_are_exact_but_for_rounding(name, epoch, seed) -> None:
    counts = drawn(name, seed, epoch)
    assert counts.sum() == sum(COUNT)
    assert (np.abs(counts - expected(name, epoch)) < 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_the_rounding_is_right_on_average(name) -> None:
    """Of 200 epochs: the fraction of a row is drawn with its own probability."""
    epochs = 201
    deviation = np.mean([drawn(name, 5, epoch, epochs) - expected(name, epoch, epochs) for epoch in range(200)], axis=0)
    assert np.abs(deviation).max() < 4 * 0.5 / np.sqrt(200)
    if name != "progressively-balanced":
        assert len({tuple(drawn(name, 5, epoch)) for epoch in range(20)}) > 1, "it is drawn again each epoch"


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("epoch", [0, 3, 8])
def test_no_row_comes_again_before_all_of_its_class_have_come(name, epoch) -> None:
    order = SAMPLERS[name]().order(rows(), 1, epoch, EPOCHS)
    times = torch.bincount(order, minlength=sum(COUNT))
    for c in member(name).unique():
        of_class = times[member(name) == c]
        assert int(of_class.max() - of_class.min()) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_which_rows_of_a_class_come_once_more_is_drawn(name) -> None:
    """Over the epochs, rows of a class come equally often: none is preferred for its place."""
    times = sum(
        torch.bincount(SAMPLERS[name]().order(rows(), 0, epoch, 201), minlength=sum(COUNT)) for epoch in range(200)
    )
    for c in member(name).unique():
        of_class = times[member(name) == c].double()
        assert float((of_class - of_class.mean()).abs().max()) < 5 * np.sqrt(200) * 0.5


@pytest.mark.parametrize("name", SHARED)
def test_classes_are_mixed_over_the_epoch(name) -> None:
    """The first half of an epoch has about half of each class that has many rows in it."""
    order = SAMPLERS[name]().order(rows(), 0, 4, EPOCHS)
    members = member(name)[order]
    for c in members.unique():
        if (total := int((members == c).sum())) >= 20:
            half = int((members[: len(order) // 2] == c).sum())
            assert abs(half - total / 2) < 2.5 * np.sqrt(total)


def test_progressively_balanced_goes_from_the_datas_shares_to_equal_ones() -> None:
    assert drawn("progressively-balanced", 0, 0).tolist() == list(COUNT)
    assert np.abs(drawn("progressively-balanced", 0, 8) - sum(COUNT) / 4).max() < 1
    rare = [drawn("progressively-balanced", 0, epoch)[3] for epoch in range(EPOCHS)]
    assert rare == sorted(rare)
    assert drawn("progressively-balanced", 0, 0, epochs=1).tolist() == list(COUNT)


def test_equal_classes_are_a_permutation_to_every_sampler() -> None:
    data = rows((12, 12, 12))._replace(group=rows((12, 12, 12)).label)
    for name in ALL:
        order = SAMPLERS[name]().order(data, 0, 1, 3)
        assert torch.equal(order.sort().values, torch.arange(36)), name


def test_more_classes_than_rows_of_one_are_no_trouble() -> None:
    data = rows((1, 1, 1, 200))
    for name in ALL:
        assert len(SAMPLERS[name]().order(data, 0, 0, 2)) == 203
    share = torch.bincount(data.label[SAMPLERS["reversed"]().order(data, 0, 0, 2)], minlength=4)
    assert share.tolist()[3] in (0, 1), "1/n_c of the 203 rows is a third of a row"


@pytest.mark.parametrize("name", SHARED)
def test_a_class_without_rows_changes_nothing(name) -> None:
    data, sampler = rows(), SAMPLERS[name]()
    gap = RowLabels(2 * data.label, 3 * data.group)
    for epoch in range(3):
        assert torch.equal(sampler.order(gap, 0, epoch, 3), sampler.order(data, 0, epoch, 3))


def test_groups_need_no_classes() -> None:
    data = rows()
    assert len(GroupBalanced().order(data._replace(label=data.label[:0]), 0, 0, 1)) == sum(COUNT)


# In training.


SEEN: list[tuple[int, torch.Tensor]] = []


@dataclass(frozen=True, kw_only=True)
class Watching(ERM):
    def observe(self, step):
        SEEN.append((step.clock.epoch, step.batch.index))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_training_takes_as_many_steps_as_with_shuffled_rows_of_the_rows_that_the_sampler_says(name) -> None:
    SEEN.clear()
    data = long_tail()
    trained = train(Watching(sampler=SAMPLERS[name]()), data, make_net, TRAINING, seed=4)
    assert [(epoch, len(index)) for epoch, index in SEEN] == [(0, 16), (0, 16), (0, 6), (1, 16), (1, 16), (1, 6)]
    known = RowLabels(data.y, data.group)
    for epoch in range(2):
        order = SAMPLERS[name]().order(known, 4, epoch, 2)
        assert torch.equal(torch.cat([index for at, index in SEEN if at == epoch]), data.index[order])
    shuffled = train(ERM(), data, make_net, TRAINING, seed=4)
    assert same(weights(trained.state.net), weights(shuffled.state.net)) == (name == "shuffle")


@pytest.mark.parametrize("name", ALL)
def test_a_method_takes_them_by_name_and_they_are_written_and_read_back(name) -> None:
    method = make_method("erm", {"sampler": name})
    assert method == make_method(f"erm(sampler={name})", {}) == ERM(sampler=SAMPLERS[name]())
    table = method_table(method)
    assert table["sampler"] == name
    assert make_method(table.pop("name"), {k: v for k, v in table.items() if v is not None}) == method


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_real_targets_have_no_classes_to_balance(name) -> None:
    method, data = ERM(sampler=SAMPLERS[name]()), dataset(kind="regression")
    if "regression" in SAMPLERS[name].supports:
        assert "regression" in method.capabilities.tasks
        assert len(train(method, data, net_of("regression"), TRAINING, task=task(data)).history) == 2
        return
    assert method.capabilities.tasks == {"classification"}
    with refused("method.sampler", name, rule="is not for regression"):
        dry_run([method], data, net_of("regression"), TRAINING)


def test_they_are_refused_before_anything_is_trained(no_training) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    with refused("method.sampler", "class-balanced", rule="is not for regression"):
        sk.fit(x, x.sum(1), method="erm(sampler=class-balanced)", train=TRAINING)
