"""Rows whose targets are gross errors, from end to end: set aside, told of, the first suspects; or kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import skedastic as sk
from skedastic.data import Numbers
from skedastic.settings.reading import read
from tests.support.power_cut import PowerCut, cut_after
from tests.support.refusals import refused

N = 400
QUICK: dict[str, Any] = {
    "train": sk.TrainingConfig(epochs=12, batch_size=32, device="cpu"),
    "task": "regression",
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
CLEAN = 200 + 30 * X[:, 0] + 20 * np.sin(2 * X[:, 1]) + 5 * RNG.normal(size=N)
WRONG = np.sort(RNG.permutation(N)[:20])
Y = CLEAN.copy()
Y[WRONG] *= 10
FEW = 4  # right targets that look like errors
TEST = RNG.normal(size=(300, 3))
TRUE = 200 + 30 * TEST[:, 0] + 20 * np.sin(2 * TEST[:, 1])


def fit(y: np.ndarray = Y, **settings: Any) -> sk.Result:
    return sk.fit(X, y, **{**QUICK, "test": (TEST, TRUE), **settings})


def error(result: sk.Result) -> float:
    return float(result.metrics.overall.rmse)


@pytest.fixture(scope="module")
def fitted() -> sk.Result:
    return fit()


def test_errors_cost_almost_nothing_and_are_the_first_suspects(fitted: sk.Result) -> None:
    assert error(fitted) < 1.15 * error(fit(CLEAN))
    assert error(fit(gross_errors="keep")) > 3 * error(fitted)
    issues = fitted.label_issues
    assert set(issues["index"][: len(WRONG)]) == set(WRONG)
    assert issues["is_issue"][: len(WRONG)].all()
    assert issues["rank"].tolist() == list(range(1, N + 1))
    assert sorted(issues["index"]) == list(range(N))
    aside = N - sum(fitted.train_count)
    assert len(WRONG) <= aside <= len(WRONG) + FEW
    assert sum(f"{aside} of 400 training rows were set aside" in note for note in fitted.notes) == 1
    kept = np.delete(Y, issues["index"][:aside])
    assert isinstance(fitted.target, Numbers)
    assert fitted.target.scale.deviation == pytest.approx(kept.std())
    assert {shown.index for shown in fitted.shown_issues} >= set(WRONG)


def test_a_run_is_saved_and_its_configuration_says_what_was_done(fitted: sk.Result, tmp_path: Path) -> None:
    assert fitted.config.gross_errors == "set-aside"
    fitted.save(tmp_path / "run")
    assert read(tmp_path / "run" / "config.toml", {}).gross_errors == "set-aside"
    loaded = sk.load(tmp_path / "run")
    assert np.array_equal(loaded.predict(TEST), fitted.predict(TEST))
    assert loaded.label_issues.equals(fitted.label_issues)


def test_without_errors_the_fit_is_the_same_to_the_bit() -> None:
    usual, kept = fit(CLEAN), fit(CLEAN, gross_errors="keep")
    assert np.array_equal(usual.predict(TEST), kept.predict(TEST))
    assert usual.label_issues.equals(kept.label_issues)


def test_a_method_that_is_named_trains_on_all_rows_unless_told_otherwise() -> None:
    none: dict[str, Any] = {"method": "erm", "estimate": sk.Estimation(kind="none")}
    named, told = fit(**none), fit(**none, gross_errors="set-aside")
    assert named.config.gross_errors == "keep"
    assert sum(named.train_count) == N
    assert N - len(WRONG) - FEW <= sum(told.train_count) <= N - len(WRONG)
    assert error(named) > 2 * error(told)


def test_an_interrupted_fit_sets_the_same_rows_aside(fitted: sk.Result, tmp_path: Path) -> None:
    with pytest.raises(PowerCut):
        fit(checkpoints=tmp_path, checkpoint_every=0.0, progress=cut_after("network, half 1", 2))
    resumed = fit(checkpoints=tmp_path, checkpoint_every=0.0)
    assert np.array_equal(resumed.predict(TEST), fitted.predict(TEST))


def test_what_has_no_gross_errors_is_refused() -> None:
    with refused("gross_errors", "set-aside", rule="these are classes"):
        sk.fit(X, np.arange(N) % 2, gross_errors="set-aside", train=QUICK["train"])
    images = RNG.integers(0, 255, size=(40, 8, 8)).astype(np.uint8)
    with refused("gross_errors", "set-aside", rule="images or tokens"):
        sk.fit(images, np.linspace(0, 1, 40), gross_errors="set-aside", **QUICK)
    with refused("gross_errors", "drop"):
        fit(gross_errors="drop")


def test_targets_that_are_wrong_inside_the_range_are_set_aside_and_told_of(tmp_path: Path) -> None:
    inside = np.sort(RNG.permutation(N)[:100])
    low = CLEAN / 2 - 60  # so that three times is in the range
    y = low.copy()
    y[inside] *= 3
    told: dict[str, Any] = {"test": (TEST, TRUE / 2 - 60)}
    found, kept = fit(y, **told), fit(y, gross_errors="keep", **told)
    assert error(found) < 0.5 * error(kept)
    aside = N - sum(found.train_count)
    assert aside > 80
    first = set(found.label_issues["index"][:aside])
    assert len(first & set(inside)) > 0.9 * aside
    [note] = [note for note in found.notes if "seem to be wrong" in note]
    assert f"{aside} of 400 training rows" in note
    assert "3 times what is predicted" in note
    assert min(found.train_count) > 0.5 * max(found.train_count), "bins are made of the rows that are left"
    found.save(tmp_path / "run")
    assert sk.load(tmp_path / "run").grouping == found.grouping
    named = fit(y, method="erm", **told)
    assert not any("set aside" in note for note in named.notes), "a method that is named trains on what it is given"


def test_skewed_noise_is_trained_on_as_it_is() -> None:
    y = CLEAN * np.exp(0.6 * np.random.default_rng(1).normal(size=N))
    np.testing.assert_array_equal(fit(y).predict(TEST), fit(y, gross_errors="keep").predict(TEST))


def test_the_seeds_of_a_comparison_have_the_same_bins(tmp_path: Path) -> None:
    y = CLEAN / 2 - 60
    y[RNG.permutation(N)[:100]] *= 3
    table = pd.DataFrame(X, columns=list("abc")).assign(y=y)
    table.to_csv(tmp_path / "rows.csv", index=False)
    told = QUICK | {"source": str(tmp_path / "rows.csv"), "target": "y", "test": "0.25", "methods": ("erm", "linear")}
    compared = sk.compare(sk.Config(**told, gross_errors="set-aside", seeds=2))
    compared.save(tmp_path / "compared")
    assert len({tuple(outcome.metrics["erm"].groups) for outcome in compared.outcomes}) == 1
