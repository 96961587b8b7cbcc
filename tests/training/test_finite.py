"""Steps whose loss or gradient is not finite: they never touch the weights, are named, and may be left out."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from skedastic.data.loader import RawBatch
from skedastic.errors import Diverged
from skedastic.methods.erm import ERM
from skedastic.settings.methods import make_method
from skedastic.training import Checkpoints, TrainingConfig, train
from skedastic.training.divergence import check_epoch
from skedastic.training.finite import FiniteSteps
from skedastic.training.optimizers import make_optimizer
from skedastic.training.stage import StageRun
from tests.methods.test_gpu import needs_gpu
from tests.methods.test_waits import Asked
from tests.support.methods import TRAINING, dataset, make_net, reference, task
from tests.support.power_cut import PowerCut, cut_after
from tests.support.refusals import refused
from tests.support.training import same, tensors

METHODS = ("erm", "har(strength=1)", "sam", "co-teaching(forget_rate=0.3)", "mw-net", "elr", "group-dro", "mixup")
BAD = 107  # the name of a row whose features are not finite
INSTANT = replace(TRAINING, epochs=4)


def layered() -> nn.Module:
    """No BatchNorm, so that a bad row spoils no other one's loss."""
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def spoiled(value: float = float("nan")):
    data = dataset()
    assert isinstance(data.x, Tensor)
    x = data.x.clone()
    x[data.index == BAD] = value
    return replace(data, x=x)


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> OrderedDict[str, Tensor]:
    """The parameters as they were before the last step."""
    last, whole = OrderedDict[str, Tensor](), StageRun.take_step

    def take_step(self, batch, **end):
        last.update({name: p.detach().clone() for name, p in self.state.named_parameters()})
        last["state"] = self.state
        return whole(self, batch, **end)

    monkeypatch.setattr(StageRun, "take_step", take_step)
    return last


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("name", METHODS)
def test_the_weights_are_as_before_the_step_and_the_error_names_it(name: str, optimizer, before) -> None:
    data, method = spoiled(), make_method(name, {})
    training = replace(INSTANT, optimizer=optimizer)
    with pytest.raises(Diverged) as caught:
        train(method, data, make_net, training, task=task(data), reference=reference())
    now = dict(before.pop("state").named_parameters())
    assert all(torch.equal(now[key], value) for key, value in before.items())
    assert 1 <= caught.value.step <= 4
    assert BAD in caught.value.rows
    assert caught.value.stage
    assert f"step {caught.value.step} of the stage" in str(caught.value)


def test_the_rows_are_those_whose_own_loss_is_not_finite() -> None:
    with pytest.raises(Diverged) as caught:
        train(ERM(), spoiled(), layered, INSTANT)
    assert caught.value.rows == [BAD]
    assert f"rows {BAD}: the loss is not finite" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "has"),
    [("erm", False), ("elr", False), ("sam", False), ("har(strength=1)", True), ("sam(base=har)", True)],
)
def test_a_strength_is_named_where_the_method_has_one(name: str, has: bool) -> None:
    stage = SimpleNamespace(name="train", method=make_method(name, {}))
    place = vars(StageRun)["place"].fget(
        SimpleNamespace(stage=stage, epoch=0, epochs=2, step=3, training=INSTANT.settled())
    )
    assert ("or the strength" in place.slower) is has
    with pytest.raises(Diverged) as caught:
        check_epoch(place, {"loss": float("inf")}, [])
    assert ("or the strength" in caught.value.rule) is has


def test_a_gradient_alone_is_enough() -> None:
    net = nn.Linear(6, 3)
    net.weight.register_hook(lambda gradient: gradient * float("inf"))
    with refused("data", None, rule="the gradient is not finite"):
        train(ERM(), dataset(), lambda: net, INSTANT)


@pytest.mark.parametrize("name", ["erm", "har(strength=1)", "elr"])
def test_steps_are_left_out_up_to_a_bound(name: str) -> None:
    data, method = spoiled(), make_method(name, {})
    how = {"task": task(data), "reference": reference()}
    trained = train(method, data, make_net, replace(INSTANT, on_nan="skip:4"), **how)
    assert all(tensor.isfinite().all() for tensor in tensors(trained.state) if tensor.is_floating_point())
    assert [row["skipped"] for row in trained.history] == [1, 1, 1, 1]
    assert all(row["loss"] < 10 for row in trained.history)
    [note] = trained.incidents
    assert note in trained.notes
    assert note.startswith("stage train: 4 steps of 16 left out, since the loss or the gradient was not finite (rows ")
    with pytest.raises(Diverged, match="3 such steps were left out before") as caught:
        train(method, data, make_net, replace(INSTANT, on_nan="skip:3"), **how)
    assert 13 <= caught.value.step <= 16


@pytest.mark.parametrize("on_nan", ["stop", "skip:1"])
def test_steps_that_were_left_out_before_an_interruption_stay_allowed(on_nan: str, tmp_path: Path) -> None:
    kept, cut = Checkpoints(tmp_path, 0), cut_after("train", 2)
    allowing = replace(INSTANT, on_nan="skip:10")
    with pytest.raises(PowerCut):
        train(ERM(), spoiled(), layered, allowing, progress=cut, checkpoints=kept)
    with pytest.raises(Diverged, match="2 such steps were left out before") as caught:
        train(ERM(), spoiled(), layered, replace(INSTANT, on_nan=on_nan), checkpoints=Checkpoints(tmp_path, 0))
    assert caught.value.step > 8


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("batch_size", [16, 25])
def test_a_step_that_is_left_out_is_as_if_it_had_not_been(
    optimizer, batch_size, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, training = spoiled(), replace(INSTANT, optimizer=optimizer, batch_size=batch_size, on_nan="skip:4")
    left_out = train(ERM(), data, normalized, training)
    whole = StageRun._step_if_finite
    monkeypatch.setattr(
        StageRun, "_step_if_finite", lambda run, batch, **last: BAD in batch.index or whole(run, batch, **last)
    )
    without = train(ERM(), data, normalized, training)
    assert same(tensors(left_out.state), tensors(without.state))
    assert [row["loss"] for row in left_out.history] == [row["loss"] for row in without.history]


def normalized() -> nn.Module:
    """No dropout, which would draw other numbers where a step is missing."""
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


@pytest.mark.parametrize("value", ["skip", "skip:0", "skip:-1", "skip:1.5", "go on", ""])
def test_how_many_may_be_left_out_is_a_whole_number(value) -> None:
    with refused("train.on_nan", value, rule="must be stop, or skip:N with N of 1 or more"):
        TrainingConfig(on_nan=value)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_to_allow_it_changes_nothing_where_all_is_finite(optimizer) -> None:
    training = replace(INSTANT, optimizer=optimizer)
    plain, allowing = (train(ERM(), dataset(), make_net, replace(training, on_nan=o)) for o in ("stop", "skip:2"))
    assert same(tensors(plain.state), tensors(allowing.state))
    assert [row["loss"] for row in allowing.history] == pytest.approx([row["loss"] for row in plain.history])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_fused_optimizer_reads_the_flag_itself(optimizer) -> None:
    """As on a GPU, where nothing else keeps a step from the weights."""
    weight = nn.Parameter(torch.ones(5))
    step = make_optimizer(TrainingConfig(optimizer=optimizer, lr=0.1, device="cpu").settled(), [weight])
    finite = FiniteSteps(torch.device("cpu"), {"main": step}, allowed=9)
    step.found_inf = finite._flag  # type: ignore[attr-defined]
    for scale, moves in ((float("inf"), False), (1.0, True), (float("nan"), False), (1.0, True)):
        old, finite_loss = weight.detach().clone(), (weight * 1.0).sum()
        weight.grad = torch.full((5,), scale)
        finite.take_loss(finite_loss)
        finite.may_step(step, scaled=False)
        step.step()
        finite.end_step(1, torch.arange(5), None)
        assert torch.equal(weight, old) is not moves
    assert weight.isfinite().all()
    assert len(finite.bad) == 2


@pytest.mark.parametrize("schedule", ["steps", "cosine"])
def test_a_stage_goes_on_at_another_rate_and_says_so(tmp_path: Path, schedule) -> None:
    training = replace(INSTANT, lr=0.08, schedule=schedule)
    with pytest.raises(PowerCut):
        train(
            ERM(), dataset(), make_net, training, progress=cut_after("train", 2), checkpoints=Checkpoints(tmp_path, 0)
        )
    kept = Checkpoints(tmp_path, 0)
    resumed = train(ERM(), dataset(), make_net, replace(training, lr=0.02), checkpoints=kept)
    whole = train(ERM(), dataset(), make_net, training)
    rates = [row["lr"] for row in whole.history]
    assert [row["lr"] for row in resumed.history] == pytest.approx([*rates[:2], rates[2] / 4, rates[3] / 4])
    assert resumed.incidents == ("stage train: train.lr=0.08 was set to 0.02 after epoch 2 of 4",)


@pytest.mark.parametrize("on_nan", ["stop", "skip:2"])
def test_no_step_asks_the_device_for_a_value(on_nan) -> None:
    stage, batches = begun(replace(INSTANT, on_nan=on_nan))
    with Asked() as seen:
        for batch in batches:
            stage._step_if_finite(batch)
    assert not seen.ops


@needs_gpu
@pytest.mark.parametrize("on_nan", ["stop", "skip:2"])
def test_no_step_waits_for_a_gpu(on_nan) -> None:
    stage, batches = begun(replace(INSTANT, on_nan=on_nan, device="cuda"))
    stage._step_if_finite(batches[0])  # the first makes momentum and the like
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches[1:]:
            stage._step_if_finite(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    stage.check_steps()


def begun(training: TrainingConfig) -> tuple[StageRun, list[RawBatch]]:
    """Return a stage of plain training, and the batches of an epoch."""
    data, method, device = dataset(), ERM(), torch.device(training.device)
    known = task(data)
    state = method.init(known, make_net).to(device).train()
    stage = StageRun(method.stages(known)[0], state, known, data, training.settled(), 0, device, 3)
    return stage, list(stage.loader.epoch(0, torch.arange(48)))


@needs_gpu
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_on_a_gpu_too(optimizer, precision, before) -> None:
    training = replace(INSTANT, optimizer=optimizer, device="cuda", precision=precision)
    with pytest.raises(Diverged) as caught:
        train(ERM(), spoiled(), layered, training)
    assert caught.value.rows == [BAD]
    now = dict(before.pop("state").named_parameters())
    assert all(value.isfinite().all() for value in now.values())
    trained = train(ERM(), spoiled(), layered, replace(training, on_nan="skip:4"))
    assert [row["skipped"] for row in trained.history] == [1, 1, 1, 1]


def test_a_parameter_may_have_its_first_gradient_in_a_later_step() -> None:
    """As of a layer that a step leaves out at random."""

    class Either(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.steps = nn.Linear(6, 3), nn.Linear(6, 3), 0

        def forward(self, x):
            self.steps += self.training
            return self.second(x) if self.steps > 2 else self.first(x)

    data = dataset(48)
    trained = train(ERM(), data, Either, TrainingConfig(epochs=2, batch_size=12, optimizer="sgd", device="cpu"))
    assert all(p.isfinite().all() for p in trained.state.parameters())
