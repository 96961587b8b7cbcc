"""Images in Parquet files: decoded on demand, by row, and refused by row."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from skedastic.data import ImageEncoder, limit, open_source, split_rows
from skedastic.data.images import EncodedImages
from tests.support.paths import SHARED
from tests.support.refusals import refused

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
datasets = pytest.importorskip("datasets", reason="images in Parquet files need the extra 'images'")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def encoded(pixels: np.ndarray, mode: str | None = None, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(buffer, kind)
    return buffer.getvalue()


def write(folder: Path, cells: Sequence[bytes | None], name: str = "images.parquet", **columns: object) -> Path:
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([None if c is None else {"bytes": c, "path": None} for c in cells], type=struct)
    labels = columns.pop("label", [i % 2 for i in range(len(cells))])
    pq.write_table(pa.table({"image": images, "label": labels, **columns}), folder / name)
    return folder / name


def random_pixels(n: int, shape: tuple[int, ...] = (6, 5, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def test_pixels_come_back_exactly_and_lazily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = random_pixels(12)
    source = open_source(write(tmp_path, [encoded(p) for p in pixels], extra=list(range(12))), target="label")
    assert source.kind == "image"
    assert source.features.shape == (12, 3, 6, 5)
    rows = torch.tensor([7, 0, 7, 11])
    data = source.dataset(rows, source.encode(rows))
    decoded: list[int] = []
    original = EncodedImages._decode

    def noting(self, row, encoded):
        decoded.append(row)
        return original(self, row, encoded)

    monkeypatch.setattr(EncodedImages, "_decode", noting)
    first = data.subset(torch.tensor([1, 2, 3])).subset(torch.tensor([2, 0]))
    assert decoded == []
    loaded = first.in_memory()
    assert decoded == [11, 0], "only what is asked for is decoded"
    assert loaded.x.dtype == torch.uint8
    np.testing.assert_array_equal(loaded.x.permute(0, 2, 3, 1), pixels[[11, 0]])
    assert first.in_memory(memory=2 * 90) is not first
    assert first.in_memory(memory=2 * 90 - 1) is first
    assert loaded.in_memory() is loaded
    np.testing.assert_array_equal(np.asarray(source.image(4)), pixels[4])


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("P", 3), ("RGBA", 3)])
def test_grey_and_colour(tmp_path: Path, mode: str, channels: int) -> None:
    pixels = np.repeat(random_pixels(4, (6, 5, 1)) // 32 * 32, 3, axis=3)
    source = open_source(write(tmp_path, [encoded(p, mode) for p in pixels]), target="label")
    x = source.features[torch.arange(4)]
    assert x.shape == (4, channels, 6, 5)
    kept = [np.asarray(Image.fromarray(p).convert(mode).convert("RGB")) for p in pixels]
    np.testing.assert_array_equal(x.permute(0, 2, 3, 1).expand(-1, -1, -1, 3), kept)


def test_a_grey_image_among_colours_is_taken_as_colour(tmp_path: Path) -> None:
    pixels = random_pixels(4)
    cells = [encoded(pixels[0]), encoded(pixels[1], "L"), encoded(pixels[2]), encoded(pixels[3])]
    x = open_source(write(tmp_path, cells), target="label").features[torch.tensor([1])]
    assert torch.equal(x[:, 0], x[:, 2])


def test_images_that_are_refused_are_named_by_row(tmp_path: Path) -> None:
    good = encoded(random_pixels(1)[0])
    deep = io.BytesIO()
    Image.fromarray(np.full((6, 5), 4096, dtype=np.int32)).save(deep, "TIFF")
    larger = encoded(random_pixels(1, (7, 5, 3))[0])
    for number, (bad, others, row, value, rule) in enumerate(
        (
            (None, good, 3, None, "empty or not there"),
            (b"no image", good, 3, None, "can't be decoded (cannot identify"),
            (good[: len(good) // 2], good, 3, None, "can't be decoded"),
            (larger, good, 3, "5 x 7", "the first one has 5 x 6"),
            (deep.getvalue(), good, 3, 4096.0, "from 0 to 255"),
            (good, None, 0, None, "empty or not there"),
        )
    ):
        path = write(tmp_path, [others, others, others, bad, *[good] * 400], name=f"{number}.parquet")
        with refused(f"{number}.parquet, row {row}, column 'image'", value, rule=rule):
            open_source(path, target="label").features.take(torch.arange(4))[torch.arange(4)]


def test_impossible_tables_of_images_are_refused(tmp_path: Path) -> None:
    cells = [encoded(p) for p in random_pixels(4)]
    path = write(tmp_path, cells)

    with refused("target", None):
        open_source(path)
    with refused("images.parquet, target column", "lable", rule="did you mean 'label'?"):
        open_source(path, target="lable")
    with refused("images.parquet, target column", "image"):
        open_source(path, target="image")
    table = pq.read_table(path)
    pq.write_table(table.append_column("second", table.column("image")), tmp_path / "two.parquet")
    with refused("image", None, rule="more than one column of images (image, second)"):
        open_source(tmp_path / "two.parquet", target="label")
    assert len(open_source(tmp_path / "two.parquet", target="label", ignore=["second"])) == 4
    training = open_source(path, target="label")
    small = write(tmp_path, [encoded(p) for p in random_pixels(4, (4, 4, 3))], "small.parquet")
    with refused("small.parquet", [3, 4, 4], rule="the training data [3, 6, 5]"):
        open_source(small, target="label", schema=training.schema)
    (tmp_path / "t.csv").write_text("x,label\n1,0\n")
    with refused("t.csv", None, rule="the training data are images"):
        open_source(tmp_path / "t.csv", target="label", schema=training.schema)


def test_without_the_extra_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, [encoded(p) for p in random_pixels(4)])
    monkeypatch.setitem(sys.modules, "datasets", None)
    with refused(str(path), None, rule="pip install 'skedastic[images]'"):
        open_source(path, target="label")


def test_a_cache_that_can_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, [encoded(p) for p in random_pixels(4)])
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", Path("/dev/null/cache"))
    with refused(str(path), None, rule="HF_HOME"):
        open_source(path, target="label")


def test_a_stream_pickles_as_a_path(tmp_path: Path) -> None:
    pixels = random_pixels(300, (32, 32, 3))
    images = open_source(write(tmp_path, [encoded(p) for p in pixels]), target="label").features
    assert isinstance(images, EncodedImages)
    pickled = pickle.dumps(images)
    assert len(pickled) < 20_000 < pixels.size
    rows = torch.tensor([5, 299])
    assert torch.equal(pickle.loads(pickled)[rows], images[rows])


def test_statistics_of_a_stream_are_those_of_its_pixels(tmp_path: Path) -> None:
    pixels = random_pixels(20)
    source = open_source(write(tmp_path, [encoded(p) for p in pixels]), target="label")
    rows = torch.arange(0, 20, 2)
    encoder = source.encode(rows)
    assert isinstance(encoder, ImageEncoder)
    np.testing.assert_allclose(encoder.mean, pixels[::2].mean((0, 1, 2)) / 255)
    assert encoder.integers


def test_declared_names_of_labels_serve_target_truth_and_test(tmp_path: Path) -> None:
    cells = [encoded(p) for p in random_pixels(6)]
    path = write(tmp_path, cells, label=[0, 1, 2] * 2, noisy=[0, 1, 2, 2, 1, 0])
    features = {"label": {"names": ["cat", "dog", "eel"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    features["noisy"] = {"dtype": "int64", "_type": "Value"}
    table = pq.read_table(path)
    declared = str({"info": {"features": features}}).replace("'", '"')
    pq.write_table(table.replace_schema_metadata({"huggingface": declared}), path)
    named = open_source(path, target="label", truth="noisy")
    assert named.classes == ("cat", "dog", "eel")
    assert named.truth.tolist() == [0, 1, 2, 2, 1, 0], "integers of the truth are the target's names"
    numbered = open_source(path, target="noisy", truth="label", groups="label")
    assert numbered.classes == ("0", "1", "2")
    assert numbered.truth.tolist() == [0, 1, 2] * 2
    pq.write_table(pq.read_table(path).drop_columns("noisy"), tmp_path / "test.parquet")
    training = open_source(path, target="noisy", truth="label")
    test = open_source(tmp_path / "test.parquet", target="noisy", truth="label", schema=training.schema)
    assert test.y.tolist() == test.truth.tolist() == [0, 1, 2] * 2, (
        "without the noisy column, the clean one is the target"
    )


@needs_shared
def test_cifar_with_human_labels() -> None:
    source = open_source(SHARED / "cifar10_train.parquet", target="worse", truth="label")
    assert len(source) == 50_000
    assert source.classes == tuple("0123456789")
    assert source.truth is not None
    assert (source.y != source.truth).float().mean() == pytest.approx(0.4021, abs=1e-4)
    rows, _ = split_rows(source, 0.2, seed=0)
    few = limit(source.dataset(rows, ImageEncoder((3, 32, 32), (0.0,) * 3, (1.0,) * 3, True)), 600, seed=0).in_memory()
    assert few.x.shape == (600, 3, 32, 32)
    np.testing.assert_allclose(few.x.float().mean((0, 2, 3)) / 255, [0.4912, 0.4821, 0.4465], atol=0.03)
    test = open_source(SHARED / "cifar10_test.parquet", target="worse", truth="label", schema=source.schema)
    assert test.y.bincount().tolist() == [1000] * 10
