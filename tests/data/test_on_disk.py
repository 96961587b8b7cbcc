"""Rows in a temporary file: they are read as they were written, and training on them is training on a tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import Tensor

import skedastic as sk
from skedastic.data import on_disk as stored
from skedastic.data import open_source
from skedastic.data.encoders import rows as encode_rows
from skedastic.data.encoders.rows import RowEncoder
from skedastic.data.on_disk import OnDiskFeatures
from skedastic.data.tables.readers import ArrowFileReader

N, WIDTH = 1000, 7


def both() -> tuple[Tensor, OnDiskFeatures]:
    x = torch.randn(N, WIDTH, generator=torch.Generator().manual_seed(0))
    return x, OnDiskFeatures.written((block.numpy() for block in x.split(300)), WIDTH)


@pytest.mark.parametrize("block", [WIDTH * 4, 5 * WIDTH * 4, 10**9])
@pytest.mark.parametrize("sparse", [0, 100, 10**9])
def test_rows_are_read_as_they_were_written(block: int, sparse: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "BLOCK", block)
    monkeypatch.setattr(stored, "SPARSE", sparse)
    x, rows = both()
    assert rows.shape == x.shape
    assert len(rows) == N
    generator = torch.Generator().manual_seed(1)
    for order in (
        torch.arange(N),
        torch.randperm(N, generator=generator),
        torch.randint(N, (2 * N,), generator=generator),
        torch.tensor([N - 1, 0, 0]),
        torch.tensor([], dtype=torch.int64),
    ):
        assert torch.equal(rows[order], x[order])
    some = torch.randperm(N, generator=generator)[:400]
    part = rows.take(some)
    again = torch.randint(400, (50,), generator=generator)
    assert part.shape == (400, WIDTH)
    assert torch.equal(part[again], x[some][again])
    assert torch.equal(part.take(again)[torch.arange(50)], x[some][again])


@pytest.mark.parametrize("size", [1, 64 * WIDTH * 4, 10**9])
def test_batches_are_those_of_the_order(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PART", size)
    x, rows = both()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))[:997]
    sizes = [32] * 30 + [37]
    batches = list(rows.batches(order, sizes))
    assert [len(b) for b in batches] == sizes
    assert torch.equal(torch.cat(batches), x[order])
    assert list(rows.batches(order[:0], [])) == []


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    return pd.DataFrame(
        {
            "x": np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300) + y),
            "kind": rng.choice(list("pqr"), 300),
            "many": rng.choice([f"c{i}" for i in range(40)], 300),
            "when": pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 900, 300), unit="D"),
            "said": [f"the {'abc'[c]} one is number {i} of all" for i, c in enumerate(y)],
            "label": np.array(list("abc"))[y],
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("columns", [["x", "kind", "many", "when"], ["x", "said"]])
def test_training_on_stored_rows_is_training_on_a_tensor(columns: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = frame()[[*columns, "label"]]

    def trained() -> sk.Result:
        return sk.fit(
            data, target="label", test=0.3, train=sk.TrainingConfig(epochs=2, batch_size=32), method="har", seed=3
        )

    in_memory = trained()
    monkeypatch.setattr(encode_rows, "LARGE", 0)
    monkeypatch.setattr(encode_rows, "ROWS", 64)
    on_disk = trained()
    for a, b in zip(in_memory.net.parameters(), on_disk.net.parameters(), strict=True):
        assert torch.equal(a, b)
    pd.testing.assert_frame_equal(in_memory.predictions, on_disk.predictions)
    pd.testing.assert_frame_equal(in_memory.label_issues, on_disk.label_issues)
    assert np.array_equal(on_disk.predict_proba(data), in_memory.predict_proba(data))


def test_rows_in_any_order_are_stored_in_that_order(monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(frame().drop(columns="said"), target="label")
    encoder = source.encode(torch.arange(200))
    assert isinstance(encoder, RowEncoder)
    rows = torch.randperm(300, generator=torch.Generator().manual_seed(0))[:150]
    expected = encoder.transform(source.features, rows)
    monkeypatch.setattr(encode_rows, "LARGE", 0)
    monkeypatch.setattr(encode_rows, "ROWS", 70)
    encoded = encoder.transform(source.features, rows)
    assert isinstance(encoded, OnDiskFeatures)
    assert torch.equal(encoded[torch.arange(150)], expected)
    everything = encoder.transform(source.features)
    assert torch.equal(everything[torch.arange(300)], encoder.in_memory(source.features))


@pytest.mark.parametrize("stream", [False, True])
def test_an_arrow_file_is_read_by_column_and_by_rows(
    stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skedastic.data.tables.readers.MAPPED", 1)
    table = pa.Table.from_pandas(frame())
    for name, part in (("a.arrow", table.slice(0, 100)), ("b.arrow", table.slice(100))):
        with pa.OSFile(str(tmp_path / name), "wb") as file:
            make = pa.ipc.new_stream if stream else pa.ipc.new_file
            with make(file, table.schema) as out:
                out.write_table(part, max_chunksize=23)
    source = open_source(str(tmp_path / "*.arrow"), target="label")
    reader = source.features.table.reader
    assert isinstance(reader.reader, ArrowFileReader)
    pd.testing.assert_series_equal(reader.read("said"), table["said"].to_pandas(), check_names=False)
    parts = list(reader.batches(["many", "x"], 64))
    assert [len(p) for p in parts] == [64, 64, 64, 64, 44]
    together = pd.concat([pd.DataFrame({n: p.read(n) for n in p.names}) for p in parts], ignore_index=True)
    pd.testing.assert_frame_equal(together, table.select(["many", "x"]).to_pandas())
