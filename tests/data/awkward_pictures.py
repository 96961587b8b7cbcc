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
from tests.support.awkward import Awkward

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
    Awkward("picture", "turned by its EXIF data", folder_of(turned), "turned upright", like(photo)),
    Awkward(
        "picture", "black shapes on transparent ground", folder_of(icon(0)), "laid over white, in a note",
        like(over_white, "laid over white: 8 of the 8 images"),
    ),
    Awkward(
        "picture", "white shapes on transparent ground", folder_of(icon(255)),
        "the transparency is read as grey, in a note",
        like(lambda i: Image.fromarray(shape(i).astype(np.uint8)), "whose transparency is read as grey: 8 of the 8"),
    ),
    Awkward(
        "picture", "one transparent among opaque ones", folder_of(clear), "laid over white, in a note",
        like(
            lambda i: Image.new("RGB", (6, 4), "white") if i == 2 else photo(i),
            "laid over white: 1 of the 8",
        ),
    ),
    Awkward(
        "picture", "all pictures alike", folder_of(lambda image, path, i: png(photo(0), path)), "said in a note",
        like(lambda i: photo(0), "all 8 images look the same"),
    ),
    Awkward(
        "picture", "grey first, colour after", folder_of(one_other("L", "png")), "all are colour",
        like(lambda i: where(i, grey)),
    ),
    Awkward("picture", "one in colour, far behind grey ones", late_colour, "all are colour", holds_late_colour),
    Awkward(
        "picture", "a single bit for each pixel", folder_of(lambda image, path, i: png(image.convert("1"), path)),
        "black and white, in one channel", like(lambda i: photo(i).convert("1").convert("L")),
    ),
    Awkward(
        "picture", "a palette of colours", folder_of(lambda image, path, i: png(image.quantize(), path)), "as colour",
        like(lambda i: photo(i).quantize().convert("RGB")),
    ),
    Awkward(
        "picture", "a palette of greys", folder_of(lambda image, path, i: png(grey(i).quantize(), path)), "as grey",
        like(lambda i: grey(i).quantize().convert("L")),
    ),
    Awkward(
        "picture", "one for print, in CMYK", folder_of(one_other("CMYK")), "turned to RGB",
        like(lambda i: where(i, lambda i: photo(i).convert("CMYK")), tolerance=1),
    ),
    Awkward(
        "picture", "one in YCbCr", folder_of(one_other("YCbCr")), "turned to RGB",
        like(lambda i: where(i, lambda i: photo(i).convert("YCbCr")), tolerance=1),
    ),
    Awkward(
        "picture", "one in CIE Lab", folder_of(lab), "turned to RGB",
        like(lambda i: Image.new("RGB", (6, 4), (119, 119, 119)) if i == 0 else photo(i), tolerance=2),
    ),
    Awkward(
        "picture", "12 bits in 16, as PNG", folder_of(deep(twelve_bits)), "0..4095 becomes 0..255, in a note",
        like(scaled, "0..4095 scaled to 0..255"),
    ),
    Awkward(
        "picture", "16 bits in TIFF, the higher byte first", folder_of(tiff), "as others of 16 bits",
        like(scaled, "0..4095 scaled to 0..255"),
    ),
    Awkward(
        "picture", "real numbers from 0 to 1 in TIFF",
        folder_of(lambda image, path, i: Image.fromarray(np.asarray(grey(i)) / np.float32(255)).save(f"{path}.tif")),
        "0..1 becomes 0..255, in a note", like(grey, "0..1 scaled to 0..255"),
    ),
    Awkward(
        "picture", "negative values",
        folder_of(lambda image, path, i: Image.fromarray(np.full((4, 6), -5, np.int32)).save(f"{path}.tif")),
        "refused, by the name of the file", refused("cat/0.tif", "negative values"),
    ),
    Awkward(
        "picture", "of several pages", folder_of(animated), "the first is read, in a note",
        like(photo, "the first is read: 8 of the 8"),
    ),
    Awkward(
        "picture", "cut off", also(file("dog/3.png", encoded(photo(3))[:60])), "refused, by the name of the file",
        refused("dog/3.png", "can't be decoded"),
    ),
    Awkward(
        "picture", "an empty file", also(file("dog/3.png", b"")), "refused, by the name of the file",
        refused("dog/3.png", "empty or not there"),
    ),
    Awkward(
        "picture", "no picture", also(file("dog/3.png", b"<html>not found</html>")), "refused, by the name of the file",
        refused("dog/3.png", "can't be decoded"),
    ),
    Awkward(
        "picture", "a JPEG named .png",
        folder_of(lambda image, path, i: Image.new("RGB", (8, 8), (9 * i, 99, 0)).save(f"{path}.png", "JPEG")),
        "read as what it is", like(lambda i: Image.new("RGB", (8, 8), (9 * i, 99, 0)), tolerance=3),
    ),
    Awkward(
        "picture", "in .heic", file("cat/1.heic"), "refused, with the endings that are read",
        refused("", "1 of .heic, images which can't be read here"),
    ),
    Awkward(
        "picture", "in .HEIC, among others", also(file("cat/1.HEIC")), "left out, in a note",
        said("1 .heic); images of such kinds must be saved"),
    ),
]  # fmt: skip

FOLDERS = [
    Awkward(
        "folder", "train and test, with the classes in each", parts("train", "test"), "trained and tested on these",
        splits(16, 8, 0, "in parts, with the classes in each: train 8, test 8"),
    ),
    Awkward(
        "folder", "Training_Set, VAL and test", parts("Training_Set", "VAL", "test"),
        "trained and tested; those for validation are left out, in a note",
        splits(24, 8, 8, "Training_Set 8, VAL 8, test 8", "8 rows for validation"),
    ),
    Awkward(
        "folder", "train and valid", parts("train", "valid"), "tested on those for validation", splits(16, 8, 0),
    ),
    Awkward("folder", "train alone", parts("train"), "the classes in it", splits(8, 0, 0, "train 8")),
    Awkward(
        "folder", "test and val, and no train", parts("test", "val"), "refused, with the folders",
        refused("", "none to train on"),
    ),
    Awkward(
        "folder", "train with classes, test without",
        all_of(parts("train"), loose("test")),
        "test is left out, in a note", splits(8, 0, 0, "8 images of test, which are in no folder of a class"),
    ),
    Awkward(
        "folder", "classes named train and test",
        all_of(loose("train"), loose("test")), "classes", said(rows=16, classes=("test", "train")),
    ),
    Awkward(
        "folder", "train and test, and another beside them", parts("train", "test", "more"), "refused, with the other",
        refused("", "'more' is none"),
    ),
    Awkward(
        "folder", "hidden and system files",
        also(file(".DS_Store"), file("cat/Thumbs.db"), file("__MACOSX/cat/._1.png"), file(".git/x.png")),
        "left out, in a note", said("left out: 4 hidden files and folders (.DS_Store, .git, __MACOSX, …)"),
    ),
    Awkward("folder", "a README.md beside the classes", also(file("README.md")), "left out, in a note",
            said("left out: 1 text (README.md)")),
    Awkward("folder", "a picture beside the classes", also(file("logo.png", encoded(photo(99)))), "left out, in a note",
            said("left out: 1 image beside the folders of the classes (logo.png)")),
    Awkward("folder", "a table beside the classes", also(file("labels.csv")), "left out, in a note",
            said("left out: files of other kinds (1 .csv)")),
    Awkward("folder", "a text among the pictures of a class", also(file("cat/notes.txt")), "left out, in a note",
            said("left out: 1 text (cat/notes.txt)")),
    Awkward("folder", "a caption for each picture", also(*(file(f"cat/{i}.txt") for i in range(8))),
            "refused, with the counts", refused("", "it holds 8 images and 8 texts")),
    Awkward("folder", "a class without pictures", also(lambda folder: (folder / "eel").mkdir()), "said in a note",
            said("without images, and so no class: eel")),
    Awkward("folder", "classes with folders in them",
            all_of(loose("cat/old"), loose("dog/new/2")), "the first folder is the class", said(rows=16)),
    Awkward("folder", "pictures in no folder", loose("."), "refused, by the first file",
            refused("0.png", "in no sub-folder")),
    Awkward("folder", "the classes one folder deeper", parts("pets"), "refused, with that folder",
            refused("", "where its sub-folders are the classes")),
    Awkward("folder", "one class and a table", all_of(loose("images"), file("labels.csv")), "refused, with the table",
            refused("", "labels.csv holds their labels")),
    Awkward("folder", "a table alone", file("data.csv"), "refused, with the table",
            refused("", "name the table in it")),
    Awkward("folder", "nothing", lambda folder: None, "refused", refused("", "without images")),
    Awkward("folder", "classes that are links to elsewhere", elsewhere, "followed, in a note",
            said("followed: 2 links to folders (cat, dog)")),
    Awkward("folder", "links in a circle, and to another class",
            also(link("cat/up", ".."), link("dog/self", "."), link("dog/cats", "../cat")),
            "left out, in a note", said("left out: 3 links to folders that are read already")),
    Awkward("folder", "a link to what is gone", also(link("cat/9.png", "nowhere.png")), "left out, in a note",
            said("left out: 1 link to what is not there (cat/9.png)")),
    Awkward("folder", "names with line breaks and bytes that are no text",
            also(lambda folder: os.rename(folder / "cat/0.png", folder / "cat/0\n\udcff.png")), "read", said("")),
    Awkward("texts", "short ones", texts, "texts, and never categories",
            read_texts("word 0", "word 7")),
    Awkward("texts", "in UTF-16, in UTF-8 with a mark, with line breaks of Windows",
            lambda folder: texts(folder, "žluť".encode("utf-16"), "\ufeffé".encode(), b"a\r\nb"),
            "read by their marks", read_texts("žluť", "é", "a\nb")),
    Awkward("texts", "in Windows-1252", lambda folder: texts(folder, "caf\u00e9 \u20ac".encode("cp1252")),
            "read so, in a note", both(
                read_texts("café €"), said("1 of 8 texts are not in UTF-8", classes=("neg", "pos")))),
    Awkward("texts", "an empty one", lambda folder: texts(folder, b""), "kept, in a note",
            both(read_texts(""), said("text (1 of 8)", classes=("neg", "pos")))),
    Awkward("texts", "bytes that are no text", lambda folder: texts(folder, b"\x7fELF\0\0\1"),
            "refused, by the name of the file", refused("neg/0.txt", "not a text")),
    Awkward("texts", "a picture among them", all_of(texts, file("pos/1.png")),
            "left out, in a note", said("left out: 1 image (pos/1.png)", classes=("neg", "pos"))),
]  # fmt: skip

AWKWARD = [*PICTURES, *FOLDERS]
