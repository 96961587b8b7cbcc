"""The arrows of ARCHITECTURE.md: an import that runs upwards fails."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "skedastic"
EVERYWHERE = {"errors"}
# what each layer may import of the package, and which third-party packages, where these are limited
LAYERS = {
    "core": ({"core"}, {"torch"}),
    "smoothing.py": (set(), {"numpy", "scipy"}),
    "losses": ({"core", "losses"}, {"torch"}),
    "methods": ({"core", "losses", "methods"}, {"torch"}),
    "models": ({"models"}, {"torch", "transformers", "timm", "safetensors"}),
    "data": ({"core", "models", "data", "allocator"}, None),
    "training": ({"core", "losses", "methods", "models", "data", "training"}, None),
}
STANDARD = set(__import__("sys").stdlib_module_names)


def imports(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: import by the full name"
            if node.module == "skedastic":
                found += [f"skedastic.{alias.name}" for alias in node.names]
            else:
                found.append(node.module)
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_import_downwards_only(layer):
    own, third = LAYERS[layer]
    files = [PACKAGE / layer] if layer.endswith(".py") else list((PACKAGE / layer).rglob("*.py"))
    assert files
    for file in files:
        for name in imports(file):
            top, _, rest = name.partition(".")
            if top == "skedastic":
                assert rest.partition(".")[0] in own | EVERYWHERE, f"{file.name} of {layer} imports {name}"
            elif third is not None:
                assert top in third | STANDARD, f"{file.name} of {layer} imports {name}; it may import {third} only"


def test_the_packages_front_door_and_the_command_line_import_nothing_heavy():
    for name in ("__init__.py", "cli.py", "errors.py"):
        tree = ast.parse((PACKAGE / name).read_text("utf-8"))
        for node in tree.body:  # at the top only: verbs import what they need
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                assert (module or "").partition(".")[0] in STANDARD | {"click", "skedastic"}, f"{name} imports {module}"
