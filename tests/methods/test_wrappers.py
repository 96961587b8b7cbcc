"""SAM and mixup: against their equations, around other methods, and on bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skedastic.methods.bases.group_strengths import enforced_strengths
from skedastic.methods.bases.step import Clock
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.methods.mixup import Mixup, mixed
from skedastic.methods.sam import SAM
from skedastic.settings.methods import make_method
from skedastic.training import train
from tests.support.methods import TRAINING, batch_of, data_for, dataset, make_net, same, task, weights
from tests.support.refusals import refused
from tests.support.wrappers import plain_net, step_of

CLOCK = Clock(0, 1, 0)


def test_sam_is_its_equations() -> None:
    torch.manual_seed(0)
    method, data, rho = SAM(rho=0.3), dataset(), 0.3
    state, batch = method.init(task(data), plain_net), batch_of(data, slice(16))
    net = plain_net()
    net.load_state_dict(state.net.state_dict())
    w = torch.nn.utils.parameters_to_vector(net.parameters()).detach().clone()

    def gradient(at):
        torch.nn.utils.vector_to_parameters(at, net.parameters())
        net.zero_grad()
        F.cross_entropy(net(batch.x), batch.y).backward()
        return torch.cat([p.grad.view(-1) for p in net.parameters()])

    g = gradient(w)
    expected = w - 0.1 * gradient(w + rho * g / g.norm())
    step_of(method, state, batch)
    moved = torch.nn.utils.parameters_to_vector(state.net.parameters()).detach()
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(moved, w - 0.1 * g, atol=1e-5)


def test_sam_around_har_penalizes_at_the_shifted_weights() -> None:
    """With strength 0, sam(base=har) is sam; with some, neither sam nor har."""
    data = dataset()
    nets = {
        text: weights(train(make_method(text, {}), data, make_net, TRAINING, task=task(data)).state.net)
        for text in ("sam", "sam(base=har(strength=0))", "sam(base=har)", "har", "erm", "sam(rho=0)")
    }
    assert same(nets["sam"], nets["sam(base=har(strength=0))"])
    assert same(nets["sam(rho=0)"], nets["erm"])
    assert not any(same(nets["sam(base=har)"], nets[other]) for other in ("sam", "har"))


def test_a_mixture_has_the_loss_of_both_labels() -> None:
    data = dataset()
    batch, other, share = batch_of(data, slice(8)), torch.arange(7, -1, -1), torch.tensor(0.3)
    mixture = mixed(batch, other, share)
    net = plain_net()
    torch.testing.assert_close(mixture.x, 0.3 * batch.x + 0.7 * batch.x[other])
    logits = net(mixture.x)
    ours = ERM().loss(logits, mixture.y)
    theirs = 0.3 * F.cross_entropy(logits, batch.y, reduction="none") + 0.7 * F.cross_entropy(
        logits, batch.y[other], reduction="none"
    )
    torch.testing.assert_close(ours, theirs)
    assert torch.equal(mixture.index, batch.index[other]), "the larger part is the other"
    assert torch.equal(mixture.group, batch.group[other])


def test_images_of_whole_numbers_are_mixed_as_reals() -> None:
    x = torch.tensor([[[[0, 255]]], [[[255, 51]]]], dtype=torch.uint8)
    batch = replace(batch_of(dataset(), slice(2)), x=x)
    mixture = mixed(batch, torch.tensor([1, 0]), torch.tensor(0.5))
    np.testing.assert_allclose(mixture.x.flatten(), [0.5, 0.6, 0.5, 0.6], rtol=1e-6)


def test_real_targets_are_mixed_as_numbers() -> None:
    batch = batch_of(dataset(kind="regression"), slice(4))
    mixture = mixed(batch, torch.tensor([1, 2, 3, 0]), torch.tensor(0.25))
    torch.testing.assert_close(mixture.y, 0.25 * batch.y + 0.75 * batch.y[[1, 2, 3, 0]])


def test_a_batch_that_does_not_say_how_many_classes_is_refused() -> None:
    with refused("Batch.classes", 0):
        mixed(replace(batch_of(dataset(), slice(4)), classes=0), torch.arange(4), torch.tensor(0.5))


def test_how_much_is_mixed_goes_by_alpha() -> None:
    """The variance of Beta(α, α) is 1/(4 (2α + 1)): for large α every mixture is half and half."""
    torch.manual_seed(0)
    shares = []

    class Seen(Exception):
        pass

    class Stopped(ERM):
        def step(self, state, batch, clock, engine):
            shares.append(float(batch.y.max(1).values.min()))
            raise Seen

    batch = batch_of(dataset(), slice(16))
    for _ in range(20):
        with pytest.raises(Seen):
            Mixup(alpha=1000.0, base=Stopped()).step(None, batch, CLOCK, None)
    assert max(shares) < 0.6


def test_wrappers_in_wrappers() -> None:
    data = dataset()
    trained = train(make_method("mixup(base=sam(base=absgd))", {}), data, make_net, TRAINING, task=task(data))
    assert all(p.isfinite().all() for p in trained.state.parameters())
    assert trained.stages == ("train",)


def test_of_a_recipe_each_stage_is_wrapped_that_bears_it() -> None:
    method = make_method("sam(base=ncm)", {})
    stages = method.stages(task(dataset()))
    assert [stage.method.card.name for stage in stages] == ["sam", "ncm"]
    assert [s.method.card.name for s in make_method("sam(base=crt)", {}).stages(task(dataset()))] == ["sam", "sam"]


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("mixup(base=sam(base=mixup))", "method.base.base", "mixup"),
        ("sam(rho=-1)", "method.rho", -1),
        ("mixup(alpha=-1)", "method.alpha", -1),
        ("sam(base=5)", "method.base", 5),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("sam(base=sam)", "sam", "in sam twice"),
        ("mixup(base=mixup)", "mixup", "in mixup twice"),
        ("sam(base=mixup)", "mixup", "turn them round"),
        ("mixup(base=gce)", "erm", "loss=gce takes whole-number labels"),
        ("mixup(base=ldam)", "erm", "loss=ldam takes whole-number labels"),
        ("mixup(base=erm(loss=sce))", "erm", "loss=sce takes whole-number labels"),
        ("mixup(base=elr)", "elr", "it keeps a target of each example"),
        ("mixup(base=co-teaching)", "co-teaching", "a mixture has two labels"),
        ("sam(base=l2rw)", "l2rw", "takes gradients"),
        ("sam(base=two-stage(first=co-teaching))", "two-stage", "chooses examples"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason) -> None:
    with refused("method.base", base, rule=reason):
        make_method(text, {})


def test_har_inside_a_wrapper_still_asks_for_its_estimate() -> None:
    method = SAM(base=HAR())
    assert "group_stats" in method.capabilities.needs
    whole = task(dataset())
    strengths = enforced_strengths(method, method.init(whole, make_net), whole)
    assert torch.equal(strengths, HAR().group_strengths(whole))
    assert enforced_strengths(SAM(), SAM().init(whole, make_net), whole) is None
    assert data_for(method).kind == "table"
