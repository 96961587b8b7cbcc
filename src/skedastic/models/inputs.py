"""What a network reads: one tensor x [B, …], and what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

InputKind = Literal["table", "text", "image"]
PADDING = 0  # the token after a text's end


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The input of a network, as an encoder makes it.

    shape: of one example: (C, H, W) of an image, (d,) of a row. A row has `real` numbers, then one id for each of `sizes`,
    of a category among so many, then the `tokens` token ids of a text, 0 after its end; ids are whole numbers in
    floating point. vocabulary: how many tokens there are. mean, deviation: of each channel of the training images, whose
    pixels are integers in 0..255, or reals in [0, 1].
    """

    kind: InputKind
    shape: tuple[int, ...]
    real: int = 0
    sizes: tuple[int, ...] = ()
    tokens: int = 0
    vocabulary: int = 0
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @classmethod
    def plain(cls, shape: tuple[int, ...]) -> Inputs:
        """Return the input of a network that reads real numbers of this shape, images where it has three sides."""
        return cls(kind="image", shape=shape) if len(shape) == 3 else cls(kind="table", shape=shape, real=shape[0])

    @property
    def has_ids(self) -> bool:
        """Whether there are ids in it, which can be neither mixed nor moved a little."""
        return bool(self.sizes or self.tokens)
