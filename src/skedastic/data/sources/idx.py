"""idx files, as MNIST and its kin are kept: images and their labels in two files of like names, .gz or not.

train-images-idx3-ubyte.gz    the source
train-labels-idx1-ubyte.gz    beside it, found by its name
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.sources.names import IDX, check_file
from skedastic.errors import UserError
from skedastic.runtime.limits import check_unpacked

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx_pair(path: Path) -> tuple[Tensor, NDArray[np.int64]]:
    """Return the images [n, H, W] of a file, and the labels [n] of the one beside it. Raises UserError."""
    beside = path.with_name(IDX.sub(r"labels\1idx1-ubyte\2", path.name))
    if not beside.is_file():
        raise UserError(f"its labels are not there; {beside.name} must be beside it", setting=str(path))
    images, labels = read_idx(path), read_idx(beside)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        shapes = f"{list(images.shape)} and {list(labels.shape)}"
        rule = f"images and labels have shapes {shapes}; they must be [n, height, width] and [n]"
        raise UserError(rule, setting=str(path), value=shapes, given=str(path))
    return torch.from_numpy(images), labels.astype(np.int64)


def read_idx(path: Path) -> NDArray[np.generic]:
    """Return the array of an idx file: two zeros, a type, the number of dimensions, their sizes, the numbers.

    No more is unpacked than the header says. Raises UserError where it is none, or too large.
    """
    check_file(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _array(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"it can't be read ({error}); restore the file", setting=str(path)) from None


def _array(file: BinaryIO | gzip.GzipFile, path: Path) -> NDArray[np.generic]:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES:
        raise UserError("it is no idx file; that begins with two zeros and the type of its numbers", setting=str(path))
    kind, dimensions = np.dtype(TYPES[head[2]]), head[3]
    sizes = file.read(4 * dimensions)
    shape = np.frombuffer(sizes, ">i4", len(sizes) // 4).tolist()
    size = kind.itemsize * math.prod(shape)
    check_unpacked(str(path), size)
    numbers = file.read(size) if min(shape, default=0) >= 0 else b""
    if len(shape) < dimensions or len(numbers) != size or file.read(1):
        raise UserError("it is cut off, or longer than its header says; restore the file", setting=str(path))
    return np.frombuffer(numbers, kind).reshape(shape).astype(kind.newbyteorder("="))
