"""Arrays from Python and from .npz files: the forms that are taken, and those that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import torch

from skedastic.data import Classes, RowEncoder, Source, from_arrays, open_later, open_source
from skedastic.data.sources.opening import open_table
from skedastic.data.tables.table import Columns
from skedastic.errors import UserError
from tests.support.refusals import check_refusal, refused

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 3


def refusal(*args: object, **options: object) -> UserError:
    """Return the error with which arrays are refused."""
    with pytest.raises(UserError) as caught:
        from_arrays(*args, **options)
    return caught.value


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
    assert isinstance(source.target, Classes)
    assert source.target.integer_labels
    assert source.kind == "table"


def test_labels_and_groups_of_any_kind() -> None:
    words = from_arrays(X, ["b", "a"] * 6, groups=np.arange(12) % 4, truth=["a"] * 11 + ["b"])
    assert words.classes == ("a", "b")
    assert words.groups == ("0", "1", "2", "3")
    assert words.group.tolist() == [0, 1, 2, 3] * 3
    assert words.truth.tolist() == [0] * 11 + [1]
    for target in (words.target, from_arrays(X, ["0", "1"] * 6).target):
        assert isinstance(target, Classes)
        assert not target.integer_labels
    assert from_arrays(X, [True, False] * 6).classes == ("False", "True")


def test_a_frame_with_any_index_and_column_names() -> None:
    frame = pd.DataFrame(X, index=np.arange(12) * 2, columns=[0, 1, 2]).assign(colour=list("rgb") * 4)
    source = from_arrays(frame, Y)
    assert list(source.features.columns) == ["0", "1", "2", "colour"]
    check_refusal(refusal(pd.DataFrame(X, columns=["a", "a", "b"]), Y), "X", "a", rule="occurs twice")
    frame.iloc[2, 1] = np.inf
    check_refusal(refusal(frame, Y), "X, row 2, column '1'", np.inf)


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
    assert source.describe([3]) == [{}]
    assert from_arrays(rng.random((12, 5, 4)) < 0.5, Y).features.unique().tolist() == [0, 255]
    assert from_arrays(rng.random((12, 7, 5, 4)), Y).image(0) is None


def test_impossible_features_are_refused() -> None:
    hole = X.copy()
    hole[4, 1] = np.nan
    hole[5, 2] = np.inf
    assert str(refusal(hole, Y)) == (
        "X[4, 1] (row 4, column 1) is nan, as 1 other values are: impute or remove such values first, or give X as a "
        "frame of pandas, whose holes are filled"
    )
    text = X.astype(object)
    text[2, 0] = "abc"
    check_refusal(refusal(text, Y), "X[2, 0]", "abc", rule="must be a number")
    text[2, 0] = None
    check_refusal(refusal(text, Y), "X[2, 0]", rule="impute")
    check_refusal(refusal(np.full((12, 2), 1e300), Y), "X[0, 0]", 1e300)
    check_refusal(refusal([[1, 2], [3]], [0, 1]), "X", None, rule="differ in length")
    check_refusal(refusal(torch.ones(12, 2, dtype=torch.complex64), Y), "X", "torch.complex64")
    check_refusal(refusal(np.ones((12, 2), dtype=complex), Y), "X", "complex128")
    check_refusal(refusal(X[:, 0], Y), "X", [12])
    check_refusal(refusal(X[:, :0], Y), "X", [12, 0], rule="no feature")
    check_refusal(refusal(np.ones((12, 0, 4)), Y), "X", [12, 0, 4], rule="images are empty")
    bright = np.full((12, 2, 2), 300) * (Y > 0)[:, None, None]
    check_refusal(refusal(bright, Y), "X", 300, rule="0..255")
    for empty in (X[:0], pd.DataFrame(X[:0])):
        check_refusal(refusal(empty, []), "X", None, rule="at least one")


def test_impossible_labels_are_refused() -> None:
    check_refusal(refusal(X, Y[:-1]), "y", 11, rule="one entry for each example")
    check_refusal(refusal(X, Y, groups=[1, 2]), "groups", 2, rule="one entry for each example")
    check_refusal(refusal(X, np.eye(2)[Y % 2]), "y", [12, 2])
    check_refusal(refusal(X, [None, *Y[1:]]), "y[0]", None, rule="the label is missing")
    check_refusal(refusal(X, np.where(np.arange(12) == 3, np.nan, Y)), "y[3]", None, rule="the label is missing")
    check_refusal(refusal(X, 5), "y", [])
    check_refusal(refusal(X, None), "y", None, rule="give a label for each example")
    check_refusal(refusal(X, [1] * 12), "y", "1", rule="at least two classes")
    check_refusal(refusal(X, X[:, 0], task="classification"), "y", 12, rule="looks like regression")
    check_refusal(refusal(X, Y, truth=[0, 1, 2] * 3 + [0, 1, 9]), "truth[11]", "9", rule="no class of the target")


def test_a_test_set_like_the_training_set() -> None:
    training = from_arrays(X, ["a", "b"] * 6, groups=["u", "v", "w"] * 4)
    test = from_arrays(X[:2], ["b", "b"], groups=["w", "w"], schema=training.schema)
    assert test.y.tolist() == [1, 1]
    assert test.group.tolist() == [2, 2]
    like = {"schema": training.schema}
    check_refusal(refusal(X[:2], ["a", "c"], ["u", "u"], **like), "y[1]", "c", rule="does not occur")
    check_refusal(refusal(X[:2], ["a", "a"], ["u", "x"], **like), "groups[1]", "x", rule="does not occur")
    check_refusal(refusal(X[:2, :2], ["a", "a"], ["u", "u"], **like), "X", [2, 2], rule="trained on [n, 3]")
    check_refusal(refusal(X[:0], [], [], **like), "X", None, rule="at least one")
    like = {"schema": open_source("digits").schema}
    check_refusal(refusal(np.ones((2, 4, 4)), [0, 1], **like), "arrays", [1, 4, 4], rule="the same size")
    for table in (X, pd.DataFrame(X)):
        check_refusal(refusal(table, Y, **like), "X", None, rule="the training data are images")


def test_digits() -> None:
    source = open_source("digits")
    assert source.features.shape == (1797, 1, 8, 8)
    assert source.features.dtype == torch.float32
    assert source.features.aminmax() == (0, 1)
    assert source.classes == source.groups == tuple("0123456789")
    assert isinstance(source.target, Classes)
    assert source.target.integer_labels
    assert source.image(0).size == (8, 8)
    with refused("digits", None, rule="leave --target"):
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


def test_impossible_npz_files_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "data.npz")
    with refused(path, None, rule="never unpickled"):
        open_source(saved(tmp_path, X=X.astype(object), y=Y))
    with refused(path, None, rule="never unpickled"):
        open_source(saved(tmp_path, X=X, y=np.array(["a", 1] * 6, dtype=object)))
    with refused(f"{path}, array", "X", rule="did you mean 'x'? (known: x, y)"):
        open_source(saved(tmp_path, x=X, y=Y))
    with refused(f"{path}, array", "labels"):
        open_source(saved(tmp_path, X=X, y=Y), target="labels")
    with refused("data.npz: y", 2, rule="one entry for each example"):
        open_source(saved(tmp_path, X=X, y=Y[:2]))
    with refused("data.npz: X[0, 0]", rule="impute"):
        open_source(saved(tmp_path, X=X * np.nan, y=Y))
    with refused(path, None, rule="--ignore, --numeric and the like are for tables"):
        open_source(saved(tmp_path, X=X, y=Y), ignore=["a"])
    with refused(str(tmp_path / "absent.npz"), None, rule="no such file"):
        open_source(tmp_path / "absent.npz")
    np.save(tmp_path / "single.npy", X)
    for content in (
        b"not an archive",
        b"PK\x03\x04 broken",
        b"\x93NUMPY\x01\x00",
        (tmp_path / "single.npy").read_bytes(),
    ):
        (tmp_path / "fake.npz").write_bytes(content)
        with refused(str(tmp_path / "fake.npz"), None, rule="no archive of NumPy arrays"):
            open_source(tmp_path / "fake.npz")


def test_arrays_in_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32), np.array(["a", "b"])[np.arange(30) % 2]
    np.save("x.npy", x)
    np.save("y.npy", y)
    source = open_source("x.npy", target="y.npy")
    np.testing.assert_array_equal(np.concatenate([*source.features.vector_parts("X")]), x)
    assert source.schema.kinds == {"X": "vector"}
    assert source.notes == ("X: 4 numbers",)
    assert source.classes == ("a", "b")
    assert open_source("x.npy", target="y.npy", groups="y.npy").groups == ("a", "b")
    np.savez("both.npz", X=x, y=y)
    later = open_source("both.npz", schema=source.schema)
    np.testing.assert_array_equal(np.concatenate([*later.features.vector_parts("X")]), x)
    before = open_source("both.npz")
    assert list(before.schema.kinds) == ["x0", "x1", "x2", "x3"]
    np.testing.assert_array_equal(open_source("x.npy", target="y.npy", schema=before.schema).features.frame(), x)
    np.save("narrow.npy", x[:, :3])
    with refused("narrow.npy: X", [30, 3], rule="trained on [n, 4]"):
        open_source("narrow.npy", target="y.npy", schema=source.schema)
    with refused("narrow.npy: X", [30, 3], rule="trained on [n, 4]"):
        open_source("narrow.npy", target="y.npy", schema=before.schema)
    with refused("target", "y", rule="name the .npy file with the labels"):
        open_source("x.npy")
    np.save("objects.npy", np.array([{}], dtype=object))
    with refused("objects.npy", rule="never unpickled"):
        open_source("x.npy", target="objects.npy")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:90])
    with refused("cut.npy", rule="no NumPy array"):
        open_source("cut.npy", target="y.npy")
    np.save("missing.npy", np.where(np.arange(30)[:, None] == 7, np.nan, x))
    with refused("missing.npy, row 7, column 'X'", rule="missing or not finite"):
        open_source("missing.npy", target="y.npy")


@pytest.mark.parametrize("kind", ["f2", ">f4", "f8", "g", "i1", "u2", ">i8", "u8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_in_a_file_is_read_some_rows_at_a_time(
    tmp_path: Path, kind: str, order: Literal["C", "F"], monkeypatch
) -> None:
    monkeypatch.setattr("skedastic.data.tables.array_tables.BYTES", 7 * 6 * np.dtype(kind).itemsize)
    x = np.random.default_rng(0).integers(0, 2, (30, 6))
    x = np.asarray(x, dtype=kind, order=order)
    np.save(tmp_path / "x.npy", x)
    table = open_table(tmp_path / "x.npy")
    assert [len(part) for part in table.batches(["X"], 100)] == [7, 7, 7, 7, 2]
    assert [len(part) for part in table.batches(["X"], 4)] == [4] * 7 + [2]
    source = open_source(tmp_path / "x.npy", target=str(saved_labels(tmp_path)))
    np.testing.assert_array_equal(np.concatenate([*source.features.vector_parts("X")]), x)


@pytest.mark.parametrize("kind", ["f8", "i4", "i8", "u8"])
def test_numbers_that_single_precision_blurs_stay_apart(tmp_path: Path, kind: str) -> None:
    x = np.stack([1_700_000_000 + np.arange(30), np.arange(30)], axis=1).astype(kind)  # seconds since 1970
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "a.npz", X=x, y=np.arange(30) % 3)
    streamed = open_source(tmp_path / "x.npy", target=str(saved_labels(tmp_path))).features
    frame = open_source(pd.DataFrame({"X": x.tolist(), "y": np.arange(30) % 3}), target="y").features
    whole = open_source(tmp_path / "a.npz").features
    expected = torch.from_numpy((np.arange(30) - 14.5) / np.arange(30).std()).float()[:, None].expand(30, 2)
    for columns in (streamed, frame):
        assert isinstance(columns, Columns)
        torch.testing.assert_close(RowEncoder.fit(columns).transform(columns), expected)
    numbers = RowEncoder.fit(whole).transform(whole)
    assert len(numbers[:, 0].unique()) == 30
    torch.testing.assert_close(numbers[:, 0], numbers[:, 1])


def saved_labels(folder: Path) -> Path:
    np.save(folder / "y.npy", np.arange(30) % 3)
    return folder / "y.npy"


def test_the_labels_of_training_are_not_those_of_later_rows(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 3
    np.save(tmp_path / "x.npy", x)
    roles = {"target": str(saved_labels(tmp_path)), "groups": None, "truth": None}
    schema = open_source(tmp_path / "x.npy", target=roles["target"]).schema
    np.save(tmp_path / "later.npy", x[::-1])
    with refused(str(tmp_path / "later.npy"), rule="its labels are needed too"):
        open_later(str(tmp_path / "later.npy"), schema, roles)
    np.savez(tmp_path / "later.npz", X=x[::-1], y=y[::-1])
    table = pd.DataFrame({"X": x[::-1].tolist(), "y": y[::-1]})
    for source in (str(tmp_path / "later.npz"), table):
        later = open_later(source, schema, roles)
        assert later.y.tolist() == y[::-1].tolist()


@pytest.mark.parametrize("setting", ["split", "group_by", "annotators"])
def test_columns_are_not_named_of_arrays(setting: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.ones((4, 1)), y=[0, 1, 0, 1], part=[0, 1, 0, 1])
    with refused(setting, rule="save a table with that column"):
        open_source(tmp_path / "a.npz", **{setting: ["part"] if setting == "annotators" else "part"})
