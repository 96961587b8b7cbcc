"""docs/reference is the output of docs/generate.py."""

import importlib.util

import pytest

from tests.support.pages import REFERENCE
from tests.support.paths import ROOT

SPEC = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_page_is_up_to_date(name):
    page = REFERENCE / name
    assert page.is_file(), "run make docs"
    assert page.read_text("utf-8") == generate.PAGES[name](), "run make docs"


def test_there_are_no_other_pages():
    assert {page.name for page in REFERENCE.iterdir()} == set(generate.PAGES)


def test_the_pages_have_every_method_loss_verb_and_setting():
    from skedastic.cli import app
    from skedastic.losses import discover
    from skedastic.methods.presets import presets

    for name, names in (("methods.md", presets()), ("losses.md", discover()), ("cli.md", app.commands)):
        page = (REFERENCE / name).read_text("utf-8")
        for heading in names:
            assert f"## `{heading}`" in page, f"{name} has no {heading}"
