"""The last layer of any network: found, replaced, normalized; and the parts of a network that can be trained alone."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skedastic import models
from skedastic.core.heads import (
    HEAD_NAMES,
    AutoHead,
    Cosine,
    CosineHead,
    LinearHead,
    NearestMean,
    Scaled,
    features_of,
    find_head,
    fresh,
    normalize_head,
    part,
    replace_head,
)
from skedastic.losses.cross_entropy import CrossEntropy
from skedastic.losses.ldam import LDAM
from skedastic.methods.erm import ERM
from skedastic.models.inputs import Inputs
from skedastic.settings.methods import make_method, method_table
from tests.support.methods import dataset, make_net, task
from tests.support.refusals import refused


class Nested(nn.Module):
    """A head in the middle of the modules' order, deep inside, and layers of the same size around it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(6, 3), nn.ReLU())
        self.body = nn.ModuleDict({"a": nn.Linear(3, 8), "b": nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3))})

    def forward(self, x):
        return self.body["b"](self.body["a"](self.stem(x)))


class LastIsShallow(nn.Module):
    """A layer of the head's size deep inside of a block, before the head."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 3), nn.ReLU())
        self.head = nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.block(x))


def sequential():
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


NETWORKS = {  # a function that makes it, the place of its head, and the shape of its input
    "sequential": (sequential, "2", (6,)),
    "only the head": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), "1", (6,)),
    "mlp": (lambda: models.make("mlp", (6,), 3, {"width": 8}), "10", (6,)),
    "mlp as wide as there are classes": (lambda: models.make("mlp", (6,), 3, {"width": 3}), "10", (6,)),
    "tabm as wide as there are classes": (lambda: models.make("tabm", (6,), 3, {"width": 3}), "linear", (6,)),
    "resnet32": (lambda: models.make("resnet32", (3, 8, 8), 3, {"blocks": 1, "width": 4}), "linear", (3, 8, 8)),
    "resnet32 that standardizes": (
        lambda: models.make(
            "resnet32",
            Inputs(kind="image", shape=(1, 8, 8), mean=(0.5,), deviation=(0.2,)),
            3,
            {"blocks": 1, "width": 4},
        ),
        "net.linear",
        (1, 8, 8),
    ),
    "nested": (Nested, "body.b.1", (6,)),
    "last in the order in which they were made": (LastIsShallow, "head", (6,)),
}
HEADS = {
    "linear": lambda: nn.Linear(4, 3),
    "cosine": lambda: Cosine(4, 3, 2.0),
    "scaled": lambda: Scaled(nn.Linear(4, 3), 3),
    "nearest mean": lambda: NearestMean(4, 3, 16.0),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def features(n=5, d=4):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(1))


# Found and replaced.


@pytest.mark.parametrize(("make", "place", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_the_head_is_the_last_linear_layer_of_the_classes_size(make, place, shape) -> None:
    net = make()
    parent, name, head = find_head(net, 3)
    assert head is net.get_submodule(place)
    assert parent is net.get_submodule(place.rpartition(".")[0])
    assert name == place.rpartition(".")[2]
    assert net(torch.rand(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize(("make", "place", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_the_network_uses_the_head_that_is_put_in_place(make, place, shape) -> None:
    net = make().eval()
    new = nn.Linear(net.get_submodule(place).in_features, 3)
    assert replace_head(net, 3, lambda _: new) is new
    assert net.get_submodule(place) is new
    with torch.no_grad():
        new.weight.zero_()
        new.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert net(torch.rand(2, *shape)).tolist() == [[1, 2, 3]] * 2


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(6, 4), nn.ReLU()),
        nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv1d(1, 3, 6), nn.Flatten()),
        nn.Linear(6, 3),
        nn.Sequential(),
    ],
    ids=["no layer of its size", "other classes", "convolution", "itself the layer", "nothing"],
)
def test_a_network_without_one_is_refused_in_one_line(net) -> None:
    for ask in (
        lambda: find_head(net, 3),
        lambda: replace_head(net, 3, fresh),
        lambda: part(net, 3, "head"),
        lambda: part(net, 3, "last-block"),
    ):
        with refused("model", rule="gives 3 outputs; let its last layer be one"):
            ask()
    with refused("model", rule="gives 1 output;"):
        find_head(nn.Sequential(), 1)


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_every_kind_of_head_is_recognized(make) -> None:
    net, head = sequential(), make()
    replace_head(net, 3, lambda _: head)
    assert find_head(net, 3)[1:] == ("2", head)
    assert features_of(head) == 4
    assert net(features(5, 6)).shape == (5, 3)


def test_a_scaled_head_is_one_head_and_of_two_the_outer_counts() -> None:
    net = sequential()
    inner = find_head(net, 3)[2]
    once = replace_head(net, 3, lambda head: Scaled(head, 3))
    assert find_head(net, 3)[2] is once
    twice = replace_head(net, 3, lambda head: Scaled(head, 3))
    assert find_head(net, 3)[2] is twice
    assert twice.head is once
    assert once.head is inner


@pytest.mark.parametrize("make", [fresh, lambda head: Scaled(head, 3), lambda head: Cosine(4, 3)])
def test_a_new_head_is_on_the_device_of_the_old_one(make) -> None:
    net = sequential().to("meta")
    assert {p.device.type for p in replace_head(net, 3, make).parameters()} == {"meta"}


@pytest.mark.parametrize("make", [fresh, lambda head: Cosine(features_of(head), 3), lambda head: Scaled(head, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_new_head_is_of_the_type_of_the_old_one(make, dtype) -> None:
    """A network in double precision is one afterwards, and can still be run."""
    net = sequential().to(dtype)
    new = replace_head(net, 3, make)
    assert {p.dtype for p in new.parameters()} == {dtype}
    assert net(features(5, 6).to(dtype)).dtype == dtype


@pytest.mark.parametrize(("kind", "bias"), [(nn.Linear, True), (nn.Linear, False), (Cosine, None)])
def test_a_fresh_head_is_another_of_its_kind_and_size(kind, bias) -> None:
    head = Cosine(4, 3, 5.0) if kind is Cosine else nn.Linear(4, 3, bias=bias)
    new = fresh(head)
    assert type(new) is kind
    assert [p.shape for p in new.parameters()] == [p.shape for p in head.parameters()]
    assert not torch.equal(new.weight, head.weight)
    assert kind is nn.Linear or new.scale == 5.0


@pytest.mark.parametrize("name", ["scaled", "nearest mean"])
def test_a_head_that_is_not_learned_from_scratch_says_so(name) -> None:
    with refused("head", type(HEADS[name]()).__name__, rule="not learned from scratch"):
        fresh(HEADS[name]())


# What the heads compute.


@pytest.mark.parametrize("scale", [1.0, 16.0, 0.1])
def test_cosine_is_the_formula_of_ldams_normed_linear(scale) -> None:
    """F.normalize(x, dim=1).mm(F.normalize(weight, dim=0)), weight [d, C] (losses.py there), times the scale."""
    head, x = Cosine(4, 3, scale), features() * 100
    literal = np.zeros((5, 3))
    for i, row in enumerate(x.double().numpy()):
        for c, w in enumerate(head.weight.detach().double().numpy()):
            literal[i, c] = scale * row @ w / math.sqrt(row @ row) / math.sqrt(w @ w)
    torch.testing.assert_close(head(x).double(), torch.from_numpy(literal), atol=scale * 1e-6, rtol=1e-5)
    torch.testing.assert_close(head(x), scale * F.normalize(x, dim=1).mm(F.normalize(head.weight.t(), dim=0)))
    assert float(head(x).detach().abs().max()) <= scale * (1 + 1e-6)
    with torch.no_grad():
        own = scale * F.normalize(head.weight)
    torch.testing.assert_close(head(own).diagonal(), torch.full((3,), scale))
    torch.testing.assert_close(head(-3 * own).diagonal(), torch.full((3,), -scale))


def test_cosines_begin_with_directions_of_length_one() -> None:
    torch.testing.assert_close(Cosine(4, 30).weight.norm(dim=1), torch.ones(30))
    assert Cosine(4, 3)(features().view(5, 1, 4)).shape == (5, 1, 3)
    assert torch.isfinite(Cosine(4, 3)(torch.zeros(2, 4))).all()


@pytest.mark.parametrize("cosines", [False, True])
def test_which_head_a_network_gets(cosines) -> None:
    head = nn.Linear(4, 3)
    assert AutoHead().replacement(head, 3, scaled_by_loss=False) is head
    assert LinearHead().replacement(head, 3, scaled_by_loss=cosines) is head
    assert type(AutoHead().replacement(head, 3, scaled_by_loss=True)) is Cosine
    new = CosineHead().replacement(head, 3, scaled_by_loss=cosines)
    assert new.scale == (1.0 if cosines else 16.0)
    assert new.weight.shape == (3, 4)
    assert CosineHead(scale=7.0).replacement(head, 3, scaled_by_loss=cosines).scale == 7.0
    larger = LinearHead().replacement(head, 6, scaled_by_loss=cosines)
    assert isinstance(larger, nn.Linear)
    assert (larger.in_features, larger.out_features) == (4, 6)
    linear = LinearHead().replacement(Cosine(4, 3), 3, scaled_by_loss=cosines)
    assert type(linear) is nn.Linear
    assert (linear.in_features, linear.out_features) == (4, 3)


@pytest.mark.parametrize("kind", [AutoHead, CosineHead])
def test_a_cosine_head_that_is_right_as_it_is_stays(kind) -> None:
    """As Head.replacement says, and as with a linear one: else a second stage would begin with another head unasked."""
    head = Cosine(4, 3, 1.0)
    assert kind().replacement(head, 3, scaled_by_loss=True) is head
    assert CosineHead(scale=1.0).replacement(head, 3, scaled_by_loss=False) is head
    assert CosineHead(scale=2.0).replacement(head, 3, scaled_by_loss=False).scale == 2.0


@pytest.mark.parametrize(
    ("settings", "kind", "scale"),
    [
        ({}, nn.Linear, None),
        ({"loss": "ldam"}, Cosine, 1.0),
        ({"head": "cosine"}, Cosine, 16.0),
        ({"head": "cosine(scale=4)"}, Cosine, 4.0),
        ({"head": "cosine", "loss": "ldam"}, Cosine, 1.0),
        ({"head": "cosine(4)", "loss": "ldam"}, Cosine, 4.0),
        ({"head": "linear", "loss": "ldam"}, nn.Linear, None),
        ({"head": "linear"}, nn.Linear, None),
    ],
)
def test_the_head_of_a_method_goes_with_its_loss(settings, kind, scale) -> None:
    state = make_method("erm", settings).init(task(dataset()), make_net)
    head = find_head(state.net, 3)[2]
    assert type(head) is kind
    assert getattr(head, "scale", None) == scale


def test_a_network_with_a_head_of_its_own_is_left_as_it_is() -> None:
    net = make_net()
    assert ERM().init(task(dataset()), lambda: net).net is net
    with refused("model", rule="no last layer to work on"):
        ERM(loss=LDAM()).init(task(dataset()), lambda: nn.Sequential(nn.Conv1d(1, 3, 6)))
    odd = nn.Sequential(nn.Conv1d(1, 3, 6), nn.Flatten())
    assert ERM(loss=CrossEntropy()).init(task(dataset()), lambda: odd).net is odd


@pytest.mark.parametrize("name", HEAD_NAMES)
def test_heads_are_named_written_and_read_back(name) -> None:
    method = make_method(f"erm(head={name})", {})
    assert method == ERM(head=HEAD_NAMES[name]())
    table = method_table(method)
    assert make_method(table.pop("name"), {k: v for k, v in table.items() if v is not None}) == method


@pytest.mark.parametrize("scale", [0, -1, math.inf, math.nan, "large"])
def test_a_scale_that_can_not_be_is_refused(scale) -> None:
    with refused("cosine.scale", scale):
        CosineHead(scale=scale)


def test_scaled_multiplies_each_classs_logit_by_its_factor() -> None:
    inner, x = nn.Linear(4, 3), features()
    head = Scaled(inner, 3)
    assert torch.equal(head(x), inner(x))
    with torch.no_grad():
        head.factor.copy_(torch.tensor([2.0, 0.0, -0.5]))
    w, b = inner.weight.detach().double().numpy(), inner.bias.detach().double().numpy()
    literal = (x.double().numpy() @ w.T + b) * np.array([2.0, 0.0, -0.5])
    torch.testing.assert_close(head(x).detach().double(), torch.from_numpy(literal), rtol=1e-5, atol=1e-6)
    assert [name for name, _ in head.named_parameters()] == ["factor", "head.weight", "head.bias"]


@pytest.mark.parametrize("centred", [False, True])
def test_nearest_mean_is_minus_the_scaled_squared_distance_of_directions(centred) -> None:
    head, x = NearestMean(4, 3, 2.5), features()
    head.mean.copy_(F.normalize(features(3) + 0.3))
    if centred:
        head.centre.copy_(torch.tensor([0.5, -0.2, 0.1, 0.0]))
    literal = np.zeros((5, 3))
    for i, row in enumerate(x.double().numpy() - head.centre.double().numpy()):
        for c, mean in enumerate(head.mean.double().numpy()):
            literal[i, c] = -2.5 * ((row / math.sqrt(row @ row) - mean) ** 2).sum()
    torch.testing.assert_close(head(x).double(), torch.from_numpy(literal), rtol=1e-5, atol=1e-6)
    assert head(x.view(5, 1, 4)).shape == (5, 1, 3)
    assert not list(head.parameters())


def test_a_class_without_a_mean_is_never_the_nearest() -> None:
    head = NearestMean(4, 3, 16.0)
    head.mean.copy_(features(3))
    head.mean[1] = math.nan
    logits = head(features())
    assert (logits[:, 1] == -math.inf).all()
    assert torch.isfinite(logits[:, [0, 2]]).all()
    assert (logits.softmax(1)[:, 1] == 0).all()


# τ-normalization.


@pytest.mark.parametrize("tau", [0.0, 0.5, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("bias", [False, True])
def test_normalizing_divides_by_a_power_of_the_norm(tau, bias) -> None:
    """w_c / ‖w_c‖^τ (Kang et al. 2020, equation 3)."""
    head = nn.Linear(4, 3)
    w, b = head.weight.detach().double().numpy(), head.bias.detach().clone()
    literal = np.array([row / math.sqrt((row**2).sum()) ** tau for row in w])
    before = head.weight.detach().clone()
    normalize_head(head, tau, bias=bias)
    torch.testing.assert_close(head.weight.detach().double(), torch.from_numpy(literal), rtol=1e-6, atol=0)
    assert torch.equal(head.bias, b if bias else torch.zeros(3))
    assert head.weight.requires_grad
    if tau == 0:
        assert torch.equal(head.weight, before)
    if tau == 1:
        torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(3))


def test_normalizing_a_head_without_bias_or_with_a_class_of_zeros() -> None:
    head = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        head.weight[1] = 0
    normalize_head(head, 1.0, bias=False)
    torch.testing.assert_close(head.weight.norm(dim=1), torch.tensor([1.0, 0.0, 1.0]))


@pytest.mark.parametrize("name", ["cosine", "nearest mean"])
def test_a_head_without_norms_is_not_normalized(name) -> None:
    head = HEADS[name]()
    with refused("head", type(head).__name__, rule="take head=linear, whose weights have norms"):
        normalize_head(head, 0.7, bias=False)


# Parts.


def names(net, which):
    """Which parameters a part has, by name."""
    chosen = part(net, 3, which)
    by_id = {id(p): name for name, p in net.named_parameters()}
    assert len({id(p) for p in chosen}) == len(chosen), "none stands twice"
    return {by_id[id(p)] for p in chosen}


def mlp():
    return models.make("mlp", (6,), 3, {"width": 8})


def resnet():
    return models.make("resnet32", (3, 8, 8), 3, {"blocks": 2, "width": 4})


def test_all_is_everything() -> None:
    for net in (mlp(), resnet(), Nested()):
        assert names(net, "all") == {name for name, _ in net.named_parameters()}


def test_the_head_alone() -> None:
    assert names(mlp(), "head") == {"10.weight", "10.bias"}
    assert names(resnet(), "head") == {"linear.weight", "linear.bias"}
    assert names(Nested(), "head") == {"body.b.1.weight", "body.b.1.bias"}


def test_the_last_block_of_the_mlp_is_its_last_hidden_layer_with_batch_norm() -> None:
    last = {f"{i}.{kind}" for i in (7, 8, 10) for kind in ("weight", "bias")}
    assert names(mlp(), "last-block") == last


@pytest.mark.parametrize("standardized", [False, True])
def test_the_last_block_of_a_resnet_is_the_last_block_of_its_last_stage(standardized) -> None:
    net, prefix = resnet(), ""
    if standardized:
        net = models.make(
            "resnet32",
            Inputs(kind="image", shape=(3, 8, 8), mean=(0.5,) * 3, deviation=(0.2,) * 3),
            3,
            {"blocks": 2, "width": 4},
        )
        prefix = "net."
    block = {f"conv{i}.weight" for i in (1, 2)} | {f"bn{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
    expected = {f"{prefix}layer3.1.{name}" for name in block} | {f"{prefix}linear.{k}" for k in ("weight", "bias")}
    assert names(net, "last-block") == expected


def test_the_last_block_of_a_network_with_another_head() -> None:
    net = mlp()
    replace_head(net, 3, lambda head: Scaled(head, 3))
    assert names(net, "last-block") == {"7.weight", "7.bias", "8.weight", "8.bias"} | {
        f"10.{name}" for name in ("factor", "head.weight", "head.bias")
    }


def test_a_network_that_is_only_a_head_has_no_block() -> None:
    with refused("train", "last-block", rule="no block before its head"):
        part(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), 3, "last-block")


@pytest.mark.parametrize(
    ("which", "starts"),
    [
        ("layer3.*,linear", ("layer3.0.", "layer3.1.", "linear.")),
        ("layer3, linear", ("layer3.0.", "layer3.1.", "linear.")),
        ("layer3.1", ("layer3.1.",)),
        ("*.bn?", tuple(f"layer{i}.{j}.bn{k}." for i in (1, 2, 3) for j in (0, 1) for k in (1, 2))),
        ("linear,linear", ("linear.",)),
        ("*", ("",)),
    ],
)
def test_patterns_of_module_names(which, starts) -> None:
    net = resnet()
    assert names(net, which) == {name for name, _ in net.named_parameters() if name.startswith(starts)}


@pytest.mark.parametrize(
    ("which", "value", "nearest"),
    [
        ("hed", "hed", "did you mean 'head'?"),
        ("last_block", "last_block", "did you mean 'last-block'?"),
        ("liner", "liner", "did you mean 'linear'?"),
        ("layer3.*,layer4.*", "layer4.*", ""),
        ("", "", ""),
        ("linear,", "", ""),
    ],
)
def test_a_name_that_there_is_not_gets_the_nearest(which, value, nearest) -> None:
    with refused("module to train", value, rule=nearest):
        part(resnet(), 3, which)


@pytest.mark.parametrize("which", ["3", "9,3"])
def test_modules_with_nothing_to_train_are_refused(which) -> None:
    """An activation has a name, but no parameters: there would be nothing that an optimizer steps."""
    with refused("train", which, rule="no parameters in it"):
        part(mlp(), 3, which)
