"""The arrows of ARCHITECTURE.md: an import that runs upwards, or in a circle, fails."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import SOURCE

PACKAGE = SOURCE / "skedastic"
EVERYWHERE = {"errors", "configurable", "version"}  # modules that every package may import
LAYERS = {  # the packages that each may import, besides itself
    "configurable": set(),
    "runtime": set(),
    "core": set(),
    "losses": {"core", "runtime"},
    "methods": {"core", "losses", "runtime"},
    "models": {"runtime"},
    "data": {"core", "models", "runtime"},
    "training": {"core", "data", "losses", "methods", "models", "runtime"},
    "settings": {"core", "data", "losses", "methods", "models", "runtime", "training"},
    "evaluation": {"data"},
    "noise": {"core", "data", "evaluation", "methods", "models", "runtime", "settings", "training"},
    "report": {"evaluation", "runtime"},  # its plain values: intervals, metrics
    "runs": {"core", "data", "evaluation", "methods", "models", "noise", "report", "runtime", "settings", "training"},
    "pipeline": {"core", "data", "evaluation", "losses", "methods", "models", "noise", "report", "runs", "runtime"}
    | {"settings", "training"},
    "cli": {
        "core",
        "data",
        "evaluation",
        "losses",
        "methods",
        "models",
        "noise",
        "pipeline",
        "report",
        "runs",
        "runtime",
    }
    | {"settings", "training"},
}
THIRD_PARTY = {  # where it is limited
    "core": {"torch"},
    "losses": {"torch"},
    "methods": {"numpy", "sklearn", "torch", "typing_extensions"},
    "models": {"torch", "transformers", "timm", "safetensors"},
    "report": {"jinja2", "markupsafe"},
}
STANDARD = set(sys.stdlib_module_names)


def module_name(file: Path) -> str:
    return ".".join(("skedastic", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_name(file): file for file in PACKAGE.rglob("*.py")}


def imports(file: Path) -> set[str]:
    """Return every module that a file imports, inside its functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: import by the full name"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in whole}
    return names


def test_every_package_has_its_layer() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_layers_below_it(layer: str) -> None:
    allowed = LAYERS[layer] | {layer} | EVERYWHERE
    for file in (PACKAGE / layer).rglob("*.py"):
        for name in imports(file):
            top, _, rest = name.partition(".")
            if top == "skedastic":
                assert rest.partition(".")[0] in allowed, f"{file.name} of {layer} imports {name}"
            elif layer in THIRD_PARTY:
                assert top in THIRD_PARTY[layer] | STANDARD, f"{file.name} of {layer} imports {name}"


def test_the_packages_that_all_may_import_import_nothing_else_of_ours() -> None:
    for name in EVERYWHERE:
        files = list((PACKAGE / name).glob("*.py")) or [PACKAGE / f"{name}.py"]
        ours = {i.split(".")[1] for file in files for i in imports(file) if i.startswith("skedastic.")}
        assert ours <= EVERYWHERE


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: {i for i in imports(file) if i in MODULES and i != name} for name, file in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None


def test_at_most_six_modules_stand_loose() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 6


@pytest.mark.parametrize(
    "name", ["__init__.py", "errors.py", "configurable/__init__.py", "version.py", "cli/__init__.py"]
)
def test_the_front_doors_import_nothing_heavy(name: str) -> None:
    for node in ast.parse((PACKAGE / name).read_text("utf-8")).body:  # at the top only: verbs import the rest inside
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            assert (module or "").partition(".")[0] in STANDARD | {"click", "skedastic"}, f"{name} imports {module}"
