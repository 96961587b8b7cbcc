"""What test rows are judged by: clean targets where they have some, else their own labels, and the words say which."""

from pathlib import Path

import pandas as pd
import pytest

import skedastic as sk
from skedastic.runs.evaluate import evaluate_source
from skedastic.runs.sentences import fit_sentence, metric_notes
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
    assert (OWN in fit_sentence(result)) is not known
    assert evaluate_source(result, str(tmp_path / "test.csv")).by_truth is known
    result.save(tmp_path / "run")
    assert sk.load_summary(tmp_path / "run").metrics.by_truth is known


def test_labels_that_noise_was_put_into_are_judged_by_those_of_before() -> None:
    simulated, plain = fitted(frame(), noise="uniform:0.2"), fitted(frame())
    assert OWN not in fit_sentence(simulated)
    assert OWN in fit_sentence(plain)
    assert metric_notes(plain)[0].startswith("The test rows were held out of the same source: wrong labels among them")
    assert metric_notes(simulated) == []
