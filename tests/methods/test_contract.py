"""The contract of every method. The package is walked: a new file is tested without being named here."""

import copy
import dataclasses
import inspect
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from skedastic.configurable import Range, described
from skedastic.core.per_example import PerExampleBuffer
from skedastic.data import Numbers
from skedastic.errors import UserError
from skedastic.methods import discover
from skedastic.methods.bases.card import COLUMNS, GROUP_STATS, MIXED, PERTURBED, REFERENCE
from skedastic.methods.bases.method import Method
from skedastic.methods.bases.step import outputs
from skedastic.methods.bases.wrapper import Wrapper
from skedastic.methods.erm import ERM
from skedastic.methods.presets import presets
from skedastic.settings.convert import build
from skedastic.settings.methods import make_method, method_table
from skedastic.training import Checkpoints, train
from skedastic.training.loop import make_task, rebuild
from tests.support.methods import (
    BOTH,
    CLOCK,
    METHODS,
    TRAINING,
    Noting,
    batch_of,
    data_for,
    dataset,
    engine_for,
    make_net,
    net_of,
    observed,
    reference,
    run,
    same,
    start,
    task,
    weights,
)
from tests.support.power_cut import PowerCut
from tests.support.refusals import refused

BY_STEPS = [case for case in BOTH if make_method(str(case.values[0]), {}).passes is None]  # of gradients
LIMITS = [
    pytest.param(name, limit, kind, id=f"{name}-{dict(limit)}-{kind}")
    for name, cls in discover().items()
    for limit in cls.card.reduces_to_erm
    for kind in sorted(cls.card.capabilities.tasks)
]


def outside(allowed: Range):
    """No number, and the first numbers below and above a range."""
    yield math.nan
    yield math.nextafter(allowed.low, -math.inf) if allowed.low_in else allowed.low
    yield math.nextafter(allowed.high, math.inf) if allowed.high_in else allowed.high


@pytest.mark.parametrize("name", METHODS)
def test_is_a_frozen_keyword_only_dataclass_with_a_card_and_docstring(name) -> None:
    preset = presets()[name]
    cls, method = preset.cls, preset.make()
    for words in (preset.title, preset.paper, preset.equations, preset.family):
        assert words
    assert inspect.getdoc(cls)
    assert inspect.getdoc(inspect.getmodule(cls))
    assert cls.card.title
    assert cls.card.paper
    assert bool(cls.card.reduces_to_erm) != bool(cls.card.never_erm), (
        "say in which setting it is plain training, or why in none"
    )
    with pytest.raises(TypeError):
        cls(*([0] * 3))
    for field in dataclasses.fields(method):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(method, field.name, None)
    meanings = {field.name: said.meaning for field, said in described(cls)}
    for field in dataclasses.fields(method):
        assert meanings.get(field.name), f"nothing says what {field.name} means"


@pytest.mark.parametrize("name", discover())
def test_every_number_outside_of_its_range_is_refused(name) -> None:
    cls = discover()[name]
    for field, said in described(cls):
        for wrong in () if said.range is None else outside(said.range):
            with refused(f"{name}.{field.name}", pytest.approx(wrong, nan_ok=True)):
                cls(**{field.name: wrong})


def test_a_comparison_of_all_has_one_baseline_one_yardstick_and_one_headline() -> None:
    roles = [preset.role for preset in presets().values() if preset.role != "other"]
    assert sorted(roles) == ["baseline", "headline", "yardstick"]
    assert presets()["erm"].role == "baseline"


@pytest.mark.parametrize("name", METHODS)
def test_its_configuration_can_be_written_and_read_back(name) -> None:
    method = make_method(name, {})
    table = method_table(method)
    assert make_method(table.pop("name"), {k: v for k, v in table.items() if v is not None}) == method
    with refused("setting", "method.no_such_setting"):
        build(type(method), {"no_such_setting": 1}, "method")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "limit", "kind"), LIMITS)
def test_in_its_limits_it_is_plain_training_to_the_bit(name, limit, kind) -> None:
    method = build(discover()[name], limit, "method")
    data, extra = data_for(method, kind), reference(kind)
    ours = train(method, data, net_of(kind), TRAINING, task=task(data), reference=extra)
    plain = train(ERM(), data, net_of(kind), TRAINING, task=task(data))
    assert same(weights(ours.state.net), weights(plain.state.net))
    assert [row["loss"] for row in ours.history] == [row["loss"] for row in plain.history]


@pytest.mark.parametrize(("name", "kind"), BY_STEPS)
def test_the_loss_is_pure(name, kind) -> None:
    method = make_method(name, {})
    state, batch = start(method, kind)
    torch.manual_seed(5)
    step = observed(method, state, batch)
    after_forward, random = weights(state), torch.get_rng_state()
    loss = method.objective(step)
    assert same(weights(state), after_forward)
    assert torch.equal(torch.get_rng_state(), random)
    assert loss.total.dim() == 0
    assert loss.total.requires_grad
    assert loss.per_example.shape == (16,)
    assert not loss.per_example.requires_grad
    assert all(not value.requires_grad for value in loss.logs.values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), BY_STEPS)
def test_a_step_moves_batch_statistics_once_and_gives_metrics_without_gradients(name, kind) -> None:
    method = make_method(name, {})
    state, batch = start(method, kind)
    metrics = method.step(state, batch, CLOCK, engine_for(method, state, kind))
    counts = [m.num_batches_tracked.item() for m in state.modules() if isinstance(m, nn.BatchNorm1d)]
    assert counts == [1] * len(counts)
    assert "loss" in metrics
    assert all(torch.isfinite(v).all() and not v.requires_grad for v in metrics.values())


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_every_parameter_gets_a_gradient(name, kind) -> None:
    method = make_method(name, {})
    state, batch = start(method, kind)
    engine = engine_for(method, state, kind)
    method.step(state, batch, CLOCK, engine)
    assert all(isinstance(o, Noting) and all(o.had) for o in engine.optimizers.values())
    assert all(p.isfinite().all() for p in state.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_training_is_a_function_of_the_seed_and_leaves_the_callers_random_state_alone(name, kind) -> None:
    method = make_method(name, {})
    random = torch.get_rng_state()
    first = run(method, kind=kind)
    assert torch.equal(torch.get_rng_state(), random)
    torch.manual_seed(99)
    assert same(weights(first.state), weights(run(method, kind=kind).state))
    if first.method.passes or "network" in first.stages[-1]:  # a weighted mean without one is of what is fitted at once
        return
    assert not same(weights(first.state.net), weights(run(method, seed=1, kind=kind).state.net))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_was_interrupted_goes_on_to_the_bit(name, tmp_path: Path) -> None:
    method = make_method(name, {})
    kind = "classification" if "classification" in method.capabilities.tasks else "regression"
    data, extra = data_for(method, kind), reference(kind)
    epochs: list[object] = []
    train_again = partial(train, method, data, net_of(kind), TRAINING, task=task(data), reference=extra)
    whole = train_again(progress=lambda *at: epochs.append(at))

    def cut(*at):
        if at == epochs[len(epochs) // 2]:
            raise PowerCut

    with pytest.raises(PowerCut):
        train_again(progress=cut, checkpoints=Checkpoints(tmp_path, every=0))
    resumed = train_again(checkpoints=Checkpoints(tmp_path, every=0))
    assert same(weights(resumed.state), weights(whole.state))
    assert resumed.history == whole.history


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_its_state_is_saved_and_restored_whole(name, kind) -> None:
    method = make_method(name, {})
    trained = run(method, kind=kind)
    torch.manual_seed(77)
    _, other = rebuild(method, task(dataset(kind=kind)), net_of(kind), trained.stages)
    other.load_state_dict(copy.deepcopy(trained.state.state_dict()))
    x = data_for(method, kind).x
    restored = replace(trained, state=other)
    assert torch.equal(restored.predict(x), trained.predict(x))


@pytest.mark.parametrize("name", [name for name, kind in (p.values for p in BOTH) if kind == "classification"])
def test_predictions_are_probabilities_and_do_not_change_the_state(name) -> None:
    method = make_method(name, {})
    trained, x = run(method), data_for(method).x
    before = weights(trained.state)
    p = trained.predict(x, batch_size=7)
    assert p.shape == (50, 3)
    torch.testing.assert_close(p.sum(1), torch.ones(50))
    assert torch.allclose(p, trained.predict(x), atol=1e-6)
    assert same(weights(trained.state), before)


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_what_is_exported_predicts_as_it_does(name, kind) -> None:
    trained, x = run(make_method(name, {}), kind=kind), data_for(make_method(name, {}), kind).x
    method, state = trained.method, trained.state.eval()
    with torch.no_grad():
        own = method.predict(state, x)
        torch.testing.assert_close(outputs(method.net(state).eval()(x)).to(own.dtype), own)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), BY_STEPS)
def test_a_batch_without_some_groups_is_no_trouble(name, kind) -> None:
    method = make_method(name, {})
    state, _ = start(method, kind)
    data = data_for(method, kind)
    batch = batch_of(data, (data.group == 1).nonzero().flatten()[:8])
    loss = method.objective(observed(method, state, batch))
    assert torch.isfinite(loss.total)


@pytest.mark.parametrize("name", METHODS)
def test_its_needs_are_asked_for_clearly(name) -> None:
    method = make_method(name, {})
    bare = make_task(dataset())
    if GROUP_STATS in method.capabilities.needs:
        with pytest.raises(UserError) as caught:
            method.init(bare, make_net)
        assert caught.value.setting == "task.stats" or caught.value.setting.endswith(".forget_rate")
    else:
        method.init(bare, make_net)
    if REFERENCE in method.capabilities.needs:
        with refused("reference", None, rule="learns from a reference set"):
            method.streams(bare)
    else:
        method.streams(bare)


@pytest.mark.parametrize("name", [p.values[0] for p in BOTH if p.values[1] == "regression"])
def test_predictions_of_numbers_are_in_the_targets_units_and_do_not_change_the_state(name) -> None:
    method = make_method(name, {})
    trained, data = run(method, kind="regression"), data_for(method, "regression")
    before = weights(trained.state)
    p = trained.predict(data.x, batch_size=7)
    assert p.shape == (50,)
    assert p.dtype == torch.float64
    assert isinstance(data.target, Numbers)
    assert data.target.scale.deviation > float((p.mean() - data.y.mean()).abs())
    torch.testing.assert_close(p, trained.predict(data.x))
    assert same(weights(trained.state), before)
    assert "accuracy" not in trained.history[0]


@pytest.mark.parametrize("name", METHODS)
def test_a_step_of_its_own_says_why_it_cant_be_wrapped(name) -> None:
    method = make_method(name, {})
    if type(method).step is not Method.step and "forward" in vars(type(method)):
        assert PERTURBED in method.capabilities.incompatible_with
    if any(isinstance(part, PerExampleBuffer) for part in method.init(task(data_for(method)), make_net).modules()):
        assert MIXED in method.capabilities.incompatible_with
        assert presets()[name].cls.card.memory


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), BOTH)
@pytest.mark.parametrize("wrapper", sorted(n for n, cls in discover().items() if issubclass(cls, Wrapper)))
def test_a_wrapper_trains_it_or_says_why_not(wrapper, name, kind) -> None:
    method, around = make_method(name, {}), discover()[wrapper]
    assert issubclass(around, Wrapper)
    if around.way in method.capabilities.incompatible_with or wrapper == name:
        with refused(f"{wrapper}.base", method.card.name):
            around(base=method)
        return
    whole = around(base=method)
    if kind not in whole.capabilities.tasks:
        assert kind not in around.card.capabilities.tasks
        return
    data = data_for(whole, kind)
    if COLUMNS in whole.capabilities.takes and data.kind == "image":
        with refused("method", rule="rows of numbers"):
            train(whole, data, net_of(kind), TRAINING, task=task(data))
        return
    if {wrapper, name} == {"stack", "blend"} or (wrapper == "stack" and len(method.stages(task(data))) > 1):
        with refused(f"{wrapper}.base" if wrapper == "stack" and name != "blend" else "blend.base"):
            train(whole, data, net_of(kind), TRAINING, task=task(data))
        return
    trained = train(whole, data, net_of(kind), replace(TRAINING, epochs=1), task=task(data), reference=reference(kind))
    assert all(p.isfinite().all() for p in trained.state.parameters())
    plain = train(method, data, net_of(kind), replace(TRAINING, epochs=1), task=task(data), reference=reference(kind))
    assert not same(weights(trained.state), weights(plain.state)), "the wrapper does nothing"
