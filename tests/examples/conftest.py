"""The evidence as a module, which tests of its runs and of its pages share."""

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.paths import ROOT

NAMES = (
    *("common", "noise_estimate", "resumable", "tables"),
    *("evidence", "evidence_lines", "evidence_page", "choosing", "choosing_tables"),
)


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark as a module; those that it imports can be imported too."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("evidence")
    for name in NAMES:
        sys.modules.pop(name, None)
