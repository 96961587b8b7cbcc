"""The confident joint against the definition written out, one row at a time."""

import numpy as np
import pytest

from skedastic.noise.confident_joint import confident_joint


def written_out(p: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    joint = np.zeros((p.shape[1],) * 2, dtype=int)
    for i in range(len(y)):
        confident = []
        for c in range(p.shape[1]):
            alike = [p[j, c] for j in range(len(y)) if y[j] == c and fold[j] == fold[i]]
            if alike and p[i, c] >= sum(alike) / len(alike) - 1e-12:
                confident.append(c)
        if confident:
            joint[max(confident, key=lambda c: p[i, c]), y[i]] += 1
    return joint


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("n", [0, 1, 40])
def test_it_is_what_is_written_out(n, folds) -> None:
    rng = np.random.default_rng(n)
    p, y = rng.dirichlet(np.ones(4), n).reshape(n, 4), rng.integers(0, 3, n)  # no label names the fourth class
    fold = rng.integers(0, folds, n)
    found = confident_joint(p, y, fold)
    assert found.tolist() == written_out(p, y, fold).tolist()
    assert not found[3].any()


def test_the_lean_of_a_model_has_no_part_in_it() -> None:
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.3, 0.7], [0.1, 0.9]])
    y, fold = np.array([0, 0, 1, 1] * 2), np.repeat([0, 1], 4)
    leaning = np.r_[p, p * [0.1, 1] / (p * [0.1, 1]).sum(1, keepdims=True)]
    assert confident_joint(leaning, y, fold).tolist() == confident_joint(np.r_[p, p], y, fold).tolist()
