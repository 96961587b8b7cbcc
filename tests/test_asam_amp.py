"""ASAM and AMP: against their equations, around other methods, and what they refuse."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skedastic.config import make_method
from skedastic.errors import UserError
from skedastic.methods.amp import within
from skedastic.methods.asam import adaptive_climb
from skedastic.methods.sam import climb
from skedastic.training import train
from tests.reference.perturbing import amp_gradient, asam_gradient
from tests.test_contract import BUDGET, batch_of, dataset, make_net, same, task, weights
from tests.test_wrappers import step_of


def plain_net():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


CASES = {
    "asam(rho=0.7,eta=0.05)": partial(asam_gradient, rho=0.7, eta=0.05),
    "amp(epsilon=0.3)": partial(amp_gradient, epsilon=0.3, inner_lr=1.0, steps=1),
    "amp(epsilon=100,inner_lr=0.4)": partial(amp_gradient, epsilon=100.0, inner_lr=0.4, steps=1),
    "amp(epsilon=0.3,inner_lr=0.2,inner_steps=3)": partial(amp_gradient, epsilon=0.3, inner_lr=0.2, steps=3),
}


@pytest.mark.parametrize("text", CASES)
def test_the_step_is_the_equations(text):
    torch.manual_seed(0)
    method, data = make_method(text, {}), dataset()
    state, batch = method.init(task(data), plain_net), batch_of(data, slice(16))
    x, net = batch.x.double(), plain_net()
    w = nn.utils.parameters_to_vector(state.net.parameters()).detach().numpy().copy()

    def gradient(at):
        nn.utils.vector_to_parameters(torch.from_numpy(at), net.parameters())
        loss = F.cross_entropy(net(x), batch.y)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))]).numpy()

    step_of(method, state, type(batch)(x, batch.y, batch.index, batch.group, batch.classes))
    found = nn.utils.parameters_to_vector(state.net.parameters()).detach().numpy()
    np.testing.assert_allclose(found, w - 0.1 * CASES[text](w, gradient), rtol=1e-7, atol=1e-10)
    assert np.abs(found - (w - 0.1 * gradient(w))).max() > 1e-4, "the shift does nothing"


def test_asam_does_not_see_how_a_network_is_scaled():
    """Halving one layer and doubling the next leaves a ReLU network what it is, and ASAM's shift of it (η = 0)."""
    torch.manual_seed(0)
    w = [torch.randn(4, 3), torch.randn(2, 4)]
    g = [torch.randn(4, 3), torch.randn(2, 4)]
    shift = adaptive_climb(w, g, 0.5, 0.0)
    scaled = adaptive_climb([w[0] * 2, w[1] / 2], [g[0] / 2, g[1] * 2], 0.5, 0.0)
    torch.testing.assert_close(scaled[0], shift[0] * 2)
    torch.testing.assert_close(scaled[1], shift[1] / 2)
    assert not torch.allclose(climb([g[0] / 2, g[1] * 2], 0.5)[0], climb(g, 0.5)[0] * 2)


def test_the_ball_is_one_for_all_parameters():
    shifts = within([torch.tensor([3.0]), torch.tensor([4.0])], 1.0)
    assert [float(s) for s in shifts] == pytest.approx([0.6, 0.8])
    assert [float(s) for s in within([torch.tensor([0.3]), torch.tensor([0.4])], 1.0)] == pytest.approx([0.3, 0.4])
    assert float(within([torch.zeros(2)], 0.0)[0].sum()) == 0


@pytest.mark.parametrize("name", ["asam", "amp"])
@pytest.mark.parametrize("base", ["har(strength=0.5)", "absgd(lam=2)", "elr", "vat"])
def test_around_another_method_both_do_their_part(name, base):
    data = dataset()
    found = {
        text: weights(train(make_method(text, {}), data, make_net, BUDGET, task=task(data)).state.net)
        for text in (f"{name}(base={base})", name, base)
    }
    assert not any(same(found[f"{name}(base={base})"], found[other]) for other in (name, base))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("asam(rho=-1)", "rho must be finite and at least 0"),
        ("asam(eta=inf)", "eta must be finite"),
        ("amp(epsilon=inf)", "epsilon must be finite"),
        ("amp(inner_steps=0)", "inner_steps must be at least 1"),
        ("asam(base=sam)", "sam can't be trained so: it takes the objective at other weights itself"),
        ("amp(base=asam)", "asam can't be trained so"),
        ("amp(base=mixup(base=amp))", "twice"),
        ("asam(base=l2rw)", "l2rw can't be trained so"),
    ],
)
def test_bad_settings_are_one_line(text, says):
    with pytest.raises(UserError, match=says) as error:
        make_method(text, {})
    assert "\n" not in str(error.value)
