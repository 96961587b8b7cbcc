"""Write docs/reference from the code: cards, settings, the command line's help, and docstrings. `make docs` runs it.

A test compares the committed pages with what this module renders, so a change of a card, a setting, an option or a
public docstring asks for `make docs`.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import click
from click.testing import CliRunner

import skedastic
from skedastic import core
from skedastic.cli import app
from skedastic.configurable import described, markdown_table
from skedastic.losses import discover as losses
from skedastic.methods.bases.method import Method
from skedastic.methods.bases.one_network import OneNetwork
from skedastic.runs.comparison import Comparison
from skedastic.runs.result import Result
from skedastic.runs.summary import RunSummary
from skedastic.runtime.limits import Limits
from skedastic.settings import presets as experiments
from skedastic.settings.config import Config
from skedastic.settings.registry import FAMILIES

FOLDER = Path(__file__).parent / "reference"
WRITTEN = "<!-- Written by docs/generate.py (`make docs`); do not edit. -->"
ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function that is a default
LONGEST_DEFAULT = 60  # characters; a longer one is left out


def methods_page() -> str:
    """Return the page of every published name, by family: the cards, and the settings of each method."""
    cards = json.loads(CliRunner().invoke(app, ["methods", "--json"], catch_exceptions=False).stdout)
    axes = {field.name for field, _ in described(OneNetwork)}
    parts = [
        "# Methods",
        WRITTEN,
        "Every name can be given to `--method`, with settings in brackets. The axes are in every method that has them:",
    ]
    parts.append(_card_settings(cards["erm"]["parameters"], keep=axes))
    for family, names in _by_family(cards).items():
        parts.append(f"## {family[:1].upper()}{family[1:]}")
        parts += [_card(name, cards[name], axes) for name in names]
    return _page(parts)


def _card(name: str, card: Mapping[str, Any], axes: Iterable[str]) -> str:
    facts = {
        "paper": card["paper"],
        "equation": card["equations"],
        "stands for": f"`{card['stands_for']}`" if card["stands_for"] else "",
        "needs": ", ".join(card["needs"]),
        "wrapping": "; ".join(card["not_wrapped"]),
        "cost": card["cost"],
        "keeps of each example": card["memory"],
    }
    rows = [f"- {fact}: {value}" for fact, value in facts.items() if value and value != "—"]
    table = "" if card["stands_for"] else _card_settings(card["parameters"], leave_out=axes)
    return "\n\n".join(part for part in (f"### `{name}`", f"{card['title']}.", "\n".join(rows), table) if part)


def _card_settings(
    settings: Mapping[str, Mapping[str, Any]], keep: Iterable[str] | None = None, leave_out: Iterable[str] = ()
) -> str:
    rows = [
        (f"`{name}`", _short(_written(said["default"])), said["meaning"])
        for name, said in settings.items()
        if name not in leave_out and (keep is None or name in keep)
    ]
    return _table(("setting", "default", "meaning"), rows) if rows else ""


def losses_page() -> str:
    """Return the page of losses: where each is from, and its settings."""
    parts = [
        "# Losses",
        WRITTEN,
        "A loss is an axis of every method that trains one network: `--set method.loss=NAME`.",
    ]
    for name, loss in losses().items():
        module = inspect.getmodule(loss)
        parts += [f"## `{name}`", _text(inspect.getdoc(module) or ""), f"For {' and '.join(sorted(loss.supports))}."]
        parts.append(_settings(loss))
    return _page(parts)


def settings_page() -> str:
    """Return the page of the whole configuration, and of what is chosen by name in it."""
    parts = [
        "# Settings", WRITTEN,
        "A setting is given as `--set SECTION.NAME=VALUE`, in a TOML file, or in Python. Many have an option, too.",
    ]  # fmt: skip
    for section, cls in _sections().items():
        python = f" (`sk.{cls.__name__}` in Python)" if hasattr(skedastic, cls.__name__) else ""
        parts += [f"## `[{section}]`" if section else "## The run", f"{_first(cls)}{python}", _settings(cls)]
    parts += [
        "## Limits",
        f"{_first(Limits)} (`sk.Limits`; [files of others](../guide/security.md))",
        _settings(Limits),
    ]
    for family in FAMILIES:
        if family.many not in ("methods", "losses"):
            parts.append(f"## {family.many[:1].upper()}{family.many[1:]}")
            for name, cls in family.names().items():
                parts += [f"### `{name}`", _first(cls), _settings(cls)]
    return _page(parts)


def _sections() -> dict[str, type[Any]]:
    """Return the dataclass of each section of a configuration, "" being the configuration itself."""
    of_a_field = {name: hint for name, hint in get_type_hints(Config).items() if dataclasses.is_dataclass(hint)}
    return {"": Config, **{name: cls for name, cls in of_a_field.items() if isinstance(cls, type)}}


def tables_page() -> str:
    """Return the page of the papers' tables, which `compare --preset` repeats."""
    parts = [
        "# Tables of the papers",
        WRITTEN,
        "`skedastic compare SOURCE --preset NAME` repeats a table on any data with enough classes, and options go on "
        "top. What was measured is under [HAR](../results/har_tables.md) and [ABSGD](../results/absgd.md). The papers' "
        "figures are numbers of `python benchmarks/paper_figures.py`: `losses` is HAR's Figure 1, `strengths` its "
        "Figure 4, and `weights` ABSGD's Figure 4, right.",
    ]
    for name in experiments.NAMES:
        given = experiments.settings(name)
        facts = {key: f"`{given[key]}`" for key in ("noise", "imbalance", "reference") if key in given}
        facts["rows"] = ", ".join(f"`{method}`" for method in given["methods"])
        for fact, section in (("estimate", "estimate"), ("training", "train")):
            facts[fact] = ", ".join(f"`{key}={_written(value)}`" for key, value in given.get(section, {}).items())
        said = "\n".join(f"- {fact}: {value}" for fact, value in facts.items() if value)
        parts += [f"## `{name}`", experiments.about(name), said, *given["notes"]]
    return _page(parts)


def cli_page() -> str:
    """Return the page of the command line: each verb with its arguments and options."""
    top = click.Context(app, info_name="skedastic", **app.context_settings)
    parts = ["# Command line", WRITTEN]
    for name in app.list_commands(top):
        verb = app.get_command(top, name)
        assert verb is not None
        context = click.Context(verb, info_name=name, parent=top)
        usage = verb.get_usage(context).removeprefix("Usage: ")
        parts += [f"## `{name}`", _text(verb.help or ""), f"```\n{usage}\n```"]
        rows = [record for p in verb.params if (record := p.get_help_record(context))]
        parts.append(_table(("option", "meaning"), [(f"`{' '.join(o.split())}`", meaning) for o, meaning in rows]))
    return _page(parts)


def input_page() -> str:
    """Return the page of awkward input, from the tests that hold it."""
    from tests.data.awkward_pictures import AWKWARD as PICTURES
    from tests.data.sources.awkward import AWKWARD as FILES
    from tests.data.test_awkward_values import AWKWARD as VALUES

    parts = [
        "# Awkward input",
        WRITTEN,
        "What is done with files, cells, images and folders that are not as they should be. A test holds each row.",
    ]
    for title, rows in (("Files", FILES), ("Cells", VALUES), ("Images and folders", PICTURES)):
        parts.append(f"## {title}")
        parts.append(_table(("", "input", "what is done"), [(row.kind, row.what, row.does) for row in rows]))
    return _page(parts)


def python_page() -> str:
    """Return the page of the public names in Python: signatures and docstrings."""
    public = {n: v for n in dir(skedastic) if not n.startswith("_") and _documented(v := getattr(skedastic, n))}
    parts = ["# Python", WRITTEN, "`import skedastic as sk`. Methods are on [their own page](methods.md)."]
    parts += [_python(f"sk.{name}", value) for name, value in public.items()]
    parts.append("## Results of a fit, a saved run and a comparison")
    parts += [_python(cls.__name__, cls) for cls in (Result, RunSummary, Comparison)]
    parts.append("## `skedastic.core`, for your own loop")
    parts += [_python(f"core.{name}", getattr(core, name)) for name in core.__all__]
    return _page(parts)


def _documented(value: Any) -> bool:
    ours = (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("skedastic.")
    return ours and not (inspect.isclass(value) and issubclass(value, Method))


def _python(name: str, value: Any) -> str:
    """Return a name with its signature, its docstring, and a line for each public method."""
    members = dict(inspect.getmembers(value, _is_member)) if inspect.isclass(value) else {}
    own = [(n, m) for n, m in members.items() if not n.startswith("_") and n in _defined(value)]
    rows = [(f"`{n}`", _first(m)) for n, m in own]
    signature = "" if inspect.isclass(value) else f"{name}{ADDRESS.sub('', str(inspect.signature(value)))}\n\n"
    parts = [f"### `{name}`", f"```text\n{signature}{inspect.getdoc(value)}\n```"]
    return "\n\n".join([*parts, _table(("member", "meaning"), rows)] if rows else parts)


def _is_member(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, property) or hasattr(value, "attrname")


def _defined(cls: type[Any]) -> set[str]:
    return {name for base in cls.__mro__ if base.__module__.startswith("skedastic.") for name in vars(base)}


def _settings(cls: type[Any]) -> str:
    return markdown_table(cls) if any(described(cls)) else ""


def _written(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:  # a method, a loss or the like, with its own settings
        return str(value["name"])
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)


def _short(text: str) -> str:
    return f"`{text}`" if text and len(text) <= LONGEST_DEFAULT else ""


def _first(value: Any) -> str:
    """Return the first sentence or paragraph of a docstring."""
    return _text((inspect.getdoc(value) or "").split("\n\n")[0])


def _text(doc: str) -> str:
    """Return a docstring as Markdown: asterisks and angle brackets stay as they are, but for those in code."""
    parts = doc.replace("\b\n", "").strip().split("`")
    parts[::2] = [part.replace("*", "\\*").replace("<", "\\<") for part in parts[::2]]
    return "`".join(parts)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], f"|{' --- |' * len(cells[0])}", *lines[1:]])


def _by_family(cards: Mapping[str, Any]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, card in cards.items():
        groups.setdefault(card["family"], []).append(name)
    return dict(sorted(groups.items()))


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "methods.md": methods_page,
    "losses.md": losses_page,
    "settings.md": settings_page,
    "tables.md": tables_page,
    "cli.md": cli_page,
    "python.md": python_page,
    "input.md": input_page,
}


def stale() -> Iterator[str]:
    """Yield the names of the pages that are missing or out of date."""
    for name, render in PAGES.items():
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text("utf-8") != render():
            yield name


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, render in PAGES.items():
        (FOLDER / name).write_text(render(), "utf-8")
        print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    main()
