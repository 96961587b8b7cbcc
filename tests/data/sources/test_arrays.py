"""Arrays from Python and from .npz files: every form that is taken, and every one that is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from skedastic.data import Source, from_arrays, open_source
from skedastic.errors import UserError

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 3


def refused(*args: object, **options: object) -> str:
    with pytest.raises(UserError) as error:
        from_arrays(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (X, Y),
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (X.tolist(), Y.tolist()),
        (X.astype(object), Y.astype(np.int8)),
        (X, pd.Series(Y, index=np.arange(12) + 100)),
        (X.astype(">f8"), Y.astype(float)),
        (np.asfortranarray(X)[::-1][::-1], tuple(Y)),
    ],
)
def test_one_source_in_many_forms(features: object, labels: object) -> None:
    source = from_arrays(features, labels)
    np.testing.assert_allclose(source.features.frame().to_numpy(), X)
    assert source.y.tolist() == Y.tolist()
    assert source.classes == ("0", "1", "2")
    assert source.target.integer_labels
    assert source.kind == "table"


def test_labels_and_groups_of_any_kind() -> None:
    words = from_arrays(X, ["b", "a"] * 6, groups=np.arange(12) % 4, truth=["a"] * 11 + ["b"])
    assert words.classes == ("a", "b")
    assert words.groups == ("0", "1", "2", "3")
    assert words.group.tolist() == [0, 1, 2, 3] * 3
    assert words.truth.tolist() == [0] * 11 + [1]
    assert not words.target.integer_labels
    assert not from_arrays(X, ["0", "1"] * 6).target.integer_labels
    assert from_arrays(X, [True, False] * 6).classes == ("False", "True")


def test_a_frame_with_any_index_and_column_names() -> None:
    frame = pd.DataFrame(X, index=np.arange(12) * 2, columns=[0, 1, 2]).assign(colour=list("rgb") * 4)
    source = from_arrays(frame, Y)
    assert list(source.features.columns) == ["0", "1", "2", "colour"]
    assert "two columns 'a'" in refused(pd.DataFrame(X, columns=["a", "a", "b"]), Y)
    frame.iloc[2, 1] = np.inf
    assert "X: column '1', row 2: inf is not in" in refused(frame, Y)


def test_images_in_every_layout() -> None:
    rng = np.random.default_rng(0)
    grey = from_arrays(rng.random((12, 5, 4)), Y)
    assert grey.kind == "image"
    assert grey.features.shape == (12, 1, 5, 4)
    assert grey.features.dtype == torch.float32
    last = rng.integers(0, 256, (12, 5, 4, 3), dtype=np.uint8)
    source = from_arrays(last, Y)
    assert source.features.dtype == torch.uint8
    np.testing.assert_array_equal(source.features, last.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(from_arrays(last.transpose(0, 3, 1, 2), Y).features, source.features)
    np.testing.assert_array_equal(from_arrays(last.astype(np.int64), Y).features, source.features)
    np.testing.assert_array_equal(np.asarray(source.image(3)), last[3])
    assert source.describe(3) == {}
    assert from_arrays(rng.random((12, 5, 4)) < 0.5, Y).features.unique().tolist() == [0, 255]
    assert from_arrays(rng.random((12, 7, 5, 4)), Y).image(0) is None


def test_features_that_can_not_be() -> None:
    hole = X.copy()
    hole[4, 1] = np.nan
    hole[5, 2] = np.inf
    assert (
        refused(hole, Y)
        == "X[4, 1] (row 4, column 1) is nan, as 1 other values are; impute or remove such values first"
    )
    text = X.astype(object)
    text[2, 0] = "abc"
    assert refused(text, Y) == "X[2, 0] (row 2, column 0) is 'abc', which is not a number; encode or remove that column"
    text[2, 0] = None
    assert "X[2, 0] (row 2, column 0) is nan" in refused(text, Y)
    assert "X[0, 0] (row 0, column 0) is 1e+300" in refused(np.full((12, 2), 1e300), Y)
    assert "ragged" in refused([[1, 2], [3]], [0, 1])
    assert "complex" in refused(torch.ones(12, 2, dtype=torch.complex64), Y)
    assert "it must hold numbers" in refused(np.ones((12, 2), dtype=complex), Y)
    assert "X has shape [12]; give rows [n, d], or images" in refused(X[:, 0], Y)
    assert "X has shape [12, 0]: there is no feature" in refused(X[:, :0], Y)
    assert "the images are empty" in refused(np.ones((12, 0, 4)), Y)
    assert "X holds pixels from 0 to 300; give integers in 0..255" in refused(
        np.full((12, 2, 2), 300) * (Y > 0)[:, None, None], Y
    )
    assert refused(X[:0], []) == "X has no rows"
    assert refused(pd.DataFrame(X[:0]), []) == "X has no rows"


def test_labels_that_can_not_be() -> None:
    assert refused(X, Y[:-1]) == "y has 11 entries and X 12 rows; give one entry for each example"
    assert "groups has 2 entries" in refused(X, Y, groups=[1, 2])
    assert "y has shape [12, 2]" in refused(X, np.eye(2)[Y % 2])
    assert refused(X, [None, *Y[1:]]).startswith("y[0]: the label is missing")
    assert "y[3]: the label is missing" in refused(X, np.where(np.arange(12) == 3, np.nan, Y))
    assert "y has shape []" in refused(X, 5)
    assert refused(X, None) == "y is missing; give a label for each example"
    assert refused(X, [1] * 12) == "y: every label is '1'; a classifier needs at least two classes"
    assert "y: class '2' with a single example" in refused(X, [0, 1] * 5 + [0, 2])
    assert "y: class '7'" in refused(X, [0, 1] * 5 + [0, 7])
    assert "this looks like regression" in refused(X, X[:, 0], task="classification")
    assert "truth[11]: true label '9' is no class of the target" in refused(X, Y, truth=[0, 1, 2] * 3 + [0, 1, 9])


def test_a_test_set_like_the_training_set() -> None:
    training = from_arrays(X, ["a", "b"] * 6, groups=["u", "v", "w"] * 4)
    test = from_arrays(X[:2], ["b", "b"], groups=["w", "w"], schema=training.schema)
    assert test.y.tolist() == [1, 1]
    assert test.group.tolist() == [2, 2]
    assert "y[1]: label 'c' does not occur in the training data" in refused(
        X[:2], ["a", "c"], ["u", "u"], schema=training.schema
    )
    assert "group 'x' does not occur" in refused(X[:2], ["a", "a"], ["u", "x"], schema=training.schema)
    assert "X has 2 features, the training data 3" in refused(X[:2, :2], ["a", "a"], ["u", "u"], schema=training.schema)
    assert refused(X[:0], [], [], schema=training.schema) == "X has no rows"
    digits = open_source("digits")
    assert "holds images [1, 4, 4]" in refused(np.ones((2, 4, 4)), [0, 1], schema=digits.schema)
    assert "is a table, and the training data are images" in refused(X, Y, schema=digits.schema)
    assert "is a table, and the training data are images" in refused(pd.DataFrame(X), Y, schema=digits.schema)


def test_digits() -> None:
    source = open_source("digits")
    assert source.features.shape == (1797, 1, 8, 8)
    assert source.features.dtype == torch.float32
    assert source.features.aminmax() == (0, 1)
    assert source.classes == source.groups == tuple("0123456789")
    assert source.target.integer_labels
    assert source.image(0).size == (8, 8)
    with pytest.raises(UserError, match="digits has no columns: leave --target"):
        open_source("digits", target="y")


def saved(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def test_npz(tmp_path: Path) -> None:
    site = np.array(["n", "s"] * 6)
    path = saved(tmp_path, X=X, y=Y, site=site, clean=Y[::-1])
    plain: Source = open_source(path)
    np.testing.assert_allclose(plain.features.frame().to_numpy(), X)
    assert plain.groups == plain.classes == ("0", "1", "2")
    grouped = open_source(path, groups="site", truth="clean")
    assert grouped.groups == ("n", "s")
    assert grouped.truth.tolist() == Y[::-1].tolist()
    images = open_source(saved(tmp_path, X=np.ones((12, 4, 4, 3), dtype=np.uint8), y=Y))
    assert images.features.shape == (12, 3, 4, 4)


def test_npz_that_can_not_be(tmp_path: Path) -> None:
    def refused(path: Path, **options: object) -> str:
        with pytest.raises(UserError) as error:
            open_source(path, **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "never unpickled" in refused(saved(tmp_path, X=X.astype(object), y=Y))
    assert "never unpickled" in refused(saved(tmp_path, X=X, y=np.array(["a", 1] * 6, dtype=object)))
    assert "unknown array 'X'; did you mean 'x'? (known: x, y)" in refused(saved(tmp_path, x=X, y=Y))
    assert "unknown array 'labels'" in refused(saved(tmp_path, X=X, y=Y), target="labels")
    assert "data.npz: y has 2 entries" in refused(saved(tmp_path, X=X, y=Y[:2]))
    assert "data.npz: X[0, 0] (row 0, column 0) is nan" in refused(saved(tmp_path, X=X * np.nan, y=Y))
    assert "--ignore, --numeric and the like are for tables" in refused(saved(tmp_path, X=X, y=Y), ignore=["a"])
    assert "no such file" in refused(tmp_path / "absent.npz")
    for content in (b"not an archive", b"PK\x03\x04 broken", b"\x93NUMPY\x01\x00"):
        (tmp_path / "fake.npz").write_bytes(content)
        assert "is no archive of NumPy arrays" in refused(tmp_path / "fake.npz")
    np.save(tmp_path / "single.npy", X)
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    assert "is no archive of NumPy arrays" in refused(tmp_path / "single.npz")
