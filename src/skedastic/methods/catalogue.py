"""The names of methods, read from the files of this package without running them: torch need not be imported for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

PACKAGE = "skedastic.methods"
PRESETS = "presets.py"  # the module with the published names, in the table NAMED
CARD, TABLE = "card", "NAMED"


@cache
def method_classes() -> Mapping[str, str]:
    """Return the module of each method's class, by the name of the class."""
    return {cls: module for module, cls, _ in _cards()}


@cache
def method_names() -> tuple[str, ...]:
    """Return every name that a user may ask for, as `presets` does: those on the cards, and the published ones."""
    return tuple(sorted({name for _, _, name in _cards()} | set(_published())))


@cache
def _cards() -> tuple[tuple[str, str, str], ...]:
    """Return module, class and name on the card of each method."""
    return tuple(
        (f"{PACKAGE}.{file.stem}", node.name, name)
        for file in _files()
        for node in _tree(file).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        for value in _assigned(node.body, CARD)
        if (name := _name(value)) is not None
    )


def _published() -> Iterator[str]:
    for value in _assigned(_tree(Path(__file__).with_name(PRESETS)).body, TABLE):
        if isinstance(value, ast.Dict):
            yield from (key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def _files() -> Iterator[Path]:
    for folder in import_module(PACKAGE).__path__:  # as discovery walks it
        yield from (path for path in sorted(Path(folder).glob("*.py")) if path.stem != "__init__")


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def _assigned(body: list[ast.stmt], name: str) -> Iterator[ast.expr]:
    """Yield the values that are assigned to a name, with a type beside it or without."""
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(value, ast.expr) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            yield value


def _name(card: ast.expr) -> str | None:
    """Return the text given as `name` in a call such as Card(name="har")."""
    for keyword in card.keywords if isinstance(card, ast.Call) else ():
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None
