"""Any frame gives the same schema, tensors and predictions in every format, and what is handed on comes out equal."""

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import skedastic as sk
from skedastic.data import open_source
from skedastic.data.tables.values import as_names
from skedastic.errors import UserError
from skedastic.runs.predict import predict_source
from skedastic.training import TrainingConfig

N = 30
ENDINGS = ("csv", "tsv", "json", "jsonl", "parquet", "arrow")
ONE_EPOCH = TrainingConfig(epochs=1, batch_size=16, lr=0.05, device="cpu")
LETTERS = st.characters(exclude_categories=("Cs", "Cc"))
WORDS = st.text(LETTERS, max_size=6) | st.sampled_from(
    ["NA", "null", "1.0", "007", "true", "a,b", 'say "x"', "a\nb", "=1"]
)
NAMES = st.text(LETTERS, min_size=1, max_size=8) | st.sampled_from(
    ["a,b", 'the "x"', "row", "score", "p_a", "x.1", "größe"]
)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**63), 2**63 - 1),
    "small": st.integers(0, 9),
    "real": st.floats(-1e30, 1e30, allow_nan=False),
    "single": st.integers(-8000, 8000).map(lambda eighths: eighths / 8),
    "flag": st.booleans(),
    "perhaps": st.sampled_from(["true", "false", "unknown"]),
    "price": st.integers(-(10**6), 10**6).map(lambda cents: f"{cents / 100:.2f} €".replace(".", ",")),
    "decimal": st.decimals(-100, 100, places=3, allow_nan=False),
    "word": st.sampled_from(["red", "green", "Blue", "007", "1.5"]),
    "any word": WORDS,
    "date": st.dates(pd.Timestamp("1900-01-01").date(), pd.Timestamp("2100-01-01").date()).map(pd.Timestamp),
}
TYPES = {
    "whole": "Int64",
    "small": "Int64",
    "real": "float64",
    "single": "float32",
    "flag": "boolean",
    "date": "datetime64[us]",
}
OWN = ("", "safe", "ward", "label")
WARDS = [["n", "s", "ö, w"], [1, 2, 30], ["007", "7", "1.50"], [0.5, 1.0, 2.25], [2**60 + 1, 2**60 + 2, 5]]
LABELS = [["a", "b"], [0, 1], [-7, 41], [True, False], [2**63 + 1, 5], ["1", "2.5"], ["Ünder", "a,b"]]


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Return a frame of a few columns of any kinds, with missing cells, beside a column of labels."""
    columns = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=lambda n: n.strip().lower())):
        kind = draw(st.sampled_from(sorted(CELLS)))
        cell = CELLS[kind] | st.none() if draw(st.booleans()) else CELLS[kind]
        columns[name] = pd.Series(draw(st.lists(cell, min_size=N, max_size=N)), dtype=TYPES.get(kind, object))
    labels = draw(st.sampled_from(LABELS))
    frame = pd.DataFrame({name: column for name, column in columns.items() if name.strip() not in OWN})
    frame["safe"] = np.arange(N) % 7 * 0.5
    frame["ward"] = pd.Series(draw(st.sampled_from(WARDS)) * (N // 3), dtype=object).infer_objects()
    return frame.assign(label=pd.Series([labels[i % 2] for i in range(N)]))


def write(frame: pd.DataFrame, file: Path) -> None:
    """Write a frame as its users do."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if file.suffix in (".csv", ".tsv"):
        frame.to_csv(file, index=False, sep="\t" if file.suffix == ".tsv" else ",")
    elif file.suffix == ".parquet":
        frame.to_parquet(file)
    elif file.suffix == ".arrow":
        with pa.OSFile(str(file), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    else:
        decimals = [name for name in frame if any(isinstance(cell, Decimal) for cell in frame[name])]
        plain = frame.assign(**{n: [None if v is None else float(v) for v in frame[n]] for n in decimals})
        table = pa.Table.from_pandas(plain, preserve_index=False)
        rows = [{k: v.date().isoformat() if hasattr(v, "date") else v for k, v in r.items()} for r in table.to_pylist()]
        present = [{k: v for k, v in row.items() if v is not None or i % 2 or i == 0} for i, row in enumerate(rows)]
        text = json.dumps(present) if file.suffix == ".json" else "\n".join(map(json.dumps, present))
        file.write_text(text, encoding="utf-8")


def opened(file: Path) -> Any:
    """Return the source, or where it is refused the rule."""
    try:
        return open_source(file, target="label")
    except UserError as error:
        return error.rule


EVERY = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.slow
@settings(max_examples=60, **EVERY)
@given(frames())
def test_every_format_gives_the_same_schema_and_tensors(frame: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as name:
        sources = {}
        for ending in ENDINGS:
            write(frame, Path(name) / f"t.{ending}")
            sources[ending] = opened(Path(name) / f"t.{ending}")
        first = sources["parquet"]
        if isinstance(first, str):
            assert set(sources.values()) == {first}
            return
        x = first.encode(torch.arange(N)).transform(first.features)
        for ending, source in sources.items():
            assert not isinstance(source, str), f"{ending}: {source}"
            assert source.schema.kinds == first.schema.kinds, ending
            assert (source.classes, source.groups) == (first.classes, first.groups), ending
            assert torch.equal(source.y, first.y), ending
            assert torch.equal(source.encode(torch.arange(N)).transform(source.features), x), ending


@pytest.mark.slow
@settings(max_examples=25, phases=[Phase.generate], **EVERY)
@given(frames())
def test_every_format_gives_the_same_predictions_and_kept_cells(frame: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("skedastic.data.sources.unlabelled.ROWS", 7)
        folder = Path(name)
        for ending in ENDINGS:
            write(frame, folder / f"t.{ending}")
        if isinstance(opened(folder / "t.csv"), str):
            return
        result = sk.fit(folder / "t.csv", target="label", method="erm", groups="ward", train=ONE_EPOCH, test="none")
        kept = [column for column in frame.columns if column != "safe"]
        whole = None
        for ending in ENDINGS:
            predict_source(result, str(folder / f"t.{ending}"), folder / "p.parquet", keep=kept, force=True)
            table = pd.read_parquet(folder / "p.parquet", dtype_backend="pyarrow")
            assert table["group"].to_list() == as_names(frame["ward"]).tolist(), ending
            own = ["predicted", *(f"p_{c}" for c in result.classes)]
            predicted = pd.DataFrame({column: table[column].to_list() for column in own})
            whole = predicted if whole is None else whole
            pd.testing.assert_frame_equal(predicted, whole)
            for column, written in zip(kept, table.columns[1:], strict=False):
                cells = pd.Series(table[written].to_list(), dtype=object)
                assert as_names(cells).tolist() == as_names(frame[column].astype(object)).tolist(), (ending, column)
