"""No training step waits for the device: no value goes to the CPU, and no shape depends on one."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from skedastic.data.loader import RawBatch
from skedastic.methods.bases.step import Batch
from skedastic.methods.mixup import mixed
from skedastic.settings.methods import make_method
from skedastic.training import TrainingConfig
from skedastic.training.stage import CyclingLoader, StageRun, to_batch
from tests.methods.test_gpu import needs_gpu
from tests.support.methods import BOTH, batch_of, dataset, make_net, run, task

HAR = (
    "har(strength=1)",
    "har(strength=1,select=0.25)",
    "har(strength=1,select=0.25,selection=drawn)",
    "har(strength=1,gradient=exact)",
    "har(strength=1,gradient=finite)",
)
OTHERS = (
    "har-auto",
    "co-teaching(forget_rate=0.3)",
    "incv(rounds=1)",
    "decoupling(warmup=0)",
    "range-loss",
    "recover(lam=[[0, inf], [first-drop, 5]])",
)
MIXING = ("mixup", "mixup(base=har(strength=1))", "elr-plus")  # they draw on the CPU, and do not wait for the copy
WAITING = ("aten::_local_scalar_dense", "aten::nonzero")
ASKING = (  # operations that give a value to the CPU, or whose shape depends on one
    "_local_scalar_dense", "nonzero", "masked_select", "equal", "bincount", "histc",
    "_unique2", "unique_dim", "unique_consecutive", "repeat_interleave.Tensor",
)  # fmt: skip
INDEXING = ("index.Tensor", "index_put", "_index_put_impl_", "index_put_")
VALUE = "_local_scalar_dense"
ON_THE_CPU = {  # how many values a step asks for on the CPU, whatever the device is
    "mixup": 5,  # its draws
    "elr-plus": 10,  # of two networks
    "auto": 5,  # mixup's
    "dmi": 2,  # one_hot looks for its least and its largest on the CPU, and not on a GPU
    "oltr": 2,
}


class Asked(TorchDispatchMode):
    """Counts the operations that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.ops, self.counts = Counter[str](), True

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func).removeprefix("aten.").removesuffix(".default")
        by_mask = name in INDEXING and any(isinstance(i, Tensor) and i.dtype == torch.bool for i in args[1])
        random_state = name == "equal" and args[0].dtype == torch.uint8  # on the CPU
        if self.counts and (by_mask or (name in ASKING and not random_state)):
            self.ops[name] += 1
        return func(*args, **(kwargs or {}))


def asked(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return the most that a step of any stage asks for, but for drawing batches, by operation."""
    mode, draw, whole = Asked(), CyclingLoader.__next__, StageRun._step_if_finite
    most = Counter[str]()

    def step(self: StageRun, batch: RawBatch, *, last: bool) -> None:
        nonlocal most
        mode.ops.clear()
        with mode:
            whole(self, batch, last=last)
        most |= mode.ops

    def drawn(self: CyclingLoader) -> Batch:
        mode.counts = False
        try:
            return draw(self)
        finally:
            mode.counts = True

    monkeypatch.setattr(StageRun, "_step_if_finite", step)
    monkeypatch.setattr(CyclingLoader, "__next__", drawn)
    run(make_method(name, {}), kind=kind)
    return most


@pytest.mark.parametrize(("name", "kind"), [*BOTH, *((name, "classification") for name in HAR)])
def test_no_step_of_any_stage_asks_for_a_value(name, kind, monkeypatch) -> None:
    assert asked(name, kind, monkeypatch) <= Counter({VALUE: ON_THE_CPU.get(name, 0)})


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_an_exempt_step_that_asks_once_more_is_seen(name, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        before = asked(name, "classification", patch)
    whole = StageRun.take_step
    monkeypatch.setattr(
        StageRun, "take_step", lambda self, batch, **end: (torch.zeros(()).item(), whole(self, batch, **end))[1]
    )
    assert asked(name, "classification", monkeypatch) == before + Counter({VALUE: 1})


def test_what_waits_is_seen() -> None:
    x = torch.arange(4.0)
    with Asked() as seen:
        x[x > 1] = x[x > 1].sum().item() * torch.bincount(x.long()).clamp_max(1)[:2]
    assert set(seen.ops) == {"index.Tensor", "index_put_", VALUE, "bincount"}


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
@pytest.mark.parametrize("name", HAR + OTHERS)
def test_a_step_asks_for_no_value_in_the_profile_either(name, make) -> None:
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
@pytest.mark.parametrize("name", HAR + OTHERS + MIXING)
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
