"""`skedastic taps`: the places in a network where HAR would measure the Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from skedastic.cli import console
from skedastic.errors import UserError, first_line


@click.command()
@click.argument("model")
@click.option("--shape", metavar="C,H,W", help="Shape of one example; shows the shapes of the taps too.")
@click.option(
    "--taps", metavar="PATTERN", multiple=True, help='Names or patterns, such as "layer3.*"; may be repeated.'
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def taps(model: str, shape: str | None, taps: tuple[str, ...], as_json: bool) -> None:
    """List where HAR would measure the Jacobian in MODEL: a model's name, or file.py:function that makes a network."""
    show_taps(model, whole_numbers("--shape", shape) if shape else None, taps, as_json)


def show_taps(model: str, shape: tuple[int, ...] | None, names: Sequence[str], as_json: bool) -> None:
    """Print the places where HAR would measure in a network: a shipped model's name, or file.py:function."""
    from skedastic.core.taps import find_taps
    from skedastic.models import make, prefixes
    from skedastic.models.own import own_network

    default = (3, 32, 32) if model == "resnet32" else (64,)
    net = (
        own_network(model)
        if ":" in model and model.partition(":")[0] not in prefixes()
        else make(model, shape or default, 10)
    )
    modules = find_taps(net, names or None)
    rows: list[dict[str, Any]] = [{"name": n, "kind": type(m).__name__} for n, m in modules.items()]
    if shape is not None:
        rows = [
            {"name": tap.name, "kind": type(modules[tap.name]).__name__, "output": list(tap.shape)}
            for tap in _tapped(net, modules, shape)
        ]
    if as_json:
        console.say_json(rows)
        return
    table = console.table("tap", "kind", *(["output for 2 examples"] if shape is not None else []))
    table.columns[1].justify = "left"
    for row in rows:
        table.add_row(*(console.plain(str(value)) for value in row.values()))
    console.show(table)
    console.out().print(f"{len(rows)} tapped; name others with taps=, in Python or as --set method.taps=PATTERN,…")


def _tapped(net: Any, modules: dict[str, Any], shape: tuple[int, ...]) -> list[Any]:
    """Return the taps of the network when it reads 2 examples of `shape`, real numbers or else tokens."""
    import torch

    from skedastic.core.trace import record

    for x in (torch.zeros(2, *shape), torch.zeros(2, *shape, dtype=torch.int64)):
        try:
            _, trace = record(net.eval(), x, modules, strength=torch.ones(2))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            reason = first_line(error)
            continue
        trace.layouts(2)
        return [place.tap for place in trace.places]
    given = ",".join(map(str, shape))
    rule = f"the network can't read x of shape {[2, *shape]} ({reason}); give the shape of one example"
    raise UserError(rule, setting="--shape", value=given, given=f"--shape {given!r}")


def whole_numbers(name: str, text: str) -> tuple[int, ...]:
    """Return the whole numbers ≥ 1 of a text such as "3,32,32". Raises UserError that names `name`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        rule = "must be whole numbers, 1 or more, such as 3,32,32"
        raise UserError(rule, setting=name, value=text, given=f"{name} {text!r}")
    return tuple(map(int, parts))
