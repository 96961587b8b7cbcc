"""BBN: against its literal equations, what the branches share, its second batch, and bad input."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from skedastic.methods.bases.card import MIXED, PERTURBED
from skedastic.methods.bases.step import Clock, Step, outputs
from skedastic.methods.bbn import BBN, Branches, share_of_first
from skedastic.methods.sam import SAM
from skedastic.models import make
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.loop import make_task
from tests.reference import bbn as literal
from tests.support.methods import TRAINING, batch_of, dataset, engine_for, same, start, task, weights
from tests.support.refusals import refused


def deep_net(outputs: int = 3) -> nn.Module:
    """Two hidden layers, the first of which both branches share."""
    return nn.Sequential(
        nn.Linear(6, 12),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Linear(12, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, outputs),
    )


def begun(**settings):
    torch.manual_seed(0)
    method = BBN(**settings)
    return method, method.init(task(dataset()), deep_net).train()


def features(net: nn.Module, x):
    return net[:-1](x)


@pytest.mark.parametrize("epoch", [0, 3, 9])
def test_the_share_of_the_first_branch_falls_as_a_parabola(epoch) -> None:
    assert share_of_first(epoch, 10) == pytest.approx(literal.alpha(epoch, 10))
    assert share_of_first(0, 10) == 1


@pytest.mark.parametrize("epoch", [0, 4, 9])
def test_it_is_its_equations(epoch) -> None:
    method, state = begun()
    state.double()
    data = dataset()
    first, second = batch_of(data, slice(16)), batch_of(data, slice(20, 36))
    x, other = first.x.double(), second.x.double()
    out = method._forward(state, x, other, second.y)
    objective = method.objective(Step(state, first, out, Clock(epoch, 10, 0)))
    one, two = state.net.first, state.net.second
    both = features(one, x).detach().numpy(), features(two, other).detach().numpy()
    heads = tuple(p.detach().numpy() for p in (one[-1].weight, two[-1].weight, one[-1].bias))
    expected = literal.loss(share_of_first(epoch, 10), heads, both, (first.y.tolist(), second.y.tolist()))
    assert float(objective.total.detach()) == pytest.approx(expected, rel=1e-9)
    assert float(objective.per_example.mean()) == pytest.approx(expected, rel=1e-9)


def test_it_predicts_with_both_branches_alike() -> None:
    method, state = begun()
    state.eval()
    x = dataset().x
    torch.testing.assert_close(method.predict(state, x), (state.net.first(x) + state.net.second(x)) / 2)


def test_branches_share_all_but_the_last_block_and_the_heads_weights() -> None:
    _, state = begun()
    one, two = state.net.first, state.net.second
    assert one[0] is two[0]
    assert one[1] is two[1]
    assert one[3].weight is not two[3].weight
    assert one[4].running_mean is not two[4].running_mean
    assert one[6].weight is not two[6].weight
    assert one[6].bias is two[6].bias
    assert not torch.equal(one[3].weight, two[3].weight), "the second branch is initialized by itself"


def test_of_resnet32_the_last_residual_block_is_each_branchs_own() -> None:
    net = BBN().init(make_task(dataset()), lambda: make("resnet32", (3, 8, 8), 3)).net
    shared = {n for n, p in net.first.named_parameters() if p is net.second.get_parameter(n)}
    own = {n for n, _ in net.first.named_parameters()} - shared
    assert {n.rpartition(".")[0] for n in own} == {
        "linear",
        *(f"layer3.4.{m}" for m in ("conv1", "bn1", "conv2", "bn2")),
    }


def test_its_first_branch_and_shared_layers_begin_as_plain_training_does() -> None:
    _, state = begun()
    torch.manual_seed(0)
    assert same(weights(state.net.first), weights(deep_net()))


@pytest.mark.parametrize(("branch", "own"), [("head", ["6"]), ("all", ["0", "1", "3", "4", "6"]), ("4", ["4", "6"])])
def test_the_layers_of_a_branch_may_be_chosen(branch, own) -> None:
    _, state = begun(branch=branch)
    parts = [
        n for n, m in state.net.first.named_children() if any(True for _ in m.parameters())
        and next(m.parameters()) is not next(state.net.second.get_submodule(n).parameters())
    ]  # fmt: skip
    assert parts == own


def test_one_network_that_is_given_twice_is_copied() -> None:
    one = deep_net()
    net = BBN().init(task(dataset()), lambda: one).net
    assert net.first[0] is net.second[0]
    assert net.first[3].weight is not net.second[3].weight


def test_sharing_outlives_a_move_and_a_load() -> None:
    _, state = begun()
    state.double().load_state_dict({k: v.clone() + 1 for k, v in state.state_dict().items()})
    one, two = state.net.first, state.net.second
    assert one[0].weight is two[0].weight
    assert one[6].bias is two[6].bias
    assert one[1].running_mean is two[1].running_mean


class Fixed:
    """An engine whose second stream is a given batch, and which only notes the loss."""

    def __init__(self, batch):
        self.batch, self.drawn, self.loss = batch, [], None

    def draw(self, stream):
        self.drawn.append(stream)
        return self.batch

    def update(self, name, loss):
        self.loss = float(loss.detach())


@pytest.mark.parametrize("n", [5, 16, 30])
def test_a_second_batch_of_another_size_is_cut_or_repeated(n) -> None:
    method, state = begun()
    data = dataset()
    batch, other = batch_of(data, slice(16)), batch_of(data, slice(20, 20 + n))
    rows = torch.arange(16) % n
    engine = Fixed(other)
    method.step(state, batch, Clock(5, 10, 0), engine)
    _, again = begun()
    out = method._forward(again, batch.x, other.x[rows], other.y[rows])
    assert engine.drawn == ["second"]
    assert engine.loss == pytest.approx(
        float(method.objective(Step(again, batch, out, Clock(5, 10, 0))).total.detach())
    )


def test_batch_statistics_of_shared_layers_follow_both_batches() -> None:
    method, state = begun()
    method.step(state, batch_of(dataset(), slice(16)), Clock(0, 1, 0), engine_for(method, state))
    assert state.net.first[1].num_batches_tracked == 2
    assert state.net.first[4].num_batches_tracked == 1
    assert state.net.second[4].num_batches_tracked == 1


def test_at_first_the_second_branch_does_not_learn_and_later_it_does() -> None:
    method, state = begun()
    batch = batch_of(dataset(), slice(16))
    for epoch, learns in ((0, False), (5, True)):
        state.zero_grad()
        out = method.forward(state, batch)
        method.objective(Step(state, batch, out, Clock(epoch, 10, 0))).total.backward()
        assert bool(state.net.second[3].weight.grad.any()) == learns


def test_class_weights_are_those_of_both_labels() -> None:
    doubled: Any = make_method("erm(class_weights='given(weights_of={a=2.0, b=2.0, c=2.0})')", {})
    method, state = begun(class_weights=doubled.class_weights)
    batch = batch_of(dataset(), slice(16))
    plain, _ = begun()
    out = method.forward(state, batch)
    twice, once = (m.objective(Step(state, batch, out, Clock(3, 10, 0))) for m in (method, plain))
    torch.testing.assert_close(twice.total, 2 * once.total)
    torch.testing.assert_close(twice.per_example, once.per_example)


def test_the_second_stream_is_reversed() -> None:
    streams = BBN().streams(task(dataset()))
    assert {name: type(s).__name__ for name, s in streams.items()} == {"main": "Shuffle", "second": "Reversed"}


def test_with_one_epoch_it_says_that_the_second_branch_was_not_trained() -> None:
    assert any(
        "only the first branch" in r for r in train(BBN(), dataset(), deep_net, replace(TRAINING, epochs=1)).notes
    )
    assert not train(BBN(), dataset(), deep_net, TRAINING).notes


@pytest.mark.parametrize(
    ("settings", "setting", "value"),
    [
        ({"branch": " "}, "method.branch", " "),
        ({"second_sampler": "reverse"}, "sampler", "reverse"),
        ({"second_sampler": "group-balanced", "sampler": "x"}, "sampler", "x"),
    ],
)
def test_bad_settings_are_refused(settings, setting, value) -> None:
    with refused(setting, value):
        make_method("bbn", settings)


def test_a_branch_that_the_network_lacks_is_refused() -> None:
    with refused("bbn.branch", "layer9.*"):
        BBN(branch="layer9.*").init(task(dataset()), deep_net)
    with refused("bbn.branch", "last-block", rule="branch=head"):
        BBN().init(task(dataset()), lambda: nn.Linear(6, 3))
    with refused("bbn.branch", "last-block", rule="branch=head"):
        BBN().init(task(dataset()), lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3)))
    net = BBN(branch="head").init(task(dataset()), lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3))).net
    assert isinstance(net, Branches)


def test_it_says_why_it_cant_be_wrapped() -> None:
    assert set(BBN().capabilities.incompatible_with) == {PERTURBED, MIXED}
    with refused("sam.base", "bbn", rule="second batch"):
        SAM(base=BBN())


def test_it_is_for_classes_alone() -> None:
    assert BBN().capabilities.tasks == {"classification"}
    assert start(BBN())[0].net(dataset().x).shape == outputs(torch.zeros(50, 3)).shape
