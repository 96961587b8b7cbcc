"""From the configured model to a function that makes fresh networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from skedastic import models
from skedastic.data import Encoder
from skedastic.settings.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def make_network(config: Config, encoder: Encoder, classes: Sequence[str]) -> Callable[[], nn.Module]:
    """Return the function that makes a fresh network of the configured model for what `encoder` gives.

    It has an output for each of the classes, and one where there are none: the targets are real.
    """
    options = {key: value for key, value in config.model.items() if key != "name"}
    return models.factory(str(config.model.get("name", "auto")), encoder.inputs, len(classes) or 1, options)
