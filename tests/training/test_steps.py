"""Steps of several batches, clipped gradients, and averaged weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from skedastic.methods.ensemble import Ensemble
from skedastic.methods.erm import ERM
from skedastic.methods.mw_net import MWNet
from skedastic.methods.sam import SAM
from skedastic.training import TrainingConfig, train
from skedastic.training.engine import PlainEngine
from tests.support.methods import dataset, reference, task
from tests.support.refusals import refused

PLAIN = TrainingConfig(epochs=3, batch_size=24, lr=0.05, device="cpu")


def layered() -> nn.Module:
    """No layer in which examples meet."""
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3))


def weights(training: TrainingConfig, method=None) -> torch.Tensor:
    data = dataset(50)
    trained = train(method or ERM(), data, layered, training, task=task(data), reference=reference())
    return torch.cat([p.detach().flatten() for p in trained.state.parameters()])


@pytest.mark.parametrize("method", [ERM(), SAM(rho=0.0), Ensemble(members=2)], ids=["erm", "sam", "ensemble"])
def test_batches_that_make_a_step_are_one_batch(method) -> None:
    """48 rows: every step has as many examples either way. The last one of 50 would weigh its 2 as much as 12."""
    data = dataset(48)
    ways = [replace(PLAIN, batch_size=24), replace(PLAIN, batch_size=12, accumulate=2)]
    one, many = (train(method, data, layered, way, task=task(data)).state.state_dict() for way in ways)
    assert all(torch.allclose(one[key], many[key], atol=1e-6) for key in one)


def test_the_batches_left_at_an_epoch_s_end_make_a_step() -> None:
    """Of 36 rows in batches of 12, the third alone makes a step by its own mean."""
    data, steps = dataset(36), list[float]()
    step = torch.optim.SGD.step

    def noted(self, closure=None):
        steps.append(sum(float(p.grad.norm()) for p in self.param_groups[0]["params"]))
        return step(self, closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", noted)
        train(ERM(), data, layered, replace(PLAIN, batch_size=12, epochs=1, accumulate=2), task=task(data))
    assert len(steps) == 2
    assert 0.5 < steps[1] / steps[0] < 2


def test_one_batch_a_step_no_clip_and_no_average_change_nothing() -> None:
    assert torch.equal(weights(PLAIN), weights(replace(PLAIN, accumulate=1, clip=1e9, ema=0.0)))


def test_a_gradient_is_clipped_to_the_norm() -> None:
    net = nn.Linear(3, 1, bias=False)
    before = net.weight.detach().clone()
    engine = PlainEngine({"main": torch.optim.SGD(net.parameters(), 1.0)}, torch.device("cpu"), clip=0.5)
    engine.update("main", (100 * net.weight).sum())
    assert float((net.weight.detach() - before).norm()) == pytest.approx(0.5, rel=1e-4)
    engine.update("main", (1e-3 * net.weight).sum())
    assert float((net.weight.detach() - before).norm()) == pytest.approx(0.5 + 1e-3 * 3**0.5, rel=1e-4)


def test_a_method_s_own_optimizer_is_neither_clipped_nor_made_to_wait() -> None:
    """The network that weighs takes its step at once: the weights of the same batch are by the new one."""
    data = dataset(48)
    own, counts = torch.optim.Adam.step, list[int]()

    def counted(self, closure=None):
        counts.append(1)
        return own(self, closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", counted)
        training = replace(PLAIN, batch_size=12, epochs=1, accumulate=4, clip=1e-9)
        train(MWNet(), data, layered, training, task=task(data), reference=reference())
    assert len(counts) == 4


def test_the_average_is_of_the_weights_after_each_step() -> None:
    seen = list[list[torch.Tensor]]()
    step = torch.optim.SGD.step

    def noted(self, closure=None):
        step(self, closure)
        seen.append([p.detach().clone() for p in self.param_groups[0]["params"]])

    data = dataset(48)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", noted)
        trained = train(ERM(), data, layered, replace(PLAIN, ema=0.6), task=task(data))
        first = train(ERM(), data, layered, replace(PLAIN, epochs=1, lr=1e-12), task=task(data)).state.net
    means = [p.detach() for p in first.parameters()]
    for t, now in enumerate(seen[: len(seen) - 2], 1):
        decay = min(0.6, (1 + t) / (10 + t))
        means = [decay * mean + (1 - decay) * w for mean, w in zip(means, now, strict=True)]
    assert all(torch.allclose(m, p, atol=1e-6) for m, p in zip(means, trained.state.net.parameters(), strict=True))


def test_averaged_batchnorm_has_averaged_statistics() -> None:
    data = dataset(48)

    def fresh() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))

    plain, averaged = (train(ERM(), data, fresh, replace(PLAIN, ema=ema), task=task(data)) for ema in (0.0, 0.9))
    one, other = (trained.state.net[1].running_mean for trained in (plain, averaged))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(
    ("setting", "value"), [("accumulate", 0), ("clip", 0.0), ("clip", -1.0), ("ema", 1.0), ("ema", -0.1)]
)
def test_values_out_of_range_are_refused(setting, value) -> None:
    with refused(setting=f"train.{setting}", value=value):
        TrainingConfig(**{setting: value})


def test_leaving_steps_out_and_accumulating_do_not_go_together() -> None:
    with refused(setting="train.on_nan", value="skip:3", rule="accumulate=1"):
        TrainingConfig(on_nan="skip:3", accumulate=2)


def test_a_step_that_is_left_out_is_not_averaged() -> None:
    """Its BatchNorm has statistics that are not finite until they are put back."""
    data = dataset(48)
    x = data.x.clone()
    x[5] = float("nan")
    training = replace(PLAIN, ema=0.9, on_nan="skip:20")

    def fresh() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))

    trained = train(ERM(), replace(data, x=x), fresh, training, task=task(data))
    assert all(value.isfinite().all() for value in trained.state.state_dict().values())
