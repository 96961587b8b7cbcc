"""Recipes of two stages, end to end: the changes by the second one, resuming, and reading it back."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import skedastic as sk
from skedastic.core.heads import Cosine, NearestMean, Scaled, find_head
from skedastic.core.samplers import ClassBalanced, RowLabels
from skedastic.losses.ldam import LDAM
from skedastic.methods.absgd import ABSGD
from skedastic.methods.bases.step import State
from skedastic.methods.erm import ERM
from skedastic.methods.lws import LWS
from skedastic.methods.ncm import NCM
from skedastic.methods.tau_norm import TauNorm
from skedastic.methods.two_stage import TwoStage
from skedastic.settings.config import Config
from skedastic.settings.methods import make_method, method_table, the_method
from skedastic.settings.reading import read, to_toml
from skedastic.training import Checkpoints, TrainingConfig, train
from skedastic.training.loop import make_task
from tests.support.methods import dataset, make_net, net_of
from tests.support.power_cut import PowerCut, cut_after
from tests.support.refusals import refused

TRAINING = TrainingConfig(epochs=10, batch_size=16, lr=0.05, device="cpu")


def long_tail():
    """60 rows of three classes: 30, 20 and 10."""
    data = dataset(90)
    rows = torch.cat([(data.y == c).nonzero().flatten()[:n] for c, n in enumerate((30, 20, 10))])
    return data.subset(rows.sort().values)


def flat_net(affine=True):
    """A network without dropout, whose features are those of `net[:-1]`."""
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16, affine=affine), nn.ReLU(), nn.Linear(16, 3))


def nested_net():
    block = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))
    return nn.Sequential(
        nn.ModuleDict({"block": block})["block"], nn.Sequential(nn.Linear(16, 8), nn.ReLU()), nn.Linear(8, 3)
    )


def run(method, net=make_net, data=None, seed=1, **training):
    method = make_method(method, {}) if isinstance(method, str) else method
    return train(method, data or long_tail(), net, replace(TRAINING, **training), seed=seed)


def kept(before: State, after: State, prefix: str = "net."):
    """For every tensor of the network before, by name: whether it is the same to the bit afterwards."""
    ours, theirs = before.state_dict(), after.state_dict()
    return {k: k in theirs and torch.equal(v, theirs[k]) for k, v in ours.items() if k.startswith(prefix)}


def head_of(state):
    return find_head(state.net, 3)[2]


def epochs_of(trained):
    return [row["stage"] for row in trained.history]


# What the second stage changes.


@pytest.mark.slow
@pytest.mark.parametrize("net", [make_net, flat_net, nested_net], ids=["flat, dropout", "flat", "nested"])
@pytest.mark.parametrize("first", ["erm", "absgd(lam=5)", "erm(class_weights=deferred(inverse, start=0.5))"])
def test_crt_trains_a_new_head_and_moves_nothing_else_to_the_bit(net, first) -> None:
    whole, alone = run(f"crt(first={first})", net), run(first, net, epochs=9)
    assert epochs_of(whole) == ["train"] * 9 + ["second"]
    plain = [{k: v for k, v in row.items() if k != "stage"} for row in alone.history]
    assert [{k: v for k, v in row.items() if k != "stage"} for row in whole.history[:9]] == plain
    same = kept(alone.state, whole.state)
    head = {name for name in same if name.startswith(f"net.{len(net()) - 1}.")}
    assert len(head) == 2
    assert {name for name, is_same in same.items() if not is_same} == head, "parameters, and BatchNorm's statistics"
    assert all(p.requires_grad for p in whole.state.parameters()), "what was frozen is free again"


def test_statistics_of_batch_norm_without_parameters_do_not_move_either() -> None:
    """A frozen part is in evaluation mode, and does not move; a layer without parameters has nothing to train."""
    net = partial(flat_net, affine=False)
    same = kept(run("erm", net, epochs=9).state, run("crt", net).state)
    assert {name for name, is_same in same.items() if not is_same} == {"net.3.weight", "net.3.bias"}


def test_the_new_head_knows_nothing_of_the_old_one_unless_it_is_to_go_on() -> None:
    for fresh in (True, False):
        stages = TwoStage(fresh_head=fresh).stages(make_task(long_tail()))
        state = stages[0].method.init(make_task(long_tail()), make_net)
        before = head_of(state).weight.detach().clone()
        assert stages[1].enter is not None
        after = head_of(stages[1].enter(state, make_task(long_tail())))
        assert torch.equal(after.weight, before) != fresh


def test_crt_ends_with_balanced_predictions_from_the_features_it_learned() -> None:
    """Its second stage sees every class equally often, by the loss of its own method."""
    stages = make_method("crt", {}).stages(make_task(long_tail()))
    assert stages[1].method == ERM(sampler=ClassBalanced())
    assert make_method("crt(then=absgd(lam=5))", {}).stages(make_task(long_tail()))[1].method == ABSGD(lam=5)


def test_joint_trains_everything() -> None:
    same = kept(run("erm", epochs=9).state, run("joint").state)
    assert not any(same.values())


@pytest.mark.parametrize(
    ("part", "places"),
    [
        ("head", {"4"}),
        ("last-block", {"0", "1", "4"}),
        ("4", {"4"}),
        ("0,4", {"0", "4"}),
        ("1", {"1"}),
        ("all", {"0", "1", "4"}),
    ],
)
def test_the_chosen_part_is_trained_and_nothing_else(part, places) -> None:
    same = kept(run("erm", epochs=9).state, run(f'two-stage(train="{part}", fresh_head=false)').state)
    assert {name.split(".")[1] for name, is_same in same.items() if not is_same} == places


def test_absgds_second_stage_trains_the_last_block_by_absgd() -> None:
    whole, alone = run("absgd-two-stage", nested_net), run("erm", nested_net, epochs=5)
    same = kept(alone.state, whole.state)
    assert {name.split(".")[1] for name, is_same in same.items() if not is_same} == {"1", "2"}
    assert whole.method == ABSGD(lam=10.0)
    assert ["log_s" in row for row in whole.history] == [False] * 5 + [True] * 5


def test_real_targets_have_two_stages_too() -> None:
    data = dataset(kind="regression")
    method = make_method("two-stage(then=erm)", {})
    assert "regression" in method.capabilities.tasks
    whole = train(method, data, net_of("regression"), TRAINING)
    alone = train(ERM(), data, net_of("regression"), replace(TRAINING, epochs=9))
    same = kept(alone.state, whole.state)
    assert {name.split(".")[1] for name, is_same in same.items() if not is_same} == {"4"}
    assert "regression" not in make_method("crt", {}).capabilities.tasks


def test_a_nested_recipe_has_its_own_settings_in_each_stage() -> None:
    method = make_method("crt(first=absgd(lam=5))", {})
    assert method == TwoStage(first=ABSGD(lam=5))
    trained = run(method)
    assert ["log_s" in row for row in trained.history] == [True] * 9 + [False]
    deeper = run("crt(first=two-stage(first=absgd(lam=5), then=erm, begins=0.5, train=all), begins=0.8)")
    assert epochs_of(deeper) == ["train"] * 4 + ["second"] * 4 + ["second-2"] * 2


def test_the_second_method_steps_its_own_optimizer() -> None:
    """ABAdam in the second stage is Adam's steps there, as it is in the first."""
    task = make_task(long_tail())
    assert make_method("two-stage(first=abadam)", {}).stages(task)[0].optimizer == "adamw"
    assert make_method("two-stage(then=abadam)", {}).stages(task)[1].optimizer == "adamw"
    assert [stage.optimizer for stage in make_method("dmi", {}).stages(task)] == ["configured", "adam"]
    with refused("method.optimizer", "admw"):
        make_method("two-stage(optimizer=admw)", {})


# Training and schedule.


def test_the_learning_rate_begins_again_with_the_second_stage() -> None:
    history = run("two-stage(begins=0.6, lr_scale=0.5)", lr=0.1).history
    rates = [row["lr"] for row in history]
    assert rates == pytest.approx([0.1] * 4 + [0.01, 0.001] + [0.05] * 3 + [0.0005])
    assert [row["lr"] for row in run("lws(begins=0.8, lr_scale=2)", lr=0.1).history][-2:] == pytest.approx([0.2, 0.02])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crt", "lws", "joint", "absgd-two-stage"])
@pytest.mark.parametrize("epochs", [2, 5, 10, 61])
def test_two_stages_take_together_the_epochs_of_the_training_configuration(name, epochs) -> None:
    """What a comparison gives to every method alike; each stage at least one."""
    done = epochs_of(run(name, epochs=epochs))
    assert len(done) == epochs
    assert len(set(done)) == 2


@pytest.mark.parametrize("name", ["ncm", "tau-norm"])
def test_a_stage_that_trains_nothing_takes_no_epoch(name) -> None:
    """The first stage is plain training over all epochs, to the bit."""
    whole, plain = run(name), run("erm")
    assert epochs_of(whole).count("train") == 10
    changed = {n for n, is_same in kept(plain.state, whole.state).items() if not is_same}
    assert changed == {"net.4.weight", "net.4.bias"}


# LWS.


def test_lws_trains_the_factors_alone() -> None:
    whole, alone = run("lws(begins=0.8)"), run("erm", epochs=8)
    assert epochs_of(whole) == ["train"] * 8 + ["factors"] * 2
    head = head_of(whole.state)
    assert isinstance(head, Scaled)
    assert not torch.equal(head.factor, torch.ones(3))
    before, after = alone.state.net.state_dict(), whole.state.net.state_dict()
    assert set(after) - set(before) == {"4.factor", "4.head.weight", "4.head.bias"}
    for name, value in before.items():
        assert torch.equal(after[name.replace("4.", "4.head.", 1) if name.startswith("4.") else name], value), name


def test_lws_learns_its_factors_as_the_equation_says() -> None:
    """f_c w_c · x (equation 4), bias and all, by SGD on class-balanced batches: one example and one class at a time."""
    training = {"schedule": "constant", "momentum": 0.9, "weight_decay": 0.01, "lr": 0.3}
    data = long_tail()
    net = run("erm", flat_net, epochs=8, **training).state.net.eval()
    logits, y = net(data.x).detach().double().numpy(), data.y.numpy()
    factor, velocity = np.ones(3), np.zeros(3)
    known = RowLabels(data.y, data.group)
    for epoch in range(2):
        order = ClassBalanced().order(known, 1, epoch, 2).numpy()
        for batch in (order[i : i + 16] for i in range(0, 60, 16)):
            gradient = np.zeros(3)
            for i in batch:
                p = np.exp(factor * logits[i])
                p /= p.sum()
                gradient += (p - np.eye(3)[y[i]]) * logits[i] / len(batch)
            velocity = 0.9 * velocity + gradient + 0.01 * factor
            factor = factor - 0.3 * velocity
    factors = head_of(run("lws(begins=0.8)", flat_net, **training).state).factor
    np.testing.assert_allclose(factors.detach().numpy(), factor, rtol=1e-4)
    assert np.abs(factor - 1).max() > 0.05


def test_lws_goes_on_with_the_loss_of_the_first_method() -> None:
    for first, loss in (("erm(loss=focal(gamma=1))", "Focal"), ("ldam", "LDAM"), ("crt(then=erm(loss=sce))", "SCE")):
        stage = make_method(f"lws(first={first})", {}).stages(make_task(long_tail()))[-1]
        method: Any = stage.method
        assert type(method.loss).__name__ == loss
        assert method.sampler == ClassBalanced()


# τ-normalization.


@pytest.mark.parametrize(("tau", "bias"), [(0.7, "drop"), (1.0, "keep"), (0.0, "drop"), (0.0, "keep")])
def test_tau_norm_divides_the_weights_of_plain_training_by_a_power_of_their_norm(tau, bias) -> None:
    whole, plain = run(TauNorm(tau=tau, bias=bias)), run("erm")
    assert whole.history == plain.history
    w, b = plain.state.net[4].weight.detach().double().numpy(), plain.state.net[4].bias.detach()
    literal = np.array([row / math.sqrt((row**2).sum()) ** tau for row in w])
    torch.testing.assert_close(
        whole.state.net[4].weight.detach().double(), torch.from_numpy(literal), rtol=1e-6, atol=0
    )
    assert torch.equal(whole.state.net[4].bias, b if bias == "keep" else torch.zeros(3))
    same = kept(plain.state, whole.state)
    assert all(is_same for name, is_same in same.items() if not name.startswith("net.4."))


def test_tau_norm_of_another_first_stage() -> None:
    whole, first = run("tau-norm(first=absgd(lam=5), tau=1)"), run("absgd(lam=5)")
    torch.testing.assert_close(whole.state.net[4].weight.norm(dim=1), torch.ones(3))
    assert kept(first.state, whole.state)["net.0.weight"]


# Nearest class means.


def literal_means(features, y, classes, centred):
    """Means [C, d] of features of length 1, and what was taken off of them before [d], one example at a time."""
    centre = sum(features) / len(features) if centred else np.zeros(features.shape[1])
    unit = [x / math.sqrt(x @ x) for x in features - centre]
    means = [sum(u for u, c in zip(unit, y, strict=True) if c == k) / (y == k).sum() for k in range(classes)]
    return np.array(means), centre


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("batch_size", [7, 64])
def test_ncm_has_the_means_of_the_features_of_the_trained_network(centred, batch_size) -> None:
    data, plain = long_tail(), run("erm", flat_net, batch_size=batch_size)
    whole = run(NCM(centred=centred, scale=4.0), flat_net, batch_size=batch_size)
    same, net = kept(plain.state, whole.state), plain.state.net.eval()
    changed = {name for name, is_same in same.items() if not is_same}
    assert changed == {"net.3.weight", "net.3.bias"}, "the pass over the data moves no statistics of BatchNorm"
    features = net[:-1](data.x).detach().double().numpy()
    means, centre = literal_means(features, data.y.numpy(), 3, centred)
    head = head_of(whole.state)
    assert isinstance(head, NearestMean)
    np.testing.assert_allclose(head.mean.numpy(), means, atol=1e-6)
    np.testing.assert_allclose(head.centre.numpy(), centre, atol=1e-6)
    unit = (features - centre) / np.linalg.norm(features - centre, axis=1, keepdims=True)
    distance = ((unit[:, None] - means) ** 2).sum(2)
    p = np.exp(-4.0 * distance)
    np.testing.assert_allclose(whole.predict(data.x).numpy(), p / p.sum(1, keepdims=True), atol=1e-5)
    assert epochs_of(whole) == ["train"] * 10 + ["means"] * (1 + centred)


def test_the_scale_moves_probabilities_and_no_predicted_class() -> None:
    data = long_tail()
    small, large = (run(NCM(scale=scale)).predict(data.x) for scale in (1.0, 30.0))
    assert torch.equal(small.argmax(1), large.argmax(1))
    assert float(large.max(1).values.mean()) > float(small.max(1).values.mean())


def test_a_class_without_examples_is_never_predicted_by_its_mean() -> None:
    data = long_tail()
    data = replace(data, target=replace(data.target, classes=(*data.classes, "d")))
    p = run("ncm", partial(make_net, 4), data).predict(data.x)
    assert (p[:, 3] == 0).all()
    torch.testing.assert_close(p.sum(1), torch.ones(60))


def test_ncm_of_a_network_that_is_only_a_head_is_of_the_data_themselves() -> None:
    data = long_tail()
    whole = run("ncm", lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), data)
    means, _ = literal_means(data.x.double().numpy(), data.y.numpy(), 3, False)
    np.testing.assert_allclose(head_of(whole.state).mean.numpy(), means, atol=1e-6)
    assert whole.predict(data.x).shape == (60, 3)


# Cosine heads.


def test_a_second_stage_after_ldam_goes_on_with_its_cosine_head() -> None:
    method = TwoStage(first=ERM(loss=LDAM()), then=ERM(sampler=ClassBalanced()))
    whole = run(method)
    assert isinstance(head_of(whole.state), Cosine)
    first = run(ERM(loss=LDAM()), epochs=9)
    same = kept(first.state, whole.state)
    assert {name for name, is_same in same.items() if not is_same} == {"net.4.weight"}
    assert all(math.isfinite(row["loss"]) for row in whole.history)


@pytest.mark.parametrize("loss", ["ldam", "cross-entropy"])
def test_a_head_that_goes_on_is_the_trained_one(loss) -> None:
    """fresh_head=false: of cosines as of others, what the first stage has learned is what the second begins with."""
    method = make_method(f"joint(first=erm(loss={loss}), then=erm(loss={loss}))", {})
    task = make_task(long_tail())
    first, second = method.stages(task)
    state = first.method.init(task, make_net)
    before = head_of(state).weight.detach().clone()
    assert second.enter is not None
    assert torch.equal(head_of(second.enter(state, task)).weight, before)


def test_a_second_stage_with_another_head_gets_it() -> None:
    for head, kind in (("cosine", Cosine), ("cosine(scale=4)", Cosine)):
        assert type(head_of(run(f"two-stage(then=erm(head={head}))").state)) is kind
    assert type(head_of(run("two-stage(first=ldam, then=erm(head=linear))").state)) is nn.Linear


def test_a_loss_of_two_outputs_has_two_stages_too() -> None:
    data = dataset(kind="regression")
    method = make_method("two-stage(first=erm(loss=gaussian-nll), then=erm(loss=gaussian-nll))", {})
    whole = train(method, data, net_of("regression"), TRAINING)
    assert whole.predict(data.x).shape == (50,)


# Resumed.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "stage", "epoch"),
    [
        ("crt", "train", 3),
        ("crt", "train", 5),
        ("crt(begins=0.5)", "second", 1),
        ("crt(begins=0.5, first=absgd(lam=5), then=eg)", "second", 1),
        ("lws(begins=0.5)", "factors", 1),
        ("lws(begins=0.5)", "train", 3),
        ("ncm", "train", 6),
        ("ncm", "means", 1),
        ("ncm(centred=true)", "means", 1),
        ("ncm(centred=true)", "means", 2),
        ("tau-norm", "train", 4),
        ("tau-norm", "train", 6),
        ("crt(first=absgd-two-stage, begins=0.5)", "second", 1),
    ],
)
def test_interrupted_and_resumed_is_uninterrupted_to_the_bit(tmp_path: Path, method, stage, epoch) -> None:
    method, data, training = make_method(method, {}), long_tail(), replace(TRAINING, epochs=6)
    whole = train(method, data, make_net, training, seed=3)
    with pytest.raises(PowerCut):
        train(
            method,
            data,
            make_net,
            training,
            seed=3,
            progress=cut_after(stage, epoch),
            checkpoints=Checkpoints(tmp_path, 0),
        )
    resumed = train(method, data, make_net, training, seed=3, checkpoints=Checkpoints(tmp_path, 0))
    ours, theirs = resumed.state.state_dict(), whole.state.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert resumed.history == whole.history
    assert torch.equal(resumed.predict(data.x), whole.predict(data.x))


# Saved and read back.


SAVED = [
    "crt", "lws", "ncm", "ncm(centred=true, scale=4)", "tau-norm", "eg", "group-dro", "absgd", "ldam", "joint",
    "absgd-two-stage", "tce", "absgd-cb-ldam", "crt(first=absgd(lam=5))", "crt(then=group-dro, first=eg)",
    "two-stage(first=erm(loss=ldam), then=erm)", "tau-norm(first=crt)", "ncm(first=ldam)", "lws(first=ldam)",
    "crt(first=absgd-two-stage)", "lws(first=lws)", "cb-ce(class_weights=none)",
    "erm(head=cosine(8), sampler=reversed)", "erm(class_weights=deferred(given({1=2, 2=3}), start=1))",
]  # fmt: skip


def small(signal=1.0):
    y = np.arange(60) % 3
    return (np.random.default_rng(0).normal(size=(60, 4)) + signal * y[:, None]).astype(np.float32), y


def fitted(method, data=None, **settings):
    x, y = data or small()
    training = TrainingConfig(epochs=3, batch_size=16, device="cpu")
    given: dict[str, Any] = {
        "model": {"name": "mlp", "width": 8},
        "estimate": sk.Estimation(kind="none"),
        "train": training,
    } | settings
    return sk.fit(x, y, method=method, **given)


@pytest.mark.slow
@pytest.mark.parametrize("method", SAVED)
def test_a_saved_run_predicts_the_same_to_the_bit(tmp_path: Path, method) -> None:
    result, x = fitted(method), small()[0]
    result.save(tmp_path / "run")
    loaded = sk.load(tmp_path / "run")
    assert np.array_equal(loaded.predict_proba(x), result.predict_proba(x))
    assert the_method(loaded.config) == make_method(method, {})
    assert loaded.method == result.method
    assert loaded.trained.method == result.trained.method
    assert loaded.history == result.history
    ours, theirs = loaded.trained.state.state_dict(), result.trained.state.state_dict()
    assert list(ours) == list(theirs)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tau-norm", "lws", "crt", "ncm"])
def test_a_saved_run_whose_first_method_left_stages_out_predicts_the_same(tmp_path: Path, method) -> None:
    """Of both ends of the first method one is trained."""
    x, y = small(signal=6.0)
    training, estimate = TrainingConfig(epochs=6, batch_size=16, device="cpu"), sk.Estimation(epochs=1.0)
    result = fitted(f"{method}(first=har-auto(candidate=0.01))", (x, y), estimate=estimate, train=training)
    assert "train" in {row["stage"] for row in result.history}
    assert "plain" not in {row["stage"] for row in result.history}
    result.save(tmp_path / "run")
    assert np.array_equal(sk.load(tmp_path / "run").predict_proba(x), result.predict_proba(x))


@pytest.mark.parametrize("name", ["crt", "ncm", "tau-norm"])
def test_the_method_of_a_result_is_the_recipe(name) -> None:
    assert fitted(name).method == make_method(name, {})


@pytest.mark.parametrize("name", ["crt", "lws", "ncm", "tau-norm", "absgd-two-stage", "crt(first=absgd(lam=5))"])
def test_the_configuration_is_written_and_read_back(tmp_path: Path, name) -> None:
    method = make_method(name, {})
    (tmp_path / "config.toml").write_text(to_toml(Config(source="digits", method=method_table(method, name))))
    assert the_method(read(tmp_path / "config.toml", {})) == method


# Refused.


def without_a_head():
    return nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 4), nn.Flatten())


@pytest.mark.parametrize(
    "method", ["crt", "lws", "ncm", "tau-norm", "absgd-two-stage", "two-stage(fresh_head=false)", "ldam"]
)
def test_a_network_without_a_head_is_refused_before_training(no_training, method) -> None:
    with refused("model", rule="no last layer to work on: no torch.nn.Linear inside of it gives 3 outputs"):
        fitted(method, model=without_a_head)


@pytest.mark.parametrize(
    ("method", "setting", "value"),
    [
        ("crt(train=hed)", "module to train", "hed"),
        ("crt(first=lws)", "head", "Scaled"),
        ("tau-norm(first=ldam)", "head", "Cosine"),
        ("tau-norm(first=erm(head=cosine))", "head", "Cosine"),
        ("crt(train=3)", "train", "3"),
        ("two-stage(first=ncm, fresh_head=false)", "train", "head"),
        ("crt(then=erm(sampler=class-blanced))", "sampler", "class-blanced"),
    ],
)
def test_parts_that_can_not_be_trained_are_refused_before_training(no_training, method, setting, value) -> None:
    with refused(setting, value):
        fitted(method)


@pytest.mark.parametrize(
    ("make", "setting", "value"),
    [
        (lambda: TwoStage(begins=0), "two-stage.begins", 0),
        (lambda: TwoStage(begins=1), "two-stage.begins", 1),
        (lambda: TwoStage(begins=math.nan), "two-stage.begins", math.nan),
        (lambda: TwoStage(lr_scale=0), "two-stage.lr_scale", 0),
        (lambda: TwoStage(lr_scale=-1), "two-stage.lr_scale", -1),
        (lambda: TwoStage(lr_scale=math.inf), "two-stage.lr_scale", math.inf),
        (lambda: TwoStage(then=TwoStage()), "two-stage.then", "two-stage"),
        (lambda: TwoStage(then=NCM()), "two-stage.then", "ncm"),
        (lambda: LWS(begins=0), "lws.begins", 0),
        (lambda: LWS(begins=1.0), "lws.begins", 1.0),
        (lambda: LWS(lr_scale=0), "lws.lr_scale", 0),
        (lambda: LWS(lr_scale=math.nan), "lws.lr_scale", math.nan),
        (lambda: TauNorm(tau=-1), "tau-norm.tau", -1),
        (lambda: TauNorm(tau=math.inf), "tau-norm.tau", math.inf),
        (lambda: TauNorm(tau=math.nan), "tau-norm.tau", math.nan),
        (lambda: TauNorm(bias="maybe"), "tau-norm.bias", "maybe"),
        (lambda: TauNorm(bias="kep"), "tau-norm.bias", "kep"),
        (lambda: NCM(scale=0), "ncm.scale", 0),
        (lambda: NCM(scale=-2), "ncm.scale", -2),
        (lambda: NCM(scale=math.inf), "ncm.scale", math.inf),
        (lambda: make_method("crt(begin=0.5)", {}), "setting", "method.begin"),
        (lambda: make_method("crt(first=absgdd)", {}), "method", "absgdd"),
        (lambda: make_method("crt(first=absgd(lam=0))", {}), "method.first.lam", 0),
        (lambda: make_method("ncm(centred=perhaps)", {}), "method.centred", "perhaps"),
    ],
)
def test_settings_that_can_not_be_are_refused(make, setting, value) -> None:
    with refused(setting, value):
        make()
