"""The promises of the README and of the demo, run."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skedastic as sk
from skedastic.settings.reading import read
from tests.support.pages import blocks, text
from tests.support.paths import ROOT


def test_the_readme_is_read_in_half_a_minute_and_the_architecture_on_one_page() -> None:
    assert len(text("README.md").split()) < 700
    assert len(text("ARCHITECTURE.md").split()) <= 900


def test_the_readme_has_six_lines_of_python_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [snippet] = blocks("README.md", "python")
    assert len([line for line in snippet.splitlines() if line.strip()]) == 6
    X = np.random.default_rng(0).normal(size=(120, 3))
    fit, tiny = sk.fit, sk.TrainingConfig(epochs=1)
    monkeypatch.setattr(sk, "fit", lambda *given, **named: fit(*given, train=tiny, **named), raising=False)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"X": X, "y": (X[:, 0] > 0).astype(int), "X_new": X[:2]}
    exec(snippet, names)
    assert sk.load("runs/mine").predict(X[:2]).tolist() == names["result"].predict(X[:2]).tolist()
    assert all(hasattr(names["result"], node.attr) for node in ast.walk(ast.parse(snippet))
               if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "result")  # fmt: skip


def test_the_readme_has_the_two_commands_of_make() -> None:
    targets = set(re.findall(r"^(\w+):", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"make (\w+)", text("README.md")))
    assert {"demo", "test"} <= named <= targets


def test_the_table_of_the_readme_is_part_of_the_demos() -> None:
    whole = [cells(line) for line in text("docs/results/demo.md").splitlines() if line.startswith("|")]
    rows = [cells(line) for line in text("README.md").splitlines() if "±" in line and line.startswith("|")]
    assert len(rows) == 5
    for _, *figures in rows:
        assert figures in [row[1:] for row in whole]


def cells(line):
    return [cell.strip().strip("*") for cell in line.strip("|").split("|")]


def test_the_demos_configuration_is_valid_and_is_the_documented_experiment() -> None:
    config = read(ROOT / "examples" / "demo.toml", {})
    assert config.noise == "1<->8:0.4,3<->9:0.4"
    assert config.imbalance == "step:3:1,3,8,9"
    assert config.methods == ("erm", "unif", "har", "har-auto")
    assert config.train.epochs == 60
    assert config.seeds >= 10
    assert config.first_seed + config.seeds <= 1000, "development seeds are 1000 and up"


def test_the_locked_torch_is_in_the_declared_range() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    locked = dict(line.split("==") for line in text("requirements.lock").split())
    assert locked["torch"] == "2.13.0"
    for dependency in project["dependencies"]:
        assert re.split(r"[<>=\[]", dependency)[0].replace("-", "_").lower() in {
            name.replace("-", "_").lower() for name in locked
        }
