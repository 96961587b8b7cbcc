"""Names in the documentation exist: methods, verbs, options, configurations, packages."""

import re
from itertools import pairwise
from pathlib import Path

import click
import pytest

from skedastic.cli import app
from skedastic.pipeline import ALL
from skedastic.settings.expression import split
from skedastic.settings.methods import compared_methods, make_method
from skedastic.settings.reading import read
from tests.support.pages import WRITTEN, blocks, commands, commands_in_prose, text, title
from tests.support.paths import ROOT

IN_BLOCKS = [(title(page), words) for page in WRITTEN for words in commands(page)]
IN_PROSE = [(title(page), words) for page in WRITTEN for words in commands_in_prose(page)]
COMMANDS = [(page, words) for page, words in IN_BLOCKS + IN_PROSE if not words[0].startswith("-")]
METHODS = [
    (page, name)
    for page, words in COMMANDS
    for option, value in pairwise(words)
    for name in {"--method": [value], "--methods": split(value)}.get(option, [])
    if name not in (ALL, "NAME")
]
PACKAGES = "|".join(path.name for path in (ROOT / "src" / "skedastic").iterdir() if (path / "__init__.py").is_file())


def test_the_pages_have_commands_and_methods() -> None:
    assert len(IN_BLOCKS) >= 20
    assert len(IN_PROSE) >= 20
    assert len(METHODS) >= 20


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_a_command_has_an_existing_verb_and_existing_options(page, words) -> None:
    top = click.Context(app, info_name="skedastic")
    verb = app.get_command(top, words[0])
    assert verb is not None, f"{page}: no verb {words[0]}"
    try:
        verb.make_context(words[0], words[1:], parent=top)  # raises where an option is unknown
    except click.MissingParameter:
        assert (page, words) in IN_PROSE


@pytest.mark.parametrize(("page", "name"), METHODS)
def test_a_method_that_the_docs_name_is_one(page, name) -> None:
    assert make_method(name, {}), page


def test_a_method_in_python_or_toml_is_one() -> None:
    named = [
        name for block in blocks("docs/guide/methods.md", "python") for name in re.findall(r'method="([^"]+)"', block)
    ]
    assert named
    for name in named:
        assert make_method(name, {})
    [toml] = blocks("docs/guide/methods.md", "toml")
    assert 'name = "absgd"' in toml


def test_the_configuration_of_the_guide_can_be_read(tmp_path: Path) -> None:
    [toml] = blocks("docs/guide/methods.md", "toml")
    (tmp_path / "c.toml").write_text(toml, "utf-8")
    config = read(tmp_path / "c.toml", {})
    assert make_method(config.method["name"], {k: v for k, v in config.method.items() if k != "name"})


def test_the_configurations_of_the_results_can_be_read() -> None:
    files = sorted((ROOT / "docs" / "results").glob("*.toml"))
    assert files
    for file in files:
        named = re.search(r"--presets? (\S+)", file.read_text("utf-8"))  # the table that it is for
        config = read(file, {}, preset=named and named[1])
        assert len(compared_methods(config)) >= (4 if named and named[1] == "har-table6" else 6)  # the paper's rows
        assert config.seeds >= 3


@pytest.mark.parametrize("page", WRITTEN, ids=title)
def test_a_file_of_the_project_that_a_page_names_is_there(page) -> None:
    named = re.findall(r"`(?:python )?((?:benchmarks|examples|tests|src|docs)/[\w/]+\.(?:py|toml|md|png))", text(page))
    modules = re.findall(rf"`((?!runs/)(?:{PACKAGES})/[\w/]*)(\.py)?`", text(page))
    for path in named:
        assert (ROOT / path).is_file(), f"{path} is not there"
    for path, ending in modules:
        assert (ROOT / "src" / "skedastic" / f"{path}{ending}").exists(), f"{path}{ending} is not there"


def test_a_page_that_the_code_names_is_there() -> None:
    named = [
        (file.name, page)
        for folder in ("src", "examples", "benchmarks")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for page in re.findall(r"\bdocs/[\w/]+\.md", file.read_text("utf-8"))
    ]
    assert named
    for file, page in named:
        assert (ROOT / page).is_file(), f"{file} names {page}, which is not there"


def test_every_package_is_in_the_architecture() -> None:
    for package in PACKAGES.split("|"):
        assert re.search(rf"`{package}`", text("ARCHITECTURE.md")), f"{package} is in no layer of ARCHITECTURE.md"
    for path in re.findall(r"\bdata/\w+|\bmethods/\w+", text("ARCHITECTURE.md")):
        assert (ROOT / "src" / "skedastic" / path).is_dir(), path
