"""`skedastic methods`: the methods, losses, samplers and heads to train with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from skedastic.cli import console
from skedastic.cli.plain import as_expression, as_json_values
from skedastic.errors import UserError, unknown
from skedastic.methods.catalogue import method_names

if TYPE_CHECKING:
    from skedastic.configurable import Setting
    from skedastic.methods.presets import Preset

TARGETS = {"classification": "classes", "regression": "numbers"}
NEEDS = {"group_stats": "an estimate of noise", "reference": "a reference set"}


@click.command()
@click.argument("name", required=False)
@click.option("--task", type=click.Choice([*TARGETS]), help="List those for classes or for numbers alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def methods(name: str | None, task: str | None, as_json: bool) -> None:
    """List the methods, or show the card and the parameters of one."""
    if name is not None and task is not None:
        rule = "it is for the list of all methods; leave one of the two out"
        raise UserError(rule, setting="--task", value=task, given=f"--task {task} beside {name}")
    if name is not None and name not in method_names():
        raise unknown("method", name, method_names())
    from skedastic.methods.presets import presets

    cards = {n: _card(n, preset) for n, preset in presets().items() if name in (None, n)}
    cards = {n: card for n, card in cards.items() if task is None or task in card["supports"]}
    if as_json:
        console.say_json(as_json_values(cards if name is None else cards[name]))
    elif name is None:
        _show_all(cards)
        _show_axes()
    else:
        _show_one(cards[name])


def _show_one(card: dict[str, Any]) -> None:
    """Print the card of a method and its parameters."""
    console.out().print(f"[bold]{card['name']}[/bold]: {card['title']}")
    for key in ("paper", "equations", "stands_for", "cost", "memory", "needs", "not_wrapped"):
        if value := card[key]:
            text = ", ".join(value) if isinstance(value, list) else value
            console.out().print(f"  {key.replace('_', ' ')}: {text}", markup=False)
    table = console.table("parameter", "default", "meaning")
    table.columns[2].justify = "left"
    for parameter, about in card["parameters"].items():
        cells = (as_expression(about["default"]), about["meaning"])
        table.add_row(parameter, *(console.plain(cell) for cell in cells))
    console.show(table)


def _show_all(cards: dict[str, dict[str, Any]]) -> None:
    """Print a row for each method, under the headings of the families: plain training first, then by name."""
    table = console.table("name", "method", "needs", "paper", "equation")
    for column in table.columns:
        column.justify, column.overflow = "left", "fold"
    table.columns[0].no_wrap = True
    plain = {card["family"] for card in cards.values() if card["role"] == "baseline"}
    for family in sorted({card["family"] for card in cards.values()}, key=lambda name: (name not in plain, name)):
        table.add_row(f"[bold]{family}[/bold]")
        for name, card in cards.items():
            if card["family"] == family:
                cells = (name, card["title"], ", ".join(card["needs"]), _cited(card["paper"]), card["equations"])
                table.add_row(*(console.plain(cell) for cell in cells))
    console.show(table)


def _cited(paper: str) -> str:
    """Return "Cao et al. 2021" of "Cao et al., Title, ICLR 2021"."""
    years = re.findall(r"\b(?:19|20)\d\d\b", paper)
    return f"{paper.split(', ')[0]} {years[-1]}" if years else paper


def _show_axes() -> None:
    """Print the losses, samplers and the like that methods are put together from."""
    from skedastic.settings.registry import FAMILIES

    console.say("")
    console.say(
        'Put together from these, as in --method "absgd(lam=5, loss=ldam, class_weights=deferred(effective-number))":'
    )
    for family in FAMILIES:
        if family.kind != "method":
            console.say(f"  {family.many}: {', '.join(family.names())}")


def _card(name: str, preset: Preset) -> dict[str, Any]:
    """Return the card and the parameters of a method, as plain data."""
    from skedastic.configurable import described
    from skedastic.settings.methods import method_table, settings_table

    card, method = preset.cls.card, preset.make()
    capabilities = method.capabilities
    defaults, own = method_table(method), settings_table(preset.settings)
    targets = " or ".join(words for task, words in TARGETS.items() if task in capabilities.tasks)
    needed = [words for need, words in NEEDS.items() if need in capabilities.needs]
    return {
        "name": name,
        "family": preset.family,
        "role": preset.role,
        "title": preset.title,
        "paper": preset.paper,
        "equations": preset.equations,
        "stands_for": as_expression({"name": card.name, **own}) if name != card.name else "",
        "cost": card.cost,
        "memory": card.memory,
        "not_wrapped": [f"not in {_wrappers(way)}: {why}" for way, why in capabilities.incompatible_with.items()],
        "needs": [targets, *needed, *dict.fromkeys(capabilities.takes)],
        "supports": sorted(capabilities.tasks),
        "limits": [settings_table(limit) for limit in card.reduces_to_erm],
        "parameters": {
            field.name: {"default": defaults.get(field.name), "meaning": _meaning(said)}
            for field, said in described(preset.cls)
        },
    }


def _meaning(said: Setting) -> str:
    return said.meaning if said.range is None else f"{said.meaning}; {said.range}"


def _wrappers(way: str) -> str:
    """Return the methods that wrap another in a way."""
    from skedastic.methods import discover

    *others, last = (name for name, cls in discover().items() if getattr(cls, "way", None) == way)
    return f"{', '.join(others)} or {last}" if others else last
