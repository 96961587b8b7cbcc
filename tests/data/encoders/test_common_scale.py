"""Many numbers of one kind keep their proportions, and the others are scaled one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from skedastic.data import open_source
from skedastic.data.encoders.common_scale import ALIKE, MANY, common_scale
from skedastic.data.encoders.rows import RowEncoder


def embedding(n: int = 400, width: int = 64, seed: int = 0) -> np.ndarray:
    """Return principal components, whose deviations fall from 3 to 1."""
    return np.random.default_rng(seed).normal(size=(n, width)) * np.linspace(3, 1, width)


def as_columns(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[1])])


def test_the_scale_is_the_root_mean_square_and_its_ends_do_not_count() -> None:
    spreads = np.ones(50)
    assert common_scale(spreads) == 1
    spreads[:3], spreads[-3:] = 1e-9, 1e9
    assert common_scale(spreads) == 1
    assert common_scale([3.0] * 40 + [4.0] * 40) == pytest.approx(np.sqrt(12.5))


def test_few_numbers_and_those_of_different_kinds_have_none() -> None:
    assert common_scale(np.ones(MANY)) is None
    assert common_scale(np.geomspace(1, ALIKE * 2, 100)) is None
    assert common_scale(()) is None


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
