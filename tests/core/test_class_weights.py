"""Weights of the classes in the loss: literal versions, refusals, and when deferred ones begin to count."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from skedastic.core.class_weights import CLASS_WEIGHTS, Balanced, Deferred, EffectiveNumber, Given, Inverse
from skedastic.core.epochs import epoch_of
from skedastic.losses.focal import Focal
from skedastic.methods.absgd import ABSGD
from skedastic.methods.bases.step import Batch, Clock, Step
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.settings.methods import make_method, method_table
from skedastic.training import Checkpoints, TrainingConfig, train
from tests.reference import losses
from tests.support.methods import long_tail, make_net, observed, same, start, task, weights
from tests.support.refusals import refused

COUNT = (3, 900, 47, 1, 20000)
NAMES = ("a", "b", "c", "d", "e")
SETTINGS = {"given": {"weights_of": {"b": 0.25, "e": 3.0}}}  # of those that can not do without
TRAINING = TrainingConfig(epochs=4, batch_size=8, lr=0.05, device="cpu")


def mean_one(w):
    return w / w.mean()


def inverse(n, power=1.0):
    return mean_one(1 / n**power)


def effective_number(n, beta=0.9999):
    return mean_one(np.array([(1 - beta) / (1 - beta**k) for k in n]))


def balanced(n):
    return compute_class_weight("balanced", classes=np.arange(len(n)), y=np.repeat(np.arange(len(n)), n.astype(int)))


def given(n):
    return np.array([{"b": 0.25, "e": 3.0}.get(name, 1.0) for name in NAMES])


LITERAL = {
    "inverse": inverse,
    "effective-number": effective_number,
    "balanced": balanced,
    "given": given,
    "deferred": effective_number,
}


def weights_named(name):
    return CLASS_WEIGHTS[name](**SETTINGS.get(name, {}))


def literal(reference, count=COUNT, **settings):
    return torch.from_numpy(reference(np.array(count, dtype=np.float64), **settings)).float()


@pytest.mark.parametrize("name", CLASS_WEIGHTS)
def test_they_are_their_literal_versions(name) -> None:
    weights = weights_named(name)(torch.tensor(COUNT), NAMES)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, literal(LITERAL[name]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5, 1.0])
def test_inverse_is_its_literal_version_at_every_power(power) -> None:
    torch.testing.assert_close(Inverse(power=power)(torch.tensor(COUNT)), literal(inverse, power=power))


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 0.999999])
def test_effective_numbers_are_their_literal_version_at_every_beta(beta) -> None:
    torch.testing.assert_close(EffectiveNumber(beta=beta)(torch.tensor(COUNT)), literal(effective_number, beta=beta))


def test_effective_numbers_go_from_equal_weights_to_inverse_ones() -> None:
    count = torch.tensor(COUNT)
    assert torch.equal(EffectiveNumber(beta=0.0)(count), torch.ones(5))
    torch.testing.assert_close(EffectiveNumber(beta=1 - 1e-10)(count), Inverse()(count), rtol=1e-4, atol=0)
    assert torch.equal(Inverse(power=0.0)(count), torch.ones(5))


@pytest.mark.parametrize("name", [name for name in CLASS_WEIGHTS if name != "given"])
def test_their_mean_is_one_and_they_are_never_larger_for_more_examples(name) -> None:
    count = torch.tensor(COUNT)
    weights = weights_named(name)(count)
    mean = (weights * count).sum() / count.sum() if name == "balanced" else weights.mean()
    assert float(mean) == pytest.approx(1, rel=1e-6)
    assert (weights[count.argsort()].diff() <= 0).all()
    assert torch.isfinite(weights).all()


def test_classes_that_are_not_named_weigh_one() -> None:
    assert Given(weights_of={"c": 7})(torch.tensor(COUNT), NAMES).tolist() == [1, 1, 7, 1, 1]
    assert Given(weights_of={"c": 0})(torch.tensor(COUNT), NAMES).tolist() == [1, 1, 0, 1, 1]


@pytest.mark.parametrize("name", [name for name in CLASS_WEIGHTS if name != "deferred"])
def test_deferred_weights_are_the_same_weights_from_later_on(name) -> None:
    count = torch.tensor(COUNT)
    for begins in (0.0, 0.5, 3):
        later = Deferred(of=weights_named(name), start=begins)
        assert torch.equal(later(count, NAMES), weights_named(name)(count, NAMES))
        assert later.begins == begins
    assert weights_named(name).begins == 0
    assert Deferred(of=weights_named(name)).begins == "first-drop"


@pytest.mark.parametrize("name", CLASS_WEIGHTS)
def test_a_class_without_examples_has_no_weight_and_changes_no_other(name) -> None:
    weights, count = weights_named(name), torch.tensor(COUNT)
    more = weights(torch.cat([count[:1], torch.zeros(2), count[1:]]), [NAMES[0], "yeti", "zebra", *NAMES[1:]])
    assert more.tolist() == [weights(count, NAMES)[0], 0, 0, *weights(count, NAMES)[1:]]


@pytest.mark.parametrize(
    ("make", "setting", "value"),
    [
        (lambda: EffectiveNumber(beta=1), "effective-number.beta", 1),
        (lambda: EffectiveNumber(beta=-0.1), "effective-number.beta", -0.1),
        (lambda: EffectiveNumber(beta=math.nan), "effective-number.beta", math.nan),
        (lambda: EffectiveNumber(beta=math.inf), "effective-number.beta", math.inf),
        (lambda: Inverse(power=2), "inverse.power", 2),
        (lambda: Inverse(power=-0.5), "inverse.power", -0.5),
        (lambda: Inverse(power=math.nan), "inverse.power", math.nan),
        (lambda: Deferred(start=-1), "deferred.start", -1),
        (lambda: Deferred(start=math.nan), "deferred.start", math.nan),
        (lambda: Deferred(start=math.inf), "deferred.start", math.inf),
        (lambda: Deferred(of=Deferred()), "deferred.of", "deferred"),
        (lambda: Given(), "given.weights_of", {}),
        (lambda: Given(weights_of={}), "given.weights_of", {}),
        (lambda: Given(weights_of={"a": -1}), "given.weights_of.a", -1),
        (lambda: Given(weights_of={"a": math.inf}), "given.weights_of.a", math.inf),
        (lambda: Given(weights_of={"a": math.nan}), "given.weights_of.a", math.nan),
        (lambda: Given(weights_of={"a": 0})(torch.tensor([5]), ("a",)), "given.weights_of", {"a": 0}),
        (
            lambda: Deferred(of=Given(weights_of={"x": 2}))(torch.tensor([1, 2]), ("cat", "dog")),
            "class in class_weights",
            "x",
        ),
    ],
)
def test_weights_that_can_not_be_are_refused(make, setting, value) -> None:
    with refused(setting, value):
        make()


def test_a_misspelled_class_gets_the_nearest() -> None:
    with refused("class in class_weights", "horze", rule="did you mean 'horse'?"):
        Given(weights_of={"horze": 2})(torch.tensor([1, 2]), ("cat", "horse"))


@pytest.mark.parametrize("name", CLASS_WEIGHTS)
def test_a_method_takes_them_by_name_and_they_are_written_and_read_back(name) -> None:
    table = {"name": name, **SETTINGS.get(name, {})}
    method = make_method("erm", {"class_weights": table})
    assert method == ERM(class_weights=weights_named(name))
    again = method_table(method)
    assert make_method(again.pop("name"), again) == method


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("deferred(effective-number)", Deferred(of=EffectiveNumber())),
        ("deferred(effective-number(beta=0.99), start=0.5)", Deferred(of=EffectiveNumber(beta=0.99), start=0.5)),
        ("deferred(of=inverse(0.5), start=160)", Deferred(of=Inverse(power=0.5), start=160)),
        ("given({cat=2, dog=0.5})", Given(weights_of={"cat": 2, "dog": 0.5})),
        ("given(weights_of={1=2, 7=0.5})", Given(weights_of={"1": 2, "7": 0.5})),
        ("balanced", Balanced()),
        ("none", None),
    ],
)
def test_they_are_put_together_by_text(text, weights) -> None:
    assert make_method(f"erm(class_weights={text})", {}) == ERM(class_weights=weights)


@pytest.mark.parametrize("name", ["01", "true", "1.50", "1e3"])
def test_classes_are_named_as_they_are_written(name) -> None:
    """A class is named by text, whatever else the text might mean."""
    method: Any = make_method(f"erm(class_weights=given(weights_of={{{name}=3}}))", {})
    assert method.class_weights(torch.tensor([5, 5]), (name, "other")).tolist() == [3, 1]


@pytest.mark.parametrize(("text", "weight"), [("high", "high"), ("true", True), ("[1]", [1])])
def test_a_weight_that_is_no_number_is_refused(text, weight) -> None:
    with refused("method.class_weights.weights_of.a", weight):
        make_method(f"erm(class_weights=given(weights_of={{a={text}}}))", {})


# In training.


def trained(class_weights, **training):
    data = long_tail()
    return train(ERM(class_weights=class_weights), data, make_net, replace(TRAINING, **training), task=task(data))


@pytest.mark.parametrize("name", CLASS_WEIGHTS)
def test_the_loss_is_the_mean_of_weighted_losses(name) -> None:
    weight = CLASS_WEIGHTS[name](**({"weights_of": {"b": 0.25, "c": 3.0}} if name == "given" else {}))
    if isinstance(weight, Deferred):
        weight = replace(weight, start=0.0)
    data, method = long_tail(), ERM(class_weights=weight)
    state = method.init(task(data), make_net).eval()
    batch = Batch(data.x, data.y, data.index, data.group)
    objective = method.objective(Step(state, batch, method.forward(state, batch), Clock(0, 1, 0)))
    plain = F.cross_entropy(state.net(data.x), data.y, reduction="none")
    w = weight(torch.bincount(data.y), data.classes)[data.y]
    torch.testing.assert_close(objective.total, (w * plain).mean())
    torch.testing.assert_close(objective.per_example, plain.detach())
    assert "class_weight" in dict(state.named_buffers()), "saved, so that it is the same when it is resumed"


@pytest.mark.parametrize(("start", "first"), [(0.0, 0), (0.25, 1), (0.5, 2), (0.6, 3), (1, 1), (3, 3)])
def test_deferred_weights_count_from_exactly_the_right_epoch_on(start, first) -> None:
    """The loss of an epoch is that of the networks before each of its steps: the second step tells of the first."""
    plain, later = trained(None).history, trained(Deferred(of=Inverse(), start=start)).history
    same_loss = [a["loss"] == b["loss"] for a, b in zip(plain, later, strict=True)]
    assert same_loss == [True] * first + [False] * (4 - first)


class Enough(BaseException):
    """Ends a training run early."""


def stood(folder, class_weights, epoch):
    """The network as it stood at the end of an epoch of four, counted from 1."""

    def progress(stage, done, epochs):
        if done == epoch:
            raise Enough

    data, kept = long_tail(), Checkpoints(folder, every=0)
    with pytest.raises(Enough):
        train(ERM(class_weights=class_weights), data, make_net, TRAINING, progress=progress, checkpoints=kept)
    return [t for name, t in sorted(kept.read("1-train").tensors.items()) if name.startswith("state.net.")]


@pytest.mark.parametrize(("start", "first"), [(0.5, 2), (3, 3)])
def test_until_then_the_network_is_that_of_plain_training_to_the_bit(tmp_path: Path, start, first) -> None:
    later = Deferred(of=Inverse(), start=start)
    runs = {"plain": None, "later": later}
    at = {(n, e): stood(tmp_path / f"{n}{e}", w, e) for n, w in runs.items() for e in (first, first + 1)}
    assert same(at["plain", first], at["later", first])
    assert not same(at["plain", first + 1], at["later", first + 1])


def test_weights_that_begin_at_once_are_not_deferred_and_those_after_the_end_never_count() -> None:
    assert same(weights(trained(Deferred(of=Inverse(), start=0.0)).state), weights(trained(Inverse()).state))
    assert same(weights(trained(Deferred(start=4)).state.net), weights(trained(None).state.net))


@pytest.mark.parametrize("epochs", [5, 10, 50, 60, 100, 200])
def test_a_fraction_of_a_whole_number_of_epochs_is_that_epoch(epochs) -> None:
    """0.55 of 100 epochs is epoch 55, and not the one after, for want of a last bit."""
    data = long_tail()
    late = []
    for percent in range(100):
        if percent * epochs % 100 == 0:
            method = ERM(class_weights=Deferred(start=percent / 100))
            state, epoch = method.init(task(data), make_net), percent * epochs // 100
            if method.class_weight(state, data.y, Clock(epoch, epochs, 0)) is None:
                late.append(percent / 100)
            if epoch:
                assert method.class_weight(state, data.y, Clock(epoch - 1, epochs, 0)) is None
    assert late == []


def test_an_epoch_is_meant_from_one_on() -> None:
    assert [epoch_of(at, 4) for at in (0, 0.25, 0.5, 1, 1.0, 3, 160)] == [0, 1, 2, 1, 1, 3, 160]


def test_weights_of_real_targets_are_refused() -> None:
    assert ERM(class_weights=Inverse()).capabilities.tasks == {"classification"}


def test_a_training_set_may_lack_a_class() -> None:
    data = long_tail()
    data = data.subset((data.y != 1).nonzero().flatten())
    trained = train(ERM(class_weights=EffectiveNumber()), data, make_net, TRAINING)
    assert torch.isfinite(trained.predict(data.x)).all()


INSIDE = {"class_weights": Given(weights_of={"a": 4.0, "b": 0.25}), "loss": Focal(gamma=1.0, weights="inside")}


@pytest.mark.parametrize(
    "method", [ERM(), ABSGD(lam=float("inf")), HAR(strength=0, noise="unit")], ids=lambda method: method.card.name
)
def test_a_loss_that_takes_the_weights_inside_gets_them_from_every_method(method) -> None:
    method = replace(method, **INSIDE)
    state, batch = start(method)
    step = observed(method, state, batch)
    weight = np.array([{"a": 4.0, "b": 0.25}.get("abc"[label], 1.0) for label in batch.y])
    expected = losses.focal_of_weighted(step.out.logits.detach().double().numpy(), batch.y.numpy(), 1.0, weight).mean()
    assert method.objective(step).total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("select", ["auto", 0.25, 1.0])
def test_har_gives_weights_inside_to_its_part_of_the_batch(select) -> None:
    """Without γ, inside and outside are one: the same penalty and gradients, from two ways through the code."""
    gradients = {}
    for where in ("inside", "outside"):
        method = HAR(strength=0.5, select=select, **INSIDE | {"loss": Focal(gamma=0.0, weights=where)})
        state, batch = start(method)
        total = method.objective(observed(method, state, batch)).total
        total.backward()
        gradients[where] = [total.detach(), *(p.grad for p in state.parameters())]
    for a, b in zip(gradients["inside"], gradients["outside"], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
