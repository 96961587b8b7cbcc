"""How a row of a table, or an image, becomes the input of a network, as plain values for those who run the network.

Who has these values and no line of this package can encode raw rows, but for texts that become numbers: their terms and
directions are large, and stay in the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skedastic.data.encoders.encoder import Encoder
from skedastic.data.encoders.images import ImageEncoder
from skedastic.data.encoders.numbers import BOUND
from skedastic.data.encoders.rows import RowEncoder
from skedastic.data.tables.columns import FEW_CATEGORIES

RULES = {
    "number": "z = ((the cell, or `median` where it is missing) - center) / scale, then "
    "weight * z / sqrt(1 + (z / bound)^2); True is 1, and False 0",
    "date": "as a number, of a part of the date: days since 1970-01-01 with the time as a fraction, or sin or cos of "
    "2 pi t, with t = (day of the year - 1) / 365.25, day of the week / 7 from Monday = 0, or the fraction of the day "
    "(hours)",
    "missing": "1 where the cell is missing, else 0",
    "list": "(number - mean) / scale at each place; all 0 where the list is missing",
    "indicators": "1 at the place of the cell in `values`, else 0; all 0 for a cell that is not among them",
    "id": "1 + the place of the cell in `values`; 0 for a cell that is not among them",
    "words": "numbers of the texts, by the run's own encoder alone (skedastic, `Result.encoder`)",
    "tokens": "1 + the id of each token, by `tokenizer` (of the package tokenizers), at most as many as there is room "
    "for; 0 after the last",
}  # by kind of block
CELLS = (
    "A cell of `values` is a text: a whole number without a point (1 and 1.0 are '1'), '' is a missing cell. Where "
    "`values` has no others than True and False, or 1 and 0, each stands for the other too. `columns` of several texts "
    "are joined with line ends, without empty ones."
)
PIXELS = "Channels, height, width; whole numbers from 0 to 255 as uint8, or the same divided by 255 as float32."


def described(encoder: Encoder) -> dict[str, Any]:
    """Return the shape of an encoded example, its type, and how to make it, as plain JSON values.

    Parameters
    ----------
    encoder : Encoder
        Of a run.
    """
    if isinstance(encoder, ImageEncoder):
        kind = "uint8" if encoder.integers else "float32"
        return {"shape": list(encoder.shape), "type": kind, "rule": PIXELS}
    assert isinstance(encoder, RowEncoder), "there are two encoders"
    blocks, at = list[dict[str, Any]](), 0
    for width, block in _blocks(encoder):
        blocks.append({"from": at, "to": at + width, **block})
        at += width
    kinds = dict.fromkeys(block["kind"] for block in blocks)
    return {
        "shape": [at],
        "type": "float32",
        "blocks": blocks,
        "rules": {kind: RULES[kind] for kind in kinds},
        "cells": CELLS,
        "reading": encoder.reading.to_json(),
    }


def has_words(encoder: Encoder) -> bool:
    """Return whether some inputs can be made by the encoder alone: the numbers of texts."""
    return isinstance(encoder, RowEncoder) and encoder.words is not None


def _blocks(encoder: RowEncoder) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the blocks of a row in their order, each with its width."""
    for n in encoder.numbers:
        values = {"median": n.median, "center": n.center, "scale": n.scale, "weight": n.weight, "bound": BOUND}
        kind = {"kind": "date", "part": n.part} if n.part else {"kind": "number"}
        yield 1, {**kind, "column": n.name, **values}
        if n.marked:
            yield 1, {"kind": "missing", "column": n.name}
    for v in encoder.vectors:
        yield len(v.mean), {"kind": "list", "column": v.name, "mean": list(v.mean), "scale": list(v.scale)}
        if v.marked:
            yield 1, {"kind": "missing", "column": v.name}
    if encoder.words is not None:
        yield encoder.words.width, {"kind": "words", "columns": list(encoder.texts)}
    for few, kind_of_cell in ((True, "indicators"), (False, "id")):
        for name, known in encoder.categories.items():
            if (len(known) <= FEW_CATEGORIES) is few:
                yield len(known) if few else 1, {"kind": kind_of_cell, "column": name, "values": list(known)}
    if encoder.text is not None:
        tokenizer = dict(encoder.text.tokenizer)
        yield encoder.text.length, {"kind": "tokens", "columns": list(encoder.texts), "tokenizer": tokenizer}
