"""The fingerprint of features: another row, another order, another value changes it; last digits do not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from skedastic.data.on_disk import OnDiskFeatures
from skedastic.training.fingerprint import CELLS, LEAST_ROWS, alike, fingerprint


def features(n: int = 300, width: int = 7) -> Tensor:
    x = torch.randn(n, width, generator=torch.Generator().manual_seed(1))
    x[:, 0] *= 1e6
    return x


def swapped(x: Tensor, dim: int) -> Tensor:
    order = torch.arange(x.shape[dim])
    order[[0, 1]] = order[[1, 0]]
    return x.index_select(dim, order)


def with_one_cell(x: Tensor) -> Tensor:
    x = x.clone()
    x[5, 3] += 0.5
    return x


@pytest.mark.parametrize(
    "change",
    [
        lambda x: swapped(x, 0),
        lambda x: swapped(x, 1),
        with_one_cell,
        lambda x: x * 1.01,
        lambda x: x[:-1],
        lambda x: x[:, :-1],
        lambda x: torch.zeros_like(x),
    ],
    ids=["two rows", "two columns", "one cell", "scale", "a row less", "a column less", "nothing"],
)
def test_other_features_have_another(change: Callable[[Tensor], Tensor]) -> None:
    x = features()
    assert not alike([fingerprint(x)], [fingerprint(change(x))])


def test_what_another_machine_computes_a_little_differently_has_the_same() -> None:
    x = features()
    nearly = x * (1 + 1e-6 * torch.randn_like(x))
    assert not torch.equal(x, nearly)
    assert alike([fingerprint(x)], [fingerprint(nearly)])
    assert alike([fingerprint(x)], [fingerprint(OnDiskFeatures.written([x.numpy()], x.shape[1]))])


def test_it_is_of_the_training_set_and_of_the_reference_set() -> None:
    own = fingerprint(features())
    assert not alike([own], [own, own])


@pytest.mark.parametrize("x", [torch.zeros(0, 3), torch.zeros(4, 0), torch.full((3, 2), float("nan"))])
def test_there_may_be_nothing(x: Tensor) -> None:
    assert alike([fingerprint(x)], [fingerprint(x)])


class Read:
    """Features that count the rows which are read."""

    def __init__(self, n: int, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.shape, self.dtype, self.rows = (n, *shape), dtype, 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Tensor) -> Tensor:
        self.rows += len(rows)
        return torch.zeros(len(rows), *self.shape[1:], dtype=self.dtype)

    def take(self, rows: Tensor) -> "Read":
        raise AssertionError


def test_large_features_are_not_read_whole() -> None:
    images = Read(10**9, (3, 8, 8), torch.uint8)
    fingerprint(images)
    assert images.rows == LEAST_ROWS
    few = torch.zeros(1).expand(10**9, 64)  # of 256 GB, where all were there
    assert len(few) > CELLS // 64
    assert fingerprint(few)[-1] == 0
