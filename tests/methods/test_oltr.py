"""OLTR: head, attention and centroids against the equations; the two stages; networks with and without feature maps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from skedastic.core.heads import run_with_features
from skedastic.methods.oltr import OLTR, MemoryHead, ModulatedAttention, centroid_loss, class_means, last_maps
from skedastic.models import make
from skedastic.settings.methods import make_method
from skedastic.training import train
from tests.reference import oltr as literal
from tests.support.methods import TRAINING, batch_of, data_for, dataset, make_net, observed, task
from tests.support.refusals import refused


def arrays(layer):
    weight = layer.weight.detach().numpy()
    return weight.reshape(len(weight), -1), layer.bias.detach().numpy()


def test_the_head_is_the_equations() -> None:
    torch.manual_seed(0)
    head, x = MemoryHead(5, 4).double(), torch.randn(7, 5).double()
    output = head(x).detach().numpy()
    for i in range(7):
        expected = literal.logits(
            x[i].numpy(),
            head.centroids.detach().numpy(),
            arrays(head.hallucinator),
            arrays(head.selector),
            head.weight.detach().numpy(),
        )
        np.testing.assert_allclose(output[i], expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_centroid_loss_and_its_gradient_are_the_authors(scale) -> None:
    torch.manual_seed(0)
    x, centroids = (torch.randn(9, 3) * scale).double(), (torch.randn(4, 3) * scale).double().requires_grad_()
    y = torch.tensor([0, 0, 0, 1, 1, 3, 3, 3, 3])
    loss = centroid_loss(x, y, centroids, 10.0)
    parts = x.numpy(), y.numpy(), centroids.detach().numpy(), 10.0
    assert float(loss.detach()) == pytest.approx(literal.centroid_loss(*parts))
    (gradient,) = torch.autograd.grad(loss, centroids)
    np.testing.assert_allclose(gradient, literal.centroid_gradient(*parts), rtol=1e-9, atol=1e-12)


def test_the_attention_is_the_equations_and_adds_nothing_at_first() -> None:
    torch.manual_seed(0)
    layer, x = ModulatedAttention(6, 2, 3).double(), torch.randn(4, 6, 2, 3).double()
    assert torch.equal(layer(x), x)
    nn.init.normal_(layer.mask.weight)
    maps = layer(x).detach().numpy()
    for i in range(4):
        expected = literal.attention(
            x[i].numpy(),
            arrays(layer.value),
            arrays(layer.query),
            arrays(layer.key),
            layer.mask.weight.detach().numpy()[:, :, 0, 0],
            arrays(layer.spatial),
        )
        np.testing.assert_allclose(maps[i], expected, rtol=1e-9, atol=1e-12)


def test_the_memory_begins_with_the_class_means_and_the_trained_head() -> None:
    torch.manual_seed(0)
    method, data = OLTR(), dataset()
    plain, memory = method.stages(task(data))
    assert (plain.name, memory.name) == ("plain", "memory")
    trained = train(plain.method, data, make_net, TRAINING, task=task(data)).state
    with torch.no_grad():
        features = run_with_features(trained.net.eval(), 3, data.x)[1]
    expected = torch.stack([features[data.y == c].mean(0) for c in range(3)])
    torch.testing.assert_close(trained.means, expected, rtol=1e-5, atol=1e-6)
    old = trained.net[4]
    assert memory.enter is not None
    entered = memory.enter(trained, task(data))
    head = entered.net[4]
    assert isinstance(head, MemoryHead)
    torch.testing.assert_close(head.centroids.detach(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(head.hallucinator.weight, old.weight)
    assert torch.equal(head.hallucinator.bias, old.bias)
    means = class_means(features, torch.zeros(50, dtype=torch.int64), 3)
    assert not means[1:].any()


def test_the_objective_is_the_loss_and_the_centroids() -> None:
    torch.manual_seed(0)
    method, data = OLTR(lam=0.5, margin=200.0), dataset()
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    torch.manual_seed(1)
    objective = method.objective(observed(method, state, batch))
    torch.manual_seed(1)
    logits, x = run_with_features(state.net, 3, batch.x)
    term = literal.centroid_loss(
        x.detach().double().numpy(), batch.y.numpy(), state.net[4].centroids.detach().double().numpy(), 200.0
    )
    expected = float(nn.functional.cross_entropy(logits, batch.y).detach()) + 0.5 * term
    assert float(objective.total.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("model", ["cnn", "resnet32"])
def test_a_network_of_images_has_the_attention_behind_its_last_maps(model) -> None:
    torch.manual_seed(0)
    images = replace(task(dataset()), input_shape=(1, 8, 8))
    net = make(model, (1, 8, 8), 3)
    x = torch.rand(4, 1, 8, 8)
    last = last_maps(net, x)
    assert last is not None
    name, shape = last
    before, maps = run_with_features(net.eval(), 3, x)[1], net.get_submodule(name)
    state = OLTR().init(images, lambda: net).eval()
    attention = [m for m in state.net.modules() if isinstance(m, ModulatedAttention)]
    assert len(attention) == 1
    assert attention[0].mask.weight.shape[0] == shape[1]
    assert state.net.get_submodule(name)[0] is maps
    torch.testing.assert_close(run_with_features(state.net, 3, x)[1], before)
    nn.init.normal_(attention[0].mask.weight)
    assert not torch.allclose(run_with_features(state.net, 3, x)[1], before)
    none = OLTR(attention=False).init(images, lambda: make(model, (1, 8, 8), 3))
    assert not any(isinstance(m, ModulatedAttention) for m in none.net.modules())


def test_a_table_goes_without_attention_and_images_without_maps_too() -> None:
    for data in (dataset(), data_for(make_method("cutout", {}))):
        state = OLTR().init(task(data), make_net)
        assert not any(isinstance(m, ModulatedAttention) for m in state.net.modules())


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("oltr(begins=1)", "method.begins", 1),
        ("oltr(lr_scale=0)", "method.lr_scale", 0),
        ("oltr(lam=-1)", "method.lam", -1),
        ("oltr(margin=inf)", "method.margin", float("inf")),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("mixup(base=oltr)", "oltr", "a mixture is of two"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason) -> None:
    with refused("method.base", base, rule=reason):
        make_method(text, {})


def test_a_network_without_a_last_layer_is_refused() -> None:
    with refused("model", rule="no last layer"):
        OLTR().init(task(dataset()), lambda: nn.Sequential(nn.Linear(6, 8)))
