"""Batches: every example as often as asked, augmented by seed, the same from a tensor and from a stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skedastic.data import Classes, Dataset, Grouping, Loader, RawBatch
from skedastic.data.loader import crop, crop_flip, dead_workers_said, padding_of
from skedastic.errors import UserError
from tests.support.paths import ROOT
from tests.support.refusals import refused


@dataclass(frozen=True, eq=False)
class Disk:
    """A stream over a tensor that stands for a file; -1 can't be read, -2 kills the process that reads it."""

    pixels: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.pixels.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.pixels.dtype

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Tensor) -> Tensor:
        pixels = self.pixels[rows]
        if (pixels.int() == -1).any():
            raise UserError("the image can't be decoded; mend or remove it", setting="photos.parquet, row 3")
        if (pixels.int() == -2).any():
            os._exit(9)
        return pixels

    def take(self, rows: Tensor) -> Disk:
        return Disk(self.pixels[rows])


def images(n: int = 50, channels: int = 3, size: int = 8) -> Dataset:
    pixels = torch.randint(0, 256, (n, channels, size, size), generator=torch.Generator().manual_seed(0))
    y = torch.arange(n) % 5
    return Dataset(
        pixels.to(torch.uint8), y, torch.arange(n) + 100, y % 2, Classes(tuple("abcde")), Grouping(("g", "h")), "image"
    )


def streamed(data: Dataset) -> Dataset:
    assert isinstance(data.x, Tensor)
    return replace(data, x=Disk(data.x))


def equal(a: RawBatch, b: RawBatch) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("n", "sizes"), [(0, []), (1, [1]), (7, [7]), (8, [8]), (9, [9]), (10, [8, 2]), (17, [8, 9]), (24, [8] * 3)]
)
def test_a_single_example_left_over_joins_the_batch_before(n: int, sizes: list[int]) -> None:
    loader = Loader(images(), batch_size=8)
    batches = list(loader.epoch(0, torch.arange(n)))
    assert [len(b.y) for b in batches] == sizes
    assert loader.steps(n) == len(sizes)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("augment", ["none", "crop", "crop-flip"])
def test_an_epoch_that_is_gone_on_with_has_the_batches_that_are_left(stream: bool, augment: str) -> None:
    data, order = images(), torch.arange(41).flip(0)
    loader = Loader(streamed(data) if stream else data, batch_size=8, augment=augment, workers=0)
    whole = list(loader.epoch(1, order))
    assert len(whole) == 5
    assert loader.steps(len(order)) == 5, "the last example joins the batch before"
    for start in range(6):
        left = list(loader.epoch(1, order, start=start))
        assert len(left) == 5 - start
        assert all(equal(a, b) for a, b in zip(left, whole[start:], strict=True))


def test_nothing_is_read_of_the_batches_that_are_left_out() -> None:
    data = images()
    assert isinstance(data.x, Tensor)
    pixels = data.x.int()
    pixels[:16] = -1
    loader = Loader(replace(data, x=Disk(pixels)), batch_size=8, workers=0)
    assert len(list(loader.epoch(0, torch.arange(50), start=2))) == 5


@pytest.mark.parametrize("stream", [False, True])
def test_batches_follow_the_order_they_are_given(stream: bool) -> None:
    data = images()
    order = torch.tensor([3, 3, 49, 0, 7, 12, 3])
    loader = Loader(streamed(data) if stream else data, batch_size=3, workers=0)
    for rows, batch in zip(([3, 3, 49], [0, 7, 12, 3]), loader.epoch(0, order), strict=True):
        assert torch.equal(batch.x, data.x[rows])
        assert torch.equal(batch.y, data.y[rows])
        assert torch.equal(batch.index, data.index[rows])
        assert torch.equal(batch.group, data.group[rows])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_gives_the_same_batches_as_a_tensor(workers: int) -> None:
    data = images()
    from_tensor = Loader(data, batch_size=8, seed=3, augment="crop-flip")
    from_stream = Loader(streamed(data), batch_size=8, seed=3, augment="crop-flip", workers=workers)
    for epoch in range(2):
        order = torch.randperm(50, generator=torch.Generator().manual_seed(epoch))
        for a, b in zip(from_tensor.epoch(epoch, order), from_stream.epoch(epoch, order), strict=True):
            assert equal(a, b)


def test_two_epochs_of_a_stream_may_be_read_side_by_side() -> None:
    loader = Loader(streamed(images()), batch_size=8, workers=1)
    order = torch.arange(24)
    for a, b in zip(loader.epoch(0, order), loader.epoch(1, order), strict=True):
        assert equal(a, b)


@pytest.mark.parametrize("stream", [False, True])
def test_batches_leave_the_global_random_state_alone(stream: bool) -> None:
    loader = Loader(streamed(images()) if stream else images(), batch_size=8, augment="crop-flip", workers=0)
    before = torch.get_rng_state()
    list(loader.epoch(0, torch.arange(50)))
    assert torch.equal(before, torch.get_rng_state())


def test_augmentation_depends_on_seed_and_epoch_alone() -> None:
    order = torch.arange(50)

    def epoch(seed: int, number: int, batch_size: int = 10) -> Tensor:
        loader = Loader(images(), batch_size=batch_size, seed=seed, augment="crop-flip")
        return torch.cat([b.x for b in loader.epoch(number, order)])

    assert torch.equal(epoch(1, 2), epoch(1, 2))
    assert torch.equal(epoch(1, 2), epoch(1, 2, batch_size=25))
    assert not torch.equal(epoch(1, 2), epoch(1, 3))
    assert not torch.equal(epoch(1, 2), epoch(2, 2))


def literal_crop_flip(x: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """One image, one row, one pixel at a time."""
    batch, _, height, width = x.shape
    padding = padding_of(x.shape)
    out = torch.zeros_like(x)
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                row = i + int(top[b]) - padding
                column = (width - 1 - j if flip[b] else j) + int(left[b]) - padding
                if 0 <= row < height and 0 <= column < width:
                    out[b, :, i, j] = x[b, :, row, column]
    return out


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(9, 3, 32, 32), (9, 1, 17, 19), (1, 2, 1, 1)])
def test_crop_and_flip_equal_the_literal_loop(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(1, 256, shape, generator=generator).to(dtype)
    top, left = torch.randint(2 * padding_of(shape) + 1, (2, shape[0]), generator=generator)
    flip = torch.rand(shape[0], generator=generator) < 0.5
    assert torch.equal(crop_flip(x, top, left, flip), literal_crop_flip(x, top, left, flip))


@pytest.mark.parametrize("shape", [(9, 1, 16, 16), (9, 3, 17, 25), (2, 1, 1, 1)])
def test_crop_equals_padding_by_the_edge(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, padding = torch.rand(shape, generator=generator), padding_of(shape)
    top, left = torch.randint(2 * padding + 1, (2, shape[0]), generator=generator)
    padded = F.pad(x, (padding,) * 4, mode="replicate")
    height, width = shape[2:]
    cut = [padded[b, :, t : t + height, s : s + width] for b, (t, s) in enumerate(zip(top, left, strict=True))]
    assert torch.equal(crop(x, top, left, top > 0), torch.stack(cut))


@pytest.mark.parametrize(
    ("shape", "padding"), [((3, 32, 32), 4), ((1, 28, 28), 3), ((9, 3, 224, 300), 28), ((2, 2), 1)]
)
def test_padding_is_an_eighth_of_the_shorter_side(shape: tuple[int, ...], padding: int) -> None:
    assert padding_of(shape) == padding


def test_every_offset_and_both_directions_occur_for_single_examples() -> None:
    n, size, padding = 3000, 16, 2
    pixels = torch.arange(1, size * size + 1, dtype=torch.int16).view(1, 1, size, size).expand(n, 1, size, size)
    y = torch.zeros(n, dtype=torch.long)
    data = Dataset(pixels, y, torch.arange(n), y, Classes(("a",)), Grouping(("a",)), "image")
    augmented = next(Loader(data, batch_size=n, augment="crop-flip").epoch(0, torch.arange(n))).x
    padded = F.pad(pixels[0], (padding,) * 4)
    expected = set()
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            cut = padded[:, top : top + size, left : left + size]
            expected |= {tuple(cut.flatten().tolist()), tuple(cut.flip(2).flatten().tolist())}
    assert {tuple(x.flatten().tolist()) for x in augmented} == expected
    whole = (augmented.flatten(1) > 0).all(1)
    assert float(whole.float().mean()) == pytest.approx(1 / 25, abs=0.015)


@pytest.mark.parametrize(
    ("data", "augment"),
    [
        (images(), "crop-flip"),
        (images(channels=1), "crop"),
        (replace(images(), x=torch.rand(50, 3), kind="table"), "none"),
    ],
)
def test_auto_augments_as_suits_the_data(data: Dataset, augment: str) -> None:
    def epoch(chosen: str) -> Tensor:
        return torch.cat([batch.x for batch in Loader(data, augment=chosen).epoch(0, torch.arange(50))])

    assert torch.equal(epoch("auto"), epoch(augment))
    assert torch.equal(epoch("auto"), epoch("none")) == (augment == "none")


def test_impossible_settings_are_refused() -> None:
    table = replace(images(), x=torch.rand(50, 3), kind="table")
    with refused("train.augment", "crop-flp", rule="did you mean 'crop-flip'?"):
        Loader(images(), augment="crop-flp")
    for augment in ("crop", "crop-flip"):
        with refused("train.augment", augment, rule="moves pixels"):
            Loader(table, augment=augment)
    with refused("train.batch_size", 1, rule="at least 2"):
        Loader(images(), batch_size=1)
    with refused("train.batch_size", 4, rule="at least 5"):
        Loader(images(), batch_size=4, least=5)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_can_not_be_decoded_is_refused(workers: int) -> None:
    data = images()
    broken = data.x.to(torch.int16)
    broken[30] = -1
    with refused("photos.parquet, row 3", None, rule="mend or remove it"):
        list(Loader(replace(data, x=Disk(broken)), batch_size=8, workers=workers).epoch(0, torch.arange(50)))


def read_past_a_dead_worker() -> None:
    data = images()
    broken = data.x.to(torch.int16)
    broken[30] = -2
    try:
        with dead_workers_said():
            list(Loader(replace(data, x=Disk(broken)), batch_size=8, workers=1).epoch(0, torch.arange(50)))
    except UserError as error:
        print(json.dumps([error.setting, str(error)]))


@pytest.mark.slow
def test_a_worker_that_dies_is_said_in_one_line() -> None:
    root = ROOT  # in a process of its own: torch raises from a signal, wherever Python then is
    script = "from tests.data.test_loader import read_past_a_dead_worker; read_past_a_dead_worker()"
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    setting, message = json.loads(done.stdout)
    assert setting == "train.workers"
    assert "died" in message
    assert "\n" not in message
