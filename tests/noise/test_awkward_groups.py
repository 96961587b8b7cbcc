"""Groups that are many and small, alone, or without error: estimated and trained, end to end."""

import numpy as np
import pytest
import torch

import skedastic as sk
from skedastic.training import TrainingConfig

TRAINING = TrainingConfig(epochs=3, batch_size=256, lr=0.02, device="cpu")


def data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return rng.normal(size=(n, 4)) + 2 * np.eye(4)[y], y


@pytest.mark.slow
def test_a_thousand_groups_of_ten_examples() -> None:
    X, y = data(10_000)
    group = np.arange(10_000) % 1000
    rng = np.random.default_rng(1)
    noisy = group < 500
    y = np.where(noisy & (rng.random(len(y)) < 0.6), rng.integers(0, 3, len(y)), y)
    result = sk.fit(X, y, groups=[f"g{g:03d}" for g in group], train=TRAINING, method=sk.HAR(strength=0.1), test=0.1)
    noise = result.group_stats.uncertainty.numpy()
    half = np.array([int(name[1:]) < 500 for name in result.group_stats.names])
    assert len(noise) == 1000
    assert noise[half].mean() > noise[~half].mean() + 0.15
    assert result.strengths.isfinite().all()
    assert float(result.strengths.max()) == pytest.approx(0.1)
    assert len(result.metrics.groups) == 1000


def test_one_group_is_regularized_as_a_whole() -> None:
    X, y = data(300)
    result = sk.fit(X, y, groups=["all"] * 300, train=TRAINING, method=sk.HAR(strength=0.1))
    assert result.strengths.tolist() == pytest.approx([0.1])
    assert 0 < float(result.group_stats.uncertainty) < 1
    uniform = sk.fit(X, y, groups=["all"] * 300, method=sk.HAR(strength=0.1, weighting="uniform"), train=TRAINING)
    for a, b in zip(result.net.state_dict().values(), uniform.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)  # HAR with one group is uniform regularization


@pytest.mark.slow
def test_a_group_without_error_is_hardly_regularized() -> None:
    X, y = data(900)
    rng = np.random.default_rng(1)
    X = X + 6 * np.eye(4)[y]  # the classes lie far apart
    group = np.where(np.arange(900) % 3 == 0, "clean", "noisy")
    y = np.where((group == "noisy") & (rng.random(900) < 0.3), rng.integers(0, 3, 900), y)
    result = sk.fit(
        X,
        y,
        groups=group,
        train=TrainingConfig(epochs=4, batch_size=64, lr=0.02, device="cpu"),
        method=sk.HAR(strength=0.1),
    )
    clean = result.group_stats.names.index("clean")
    assert int(result.group_stats.errors[clean]) <= 5
    assert float(result.group_stats.uncertainty[clean]) < 0.05
    assert float(result.strengths[clean]) < 0.35 * float(result.strengths.max())
