"""What `predict` hands on is what the source holds: types, digits and names; and unseen categories are told."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import skedastic as sk
from skedastic.runs.evaluate import evaluate_source
from skedastic.runs.predict import predict_source
from skedastic.runs.result import Result
from skedastic.runs.tables import names_beside
from tests.support.refusals import refused
from tests.support.training import QUICK

N = 60
RNG = np.random.default_rng(3)
X = RNG.normal(size=N)
CITY = RNG.choice(["Ulm", "Bonn", "Kiel"], N)


def trained(labels: list[object], **roles: object) -> Result:
    frame = pd.DataFrame({"x": X, "city": CITY, "label": labels})
    return sk.fit(frame, target="label", method="erm", train=QUICK, test="none", **roles)


@pytest.fixture(scope="module")
def result() -> Result:
    return trained([str(v > 0) for v in X])


IDS = [None if i == 50 else 2**60 + i for i in range(N)]
KEPT = pa.table(
    {
        "x": X,
        "city": CITY,
        "id": pa.array(IDS),
        "unsigned": pa.array([2**64 - 1 - i for i in range(N)], pa.uint64()),
        "flag": pa.array([None if i == 0 else i % 2 == 0 for i in range(N)]),
        "day": pa.array(np.arange(N).astype("datetime64[D]")),
        "tags": pa.array([[str(i)] * (i % 3) for i in range(N)]),
        "row": pa.array([f"mine {i}" for i in range(N)]),
        "score": pa.array([None if i % 7 == 0 else i / 7 for i in range(N)]),
        "late": pa.array([None] * 55 + ["a"] * 5),
        "kind": pa.array(["a", "b"] * 30).dictionary_encode(),
    }
)
NAMES = KEPT.column_names[2:]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_kept_columns_come_out_as_they_went_in(
    ending: str, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skedastic.data.sources.unlabelled.ROWS", 13)
    pq.write_table(KEPT, tmp_path / "new.parquet")
    predict_source(result, str(tmp_path / "new.parquet"), tmp_path / f"p.{ending}", keep=NAMES)
    if ending == "parquet":
        written = pq.read_table(tmp_path / "p.parquet")
        assert written.schema.field("id").type == pa.int64()
        rows = written.to_pylist()
        days = KEPT["day"].to_pylist()
    else:
        rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
        days = [str(day) for day in KEPT["day"].to_pylist()]
    assert [row["row"] for row in rows] == list(range(N))
    assert [row["source_row"] for row in rows] == KEPT["row"].to_pylist()
    assert [row["day"] for row in rows] == days
    for name in set(NAMES) - {"row", "day"}:
        assert [row[name] for row in rows] == KEPT[name].to_pylist(), name


def test_numbers_that_json_has_no_word_for_are_null(result: Result, tmp_path: Path) -> None:
    numbers = [math.inf, -math.inf, math.nan, None, 0.1] * 12
    kept = {
        "wide": pa.array(numbers),
        "narrow": pa.array(numbers, pa.float32()),
        "half": pa.array(np.array([0.0 if v is None else v for v in numbers], np.float16)),
        "listed": pa.array([[v, 2.0] for v in numbers]),
        "nested": pa.array([{"of": [{"v": v}]} for v in numbers]),
    }
    pq.write_table(pa.table({"x": X, "city": CITY, **kept}), tmp_path / "new.parquet")
    predict_source(result, str(tmp_path / "new.parquet"), tmp_path / "p.jsonl", keep=list(kept))
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON")) for line in lines]
    expected = [None, None, None, None, 0.1] * 12
    assert [row["wide"] for row in rows] == [row["narrow"] for row in rows] == expected
    assert [row["listed"] for row in rows] == [[v, 2.0] for v in expected]
    assert [row["nested"] for row in rows] == [{"of": [{"v": v}]} for v in expected]
    assert [row["half"] for row in rows[:5]] == [None, None, None, 0.0, float(np.float16(0.1))]


def test_kept_columns_in_csv(result: Result, tmp_path: Path) -> None:
    pq.write_table(KEPT, tmp_path / "new.parquet")
    names = [name for name in NAMES if name != "tags"]
    predict_source(result, str(tmp_path / "new.parquet"), tmp_path / "p.csv", keep=names)
    written = pd.read_csv(tmp_path / "p.csv", dtype=str, keep_default_na=False)
    assert written["id"].tolist() == ["" if v is None else str(v) for v in IDS]
    assert written["unsigned"].tolist() == [str(v) for v in KEPT["unsigned"].to_pylist()]
    with refused("out", str(tmp_path / "q.csv"), rule="lists of column 'tags'"):
        predict_source(result, str(tmp_path / "new.parquet"), tmp_path / "q.csv", keep=["tags"])
    assert not (tmp_path / "q.csv").exists()


def test_text_is_handed_on_as_it_is_written_but_for_formulas(result: Result, tmp_path: Path) -> None:
    words = ["007", "-1.5", " a ", "NA", "", '"', "x,y", "a\nb", "=1+1", "9" * 23] * 6
    pd.DataFrame({"x": X, "city": CITY, "word": words}).to_csv(tmp_path / "new.csv", index=False)
    predict_source(result, str(tmp_path / "new.csv"), tmp_path / "p.csv", keep=["word"])
    written = pd.read_csv(tmp_path / "p.csv", dtype=str, keep_default_na=False)["word"]
    assert written.tolist() == [{"=1+1": "'=1+1"}.get(word, word) for word in words]
    predict_source(result, str(tmp_path / "new.csv"), tmp_path / "p.parquet", keep=["word"])
    assert pd.read_parquet(tmp_path / "p.parquet")["word"].tolist() == words


def test_names_that_collide_get_out_of_the_way() -> None:
    ours = ("row", "predicted", "p_a")
    assert names_beside(["id", "x"], ours) == {"id": "id", "x": "x"}
    assert names_beside(["row", "p_a"], ours) == {"row": "source_row", "p_a": "source_p_a"}
    assert names_beside(["row", "source_row"], ours) == {"row": "source_source_row", "source_row": "source_row"}
    assert names_beside(["source_row", "row"], ours) == {"source_row": "source_row", "row": "source_source_row"}


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["12345678901234567890123", "12345678901234567890124"], pa.string()),
        ([-5, 2**40], pa.int64()),
        ([1, 2**64 - 1], pa.uint64()),
        ([-1, 2**64 - 1], pa.string()),
        (["a", "b"], pa.string()),
        ([True, False], pa.bool_()),
    ],
)
def test_labels_come_out_in_one_type_that_holds_them(labels: list[object], kind: pa.DataType, tmp_path: Path) -> None:
    result = trained([labels[int(v > 0)] for v in X])
    pd.DataFrame({"x": X, "city": CITY}).to_csv(tmp_path / "new.csv", index=False)
    predict_source(result, str(tmp_path / "new.csv"), tmp_path / "p.parquet")
    written = pq.read_table(tmp_path / "p.parquet")["predicted"]
    assert written.type == kind
    assert set(map(str, written.to_pylist())) <= set(map(str, labels))


def test_unseen_categories_are_told(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skedastic.data.sources.unlabelled.ROWS", 13)
    city = np.where(np.arange(N) % 10 == 0, "Rom", CITY)
    city[[1, 31]] = ["Oslo", ""]
    frame = pd.DataFrame({"x": X, "city": city, "label": [str(v > 0) for v in X]})
    frame.to_csv(tmp_path / "new.csv", index=False)
    note = "column city: 8 of 60 rows hold a category that training never saw ('Rom', 'Oslo', no value)"
    said = list[str]()
    predict_source(result, str(tmp_path / "new.csv"), tmp_path / "p.csv", say=said.append)
    assert [s.split(";")[0] for s in said] == [note]
    evaluated = list[str]()
    evaluate_source(result, str(tmp_path / "new.csv"), say=evaluated.append)
    assert evaluated == said
    with pytest.warns(UserWarning, match="column city: 8 of 60 rows"):
        result.predict(frame.assign(city=frame["city"].replace("", None)))


def test_a_category_is_a_value_in_every_later_file(tmp_path: Path) -> None:
    codes = np.array(["1", "2", "3"])[np.arange(N) % 3]
    frame = pd.DataFrame({"x": X, "code": codes, "label": [str(v > 0) for v in X]})
    result = sk.fit(frame, target="label", categorical="code", method="erm", train=QUICK, test="none")
    ways = {
        "text": codes,
        "floats": codes.astype(float),
        "points": np.char.add(codes, ".0"),
        "whole": codes.astype(int),
    }
    p = result.predict_proba(frame)
    for way, cells in ways.items():
        frame.assign(code=cells).to_csv(tmp_path / f"{way}.csv", index=False)
        frame.assign(code=cells).to_parquet(tmp_path / f"{way}.parquet")
        for ending in ("csv", "parquet"):
            said = list[str]()
            predict_source(
                result, str(tmp_path / f"{way}.{ending}"), tmp_path / "p.parquet", force=True, say=said.append
            )
            written = pd.read_parquet(tmp_path / "p.parquet")[["p_False", "p_True"]]
            np.testing.assert_allclose(written, p, rtol=1e-5)
            assert not said


def test_truth_values_come_back_as_such() -> None:
    y = X > 0
    result = sk.fit(pd.DataFrame({"x": X}), y, method="erm", train=QUICK, test="none")
    assert result.predict(pd.DataFrame({"x": X})).dtype == bool
    text = sk.fit(pd.DataFrame({"x": X}), y.astype(str), method="erm", train=QUICK, test="none")
    assert text.predict(pd.DataFrame({"x": X})).iloc[0] in ("True", "False")


def test_the_source_is_not_overwritten(result: Result, tmp_path: Path) -> None:
    pd.DataFrame({"x": X, "city": CITY}).to_csv(tmp_path / "new.csv", index=False)
    before = (tmp_path / "new.csv").read_bytes()
    with refused("out", str(tmp_path / "new.csv"), rule="it is the source"):
        predict_source(result, str(tmp_path / "new.csv"), tmp_path / "new.csv", force=True)
    assert (tmp_path / "new.csv").read_bytes() == before


def test_bytes_are_decoded_where_the_file_is_text(result: Result, tmp_path: Path) -> None:
    for cells, name in (([b"\xc3\xa4"] * N, "good"), ([b"\xff"] * N, "bad")):
        pq.write_table(pa.table({"x": X, "city": CITY, "k": cells}), tmp_path / f"{name}.parquet")
    predict_source(result, str(tmp_path / "good.parquet"), tmp_path / "p.csv", keep=["k"])
    assert pd.read_csv(tmp_path / "p.csv")["k"].tolist() == ["ä"] * N
    with refused("out", rule="bytes that are no text"):
        predict_source(result, str(tmp_path / "bad.parquet"), tmp_path / "q.jsonl", keep=["k"])
    predict_source(result, str(tmp_path / "bad.parquet"), tmp_path / "q.parquet", keep=["k"])
    assert pq.read_table(tmp_path / "q.parquet")["k"].to_pylist() == [b"\xff"] * N


def test_columns_without_any_value_are_told_in_one_line(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skedastic.data.sources.unlabelled.ROWS", 13)
    frame = pd.DataFrame({"x": X, "city": "", "label": [str(v > 0) for v in X]})
    frame.to_csv(tmp_path / "new.csv", index=False)
    note = "column city holds no value in any of 60 rows, and did in training; every cell is taken as missing"
    predicted, evaluated = list[str](), list[str]()
    predict_source(result, str(tmp_path / "new.csv"), tmp_path / "p.csv", say=predicted.append)
    evaluate_source(result, str(tmp_path / "new.csv"), say=evaluated.append)
    assert predicted == evaluated == [note]
    frame["x"] = ""
    frame.to_csv(tmp_path / "new.csv", index=False)
    said = list[str]()
    predict_source(result, str(tmp_path / "new.csv"), tmp_path / "p.csv", force=True, say=said.append)
    assert [s.split(",")[0] for s in said] == ["columns x"]
    with pytest.warns(UserWarning, match="columns x, city hold no value in any of 60 rows"):
        result.predict(frame.assign(x=np.nan))
    frame.loc[40, ["x", "city"]] = ["0.5", CITY[0]]  # a later part
    frame.to_csv(tmp_path / "new.csv", index=False)
    said.clear()
    predict_source(result, str(tmp_path / "new.csv"), tmp_path / "p.csv", force=True, say=said.append)
    assert not any("holds no value" in s or "hold no value" in s for s in said)
