"""Files that name code, or hold pickles: nothing of it may run."""

from __future__ import annotations

import copy
import io
import json
import pickle
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tomli_w

from tests.reliability.planted import OWN_CODE, PICKLE, Hostile, World, fit

Mode = Literal["w", "w:gz"]
NAMES = ("subprocess:call", "os:system", "evil:make", "evil.py:make", "file:evil.py:make", "file:evil:make")
ENDINGS = (
    *(".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather", ".npz", ".npy", ".tar"),
    *("-images-idx3-ubyte", "-images-idx3-ubyte.gz"),
)  # of sources
RUN_FILES = (
    *("config.toml", "state.json", "model.safetensors", "group_stats.json", "metrics.json", "history.jsonl"),
    *("predictions.parquet", "suspects.parquet", "suspects_shown.jsonl"),
)
VERBS: dict[str, Callable[[str], Sequence[object]]] = {
    "predict": lambda run: ("predict", run, "d.csv", "--out", "p.csv"),
    "evaluate": lambda run: ("evaluate", run, "d.csv"),
    "export": lambda run: ("export", run, "--format", "safetensors"),
    "fit --config": lambda run: ("fit", "--config", f"{run}/config.toml", "--out", "new"),
    "compare --config": lambda run: ("compare", "--config", f"{run}/config.toml", "--out", "new"),
    "estimate --config": lambda run: ("estimate", "--config", f"{run}/config.toml"),
    "fit --resume": lambda run: ("fit", "--resume", run),
}


def names_code(world: World, name: str) -> str:
    """Plant a run whose model is code, and the code that it means."""
    world.write("evil.py", OWN_CODE)
    world.table()
    config = world.run() / "config.toml"
    assert 'name = "mlp"' in config.read_text()
    config.write_text(config.read_text().replace('name = "mlp"', f"name = {json.dumps(name)}"))
    unfinished = world.here / "later.unfinished"
    unfinished.mkdir()
    (unfinished / "config.toml").write_text(config.read_text())
    return "run"


def verb_on_code(verb: str, name: str) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        run = names_code(world, name)
        return VERBS[verb]("later" if verb == "fit --resume" else run)

    return Hostile("code", f"{name} in a run, {verb}", plant, "which the run names and you did not")


def linked(verb: str, way: str) -> Hostile:
    """Code in a configuration that a link leads to."""

    def plant(world: World) -> Sequence[object]:
        names_code(world, "evil.py:make")
        for folder in ("run", "later.unfinished"):
            config = world.here / folder / "config.toml"
            (config.parent / "sub").mkdir()
            config.rename(config.parent / "sub" / "c.toml")
            config.symlink_to(Path("sub", "c.toml"))
        (world.here / "mine").mkdir()
        (world.here / "mine" / "config.toml").symlink_to(Path("..", "run", "config.toml"))
        return VERBS[verb]("later" if verb == "fit --resume" else way)

    return Hostile("code", f"a link, {verb} {way}", plant, "which the run names and you did not")


def resumed_with_another(verb: str) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        names_code(world, "evil.py:make")
        if verb == "compare":
            (world.here / "later.unfinished" / "seeds").mkdir()
        more = ("--set", "train.lr=0.5") if verb == "fit" else ()
        return (verb, "--resume", "later", "--model", "mlp", *more)

    return Hostile("code", f"{verb} --resume with another model", plant, "was trained with the model")


def no_run_trusted(world: World) -> Sequence[object]:
    world.write("own.toml", 'source = "d.csv"\ntarget = "label"\n')
    return ("fit", world.table(), "--config", "own.toml", "--trust", "run", "--out", "new")


def fields(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file of a run that is text, with each of its fields in turn replaced by another value."""
    others = cycle(["evil:make", [[["evil.py:make"]]], {"name": "evil:make"}, -3, 1e300, "", [], True, {}])
    for file in sorted(folder.glob("*.json")) + sorted(folder.glob("*.toml")):
        write = tomli_w.dumps if file.suffix == ".toml" else json.dumps
        whole = (tomllib.loads if file.suffix == ".toml" else json.loads)(file.read_text("utf-8"))
        for place in places(whole):
            changed = copy.deepcopy(whole)
            parent = changed
            for key in place[:-1]:
                parent = parent[key]
            parent[place[-1]] = next(others)
            yield file, write(changed)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each value in nested mappings and lists, of lists to the first two."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:2] if isinstance(value, list) else ()
    for key, of_key in inner:
        yield (*place, key)
        yield from places(of_key, (*place, key))


def data_script(name: str, says: str) -> Hostile:
    """A data set that comes as a script, as the package datasets ran them before its version 4."""

    def plant(world: World) -> Sequence[object]:
        world.write(f"{name}.py", OWN_CODE)
        world.write(f"{name}/{name}.py", OWN_CODE)
        return ("fit", f"hf:{name}.py" if says else f"hf:{name}", "--target", "label", "--out", "new")

    return Hostile("code", f"a data set's script, {says or 'in a folder'}", plant, says)


def other_typed(world: World) -> Sequence[object]:
    return (*VERBS["predict"](names_code(world, "evil.py:make")), "--model", "other.py:make")


def other_trusted(world: World) -> Sequence[object]:
    return (*VERBS["predict"](names_code(world, "evil.py:make")), "--trust", "elsewhere")


def pickled_source(ending: str) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        source = world.write(f"evil{ending}", PICKLE)
        world.write("evil-labels-idx1-ubyte", PICKLE)
        world.write("evil-labels-idx1-ubyte.gz", PICKLE)
        return fit(source, *([] if "idx" in ending else ["--target", "label"]))

    return Hostile("pickle", f"as a source, {ending}", plant)


def pickled_option(*option: str, file: str) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        world.write(file, PICKLE)
        return fit(world.table(), "--target", "label", *option)

    return Hostile("pickle", " ".join(option), plant)


def objects_in(name: str) -> Hostile:
    def plant(world: World) -> Sequence[object]:
        objects = np.array([pickle.loads(pickle.dumps(1)), None] * 30, dtype=object)
        path, y = world.here / name, np.arange(60) % 2
        np.save(world.here / "y.npy", y)
        if name.endswith(".npy"):
            np.save(path, objects, allow_pickle=True)
            return fit(name, "--target", "y.npy")
        np.savez(path, X=objects, y=y)
        return fit(name)

    return Hostile("pickle", f"objects in {name}", plant, "Python objects, which are never unpickled")


def objects_as_labels(world: World) -> Sequence[object]:
    np.savez(world.here / "a.npz", X=np.ones((60, 2)), y=np.array([0, None] * 30, dtype=object))
    return fit("a.npz")


def shard(world: World, *members: tarfile.TarInfo | tuple[str, bytes], mode: Mode = "w") -> str:
    with tarfile.open(world.here / "s.tar", mode) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return "s.tar"


def in_shard(ending: str, says: str, mode: Mode = "w") -> Hostile:
    def plant(world: World) -> Sequence[object]:
        source = shard(world, (f"0.{ending}", PICKLE), ("0.cls", b"1"), mode=mode)
        return fit(source, "--target", "cls")

    return Hostile("pickle", f".{ending} in a shard written {mode}", plant, says)


def link_in_shard(world: World) -> Sequence[object]:
    info = tarfile.TarInfo("0.txt")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return fit(shard(world, info, ("0.cls", b"1")), "--target", "cls")


def pickled_in_run(file: str, verb: str = "predict") -> Hostile:
    def plant(world: World) -> Sequence[object]:
        world.table()
        (world.run() / file).write_bytes(PICKLE)
        return VERBS[verb]("run") if verb in VERBS else (verb, "run")

    return Hostile("pickle", f"{file} of a run, {verb}", plant)


def hugging_face(what: str, says: str, files: dict[str, object], **config: object) -> Hostile:
    """Plant a model's folder whose files name code, or pickles."""

    def plant(world: World) -> Sequence[object]:
        own = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 8}
        world.write("hub/config.json", json.dumps({**own, **config}))
        world.write("hub/evil.py", OWN_CODE)
        for name, content in files.items():
            world.write(f"hub/{name}", content if isinstance(content, bytes) else json.dumps(content))
        return fit(world.images("pets", 20), "--model", "hf:hub", "--epochs", 1)

    return Hostile("code", f"hf: {what}", plant, says)


HOSTILE = [
    *(verb_on_code(verb, name) for verb in VERBS for name in NAMES if verb == "predict" or name == "evil.py:make"),
    linked("fit --resume", ""),
    linked("compare --config", "run"),
    linked("fit --config", "mine"),  # a link to a link in a run
    resumed_with_another("fit"),
    resumed_with_another("compare"),
    Hostile("code", "another name is typed", other_typed, "was trained with the model"),
    Hostile("code", "a run is trusted where none is read", no_run_trusted, "is in no run folder"),
    Hostile("code", "another run is trusted", other_trusted, "name the run whose code"),
    hugging_face(
        "auto_map to a file beside it",
        "",
        {},
        model_type="evil",
        auto_map={"AutoConfig": "evil.make", "AutoModel": "evil.make"},
    ),
    hugging_face("attention from the hub", "names code of the hub", {}, attn_implementation="someone/kernel"),
    hugging_face(
        "an index of weights that names a pickle",
        "weights are read from safetensors",
        {"model.safetensors.index.json": {"weight_map": {"x": "evil.bin"}}, "evil.bin": PICKLE},
    ),
    hugging_face("weights in a pickle", "pickles are never read", {"pytorch_model.bin": PICKLE}),
    hugging_face("weights that are a pickle", "", {"model.safetensors": PICKLE}),
    data_script("evil", "scripts are no longer supported"),
    data_script("evil", ""),
    *map(pickled_source, ENDINGS),
    *(pickled_in_run(file) for file in RUN_FILES),
    *(pickled_in_run(file, "show") for file in RUN_FILES if file != "model.safetensors"),
    pickled_in_run("state.json", "suspects"),
    *map(objects_in, ("x.npz", "x.npy")),
    Hostile("pickle", "objects as labels", objects_as_labels, "Python objects, which are never unpickled"),
    *(in_shard(ending, "pickles are never read") for ending in ("pth", "pt", "pkl", "pickle", "pyd")),
    in_shard("npy", ""),
    in_shard("json.gz", "it is packed"),
    in_shard("txt", "it is no tar archive, or a packed one", "w:gz"),
    Hostile("path", "a link in a shard", link_in_shard, "plain files alone"),
    *(
        pickled_option(option, value, file=value.partition(":")[2] or value)
        for option, value in (
            ("--labels", "evil.csv"),
            ("--labels", "evil.parquet"),
            ("--pred-probs", "evil.npy"),
            ("--pred-probs", "evil.parquet"),
            ("--test", "evil.npz"),
            ("--test", "evil.csv"),
            ("--reference", "evil.arrow"),
            ("--groups", "superclass:evil.json"),
            ("--groups", "superclass:evil.csv"),
            ("--annotators", "answers:evil.csv"),
            ("--optimize", "cost:evil.csv"),
            ("--config", "evil.toml"),
        )
    ),
]
