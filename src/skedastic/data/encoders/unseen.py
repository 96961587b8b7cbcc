"""Categories that training never saw, counted by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from skedastic.data.tables.values import matched

MOST_SHOWN = 3  # categories of a column in a note
MOST_KEPT = 1000  # of a column


class UnseenCategories:
    """How many cells of each column hold a category that is none of training's, added up over the parts of a source."""

    def __init__(self) -> None:
        self.rows = 0
        self.cells: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

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

    @property
    def notes(self) -> Iterator[str]:
        """Yield a note on each column."""
        for name, count in self.cells.items():
            examples = [repr(e) if e else "no value" for e in self._examples[name][:MOST_SHOWN]]
            more = ", …" if len(self._examples[name]) > MOST_SHOWN else ""
            rows = f"{count:,} of {self.rows:,} rows hold a category that training never saw"
            yield f"column {name}: {rows} ({', '.join(examples)}{more}); the model has learned nothing of it"
