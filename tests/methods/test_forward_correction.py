"""Forward correction: its loss and its estimate against the equations, its stages, and bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skedastic.core.transitions import of_labels
from skedastic.data import corrupt
from skedastic.methods.forward_correction import TRANSITION, ForwardCorrection, anchored
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.loop import make_task
from tests.reference import forward_correction as literal
from tests.support.methods import TRAINING, batch_of, dataset, make_net, observed, task
from tests.support.refusals import refused

NOISE = ((0.6, 0.4, 0.0), (0.0, 1.0, 0.0), (0.1, 0.2, 0.7))


def test_the_loss_is_the_theorem() -> None:
    torch.manual_seed(0)
    method, data = ForwardCorrection(transition=NOISE), dataset()
    state, batch = method.init(task(data), make_net).train(), batch_of(data, slice(16))
    step = observed(method, state, batch)
    logits = step.out.logits.detach().double().numpy()
    expected = [literal.loss(logits[i], int(batch.y[i]), np.array(NOISE)) for i in range(16)]
    np.testing.assert_allclose(step.out.extra.detach().numpy(), expected, rtol=1e-5)
    objective = method.objective(step)
    assert float(objective.total.detach()) == pytest.approx(np.mean(expected), rel=1e-5)


def test_of_soft_labels_it_is_the_mean_of_their_losses() -> None:
    torch.manual_seed(0)
    method = ForwardCorrection(transition=NOISE)
    state = method.init(task(dataset()), make_net)
    logits, soft = torch.randn(4, 3), torch.tensor([[0.2, 0.8, 0.0]]).expand(4, 3)
    hard = [method.losses(state, logits, torch.full((4,), c)) for c in range(3)]
    torch.testing.assert_close(method.losses(state, logits, soft), 0.2 * hard[0] + 0.8 * hard[1])


def test_the_best_fit_is_the_distribution_before_the_noise() -> None:
    """Theorem 2: labels drawn by T' p have their smallest mean loss at p."""
    p, t = torch.tensor([0.7, 0.2, 0.1]), torch.tensor(NOISE)
    logits = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = -((p @ t) * of_labels(logits, t)[0]).sum()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    torch.testing.assert_close(logits.detach().softmax(1)[0], p, atol=1e-3, rtol=0)


@pytest.mark.parametrize("percentile", [1.0, 0.97, 0.5])
@pytest.mark.parametrize("n", [7, 34, 101])
def test_the_estimate_is_the_authors_without_its_fault(percentile, n) -> None:
    g = torch.Generator().manual_seed(n)
    p = torch.randn(n, 4, generator=g).double().softmax(1)
    np.testing.assert_allclose(anchored(p, percentile).numpy(), literal.estimated(p.numpy(), percentile))


def test_it_estimates_the_noise_and_trains_with_the_estimate() -> None:
    data = dataset(600)
    data, _ = corrupt(replace(data, x=data.x + 3 * torch.nn.functional.one_hot(data.y, 6)), noise="a->b:0.4", seed=1)
    trained = train(ForwardCorrection(), data, make_net, replace(TRAINING, epochs=10), task=make_task(data))
    assert trained.stages == ("estimate", "corrected")
    transition = trained.state.transition
    np.testing.assert_allclose(transition.sum(1), 1, rtol=1e-5)
    assert float(transition[0, 1]) == pytest.approx(0.4, abs=0.15)
    assert float(transition[1, 1]) > 0.85
    assert float(transition[2, 2]) > 0.85
    assert len([row for row in trained.history if row["stage"] == "estimate"]) == 5
    kept = [row for row in trained.history if "kept_labels" in row]
    assert len(kept) == 1
    assert kept[0]["kept_labels"] == pytest.approx(float(transition.diagonal().mean()))


def test_a_transition_that_is_given_is_not_estimated() -> None:
    data = dataset()
    trained = train(ForwardCorrection(transition=NOISE), data, make_net, TRAINING, task=task(data))
    assert trained.stages == ("corrected",)
    torch.testing.assert_close(trained.state.transition, torch.tensor(NOISE))
    known = replace(task(data), handed_on={TRANSITION: torch.full((3, 3), 1 / 3)})
    torch.testing.assert_close(
        ForwardCorrection(transition=NOISE).init(known, make_net).transition, torch.tensor(NOISE)
    )


def test_a_transition_of_another_size_is_refused() -> None:
    with refused("forward-correction.transition", rule="it has 2 rows, and there are 3 classes"):
        train(ForwardCorrection(transition=((0.5, 0.5), (0, 1))), dataset(), make_net, TRAINING, task=task(dataset()))


@pytest.mark.parametrize(
    ("text", "setting", "value"),
    [
        ("forward-correction(loss=gce)", "method.loss", "gce"),
        ("forward-correction(estimate=0)", "method.estimate", 0),
        ("forward-correction(percentile=97)", "method.percentile", 97),
        ("forward-correction(transition=[[0.5, 0.4], [0, 1]])", "method.transition", [0.5, 0.4]),
        ("forward-correction(transition=[[1, 0]])", "method.transition", [1, 0]),
    ],
)
def test_bad_settings_are_refused(text, setting, value) -> None:
    with refused(setting, value):
        make_method(text, {})
