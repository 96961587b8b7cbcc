"""The encoder of tables: a row of numbers, categories, dates and text becomes one row of numbers and ids."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skedastic.data.dataset import Features
from skedastic.data.encoders.encoder import Encoder
from skedastic.data.encoders.numbers import NumberColumn, date_parts, fitted_numbers, rows_of
from skedastic.data.encoders.odd_cells import OddCells
from skedastic.data.encoders.text import TextEncoder
from skedastic.data.encoders.vectors import VectorColumn
from skedastic.data.encoders.words import WordEncoder
from skedastic.data.on_disk import FLOAT, LARGE, OnDiskFeatures
from skedastic.data.settings import TextSettings
from skedastic.data.sources.arrays import as_tensor
from skedastic.data.tables.array_tables import array_table
from skedastic.data.tables.columns import FEW_CATEGORIES, ColumnKind, is_long
from skedastic.data.tables.frames import frame_table, is_frame
from skedastic.data.tables.reading import Reading, copied
from skedastic.data.tables.roles import check_columns
from skedastic.data.tables.table import Columns, Table, frame_columns
from skedastic.data.tables.values import matched
from skedastic.models.inputs import Inputs

MOST_CATEGORIES = 10_000  # of a column that have an id of their own, the most frequent ones
ROWS = 262_144  # that are encoded at a time at most, of a table whose encoded rows are stored
FIRST_ROWS = 8192  # in which a value is looked for first
BYTES = 256 * 2**20  # of them, encoded
BESIDE_OTHERS = 0.25  # the scale of a text's numbers beside other columns, and of a long list's
TITLES_BESIDE_OTHERS = 0.1  # that of short texts, which tell less
LONG = 32  # numbers of a list, above which they would drown the other columns


@dataclass(frozen=True)
class RowEncoder(Encoder):
    """Rows of a table, in this order: numbers and parts of dates, lists, words as numbers, indicators, ids, tokens.

    Parameters
    ----------
    numbers : tuple of NumberColumn
        The columns of numbers and the parts of dates.
    categories : mapping of str to tuple of str
        For each column of categories, its values in training, "" being a missing cell. A column of at most 20 values
        becomes one indicator each, as in scikit-learn's OneHotEncoder(handle_unknown="ignore"). A column of more
        becomes an id, 0 for a value that training never saw; the network embeds it.
    texts : tuple of str
        The columns of text.
    text : TextEncoder or None
        The encoder of their cells, joined.
    vectors : tuple of VectorColumn
        The columns of lists of numbers.
    words : WordEncoder or None
        The encoder of the texts, joined, where they become numbers and no tokens.
    reading : Reading
        How the cells of the columns are read.
    """

    numbers: tuple[NumberColumn, ...]
    categories: Mapping[str, tuple[str, ...]]
    texts: tuple[str, ...] = ()
    text: TextEncoder | None = None
    vectors: tuple[VectorColumn, ...] = ()
    reading: Reading = field(default_factory=Reading)
    words: WordEncoder | None = None

    @classmethod
    def fit(
        cls,
        columns: Columns | pd.DataFrame,
        rows: Tensor | None = None,
        text: TextSettings | None = None,
        tokenizer_file: Path | None = None,
        *,
        as_tokens: bool = True,
    ) -> RowEncoder:
        """Fit on the training rows of parsed columns.

        Parameters
        ----------
        columns : Columns or DataFrame
            The feature columns.
        rows : Tensor or None, optional
            The training rows, [m] int64; by default all.
        text : TextSettings or None, optional
            How text becomes tokens, or numbers.
        tokenizer_file : Path or None, optional
            The tokenizer of a pretrained model, which is taken instead of training one.
        as_tokens : bool, optional
            Whether text becomes tokens, and not numbers.
        """
        columns = _columns(columns)
        numbers, categories, vectors = list[tuple[str, str]](), dict[str, tuple[str, ...]](), list[VectorColumn]()
        for name, kind in columns.kinds.items():
            if kind == "number":
                numbers.append((name, ""))
            elif kind == "date":
                numbers += [(name, part) for part in date_parts(rows_of(columns, name, rows))]
            elif kind == "category":
                categories[name] = _frequent(rows_of(columns, name, rows))
            elif kind == "vector":
                vectors.append(VectorColumn.fit(columns, name, rows))
        texts = tuple(name for name, kind in columns.kinds.items() if kind == "text")
        if len(columns.kinds) > 1:
            vectors = [v.scaled_by(BESIDE_OTHERS) if len(v.mean) > LONG else v for v in vectors]
        encoder = cls(fitted_numbers(columns, numbers, rows), categories, texts, None, tuple(vectors), columns.reading)
        if not texts:
            return encoder
        read = encoder._texts(columns, rows)
        if not as_tokens:
            words, alone = WordEncoder.fit(read, text or TextSettings()), not (numbers or categories or vectors)
            beside = BESIDE_OTHERS if is_long(read) else TITLES_BESIDE_OTHERS
            return replace(encoder, words=words if alone else replace(words, scale=beside))
        return replace(encoder, text=TextEncoder.fit(read, text or TextSettings(), tokenizer_file))

    @classmethod
    def restore(cls, *, arrays: Mapping[str, NDArray[Any]] | None = None, **fitted: Any) -> RowEncoder:
        """Return the encoder of the parameters that `to_json` and `arrays` gave."""
        text, words = fitted["text"], fitted.get("words")  # of older runs without
        return cls(
            numbers=tuple(NumberColumn(**n) for n in fitted["numbers"]),
            categories={name: tuple(values) for name, values in fitted["categories"].items()},
            texts=tuple(fitted["texts"]),
            text=None if text is None else TextEncoder(text["tokenizer"], int(text["length"])),
            vectors=tuple(_vector(**v) for v in fitted["vectors"]),
            reading=Reading.from_json(fitted["reading"]),
            words=None if words is None else WordEncoder.restore(words, arrays or {}),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fitted parameters as plain JSON values."""
        return {
            "encoder": "rows",
            "numbers": [dict(vars(n)) for n in self.numbers],
            "categories": {name: list(values) for name, values in self.categories.items()},
            "texts": list(self.texts),
            "text": None if self.text is None else self.text.to_json(),
            "vectors": [asdict(v) for v in self.vectors],
            "reading": self.reading.to_json(),
            "words": None if self.words is None else self.words.to_json(),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fitted parameters that are large arrays, by name."""
        return {} if self.words is None else self.words.arrays()

    @cached_property
    def inputs(self) -> Inputs:
        """Return the inputs of the network."""
        real = len(self.numbers) + sum(n.marked for n in self.numbers) + sum(v.width for v in self.vectors)
        real += sum(len(v) for v in self.categories.values() if len(v) <= FEW_CATEGORIES)
        sizes = tuple(len(v) + 1 for v in self.categories.values() if len(v) > FEW_CATEGORIES)
        words = self._place_of_words()
        real += 0 if self.words is None else self.words.width
        tokens = 0 if self.text is None else self.text.length
        return Inputs(
            kind="text" if self.texts else "table",
            shape=(real + len(sizes) + tokens,),
            real=real,
            numbers=tuple(self._places_of_numbers()),
            sizes=sizes,
            words=words,
            tokens=tokens,
            vocabulary=0 if self.text is None else self.text.vocabulary,
        )

    def _place_of_words(self) -> tuple[int, int]:
        """Return the first and the end of the positions of a text's numbers, where there are other columns."""
        if self.words is None or not (self.numbers or self.vectors or self.categories):
            return 0, 0
        first = len(self.numbers) + sum(n.marked for n in self.numbers) + sum(v.width for v in self.vectors)
        return first, first + self.words.width

    def _places_of_numbers(self) -> Iterator[int]:
        """Yield where the columns of numbers, and those of lists of numbers, stand in an encoded row."""
        at = 0
        blocks = [(1, number.marked) for number in self.numbers] + [(len(v.mean), v.marked) for v in self.vectors]
        for width, marked in blocks:
            yield from range(at, at + width)
            at += width + marked

    @property
    def columns(self) -> dict[str, ColumnKind]:
        """Return the columns that it reads, and their kinds."""
        kinds: dict[str, ColumnKind] = {n.name: "number" for n in self.numbers if not n.part}
        kinds |= dict.fromkeys((n.name for n in self.numbers if n.part), "date")
        kinds |= {v.name: "vector" for v in self.vectors}
        kinds |= dict.fromkeys(self.categories, "category")
        return kinds | dict.fromkeys(self.texts, "text")

    def transform(self, features: Columns | pd.DataFrame, rows: Tensor | None = None) -> Features:
        """Return rows [m] int64 of parsed columns, or all, as float32 [m, d]; large ones are stored in a file."""
        columns = _columns(features)
        n = len(columns) if rows is None else len(rows)
        if n * self.inputs.shape[0] * FLOAT <= LARGE:
            return self.in_memory(columns, rows)
        if rows is None or _ascends(rows):
            return OnDiskFeatures.written(self._parts(columns, rows), self.inputs.shape[0])
        wanted, order = rows.sort()
        return OnDiskFeatures.written(self._parts(columns, wanted), self.inputs.shape[0]).take(order.argsort())

    def _parts(self, columns: Columns, wanted: Tensor | None) -> Iterator[NDArray[np.float32]]:
        """Yield the encoded rows `wanted` [m], which ascend, or all, a part at a time."""
        first = 0
        for part in columns.parts(min(ROWS, max(1, BYTES // (FLOAT * self.inputs.shape[0])))):
            ends = torch.tensor([first, first + len(part)])
            start, end = (0, 0) if wanted is None else torch.searchsorted(wanted, ends).tolist()
            yield self.in_memory(part, None if wanted is None else wanted[start:end] - first).numpy()
            first += len(part)

    def in_memory(self, columns: Columns, rows: Tensor | None = None) -> Tensor:
        """Return rows [m] int64 of parsed columns, or all, as float32 [m, d] in memory."""
        n = len(columns) if rows is None else len(rows)
        x = np.empty((n, self.inputs.shape[0]), dtype=np.float32)
        at = 0
        for block in self._encoded(columns, rows):
            width = 1 if block.ndim == 1 else block.shape[1]
            x[:, at : at + width] = block.reshape(n, width)
            at += width
        if self.text is not None:
            x[:, at:] = self.text.tokens(self._texts(columns, rows))
        return torch.from_numpy(x)

    def _encoded(self, columns: Columns, rows: Tensor | None) -> Iterator[NDArray[Any]]:
        """Yield the columns of numbers, lists, indicators and ids, in this order, each [m] or several [m, k]."""
        for number in self.numbers:
            yield from number.encoded(number.cells(columns, rows))
        for vector in self.vectors:
            wanted = None if rows is None else rows.numpy()
            yield from vector.encoded(columns.vectors(vector.name, wanted, vector.scaled))
        if self.words is not None:
            yield self.words.numbers(self._texts(columns, rows))
        for few in (True, False):
            for name, known in self.categories.items():
                if (len(known) <= FEW_CATEGORIES) is few:
                    ids = _ids(rows_of(columns, name, rows), known)
                    if few:
                        yield from (ids == i for i in range(len(known)))
                    else:
                        yield ids + 1

    def count_odd(self, columns: Columns, odd: OddCells) -> None:
        """Add the categories of parsed columns that training never saw, and which columns hold a value, to `odd`.

        Parameters
        ----------
        columns : Columns
            The feature columns of some rows.
        odd : OddCells
            What was counted so far.
        """
        odd.rows += len(columns)
        for name, kind in self.columns.items():
            if not odd.is_filled(name):
                odd.add_filled(name, filled=_holds_a_value(columns, name, kind))
        for name, known in self.categories.items():
            if len(known) < MOST_CATEGORIES:  # else rare ones that training saw are missing too
                odd.add(name, columns[name], known)

    def _texts(self, columns: Columns, rows: Tensor | None) -> list[str]:
        parts = [rows_of(columns, name, rows).tolist() for name in self.texts]
        return parts[0] if len(parts) == 1 else ["\n".join(p for p in row if p) for row in zip(*parts, strict=True)]

    def for_prediction(self, X: Any) -> Tensor:
        """Return the tensor [n, d] of a frame, an array or a list of texts to predict from.

        A frame has the columns of training; others are ignored. A list of strings is taken as texts, where the model
        reads nothing else. Missing cells of a frame are imputed; NaN in an array is refused, as in training. A warning
        says how many cells of a column hold a category that training never saw, and which columns hold no value.
        """
        table = frame_table(X, "X") if is_frame(X) else self._table(X)
        check_columns(table, self.columns)
        columns, odd = Columns(table, self.columns, copied(self.reading)), OddCells()
        self.count_odd(columns, odd)
        for note in odd.notes:
            warnings.warn(note, stacklevel=3)
        return self.in_memory(columns)

    def _table(self, X: Any) -> Table:
        """Return an array or texts to predict from as a table. Raises UserError."""
        names = tuple(self.columns)
        one_text = self.texts == names and len(names) == 1 and isinstance(X, (list, tuple, pd.Series, np.ndarray))
        if one_text and all(isinstance(t, str) for t in X):
            return frame_table(pd.DataFrame({names[0]: pd.Series(list(X), dtype=object)}), "X")
        return array_table(as_tensor(X, "X"), "X", self.columns, self.reading)


def _holds_a_value(columns: Columns, name: str, kind: ColumnKind) -> bool:
    """Whether a cell of a column is not missing; rows are read a part at a time, up to the first one."""
    if kind == "vector":
        return any(not np.isnan(part[:, 0]).all() for part in columns.vector_parts(name))
    if len(columns) <= FIRST_ROWS:
        return _any_value(columns[name])
    return any(_any_value(part[name]) for part in columns.parts(FIRST_ROWS))


def _any_value(cells: pd.Series) -> bool:
    return bool((cells.notna() & (cells != "")).any())


def _ascends(order: Tensor) -> bool:
    return bool((order[1:] > order[:-1]).all())


def _columns(columns: Columns | pd.DataFrame) -> Columns:
    return frame_columns(columns) if isinstance(columns, pd.DataFrame) else columns


def _vector(**fitted: Any) -> VectorColumn:
    return VectorColumn(**{**fitted, "mean": tuple(fitted["mean"]), "scale": tuple(fitted["scale"])})


def _frequent(cells: pd.Series) -> tuple[str, ...]:
    """Return the categories of training cells in their order; of a great many the most frequent."""
    counts = cells.value_counts()
    counts = counts[counts > 0]
    return tuple(sorted(str(v) for v in counts.index[:MOST_CATEGORIES]))


def _ids(cells: pd.Series, known: Sequence[str]) -> NDArray[np.int64]:
    """Return the position [n] of each cell in `known`; -1 where it is not in it."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return np.append(matched(cells.cat.categories, known), -1)[cells.cat.codes.to_numpy()]
    return matched(cells, known)
