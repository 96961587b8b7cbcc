"""The input of a network: one tensor x [B, …], and the meaning of its entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

InputKind = Literal["table", "text", "image"]
PADDING = 0  # the token after a text's end


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The input of a network, as an encoder makes it.

    A row has `real` numbers, then one id for each of `sizes`, then `tokens` token ids; ids are whole numbers in
    floating point.

    Parameters
    ----------
    kind : str
        "table", "text" or "image".
    shape : tuple of int
        Of one example: (C, H, W) of an image, (d,) of a row.
    real : int
        Real numbers in a row.
    numbers : tuple of int
        The positions of those that are numbers of a column, and neither indicators nor words.
    sizes : tuple of int
        Of each categorical column, the number of its categories.
    words : tuple of int
        The first and the end of the positions of a text's numbers, the leading ones first, beside other columns.
    tokens : int
        Token ids of a text, 0 after its end.
    vocabulary : int
        How many tokens there are.
    mean, deviation : tuple of float
        Of each channel of the training images, whose pixels are integers in 0..255, or reals in [0, 1].
    """

    kind: InputKind
    shape: tuple[int, ...]
    real: int = 0
    numbers: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    words: tuple[int, int] = (0, 0)
    tokens: int = 0
    vocabulary: int = 0
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @classmethod
    def plain(cls, shape: tuple[int, ...]) -> Inputs:
        """Return the input of a network that reads real numbers, images where the shape has three sides.

        Parameters
        ----------
        shape : tuple of int
            Of one example.
        """
        return (
            cls(kind="image", shape=shape)
            if len(shape) == 3
            else cls(kind="table", shape=shape, real=shape[0], numbers=tuple(range(shape[0])))
        )

    @property
    def has_ids(self) -> bool:
        """Whether there are ids in it, which can be neither mixed nor moved a little."""
        return bool(self.sizes or self.tokens)
