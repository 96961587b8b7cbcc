"""Sources of every kind: one and the same table, image or text, however it is kept."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest
import torch
from PIL import Image

import skedastic as sk
from skedastic.data import Source, from_arrays, from_torch, open_source
from tests.support.refusals import refused

datasets = pytest.importorskip("datasets", reason="needs the extra 'images'")
N = 24


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "width": np.where(np.arange(N) == 3, np.nan, rng.normal(size=N).round(3)),
            "city": rng.choice(["Rome", "Oslo", "Lima"], N).astype(object),
            "born": pd.date_range("2001-02-03", periods=N, freq="37D").strftime("%Y-%m-%d").astype(object),
            "said": [f"this is what number {i} said to us" for i in range(N)],
            "label": np.array(["no", "yes"], dtype=object)[np.arange(N) % 2],
        }
    )


def same(source: Source, other: Source) -> None:
    assert source.classes == other.classes
    assert torch.equal(source.y, other.y)
    assert source.features.kinds == other.features.kinds
    for name in source.features.columns:
        assert (
            source.features[name].astype(object).fillna(0).tolist()
            == other.features[name].astype(object).fillna(0).tolist()
        )


def write(folder: Path, ending: str) -> str:
    """Write the table in two parts where it can be in several files; return what names it."""
    frame = table()
    parts = {"part-0": frame.iloc[:10], "part-1": frame.iloc[10:]}
    for name, part in parts.items():
        path = folder / f"{name}.{ending}"
        if ending in ("csv", "tsv"):
            part.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
        elif ending == "jsonl":
            part.to_json(path, orient="records", lines=True)
        elif ending == "json":
            path.write_text(part.to_json(orient="records"))
        elif ending == "parquet":
            part.to_parquet(path)
        elif ending == "arrow":
            cells = pa.Table.from_pandas(part, preserve_index=False)
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, cells.schema) as writer:
                writer.write_table(cells)
        else:
            feather.write_feather(part, str(path))
    return str(folder / f"part-*.{ending}")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet", "arrow", "feather"])
def test_a_table_is_the_same_however_it_is_kept(ending: str, tmp_path: Path) -> None:
    source = open_source(write(tmp_path, ending), target="label")
    assert source.features.kinds == {"width": "number", "city": "category", "born": "date", "said": "text"}
    same(source, from_arrays(table().drop(columns="label"), table()["label"]))
    assert source.summary == (
        "24 rows; 1 numeric, 1 categorical, 1 date, 1 text; "
        "target 'label': 2 classes, 1 : 1 from rarest to most frequent"
    )


def test_a_saved_data_set_and_its_splits(tmp_path: Path) -> None:
    data = datasets.Dataset.from_pandas(table())
    data.save_to_disk(tmp_path / "whole")
    datasets.DatasetDict({"train": data.select(range(20)), "test": data.select(range(20, N))}).save_to_disk(
        tmp_path / "parts"
    )
    same(
        open_source(f"hf:{tmp_path / 'whole'}", target="label"),
        from_arrays(table().drop(columns="label"), table()["label"]),
    )
    assert len(open_source(f"hf:{tmp_path / 'parts'}", target="label")) == 20
    assert len(open_source(f"hf:{tmp_path / 'parts'}#test", target="label")) == 4
    with refused(f"hf:{tmp_path / 'parts'}#tests, split", "tests", rule="did you mean 'test'?"):
        open_source(f"hf:{tmp_path / 'parts'}#tests", target="label")
    with refused(f"hf:{tmp_path / 'whole'}#test", "test", rule="it has no splits"):
        open_source(f"hf:{tmp_path / 'whole'}#test", target="label")
    with refused(f"hf:{tmp_path}", None, rule="can't be read"):
        open_source(f"hf:{tmp_path}", target="label")


def pixels(n: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def image_folder(folder: Path, side: int = 8) -> np.ndarray:
    images = pixels(N, side)
    for i, image in enumerate(images):
        path = folder / ("cat" if i % 2 else "dog") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    (folder / "notes.csv").write_text("x")
    (folder / ".hidden.png").write_bytes(b"")
    return images


def test_a_folder_of_images(tmp_path: Path) -> None:
    images = image_folder(tmp_path / "pets")
    source = open_source(tmp_path / "pets")
    assert source.classes == ("cat", "dog")
    assert source.y.bincount().tolist() == [12, 12]
    assert "left out: files of other kinds (1 .csv)" in source.notes
    np.testing.assert_array_equal(
        source.features[torch.arange(N)].permute(0, 2, 3, 1), np.concatenate([images[1::2], images[::2]])
    )
    assert source.summary.startswith("24 rows; images of 8 × 8 pixels in 3 channels; target 'label': 2 classes")
    (tmp_path / "pets" / "dog" / "02.png").write_bytes(b"no image")
    with refused(str(tmp_path / "pets" / "dog" / "02.png"), None, rule="can't be decoded"):
        open_source(tmp_path / "pets")
    (tmp_path / "pets" / "dog" / "02.png").write_bytes(png(pixels(1, 20)[0]))
    resized = open_source(tmp_path / "pets")
    assert resized.features.shape == (N, 3, 8, 8)
    assert "images of different sizes: cut to squares and resized to 8 × 8 (--image-size)" in resized.notes
    assert open_source(tmp_path / "pets", image_size=5).features[torch.tensor([0])].shape == (1, 3, 5, 5)


def test_paths_in_a_table(tmp_path: Path) -> None:
    images = image_folder(tmp_path)
    names = [f"{'cat' if i % 2 else 'dog'}/{i:02}.png" for i in range(N)]
    pd.DataFrame({"file": names, "kind": ["a", "b"] * 12, "n": [1, 1, 2] * 8}).to_csv(tmp_path / "t.csv", index=False)
    source = open_source(tmp_path / "t.csv", target="kind", image="file")
    np.testing.assert_array_equal(source.features[torch.arange(N)].permute(0, 2, 3, 1), images)
    with refused("t.csv, line 2, column 'kind'", "a", rule="no image file"):
        open_source(tmp_path / "t.csv", target="n", image="kind")


def test_shards(tmp_path: Path) -> None:
    images = pixels(N)
    for shard in range(2):
        with tarfile.open(tmp_path / f"s-{shard}.tar", "w") as tar:
            for i in range(shard * 12, shard * 12 + 12):
                for ending, content in (
                    ("png", png(images[i])),
                    ("cls", str(i % 3).encode()),
                    ("json", json.dumps({"n": i}).encode()),
                ):
                    info = tarfile.TarInfo(f"{i:04}.{ending}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    source = open_source(str(tmp_path / "s-*.tar"), target="cls", ignore=["json"])
    assert source.classes == ("0", "1", "2")
    assert source.y.tolist() == [i % 3 for i in range(N)]
    np.testing.assert_array_equal(source.features[torch.arange(N)].permute(0, 2, 3, 1), images)


def test_a_folder_of_texts(tmp_path: Path) -> None:
    for i in range(N):
        path = tmp_path / "reviews" / ("pos" if i % 2 else "neg") / f"{i:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"a film of many words, number {i}", "utf-8")
    source = open_source(tmp_path / "reviews")
    assert source.kind == "text"
    assert source.classes == ("neg", "pos")
    (tmp_path / "reviews" / "pos" / "01.txt").write_bytes(b"\xff\xfe\xfa")
    with refused(str(tmp_path / "reviews" / "pos" / "01.txt"), None, rule="UTF-8"):
        open_source(tmp_path / "reviews")


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [("wine", 178, 13), ("iris", 150, 4), ("breast_cancer", 569, 30), ("diabetes", 442, 10)],
)
def test_sets_that_scikit_learn_brings(name: str, rows: int, columns: int) -> None:
    source = open_source(name)
    assert len(source) == rows
    assert len(source.features.columns) == columns
    assert bool(source.classes) == (name != "diabetes")


def test_frames_of_polars_and_data_sets_of_torch() -> None:
    polars = pytest.importorskip("polars")
    frame = table().drop(columns="label")
    same(from_arrays(polars.from_pandas(frame), table()["label"]), from_arrays(frame, table()["label"]))
    x, y = torch.randn(N, 3), torch.arange(N) % 2
    given, labels = from_torch(torch.utils.data.TensorDataset(x, y))
    assert torch.equal(given, x)
    assert labels == y.tolist()
    pictures = [(Image.fromarray(p), i % 2) for i, p in enumerate(pixels(N))]

    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return N

        def __getitem__(self, i: int) -> tuple[Image.Image, int]:
            return pictures[i]

    result = sk.fit(Pictures(), method="erm", train=sk.TrainingConfig(epochs=1), estimate=sk.Estimation(kind="none"))
    assert result.schema.images == (3, 8, 8)
    for wrong, setting, value in (
        ([1, 2], "item 0 of the torch data set", "int"),
        ([(x[0], 1), (x[0, :2], 0)], "item 1 of the torch data set", [2]),
        ([], "the torch data set", None),
    ):
        with refused(setting, value):
            from_torch(wrong)


def test_patterns_and_files_that_do_not_fit_together(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "a.csv", index=False)
    table().rename(columns={"city": "town"}).to_csv(tmp_path / "b.csv", index=False)
    with refused(str(tmp_path / "b.csv"), None, rule="it lacks 'city'"):
        open_source(str(tmp_path / "*.csv"), target="label")
    with refused(str(tmp_path / "*.jsonl"), None, rule="no file matches"):
        open_source(str(tmp_path / "*.jsonl"), target="label")
    table().to_parquet(tmp_path / "c.parquet")
    with refused(f"{tmp_path / 'a.csv'}, …", None, rule="2 kinds"):
        open_source(str(tmp_path / "[ac].*"), target="label")
    bad = table().assign(width=["1"] * 20 + ["x"] + ["2"] * 3)
    bad.iloc[:10].to_csv(tmp_path / "b.csv", index=False)
    bad.iloc[10:].to_csv(tmp_path / "d.csv", index=False)
    with refused("d.csv, line 12, column 'width'", "x"):
        open_source(str(tmp_path / "[bd].csv"), target="label")


def test_roles_by_the_user_go_first(tmp_path: Path) -> None:
    frame = table().assign(code=np.arange(N) % 4, name=[f"n{i}" for i in range(N)])
    frame.to_csv(tmp_path / "t.csv", index=False)

    def kinds(**roles: object) -> dict[str, str]:
        return dict(open_source(tmp_path / "t.csv", target="label", **roles).features.kinds)

    assert kinds()["code"] == "number"
    assert "name" not in kinds()
    assert kinds(categorical=["code", "said"]) == kinds() | {"code": "category", "said": "category"}
    assert kinds(text=["name"])["name"] == "text"
    first = table()["city"][0]
    for roles, setting, value, rule in (
        ({"text": ["code"], "numeric": ["code"]}, "numeric", "code", "can't be numeric and text at once"),
        ({"text": ["cod"]}, "t.csv, feature column", "cod", "did you mean 'code'?"),
        ({"numeric": ["label"]}, "t.csv, feature column", "label", "a feature and have another role at once"),
        ({"numeric": ["city"]}, "t.csv, line 2, column 'city'", first, "is not a number"),
        ({"ignore": ["city"], "numeric": ["city"]}, "numeric", "city", "can't be numeric and ignored at once"),
    ):
        with refused(setting, value, rule=rule):
            kinds(**roles)


def test_a_feature_that_is_the_target_is_said(tmp_path: Path) -> None:
    frame = table().assign(told=np.where(table()["label"] == "yes", 1, 2), price=np.linspace(1, 2, N) ** 2)
    source = open_source(_csv(tmp_path, frame.assign(cents=frame["price"] * 100)), target="label")
    assert any(r.startswith("column told is the target in other words") for r in source.notes)
    assert not any("price is the target" in r for r in source.notes)
    real = open_source(tmp_path / "t.csv", target="price")
    assert any(r.startswith("column cents is the target in other words") for r in real.notes)


def _csv(folder: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def test_dates_are_read_as_they_are_written(tmp_path: Path) -> None:
    for cells, first in (
        (["3.4.2024", "5.6.2024"], "2024-04-03"),
        (["3/4/2024", "5/6/2024"], "2024-03-04"),
        (["3/4/2024", "25/6/2024"], "2024-04-03"),
        (["2024-04-03", "2024-06-05T10:30"], "2024-04-03"),
        (["2024/4/3", "na"], "2024-04-03"),
    ):
        frame = pd.DataFrame({"day": cells * 4, "label": list("ab") * 4})
        source = open_source(_csv(tmp_path, frame), target="label")
        assert source.features.kinds == {"day": "date"}, cells
        assert str(source.features["day"][0].date()) == first
        encoder = source.encode(torch.arange(8))
        again = encoder.for_prediction(pd.DataFrame({"day": cells[:1]}))
        torch.testing.assert_close(again, encoder.transform(source.features)[:1])


def test_a_large_file_of_text_goes_through_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = write(tmp_path, "csv")
    small = open_source(pattern, target="label")
    monkeypatch.setattr("skedastic.data.sources.gathered.LARGE", 0)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    large = open_source(pattern, target="label")
    assert type(large.features.table.reader).__name__ == "ParquetReader"
    same(small, large)
    assert len(list(folder.iterdir())) == 1
    del large
    assert not list(folder.iterdir())


def test_wide_tables_keep_the_last_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skedastic.data.tables.table.KEPT", 3 * N * 8 + 3 * 132)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 9))
    source = from_arrays(X, np.arange(N) % 2)
    x = source.encode(torch.arange(N)).transform(source.features)
    low, median, high = np.quantile(X, (0.25, 0.5, 0.75), axis=0)
    z = (X - median) / (high - low)
    np.testing.assert_allclose(x, z / np.sqrt(1 + z**2 / 9), rtol=1e-5, atol=1e-6)
    assert list(source.features._kept) == ["x6", "x7", "x8"]
    sizes: list[int] = [c.memory_usage() for c in source.features._kept.values()]
    assert source.features._bytes == sum(sizes)
