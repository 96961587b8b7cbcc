"""From true classes to labels and back: written out, in the limits, and where classes can't be told apart."""

from __future__ import annotations

import numpy as np
import torch

from skedastic.core.choice import Gain
from skedastic.core.transitions import BEND, RIDGE, Transitions, of_labels, of_true_classes

ONE_WAY = torch.tensor([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.1, 0.9]]).double()


def shares(n: int = 50, classes: int = 3) -> torch.Tensor:
    return torch.randn(n, classes, generator=torch.Generator().manual_seed(0)).double().softmax(1)


def test_the_chances_of_labels_are_the_sum_over_the_true_classes() -> None:
    q = shares()
    p = of_labels(q.log(), ONE_WAY).exp()
    for i in range(len(q)):
        for y in range(3):
            assert np.isclose(float(p[i, y]), sum(float(q[i, z] * ONE_WAY[z, y]) for z in range(3)))


def test_the_true_classes_are_the_solution_bent_above_0() -> None:
    p = shares()
    q = of_true_classes(p, ONE_WAY)
    for i in range(len(p)):
        u = p[i].numpy() @ np.linalg.inv(ONE_WAY.numpy() + RIDGE * np.eye(3))
        u = (u + np.sqrt(u**2 + (BEND * p[i].numpy()) ** 2)) / 2
        np.testing.assert_allclose(q[i].numpy(), u / u.sum(), rtol=1e-8)
    assert (q > 0).all()


def test_there_and_back_names_the_same_class_where_it_is_clear() -> None:
    q = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]).double()
    p = of_labels(q.log(), ONE_WAY).exp()
    assert of_true_classes(p, ONE_WAY).argmax(1).tolist() == [0, 1, 2]
    half = torch.tensor([[0.7, 0.3, 0.0]]).double()  # its label is mostly 1: 0.3 + 0.7 · 0.4 = 0.58
    p = of_labels(half.clamp_min(1e-9).log(), ONE_WAY).exp()
    assert p.argmax(1).tolist() == [1]
    assert of_true_classes(p, ONE_WAY).argmax(1).tolist() == [0]


def test_without_wrong_labels_nothing_changes() -> None:
    p = shares()
    torch.testing.assert_close(of_true_classes(p, torch.eye(3)), p, rtol=1e-3, atol=0)


def test_classes_that_cannot_be_told_apart_give_finite_shares() -> None:
    same = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    q = of_true_classes(shares().float(), same)
    assert q.isfinite().all()
    torch.testing.assert_close(q.sum(1), torch.ones(len(q)))


def test_it_is_sound_where_the_gain_is_clear_and_no_class_is_given_up() -> None:
    for mean, error, gives_up, sound in ((0.1, 0.04, False, True), (0.1, 0.06, False, False), (0.1, 0.01, True, False)):
        found = Transitions(matrix=ONE_WAY, gain=Gain(mean, error), gives_up=gives_up)
        assert found.sound == sound
        assert found.clear == (mean > 2 * error)
        back = Transitions.from_dict(found.to_dict())
        assert torch.equal(back.matrix, found.matrix)
        assert (back.gain, back.gives_up) == (found.gain, found.gives_up)
    assert not Transitions(matrix=ONE_WAY, gain=Gain(0.0, 0.0), gives_up=False).sound
