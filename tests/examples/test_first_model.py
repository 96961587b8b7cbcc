"""How soon there is a model: the figure of a line of `fit`, the script of another tool, medians and ratios."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skedastic.core.choice import Best
from skedastic.runs.choice import best_sentence
from tests.support.paths import ROOT


@pytest.fixture
def first_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("first_model")
    for name in ("first_model", "common"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("criterion", "value", "figure"),
    [("balanced", 0.8243, 82.4), ("rmse", -1111.0, 1110.0), ("rmse", -0.5, 0.5), ("rmse", -1.2e-5, 1.2e-5)],
)
def test_the_figure_of_a_model_is_read_from_its_sentence(
    first_model: Any, criterion: str, value: float, figure: float
) -> None:
    found = first_model.FIGURE.search(best_sentence(Best("linear model", value, criterion, None)))
    assert found is not None
    assert float(found[1]) == figure


def test_a_fit_that_fails_is_no_figure(first_model: Any, tmp_path: Path) -> None:
    pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}).to_parquet(tmp_path / "two.parquet")
    with pytest.raises(subprocess.CalledProcessError):
        first_model.of_fit(tmp_path / "two.parquet", "nothing", tmp_path / "run", ends=True)


def test_times_are_medians_and_ratios_to_the_first_script(first_model: Any) -> None:
    came = first_model.Came
    shown = first_model.rows(
        {"sklearn": [came(2.0, 80.0)] * 3, "first model": [came(s, 82.4) for s in (9.0, 3.0, 4.0)]}
    )
    assert [line.split() for line in shown.values()] == [
        ["2.0", "s", "1.0", "×", "80", "(of", "3)"],
        ["4.0", "s", "2.0", "×", "82.4", "(of", "3)"],
    ]


def test_the_script_of_another_tool_tells_classes_of_words_and_numbers(first_model: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, 600)
    word = np.where(x > 0, "up", "down")
    split = np.where(np.arange(600) % 3 == 0, "test", "train")
    pd.DataFrame({"x": x, "label": word, "split": split}).to_parquet(tmp_path / "words.parquet")
    pd.DataFrame({"word": word, "label": np.where(x > 0, 5.0, -5.0)}).to_parquet(tmp_path / "numbers.parquet")
    assert first_model.of_script("sklearn", tmp_path / "words.parquet", "label").figure > 97
    assert first_model.of_script("sklearn", tmp_path / "numbers.parquet", "label").figure < 0.1
