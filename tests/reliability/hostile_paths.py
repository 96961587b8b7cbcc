"""Paths that lead out of the data's folder, and pipes and devices: none is opened."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from tests.reliability.hostile_code import VERBS
from tests.reliability.planted import Hostile, World, fit

ROWS = 60
LATE = 47  # the row that is hostile: not among the first that are looked at
OUT = "leads out of the data's folder"
SPECIAL = "to a pipe, a socket or a device"


def table_of_images(world: World, late: str) -> Sequence[object]:
    """Write a table of images in data/, with one path that is hostile."""
    names = [world.image(f"data/images/{i}.png", i).removeprefix("data/") for i in range(ROWS)]
    names[LATE] = late
    world.table("data/t.csv", file=names)
    return fit("data/t.csv", "--target", "label", "--image", "file", "--ignore", "a,b")


def in_table(what: str, says: str, late: str | Callable[[World], str]) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        world.image("outside.png")
        (world.here / "data").mkdir()
        return table_of_images(world, late if isinstance(late, str) else late(world))

    return Hostile("path", f"in a table, {what}", plant, says)


def linked(name: str, target: str) -> Callable[[World], str]:
    return lambda world: world.link(f"data/{name}", target).removeprefix("data/")


def beside_a_folder_link(world: World) -> str:
    world.image("other/1.png")
    world.link("data/way", "../other")
    return "way/1.png"


def a_folder(world: World) -> str:
    (world.here / "data" / "d.png").mkdir()
    return "d.png"


def in_folder(what: str, says: str, add: Callable[[World, str], object], kind: str = "png") -> Hostile:
    """Plant a folder by class; `add` adds to it a file of the given name."""

    def plant(world: World) -> Sequence[object]:
        world.image("outside.png")
        world.write("outside.txt", "secret words")
        if kind == "png":
            world.images("data", 8)
        for i in range(8 * (kind == "txt")):
            world.write(f"data/{('neg', 'pos')[i % 2]}/{i}.txt", f"some words {i}")
        add(world, f"data/{'cat' if kind == 'png' else 'neg'}/9.{kind}")
        return fit("data")

    return Hostile("path", f"in a folder of .{kind}, {what}", plant, says)


def folder_elsewhere(world: World, name: str) -> None:
    world.images("elsewhere")
    world.link(f"{Path(name).parent.parent}/bird", "../elsewhere")


def parquet_of_paths(world: World) -> Sequence[object]:
    pytest.importorskip("datasets")
    world.image("outside.png")
    (world.here / "data").mkdir()
    cells: list[dict[str, object]] = [
        {"bytes": (world.here / world.image("in.png", i)).read_bytes(), "path": None} for i in range(ROWS)
    ]
    cells[LATE] = {"bytes": None, "path": str(world.here / "outside.png")}
    pd.DataFrame({"image": cells, "label": ["a", "b"] * (ROWS // 2)}).to_parquet(world.here / "data" / "t.parquet")
    return fit("data/t.parquet", "--target", "label")


def saved_data_set(what: str, says: str, change: Callable[[World, Path], object]) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        datasets = pytest.importorskip("datasets")
        data = datasets.Dataset.from_dict({"a": list(range(ROWS)), "label": ["x", "y"] * (ROWS // 2)})
        datasets.DatasetDict(train=data).save_to_disk(str(world.here / "data"))
        data.save_to_disk(str(world.here / "other"))
        change(world, world.here / "data")
        return fit("hf:data", "--target", "label")

    return Hostile("path", f"in hf:, {what}", plant, says)


def other_arrow(world: World, folder: Path) -> None:
    state = folder / "train" / "state.json"
    found = json.loads(state.read_text())
    found["_data_files"] = [{"filename": "../../other/data-00000-of-00001.arrow"}]
    state.write_text(json.dumps(found))


def other_split(world: World, folder: Path) -> None:
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["../other"]}))


def piped_option(*option: str, file: str) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        world.pipe(file)
        return fit(world.table(), "--target", "label", *option)

    return Hostile("pipe", " ".join(option), plant)


def piped_source(ending: str) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        return fit(world.pipe(f"data{ending}"), "--target", "label")

    return Hostile("pipe", f"as a source, {ending}", plant)


def piped_in_run(file: str, verb: str) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        world.table()
        world.run()
        world.pipe(f"run/{file}")
        return VERBS[verb]("run") if verb in VERBS else (verb, "run")

    return Hostile("pipe", f"{file} of a run, {verb}", plant)


def pipe(world: World, name: str) -> None:
    world.pipe(name)


def link_to(target: str) -> Callable[[World, str], object]:
    return lambda world, name: world.link(name, target)


def link_to_pipe(world: World, name: str) -> None:
    world.pipe("pipe")
    world.link(name, "../../pipe")


def zeros_for_ever(world: World) -> Sequence[object]:
    return in_folder("", "", link_to("/dev/zero")).plant(world)


def piped_checkpoint(world: World) -> Sequence[object]:
    world.table()
    world.write("run.unfinished/config.toml", (world.honest / "config.toml").read_bytes())
    world.pipe("run.unfinished/checkpoints/0-erm.safetensors")
    return VERBS["fit --resume"]("run")


HOSTILE = [
    in_table("an absolute path", OUT, lambda world: str(world.here / "outside.png")),
    in_table("..", OUT, "../outside.png"),
    in_table(".. in the middle", OUT, "images/../../outside.png"),
    in_table("as seen from here, and out of the data's folder", OUT, "outside.png"),
    in_table("a link to a file", OUT, linked("away.png", "../outside.png")),
    in_table("a folder that is a link", OUT, beside_a_folder_link),
    in_table("slashes turned", OUT, "..\\outside.png"),
    in_table("a pipe", SPECIAL, lambda world: world.pipe("data/p.png").removeprefix("data/")),
    in_table("a link to a device", SPECIAL, linked("zero.png", "/dev/zero")),
    in_table("a folder", "is no image file", a_folder),
    in_table("nothing", "is no image file", "images/none.png"),
    in_table("a zero byte", "it is not a text file", "images/\0.png"),
    in_table("another kind of file", "is no image file", "/etc/passwd"),
    in_folder("a link to a file", OUT, link_to("../../outside.png")),
    in_folder("a link to a folder", OUT, folder_elsewhere),
    in_folder("a pipe", SPECIAL, pipe),
    in_folder("a link to a pipe", SPECIAL, link_to_pipe),
    in_folder("a link to a device", SPECIAL, link_to("/dev/zero")),
    in_folder("a link to a file", OUT, link_to("../../outside.txt"), "txt"),
    in_folder("a pipe", SPECIAL, pipe, "txt"),
    in_folder("a link to a device", SPECIAL, link_to("/dev/zero"), "txt"),
    Hostile("path", "in a column of images of Parquet", parquet_of_paths, OUT),
    saved_data_set("another Arrow file", OUT, other_arrow),
    saved_data_set("another split", OUT, other_split),
    Hostile("pipe", "a checkpoint", piped_checkpoint, "it is a pipe"),
    *map(piped_source, (".csv", ".json", ".parquet", ".arrow", ".npz", ".npy", ".tar", "-images-idx3-ubyte")),
    piped_option("--labels", "pipe.csv", file="pipe.csv"),
    piped_option("--pred-probs", "pipe.npy", file="pipe.npy"),
    piped_option("--test", "pipe.csv", file="pipe.csv"),
    piped_option("--groups", "superclass:pipe.json", file="pipe.json"),
    piped_option("--annotators", "answers:pipe.csv", file="pipe.csv"),
    piped_option("--optimize", "cost:pipe.csv", file="pipe.csv"),
    *(
        piped_in_run(file, verb)
        for file in ("config.toml", "state.json", "metrics.json", "predictions.parquet", "model.safetensors")
        for verb in ("predict", "show", "suspects")
        if (file, verb) not in (("model.safetensors", "show"), ("model.safetensors", "suspects"))
    ),
]
