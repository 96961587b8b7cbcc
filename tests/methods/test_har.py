"""HAR's options: who is left out, the ablations, deferred class weights, and bad input."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import skedastic as sk
from skedastic.core import strengths
from skedastic.core.class_weights import Deferred, EffectiveNumber
from skedastic.core.strengths import inverse_strengths, random_strengths
from skedastic.methods.bases.step import Batch, Clock, Step
from skedastic.methods.har import HAR
from skedastic.settings.methods import make_method, method_table
from skedastic.training import TrainingConfig, train
from tests.support.methods import dataset, make_net, task
from tests.support.refusals import refused

NOISE = torch.tensor([0.4, 0.1, 0.001, 0.0])
DENSITY = torch.tensor([0.1, 0.2, 0.6, 0.1])
TAU = strengths(NOISE, DENSITY)


def test_auto_enforces_nothing_below_a_fifth_and_leaves_the_others_alone() -> None:
    data = dataset()
    stats = replace(
        task(data).stats,
        uncertainty=torch.tensor([0.4, 0.1, 0.002]),
        uncertainty_low=torch.zeros(3),
        uncertainty_high=torch.ones(3),
    )
    t = replace(task(data), stats=stats)
    everyone = HAR(strength=0.5, select=1.0).group_strengths(t)
    some = HAR(strength=0.5).group_strengths(t)
    assert 0 < everyone[2] < 0.1 < everyone[1]
    assert some[2] == 0
    assert torch.equal(some[:2], everyone[:2])
    assert everyone.max() == 0.5


def test_random_and_inverse_regularize_as_much_on_average_and_otherwise() -> None:
    tau = TAU
    for other in (random_strengths(TAU, DENSITY, 3), inverse_strengths(TAU, DENSITY)):
        assert float((DENSITY * other).sum()) == pytest.approx(float((DENSITY * tau).sum()))
        assert (other >= 0).all()
    inverse = inverse_strengths(TAU, DENSITY)
    assert inverse[0] < inverse[1] < inverse[2] == inverse[3]  # the last has none of its own
    assert float(inverse[0] * tau[0]) == pytest.approx(float(inverse[1] * tau[1]))
    assert not torch.equal(random_strengths(TAU, DENSITY, 3), random_strengths(TAU, DENSITY, 4))
    assert torch.equal(inverse_strengths(torch.zeros(4), DENSITY), torch.zeros(4))


def test_random_strengths_follow_the_runs_seed() -> None:
    data = dataset()
    enforced = [HAR(weighting="random").group_strengths(replace(task(data), seed=s)) for s in (0, 0, 1)]
    assert torch.equal(enforced[0], enforced[1])
    assert not torch.equal(enforced[0], enforced[2])


def smooth() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Tanh(), nn.Linear(16, 3))


@pytest.mark.parametrize("select", [1.0, "auto"])
def test_har_drw_weighs_the_loss_and_its_jacobian_from_its_start_on(select) -> None:
    """(1/B) Σ w_i (ℓ_i + s_i R_i): J of the weighted loss, as in the authors' code."""
    data = dataset()
    keep = torch.cat([torch.arange(0, 50, 3), torch.arange(1, 50, 6), torch.arange(2, 20, 3)])
    data = data.subset(keep)
    method = make_method("har-drw", {"strength": 1e-5, "select": select})
    assert isinstance(method, HAR)
    assert method.class_weights == Deferred(of=EffectiveNumber(), start="first-drop")
    torch.manual_seed(0)
    state = method.init(task(data), smooth)
    batch = Batch(data.x, data.y, data.index, data.group)
    w = EffectiveNumber()(torch.bincount(data.y))[data.y]
    assert w.std() > 0.1
    hidden = state.net[1](state.net[0](data.x))
    plain = F.cross_entropy(state.net[3](state.net[2](hidden)), data.y, reduction="none")
    r = torch.autograd.grad(plain.sum(), hidden)[0].norm(dim=1)
    s = state.strength[data.group]
    for epoch, weight in ((0, torch.ones_like(w)), (1, torch.ones_like(w)), (2, w)):
        loss = method.objective(Step(state, batch, method.forward(state, batch), Clock(epoch, 3, 0)))
        expected = (weight * (plain + s * r)).mean()
        assert float(loss.total.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
        torch.testing.assert_close(loss.per_example, plain.detach())  # as they are, unweighted


def test_har_drw_trains_and_differs_from_har_in_its_last_third() -> None:
    data = dataset(60).subset(
        torch.cat([torch.arange(0, 60, 3), torch.arange(1, 60, 3)[:6], torch.arange(2, 60, 3)[:4]])
    )
    training = TrainingConfig(epochs=6, batch_size=8, lr=0.05)
    runs = [
        train(make_method(name, {}), data, make_net, training, task=task(data)).history for name in ("har", "har-drw")
    ]
    same = [a["loss"] == b["loss"] for a, b in zip(*runs, strict=True)]
    assert same[:4] == [True] * 4
    assert not any(same[5:])


@pytest.mark.parametrize("name", ["har-drw", "har-random", "har-inverse"])
def test_presets_are_configurations_that_can_be_written(name) -> None:
    table = method_table(make_method(name, {"select": 0.5}), name)
    again = make_method(table.pop("name"), {k: v for k, v in table.items() if v is not None})
    assert again == make_method(name, {"select": 0.5})


def test_taps_by_function_train_too() -> None:
    data = dataset()
    method = HAR(taps=lambda name, module: isinstance(module, nn.ReLU))
    training = TrainingConfig(epochs=1, batch_size=16)

    def net() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    assert math.isfinite(train(method, data, net, training, task=task(data)).history[0]["jacobian_norm"])
    assert method_table(method)["taps"].endswith("<lambda>")


@pytest.mark.parametrize(
    ("settings", "setting", "value"),
    [
        ({"select": 0.0}, "method.select", 0),
        ({"select": 2}, "method.select", 2),
        ({"select": "all"}, "method.select", "all"),
        ({"select": 0.5, "gradient": "exact"}, "method.select", 0.5),
        ({"candidate": 0}, "method.candidate", 0),
        ({"candidate": float("inf")}, "method.candidate", float("inf")),
        ({"candidate": float("nan")}, "method.candidate", pytest.approx(math.nan, nan_ok=True)),
        ({"selection": "random"}, "method.selection", "random"),
        ({"selection": "drawn"}, "method.selection", "drawn"),
        ({"weighting": "inverted"}, "method.weighting", "inverted"),
        ({"class_weights": "effective-number(beta=1)"}, "method.class_weights.beta", 1),
        ({"class_weights": "deferred(start=-0.1)"}, "method.class_weights.start", -0.1),
        ({"class_weights": "effective-number(bta=0.9)"}, "setting", "method.class_weights.bta"),
        ({"loss": "dmi"}, "method.loss", "dmi"),
    ],
)
def test_settings_that_can_not_be_are_refused(settings, setting, value) -> None:
    with refused(setting, value):
        make_method("har", settings)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [("har-drw", "method.class_weights", "deferred"), ("har-auto", "method.strength", "auto")],
)
def test_settings_for_classes_are_refused_with_real_targets(name, setting, value) -> None:
    with refused(setting, value, rule="is not for regression"):
        sk.fit(torch.randn(40, 3), torch.randn(40), task="regression", method=make_method(name, {}))


def test_an_estimate_of_other_groups_is_refused() -> None:
    data = dataset()
    stats = replace(task(data).stats, names=("a", "b", "x"))
    with refused("task.stats", ["a", "b", "x"]):
        HAR().group_strengths(replace(task(data), stats=stats))


def test_whole_numbers_are_strengths_too() -> None:
    data = dataset()
    uniform = HAR(strength=1, weighting="uniform").group_strengths(task(data))
    assert uniform.dtype == torch.float32
    state = HAR(strength="auto", candidate=3).init(task(data), make_net)
    assert state.strength.dtype == torch.float32
    assert state.strength.max() == 3


def test_a_run_with_a_function_for_taps_is_read_back(tmp_path: Path) -> None:
    """The function is not kept, and a model that only predicts needs none."""
    x, y = dataset().x.numpy(), dataset().y.numpy()
    training = TrainingConfig(epochs=6, batch_size=16, device="cpu")
    model = {"name": "mlp", "width": 16}
    method = HAR(taps=lambda name, module: isinstance(module, nn.BatchNorm1d))
    result = sk.fit(x, y, method=method, train=training, model=model)
    result.save(tmp_path / "run")
    assert (sk.load(tmp_path / "run").predict_proba(x) == result.predict_proba(x)).all()
