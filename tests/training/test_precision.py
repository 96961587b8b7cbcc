"""Mixed precision, channels_last and compiled networks, against full precision, eager."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import skedastic as sk
from skedastic.core import JacobianPenalty, regularized_loss
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.models import make
from skedastic.runs.load import load
from skedastic.settings.methods import make_method
from skedastic.training import PlainEngine, TrainingConfig, train
from skedastic.training.optimizers import make_optimizer
from skedastic.training.stage import StageRun
from tests.support.methods import dataset, make_net, reference, task
from tests.support.refusals import refused

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def images(n: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, 8, 8, generator=g), torch.arange(n) % 4, torch.rand(n, generator=g) * 0.2


def network() -> nn.Module:
    torch.manual_seed(0)
    return make("resnet32", (3, 8, 8), 4, {"blocks": 1, "width": 8})


def gradient(net: nn.Module, total: Tensor) -> Tensor:
    return torch.cat([g.flatten().float() for g in torch.autograd.grad(total, list(net.parameters()))])


def gradients(net: nn.Module, strength: Tensor, dtype: torch.dtype | None, select: float | str):
    """R, the gradient of plain training, and what the penalty adds to it."""
    x, y, _ = images()
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        result = regularized_loss(net, x, y, strength, penalty=JacobianPenalty(select=select))
        plain = gradient(net, F.cross_entropy(net(x), y))
    return result.norm, plain, gradient(net, result.total) - plain


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("select", [1.0, "auto"])
def test_half_precision_measures_and_trains_as_full_precision_does(precision, select) -> None:
    net, (_, _, strength) = network(), images()
    if select == "auto":
        strength = strength * (torch.arange(len(strength)) < 3)
    norm, plain, added = gradients(copy.deepcopy(net), strength * 5, None, select)
    half_norm, half_plain, half_added = gradients(copy.deepcopy(net), strength * 5, HALF[precision], select)
    assert not torch.equal(plain, half_plain)
    measured = ~norm.isnan()
    assert measured.any()
    torch.testing.assert_close(half_norm[measured], norm[measured], rtol=0.1, atol=0)
    assert half_norm.dtype == torch.float32
    assert F.cosine_similarity(half_plain, plain, dim=0) > 0.98
    assert F.cosine_similarity(half_added, added, dim=0) > 0.9


def test_small_jacobians_survive_half_precision() -> None:
    """Well-fitted examples: entries of J below the smallest number of fp16 (6e-8)."""
    net = network()
    with torch.no_grad():
        net.linear.weight.mul_(2e-4)  # J scales with the last layer
    x, y, strength = images()
    expected = regularized_loss(net, x, y, strength).norm
    with torch.autocast("cpu", torch.float16):
        ours = regularized_loss(net, x, y, strength).norm
    torch.testing.assert_close(ours, expected, rtol=0.05, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize(
    "method", [ERM(), HAR(strength=0.5), HAR(strength=0.5, select=0.25)], ids=["erm", "har", "part"]
)
def test_training_in_half_precision_ends_near_full_precision(precision, method) -> None:
    data = dataset(96)
    losses = {
        p: [
            row["loss"]
            for row in train(
                method, data, make_net, TrainingConfig(epochs=6, batch_size=16, lr=0.1, precision=p), task=task(data)
            ).history
        ]
        for p in ("fp32", precision)
    }
    assert losses[precision] != losses["fp32"]  # that it was another precision
    assert losses[precision][-1] == pytest.approx(losses["fp32"][-1], abs=0.1)
    assert losses[precision][-1] < losses[precision][0]


def test_the_loss_scaler_skips_a_step_that_overflows() -> None:
    from skedastic.training import PlainEngine

    weight = nn.Parameter(torch.ones(1))
    engine = PlainEngine({"main": torch.optim.SGD([weight], 1.0)}, torch.device("cpu"), precision="fp16")
    engine.update("main", (weight * 1e38).sum())  # times the scale, 65536, is infinite
    engine.end_step()
    assert weight.item() == 1
    assert engine.scaler.get_scale() < 65536
    engine.update("main", (weight * 0.5).sum())
    assert weight.item() == pytest.approx(0.5)


def test_the_loss_scale_is_updated_once_a_step_for_two_optimizers() -> None:
    """Both have the scale that their losses had; one that overflows halves it once, and skips its own step alone."""
    first, second = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizers = {"a": torch.optim.SGD([first], 1.0), "b": torch.optim.SGD([second], 1.0)}
    engine = PlainEngine(optimizers, torch.device("cpu"), precision="fp16")
    engine.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    scales = []
    for factor in (1.0, 1.0, 1e38, 1.0):
        engine.update("a", (first * 0.1 * factor).sum())
        engine.update("b", (second * 0.1).sum())
        engine.end_step()
        scales.append(engine.scaler.get_scale())
    assert scales == [8, 16, 8, 8]
    assert first.item() == pytest.approx(0.7)
    assert second.item() == pytest.approx(0.6)


@pytest.mark.parametrize("name", ["mw-net", "co-teaching"])
def test_a_method_of_two_networks_trains_in_half_precision_with_one_update_a_step(name) -> None:
    method = make_method(name, {"forget_rate": 0.2} if name == "co-teaching" else {})
    data = dataset(48)
    torch.manual_seed(0)
    (stage,) = method.stages(task(data))
    state = method.init(task(data), make_net)
    training = TrainingConfig(epochs=2, batch_size=16, precision="fp16", device="cpu").settled()
    run = StageRun(
        stage, state, task(data), data, training, 0, torch.device("cpu"), 2, reference=reference("classification")
    )
    run.engine.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    run.run_epoch()
    assert run.step == 3
    assert run.engine.scaler.state_dict()["_growth_tracker"] == run.step


def test_channels_last_changes_nothing_but_the_memory() -> None:
    x, y, strength = images()
    net = network().double()
    last: Any = copy.deepcopy(net)
    last.to(memory_format=torch.channels_last)
    for select in (1.0, 0.25):
        penalty = JacobianPenalty(select=select)
        a = regularized_loss(net, x.double(), y, strength.double(), penalty=penalty)
        b = regularized_loss(
            last, x.double().to(memory_format=torch.channels_last), y, strength.double(), penalty=penalty
        )
        torch.testing.assert_close(a.norm, b.norm, rtol=1e-10, atol=0, equal_nan=True)
        torch.testing.assert_close(gradient(net, a.total), gradient(last, b.total), rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"channels_last": True}, {"precision": "bf16"}, {"compile": True}])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_saved_network_predicts_the_same_to_the_bit_however_it_was_trained(how, tmp_path: Path) -> None:
    x, y, _ = images(64)
    result = sk.fit(x, y, method="erm", model="cnn", train=TrainingConfig(epochs=1, batch_size=16, **how))
    result.save(tmp_path / "run")
    assert np.array_equal(result.predict_proba(x), load(tmp_path / "run").predict_proba(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_is_measured_and_trained_as_it_is_uncompiled() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 4))
    compiled = torch.compile(net)
    x, y = torch.randn(16, 6), torch.arange(16) % 4
    none, some, all_ = torch.zeros(16), torch.zeros(16), torch.linspace(0.1, 0.8, 16)
    some[:3] = 0.5
    for strength in (all_ * 1e-6, some * 1e-6):  # next to no shift: the losses differ only if the dropout masks do
        ours = regularized_loss(compiled, x, y, strength)
        torch.testing.assert_close(ours.total, ours.per_example.mean(), rtol=1e-4, atol=1e-5)
    assert regularized_loss(compiled, x, y, none).norm.isnan().all()
    assert regularized_loss(compiled, x, y, none).total != regularized_loss(compiled, x, y, none).total  # other masks
    without = [m for m in net if not isinstance(m, nn.Dropout)]
    ours_net = nn.Sequential(*without)
    eager_net = copy.deepcopy(ours_net)
    for strength in (all_, some):
        ours = regularized_loss(torch.compile(ours_net), x, y, strength)
        theirs = regularized_loss(eager_net, x, y, strength, penalty=JacobianPenalty(select=1.0))
        torch.testing.assert_close(ours.norm, theirs.norm, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(
            gradient(ours_net, ours.total), gradient(eager_net, theirs.total), rtol=1e-4, atol=1e-6
        )
        for a, b in zip(ours_net.buffers(), eager_net.buffers(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    for name, value in (("gradient", "exact"), ("gradient", "finite"), ("affine", "before")):
        with refused(name, value, rule="compiled network"):
            regularized_loss(compiled, x, y, all_, penalty=JacobianPenalty(**{name: value}))
    x[0, 0] = float("nan")
    with refused("tap '1'", rule="not finite"):
        regularized_loss(compiled, x, y, all_)

    data = dataset(48)
    configs = [TrainingConfig(epochs=3, batch_size=16, lr=0.05, device="cpu", compile=c) for c in (False, True)]

    def smooth() -> nn.Module:  # no dropout: a compiled network draws its masks otherwise
        return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 3))

    runs = [train(HAR(strength=0.5), data, smooth, training, task=task(data)) for training in configs]
    for a, b in zip(*(run.history for run in runs), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
        assert a["jacobian_norm"] == pytest.approx(b["jacobian_norm"], rel=1e-3)
    torch.testing.assert_close(*(run.predict(data.x) for run in runs), rtol=1e-2, atol=1e-3)
    assert runs[0].state.state_dict().keys() == runs[1].state.state_dict().keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_in_half_precision_and_one_that_is_frozen_in_part() -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 4)
    )
    x, y, strength = torch.randn(16, 6), torch.arange(16) % 4, torch.linspace(0.1, 0.8, 16)
    for dtype in HALF.values():
        compiled, eager = copy.deepcopy(net), copy.deepcopy(net)
        with torch.autocast("cpu", dtype):
            ours = regularized_loss(torch.compile(compiled), x, y, strength)
        theirs = regularized_loss(eager, x, y, strength)
        assert not torch.equal(ours.norm, theirs.norm)
        torch.testing.assert_close(ours.norm, theirs.norm, rtol=0.05, atol=1e-3)
        both = gradient(compiled, ours.total), gradient(eager, theirs.total)
        assert F.cosine_similarity(*both, dim=0) > 0.98
    net[:3].requires_grad_(False)  # what comes before any trained parameter is not measured
    ours, theirs = (regularized_loss(each, x, y, strength) for each in (torch.compile(net), copy.deepcopy(net)))
    torch.testing.assert_close(ours.norm, theirs.norm, rtol=1e-5, atol=1e-7)


def test_a_first_step_that_the_scaler_skips_leaves_nothing_behind() -> None:
    """torch 2.13's fused SGD takes its momentum from uninitialized memory then."""
    parameter = nn.Parameter(torch.ones(1000))
    optimizer = make_optimizer(TrainingConfig(precision="fp16", lr=0.1, device="cpu").settled(), [parameter])
    engine = PlainEngine({"main": optimizer}, torch.device("cpu"), precision="fp16")
    engine.update("main", (parameter * 1e34).sum())  # the scaled one is inf
    engine.end_step()
    assert torch.equal(parameter, torch.ones(1000)), "the step is skipped"
    engine.update("main", parameter.sum())
    torch.testing.assert_close(parameter.detach(), torch.full((1000,), 1 - 0.1 * (1 + 1e-4)))
