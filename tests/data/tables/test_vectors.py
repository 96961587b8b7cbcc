"""Columns of lists of numbers, such as embeddings, are as many features."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import skedastic as sk
from skedastic.data import open_source
from skedastic.data.encoders.rows import RowEncoder
from tests.support.refusals import refused
from tests.support.training import QUICK

N, D = 60, 5
RNG = np.random.default_rng(0)
E = RNG.normal(size=(N, D)).astype(np.float32) * 3 + 7
LABEL = np.array(["a", "b"])[(E[:, 0] > 7).astype(int)]
TABLE = pa.table({"e": pa.array(list(E)), "x": np.arange(N) % 7 * 1.0, "label": LABEL})


def files(folder: Path) -> dict[str, object]:
    fixed = TABLE.set_column(0, "e", pa.FixedSizeListArray.from_arrays(pa.array(E.ravel()), D))
    pq.write_table(fixed, folder / "fixed.parquet")
    pq.write_table(TABLE.set_column(0, "e", TABLE["e"].cast(pa.large_list(pa.float32()))), folder / "lists.parquet")
    with pa.OSFile(str(folder / "t.arrow"), "wb") as file, pa.ipc.new_file(file, TABLE.schema) as out:
        out.write_table(TABLE, max_chunksize=7)
    (folder / "t.jsonl").write_text("\n".join(json.dumps(row) for row in TABLE.to_pylist()))
    frame = pd.DataFrame({"e": list(E), "x": TABLE["x"], "label": LABEL})
    frame.assign(e=[str(e.tolist()) for e in E]).to_csv(folder / "t.csv", index=False)
    with np.printoptions(precision=9):
        frame.to_csv(folder / "numpy.csv", index=False)
    scalars = [[f"np.float32({number})" for number in e] for e in E]
    frame.assign(e=[f"[{', '.join(texts)}]" for texts in scalars]).to_csv(folder / "scalars.csv", index=False)
    names = ("fixed.parquet", "lists.parquet", "t.arrow", "t.jsonl", "t.csv", "numpy.csv", "scalars.csv")
    return {name: folder / name for name in names} | {
        "frame": frame,
        "Arrow": fixed,
        "lists": frame.assign(e=E.tolist()),
    }


KINDS = [
    "fixed.parquet",
    "lists.parquet",
    "t.arrow",
    "t.jsonl",
    "t.csv",
    "numpy.csv",
    "scalars.csv",
    "frame",
    "Arrow",
    "lists",
]


@pytest.mark.parametrize("kind", KINDS)
def test_lists_are_standardized_features(kind: str, tmp_path: Path) -> None:
    source = open_source(files(tmp_path)[kind], target="label")
    assert source.features.kinds == {"e": "vector", "x": "number"}
    assert "e: 5 numbers" in source.notes
    rows = torch.arange(0, N, 2)
    encoder = source.encode(rows)
    assert isinstance(encoder, RowEncoder)
    x = encoder.transform(source.features, torch.tensor([3, 0, 59]))
    scaled = (E - E[rows].mean(0)) / E[rows].std(0)
    torch.testing.assert_close(x[:, 1:], torch.from_numpy(scaled[[3, 0, 59]]), rtol=1e-4, atol=1e-5)
    again = RowEncoder.restore(**{k: v for k, v in json.loads(json.dumps(encoder.to_json())).items() if k != "encoder"})
    assert torch.equal(again.transform(source.features, rows), encoder.transform(source.features, rows))


def test_they_are_read_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(files(tmp_path)["lists.parquet"], target="label")
    whole = source.encode(torch.arange(N))
    x = whole.transform(source.features)
    monkeypatch.setattr("skedastic.data.tables.table.ROWS", 7)
    monkeypatch.setattr("skedastic.data.encoders.rows.ROWS", 11)
    monkeypatch.setattr("skedastic.data.encoders.rows.LARGE", 0)
    parts = open_source(files(tmp_path)["lists.parquet"], target="label")
    encoder = parts.encode(torch.arange(N))
    torch.testing.assert_close(encoder.transform(parts.features)[torch.arange(N)], x, rtol=1e-4, atol=1e-5)


def test_a_missing_list_is_marked() -> None:
    frame = pd.DataFrame({"e": [None if i % 9 == 0 else e for i, e in enumerate(E)], "label": LABEL})
    source = open_source(frame, target="label")
    x = source.encode(torch.arange(N)).transform(source.features)
    assert x.shape == (N, D + 1)
    assert x[:, D].tolist() == [float(i % 9 == 0) for i in range(N)]
    assert (x[::9, :D] == 0).all()


@pytest.mark.parametrize(
    ("cells", "row", "value", "rule"),
    [
        ([*E[:4], E[4][:2], *E[5:]], 4, 2, "others have 5"),
        ([*E[:4], np.array([1, 2, 3, 4, np.nan]), *E[5:]], 4, None, "missing or not finite"),
        ([[], *E[1:]], 0, None, "empty"),
        ([None, None, [], *E[3:]], 2, None, "empty"),
        (["[1, 2]"] * 59 + ["[1]"], 59, 1, "others have 2"),
        (["[1 2]"] * 59 + ["none"], 59, "none", "no list of numbers, as other cells are"),
        (["[1 2]"] * 57 + ["[1,,2]"] * 3, 57, "[1,,2]", "no list of numbers"),
        ([str(np.arange(2000.0))] * 60, 0, str(np.arange(2000.0)), "cut short"),
    ],
)
def test_odd_lists_are_refused_with_their_row(cells: list[object], row: int, value: object, rule: str) -> None:
    with refused(f"frame, row {row}, column 'e'", value, rule=rule):
        open_source(pd.DataFrame({"e": cells, "label": LABEL}), target="label")


def test_text_of_other_lists_stays_text() -> None:
    for cells in (["[1, 2]", "[3]"] * 30, ["[1]", "[2]"] * 30, ["[1_0, 2]", "[2, 3]"] * 30):
        source = open_source(pd.DataFrame({"e": cells, "label": LABEL}), target="label")
        assert source.features.kinds == {"e": "category"}
    for cell in ("['a', 'b']", "[[1, 2], [3, 4]]", "[see below]", "[]", "1, 2"):
        source = open_source(pd.DataFrame({"e": [cell, "x"] * 30, "label": LABEL}), target="label")
        assert source.features.kinds == {"e": "category"}
    cells = ["[1, 2]", "[3, 4]"] * 30
    given = open_source(pd.DataFrame({"e": cells, "label": LABEL}), target="label", categorical=["e"])
    assert given.features.kinds == {"e": "category"}
    source = open_source(pd.DataFrame({"e": ["", None, *cells[2:]], "label": LABEL}), target="label")
    read = np.concatenate(list(source.features.vector_parts("e")))
    assert np.isnan(read[:2]).all()
    assert read[2:].tolist() == [[1, 2], [3, 4]] * 29


def test_parts_without_any_list_are_missing_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skedastic.data.tables.table.ROWS", 7)
    for lists in ([*E[:20], *[None] * 40], [*[None] * 40, *E[40:]], [*[""] * 20, *map(str, E.tolist()[20:])]):
        source = open_source(pd.DataFrame({"e": lists, "label": LABEL}), target="label")
        read = np.concatenate(list(source.features.vector_parts("e")))
        missing = [cell is None or (isinstance(cell, str) and not cell) for cell in lists]
        assert np.isnan(read).all(axis=1).tolist() == missing
        np.testing.assert_allclose(read[np.logical_not(missing)], E[np.logical_not(missing)], rtol=1e-6)
    result = sk.fit(TABLE, target="label", method="erm", train=QUICK, seed=1, test=None)
    alone = pd.DataFrame({"e": pd.Series([None], dtype=object), "x": [0.0]})
    assert np.isfinite(result.predict_proba(alone).to_numpy()).all()


def test_a_later_file_has_lists_of_the_same_length() -> None:
    train = open_source(TABLE, target="label")
    shorter = TABLE.set_column(0, "e", pa.array(list(E[:, :3])))
    with refused("frame, row 0, column 'e'", 3, rule="others have 5"):
        open_source(shorter, target="label", schema=train.schema)


def test_a_model_learns_from_them_and_predicts(tmp_path: Path) -> None:
    result = sk.fit(TABLE, target="label", method="erm", train=QUICK, seed=1)
    p = result.predict_proba(TABLE)
    result.save(tmp_path / "run")
    np.testing.assert_allclose(sk.load(tmp_path / "run").predict_proba(TABLE.slice(3, 5)), p[3:8], rtol=1e-5)
