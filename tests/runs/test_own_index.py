"""The index of the user's own frame: predictions and label issues carry it."""

import numpy as np
import pandas as pd
import pytest

import skedastic as sk
from skedastic.runs.label_issues import issues_with_rows
from skedastic.runs.own_index import own_index

TRAIN = sk.TrainingConfig(epochs=12, batch_size=16, lr=0.05)  # enough to learn something
QUICK = {"method": "erm", "train": TRAIN, "model": {"name": "mlp", "width": 16}}
IDS = [f"p{i:03}" for i in range(60)][::-1]


def table(index, seed=0):
    y = np.arange(60) % 3
    cells = np.random.default_rng(seed).normal(size=(60, 2)) + 3 * y[:, None]
    x = pd.DataFrame(cells, columns=["a", "given"], index=index)
    return x, pd.Series(np.array(["low", "mid", "top"])[y], index=index)


def test_label_issues_and_predictions_of_held_out_rows_carry_it(tmp_path) -> None:
    x, y = table(pd.Index(IDS, name="person"))
    result = sk.fit(x, y, **QUICK)
    issues, predictions = result.label_issues, result.predictions
    assert issues.index.name == predictions.index.name == "person"
    assert set(issues.index) | set(predictions.index) == set(IDS)
    assert list(y[issues.index]) == list(issues["given"])
    assert list(y[predictions.index]) == list(predictions["label"])
    assert list(x.index[predictions["index"]]) == list(predictions.index)
    assert result.shown_issues[0].row["person"] == issues.index[0]
    result.save(tmp_path / "run")
    loaded = sk.load(tmp_path / "run")
    pd.testing.assert_frame_equal(loaded.label_issues, issues)
    pd.testing.assert_frame_equal(loaded.predictions, predictions)


def test_predictions_of_new_rows_carry_it() -> None:
    x, y = table(IDS)
    result = sk.fit(x, y, test=None, **QUICK)
    few = x.iloc[[7, 3]]
    predicted, probabilities = result.predict(few), result.predict_proba(few)
    assert isinstance(predicted, pd.Series)
    assert list(predicted.index) == list(probabilities.index) == list(few.index)
    assert list(probabilities.columns) == ["low", "mid", "top"]
    assert list(probabilities.idxmax(axis=1)) == list(predicted)
    plain = sk.fit(x.to_numpy(), list(y), test=None, **QUICK)
    assert isinstance(plain.predict(x.to_numpy()), np.ndarray)


def test_the_test_rows_have_their_own() -> None:
    x, y = table(IDS)
    other = pd.date_range("2024-01-01", periods=60)
    result = sk.fit(x, y, test=table(other, seed=1), **QUICK)
    assert list(result.predictions.index) == list(other)
    assert set(result.label_issues.index) == set(IDS)


def test_rows_of_a_test_file_are_not_named_after_training(tmp_path) -> None:
    x, y = table(IDS)
    x.assign(label=y).to_csv(tmp_path / "test.csv", index=False)
    result = sk.fit(x.assign(label=y), target="label", test=str(tmp_path / "test.csv"), **QUICK)
    assert own_index(result.predictions) is None
    assert set(result.label_issues.index) == set(IDS)


@pytest.mark.parametrize("index", [pd.RangeIndex(60), pd.Index(range(60))])
def test_an_index_that_only_counts_is_none(index) -> None:
    x, y = table(index)
    result = sk.fit(x, y, **QUICK)
    assert own_index(x) is None
    assert list(result.predictions.index) == list(range(12))
    assert "index" not in result.shown_issues[0].row


@pytest.mark.parametrize("name", ["index", "given", "rank", "a"])
def test_a_name_that_a_column_has_is_the_columns(name, tmp_path) -> None:
    x, y = table(pd.Index(IDS, name=name))
    result = sk.fit(x, y, **QUICK)
    expected = name if name == "a" else f"{name}_"
    assert result.label_issues.index.name == expected
    assert {"index", "given", "rank"} <= set(result.label_issues.reset_index().columns)
    shown = result.shown_issues[0].row
    assert result.label_issues.index[0] in shown.values()
    assert shown["a"] == f"{x['a'].iloc[result.shown_issues[0].index]:.6g}"
    result.save(tmp_path / "run")
    pd.testing.assert_frame_equal(sk.load(tmp_path / "run").label_issues, result.label_issues)


@pytest.mark.parametrize(
    "index",
    [
        pd.MultiIndex.from_product([["x", "y", "z"], range(20)], names=["site", None]),
        pd.Index([1, "b"] * 30),
        pd.period_range("2024-01", periods=60, freq="D"),
        pd.Index(np.arange(60) + 2**60),
        pd.Index([np.nan, *range(59)]),
    ],
    ids=["levels", "mixed", "periods", "long", "missing"],
)
def test_an_index_of_any_kind_is_kept_and_saved(index, tmp_path) -> None:
    x, y = table(index)
    result = sk.fit(x, y.to_numpy(), **QUICK)
    predictions = result.predictions
    assert list(map(str, predictions.index)) == list(map(str, index[predictions["index"]]))
    result.save(tmp_path / "run")
    again = sk.load(tmp_path / "run").predictions
    assert list(map(str, again.index)) == list(map(str, predictions.index))
    sk.load(tmp_path / "run").save(tmp_path / "again")


@pytest.mark.parametrize(
    ("names", "columns", "shown"),
    [
        (["site", "site"], ["site", "site_"], ["site", "site_"]),
        ([None, None], [None, None], ["index", "index_"]),
        (["a", "a_"], ["a", "a_"], ["a_", "a__"]),
        ([7, "7"], ["7", "7_"], ["7", "7_"]),
    ],
)
def test_levels_of_one_name_are_kept_apart(names, columns, shown, tmp_path) -> None:
    levels = pd.MultiIndex.from_product([["x", "y", "z"], range(100, 120)], names=names)
    x, y = table(levels)
    result = sk.fit(x, y, **QUICK)
    result.save(tmp_path / "run")
    loaded = sk.load(tmp_path / "run")
    for r in (result, loaded):
        assert r.label_issues.index.names == r.predictions.index.names == columns
        assert [*r.label_issues.index] == [*levels[r.label_issues["index"]]]
        assert [*r.predictions.index] == [*levels[r.predictions["index"]]]
        row = r.shown_issues[0].row
        assert [row[name] for name in shown] == [str(entry) for entry in levels[r.shown_issues[0].index]]
        assert row["a"] == f"{x['a'].iloc[r.shown_issues[0].index]:.6g}"
    chosen = issues_with_rows(loaded, top=5)
    assert list(chosen.columns[1:3]) == [str(new or old) for new, old in zip(columns, shown, strict=True)]
    assert [*zip(*(chosen[name] for name in chosen.columns[1:3]), strict=True)] == [*result.label_issues.index[:5]]


def test_indexes_that_differ_are_told() -> None:
    x, y = table(IDS)
    told = "the indexes of X and y differ; their rows are paired in the order that they have"
    assert told in sk.fit(x, y.set_axis(IDS[::-1]), **QUICK).notes
    assert told not in sk.fit(x, y, **QUICK).notes
    assert told not in sk.fit(x, y.reset_index(drop=True), **QUICK).notes


def test_a_fifth_is_held_out_by_default_and_none_on_request() -> None:
    x, y = table(IDS)
    result = sk.fit(x, y, **QUICK)
    assert (sum(result.train_count), result.metrics.overall.n) == (48, 12)
    assert "12 of 60 rows were held out to test on; with test=None all are trained on" in result.notes
    for none in (None, "none"):
        whole = sk.fit(x, y, test=none, **QUICK)
        assert (sum(whole.train_count), whole.metrics, len(whole.predictions)) == (60, None, 0)
        assert not [note for note in whole.notes if "held out" in note]
