"""Pictures to test on and to predict from become pixels as those of training did, wherever they come from."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import skedastic as sk
from skedastic.data import Roles, Schema, open_source
from skedastic.data.sources.unlabelled import Unlabelled, open_unlabelled
from skedastic.runs.evaluate import evaluate_source
from skedastic.runs.label_issues import issues_with_rows
from skedastic.runs.load import load
from skedastic.runs.predict import predict_source
from tests.data.awkward_pictures import (
    deep,
    encoded,
    folder_of,
    grey,
    icon,
    parts,
    photo,
    pictures,
    png,
    turned,
    twelve_bits,
)
from tests.support.command_line import run
from tests.support.refusals import refused

TINY = ("--method", "erm", "--epochs", "1", "--set", "estimate.kind=none", "--model", "cnn")


def unlabelled(folder: Path, schema: Schema) -> Unlabelled:
    return open_unlabelled(str(folder), schema, Roles())


def pixels(rows: Unlabelled) -> np.ndarray:
    parts = [part.features for part in rows.parts()]
    return torch.cat([part for part in parts if isinstance(part, torch.Tensor)]).permute(0, 2, 3, 1).numpy()


@pytest.fixture
def trained_on_grey(tmp_path: Path) -> Schema:
    folder_of(lambda image, path, i: png(grey(i), path))(tmp_path / "grey")
    return open_source(tmp_path / "grey").schema


def test_colour_is_turned_grey_where_training_was_grey(tmp_path: Path, trained_on_grey: Schema) -> None:
    folder_of(lambda image, path, i: png(image if i < 3 else image.convert("L"), path))(tmp_path / "mixed")
    note = "in colour, and turned grey as those of training are: 3 of the 8 images"
    test = open_source(tmp_path / "mixed", schema=trained_on_grey)
    assert note in test.remarks
    np.testing.assert_array_equal(test.features[torch.tensor([0])][0, 0], np.asarray(grey(0)))
    rows = unlabelled(tmp_path / "mixed", trained_on_grey)
    assert note in rows.notes
    np.testing.assert_array_equal(pixels(rows)[1, :, :, 0], np.asarray(grey(2)))


def test_grey_is_colour_where_training_was_colour(tmp_path: Path) -> None:
    pictures(tmp_path / "colour")
    schema = open_source(tmp_path / "colour").schema
    folder_of(lambda image, path, i: png(grey(i), path))(tmp_path / "grey")
    np.testing.assert_array_equal(pixels(unlabelled(tmp_path / "grey", schema))[1], np.asarray(grey(2).convert("RGB")))
    assert open_source(tmp_path / "grey", schema=schema).features.shape[1] == 3


def test_levels_are_those_of_training(tmp_path: Path) -> None:
    folder_of(deep(twelve_bits))(tmp_path / "train")
    schema = open_source(tmp_path / "train").schema
    assert Schema.from_json(schema.to_json()) == schema
    folder_of(deep(lambda i: twelve_bits(i) // 16))(tmp_path / "darker")
    darker = pixels(unlabelled(tmp_path / "darker", schema))[0, :, :, 0]
    np.testing.assert_array_equal(darker, np.rint((twelve_bits(0) // 16) * (255 / 4095)))
    folder_of(deep(lambda i: twelve_bits(i) * 16))(tmp_path / "deeper")
    rows = unlabelled(tmp_path / "deeper", schema)
    with refused(str(tmp_path / "deeper" / "cat" / "0.png"), float(twelve_bits(0).max() * 16), rule="from 0 to 4095"):
        pixels(rows)


def test_transparency_is_read_where_it_was_in_training(tmp_path: Path) -> None:
    folder_of(icon(255))(tmp_path / "icons")
    schema = open_source(tmp_path / "icons").schema
    assert (schema.alpha, schema.images) == (True, (1, 4, 6))
    folder_of(icon(0))(tmp_path / "black")
    np.testing.assert_array_equal(
        pixels(unlabelled(tmp_path / "black", schema)), pixels(unlabelled(tmp_path / "icons", schema))
    )
    pictures(tmp_path / "opaque")
    rows = unlabelled(tmp_path / "opaque", schema)
    with refused(str(tmp_path / "opaque" / "cat" / "0.png"), None, rule="no transparency"):
        pixels(rows)


def test_an_opaque_picture_far_behind_icons_keeps_all_over_white(tmp_path: Path) -> None:
    white = icon(255)
    folder_of(lambda image, path, i: png(image, path) if i == 401 else white(image, path, i % 8), 603)(tmp_path)
    schema = open_source(tmp_path).schema
    assert (schema.alpha, schema.images[0]) == (False, 3)


def test_sizes_are_those_of_upright_pictures(tmp_path: Path) -> None:
    folder_of(lambda image, path, i: (turned if i % 2 else lambda im, p, i: png(im, p))(image, path, i))(tmp_path)
    source = open_source(tmp_path)
    assert source.features.shape == (8, 3, 4, 6)
    assert not source.schema.resized


def test_a_list_of_pillow_is_seen_as_files_are(tmp_path: Path) -> None:
    mixed = [photo(i).convert("CMYK") if i == 3 else grey(i) if i % 2 else photo(i) for i in range(8)]
    result = fitted(mixed)
    assert result.schema.images == (3, 4, 6)
    alike = [np.asarray(image.convert("RGB")) for image in mixed]
    np.testing.assert_array_equal(result.predict_proba(mixed), result.predict_proba(np.stack(alike)))
    scans = fitted([Image.fromarray(twelve_bits(i)) for i in range(8)])
    assert (scans.schema.level, scans.schema.images) == (4095, (1, 4, 6))
    scaled = [np.rint(twelve_bits(i) * (255 / 4095)).astype(np.uint8) for i in range(3)]
    np.testing.assert_array_equal(
        scans.predict_proba([Image.fromarray(twelve_bits(i)) for i in range(3)]), scans.predict_proba(np.stack(scaled))
    )
    with refused("X[1]", [3, 3]):
        fitted([photo(0), photo(1, (3, 3))] * 4)


def fitted(images: list[Image.Image]) -> sk.Result:
    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, i: int) -> tuple[Image.Image, int]:
            return images[i], i % 2

    training = sk.TrainingConfig(epochs=1)
    return sk.fit(Pictures(), method="erm", model="cnn", train=training, estimate=sk.Estimation(kind="none"))


def test_pictures_in_tables_and_archives_are_seen_as_files_are(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the extra 'images'")
    folder_of(turned)(tmp_path / "photos")
    names = [f"photos/{('cat', 'dog')[i % 2]}/{i}.png" for i in range(8)]
    frame = pd.DataFrame({"file": names, "label": ["a", "b"] * 4})
    frame.assign(file=frame["file"].str.replace("/", "\\")).to_csv(tmp_path / "t.csv", index=False)
    contents = [(tmp_path / name).read_bytes() for name in names]
    cells = [{"bytes": content, "path": name} for content, name in zip(contents, names, strict=True)]
    pd.DataFrame({"image": cells, "label": ["a", "b"] * 4}).to_parquet(tmp_path / "t.parquet")
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for i, content in enumerate(contents):
            for ending, part in (("png", content), ("cls", str(i % 2).encode())):
                info = tarfile.TarInfo(f"{i}.{ending}")
                info.size = len(part)
                tar.addfile(info, io.BytesIO(part))
    for source in (
        open_source(tmp_path / "t.csv", target="label", image="file"),
        open_source(tmp_path / "t.parquet", target="label"),
        open_source(tmp_path / "t.tar", target="cls"),
    ):
        for i in range(8):
            np.testing.assert_array_equal(np.asarray(source.image(i)), np.asarray(photo(i)))


def test_a_picture_in_a_table_is_named_by_row_and_name(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the extra 'images'")
    contents = [encoded(photo(i)) for i in range(8)]
    contents[5] = contents[5][:70]
    cells = [{"bytes": content, "path": f"p/{i}.png"} for i, content in enumerate(contents)]
    pd.DataFrame({"image": cells, "label": ["a", "b"] * 4}).to_parquet(tmp_path / "t.parquet")
    with refused("t.parquet, row 5, column 'image' (p/5.png)", None, rule="can't be decoded"):
        open_source(tmp_path / "t.parquet", target="label")


def test_every_path_of_a_table_must_be_there(tmp_path: Path) -> None:
    pictures(tmp_path)
    names = [f"{('cat', 'dog')[i % 2]}/{i}.png" for i in range(8)] * 5
    names[33] = "cat/gone.png"
    pd.DataFrame({"file": names, "label": ["a", "b"] * 20}).to_csv(tmp_path / "t.csv", index=False)
    with refused("t.csv, line 35, column 'file'", "cat/gone.png"):
        open_source(tmp_path / "t.csv", target="label", image="file")


def test_a_folder_from_training_to_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    parts("pets/train", "pets/val", "pets/test")(tmp_path)
    status, _, err = run(capsys, "fit", "pets", *TINY, "--out", "run")
    assert status == 0, err
    result = load("run")
    assert result.metrics.overall.n == 8
    assert sum(result.train_count) == 8
    assert any("train 8, val 8, test 8" in note for note in result.notes)
    predict_source(result, "pets", "p.csv", keep=["label"])
    written = pd.read_csv("p.csv")
    assert list(written["path"]) == sorted(written["path"])
    assert len(written) == 24
    assert set(written["path"].str.split("/").str[1]) == set(written["label"]) == {"cat", "dog"}
    for i in range(3):
        png(photo(i), tmp_path / "new" / str(i))
    predict_source(result, "new", "n.csv")
    assert pd.read_csv("n.csv")["path"].tolist() == ["0.png", "1.png", "2.png"]
    assert evaluate_source(result, "pets/test").overall.n == 8
    with refused("pets", None, rule="pets/test"):
        evaluate_source(result, "pets")
    with refused("test", "pets/val", rule="the folders say which rows are for testing"):
        sk.fit("pets", method="erm", test="pets/val", estimate=sk.Estimation(kind="none"))
    issues = pd.DataFrame({"index": [3, 0], "given": ["cat", "cat"], "is_issue": [True, True]})
    named = issues_with_rows(replace(result, label_issues=issues))
    assert named["path"].tolist() == written["path"].iloc[[3, 0]].tolist()
