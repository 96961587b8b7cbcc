"""Batches: gathered on the device where the data fits, decoded by workers where it streams; the same by seed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from skedastic.core.samplers import seeded
from skedastic.core.spread import OwnRows, Spread
from skedastic.data.dataset import Dataset, Stream, without_padding
from skedastic.data.on_disk import OnDiskFeatures
from skedastic.data.settings import Augment
from skedastic.errors import UserError, check_choice

PADDING = 1 / 8  # of the shorter side, around an image before it is cropped
MOST_WORKERS = 8
AUGMENTATION = 0x5EED  # keeps the stream of random numbers apart from that of the sampler


class RawBatch(NamedTuple):
    """B examples: x [B, ...], y [B], index [B] and group [B], on the loader's device; and the group on the CPU."""

    x: Tensor
    y: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    group: Tensor
    group_on_host: Tensor


class Loader:
    """Batches of a dataset in an order that the caller gives.

    (seed, epoch) and the order give the same batches whether the dataset is a tensor or a stream. A tensor is put on
    the device once and for all.

    Parameters
    ----------
    dataset : Dataset
        The examples.
    batch_size : int, optional
        The number of examples in a batch, at least `least`.
    least : int, optional
        The fewest examples that a batch may have, at least 2.
    seed : int, optional
        Of the augmentation.
    augment : str, optional
        "crop-flip" (images: random crop with black of an eighth of the shorter side around, random horizontal flip),
        "crop" (with the pixels of the edge around, no flip), "none", or "auto" (crop-flip for colour images, and crop
        for others).
    device : torch.device or str, optional
        The device that batches are on.
    workers : int or "auto", optional
        The processes that decode a stream. "auto" takes the machine's cores, at most 8; 0 decodes in this process.
        Tensors need none.

    spread : Spread, optional
        The processes that share every batch: of a stream each then reads its own rows alone (`OwnRows`).

    Raises
    ------
    UserError
        The batch size is too small, or the augmentation is unknown or not for these data.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int = 128,
        least: int = 2,
        seed: int = 0,
        augment: str = "none",
        device: torch.device | str = "cpu",
        workers: int | Literal["auto"] = "auto",
        spread: Spread | None = None,
    ) -> None:
        if batch_size < 2:
            rule = "must be at least 2, since BatchNorm can't take a single example"
            raise UserError(rule, setting="train.batch_size", value=batch_size)
        if batch_size < least:
            rule = f"must be at least {least} for this method, one for each class"
            raise UserError(rule, setting="train.batch_size", value=batch_size)
        check_choice("train.augment", augment, get_args(Augment))
        if augment not in ("auto", "none") and dataset.kind != "image":
            rule = "moves pixels, and the data has none; use train.augment=none"
            raise UserError(rule, setting="train.augment", value=augment)
        self.dataset = dataset
        self.batch_size, self.least = batch_size, least
        self.seed = seed
        self.augment = _suited(dataset) if augment == "auto" else augment
        self.device = torch.device(device)
        self.workers = min(os.cpu_count() or 1, MOST_WORKERS) if workers == "auto" else workers
        self._x = dataset.x.to(self.device) if isinstance(dataset.x, Tensor) else dataset.x
        streams = not isinstance(self._x, Tensor) and not dataset.tokens  # texts are as long as the longest of a batch
        self._spread = spread if streams else None
        self._beside = tuple(part.to(self.device) for part in (dataset.batch_targets, dataset.index, dataset.group))

    def steps(self, n_order: int) -> int:
        """Return the number of batches of an epoch.

        Parameters
        ----------
        n_order : int
            The number of positions in its order.
        """
        return len(self._sizes(n_order))

    def epoch(self, epoch: int, order: Tensor, *, augmented: bool = True, start: int = 0) -> Iterator[RawBatch]:
        """Yield the batches of an epoch.

        The last batch holds the rest. Fewer than `least` examples, such as a single one, join the batch before.

        Parameters
        ----------
        epoch : int
            The number of the epoch.
        order : Tensor
            Positions in the dataset, [m] int64; one may occur several times.
        augmented : bool, optional
            Whether the examples are augmented as the loader does; else they come as they are.
        start : int, optional
            The number of batches that are left out at the beginning; nothing of them is read.
        """
        all_sizes = self._sizes(len(order))
        sizes, order = all_sizes[start:], order[sum(all_sizes[:start]) :]
        placed, crops = order.to(self.device), list[Sequence[Tensor]]()
        if self.augment != "none" and augmented:
            crops = [parts[start:] for parts in self._crops(epoch, all_sizes)]
        if self._spread is None:
            features = self._changed(order, placed, sizes, crops)
        else:
            features = self._own_rows(self._spread, order, sizes, crops)
        for here, rows, x in zip(pieces(order.cpu(), sizes), pieces(placed, sizes), features, strict=True):
            y, index, group = (part.index_select(0, rows) for part in self._beside)
            on_host = group if self.device.type == "cpu" else self.dataset.group.index_select(0, here)
            yield RawBatch(x, y, index, group, on_host)

    def _changed(
        self, order: Tensor, placed: Tensor, sizes: list[int], crops: list[Sequence[Tensor]]
    ) -> Iterator[Tensor]:
        """Yield the features of the batches, augmented where there are crops."""
        features = self._features(order, placed, sizes)
        return map(crop_flip if self.augment == "crop-flip" else crop, features, *crops) if crops else features

    def _own_rows(
        self, spread: Spread, order: Tensor, sizes: list[int], crops: list[Sequence[Tensor]]
    ) -> Iterator[Tensor]:
        """Yield the features of the batches, of which this process reads its own rows."""
        cut = [spread.rows(size) for size in sizes]
        own = [rows[part] for rows, part in zip(torch.split(order, sizes), cut, strict=True)]
        crops = [[of[part] for of, part in zip(parts, cut, strict=True)] for parts in crops]
        read = self._changed(torch.cat(own), torch.cat(own), [len(rows) for rows in own], crops)
        for x, size in zip(read, sizes, strict=True):
            yield x if spread.sizes(size) is None else OwnRows(x, size, spread)

    def _sizes(self, n: int) -> list[int]:
        sizes = [self.batch_size] * (n // self.batch_size) + [n % self.batch_size] * (n % self.batch_size > 0)
        if len(sizes) > 1 and sizes[-1] < self.least:
            sizes[-2:] = [self.batch_size + sizes[-1]]
        return sizes

    def _features(self, order: Tensor, placed: Tensor, sizes: list[int]) -> Iterator[Tensor]:
        rows: Iterator[Tensor]
        if isinstance(self._x, Tensor):
            rows = map(self._x.index_select, repeat(0), pieces(placed, sizes))
        elif isinstance(self._x, OnDiskFeatures):
            rows = (x.to(self.device, non_blocking=True) for x in self._x.batches(order.cpu(), sizes))
        else:
            decoded = _decoded(self._x, torch.split(order.cpu(), sizes), self.workers)
            return (x.to(self.device, non_blocking=True) for x in decoded)
        return map(without_padding, rows, repeat(self.dataset.tokens)) if self.dataset.tokens else rows

    def _crops(self, epoch: int, sizes: list[int]) -> tuple[Sequence[Tensor], ...]:
        """Return, batch by batch, the random top and left edge of each crop [B] and whether it is flipped [B]."""
        generator, places = seeded(self.seed, epoch, AUGMENTATION), 2 * padding_of(self.dataset.x.shape) + 1
        edges = torch.randint(places, (2, sum(sizes)), generator=generator).to(self.device)
        flips = (torch.rand(sum(sizes), generator=generator) < 0.5).to(self.device)
        return tuple(torch.split(part, sizes) for part in (*edges, flips))


def _suited(dataset: Dataset) -> str:
    """Return the augmentation that suits the data."""
    if dataset.kind != "image":
        return "none"
    return "crop-flip" if dataset.x.shape[1] == 3 else "crop"


def padding_of(shape: Sequence[int]) -> int:
    """Return how many pixels are put around images before they are cropped: 4 around 32 × 32, at least 1.

    Parameters
    ----------
    shape : sequence of int
        Of the images, (..., H, W).
    """
    return max(1, int(PADDING * min(shape[-2:])))


def crop_flip(x: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Pad images with black, crop each back to its size, and mirror some of them, as is usual for CIFAR.

    This is one gather: the pixel that each output pixel is taken from is computed, then all are fetched at once.

    Parameters
    ----------
    x : Tensor
        The images, [B, C, H, W].
    top, left : Tensor
        The first row and the first column of each crop in the padded image, [B] int64 in 0..2·padding.
    flip : Tensor
        Whether each image is mirrored, [B] bool.
    """
    batch, _, height, width = x.shape
    padded = F.pad(x, (padding_of(x.shape),) * 4)
    rows = top[:, None] + torch.arange(height, device=x.device)
    columns = torch.arange(width, device=x.device).expand(batch, width)
    columns = torch.where(flip[:, None], width - 1 - columns, columns) + left[:, None]
    return _gathered(padded, rows, columns)


def crop(x: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Shift images by up to the padding, and repeat the pixels of the edge where they were shifted away from.

    For images without colour, such as scans, whose background may be of any shade, and which are no more what they
    were once mirrored, as letters.

    Parameters
    ----------
    x, top, left
        As in `crop_flip`.
    flip : Tensor
        Of no use.
    """
    (height, width), padding = x.shape[2:], padding_of(x.shape)
    rows = (top[:, None] - padding + torch.arange(height, device=x.device)).clamp(0, height - 1)
    columns = (left[:, None] - padding + torch.arange(width, device=x.device)).clamp(0, width - 1)
    return _gathered(x, rows, columns)


def _gathered(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels of images [B, C, H, W] at rows [B, h] and columns [B, w]: [B, C, h, w]."""
    batch, channels = x.shape[:2]
    source = (rows[:, :, None] * x.shape[3] + columns[:, None, :]).view(batch, 1, -1)
    pixels = x.flatten(2).gather(2, source.expand(-1, channels, -1))
    return pixels.view(batch, channels, rows.shape[1], columns.shape[1])


def pieces(order: Tensor, sizes: Iterable[int]) -> Iterator[Tensor]:
    """Yield the parts of an order [m], `sizes` long, as views."""
    start = 0
    for size in sizes:
        yield order[start : start + size]
        start += size


class _Decoder:
    """The function that a worker runs: rows [B] in, pixels out. A `UserError` comes back as a value, whole."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __getitem__(self, rows: Tensor) -> Tensor | UserError:
        try:
            return self.stream[rows]
        except UserError as error:
            return error


def _decoded(stream: Stream, batches: Sequence[Tensor], workers: int) -> Iterator[Tensor]:
    loader: DataLoader[Tensor | UserError] = DataLoader(
        _Decoder(stream),  # type: ignore[arg-type]
        sampler=batches,
        batch_size=None,  # each item of the sampler is a batch
        num_workers=workers,
        generator=torch.Generator(),  # else the loader draws from the global one, and dropout would differ
    )
    with dead_workers_said():
        try:
            for x in loader:
                if isinstance(x, UserError):
                    raise x
                yield x
        except (ConnectionError, EOFError, FileNotFoundError):
            time.sleep(5)  # the signal of the death that broke the connection comes, and torch raises from it
            raise _worker_died("its connection broke") from None


@contextmanager
def dead_workers_said() -> Iterator[None]:
    """Say in one line that a process that decodes died: torch raises this from a signal, wherever Python then is."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise _worker_died(str(error).splitlines()[0]) from None


def _worker_died(reason: str) -> UserError:
    rule = f"a process that decodes images died ({reason}); try fewer, or 0"
    return UserError(rule, setting="train.workers")
