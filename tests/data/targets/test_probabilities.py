"""Class probabilities that the user has: every form of them is read alike, and what is none is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from skedastic.data import from_arrays, read_probabilities
from tests.support.refusals import refused

CLASSES = ("a", "b", "c")
N = 6


def probabilities():
    p = np.random.default_rng(0).dirichlet(np.ones(3), N)
    p[0] = (0.125, 0.875, 0.0)  # three digits are no thousands
    return p


def source(y=("a", "b", "c")):
    y = np.repeat(y, 2)
    return from_arrays(np.arange(2 * len(y)).reshape(-1, 2), y)


def in_form(kind: str, folder: Path):
    p = probabilities()
    frame = pd.DataFrame(p, columns=[*CLASSES])
    file = folder / f"p.{kind}"
    if kind == "npy":
        np.save(file, p)
    elif kind == "csv":
        frame[["c", "a", "b"]].to_csv(file, index=False)
    elif kind == "index.csv":
        frame.to_csv(file)
    elif kind == "numbered.csv":
        pd.DataFrame(p).to_csv(file, index=False)
    elif kind == "comma.csv":
        frame.round(6).to_csv(file, index=False, sep=";", decimal=",")
    elif kind == "parquet":
        frame[["b", "c", "a"]].set_index(np.arange(N) + 7).to_parquet(file)
    else:
        return {
            "array": p,
            "list": p.tolist(),
            "tensor": torch.from_numpy(p),
            "pandas": frame[["b", "a", "c"]],
            "polars": pl.from_pandas(frame),
            "numbered frame": pd.DataFrame(p),
        }[kind]
    return str(file)


FILES = ["npy", "csv", "index.csv", "numbered.csv", "comma.csv", "parquet"]


@pytest.mark.parametrize("kind", [*FILES, "array", "list", "tensor", "pandas", "polars", "numbered frame"])
def test_every_form_gives_the_same_probabilities_in_the_order_of_the_classes(kind, tmp_path: Path) -> None:
    found = read_probabilities(in_form(kind, tmp_path), source())
    assert found.dtype == torch.float32
    assert np.allclose(found.numpy(), probabilities(), atol=2e-6)
    assert torch.allclose(found.sum(1), torch.ones(N))


def test_columns_are_matched_as_values_are() -> None:
    whole = source((1, 2, 3))
    p = pd.DataFrame(probabilities(), columns=[3.0, 1.0, 2.0])
    assert np.allclose(read_probabilities(p, whole), probabilities()[:, [1, 2, 0]])
    assert np.allclose(read_probabilities(pd.DataFrame(probabilities()), whole), probabilities())  # 0, 1, 2: by order


def test_columns_in_the_order_of_text_are_not_taken_for_numbers() -> None:
    whole = source(("9", "10", "11"))
    assert whole.classes == ("9", "10", "11")
    right = np.repeat(np.eye(3), 2, 0) * 0.7 + 0.1
    assert np.allclose(read_probabilities(right, whole), right)
    with refused("pred_probs", rule="the order of text"):
        read_probabilities(right[:, [1, 2, 0]], whole)
    assert np.allclose(read_probabilities(pd.DataFrame(right[:, [1, 2, 0]], columns=[10, 11, 9]), whole), right)


def test_columns_that_are_named_are_taken_by_their_names_whatever_the_labels() -> None:
    whole = source(("9", "10"))
    unsure = np.repeat([[0.45, 0.55], [0.55, 0.45]], 2, 0)
    named = pd.DataFrame(unsure, columns=["9", "10"])
    assert np.allclose(read_probabilities(named, whole), unsure)
    with refused("pred_probs", rule="the order of text"):
        read_probabilities(unsure, whole)


def test_a_row_that_nearly_sums_to_1_is_taken_and_does() -> None:
    p = probabilities()
    p[2] *= 1.0009
    assert torch.allclose(read_probabilities(p, source()).sum(1), torch.ones(N))


def with_value(row, column, value):
    p = probabilities()
    p[row, column] = value
    return p


@pytest.mark.parametrize(
    ("given", "setting", "value", "rule"),
    [
        (probabilities()[:5], "pred_probs", 5, "the source has 6"),
        (probabilities()[:, :2], "pred_probs", [6, 2], "'a', 'b', 'c'"),
        (probabilities().ravel(), "pred_probs", [18], "[n, 3]"),
        (with_value(3, 1, np.inf), "pred_probs, row 3, column 1", np.inf, "must be a number"),
        (with_value(4, 2, -0.1), "pred_probs, row 4, column 2", -0.1, "below 0"),
        (probabilities() * 0.99, "pred_probs, row 0", pytest.approx(0.99), "and so do 5 other rows"),
        ([["much", "0", "1"]] * 6, "pred_probs[0, 0]", "much", "must be a number"),
        (pd.DataFrame(probabilities(), columns=["a", "b", "d"]), "pred_probs", "d", "name each column by its class"),
        (pd.DataFrame(probabilities(), columns=["b", "c", "p"]), "pred_probs", "p", "classes: 'a', 'b', 'c'"),
        (pd.DataFrame(probabilities()[:, :2], columns=["a", "b"]), "pred_probs", 2, "there are 3 classes"),
    ],
)
def test_what_is_no_probability_of_each_class_is_refused(given, setting, value, rule) -> None:
    with refused(setting, value, rule=rule):
        read_probabilities(given, source())


def test_a_missing_number_is_refused_with_its_place(tmp_path: Path) -> None:
    frame = pd.DataFrame(with_value(3, 1, np.nan), columns=[*CLASSES])
    frame.to_csv(tmp_path / "p.csv", index=False)
    with refused("p.csv, line 5, column 'b'", rule="must be a number"):
        read_probabilities(str(tmp_path / "p.csv"), source())
    np.save(tmp_path / "p.npy", frame.to_numpy())
    with refused("p.npy, row 3, column 1", rule="must be a number"):
        read_probabilities(str(tmp_path / "p.npy"), source())
    frame.astype(object).fillna("some").to_csv(tmp_path / "p.csv", index=False)
    with refused("p.csv, line 5, column 'b'", "some", rule="must be a probability"):
        read_probabilities(str(tmp_path / "p.csv"), source())


def test_a_row_of_a_file_is_named_where_its_probabilities_do_not_sum_to_1(tmp_path: Path) -> None:
    p = probabilities()
    p[4] *= 2
    pd.DataFrame(p, columns=[*CLASSES]).to_csv(tmp_path / "p.csv", index=False)
    with refused("p.csv, line 6", pytest.approx(2), rule="must sum to 1"):
        read_probabilities(str(tmp_path / "p.csv"), source())


def test_numbers_have_no_classes() -> None:
    numbers = from_arrays(np.arange(80).reshape(-1, 2), np.random.default_rng(0).normal(size=40))
    with refused("pred_probs", rule="regression"):
        read_probabilities(np.ones((40, 1)), numbers)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([[object()]], dtype=object), allow_pickle=True)
    with refused(str(tmp_path / "p.npy"), rule="never unpickled"):
        read_probabilities(str(tmp_path / "p.npy"), source())
