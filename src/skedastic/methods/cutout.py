"""Cutout: training on images with a square of each left out, around any method.

Source: DeVries, Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017, section 3: the
square's centre is drawn uniformly among the pixels of each image, so that the square may stick out over the edge, and
the covered pixels are 0 after normalization.

Compared with github.com/uoguelph-mlrg/Cutout (commit 287f934): the same pixels for a square of even length; there, one
of odd length is smaller by one pixel. Networks here normalize pixels themselves, so that 0 after normalization is a
channel's mean before: the square has the mean of the batch's channel, which is nearly that (rounded, where pixels are
whole numbers). The square is cut after cropping and flipping, as there. Of a reference set nothing is cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.errors import UserError
from skedastic.methods.bases.card import IMAGES, PERTURBED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.step import Batch, Clock, Logs, State
from skedastic.methods.bases.wrapper import Wrapper


def covered(centre: Tensor, size: int, length: int) -> Tensor:
    """Return which of `size` pixels of a line a square of `length` around pixel `centre` [B] covers, [B, size]."""
    first = centre[:, None] - length // 2
    place = torch.arange(size, device=centre.device)
    return (place >= first) & (place < first + length)


def cut_out(x: Tensor, rows: Tensor, columns: Tensor, length: int) -> Tensor:
    """Return images x [B, C, H, W] whose square around pixel (rows [B], columns [B]) is the mean of its channel."""
    square = covered(rows, x.shape[2], length)[:, :, None] & covered(columns, x.shape[3], length)[:, None, :]
    mean = x.to(torch.promote_types(x.dtype, torch.float32)).mean((0, 2, 3), keepdim=True)
    fill = mean if x.is_floating_point() else mean.round()
    return torch.where(square[:, None], fill.to(x.dtype), x)


@dataclass(frozen=True, kw_only=True)
class Cutout(Wrapper):
    """Train `base` on images with a square left out."""

    length: float = setting(
        0.5,
        "side of the square: a fraction of the image's shorter side if below 1, else whole pixels; 0 is `base` as it "
        "is, 0.5 the authors' for CIFAR-10 (16 of 32), 0.25 for CIFAR-100",
        "[0, inf)",
    )
    card: ClassVar[Card] = Card(
        name="cutout",
        title="Images with a square left out, around any method",
        paper="DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017",
        equations="x ⊙ mask, one square of side `length` around a pixel drawn uniformly (section 3)",
        family="around another method",
        capabilities=Capabilities(
            takes=(IMAGES,),
            incompatible_with={PERTURBED: "its steps cut again each time; turn them round, as in cutout(base=sam)"},
        ),
        reduces_to_erm=({"length": 0.0},),
        cost="1.0 × the step of `base`",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length > 1 and self.length % 1:
            rule = "must be a fraction of the image's side below 1, or a whole number of pixels"
            raise UserError(rule, setting=self.place("length"), value=self.length)

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step of `base` with a square of each image left out."""
        if self.length > 0:
            x = batch.x
            if x.dim() != 4:
                rule = f"it cuts squares out of images, and an example here is {list(x.shape[1:])}; leave it out"
                raise UserError(rule, setting="method", value="cutout", given="cutout")
            height, width = x.shape[2:]
            length = int(self.length) if self.length >= 1 else max(round(self.length * min(height, width)), 1)
            if length >= 2 * max(height, width) - 1:
                rule = f"that leaves nothing of images of {height} × {width} pixels; length=0.5 is half of their side"
                raise UserError(rule, setting=self.place("length"), value=self.length)
            rows, columns = (torch.randint(size, (len(x),)).to(x.device) for size in (height, width))
            batch = replace(batch, x=cut_out(x, rows, columns, length))
        return self.base.step(state, batch, clock, engine)
