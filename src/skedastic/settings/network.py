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
    """Return the function that makes a fresh network of the configured model.

    Parameters
    ----------
    config : Config
        The settings of the run.
    encoder : Encoder
        The encoder, whose output is the network's input.
    outputs : int
        Numbers that the network gives for an example, at least 1 (`Target.outputs`).

    Raises
    ------
    UserError
        The model is unknown, can't take these inputs, or was made in Python.
    """
    model = config.model
    if not isinstance(model, NamedModel):
        rule = "the network was made in Python; give the function that makes it"
        raise UserError(rule, setting="model", value=model.name)
    return models.factory(model.name, encoder.inputs, outputs, model.options)
