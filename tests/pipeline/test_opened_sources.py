"""Sources that are open are sent to other processes: there they give the same data, without the files of tables."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from skedastic.errors import UserError
from skedastic.pipeline.prepare import Opened, data_of, open_sources
from skedastic.runtime.cluster import packed
from skedastic.settings.reading import read


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of its own, which is the working directory until the sources are open."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path / "data"


def sent(opened: Opened) -> Opened:
    return pickle.loads(packed(opened.portable()))


def write_table(kind: str) -> None:
    n = np.arange(40)
    day, price = pd.to_datetime("2026-01-03") + pd.to_timedelta(n, "D"), (n % 7).astype(float)
    price[3] = np.nan
    frame = pd.DataFrame({"n": n, "price": price, "kind": np.array(["x", "y", None], dtype=object)[n % 3]})
    frame["day"] = day if kind == "parquet" else day.strftime("%d/%m/%Y")
    frame["words"] = [f"row {i} of a table, with some words in it, {'good' if i % 2 else 'bad'}" for i in n]
    frame["y"] = np.where(n % 2, "good", "bad")
    if kind == "csv":
        frame.to_csv("t.csv", index=False, sep=";", decimal=",")
    elif kind == "parquet":
        frame["vector"] = pd.Series([[float(i), 1.0] for i in n])
        frame.to_parquet("t.parquet")
    elif kind == "arrow":
        frame.to_feather("t.arrow")
    else:
        frame.to_json("t.jsonl", orient="records", lines=True)


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow", "jsonl"])
def test_a_table_is_sent_whole(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(kind)
    Path("t." + kind).with_stem("test").write_bytes(Path("t." + kind).read_bytes())
    config = read(None, {"source": f"t.{kind}", "target": "y", "test": f"test.{kind}"})
    opened = open_sources(config)
    here, there = data_of(config, opened), sent(opened)
    described = here.source.describe([3, 5])
    monkeypatch.chdir(folder.parent)
    for file in folder.iterdir():
        file.unlink()
    data = data_of(config, there)
    assert here.train.x.shape[1] > 4
    for one, other in ((here.train, data.train), (here.test, data.test)):
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y, other.y)
    assert data.notes == here.notes
    assert data.source.describe([3, 5]) == described


def test_images_are_read_from_where_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        Path("pets", name).mkdir(parents=True)
        for i in range(6):
            pixels = generator.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path("pets", name, f"{i}.png"))
    config = read(None, {"source": "pets"})
    opened = open_sources(config)
    here, there = data_of(config, opened), sent(opened)
    monkeypatch.chdir(folder.parent)
    assert torch.equal(data_of(config, there).train.x, here.train.x)
    for file in folder.rglob("*.png"):
        file.unlink()
    with pytest.raises(UserError, match="not there") as error:
        data_of(config, there)
    assert error.value.setting.startswith(str(folder / "pets"))
