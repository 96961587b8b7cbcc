"""What is odd in the cells of a later source: categories that training never saw, and columns without any value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from skedastic.data.tables.values import matched

MOST_SHOWN = 3  # categories of a column in a note
MOST_NAMED = 6  # columns in a note
MOST_KEPT = 1000  # of a column
LEAST_ROWS = 2  # of which a column is called empty: in one row a cell may be missing


class OddCells:
    """Counts over the parts of a source, by column.

    How many cells hold a category that is none of training's, and which columns hold any value at all.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.cells: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._filled: dict[str, bool] = {}

    def add(self, name: str, cells: pd.Series, known: Sequence[str]) -> None:
        """Count the cells of a column of categories.

        Parameters
        ----------
        name : str
            The name of the column.
        cells : Series
            A pandas category of text [n], "" where missing.
        known : sequence of str
            The categories of training.
        """
        categories = np.asarray(cells.cat.categories, dtype=object)
        unseen = np.flatnonzero(matched(categories, known) < 0)
        counts = np.bincount(cells.cat.codes.to_numpy(), minlength=len(categories))[unseen]
        if counts.sum():
            self.cells[name] += int(counts.sum())
            kept = self._examples.setdefault(name, [])
            kept += [str(categories[i]) for i, n in zip(unseen, counts, strict=True) if n and categories[i] not in kept]
            del kept[MOST_KEPT:]

    def is_filled(self, name: str) -> bool:
        """Whether a column was found to hold a value."""
        return self._filled.get(name, False)

    def add_filled(self, name: str, *, filled: bool) -> None:
        """Take in whether some rows of a column hold a value."""
        self._filled[name] = self.is_filled(name) or filled

    @property
    def notes(self) -> Iterator[str]:
        """Yield a note on the columns without any value, and one on each with categories that training never saw."""
        empty = [name for name, filled in self._filled.items() if not filled] if self.rows >= LEAST_ROWS else []
        if empty:
            named = ", ".join(empty[:MOST_NAMED]) + f" and {len(empty) - MOST_NAMED} more" * (len(empty) > MOST_NAMED)
            which = f"column {named} holds" if len(empty) == 1 else f"columns {named} hold"
            yield f"{which} no value in any of {self.rows:,} rows, and did in training; every cell is taken as missing"
        for name, count in self.cells.items():
            if name in empty:
                continue
            examples = [repr(e) if e else "no value" for e in self._examples[name][:MOST_SHOWN]]
            more = ", …" if len(self._examples[name]) > MOST_SHOWN else ""
            rows = f"{count:,} of {self.rows:,} rows hold a category that training never saw"
            yield f"column {name}: {rows} ({', '.join(examples)}{more}); the model has learned nothing of it"
