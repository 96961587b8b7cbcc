"""TabM: each member is the network of its own weights; a row goes through one in training, through all afterwards."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import skedastic as sk
from skedastic import models
from skedastic.core.heads import find_head, run_with_features
from skedastic.models.inputs import Inputs
from skedastic.models.tabm import TabM
from tests.reference import tabm as reference
from tests.support.refusals import refused

K, TABLE = 3, Inputs(kind="table", shape=(6,), real=5, sizes=(30,), numbers=(0, 2))


def network(**options) -> TabM:
    """Return a network without waves and dropout, whose members differ in all of their scales and shifts."""
    torch.manual_seed(0)
    net = models.make("tabm", (5,), 4, {"k": K, "width": 6, "depth": 2, "dropout": 0.0, "waves": 0, **options})
    assert isinstance(net, TabM)
    with torch.no_grad():
        for layer in net.layers:
            for own in (layer.r, layer.s, layer.b):
                own.add_(0.5 * torch.randn_like(own))
    return net.eval()


def of_each_member(net: TabM, x: torch.Tensor) -> torch.Tensor:
    """Return the logits of every member by the reference, [B, k, classes]."""
    arrays = [(la.shared.weight, la.r, la.s, la.b) for la in net.layers]
    members = [
        [(w.detach().double().numpy(), *(own[m].detach().double().numpy() for own in rest)) for w, *rest in arrays]
        for m in range(net.k)
    ]
    eps = net.norms[0].eps
    found = [[reference.features(row.double().numpy(), layers, eps) for layers in members] for row in x]
    return F.linear(torch.from_numpy(np.array(found)).float(), net.linear.weight, net.linear.bias)


def drawing(net: TabM) -> TabM:
    """Put the network in training mode, but for BatchNorm, which would make a row's output depend on the others."""
    net.train()
    net.norms.eval()
    return net


def test_in_evaluation_the_logits_are_the_mean_of_all_members() -> None:
    net, x = network(), torch.randn(7, 5)
    torch.testing.assert_close(net(x), of_each_member(net, x).mean(1))


def test_in_training_each_row_goes_through_one_member_and_each_member_as_often() -> None:
    net, x = drawing(network()), torch.randn(8, 5)
    members, seen = of_each_member(net, x), torch.zeros(8, K)
    for _ in range(300):
        of = torch.isclose(net(x)[:, None], members, atol=1e-5).all(2)
        assert (of.sum(1) == 1).all()
        assert sorted(of.sum(0).tolist()) == [2, 3, 3]
        seen += of
    assert (seen / 300 - 1 / K).abs().max() < 4 * (2 / 9 / 300) ** 0.5, "four standard errors"


def test_few_rows_go_through_any_member() -> None:
    net, x = drawing(network()), torch.randn(1, 5).expand(2, 5)
    outputs = {tuple(row) for _ in range(60) for row in (net(x) * 1e4).round().int().tolist()}
    assert len(outputs) == K


def test_the_gradient_is_on_average_that_of_the_mean_of_the_members_losses() -> None:
    net, y = drawing(network()), torch.tensor([0, 1, 2, 3, 0, 1])
    x, draws = torch.randn(6, 5), 1500
    net.zero_grad()
    for _ in range(draws):
        (F.cross_entropy(net(x), y) / draws).backward()
    drawn = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    for m in range(K):
        h = x
        for layer, norm in zip(net.layers, net.norms, strict=True):
            h = norm(layer(h, torch.full((6,), m))).relu()
        (F.cross_entropy(net.linear(h), y) / K).backward()
    for found, parameter in zip(drawn, net.parameters(), strict=True):
        assert float((found - parameter.grad).norm()) < 0.05 * float(parameter.grad.norm())


def test_one_member_is_one_network() -> None:
    net, x = network(k=1), torch.randn(9, 5)
    torch.testing.assert_close(drawing(net)(x), net.eval()(x))


def test_the_draw_follows_the_seed() -> None:
    net, x = drawing(network()), torch.randn(9, 5)
    torch.manual_seed(1)
    once = net(x)
    torch.manual_seed(1)
    assert torch.equal(net(x), once)
    assert not torch.equal(net(x), once)


def test_the_members_begin_with_other_scales_of_the_inputs_alone() -> None:
    net = models.make("tabm", TABLE, 3).net
    assert isinstance(net, TabM)
    first, *others = net.layers
    assert net.width == first.r.shape[1] == 2 * 4 + 3 + 11, "two numbers with waves, three others, an embedding of 11"
    assert torch.equal(first.r[:, :8], first.r[:, [0, 4]].repeat_interleave(4, 1)), "one scale for a column's entries"
    assert len(set(first.r[0].tolist())) == 2 + 3 + 11
    assert len(set(first.r[:, 0].tolist())) == 8
    assert all((layer.r == 1).all() for layer in others)
    assert all((layer.s == 1).all() and (layer.b == layer.b[0]).all() for layer in net.layers)
    signs = models.make("tabm", TABLE, 3, {"waves": 0}).net.layers[0].r
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}


def test_methods_find_one_row_of_features_whose_logits_are_those_of_the_network() -> None:
    net, x = network(), torch.randn(9, 5)
    for mode in (True, False):
        logits, features = run_with_features(net.train(mode), 4, x)
        assert features.shape == (9, 6)
        torch.testing.assert_close(find_head(net, 4)[2](features), logits)


def test_training_takes_more_epochs_than_that_of_one_network() -> None:
    plain, suits = (models.training_of(name, Inputs.plain((10,)), 5000) for name in ("tabular", "tabm"))
    assert (suits["epochs"], suits["batch_size"]) == (8 * plain["epochs"], 2 * plain["batch_size"])
    few = models.training_of("tabm", Inputs.plain((10,)), 5000, {"k": 1})
    assert few["epochs"] == plain["epochs"], "a member reads each row as often"
    assert models.is_small("tabm", TABLE)


def test_what_it_cannot_take_is_refused() -> None:
    with refused("model.k", 0, rule="at least 1"):
        models.make("tabm", (5,), 3, {"k": 0})
    with refused("model", "tabm", rule="the data has a text"):
        models.make("tabm", Inputs(kind="text", shape=(9,), tokens=9, vocabulary=5), 3)


ALONE = ["erm", "sam", "mixup", "vat", "ncm", "tau-norm", "oltr", "lws", "ldam"]


@pytest.mark.slow
@pytest.mark.parametrize("method", [*ALONE, "har(strength=1)", "co-teaching", "l2rw"])
def test_methods_of_every_kind_train_it(method, tmp_path) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = generator.normal(size=(240, 4)) + 2 * np.eye(4)[y]
    asked = {"test": 0.5, "model": {"name": "tabm", "width": 64}, "train": {"epochs": 40}, "seed": 0}
    reference_rows = {"reference": 0.2} if method == "l2rw" else {}
    estimate = {"estimate": {"kind": "none"}} if method in ALONE else {}
    result = sk.fit(x, y, method=method, **reference_rows, **estimate, **asked)
    assert result.metrics.balanced_accuracy > 0.6, "one of three at random"
    result.save(tmp_path / "run")
    again = sk.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(x), result.predict(x))


@pytest.mark.slow
def test_numbers_are_the_mean_of_the_members() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 4))
    y = 10 + 3 * x[:, 0] + np.abs(x[:, 1])
    for loss in ("squared", "gaussian-nll"):
        result = sk.fit(x, y, method=f"erm(loss={loss})", test=0.3, model={"name": "tabm", "width": 32}, seed=0)
        assert result.metrics.r2 > 0.7
