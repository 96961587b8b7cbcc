"""Text to tokens, by a tokenizer of the package `tokenizers`.

It is trained on the training rows, or it is the one of a pretrained model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skedastic.data.settings import TextSettings
from skedastic.data.tables.values import encodable
from skedastic.errors import UserError, first_line
from skedastic.models.inputs import PADDING

NEEDS_EXTRA = "it needs the package tokenizers; pip install 'skedastic[text]'"
CHUNK = 4096  # texts that are tokenized at a time
LENGTH_SHARE = 0.9  # of the training texts are whole where no length is given
MOST_TOKENS = 256  # of a text where no length is given


@dataclass(frozen=True)
class TextEncoder:
    """Texts to token ids [n, length]: 1 + the tokenizer's own, 0 after the text's end.

    Parameters
    ----------
    tokenizer : mapping
        The tokenizer as the package `tokenizers` writes it, JSON.
    length : int
        The most tokens of a text.
    """

    tokenizer: Mapping[str, Any]
    length: int

    @classmethod
    def fit(cls, texts: Sequence[str], settings: TextSettings, tokenizer_file: Path | None = None) -> TextEncoder:
        """Train a tokenizer on the training texts: pairs of bytes, merged while they are frequent (BPE).

        Parameters
        ----------
        texts : sequence of str
            The training texts.
        settings : TextSettings
            The size of the vocabulary, and how texts are cut.
        tokenizer_file : Path or None, optional
            The tokenizer of a pretrained model, which is taken instead.

        Raises
        ------
        UserError
            The file is no tokenizer.
        """
        tokenizer = _trained(texts, settings) if tokenizer_file is None else _of_file(tokenizer_file)
        state = json.loads(tokenizer.to_str())
        encoder = cls(state, 1)
        if settings.length is not None:
            return cls(state, settings.length)
        sample = texts[:: max(1, len(texts) // 5000)]
        lengths = np.sort([len(e.ids) for e in encoder._encoded(sample, None)] or [1])
        needed = int(lengths[int(LENGTH_SHARE * (len(lengths) - 1))])
        return cls(state, max(1, min(needed if lengths[-1] > MOST_TOKENS else int(lengths[-1]), MOST_TOKENS)))

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise UserError(NEEDS_EXTRA, setting="text") from None
        tokenizer = Tokenizer.from_str(json.dumps(self.tokenizer))
        tokenizer.no_padding()
        return tokenizer

    @property
    def vocabulary(self) -> int:
        """Return how many ids there are, with that of the padding."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True)) + 1

    def tokens(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Return the ids [n, length] of texts."""
        out = np.full((len(texts), self.length), PADDING, dtype=np.int32)
        for start in range(0, len(texts), CHUNK):
            for row, encoding in enumerate(self._encoded(texts[start : start + CHUNK], self.length), start):
                out[row, : len(encoding.ids)] = np.asarray(encoding.ids, dtype=np.int32) + 1
        return out

    def _encoded(self, texts: Sequence[str], length: int | None) -> list[Any]:
        if length is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(length)
        encoded: list[Any] = self._tokenizer.encode_batch([encodable(t) for t in texts])
        return encoded

    def to_json(self) -> dict[str, Any]:
        """Return the fitted parameters as plain JSON values."""
        return {"tokenizer": dict(self.tokenizer), "length": self.length}


def _trained(texts: Sequence[str], settings: TextSettings) -> Any:
    try:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    except ImportError:
        raise UserError(NEEDS_EXTRA, setting="text") from None
    tokenizer = Tokenizer(models.BPE())
    steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if settings.lowercase else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(map(encodable, texts), trainer)
    return tokenizer


def _of_file(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UserError(NEEDS_EXTRA, setting="text") from None
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises bare ones
        reason = first_line(error, 100)
        raise UserError(f"it is no tokenizer that can be read ({reason})", setting=str(path)) from None
