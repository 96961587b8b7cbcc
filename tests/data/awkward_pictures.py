"""Awkward pictures and folders, as people bring them, and what is done with each."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from skedastic.data import Source
from skedastic.errors import UserError
from tests.support.awkward import AwkwardFolder

EXIF_ORIENTATION = 0x0112
QUARTER_TURN = 6  # its value for a camera that was held upright
Save = Callable[[Image.Image, Path, int], None]


def photo(i: int, size: tuple[int, int] = (6, 4)) -> Image.Image:
    """A picture in colour, another one for each i."""
    values = np.random.default_rng(i).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def folder_of(save: Save, n: int = 8) -> Callable[[Path], None]:
    """n pictures in two classes; `save` is given each, its path without ending, and its number."""

    def make(folder: Path) -> None:
        for i in range(n):
            path = folder / ("cat", "dog")[i % 2] / str(i)
            path.parent.mkdir(parents=True, exist_ok=True)
            save(photo(i), path, i)

    return make


def png(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path.with_suffix(".png"), **options)


def pictures(folder: Path, n: int = 8) -> None:
    folder_of(lambda image, path, i: png(image, path), n)(folder)


def loose(name: str) -> Callable[[Path], None]:
    """Pictures in one folder."""

    def make(folder: Path) -> None:
        for i in range(8):
            png(photo(i), folder / name / str(i))

    return make


def all_of(*makers: Callable[[Path], Any]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for maker in makers:
            maker(folder)

    return make


def also(*more: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Pictures of two classes, and more beside them."""
    return all_of(pictures, *more)


def file(name: str, content: bytes = b"words") -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return add


def texts(folder: Path, *contents: bytes) -> None:
    for i in range(8):
        content = contents[i] if i < len(contents) else f"word {i}".encode()
        file(f"{('neg', 'pos')[i % 2]}/{i}.txt", content)(folder)


def pixels(source: Source) -> np.ndarray:
    """[n, H, W, C], by the numbers in the names of the files: 0, 2, … are cats, and come first."""
    x = source.features[torch.arange(len(source))].permute(0, 2, 3, 1).numpy()
    return x[np.argsort([*range(0, len(x), 2), *range(1, len(x), 2)])]


def like(expected: Callable[[int], Image.Image], note: str = "", tolerance: int = 0) -> Callable[[Any], None]:
    """Hold that each picture is the expected one."""

    def holds(source: Any) -> None:
        assert isinstance(source, Source), source
        for i, seen in enumerate(pixels(source)):
            wanted = np.asarray(expected(i))
            wanted = wanted[:, :, None] if wanted.ndim == 2 else wanted
            assert seen.shape == wanted.shape
            np.testing.assert_allclose(seen.astype(int), wanted.astype(int), atol=tolerance)
        said(note)(source)

    return holds


def said(*notes: str, rows: int = 8, classes: tuple[str, ...] = ("cat", "dog")) -> Callable[[Any], None]:
    """Hold that the source has these rows and classes, and these words in its notes."""

    def holds(source: Any) -> None:
        assert isinstance(source, Source), source
        assert (len(source), source.classes) == (rows, classes)
        for note in notes:
            assert any(note in remark for remark in source.remarks) or not note, source.remarks

    return holds


def refused(setting: str, rule: str) -> Callable[[Any], None]:
    """Hold that it is refused, with the file or folder, and words of the rule."""

    def holds(error: Any) -> None:
        assert isinstance(error, UserError), error
        assert error.setting.endswith(setting)
        assert rule in error.rule
        assert "\n" not in str(error)

    return holds


def grey(i: int) -> Image.Image:
    return photo(i).convert("L")


def shape(i: int) -> np.ndarray:
    """Another transparency for each picture."""
    return np.asarray(grey(i)) // 2 + i


def icon(colour: int) -> Save:
    """Pictures of one colour whose shape is in their transparency."""

    def save(image: Image.Image, path: Path, i: int) -> None:
        values = np.full((4, 6, 4), colour, dtype=np.uint8)
        values[..., 3] = shape(i)
        png(Image.fromarray(values), path)

    return save


def over_white(i: int) -> Image.Image:
    return Image.fromarray((255 - shape(i)).astype(np.uint8)).convert("RGB")


def clear(image: Image.Image, path: Path, i: int) -> None:
    image.putalpha(0 if i == 2 else 255)
    png(image, path)


def turned(image: Image.Image, path: Path, i: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = QUARTER_TURN
    png(image.transpose(Image.Transpose.ROTATE_90), path, exif=exif)


def deep(values: Callable[[int], np.ndarray]) -> Save:
    return lambda image, path, i: png(Image.fromarray(values(i)), path)


def twelve_bits(i: int) -> np.ndarray:
    return (np.asarray(grey(i)).astype(np.uint16) + 3 * i) * 15


def scaled(i: int) -> Image.Image:
    return Image.fromarray(np.rint(twelve_bits(i) * (255 / 4095)).astype(np.uint8))


def big_endian(values: np.ndarray) -> bytes:
    """A TIFF of 16 bits, the higher byte first, as microscopes write it."""
    height, width = values.shape
    data = values.astype(">u2").tobytes()
    tags = ((256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
            (278, 3, height), (279, 4, len(data)))  # fmt: skip
    entries = b"".join(
        struct.pack(">HHI", tag, kind, 1) + (struct.pack(">HH", v, 0) if kind == 3 else struct.pack(">I", v))
        for tag, kind, v in tags
    )
    return b"MM\0*" + struct.pack(">I", 8 + len(data)) + data + struct.pack(">H", len(tags)) + entries + bytes(4)


def tiff(image: Image.Image, path: Path, i: int) -> None:
    path.with_suffix(".TIF").write_bytes(big_endian(twelve_bits(i)))


def one_other(mode: str, ending: str = "tif", of: tuple[int, ...] = (0,)) -> Save:
    """Some pictures in another mode than the others."""

    def save(image: Image.Image, path: Path, i: int) -> None:
        (image.convert(mode) if i in of else image).save(path.with_suffix(f".{ending if i in of else 'png'}"))

    return save


def where(i: int, other: Callable[[int], Image.Image], of: tuple[int, ...] = (0,)) -> Image.Image:
    return other(i).convert("RGB") if i in of else photo(i)


def lab(image: Image.Image, path: Path, i: int) -> None:
    flat = Image.new("LAB", image.size, (128, 128, 128)) if i == 0 else image
    flat.save(path.with_suffix(".tif" if i == 0 else ".png"))


def animated(image: Image.Image, path: Path, i: int) -> None:
    image.save(path.with_suffix(".tif"), save_all=True, append_images=[photo(100 + i)])


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def late_colour(folder: Path) -> None:
    for i in range(601):  # of which one in three is looked at
        png(photo(i) if i == 200 else grey(i), folder / ("cat", "dog")[i % 2] / f"{i:03}")


def holds_late_colour(source: Any) -> None:
    said(rows=601)(source)
    assert source.features.shape[1] == 3
    np.testing.assert_array_equal(source.features[torch.tensor([100])][0].permute(1, 2, 0), np.asarray(photo(200)))


def parts(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            pictures(folder / name)

    return make


def splits(rows: int, test: int, removed: int = 0, *notes: str) -> Callable[[Any], None]:
    def holds(source: Any) -> None:
        said(*notes, rows=rows)(source)
        assert test == 0 if source.test_rows is None else len(source.test_rows) == test
        assert removed == (0 if source.removed is None else len(source.removed))

    return holds


def link(name: str, target: str) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, folder / name)

    return add


def elsewhere(folder: Path) -> Path:
    pictures(folder / "kept")
    (folder / "data").mkdir()
    for name in ("cat", "dog"):
        link(f"data/{name}", f"../kept/{name}")(folder)
    return folder / "data"


def read_texts(*expected: str) -> Callable[[Any], None]:
    def holds(source: Any) -> None:
        said(classes=("neg", "pos"))(source)
        assert source.features.kinds == {"text": "text"}
        assert set(expected) <= set(source.features["text"])

    return holds


def both(*checks: Callable[[Any], None]) -> Callable[[Any], None]:
    def holds(opened: Any) -> None:
        for check in checks:
            check(opened)

    return holds


PICTURES = [
    AwkwardFolder("picture", "turned by its EXIF data", "turned upright", folder_of(turned), like(photo)),
    AwkwardFolder(
        "picture",
        "black shapes on transparent ground",
        "laid over white, in a note",
        folder_of(icon(0)),
        like(over_white, "laid over white: 8 of the 8 images"),
    ),
    AwkwardFolder(
        "picture",
        "white shapes on transparent ground",
        "the transparency is read as grey, in a note",
        folder_of(icon(255)),
        like(lambda i: Image.fromarray(shape(i).astype(np.uint8)), "whose transparency is read as grey: 8 of the 8"),
    ),
    AwkwardFolder(
        "picture",
        "one transparent among opaque ones",
        "laid over white, in a note",
        folder_of(clear),
        like(
            lambda i: Image.new("RGB", (6, 4), "white") if i == 2 else photo(i),
            "laid over white: 1 of the 8",
        ),
    ),
    AwkwardFolder(
        "picture",
        "all pictures alike",
        "said in a note",
        folder_of(lambda image, path, i: png(photo(0), path)),
        like(lambda i: photo(0), "all 8 images look the same"),
    ),
    AwkwardFolder(
        "picture",
        "grey first, colour after",
        "all are colour",
        folder_of(one_other("L", "png")),
        like(lambda i: where(i, grey)),
    ),
    AwkwardFolder("picture", "one in colour, far behind grey ones", "all are colour", late_colour, holds_late_colour),
    AwkwardFolder(
        "picture",
        "a single bit for each pixel",
        "black and white, in one channel",
        folder_of(lambda image, path, i: png(image.convert("1"), path)),
        like(lambda i: photo(i).convert("1").convert("L")),
    ),
    AwkwardFolder(
        "picture",
        "a palette of colours",
        "as colour",
        folder_of(lambda image, path, i: png(image.quantize(), path)),
        like(lambda i: photo(i).quantize().convert("RGB")),
    ),
    AwkwardFolder(
        "picture",
        "a palette of greys",
        "as grey",
        folder_of(lambda image, path, i: png(grey(i).quantize(), path)),
        like(lambda i: grey(i).quantize().convert("L")),
    ),
    AwkwardFolder(
        "picture",
        "one for print, in CMYK",
        "turned to RGB",
        folder_of(one_other("CMYK")),
        like(lambda i: where(i, lambda i: photo(i).convert("CMYK")), tolerance=1),
    ),
    AwkwardFolder(
        "picture",
        "one in YCbCr",
        "turned to RGB",
        folder_of(one_other("YCbCr")),
        like(lambda i: where(i, lambda i: photo(i).convert("YCbCr")), tolerance=1),
    ),
    AwkwardFolder(
        "picture",
        "one in CIE Lab",
        "turned to RGB",
        folder_of(lab),
        like(lambda i: Image.new("RGB", (6, 4), (119, 119, 119)) if i == 0 else photo(i), tolerance=2),
    ),
    AwkwardFolder(
        "picture",
        "12 bits in 16, as PNG",
        "0..4095 becomes 0..255, in a note",
        folder_of(deep(twelve_bits)),
        like(scaled, "0..4095 scaled to 0..255"),
    ),
    AwkwardFolder(
        "picture",
        "16 bits in TIFF, the higher byte first",
        "as others of 16 bits",
        folder_of(tiff),
        like(scaled, "0..4095 scaled to 0..255"),
    ),
    AwkwardFolder(
        "picture",
        "real numbers from 0 to 1 in TIFF",
        "0..1 becomes 0..255, in a note",
        folder_of(lambda image, path, i: Image.fromarray(np.asarray(grey(i)) / np.float32(255)).save(f"{path}.tif")),
        like(grey, "0..1 scaled to 0..255"),
    ),
    AwkwardFolder(
        "picture",
        "negative values",
        "refused, by the name of the file",
        folder_of(lambda image, path, i: Image.fromarray(np.full((4, 6), -5, np.int32)).save(f"{path}.tif")),
        refused("cat/0.tif", "negative values"),
    ),
    AwkwardFolder(
        "picture",
        "of several pages",
        "the first is read, in a note",
        folder_of(animated),
        like(photo, "the first is read: 8 of the 8"),
    ),
    AwkwardFolder(
        "picture",
        "cut off",
        "refused, by the name of the file",
        also(file("dog/3.png", encoded(photo(3))[:60])),
        refused("dog/3.png", "can't be decoded"),
    ),
    AwkwardFolder(
        "picture",
        "an empty file",
        "refused, by the name of the file",
        also(file("dog/3.png", b"")),
        refused("dog/3.png", "empty or not there"),
    ),
    AwkwardFolder(
        "picture",
        "no picture",
        "refused, by the name of the file",
        also(file("dog/3.png", b"<html>not found</html>")),
        refused("dog/3.png", "can't be decoded"),
    ),
    AwkwardFolder(
        "picture",
        "a JPEG named .png",
        "read as what it is",
        folder_of(lambda image, path, i: Image.new("RGB", (8, 8), (9 * i, 99, 0)).save(f"{path}.png", "JPEG")),
        like(lambda i: Image.new("RGB", (8, 8), (9 * i, 99, 0)), tolerance=3),
    ),
    AwkwardFolder(
        "picture",
        "in .heic",
        "refused, with the endings that are read",
        file("cat/1.heic"),
        refused("data", "1 of .heic, images which can't be read here"),
    ),
    AwkwardFolder(
        "picture",
        "in .HEIC, among others",
        "left out, in a note",
        also(file("cat/1.HEIC")),
        said("1 .heic); images of such kinds must be saved"),
    ),
]

FOLDERS = [
    AwkwardFolder(
        "folder",
        "train and test, with the classes in each",
        "trained and tested on these",
        parts("train", "test"),
        splits(16, 8, 0, "in parts, with the classes in each: train 8, test 8"),
    ),
    AwkwardFolder(
        "folder",
        "Training_Set, VAL and test",
        "trained and tested; those for validation are left out, in a note",
        parts("Training_Set", "VAL", "test"),
        splits(24, 8, 8, "Training_Set 8, VAL 8, test 8", "8 rows for validation"),
    ),
    AwkwardFolder(
        "folder",
        "train and valid",
        "tested on those for validation",
        parts("train", "valid"),
        splits(16, 8, 0),
    ),
    AwkwardFolder("folder", "train alone", "the classes in it", parts("train"), splits(8, 0, 0, "train 8")),
    AwkwardFolder(
        "folder",
        "test and val, and no train",
        "refused, with the folders",
        parts("test", "val"),
        refused("data", "none to train on"),
    ),
    AwkwardFolder(
        "folder",
        "train with classes, test without",
        "test is left out, in a note",
        all_of(parts("train"), loose("test")),
        splits(8, 0, 0, "8 images of test, which are in no folder of a class"),
    ),
    AwkwardFolder(
        "folder",
        "classes named train and test",
        "classes",
        all_of(loose("train"), loose("test")),
        said(rows=16, classes=("test", "train")),
    ),
    AwkwardFolder(
        "folder",
        "train and test, and another beside them",
        "refused, with the other",
        parts("train", "test", "more"),
        refused("data", "'more' is none"),
    ),
    AwkwardFolder(
        "folder",
        "hidden and system files",
        "left out, in a note",
        also(file(".DS_Store"), file("cat/Thumbs.db"), file("__MACOSX/cat/._1.png"), file(".git/x.png")),
        said("left out: 4 hidden files and folders (.DS_Store, .git, __MACOSX, …)"),
    ),
    AwkwardFolder(
        "folder",
        "a README.md beside the classes",
        "left out, in a note",
        also(file("README.md")),
        said("left out: 1 text (README.md)"),
    ),
    AwkwardFolder(
        "folder",
        "a picture beside the classes",
        "left out, in a note",
        also(file("logo.png", encoded(photo(99)))),
        said("left out: 1 image beside the folders of the classes (logo.png)"),
    ),
    AwkwardFolder(
        "folder",
        "a table beside the classes",
        "left out, in a note",
        also(file("labels.csv")),
        said("left out: files of other kinds (1 .csv)"),
    ),
    AwkwardFolder(
        "folder",
        "a text among the pictures of a class",
        "left out, in a note",
        also(file("cat/notes.txt")),
        said("left out: 1 text (cat/notes.txt)"),
    ),
    AwkwardFolder(
        "folder",
        "a caption for each picture",
        "refused, with the counts",
        also(*(file(f"cat/{i}.txt") for i in range(8))),
        refused("data", "it holds 8 images and 8 texts"),
    ),
    AwkwardFolder(
        "folder",
        "a class without pictures",
        "said in a note",
        also(lambda folder: (folder / "eel").mkdir()),
        said("without images, and so no class: eel"),
    ),
    AwkwardFolder(
        "folder",
        "classes with folders in them",
        "the first folder is the class",
        all_of(loose("cat/old"), loose("dog/new/2")),
        said(rows=16),
    ),
    AwkwardFolder(
        "folder",
        "pictures in no folder",
        "refused, by the first file",
        loose("."),
        refused("0.png", "in no sub-folder"),
    ),
    AwkwardFolder(
        "folder",
        "the classes one folder deeper",
        "refused, with that folder",
        parts("pets"),
        refused("data", "where its sub-folders are the classes"),
    ),
    AwkwardFolder(
        "folder",
        "one class and a table",
        "refused, with the table",
        all_of(loose("images"), file("labels.csv")),
        refused("data", "labels.csv holds their labels"),
    ),
    AwkwardFolder(
        "folder", "a table alone", "refused, with the table", file("data.csv"), refused("data", "name the table in it")
    ),
    AwkwardFolder("folder", "nothing", "refused", lambda folder: None, refused("data", "without images")),
    AwkwardFolder(
        "folder",
        "classes that are links to elsewhere",
        "refused; `--trust-paths` follows them, in a note",
        elsewhere,
        refused("data/cat", "leads out of the data's folder"),
    ),
    AwkwardFolder(
        "folder",
        "links in a circle, and to another class",
        "left out, in a note",
        also(link("cat/up", ".."), link("dog/self", "."), link("dog/cats", "../cat")),
        said("left out: 3 links to folders that are read already"),
    ),
    AwkwardFolder(
        "folder",
        "a link to what is gone",
        "left out, in a note",
        also(link("cat/9.png", "nowhere.png")),
        said("left out: 1 link to what is not there (cat/9.png)"),
    ),
    AwkwardFolder(
        "folder",
        "names with line breaks",
        "read",
        also(lambda folder: os.rename(folder / "cat/0.png", folder / "cat/0\n.png")),
        said(""),
    ),
    AwkwardFolder(
        "folder",
        "names with bytes that are no text",
        "refused, by the name of the file",
        also(lambda folder: os.rename(folder / "cat/0.png", folder / "cat/0\udcff.png")),
        refused("cat/0\\udcff.png", "rename it"),
    ),
    AwkwardFolder("texts", "short ones", "texts, and never categories", texts, read_texts("word 0", "word 7")),
    AwkwardFolder(
        "texts",
        "in UTF-16, in UTF-8 with a mark, with line breaks of Windows",
        "read by their marks",
        lambda folder: texts(folder, "žluť".encode("utf-16"), "\ufeffé".encode(), b"a\r\nb"),
        read_texts("žluť", "é", "a\nb"),
    ),
    AwkwardFolder(
        "texts",
        "in Windows-1252",
        "read so, in a note",
        lambda folder: texts(folder, "caf\u00e9 \u20ac".encode("cp1252")),
        both(read_texts("café €"), said("1 of 8 texts are not in UTF-8", classes=("neg", "pos"))),
    ),
    AwkwardFolder(
        "texts",
        "an empty one",
        "kept, in a note",
        lambda folder: texts(folder, b""),
        both(read_texts(""), said("text (1 of 8)", classes=("neg", "pos"))),
    ),
    AwkwardFolder(
        "texts",
        "bytes that are no text",
        "refused, by the name of the file",
        lambda folder: texts(folder, b"\x7fELF\0\0\1"),
        refused("neg/0.txt", "not a text"),
    ),
    AwkwardFolder(
        "texts",
        "a picture among them",
        "left out, in a note",
        all_of(texts, file("pos/1.png")),
        said("left out: 1 image (pos/1.png)", classes=("neg", "pos")),
    ),
]

AWKWARD = [*PICTURES, *FOLDERS]
