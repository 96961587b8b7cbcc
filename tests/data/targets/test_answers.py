"""Answers of several people in long form: a file with a row each, or two columns of lists."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from skedastic.data import open_source
from tests.support.refusals import refused

ITEMS = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6], "item": ["a1", "a2", "a3", "a4", "a5", "a6"]})
SAID = {"a1": "cat cat dog", "a2": "dog", "a3": "cat dog dog", "a4": "dog dog", "a5": "cat", "a6": "cat cat"}
ANSWERS = pd.DataFrame(
    [(f"w{k}", item, label) for item, labels in SAID.items() for k, label in enumerate(labels.split())],
    columns=["worker", "item", "label"],
)
SOFT = [[2 / 3, 1 / 3], [0, 1], [1 / 3, 2 / 3], [0, 1], [1, 0], [1, 0]]


def opened(folder: Path, answers: pd.DataFrame, items: pd.DataFrame = ITEMS) -> Any:
    items.to_csv(folder / "items.csv", index=False)
    answers.to_csv(folder / "answers.csv", index=False)
    categorical = [name for name in items if name == "item"]
    return open_source(folder / "items.csv", annotators=[f"answers:{folder / 'answers.csv'}"], categorical=categorical)


@pytest.mark.parametrize(
    "answers",
    [
        ANSWERS,
        ANSWERS.sample(frac=1, random_state=0),
        ANSWERS.rename(columns={"worker": "Annotator", "label": "Answer"}),
        ANSWERS.assign(seconds=3.5, label=lambda a: a["label"] + " "),
        pd.concat([ANSWERS, pd.DataFrame({"worker": ["w9"], "item": ["a1"], "label": [None]})]),
    ],
)
def test_answers_are_votes(answers: pd.DataFrame, tmp_path: Path) -> None:
    source = opened(tmp_path, answers)
    assert source.classes == ("cat", "dog")
    assert source.y.tolist() == [0, 1, 1, 1, 0, 0]
    torch.testing.assert_close(source.annotations.soft, torch.tensor(SOFT))
    assert source.target.column.lower() in ("label", "answer")
    empty = "; 1 empty one left out" * (len(answers) > len(ANSWERS))
    assert f"answers.csv: {len(ANSWERS)} answers by 3 about 6 rows{empty}" in source.notes


def test_answers_of_nobody_are_counted_apart(tmp_path: Path) -> None:
    nameless = ANSWERS.assign(worker=ANSWERS["worker"].where(ANSWERS["worker"] != "w2"))
    nameless = pd.concat([nameless, nameless[nameless["worker"].isna()]])
    count = int(nameless["worker"].isna().sum())
    note = f"answers.csv: {len(nameless)} answers by 2 about 6 rows; {count} of nobody by name"
    assert note in opened(tmp_path, nameless).notes


def test_an_item_may_be_a_row(tmp_path: Path) -> None:
    numbered = ANSWERS.assign(item=ANSWERS["item"].str[1:].astype(int) - 1)
    source = opened(tmp_path, numbered.rename(columns={"item": "row"}))
    assert source.y.tolist() == [0, 1, 1, 1, 0, 0]
    three = numbered.set_axis(["wer", "was", "wie"], axis=1)
    assert opened(tmp_path, three).y.tolist() == [0, 1, 1, 1, 0, 0], "three columns are these, in this order"


@pytest.mark.parametrize(
    "names",
    [
        {"worker": "annotator", "item": "task_id"},
        {"worker": "worker_id", "item": "Example ID"},
        {"worker": "who", "item": "row", "label": "label"},
        {"worker": "workerId", "item": "item", "label": "said"},
    ],
)
def test_columns_are_found_by_name_in_any_order(names: dict[str, str], tmp_path: Path) -> None:
    numbered = ANSWERS.assign(item=ANSWERS["item"].str[1:].astype(int) - 1, worker=ANSWERS["worker"].str[1:])
    answers = numbered[["item", "label", "worker"]].rename(columns=names)
    assert opened(tmp_path, answers, ITEMS[["x"]]).y.tolist() == [0, 1, 1, 1, 0, 0]


def test_three_columns_of_which_two_are_not_known_are_refused(tmp_path: Path) -> None:
    with refused("answers.csv", rule="answers need three columns"):
        opened(tmp_path, ANSWERS.rename(columns={"worker": "wer", "item": "was"}))


def test_lists_that_a_program_wrote_as_text_are_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [1.0, 2, 3, 4], "said": [["a", "b"], ["b"], ["a"], ["b"]], "votes": [[1, 2]] * 4})
    table.to_csv(tmp_path / "t.csv", index=False)
    for spec, name in (("said", "said"), ("counts:votes", "votes")):
        with refused(f"t.csv, column '{name}'", rule="lists that are written as text"):
            open_source(tmp_path / "t.csv", annotators=[spec])


def test_ratings_are_answers_too(tmp_path: Path) -> None:
    scores = {"cat": 1.5, "dog": 4.0}
    source = opened(tmp_path, ANSWERS.assign(label=ANSWERS["label"].map(scores)))
    assert source.y.tolist() == pytest.approx([7 / 3, 4, 9.5 / 3, 4, 1.5, 1.5])


@pytest.mark.parametrize(
    ("answers", "setting", "rule"),
    [
        (ANSWERS.replace("a2", "a9"), "answers.csv, line 5, column 'item'", "no value of the column 'item'"),
        (ANSWERS.replace("w1", "w0"), "answers.csv, line 3, column 'item'", "answers twice"),
        (ANSWERS[ANSWERS["item"] != "a4"], "items.csv, line 5, column 'x'", "no label or rating"),
        (ANSWERS[["item", "label"]], "answers.csv", "three columns"),
    ],
)
def test_odd_answers_are_refused(answers: pd.DataFrame, setting: str, rule: str, tmp_path: Path) -> None:
    with refused(setting, rule=rule):
        opened(tmp_path, answers)


def lists(folder: Path, workers: list[list[str]]) -> Any:
    labels = [labels.split() for labels in SAID.values()]
    columns = {"x": pa.array(ITEMS["x"]), "said": pa.array(labels), "who": pa.array(workers)}
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return open_source(folder / "t.parquet", annotators=["said", "workers:who"])


def test_a_column_of_lists_may_say_who(tmp_path: Path) -> None:
    workers = [[f"w{k}" for k in range(len(labels.split()))] for labels in SAID.values()]
    source = lists(tmp_path, workers)
    assert source.y.tolist() == [0, 1, 1, 1, 0, 0]
    assert list(source.features) == ["x"]
    with refused("t.parquet, row 0, column 'who'", 2, rule="3 labels given"):
        lists(tmp_path, [["w0", "w1"], *workers[1:]])
    with refused("t.parquet, row 3, column 'who'", "w0", rule="named twice"):
        lists(tmp_path, [*workers[:3], ["w0", "w0"], *workers[4:]])
