"""RECOVER against its literal update, and what goes wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from skedastic.methods.absgd import ABSGD
from skedastic.methods.bases.step import Batch, Clock
from skedastic.methods.recover import Recover
from skedastic.training import PlainEngine, TrainingConfig, train
from skedastic.training.optimizers import make_optimizer
from tests.reference import weights as literal
from tests.support.methods import dataset, make_net, same, task

PLAIN = TrainingConfig(lr=0.3, momentum=0.0, weight_decay=0.0, device="cpu").settled()


def losses_of(x, y):
    """Return the losses of a linear softmax classifier, and their gradients by its 3 × 6 weights, in numpy."""

    def at(w):
        logits = x @ w.reshape(3, 6).T
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        losses = -np.log(p[np.arange(len(y)), y])
        return losses, ((p - np.eye(3)[y])[:, :, None] * x[:, None, :]).reshape(len(y), -1)

    return at


@pytest.mark.parametrize(("lam", "a"), [(0.7, 0.4), (5.0, 0.9), (-0.8, 0.3)])
def test_it_is_its_update_step_after_step_and_begins_again_with_a_lower_rate(lam, a) -> None:
    data, method = dataset(), Recover(lam=lam, a=a)
    state = method.init(task(data), lambda: nn.Linear(6, 3, bias=False))
    w = state.net.weight.detach().double().numpy().ravel().copy()
    optimizer = make_optimizer(PLAIN, state.net.parameters())
    engine = PlainEngine({"main": optimizer}, torch.device("cpu"))
    g = torch.Generator().manual_seed(2)
    rows = [torch.randperm(50, generator=g)[:8] for _ in range(8)]
    seen = []
    for t, r in enumerate(rows):
        optimizer.param_groups[0]["lr"] = 0.3 if t < 5 else 0.3 - 1e-3
        batch = Batch(data.x[r], data.y[r], data.index[r], data.group[r])
        seen.append(float(method.step(state, batch, Clock(0, 1, t), engine)["log_u"].exp()))
    batches = [losses_of(data.x[r].double().numpy(), data.y[r].numpy()) for r in rows]
    middle, first = literal.recover(batches[:5], w, lam, a, 0.3)
    expected, then = literal.recover(batches[5:], middle, lam, a, 0.3 - 1e-3)
    np.testing.assert_allclose(seen, first + then, rtol=1e-4)
    np.testing.assert_allclose(state.net.weight.detach().numpy().ravel(), expected, rtol=1e-3, atol=1e-5)


def test_without_what_was_before_it_is_absgd_of_the_newest_batch() -> None:
    data, training = dataset(), replace(PLAIN, epochs=3, batch_size=16, momentum=0.9)
    ours = train(Recover(lam=0.7, a=1.0), data, make_net, training)
    other = train(ABSGD(lam=0.7, gamma=1.0), data, make_net, training)
    for a, b in zip(ours.state.net.parameters(), other.state.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_a_new_lambda_begins_again() -> None:
    data, training = dataset(), replace(PLAIN, epochs=4, batch_size=16)
    scheduled = train(Recover(lam=((0, float("inf")), (0.5, 0.7))), data, make_net, training).history
    assert [row["log_u"] == 0 for row in scheduled] == [True, True, False, False]


@pytest.mark.parametrize("lam", [0.05, -0.05])
def test_large_losses_and_an_estimate_below_0_are_borne(lam) -> None:
    data = dataset()
    training = replace(PLAIN, epochs=5, batch_size=4, lr=0.5)
    trained = train(Recover(lam=lam, a=0.05), replace(data, x=100 * data.x), make_net, training)
    assert all(p.isfinite().all() for p in trained.state.parameters())


def test_batchnorm_follows_the_first_pass_alone() -> None:
    """With a rate of nearly 0 the two passes are at the same weights; a second count of a batch would show."""
    data, training = dataset(), replace(PLAIN, epochs=2, batch_size=16, lr=1e-30)
    ours = train(Recover(), data, make_net, training).state.net
    plain = train(Recover(lam=float("inf"), a=1.0), data, make_net, training).state.net
    assert same(list(ours.buffers()), list(plain.buffers()))
