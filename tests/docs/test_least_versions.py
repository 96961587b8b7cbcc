"""The least versions of pyproject.toml are those of the guide, the locked ones are no older; holes fail the audit."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.pages import text
from tests.support.paths import ROOT, SOURCE

PROJECT = tomllib.loads(text("pyproject.toml"))["project"]
ALL = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
REQUIRED = [Requirement(line) for lines in ALL for line in lines]
READERS = {"torch", "pyarrow", "pillow", "scikit-learn", "jinja2", "datasets", "transformers", "onnx"}


def least(requirement: Requirement) -> str:
    return next(each.version for each in requirement.specifier if each.operator == ">=")


def test_the_guide_has_the_least_versions_of_what_had_holes() -> None:
    table = re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \|", text("docs/guide/security.md"), re.MULTILINE)
    assert dict(table) == {each.name: least(each) for each in REQUIRED if each.name in READERS}


def test_the_locked_versions_are_as_asked_for() -> None:
    locked = dict(line.split("==") for line in text("requirements.lock").splitlines() if "==" in line)
    versions = {canonicalize_name(name): version for name, version in locked.items()}
    for each in REQUIRED:
        if (version := versions.get(canonicalize_name(each.name))) is not None:
            assert version in each.specifier, f"{each.name} {version}"


def test_no_call_trusts_the_code_of_a_data_set_or_a_model() -> None:
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant), file
                assert node.value.value is False, file


@pytest.fixture
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
HOLE = {"id": "PYSEC-2026-1", "fix_versions": ["13.0.1"], "aliases": [], "description": "…"}
HOLED = {"name": "pillow", "version": "13.0.0", "vulns": [HOLE]}
UNKNOWN = {"name": "absgd", "skip_reason": "Dependency not found on PyPI and could not be audited: absgd (0.0.1)"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([SOUND, HOLED], 1, "pillow 13.0.0: PYSEC-2026-1, mended in 13.0.1"),
        ([HOLED, UNKNOWN], 1, "pillow 13.0.0"),
        ([{**HOLED, "vulns": [{**HOLE, "fix_versions": []}]}], 1, "not mended yet"),
        ([SOUND, UNKNOWN], 0, "1 versions, no known hole; 1 more are not known"),
        ([SOUND], 0, "1 versions, no known hole"),
        ([UNKNOWN], 0, "the advisory service can't be asked, and nothing was checked (it knows none"),
    ],
)
def test_a_hole_fails_the_audit_and_a_silent_service_does_not(
    audit: Any, packages: list[dict[str, Any]], status: int, said: str
) -> None:
    found, lines = audit.verdict({"dependencies": packages, "fixes": []})
    assert found == status
    assert said in lines[0]


def test_a_machine_without_the_network_says_so_in_one_line(
    audit: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "FOLDER", tmp_path / "nothing" / "\0")
    assert audit.main(["requirements.lock"]) == 0
    assert capsys.readouterr().out.startswith("audit: the advisory service can't be asked, and nothing was checked (")
