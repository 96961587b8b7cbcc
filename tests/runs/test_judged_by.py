"""What test rows are judged by: clean targets where they have some, else their own labels, and the words say which."""

from pathlib import Path

import pandas as pd
import pytest

import skedastic as sk
from skedastic.runs.evaluate import evaluate_source
from skedastic.runs.reports import OWN_TEST_ROWS, fit_report
from skedastic.runs.sentences import fit_outcome, metric_notes
from tests.support.tables import frame
from tests.support.training import QUICK

OWN = "test rows are right by their own labels"


def fitted(train: pd.DataFrame, **given) -> sk.Result:
    estimate = sk.Estimation(kind="none")
    return sk.fit(train, target="label", method="erm", train=QUICK, estimate=estimate, ignore=["said", "id"], **given)


@pytest.mark.parametrize("known", [True, False])
def test_a_truth_of_the_test_rows_counts_and_not_one_of_training(tmp_path: Path, known: bool) -> None:
    clean = frame().assign(clean=lambda f: f["label"])
    test = clean.iloc[200:] if known else clean.iloc[200:].drop(columns="clean")
    test.to_csv(tmp_path / "test.csv", index=False)
    result = fitted(clean.iloc[:200], truth="clean", test=str(tmp_path / "test.csv"))
    assert result.metrics.by_truth is known
    assert (OWN in fit_outcome(result)) is not known
    assert evaluate_source(result, str(tmp_path / "test.csv")).by_truth is known
    result.save(tmp_path / "run")
    assert sk.load_summary(tmp_path / "run").metrics.by_truth is known


def test_labels_that_noise_was_put_into_are_judged_by_those_of_before() -> None:
    simulated, plain = fitted(frame(), noise="uniform:0.2"), fitted(frame())
    assert OWN not in fit_outcome(simulated)
    assert OWN in fit_outcome(plain)
    assert metric_notes(plain)[0].startswith("The test rows were held out of the same source: wrong labels among them")
    assert metric_notes(simulated) == []


def said_of(result: sk.Result, source: Path | str) -> list[str]:
    said = list[str]()
    evaluate_source(result, str(source), say=said.append)
    return said


def test_rows_that_were_trained_on_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = frame()
    for name in ("a.csv", "copy.csv"):
        rows.to_csv(name, index=False)
    settings = {"target": "label", "method": "erm", "train": QUICK, "estimate": sk.Estimation(kind="none")}
    result = sk.fit("a.csv", ignore=["said", "id"], **settings)
    n = sum(result.train_count)
    assert n < len(rows)
    told = f"this is the file that the run was trained on: {n} of its {len(rows)} rows were, so these figures"
    assert [note for note in said_of(result, "a.csv") if note.startswith(told)]
    assert said_of(result, tmp_path / "a.csv") == said_of(result, "./a.csv") == said_of(result, "a.csv")
    assert said_of(result, "copy.csv") == []
    rows.head(60).to_csv("a.csv", index=False)
    assert said_of(result, "a.csv") == ["the run was trained on a source of this name that had more rows"]
    several = sk.fit("[ac]*.csv", ignore=["said", "id"], **settings)
    [note] = said_of(several, "copy.csv")
    assert note.startswith("rows of this source were trained on")
    built_in = sk.fit("sklearn:iris", target="species", method="erm", train=QUICK, estimate=sk.Estimation(kind="none"))
    assert said_of(built_in, "iris")[0].startswith("this is the set that the run was trained on: 120 of its 150 rows")


def test_test_rows_that_folders_set_apart_are_said_to_be_so(tmp_path: Path) -> None:
    for part, n in (("train", 20), ("test", 5)):
        for label, word in (("good", "fine"), ("bad", "poor")):
            (tmp_path / "texts" / part / label).mkdir(parents=True)
            for i in range(n):
                (tmp_path / "texts" / part / label / f"{i}.txt").write_text(f"a {word} thing, number {i}")
    estimate = sk.Estimation(kind="none")
    result = sk.fit(str(tmp_path / "texts"), method="erm", train=QUICK, estimate=estimate)
    assert result.own_test_rows
    result.save(tmp_path / "run")
    back = sk.load_summary(tmp_path / "run")
    assert dict(fit_report(back, tmp_path / "run").asked)["Test"] == OWN_TEST_ROWS
    card = (tmp_path / "run" / "README.md").read_text("utf-8")
    assert f"Tested on 10 rows ({OWN_TEST_ROWS})" in card
    assert "held out" not in card.split("## Figures")[0]
    assert metric_notes(back)[0].startswith("The test rows are of the same source")
    assert said_of(result, tmp_path / "texts" / "test") == []
    [note] = said_of(result, tmp_path / "texts" / "train")
    assert note.startswith("rows of this source were trained on")
    assert not fitted(frame()).own_test_rows
