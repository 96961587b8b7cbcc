"""Files that are small, or short to write, and would take more of the machine than anybody has."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from tests.reliability.hostile_code import VERBS, shard
from tests.reliability.planted import Hostile, World, fit, frame

MB = 10**6
SMALL = ("--allow", f"unpacked={10 * MB}")
UNPACKED = "at most 10,000,000 are allowed"
ROWS = 60
DEEP = 150  # lists within one another
VERY_DEEP = 100_000


def header_of_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def pixels(side: int) -> Callable[[World], Sequence[object]]:
    def plant(world: World) -> Sequence[object]:
        world.images("pets", 8)
        world.write("pets/cat/9.png", header_of_png(side, side))
        return fit("pets")

    return plant


def eps(world: World) -> Sequence[object]:
    world.images("pets", 8)
    world.write("pets/cat/9.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(CANARY) (w) file\n%%EOF\n")
    return fit("pets")


def archive(world: World) -> Sequence[object]:
    np.savez_compressed(world.here / "x.npz", X=np.zeros((10, 8 * MB), np.int8), y=np.arange(10) % 2)
    return fit("x.npz", *SMALL)


def lying_archive(world: World) -> Sequence[object]:
    with zipfile.ZipFile(world.here / "x.npz", "w") as file:
        for name in ("X", "y"):
            file.writestr(f"{name}.npy", lying_array())
    return fit("x.npz")


def lying_array(shape: tuple[int, ...] = (10**7, 10**7)) -> bytes:
    """Return the head of an array of 800 TB, without its numbers."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return content.getvalue()


def lying_labels(world: World) -> Sequence[object]:
    np.save(world.here / "x.npy", np.ones((60, 2)))
    world.write("y.npy", lying_array((10**13,)))
    return fit("x.npy", "--target", "y.npy")


def idx(world: World, images: bytes) -> Sequence[object]:
    world.write("t-images-idx3-ubyte.gz", images)
    labels = b"\0\0\x08\x01" + struct.pack(">i", 4) + bytes(4)
    world.write("t-labels-idx1-ubyte.gz", gzip.compress(labels))
    return fit("t-images-idx3-ubyte.gz", *SMALL)


def large_idx(world: World) -> Sequence[object]:
    head = b"\0\0\x08\x03" + struct.pack(">iii", 4, 30_000, 30_000)
    return idx(world, gzip.compress(head) + gzip.compress(bytes(MB)) * 3600)


def four_gigabytes(world: World) -> Sequence[object]:
    return large_idx(world)[:2]  # without a limit of its own


def longer_idx(world: World) -> Sequence[object]:
    head = b"\0\0\x08\x03" + struct.pack(">iii", 4, 8, 8)
    return idx(world, gzip.compress(head) + gzip.compress(bytes(MB)) * 3600)


def parquet(world: World, *options: object, **columns: object) -> Sequence[object]:
    table = pa.table({"label": pa.array(["a", "b"] * (ROWS // 2)), **columns})
    pq.write_table(table, world.here / "d.parquet", store_schema=False)
    return fit("d.parquet", "--target", "label", *options)


def repeated(text: str, rows: int = ROWS) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def repeated_text(world: World) -> Sequence[object]:
    return parquet(world, *SMALL, "--text", "t", t=repeated("x" * MB))


def five_gigabytes(world: World) -> Sequence[object]:
    rows = 5000
    table = pa.table({"label": pa.array(np.arange(rows) % 2), "t": repeated("x" * MB, rows)})
    pq.write_table(table, world.here / "d.parquet", store_schema=False)
    return fit("d.parquet", "--target", "label", "--text", "t", "--allow", "cell=2000000000")


def repeated_beginnings(world: World) -> Sequence[object]:
    cells = [f"{'x' * MB}{i}" for i in range(ROWS)]
    table = pa.table({"label": ["a", "b"] * (ROWS // 2), "t": cells})
    pq.write_table(table, world.here / "d.parquet", use_dictionary=False, column_encoding={"t": "DELTA_BYTE_ARRAY"})
    return fit("d.parquet", "--target", "label", "--text", "t", *SMALL)


def repeated_in_run(world: World) -> Sequence[object]:
    parquet(world, t=repeated("x" * MB))
    (world.here / "d.parquet").rename(world.run() / "predictions.parquet")
    world.table()
    return (*VERBS["predict"]("run"), *SMALL)


def repeated_images(world: World) -> Sequence[object]:
    pytest.importorskip("datasets")
    cells = pa.StructArray.from_arrays([pa.array([b"x" * MB] * ROWS), pa.array(["p"] * ROWS)], names=["bytes", "path"])
    return parquet(world, *SMALL, image=cells)


def repeated_later(world: World) -> Sequence[object]:
    return parquet(world, *SMALL, "--text", "t", t=pa.array([None] * 10 + ["x" * MB] * (ROWS - 10)))


def repeated_in_lists(world: World) -> Sequence[object]:
    offsets = pa.array([0, *range(0, 10 * ROWS, 10)], pa.int32())  # the first is empty
    return parquet(world, *SMALL, t=pa.ListArray.from_arrays(offsets, pa.array(["x" * (MB // 10)] * (10 * ROWS - 10))))


def zeros(world: World) -> Sequence[object]:
    rows = 2 * MB
    table = pa.table({"label": pa.array(np.arange(rows) % 2), "a": np.zeros(rows)})
    pq.write_table(table, world.here / "d.parquet")
    return fit("d.parquet", "--target", "label", *SMALL)


def long_vectors(world: World) -> Sequence[object]:
    offsets = pa.array(range(0, 10**5 * ROWS + 1, 10**5), pa.int32())
    vectors = pa.ListArray.from_arrays(offsets, pa.array(np.zeros(10**5 * ROWS)))
    return parquet(world, *SMALL, v=vectors)


def compressed_arrow(world: World) -> Sequence[object]:
    rows = 2 * MB
    table = pa.table({"label": pa.array(np.arange(rows) % 2), "a": np.zeros(rows)})
    feather.write_feather(table, world.here / "d.feather", compression="zstd", chunksize=10**5)
    return fit("d.feather", "--target", "label", *SMALL)


def large_in_shard(world: World) -> Sequence[object]:
    return fit(shard(world, ("0.bin", bytes(11 * MB)), ("0.cls", b"1")), "--target", "cls", *SMALL)


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


def deep_json(
    name: str, depth: int, *, as_list: bool = False, spread: bool = False
) -> Callable[[World], Sequence[object]]:
    def plant(world: World) -> Sequence[object]:
        rows = [json.dumps({"a": i, "label": i % 2}) for i in range(ROWS)]
        rows[40] = f'{{"a": {nested(depth)}, "label": 1}}'
        if spread:
            rows = [row.replace(", ", ",\n ") for row in rows]
        world.write(name, f"[{','.join(rows)}]" if as_list else "\n".join(rows))
        return fit(name, "--target", "label")

    return plant


def deep_toml(text: str) -> Callable[[World], Sequence[object]]:
    def plant(world: World) -> Sequence[object]:
        world.table()
        world.write("c.toml", f'source = "d.csv"\ntarget = "label"\n{text}\n')
        return fit("d.csv", "--config", "c.toml")

    return plant


def deep_in_run(file: str, depth: int, verb: str = "predict") -> Callable[[World], Sequence[object]]:
    def plant(world: World) -> Sequence[object]:
        world.table()
        (world.run() / file).write_text(
            f"x = {nested(depth)}" if file.endswith(".toml") else f'{{"x": {nested(depth)}}}'
        )
        return VERBS[verb]("run") if verb in VERBS else (verb, "run")

    return plant


def deep_groups(world: World) -> Sequence[object]:
    world.write("s.json", nested(VERY_DEEP, '{"a":', "}").replace(":}", ":1}"))
    return fit(world.table(), "--target", "label", "--groups", "superclass:s.json")


def deep_model(world: World) -> Sequence[object]:
    world.write("hub/config.json", f'{{"model_type": "vit", "x": {nested(VERY_DEEP)}}}')
    return fit(world.images("pets", 20), "--model", "hf:hub")


def long_cell(name: str, longest: int = 17 * 2**20) -> Callable[[World], Sequence[object]]:
    def plant(world: World) -> Sequence[object]:
        text = ["word"] * ROWS
        text[40] = "x" * longest
        rows = frame(ROWS, text=text)
        if name.endswith(".csv"):
            rows.to_csv(world.here / name, index=False)
        elif name.endswith(".parquet"):
            rows.to_parquet(world.here / name)
        elif name.endswith(".feather"):
            rows.to_feather(world.here / name)
        else:
            rows.to_json(world.here / name, orient="records", lines=name.endswith(".jsonl"))
        return fit(name, "--target", "label", "--text", "text")

    return plant


def open_quote(world: World) -> Sequence[object]:
    lines = [*frame(ROWS).to_csv(index=False).splitlines(), '1,"2,1', *["1,2,1"] * (3 * MB)]
    return fit(world.write("d.csv", "\n".join(lines)), "--target", "label")


def long_text(world: World) -> Sequence[object]:
    for i in range(8):
        world.write(f"texts/{('neg', 'pos')[i % 2]}/{i}.txt", f"some words {i}")
    with (world.here / "texts/neg/0.txt").open("r+b") as file:
        file.truncate(10**12)  # a file with a hole
    return fit("texts")


NESTED, CELL = "nested", "allowed; if you trust the file: --allow cell="
HOSTILE = [
    Hostile("bomb", "an image of 400 million pixels", pixels(20_000), "400,000,000 pixels, and at most 178,956,970"),
    Hostile("bomb", "an image of 10^18 pixels", pixels(10**9), "pixels, and at most 178,956,970"),
    Hostile("bomb", "PostScript that is named as a PNG", eps, "can't be decoded"),
    Hostile("bomb", "a .npz file", archive, UNPACKED),
    Hostile("bomb", "a .npz file whose arrays are cut", lying_archive, "no archive of NumPy arrays"),
    Hostile("bomb", "a .npy file of labels that is cut", lying_labels, "no NumPy array"),
    Hostile("bomb", "idx in .gz", large_idx, UNPACKED),
    Hostile("bomb", "idx in .gz that goes on", longer_idx, "longer than its header says"),
    Hostile("bomb", "Parquet, one text in all rows", repeated_text, UNPACKED),
    Hostile("bomb", "Parquet, one text in all rows of a run's predictions", repeated_in_run, UNPACKED),
    Hostile("bomb", "Parquet, one image in all rows", repeated_images, UNPACKED),
    Hostile("bomb", "Parquet, one text in all rows but the first", repeated_later, UNPACKED),
    Hostile("bomb", "Parquet, texts that begin alike", repeated_beginnings, UNPACKED),
    Hostile("bomb", "Parquet, one text in lists", repeated_in_lists, UNPACKED),
    Hostile("bomb", "Parquet, zeros", zeros, UNPACKED),
    Hostile("bomb", "Parquet, long vectors of zeros", long_vectors, UNPACKED),
    Hostile("bomb", "Arrow, compressed", compressed_arrow, UNPACKED),
    Hostile("bomb", "a shard", large_in_shard, UNPACKED),
    *(
        Hostile("depth", f"{name}, {depth:,}, {more}", deep_json(name, depth, **dict.fromkeys(more, True)), NESTED)
        for name, more in (("d.jsonl", ()), ("d.json", ("as_list",)), ("d.json", ("spread",)))
        for depth in (DEEP, VERY_DEEP)
    ),
    Hostile("depth", "TOML, a list", deep_toml(f"x = {nested(DEEP)}"), NESTED),
    Hostile("depth", "TOML, a very deep list", deep_toml(f"x = {nested(VERY_DEEP)}"), "is not TOML"),
    Hostile("depth", "TOML, a key of many parts", deep_toml(f"model.{'a.' * VERY_DEEP}b = 1"), "500 parts"),
    Hostile("depth", "TOML, tables in tables", deep_toml(f"[model.{'a.' * DEEP}b]"), NESTED),
    *(
        Hostile("depth", f"{file} of a run, {depth:,}, {verb}", deep_in_run(file, depth, verb))
        for file in ("config.toml", "state.json", "metrics.json", "history.jsonl")
        for depth in (DEEP, VERY_DEEP)
        for verb in ("predict", "show")
    ),
    Hostile("depth", "super-classes", deep_groups, NESTED),
    Hostile("depth", "hf: a configuration", deep_model, NESTED),
    *(
        Hostile("cell", name, long_cell(name), CELL)
        for name in ("d.csv", "d.jsonl", "d.json", "d.parquet", "d.feather")
    ),
    Hostile("cell", "a quote of CSV that is never closed", open_quote, "a quote"),
    Hostile("cell", "a file of text with a hole of a terabyte", long_text, "no option allows so many"),
]
