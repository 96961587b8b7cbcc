"""Many numbers of one kind keep their proportions, and the others are scaled one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from skedastic.data import open_source
from skedastic.data.encoders.common_scale import ALIKE, BEYOND, MANY, proportions
from skedastic.data.encoders.rows import RowEncoder


def embedding(n: int = 400, width: int = 64, seed: int = 0) -> np.ndarray:
    """Return principal components, whose deviations fall from 3 to 1."""
    return np.random.default_rng(seed).normal(size=(n, width)) * np.linspace(3, 1, width)


def as_columns(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[1])])


def test_proportions_are_over_the_root_mean_square_and_what_lies_far_beyond_is_drawn_to_the_ends() -> None:
    spreads = np.array([3.0] * 40 + [4.0] * 40)
    np.testing.assert_allclose(proportions(spreads), spreads / np.sqrt(12.5))
    spreads[:3], spreads[-3:] = 1e-9, 1e9
    found = proportions(spreads)
    np.testing.assert_allclose(found[3:-3], spreads[3:-3] / np.sqrt(12.5))
    np.testing.assert_allclose(found[:3], 3 / BEYOND / np.sqrt(12.5))
    np.testing.assert_allclose(found[-3:], 4 * BEYOND / np.sqrt(12.5))


def test_few_numbers_and_those_of_different_kinds_stay_as_they_are() -> None:
    assert (proportions(np.full(MANY, 7.0)) == 1).all()
    assert (proportions(np.geomspace(1, ALIKE * 2, 100)) == 1).all()
    assert len(proportions(())) == 0
    indicators = proportions([0.0] * 40 + [3.0, 5.0])
    assert (indicators == 1).all(), "what does not count makes none of a kind"


def test_an_income_beside_indicators_drowns_them_neither_in_columns_nor_in_a_list(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.random((500, 36)) < 0.2, rng.normal(40, 12, 500), rng.lognormal(10, 1, 500)]).astype(float)
    in_columns = RowEncoder.fit(as_columns(x)).transform(as_columns(x))
    normal = np.column_stack([rng.normal(size=(500, 60)), rng.normal(size=(500, 4)) * 1e5])
    pd.DataFrame({"f": normal.tolist(), "y": np.arange(500) % 2}).to_parquet(tmp_path / "rows.parquet")
    source = open_source(tmp_path / "rows.parquet", target="y")
    in_a_list = RowEncoder.fit(source.features).transform(source.features)
    for encoded in (in_columns, in_a_list):
        spread = encoded.double().std(0)
        assert spread.max() < 2.5 * spread.median()
        assert spread.min() > 0.4 * spread.median()


def test_columns_and_lists_of_an_embedding_keep_their_proportions(tmp_path: Path) -> None:
    x = embedding()
    in_columns = RowEncoder.fit(as_columns(x)).transform(as_columns(x))
    lists = pd.DataFrame({"f": [row.tolist() for row in x], "y": np.arange(len(x)) % 2})
    lists.to_parquet(tmp_path / "rows.parquet")
    source = open_source(tmp_path / "rows.parquet", target="y")
    in_a_list = RowEncoder.fit(source.features).transform(source.features)
    for encoded in (in_columns, in_a_list):
        spread = encoded.double().std(0).numpy()
        np.testing.assert_allclose(spread / spread.mean(), x.std(0) / x.std(0).mean(), rtol=0.1)
    few = RowEncoder.fit(as_columns(x[:, ::4])).transform(as_columns(x[:, ::4]))
    assert few.std(0).max() < 1.2 * few.std(0).min(), "few columns are scaled one by one"


def test_a_number_far_off_is_clipped_by_the_spread_of_its_column() -> None:
    x = embedding()
    encoder = RowEncoder.fit(as_columns(x))
    x[0, -1] = 1e9
    far, weight = encoder.transform(as_columns(x))[0, -1], encoder.numbers[-1].weight
    assert float(far) == pytest.approx(3 * weight)
    assert weight < 0.6


def test_a_saved_encoder_has_them_and_one_of_older_runs_has_none() -> None:
    x = as_columns(embedding())
    encoder = RowEncoder.fit(x)
    fitted = encoder.to_json()
    fitted.pop("encoder")
    assert torch.equal(RowEncoder.restore(**fitted).transform(x), encoder.transform(x))
    older = {**fitted, "numbers": [{k: v for k, v in n.items() if k != "weight"} for n in fitted["numbers"]]}
    assert {n.weight for n in RowEncoder.restore(**older).numbers} == {1.0}
