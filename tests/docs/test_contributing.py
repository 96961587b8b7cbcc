"""The example of CONTRIBUTING.md is a whole method: one file, discovered, tested and listed by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = """
import skedastic.methods
skedastic.methods.__path__.append({folder!r})
"""
USE = """
import with_example
from skedastic.errors import UserError
from skedastic.methods import discover
from skedastic.settings.methods import make_method, method_table

cls = discover()["confidence-penalty"]
method = make_method("confidence-penalty(begins=0.5)", {})
assert method_table(method)["begins"] == 0.5
assert "begins : float, default 0.0" in cls.__doc__, cls.__doc__
try:
    cls(begins=-1)
except UserError as error:
    assert error.setting == "confidence-penalty.begins"
else:
    raise AssertionError("a value out of the range is not refused")

from skedastic.cli import main
main(["methods", "confidence-penalty"])
main(["methods"])
"""


@pytest.fixture
def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)


def run(folder: Path, *arguments: str) -> str:
    """Return the output of a Python process in which the methods in `folder` belong to the package."""
    (folder / "with_example.py").write_text(PLUGIN.format(folder=str(folder / "methods")), "utf-8")
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def example(folder: Path, text: str) -> None:
    (folder / "methods").mkdir()
    (folder / "methods" / "confidence_penalty.py").write_text(text, "utf-8")


@pytest.mark.slow
def test_the_example_meets_the_contract(blocks: list[str], tmp_path: Path) -> None:
    example(tmp_path, blocks[0])
    contract = ("tests/methods/test_contract.py", "-k", "confidence-penalty", "-p", "with_example")
    printed = run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", *contract)
    passed = re.search(r"(\d+) passed", printed)
    assert passed is not None
    assert int(passed[1]) >= 15, printed


@pytest.mark.slow
def test_a_new_setting_is_one_line(blocks: list[str], tmp_path: Path) -> None:
    module, line = blocks
    assert line.count("\n") == 1
    beta = next(row for row in module.splitlines(keepends=True) if row.startswith("    beta: float"))
    example(tmp_path, module.replace(beta, beta + line))
    (tmp_path / "use.py").write_text(USE, "utf-8")
    printed = run(tmp_path, str(tmp_path / "use.py"))
    assert "from when on: a fraction of the epochs" in " ".join(printed.split())
    assert "Confidence penalty" in printed
