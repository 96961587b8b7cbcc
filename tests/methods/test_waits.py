"""No training step waits for the device: no value goes to the CPU, and no shape depends on one."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from skedastic.methods.bases.step import Batch
from skedastic.methods.mixup import mixed
from skedastic.settings.methods import make_method
from skedastic.training import TrainingConfig
from skedastic.training.stage import StageRun, to_batch
from tests.methods.test_gpu import needs_gpu
from tests.support.methods import batch_of, dataset, make_net, task

METHODS = (
    "har(strength=1)",
    "har(strength=1,select=0.25)",
    "har(strength=1,select=0.25,selection=drawn)",
    "har(strength=1,gradient=exact)",
    "har(strength=1,gradient=finite)",
    "har-auto",
    "co-teaching(forget_rate=0.3)",
    "incv(rounds=1)",
    "decoupling(warmup=0)",
    "range-loss",
    "recover(lam=[[0, inf], [first-drop, 5]])",
)
MIXING = ("mixup", "mixup(base=har(strength=1))", "elr-plus")  # they draw on the CPU, and do not wait for the copy
WAITING = ("aten::_local_scalar_dense", "aten::nonzero")


def layered() -> nn.Module:
    """No BatchNorm: a part may take the second pass alone."""
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3))


def stage_run(name: str, make, device: str) -> StageRun:
    method, data = make_method(name, {}), dataset(48)
    known = task(data)
    stage = next(s for s in reversed(method.stages(known)) if s.name == "train")
    state = method.init(known, make).to(device)
    training = TrainingConfig(epochs=3, batch_size=16, device=device).settled()
    return StageRun(stage, state, known, data, training, 0, torch.device(device), 3)


def steps(run: StageRun) -> list[Batch]:
    run.state.train()
    return [to_batch(b, run.loader) for b in run.loader.epoch(0, torch.arange(48))]


@pytest.mark.parametrize("make", [make_net, layered])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_asks_for_no_value(name, make) -> None:
    run = stage_run(name, make, "cpu")
    batches = steps(run)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for batch in batches:
            run.stage.method.step(run.state, batch, run._clock, run.engine)
            run.engine.end_step()
    called = {event.key: event.count for event in seen.key_averages()}
    assert called.get("aten::linear", 0) > 0
    assert {op: called[op] for op in WAITING if op in called} == {}


@needs_gpu
@pytest.mark.parametrize("make", [make_net, layered])
@pytest.mark.parametrize("name", METHODS + MIXING)
def test_a_step_waits_for_no_gpu(name, make) -> None:
    run = stage_run(name, make, "cuda")
    batches = steps(run)
    run.stage.method.step(run.state, batches[0], run._clock, run.engine)  # the first makes momentum and the like
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches[1:]:
            run.stage.method.step(run.state, batch, run._clock, run.engine)
            run.engine.end_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_groups_of_a_batch_are_on_the_cpu_too_and_those_of_mixtures() -> None:
    run = stage_run("erm", make_net, "cpu")
    for batch in steps(run):
        assert batch.group_on_host is not None
        assert torch.equal(batch.group_on_host, batch.group)
    plain = replace(batch_of(dataset(8), torch.arange(8)), group_on_host=None)
    known = replace(plain, group_on_host=plain.group.clone())
    for share, larger in ((0.3, torch.arange(8).flip(0)), (0.7, torch.arange(8))):
        mixture = mixed(known, torch.arange(8).flip(0), torch.tensor(share))
        assert torch.equal(mixture.group, plain.group[larger])
        assert mixture.group_on_host is not None
        assert torch.equal(mixture.group_on_host, mixture.group)
        assert mixed(plain, torch.arange(8).flip(0), torch.tensor(share)).group_on_host is None
