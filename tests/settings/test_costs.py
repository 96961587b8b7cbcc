"""Files of costs: what they hold, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import skedastic as sk
from skedastic.core.criteria import Cost
from skedastic.runs.sentences import fit_outcome
from skedastic.settings.costs import costs_of_file
from skedastic.settings.methods import the_criterion
from skedastic.settings.reading import build_config, read, to_toml
from tests.support.refusals import refused

TABLE = "true, a ,b\na,0,1\n\nb, 2.5 ,\n"
COSTS = {"a": {"a": 0.0, "b": 1.0}, "b": {"a": 2.5}}


def file(folder: Path, text: str | bytes) -> str:
    (folder / "costs.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder / "costs.csv")


def test_costs_are_read_by_true_and_predicted_class_and_kept_in_the_configuration(tmp_path: Path) -> None:
    named = file(tmp_path, TABLE)
    assert costs_of_file(named, "x") == COSTS
    config = build_config({"source": "a.csv", "method": {"optimize": f"cost:{named}"}})
    assert the_criterion(config) == Cost(costs=COSTS)
    x, y = np.random.default_rng(0).normal(size=(90, 3)), np.array(["a", "a", "b"] * 30)
    method = "auto(optimize=cost(costs={a={b=1}, b={a=2.5}}))"
    result = sk.fit(x, y, method=method, train=sk.TrainingConfig(epochs=1), test=0.3)
    assert list(result.metrics.asked) == ["cost"]
    predicted, true = (result.predictions[name] for name in ("predicted", "label"))
    costs = [COSTS[t].get(p, 0.0) for t, p in zip(true, predicted, strict=True)]
    assert result.metrics.asked["cost"] == pytest.approx(np.mean(costs))
    assert "A row costs" in fit_outcome(result)
    (tmp_path / "run.toml").write_text(to_toml(result.config), "utf-8")
    (tmp_path / "costs.csv").unlink()
    assert the_criterion(read(tmp_path / "run.toml", {})) == Cost(costs={"a": {"b": 1}, "b": {"a": 2.5}})


@pytest.mark.parametrize(
    "text",
    [
        "true; a ;b\na;0;1\n\nb; 2,5 ;\n",
        "true;a;b\na;0.0;1,0\nb;2.5;\n",
        "true\ta\tb\na\t0\t1\nb\t2,5\t\n",
        "\ufefftrue;a;b\r\na;0;1\r\nb;2,5;\r\n",
    ],
)
def test_semicolons_and_tabs_separate_costs_too_and_then_a_comma_is_decimal(text: str, tmp_path: Path) -> None:
    assert costs_of_file(file(tmp_path, text), "x") == COSTS


def test_a_number_names_the_class_however_the_file_writes_it(tmp_path: Path) -> None:
    costs = costs_of_file(file(tmp_path, ",1.0,2\n1,0,3\n2.0,4,0\n"), "x")
    assert costs == {"1": {"1": 0, "2": 3}, "2": {"1": 4, "2": 0}}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "no table of costs"),
        ("a,b\n", "no table of costs"),
        (",a,a\na,0,1\n", "no table of costs"),
        (",a,b\na,0\n", "line 2: it has 1 costs"),
        (",a,b\na,0,1\na,0,1\n", "line 3: class 'a' stands twice"),
        (",a,b\na,0,much\n", "line 2: 'much' is no number"),
        (",1,1.0\n1,0,1\n", "no table of costs"),
        (",1,2\n1,0,1\n1.0,0,1\n", "line 3: class '1' stands twice"),
        (";a;b\na,0,1\n", "line 2: it has 0 costs, where there are 2 classes; read as separated by semicolons"),
        (";a;b\na;0;1,000\nb;1;0\n", "line 2: '1,000' is no number"),
        ("a\nb\n", "read as separated by commas"),
        (b"\xff\xfe,a\n", "can't read the costs"),
    ],
)
def test_what_is_no_table_of_costs_is_refused(text, rule: str, tmp_path: Path) -> None:
    with refused("x", rule=rule):
        costs_of_file(file(tmp_path, text), "x")
