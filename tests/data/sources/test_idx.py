"""idx files: they come back as they were written; other files, and files that are cut off, are refused."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from skedastic.data import open_source
from skedastic.data.sources.idx import read_idx
from tests.support.refusals import refused

FASHION = Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.astype(np.uint8).tobytes()
    )


def write(folder: Path, n: int = 12, labels: int = 12, zipped: bool = True) -> Path:
    rng = np.random.default_rng(0)
    end = ".gz" if zipped else ""
    wrap = gzip.compress if zipped else bytes
    (folder / f"train-images-idx3-ubyte{end}").write_bytes(wrap(idx(rng.integers(0, 256, (n, 5, 4)))))
    (folder / f"train-labels-idx1-ubyte{end}").write_bytes(wrap(idx(np.arange(labels) % 3)))
    return folder / f"train-images-idx3-ubyte{end}"


@pytest.mark.parametrize("zipped", [True, False])
def test_images_and_the_labels_beside_them(zipped: bool, tmp_path: Path) -> None:
    source = open_source(write(tmp_path, zipped=zipped))
    expected = np.random.default_rng(0).integers(0, 256, (12, 5, 4))
    assert torch.equal(source.features, torch.from_numpy(expected).to(torch.uint8)[:, None])
    assert source.y.tolist() == [0, 1, 2] * 4
    assert source.classes == ("0", "1", "2")
    assert open_source(tmp_path / source.name, schema=source.schema).classes == source.classes


def test_impossible_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with refused(str(path), None, rule="leave --target, --groups"):
        open_source(path, target="y")
    with refused(str(path), "[12, 5, 4] and [11]"):
        open_source(write(tmp_path, labels=11))
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with refused(str(path), None, rule="train-labels-idx1-ubyte.gz must be beside it"):
        open_source(path)
    whole = gzip.decompress(write(tmp_path).read_bytes())
    for content, rule in (
        (gzip.compress(whole[:-1]), "is cut off"),
        (gzip.compress(whole[:9]), "is cut off"),
        (gzip.compress(b"PK" + whole), "is no idx file"),
        (gzip.compress(b""), "is no idx file"),
        (path.read_bytes()[:-20], "can't be read"),
        (b"no gzip", "can't be read"),
    ):
        path.write_bytes(content)
        with refused(str(path), None, rule=rule):
            open_source(path)


@pytest.mark.skipif(not FASHION.is_file(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_fashion_mnist() -> None:
    source = open_source(FASHION)
    assert source.features.shape == (60_000, 1, 28, 28)
    assert source.y.bincount().tolist() == [6000] * 10
    assert read_idx(FASHION).dtype == np.uint8
