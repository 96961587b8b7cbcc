"""Columns that are said in a special way, by the command line."""

import pandas as pd
import pytest

from skedastic.runs.load import load_summary
from tests.support.command_line import TINY, run


@pytest.fixture
def items(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """The working directory, with items, the answers to them, and numbers that could be others."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"x": [i % 7 * 1.0 for i in range(40)], "price": ["1,234", "5,678"] * 20})
    frame.assign(label=["a", "b"] * 20).to_csv("labelled.csv", index=False)
    frame.to_csv("items.csv", index=False)
    said = [(f"w{k}", i, "ab"[(i + (k == 2)) % 2]) for i in range(40) for k in range(3)]
    pd.DataFrame(said, columns=["worker", "row", "answer"]).to_csv("answers.csv", index=False)
    return tmp_path


def test_a_file_of_answers_is_named(items, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "fit", "items.csv", "--annotators", "answers:answers.csv", *TINY, "--out", "run")
    assert status == 0, err
    assert load_summary("run").classes == ("a", "b")


@pytest.mark.parametrize(("decimal", "read"), [("comma", "1.234"), ("point", "1234")])
def test_the_decimal_sign_is_said(decimal, read, items, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("fit", "labelled.csv", "--target", "label", "--decimal", decimal, *TINY, "--out", "run")
    status, _, err = run(capsys, *line)
    assert status == 0, err
    assert f'price: numbers, "1,234" read as {read}' in err


def test_the_suspects_of_a_table_of_many_columns_are_listed_without_a_warning(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    label = ["a", "b"] * 40
    columns = {f"x{j}": [(i % 2) * 3 + (i * j % 7) / 7 for i in range(80)] for j in range(120)}
    pd.DataFrame({**columns, "label": label}).to_parquet("wide.parquet")
    settings = ("--method", "erm", "--epochs", "10", "--set", "train.lr=0.01", "--set", "estimate.by=logistic")
    assert run(capsys, "fit", "wide.parquet", "--target", "label", *settings, "--out", "run")[0] == 0
    status, _, err = run(capsys, "suspects", "run", "--top", "5", "--out", "check.csv")
    assert (status, err) == (0, "")
    assert list(pd.read_csv("check.csv").columns[-120:]) == list(columns)
