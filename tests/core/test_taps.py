"""Taps: where they sit, and what they must not disturb."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.core import JacobianPenalty, find_taps, regularized_loss
from skedastic.models import make
from tests.support.refusals import refused

GRADIENTS = ("implicit", "exact", "finite")


def test_all_normalization_layers_are_tapped_in_order():
    assert len(find_taps(make("resnet32", (3, 32, 32), 10))) == 31
    net = nn.Sequential(
        nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.GroupNorm(2, 4), nn.RMSNorm(4), nn.Linear(4, 2)
    )
    assert list(find_taps(net)) == ["1", "3", "4"]


def test_without_normalization_every_hidden_layer_is_tapped():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    assert list(find_taps(net)) == ["0", "3"]


def test_taps_by_name_and_pattern():
    net = make("resnet32", (3, 32, 32), 10)
    assert list(find_taps(net, ["layer3.*.bn2"])) == [f"layer3.{i}.bn2" for i in range(5)]
    with refused("taps", "layer9"):
        find_taps(net, ["layer9"])
    with refused("taps", None, rule="name the modules with taps="):
        find_taps(nn.Sequential(nn.Linear(2, 2)))


class InPlace(nn.Module):
    """BatchNorm followed by a ReLU, in place or not."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace
        self.first, self.bn, self.last = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.bn(self.first(x)), inplace=self.inplace))


@pytest.mark.parametrize("kind", GRADIENTS)
def test_a_relu_in_place_after_the_tap_changes_nothing(kind):
    torch.manual_seed(0)
    apart = InPlace(False).double()
    inplace = InPlace(True).double()
    inplace.load_state_dict(apart.state_dict())
    x, y = torch.randn(10, 4, dtype=torch.float64), torch.arange(10) % 3
    results = [regularized_loss(net, x, y, 0.3, penalty=JacobianPenalty(gradient=kind)) for net in (apart, inplace)]
    assert torch.equal(results[0].norm, results[1].norm)
    gradients = [
        torch.autograd.grad(r.total, list(n.parameters())) for r, n in zip(results, (apart, inplace), strict=True)
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", GRADIENTS)
def test_batch_statistics_move_once_a_step(kind):
    torch.manual_seed(0)
    net = InPlace(True)
    once = copy.deepcopy(net)
    x, y = torch.randn(10, 4), torch.arange(10) % 3
    once(x)
    regularized_loss(net, x, y, 5.0, penalty=JacobianPenalty(gradient=kind)).total.backward()
    assert torch.equal(net.bn.running_mean, once.bn.running_mean)
    assert torch.equal(net.bn.running_var, once.bn.running_var)
    assert int(net.bn.num_batches_tracked) == 1


class SeesMasks(nn.Module):
    """A network that keeps what its dropout let through."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bn, self.drop, self.last = (
            nn.Linear(4, 64),
            nn.BatchNorm1d(64),
            nn.Dropout(0.5),
            nn.Linear(64, 3),
        )
        self.masks: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.masks.append(self.drop(torch.ones(len(x), 64)))
        return self.last(self.bn(self.first(x)) * self.masks[-1])


@pytest.mark.parametrize("kind", ["implicit", "finite"])
def test_dropout_masks_are_equal_in_both_passes_and_differ_between_steps(kind):
    torch.manual_seed(0)
    net, x, y = SeesMasks(), torch.randn(10, 4), torch.arange(10) % 3
    for _ in range(2):
        regularized_loss(net, x, y, 0.3, penalty=JacobianPenalty(gradient=kind)).total.backward()
    first, second, third, fourth = net.masks
    assert torch.equal(first, second)
    assert torch.equal(third, fourth)
    assert not torch.equal(first, third)


class Twice(nn.Module):
    """One normalization layer, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.norm(torch.tanh(self.norm(self.first(x))))))


def test_a_module_called_twice_is_measured_and_shifted_twice():
    torch.manual_seed(0)
    net = Twice().double()
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.arange(6) % 3
    a = net.norm(net.first(x))
    b = net.norm(torch.tanh(a))
    loss = F.cross_entropy(net.last(torch.tanh(b)), y, reduction="sum")
    j = torch.autograd.grad(loss, [a, b])
    expected = (j[0].square().sum(1) + j[1].square().sum(1)).sqrt()
    torch.testing.assert_close(regularized_loss(net, x, y, 0.1).norm, expected, rtol=1e-10, atol=0)


def test_hooks_are_gone_afterwards_even_after_an_error():
    net = InPlace(True)

    def hooks() -> int:
        return sum(len(m._forward_hooks) for m in net.modules())

    x, y = torch.randn(10, 4), torch.arange(10) % 3
    regularized_loss(net, x, y, 0.3).total.backward()
    assert hooks() == 0
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        JacobianPenalty().record(net, torch.randn(10, 5), find_taps(net), torch.ones(10))
    assert hooks() == 0


def test_without_gradients_there_is_nothing_to_measure():
    net = InPlace(True)
    with torch.no_grad(), refused("taps", rule="gradients enabled"):
        regularized_loss(net, torch.randn(10, 4), torch.arange(10) % 3, 0.3)


def test_anyones_training_step_in_eight_lines():
    """The README's snippet, run."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(96, 4), torch.arange(96) % 3
    loader = [(x, y, torch.full((96,), 0.1))] * 30
    first = None
    for x, y, strength in loader:
        loss = regularized_loss(net, x, y, strength)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        first = first or float(loss.per_example.mean())
    assert float(loss.per_example.mean()) < first
