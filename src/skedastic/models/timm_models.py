"""Models of the package timm by name: `timm:NAME`, with pretrained weights where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from skedastic.errors import UserError, unknown
from skedastic.models.inputs import Inputs
from skedastic.models.normalized import Normalized

PREFIX = "timm"
OPTIONS = ("pretrained", "checkpoint", "drop_rate", "drop_path_rate", "img_size")


def from_name(name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the network of a model's name, with a new last layer.

    options: pretrained (default true: from the cache or the hub), checkpoint (a .safetensors file of its weights instead),
    drop_rate, drop_path_rate, img_size. Raises UserError where timm can't be imported, has no such model, or can't load it.
    """
    for option in options:
        if option not in OPTIONS:
            raise unknown(f"option of model '{PREFIX}:{name}'", option, OPTIONS)
    if inputs.kind != "image":
        raise UserError(f"model {PREFIX}:{name} reads images, and the data is a {inputs.kind}")
    checkpoint = options.get("checkpoint")
    if checkpoint is not None and (Path(checkpoint).suffix != ".safetensors" or not Path(checkpoint).is_file()):
        raise UserError(f"model.checkpoint={checkpoint!r}: must be a .safetensors file; pickles are never read")
    timm = _timm()
    if not timm.is_model(name):
        raise unknown("model of timm", name, timm.list_models())
    pretrained = bool(options.get("pretrained", checkpoint is None))
    given = {k: v for k, v in options.items() if k not in ("pretrained", "checkpoint")}
    overlay = {} if checkpoint is None else {"pretrained_cfg_overlay": {"file": checkpoint}}
    try:
        net = timm.create_model(
            name,
            pretrained=pretrained or checkpoint is not None,
            num_classes=classes,
            in_chans=inputs.shape[0],
            **overlay,
            **given,
        )
    except Exception as error:  # the package and the hub raise of all kinds
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"model {PREFIX}:{name} can't be made: {reason}; random weights need none: --set model.pretrained=false"
        ) from None
    known = net.default_cfg if pretrained or checkpoint is not None else {}
    mean, deviation = tuple(known.get("mean", inputs.mean)), tuple(known.get("std", inputs.deviation))
    if len(mean) != inputs.shape[0]:
        mean, deviation = inputs.mean, inputs.deviation
    return Normalized(net, mean, deviation) if mean else net


def _timm() -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
        reason = " ".join(str(error).split())[:100]
        raise UserError(
            f"models of timm need the packages timm and torchvision ({reason}); pip install 'skedastic[timm]'"
        ) from None
    return timm
