"""Range loss: against its equations, and what it does to features."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skedastic.core.heads import run_with_features
from skedastic.methods.range_loss import RangeLoss, nearest_means, ranges
from skedastic.settings.methods import make_method
from skedastic.training import train
from tests.reference import range_loss as literal
from tests.support.methods import TRAINING, batch_of, dataset, make_net, observed, task
from tests.support.refusals import refused


@pytest.mark.parametrize("k", [1, 2, 5, 100])
def test_both_terms_are_the_equations(k) -> None:
    g = torch.Generator().manual_seed(k)
    features, y = torch.randn(20, 4, generator=g).double(), torch.randint(5, (20,), generator=g)
    x, labels = features.numpy(), y.numpy()
    assert float(ranges(features, y, 5, k).sum()) == pytest.approx(literal.intra(x, labels, k))
    assert max(30 - float(nearest_means(features, y, 5)), 0) == pytest.approx(literal.inter(x, labels, 30.0))


def test_the_objective_is_their_sum() -> None:
    torch.manual_seed(0)
    method, data = RangeLoss(lam=0.3, beta=2.0, margin=50.0, k=3), dataset()
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    torch.manual_seed(1)
    objective = method.objective(observed(method, state, batch))
    torch.manual_seed(1)
    logits, features = run_with_features(state.net, 3, batch.x)
    x, y = features.detach().double().numpy(), batch.y.numpy()
    expected = F.cross_entropy(logits, batch.y) + 0.3 * (literal.intra(x, y, 3) + 2 * literal.inter(x, y, 50.0))
    torch.testing.assert_close(objective.total, expected.float(), rtol=1e-5, atol=1e-5)
    assert objective.logs["nearness"] > 0


def test_classes_alone_in_a_batch_have_no_range_and_equal_features_no_trouble() -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [5.0, 5.0]], requires_grad=True)
    y = torch.tensor([0, 0, 1])
    harmonic = ranges(x, y, 3, 2)
    assert (harmonic > 0).tolist() == [True, False, False]
    (gradient,) = torch.autograd.grad(harmonic.sum(), x)
    assert gradient.isfinite().all()
    assert ranges(x[1:], y[1:], 3, 2).tolist() == [0, 0, 0]
    assert nearest_means(x[:2], y[:2], 3) == float("inf")


def test_features_of_a_class_move_together() -> None:
    data = dataset()
    spread = {}
    for text in ("erm", "range-loss(lam=0.01,beta=100,margin=20)"):
        net = train(make_method(text, {}), data, make_net, TRAINING, task=task(data)).state.net.eval()
        features = run_with_features(net, 3, data.x)[1].detach()
        spread[text] = float(ranges(features, data.y, 3, 2).mean() / nearest_means(features, data.y, 3))
    assert spread["range-loss(lam=0.01,beta=100,margin=20)"] < 0.8 * spread["erm"]


def test_a_head_that_reads_something_else_is_refused() -> None:
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 3)

        def forward(self, x):
            return self.head(x.view(-1, 2, 3)).mean(1)

    with refused("model", rule="run once, on one row of features"):
        run_with_features(Odd(), 3, torch.randn(4, 6))


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("range-loss(lam=-1)", "method.lam", -1),
        ("range-loss(beta=inf)", "method.beta", float("inf")),
        ("range-loss(margin=-3)", "method.margin", -3),
        ("range-loss(k=0)", "method.k", 0),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})


@pytest.mark.parametrize(
    ("text", "base", "reason"),
    [
        ("mixup(base=range-loss)", "range-loss", "a mixture is of two"),
    ],
)
def test_it_says_why_it_cant_be_wrapped_so(text, base, reason) -> None:
    with refused("method.base", base, rule=reason):
        make_method(text, {})
