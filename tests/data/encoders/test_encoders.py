"""Encoders: equal to scikit-learn's, saved as JSON, and clear about features they can't read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, RobustScaler
from torch.utils._python_dispatch import TorchDispatchMode

from skedastic.data import Encoder, ImageEncoder, RowEncoder, from_arrays, open_source
from skedastic.data.encoders.saved import restored
from tests.support.refusals import refused


def table(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "height": rng.normal(170, 10, n),
            "city": rng.choice(["Rome", "Oslo", "", "Lima"], n).astype(object),
            "children": rng.integers(0, 4, n).astype(float),
            "smoker": rng.choice(["yes", "no"], n).astype(object),
        }
    )
    frame = frame.mask(rng.random((n, 4)) < [[0.1, 0, 0.1, 0]])
    return frame.astype({"city": "category", "smoker": "category"})


def clipped_by_quartiles(X: np.ndarray) -> np.ndarray:
    """Return z / √(1 + (z/3)²), z centred at the median and divided by the distance of the quartiles."""
    low, median, high = np.quantile(X, (0.25, 0.5, 0.75), axis=0)
    z = (X - median) / (high - low)
    return z / np.sqrt(1 + z**2 / 9)


def same(a: Encoder, b: Encoder) -> bool:
    return json.dumps(a.to_json()) == json.dumps(b.to_json())


def test_tables_are_encoded_as_scikit_learn_does_but_for_the_clip() -> None:
    training, test = table(200), table(50, seed=1)
    test["city"] = test["city"].cat.add_categories("Paris")
    test.loc[3, "city"] = "Paris"
    numbers, categories = ["height", "children"], ["city", "smoker"]
    impute = SimpleImputer(strategy="median", add_indicator=True)
    clipped = FunctionTransformer(lambda z: z / np.sqrt(1 + (z / 3) ** 2))
    scaled = make_pipeline(RobustScaler(), clipped)  # NaN is left out of the quartiles, and the median becomes 0
    marked = ColumnTransformer([("numbers", "passthrough", [0, 1])], remainder="passthrough")
    reference = ColumnTransformer(
        [
            ("numbers", make_pipeline(scaled, impute, marked), numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
        ]
    ).fit(training)
    encoder = RowEncoder.fit(training)
    assert encoder.input_shape == (2 + 2 + 4 + 2,), "numbers, which are missing, cities, smokers"
    order = [0, 2, 1, 3, *range(4, encoder.input_shape[0])]  # each number stands before its mark
    for frame in (training, test):
        x = encoder.transform(frame)
        assert x.dtype == torch.float32
        np.testing.assert_allclose(x.numpy(), reference.transform(frame)[:, order], atol=1e-5)


def test_an_encoder_is_fitted_on_the_rows_it_is_given_only() -> None:
    frame = table(100)
    y = np.arange(100) % 2
    rows = torch.arange(0, 100, 3)
    whole = from_arrays(frame, y).encode(rows)
    alone = from_arrays(frame.iloc[::3], y[::3]).encode(torch.arange(len(rows)))
    assert same(whole, alone)


@pytest.mark.parametrize("make", [lambda: RowEncoder.fit(table(60)), lambda: ImageEncoder.fit(torch.rand(9, 3, 4, 5))])
def test_an_encoder_survives_json(make: object) -> None:
    encoder = make()
    again = restored(json.loads(json.dumps(encoder.to_json())), encoder.arrays())
    assert again == encoder
    assert again.input_shape == encoder.input_shape


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"encoder": "sound"},
        {"encoder": "rows"},
        {"encoder": "images", "shape": [1, 2, 3]},
        {"encoder": "rows", "numbers": [{"name": "a"}], "categories": {}, "texts": [], "text": None, "dates": []},
        {"encoder": "rows", "numbers": [], "categories": [], "texts": [], "text": None, "dates": []},
    ],
)
def test_a_damaged_encoder_is_refused(state: dict[str, object]) -> None:
    with refused("the saved encoder", None):
        restored(state, {})


def test_columns_that_are_constant_or_empty_in_training_do_no_harm() -> None:
    frame = pd.DataFrame({"constant": [0.1] * 7, "empty": [np.nan] * 7, "x": np.arange(7.0)})
    x = RowEncoder.fit(frame).transform(frame)
    assert torch.isfinite(x).all()
    assert x[:, :2].abs().max() < 1e-6, "the third says that the second is missing"


def test_a_number_far_away_moves_neither_the_others_nor_what_is_seen_of_it() -> None:
    x = np.append(np.arange(99.0), 1e12)
    near = RowEncoder.fit(pd.DataFrame({"x": np.arange(100.0)})).transform(pd.DataFrame({"x": x}))
    far = RowEncoder.fit(pd.DataFrame({"x": x})).transform(pd.DataFrame({"x": x}))
    torch.testing.assert_close(far[:99], near[:99])
    assert far.abs().max() <= 3


def test_a_column_of_mostly_one_number_is_scaled_by_its_range_and_one_of_two_is_standardized() -> None:
    frame = pd.DataFrame({"mostly": [5.0] * 8 + [1.0, 9.0], "two": [0.0] * 8 + [1.0] * 2})
    x = RowEncoder.fit(frame).transform(frame).double().numpy()
    unclipped = x / np.sqrt(1 - (x / 3) ** 2)
    np.testing.assert_allclose(unclipped[:, 0], [0] * 8 + [-1, 1], atol=1e-5)
    np.testing.assert_allclose(unclipped[:, 1], [-0.5] * 8 + [2] * 2, atol=1e-5)


def test_the_inputs_tell_which_entries_are_numbers() -> None:
    values = {"a": [1.0, np.nan, 3, 4], "v": [[1.0, 2]] * 4, "c": ["x", "y", "z", "x"], "b": [4.0, 5, 6, 7]}
    inputs = from_arrays(pd.DataFrame(values), np.arange(4) % 2).encode(torch.arange(4)).inputs
    assert (inputs.real, inputs.numbers) == (8, (0, 2, 3, 4)), "a, whether a is missing, b, v, indicators of c"


def test_only_categories_and_only_numbers() -> None:
    cities = table(30)[["city"]]
    assert RowEncoder.fit(cities).transform(cities).sum(1).tolist() == [1] * 30
    assert RowEncoder.fit(table(30)[["height"]].fillna(1)).input_shape == (1,)


def test_prediction_takes_frames_with_the_columns_of_training() -> None:
    frame = table(100)
    encoder = from_arrays(frame, np.arange(100) % 2).encode(torch.arange(100))
    shuffled = frame[["smoker", "children", "height", "city"]].assign(extra=1)
    torch.testing.assert_close(encoder.for_prediction(shuffled), encoder.transform(frame))
    as_text = frame.assign(children=frame["children"].map(lambda v: "" if np.isnan(v) else f" {v} "))
    torch.testing.assert_close(encoder.for_prediction(as_text), encoder.transform(frame))


def test_features_that_can_not_be_read_are_refused() -> None:
    frame = table(20)
    encoder = RowEncoder.fit(frame)

    for X, place, value, rule in (
        (frame.rename(columns={"height": "hight"}), "X", "height", "− height (numeric, is it 'hight'?), + hight;"),
        (frame.astype(object).assign(height=["1", "2", "tall", *"4" * 17]), "X, row 2, column 'height'", "tall", ""),
        (frame.assign(height=[0, np.inf, *[1] * 18]), "X, row 1, column 'height'", np.inf, ""),
        (np.zeros((3, 4)), "X", None, "must be a frame with the columns height, children, city, smoker"),
        (
            frame.assign(height=pd.date_range("2024-01-01", periods=20)),
            "X, row 0, column 'height'",
            "2024-01-01 00:00:00",
            "is not a number",
        ),
    ):
        with refused(place, value, rule=rule):
            encoder.for_prediction(X)


def test_prediction_from_arrays() -> None:
    X = np.random.default_rng(0).normal(3, 2, (50, 4))
    encoder = from_arrays(X, np.arange(50) % 2).encode(torch.arange(50))
    expected = torch.from_numpy(clipped_by_quartiles(X)).float()
    for given in (X, torch.from_numpy(X), X.tolist(), pd.DataFrame(X, columns=["x0", "x1", "x2", "x3"])):
        torch.testing.assert_close(encoder.for_prediction(given), expected)
    with refused("X", [50, 3], rule="[n, 4]"):
        encoder.for_prediction(X[:, :3])
    with refused("X[2, 1]", rule="impute or remove"):
        encoder.for_prediction(np.where(np.arange(200).reshape(50, 4) == 9, np.nan, X))
    with refused("X", [4], rule="[n, 4]"):
        encoder.for_prediction(X[0])


def test_images_keep_their_pixels_and_give_their_statistics() -> None:
    pixels = torch.randint(0, 256, (40, 3, 6, 5), dtype=torch.uint8)
    pixels[:, 2] = 7
    encoder = ImageEncoder.fit(pixels)
    values = pixels.double() / 255
    np.testing.assert_allclose(encoder.mean, values.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(encoder.std[:2], values.std((0, 2, 3), correction=0)[:2], rtol=1e-12)
    assert encoder.std[2] == 1, "a constant channel is not blown up"
    assert encoder.transform(pixels) is pixels
    assert encoder.input_shape == (3, 6, 5)
    reals = open_source("digits")
    fitted = reals.encode(torch.arange(1797))
    assert isinstance(fitted, ImageEncoder)
    assert fitted.mean[0] == pytest.approx(float(reals.features.mean()), rel=1e-5)


def test_images_of_another_shape_or_scale_are_refused() -> None:
    encoder = ImageEncoder.fit(torch.randint(0, 256, (4, 3, 6, 5), dtype=torch.uint8))
    as_they_come = torch.randint(0, 256, (2, 6, 5, 3))
    assert encoder.for_prediction(as_they_come).shape == (2, 3, 6, 5)
    assert encoder.for_prediction(torch.rand(2, 3, 6, 5)).dtype == torch.float32
    with refused("X", [1, 6, 5], rule="[3, 6, 5]"):
        encoder.for_prediction(torch.rand(2, 6, 5))
    with refused("X", float(as_they_come.max()), rule="divide by 255"):
        encoder.for_prediction(as_they_come.float())
    with refused("X[1, 0, 0, 0]", rule="impute or remove"):
        encoder.for_prediction(torch.tensor([0.0, torch.nan]).view(2, 1, 1, 1).expand(2, 3, 6, 5))


class Largest(TorchDispatchMode):
    """The largest number of bytes that a result of torch had within this context."""

    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.most = max(self.most, result.nbytes)
        return result


def test_statistics_of_images_take_less_memory_than_the_images() -> None:
    """They took eight times as much, as float64."""
    pixels = torch.randint(0, 256, (4000, 1, 8, 8), dtype=torch.uint8)
    with Largest() as largest:
        ImageEncoder.fit(pixels)
    assert 0 < largest.most < pixels.nbytes / 2
