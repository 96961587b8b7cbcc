"""Models of the package transformers by name: `hf:NAME`, with pretrained weights where there are some, and a head of ours.

NAME is a folder that `save_pretrained` wrote (weights may be left out), or the name of a model in the cache or on the hub. A text
comes in the tokens of the model's own tokenizer plus 1, since 0 ends a text here. Weights are read from safetensors; a
pickle is refused. Its tokens' mean, first or last state goes through dropout into one linear layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.errors import UserError, check_choice, unknown
from skedastic.models.inputs import PADDING, Inputs
from skedastic.models.normalized import Normalized
from skedastic.models.rows import Rows, vector_width

PREFIX = "hf"
NEEDS_EXTRA = "models of Hugging Face need the package transformers; pip install 'skedastic[hf]'"
Pool = Literal["mean", "first", "last"]
OPTIONS = ("pretrained", "pool", "dropout", "freeze")


def from_name(name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the network of a model's name.

    options: pretrained (default: where there are weights), pool ("mean", "first" or "last" token; default "mean"), dropout
    (default 0.1), freeze (default false: train the pretrained part too). Raises UserError where the model can't be found, can't
    be read safely, or doesn't read what the data is.
    """
    for option in options:
        if option not in OPTIONS:
            raise unknown(f"option of model '{PREFIX}:{name}'", option, OPTIONS)
    check_choice("model.pool", options.get("pool", "mean"), get_args(Pool))
    dropout = options.get("dropout", 0.1)
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise UserError(f"model.dropout={dropout!r}: must be in [0, 1)")
    if inputs.kind == "table":
        raise UserError(f"model {PREFIX}:{name} reads text or images, and the data is a table; take --model mlp")
    config = _config(name)
    body = _body(name, config, options.get("pretrained"))
    if options.get("freeze", False):
        body.requires_grad_(False)
    if inputs.kind == "image":
        return _for_images(name, body, config, inputs, classes, float(dropout))
    _check_text(name, config, inputs)
    pool = options.get("pool", "mean")
    return Rows(OfText(body, config, classes, vector_width(inputs), float(dropout), pool), inputs)


def tokenizer_file(name: str) -> Path | None:
    """Return the tokenizer.json of a model; None where it has none. Raises UserError where the model can't be found."""
    if Path(name).is_dir():
        path = Path(name) / "tokenizer.json"
        return path if path.is_file() else None
    transformers = _transformers()
    with _quiet(name):
        found = transformers.utils.cached_file(name, "tokenizer.json", _raise_exceptions_for_missing_entries=False)
    return None if found is None else Path(found)


class OfText(nn.Module):
    """Tokens [B, L], the model's own plus 1 and 0 after a text's end, and a vector [B, v] where there is one, to logits."""

    def __init__(self, body: nn.Module, config: Any, classes: int, beside: int, dropout: float, pool: Pool) -> None:
        super().__init__()
        self.body, self.pool = body, pool
        self.padding = int(getattr(config, "pad_token_id", None) or 0)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(int(config.hidden_size) + beside, classes)

    def forward(self, tokens: Tensor, beside: Tensor | None = None) -> Tensor:
        """Map tokens [B, L] int64 to logits [B, classes]."""
        there = tokens != PADDING
        ids = torch.where(there, tokens - 1, self.padding)
        states = self.body(input_ids=ids, attention_mask=there.long()).last_hidden_state
        if self.pool == "first":
            features = states[:, 0]
        elif self.pool == "last":
            features = states[torch.arange(len(states), device=states.device), there.sum(1).clamp_min(1) - 1]
        else:
            features = (states * there[:, :, None]).sum(1) / there.sum(1, keepdim=True).clamp_min(1)
        if beside is not None:
            features = torch.cat([features, beside.to(features.dtype)], 1)
        logits: Tensor = self.linear(self.dropout(features))
        return logits


class OfImages(nn.Module):
    """Standardized images [B, C, H, W] to logits, resized to what the model reads."""

    def __init__(
        self, body: nn.Module, size: tuple[int, int], channels: int, features: int, classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.body, self.size, self.channels = body, size, channels
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W] to logits [B, classes]."""
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        if self.size != tuple(x.shape[-2:]):
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        logits: Tensor = self.linear(self.dropout(_pooled(self.body(pixel_values=x))))
        return logits


def _pooled(out: Any) -> Tensor:
    found = getattr(out, "pooler_output", None)
    states: Tensor = out.last_hidden_state if found is None else found
    if found is None and states.dim() == 3:
        return states.mean(1)
    return states.mean((2, 3)) if states.dim() == 4 and found is None else states.flatten(1)


def _for_images(name: str, body: nn.Module, config: Any, inputs: Inputs, classes: int, dropout: float) -> nn.Module:
    if not hasattr(config, "num_channels"):
        raise UserError(f"model {PREFIX}:{name} ({config.model_type}) reads no images, and the data are images")
    channels, size = int(config.num_channels), getattr(config, "image_size", None)
    if inputs.shape[0] not in (1, channels):
        raise UserError(f"model {PREFIX}:{name} reads {channels} channels, and the images have {inputs.shape[0]}")
    sides = tuple(inputs.shape[-2:]) if size is None else (size, size) if isinstance(size, int) else tuple(size)
    mode = body.training
    with torch.no_grad():
        width = _pooled(body.eval()(pixel_values=torch.zeros(1, channels, *sides))).shape[1]
    body.train(mode)
    net = OfImages(body, (int(sides[0]), int(sides[1])), channels, int(width), classes, dropout)
    mean, deviation = _pixels(name, inputs)
    return Normalized(net, mean, deviation) if mean else net


def _pixels(name: str, inputs: Inputs) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of each channel as the model was trained with, else of the training images."""
    transformers = _transformers()
    try:
        read, _ = transformers.ImageProcessingMixin.get_image_processor_dict(name)
        mean, deviation = tuple(read["image_mean"]), tuple(read["image_std"])
    except (OSError, KeyError, TypeError, ValueError):
        return inputs.mean, inputs.deviation
    if len(mean) != inputs.shape[0]:  # grey images for a model of colour
        mean, deviation = (sum(mean) / len(mean),), (sum(deviation) / len(deviation),)
    return mean, deviation


def _check_text(name: str, config: Any, inputs: Inputs) -> None:
    if not hasattr(config, "vocab_size") or not hasattr(config, "hidden_size"):
        raise UserError(f"model {PREFIX}:{name} ({config.model_type}) reads no text, and the data is text")
    if inputs.vocabulary > int(config.vocab_size) + 1:
        raise UserError(
            f"model {PREFIX}:{name} has {config.vocab_size} tokens, and the tokenizer {inputs.vocabulary - 1}; put the model's own "
            "tokenizer.json into its folder, or give fewer with --set tokens.vocabulary=N"
        )
    most = getattr(config, "max_position_embeddings", None)
    if most is not None and inputs.tokens > int(most):
        raise UserError(
            f"model {PREFIX}:{name} reads at most {most} tokens of a text, and {inputs.tokens} are given; give fewer with "
            f"--set tokens.length={most}"
        )


def _config(name: str) -> Any:
    with _quiet(name):
        return _transformers().AutoConfig.from_pretrained(name)


def _body(name: str, config: Any, pretrained: Any) -> nn.Module:
    transformers = _transformers()
    if pretrained not in (None, True, False):
        raise UserError(f"model.pretrained={pretrained!r}: must be true or false")
    folder = Path(name)
    if folder.is_dir():
        has = any(folder.glob("*.safetensors"))
        if (not has and pretrained is None and any(folder.glob("*.bin"))) or (not has and pretrained):
            raise UserError(
                f"model {PREFIX}:{name}: the folder has no weights in safetensors, and pickles are never read; save it with "
                "safe_serialization=True, or take --set model.pretrained=false for random weights"
            )
        pretrained = has if pretrained is None else pretrained
    with _quiet(name):
        if pretrained is False:
            body: nn.Module = transformers.AutoModel.from_config(config)
        else:
            body = transformers.AutoModel.from_pretrained(name, config=config, use_safetensors=True)
    return body.float().train()


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise UserError(NEEDS_EXTRA) from None
    return transformers


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep the package from talking; say in one line what it can't find or read. Raises UserError."""
    logging: Any = _transformers().utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # the package raises of all kinds
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"model {PREFIX}:{name} can't be loaded: {reason}") from None
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
