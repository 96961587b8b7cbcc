"""Models of the package timm by name: `timm:NAME`, with pretrained weights unless they are not wanted.

Weights come from safetensors only: of the hub or its cache, or of a file. A model whose input has a fixed size is built
for the size of the images; the others read images of any size.
"""

from __future__ import annotations

import logging
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skedastic.configurable import setting
from skedastic.errors import UserError, unknown
from skedastic.models.inputs import Inputs
from skedastic.models.normalized import Normalized
from skedastic.models.on_body import FREEZE, Layers, OfTimm, training_of_head
from skedastic.models.options import ModelOptions, read_options
from skedastic.models.refusal import refused

PREFIX = "timm"
ON_THE_HUB = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """The options of a model of timm."""

    pretrained: bool = setting(True, "whether to begin with pretrained weights, of the cache or the hub")
    checkpoint: str | Path | None = setting(
        None, "a .safetensors file of the model's weights, in place of the hub's; pickles are never read"
    )
    drop_rate: float | None = setting(None, "dropout before the last layer", "[0, 1)")
    drop_path_rate: float | None = setting(None, "share of the paths that are dropped (stochastic depth)", "[0, 1)")
    img_size: int | None = setting(
        None, "pixels of a side; by default those of the images, where the model has a fixed size", "[1, inf)"
    )

    freeze: bool = setting(False, FREEZE)
    depth: int | None = setting(
        None, "hidden layers of 256 between the features of a frozen model and the last layer, by default 2", "[0, inf)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth is not None and not self.freeze:
            rule = "it is for a frozen model; add model.freeze=true, or leave it out"
            raise UserError(rule, setting="model.depth", value=self.depth)
        if self.checkpoint is None:
            return
        path = Path(self.checkpoint)
        if path.suffix != ".safetensors" or not path.is_file():
            rule = "must be a .safetensors file; pickles are never read"
            raise UserError(rule, setting="model.checkpoint", value=str(path))
        if not self.pretrained:
            rule = "model.checkpoint gives weights; leave one of the two out"
            raise UserError(rule, setting="model.pretrained", value=False)

    def of_timm(self) -> dict[str, Any]:
        """Return the arguments of `timm.create_model`."""
        names = ("drop_rate", "drop_path_rate", "img_size")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def from_name(name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the network of a model's name, with a new last layer.

    Parameters
    ----------
    name, inputs, classes, options
        As in `models.make`, the name without its prefix.

    Raises
    ------
    UserError
        timm can't be imported, has no such model, can't load its weights whole, or can't read the images.
    """
    chosen = read_options(Options, f"{PREFIX}:{name}", options)
    if inputs.kind != "image":
        raise refused(f"{PREFIX}:{name}", f"it reads images, and the data is a {inputs.kind}")
    timm = _timm()
    if not timm.is_model(name):
        raise unknown("model of timm", name, timm.list_models())
    net = _created(timm, name, inputs, 0 if chosen.freeze else classes, chosen)
    whole = _under_head(net, name, inputs, classes, chosen) if chosen.freeze else net
    if not inputs.mean:  # then x is no pixels
        return whole
    mean, deviation = _pixels(net, inputs) if chosen.pretrained else (inputs.mean, inputs.deviation)
    return Normalized(whole, mean, deviation)


def training(inputs: Inputs, rows: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of training that suit the model: SGD's, or those of a head alone.

    Parameters
    ----------
    inputs : Inputs
        The network's input.
    rows : int
        Training rows.
    options : mapping
        The options that were given.
    """
    return training_of_head(inputs) if options.get("freeze") else {}


def _created(timm: Any, name: str, inputs: Inputs, classes: int, options: Options) -> nn.Module:
    given = options.of_timm()
    try:
        with _quiet():
            config = timm.get_pretrained_cfg(name)
            if config.fixed_input_size:
                given = {"img_size": tuple(inputs.shape[-2:]), **given}
            net: Any = timm.create_model(
                name,
                pretrained=options.pretrained,
                pretrained_cfg_overlay=_source(name, config, options.checkpoint) if options.pretrained else {},
                num_classes=classes,
                in_chans=inputs.shape[0],
                **given,
            )
    except UserError:
        raise
    except Exception as error:  # the package and the hub raise of all kinds
        way_out = "; for random weights: --set model.pretrained=false" if options.pretrained else ""
        raise refused(f"{PREFIX}:{name}", f"{_line(error)}{way_out}", "can't be made") from None
    if options.checkpoint is not None:
        _check_whole(options.checkpoint, net)
    _try(net, name, inputs)
    return net.train()  # type: ignore[no-any-return]


@torch.no_grad()
def _under_head(net: nn.Module, name: str, inputs: Inputs, classes: int, options: Options) -> nn.Module:
    """Return a network around a frozen model that gives features."""
    width = net.eval()(torch.zeros(1, *inputs.shape)).shape[1]
    return OfTimm(net, width, classes, Layers(True, options.depth, options.drop_rate), name)


def _source(name: str, config: Any, checkpoint: str | Path | None) -> dict[str, Any]:
    """Return where weights are read from; left to itself, timm falls back on pickles."""
    if checkpoint is not None:
        return {"file": str(checkpoint), "custom_load": False}
    if not config.hf_hub_id:
        rule = "it has no weights in safetensors on the hub, and pickles are never read; for random weights: "
        raise refused(f"{PREFIX}:{name}", f"{rule}--set model.pretrained=false")
    return {"hf_hub_filename": ON_THE_HUB, "custom_load": False}


def _check_whole(checkpoint: str | Path, net: Any) -> None:
    """Refuse a file without all weights but the last layer's: timm leaves the others random, and is silent."""
    from safetensors import safe_open

    with safe_open(checkpoint, "pt") as file:
        held = set(file.keys())
    last = net.default_cfg["classifier"] or ()  # the name of a layer, or names where there are several
    new = tuple(f"{layer}." for layer in ((last,) if isinstance(last, str) else last))
    lost = [key for key, _ in net.named_parameters() if key not in held and not key.startswith(new)]
    if lost:
        others = f" and {len(lost) - 1} others" if len(lost) > 1 else ""
        rule = f"has no {lost[0]}{others}; give a file of this model's weights by timm's names"
        raise UserError(rule, setting="model.checkpoint", value=str(checkpoint))


@torch.no_grad()
def _try(net: Any, name: str, inputs: Inputs) -> None:
    try:
        net.eval()(torch.zeros(1, *inputs.shape))
    except Exception as error:
        size, usual = " × ".join(map(str, inputs.shape[-2:])), net.default_cfg["input_size"][-1]
        rule = f"{_line(error)}; resize them with --set image_size={usual}"
        raise refused(f"{PREFIX}:{name}", rule, f"can't read images of {size}") from None


def _pixels(net: Any, inputs: Inputs) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of each channel as the weights were trained with; of grey images, the mean of both."""
    mean, deviation = tuple(net.default_cfg["mean"]), tuple(net.default_cfg["std"])
    if inputs.shape[0] == 1:
        mean, deviation = (sum(mean) / len(mean),), (sum(deviation) / len(deviation),)
    return (mean, deviation) if len(mean) == inputs.shape[0] else (inputs.mean, inputs.deviation)


def _line(error: Exception) -> str:
    return textwrap.shorten(str(error), 160, placeholder=" …") or type(error).__name__


def _timm() -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
        rule = f"they need the packages timm and torchvision ({_line(error)}); pip install 'skedastic[timm]'"
        raise UserError(rule, setting="model", given="models of timm") from None
    return timm


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep timm from telling which weights it leaves out: the last layer's always are, and others are an error here."""
    log = logging.getLogger("timm")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
