"""From the configured model to a function that makes fresh networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from skedastic import models
from skedastic.data import Encoder
from skedastic.errors import UserError
from skedastic.settings.config import Config
from skedastic.settings.model_choice import NamedModel

if TYPE_CHECKING:
    from collections.abc import Callable


def make_network(config: Config, encoder: Encoder, outputs: int) -> Callable[[], nn.Module]:
    """Return the function that makes a fresh network of the configured model for what `encoder` gives.

    outputs: how many numbers it gives for an example (`Target.outputs`).
    """
    model = config.model
    if not isinstance(model, NamedModel):
        raise UserError("was made in Python; give the function that makes it", setting="model", value=model.name)
    return models.factory(model.name, encoder.inputs, outputs, model.options)
