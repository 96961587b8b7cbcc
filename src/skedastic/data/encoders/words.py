"""Text to numbers, for networks that read numbers: TF-IDF of words and pairs of words, in its leading directions.

Source: Deerwester et al., "Indexing by Latent Semantic Analysis", 1990; by scikit-learn's parts. A term counts
(1 + log f) times its inverse document frequency; texts have length 1; the directions are those of a truncated singular
value decomposition (SVD), and the coordinates in them are again of length 1. Short corpora are also read by pieces of
words, which languages of many forms, misspellings and scripts without spaces need.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skedastic.data.settings import TextSettings
from skedastic.data.tables.values import encodable
from skedastic.errors import UserError

Halves = NDArray[np.float16]
KINDS: Mapping[str, Mapping[str, Any]] = {
    "words": {"analyzer": "word", "token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 2)},
    "pieces": {"analyzer": "char_wb", "ngram_range": (2, 4)},
}
SHORT = 5_000_000  # characters of the training texts, up to which pieces of words are read too
LONG = 40_000_000  # characters, up to which all training texts are read for their words
LONG_WORD = 12  # characters between two spaces, on average, where a script has none
LEAST_TEXTS = 2  # that a term must be in
MOST_TEXTS = 10_000  # that the directions are found in
CHUNK = 4096  # texts that are encoded at a time
ITERATIONS = 4  # of the randomized SVD
FEWEST = 3  # terms or texts, below which each term is a direction


class Terms(NamedTuple):
    """What texts are read by: the terms of a kind, and the inverse document frequency of each, [m] float32."""

    kind: str
    names: tuple[str, ...]
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WordEncoder:
    """Texts to numbers [n, k].

    Parameters
    ----------
    terms : tuple of Terms
        The words with their pairs, and where they are read the pieces of words.
    directions : ndarray
        The leading directions, [k, all terms], in the order of `terms`.
    lowercase : bool
        Whether upper case makes no difference.
    scale : float
        What the numbers are multiplied by; a quarter beside other columns, which some hundred numbers would drown;
        a tenth where texts are short.
    """

    terms: tuple[Terms, ...]
    directions: Halves
    lowercase: bool
    scale: float = 1.0

    @classmethod
    def fit(cls, texts: Sequence[str], settings: TextSettings) -> WordEncoder:
        """Find the terms and the directions of the training texts.

        Parameters
        ----------
        texts : sequence of str
            The training texts.
        settings : TextSettings
            The most terms of a kind, the numbers for a text, and whether case counts.
        """
        from sklearn.decomposition import TruncatedSVD

        kinds, texts = _read_by(texts)
        texts = [encodable(text) for text in texts]
        terms, counts = list[Terms](), list[sparse.csr_matrix]()
        for kind in kinds:
            vectorizer = _vectorizer(kind, settings.lowercase, max_features=settings.terms, min_df=LEAST_TEXTS)
            with suppress(ValueError):  # no term is in two texts
                counts.append(vectorizer.fit_transform(texts))
                names = tuple(map(str, vectorizer.get_feature_names_out()))
                terms.append(Terms(kind, names, vectorizer.idf_.astype(np.float32)))
        x = sparse.hstack(counts).tocsr() if counts else sparse.csr_matrix((len(texts), 0))
        if min(x.shape) < FEWEST:
            width = max(1, min(x.shape[1], settings.numbers))
            return cls(tuple(terms), np.eye(width, x.shape[1], dtype=np.float16), settings.lowercase)
        if x.shape[0] > MOST_TEXTS:
            x = x[np.sort(np.random.default_rng(0).choice(x.shape[0], MOST_TEXTS, replace=False))]
        svd = TruncatedSVD(min(settings.numbers, min(x.shape) - 1), n_iter=ITERATIONS, random_state=0).fit(x)
        return cls(tuple(terms), svd.components_.astype(np.float16), settings.lowercase)

    @property
    def width(self) -> int:
        """How many numbers stand for a text."""
        return len(self.directions)

    @cached_property
    def _vectorizers(self) -> list[Any]:
        ready = []
        for kind, names, weights in self.terms:
            ready.append(_vectorizer(kind, self.lowercase, vocabulary=list(names)))
            ready[-1].idf_ = weights
        return ready

    def numbers(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers [n, k] of texts: rows of length √k times `scale`, and of a text without a known term 0."""
        out = np.zeros((len(texts), self.width), dtype=np.float32)
        directions = self.directions.T.astype(np.float32)
        for start in range(0, len(texts) if self._vectorizers else 0, CHUNK):
            part = [encodable(text) for text in texts[start : start + CHUNK]]
            x = sparse.hstack([v.transform(part) for v in self._vectorizers]).tocsr() @ directions
            length = np.linalg.norm(x, axis=1, keepdims=True)
            out[start : start + len(part)] = x * (self.scale * np.sqrt(self.width) / np.where(length > 0, length, 1))
        return out

    def to_json(self) -> dict[str, Any]:
        """Return what is no array, as plain JSON values."""
        terms = {kind: list(names) for kind, names, _ in self.terms}
        return {"terms": terms, "lowercase": self.lowercase, "scale": self.scale, "fingerprint": self._fingerprint()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {"directions": self.directions, **{f"weights of {kind}": weights for kind, _, weights in self.terms}}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> WordEncoder:
        """Return the encoder that `to_json` and `arrays` gave. Raises UserError where the arrays are of another."""
        terms = tuple(Terms(k, tuple(names), arrays[f"weights of {k}"]) for k, names in values["terms"].items())
        scale = float(values.get("scale", 1.0))  # of older runs without
        encoder = cls(terms, arrays["directions"], bool(values["lowercase"]), scale)
        if encoder._fingerprint() != values["fingerprint"]:
            raise UserError("it is of another run; restore the run's own, or fit again", setting="the encoder's arrays")
        return encoder

    def _fingerprint(self) -> int:
        """Return a number that arrays of another encoder do not have."""
        found = 0
        for _, array in sorted(self.arrays().items()):
            found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
        return found


def _read_by(texts: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return what texts are read by, and the texts that its terms are found in.

    It is words, and where these are few or not told apart by spaces also their pieces. Of a large corpus it is a part.
    """
    total, words = sum(map(len, texts)), sum(text.count(" ") + 1 for text in texts)
    kinds = ("words", "pieces") if total <= SHORT or total > LONG_WORD * words else ("words",)
    most = SHORT if len(kinds) == 2 else LONG
    if total <= most:
        return kinds, list(texts)
    drawn = np.random.default_rng(0).permutation(len(texts))
    read = np.cumsum([len(texts[i]) for i in drawn])
    kept = drawn[: max(1, int(np.searchsorted(read, most)))]
    return kinds, [texts[i] for i in np.sort(kept)]


def _vectorizer(kind: str, lowercase: bool, **limits: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(lowercase=lowercase, sublinear_tf=True, dtype=np.float32, **KINDS[kind], **limits)
