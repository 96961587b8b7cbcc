"""Regression targets: numbers and nothing else, bins with equal shares, units that come back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from skedastic.data import Bins, Scale, folds, from_arrays, limit, open_source, split_rows
from skedastic.data.settings import TaskName
from skedastic.pipeline.prepare import prepare
from skedastic.settings.config import Config
from tests.support.refusals import refused

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = np.exp(RNG.normal(size=200)) * 1000


def test_a_scale_standardizes_and_comes_back() -> None:
    y = torch.from_numpy(Y)
    scale = Scale.fit(y)
    standardized = scale.standardized(y)
    assert standardized.dtype == torch.float32
    assert float(standardized.mean()) == pytest.approx(0, abs=1e-6)
    assert float(standardized.std(correction=0)) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(scale.in_units(standardized), y, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("values", [[3.0, 3.0], [0.1 + 0.2, 0.3], [5.0], []])
def test_targets_that_are_all_the_same_have_no_scale(values) -> None:
    with refused("target", rule="every target of the training rows is"):
        Scale.fit(torch.tensor(values, dtype=torch.float64))


@pytest.mark.parametrize("bins", [1, 2, 7, 10, 200])
def test_bins_share_the_targets_equally_and_are_ordered(bins) -> None:
    y = torch.from_numpy(Y)
    fitted = Bins.fit(y, bins)
    group = fitted.of(y)
    count = torch.bincount(group, minlength=len(fitted.names))
    assert len(fitted.names) == len(fitted.widths) == len(fitted.edges) + 1 == bins
    assert len(set(fitted.names)) == bins
    assert int(count.max() - count.min()) <= 1
    for g in range(bins - 1):
        assert float(y[group == g].max()) < float(y[group == g + 1].min())
    assert all(w > 0 for w in fitted.widths)
    assert fitted.of(torch.tensor([-1e9, 1e9])).tolist() == [0, bins - 1]


def test_few_different_targets_are_a_bin_each_and_ties_make_fewer() -> None:
    ratings = torch.tensor([1.0, 2.0, 2.0, 2.5, 5.0] * 4)
    fitted = Bins.fit(ratings)
    assert fitted.names == ("1", "2", "2.5", "5")
    assert fitted.widths == (1.0,) * 4
    assert fitted.of(ratings).tolist() == [0, 1, 1, 2, 3] * 4
    mostly_zero = torch.cat([torch.zeros(80), torch.arange(1, 21)]).double()
    fitted = Bins.fit(mostly_zero)
    assert 1 < len(fitted.names) < 10
    assert torch.bincount(fitted.of(mostly_zero), minlength=len(fitted.names)).min() > 0
    with refused("bins", 22, rule="only 21 different targets"):
        Bins.fit(mostly_zero, 22)


def test_density_is_relative_to_the_width_of_a_bin_and_an_outlier_has_no_say() -> None:
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.uniform(0, 1, 900), rng.uniform(1, 10, 100)])  # 81 times denser below 1
    for outlier in (10.0, 1e9):
        y[-1] = outlier
        source = from_arrays(rng.normal(size=(1000, 2)), y, task="regression")
        density = prepare(Config(test="none"), source, None).train.density()
        assert float(density.sum()) == pytest.approx(1)
        assert float(density[0] / density[9]) == pytest.approx(81, rel=0.3)
    by_column = from_arrays(X, Y, np.arange(200) % 4 == 0, task="regression")
    data = prepare(Config(test="none"), by_column, None).train
    assert data.density().tolist() == [0.75, 0.25]


def test_measurements_are_regression_by_default_and_classes_are_not() -> None:
    assert from_arrays(X, Y).classes == ()
    assert "trained as regression" in from_arrays(X, Y).notes[-1]
    assert from_arrays(X, Y, task="regression").notes == ()
    assert from_arrays(X, np.arange(200) % 3).classes == ("0", "1", "2")
    whole = from_arrays(X, np.arange(200) % 3, task="regression")
    assert (whole.classes, whole.groups) == ((), ("0", "1", "2"))
    assert whole.y.dtype == torch.float64


def test_a_test_source_is_binned_as_the_training_source_is() -> None:
    training = from_arrays(X, Y, task="regression")
    test = from_arrays(X[:5], Y[:5] * 10, schema=training.schema)
    assert test.groups == training.groups
    assert torch.equal(test.group, training.grouping.target_bins.of(torch.from_numpy(Y[:5] * 10)))
    assert test.y.tolist() == (Y[:5] * 10).tolist()
    few = from_arrays(X[:3], [1, 2, 1], schema=training.schema)
    assert few.classes == ()
    grouped = from_arrays(X, Y, np.arange(200) % 3, task="regression")
    with refused("groups", None, rule="give (X, y, groups)"):
        from_arrays(X[:3], Y[:3], schema=grouped.schema)


def test_splits_folds_and_limits_keep_the_bins_in_proportion() -> None:
    source = from_arrays(X, Y, task="regression")
    rows, test_rows = split_rows(source, 0.3, 0)
    assert sorted([*rows.tolist(), *test_rows.tolist()]) == list(range(200))
    assert torch.bincount(source.group[test_rows]).tolist() == [6] * 10
    data = source.dataset(rows, source.encode(rows), source.fit_target(rows))
    fold = folds(data.group, data.strata, 2, 0)
    assert all(int(torch.bincount(fold[data.group == g]).diff().abs()) <= 1 for g in range(10))
    small = limit(data, 50, 0)
    assert set(torch.bincount(small.group).tolist()) <= {4, 5, 6}
    assert torch.equal(small.y, source.y[small.index])
    assert small.targets.dtype == torch.float32


def test_truth_of_the_test_set_is_its_target_and_decides_its_bin(tmp_path: Path) -> None:
    table = pd.DataFrame(X, columns=list("abc")).assign(y=Y, clean=Y[::-1])
    table.to_csv(tmp_path / "t.csv", index=False)
    source = open_source(tmp_path / "t.csv", target="y", truth="clean", task="regression")
    data = prepare(Config(test="0.5"), source, None)
    assert data.test.y.tolist() == Y[::-1][data.test.index.numpy()].tolist()
    assert torch.equal(data.test.group, source.grouping.target_bins.of(data.test.y))
    assert data.train.y.tolist() == Y[data.train.index.numpy()].tolist()


def test_impossible_targets_are_refused() -> None:
    nan = np.where(np.arange(200) == 3, np.nan, Y)
    third = np.arange(200) % 3
    text = ["wide" if i == 7 else str(v) for i, v in enumerate(Y)]
    with refused("y[3]", None, rule="the target is missing"):
        from_arrays(X, nan, task="regression")
    with refused("y[3]", None, rule="the target is missing"):
        from_arrays(X, nan)
    with refused("y[3]", None, rule="the label is missing"):
        from_arrays(X, nan, task="classification")
    with refused("y[7]", "wide", rule="regression needs numbers"):
        from_arrays(X, text, task="regression")
    with refused("truth[3]", None, rule="the true target is missing"):
        from_arrays(X, Y, truth=nan, task="regression")
    with refused("groups[2]", None, rule="the group is missing"):
        from_arrays(X, Y, ["" if i == 2 else "a" for i in range(200)], task="regression")
    with refused("bins", 201, rule="only 200 different targets"):
        from_arrays(X, Y, task="regression", bins=201)
    with refused("bins", 3, rule="holds classes"):
        from_arrays(X, third, bins=3)
    with refused("bins", 3, rule="leave one of the two out"):
        from_arrays(X, Y, third, task="regression", bins=3)
    with refused("y", 200, rule="looks like regression"):
        from_arrays(X, Y, task="classification")
    with refused("target", 5.0):
        prepare(Config(), from_arrays(X, np.full(200, 5.0), task="regression"), None)
    with refused("task", "regression", rule="leave --task regression and --bins out"):
        open_source("digits", task="regression")
    with refused("bins", 3, rule="leave --task regression and --bins out"):
        open_source("digits", bins=3)
    for name, spec in (("noise", "uniform:0.2"), ("imbalance", "step:10")):
        with refused(name, spec, rule="for classes"):
            prepare(Config(**{name: spec}), from_arrays(X, Y), None)
    with refused("task", "regresion", rule="did you mean 'regression'?"):
        Config(task="regresion")
    with refused("bins", 0):
        Config(bins=0)


def test_whole_numbers_that_may_be_grades_or_classes_are_told_of() -> None:
    grades = np.arange(200) % 11
    said = "y holds 11 different whole numbers, 0 to 10: taken as classes; --task regression takes them as numbers"
    assert from_arrays(X, grades).notes == (said,)
    assert from_arrays(X, grades.astype(float)).notes == (said,)
    assert from_arrays(X, grades[::-1], schema=from_arrays(X, grades).schema).notes == ()
    for y in (grades % 4, grades % 2, grades.astype(str), [f"grade {v}" for v in grades]):
        assert from_arrays(X, y).notes == ()
    assert from_arrays(X, grades, task="classification").notes == ()


def test_it_is_said_of_a_file_too(tmp_path: Path) -> None:
    pd.DataFrame(X, columns=list("abc")).assign(y=np.arange(200) % 5).to_csv(tmp_path / "t.csv", index=False)
    assert "column 'y' holds 5 different whole numbers, 0 to 4" in open_source(tmp_path / "t.csv", target="y").notes[-1]


@pytest.mark.parametrize(
    ("cell", "value", "rule"),
    [
        ("inf", np.inf, "the target is inf, and regression needs finite numbers; mend the cell, or remove the row"),
        ("-1e999", -np.inf, "the target is -inf, and regression needs finite numbers"),
        ("nan", "nan", "the target is missing ('nan'); fill the number in, or remove the row"),
        ("?", "?", "the target is missing ('?')"),
        ("", None, "the target is missing; fill the number in"),
        (
            "wide",
            "wide",
            "'wide' is not a number, and regression needs numbers; mend the cell, remove the row, or train",
        ),
    ],
)
@pytest.mark.parametrize("numbers", [Y.round(2), 3 * np.arange(200)], ids=["fractions", "many whole numbers"])
@pytest.mark.parametrize("task", ["auto", "regression"])
def test_a_cell_among_numbers_that_is_none_is_told_as_such(
    cell: str, value: object, rule: str, numbers: np.ndarray, task: TaskName, tmp_path: Path
) -> None:
    frame = pd.DataFrame(X, columns=list("abc")).assign(y=numbers.astype(object))
    frame.loc[7, "y"] = cell
    frame.to_csv(tmp_path / "t.csv", index=False)
    with refused("t.csv, line 9, column 'y'", value, rule=rule):
        open_source(tmp_path / "t.csv", target="y", task=task)


def test_infinite_numbers_are_counted_and_are_no_classes() -> None:
    some = np.where(np.arange(200) % 50 == 0, np.inf, Y)
    with refused("y[0]", np.inf, rule="the target is inf, as 3 more are, and"):
        from_arrays(X, some)
    for y, task in ((some, "classification"), (np.where(np.arange(200) == 0, np.inf, np.arange(200) % 3), "auto")):
        with refused("y[0]", np.inf, rule="the label is inf, and a label is a class"):
            from_arrays(X, y, task=task)


def test_words_beside_few_or_as_many_numbers_are_classes(tmp_path: Path) -> None:
    few = [["1.5", "2.5", "other"][i % 3 if i < 20 else i % 2] for i in range(200)]
    assert from_arrays(X, few).classes == ("1.5", "2.5", "other")
    many = ["word" if i % 5 == 0 else f"{i % 20 + 0.5}" for i in range(200)]
    assert "word" in from_arrays(X, many).classes
    meant = ["word" if i % 20 == 0 else f"{i % 20 + 0.5}" for i in range(200)]
    with refused("y[0]", "word", rule="train a classifier with --task classification"):
        from_arrays(X, meant)
    assert "word" in from_arrays(X, meant, task="classification").classes
