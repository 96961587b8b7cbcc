"""Models of the package transformers by name: `hf:NAME`, with pretrained weights where there are some, and a head of ours.

NAME is a folder that `save_pretrained` wrote (weights may be left out), or the name of a model in the cache or on the hub. A text
comes in the tokens of the model's own tokenizer plus 1, since 0 ends a text here. Weights are read from safetensors; a
pickle is refused, and no code that lies beside a model is run. Of encoder and decoder, the encoder is taken.
"""

from __future__ import annotations

import logging
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.configurable import Configurable, setting
from skedastic.errors import UserError, unknown
from skedastic.models.inputs import PADDING, Inputs
from skedastic.models.normalized import Normalized
from skedastic.models.refusal import refused
from skedastic.models.row_input import RowInput, vector_width

PREFIX = "hf"
Pool = Literal["mean", "first", "last"]
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
RANDOM = "for random weights: --set model.pretrained=false"
SAME = 1e-5  # states that differ by less, relative to the largest, have read the same tokens


@dataclass(frozen=True, kw_only=True)
class Options(Configurable):
    """What can be set of a model."""

    section: ClassVar[str | None] = "model"

    pretrained: bool | None = setting(
        None, "whether to begin with pretrained weights; by default where there are some, false for random ones"
    )
    pool: Pool | None = setting(
        None,
        "token whose state is read, or the mean of all; by default last where a token sees only those before it, and of "
        "images the model's own way, else mean",
    )
    dropout: float = setting(0.1, "dropout before the last layer", "[0, 1)")
    freeze: bool = setting(False, "whether only the last layer is trained, and the model stays in evaluation mode")


def from_name(name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the network of a model's name; its last layer is a new `nn.Linear`.

    options: as `Options` has them. Raises UserError where the model can't be found, can't be read safely, lacks some of its
    weights, or doesn't read what the data is.
    """
    known = [field.name for field in fields(Options)]
    for option in options:
        if option not in known:
            raise unknown(f"option of model '{PREFIX}:{name}'", option, known)
    chosen = Options(**options)
    if not inputs.tokens and inputs.kind != "image":
        raise refused(f"{PREFIX}:{name}", "it reads text or images, and the data is a table; take --model mlp")
    config = _config(name)
    make = _for_text if inputs.tokens else _for_images
    return make(name, config, inputs, classes, chosen)


def tokenizer_file(name: str, pretrained: bool | None = None) -> Path | None:
    """Return the tokenizer.json of a model; None where it has none, which a model with random weights may lack.

    pretrained: as the option. Raises UserError where the model can't be found, and where its weights are taken and it has none:
    they know nothing of other tokens.
    """
    found = _find_tokenizer(name)
    if found is None and _takes_weights(name, pretrained):
        rule = (
            "it has weights and no tokenizer.json, and to weights other tokens mean nothing; save it there with "
            f"AutoTokenizer.from_pretrained(…).save_pretrained({name!r}), or take --set model.pretrained=false for random "
            "weights"
        )
        raise refused(f"{PREFIX}:{name}", rule)
    return found


def _find_tokenizer(name: str) -> Path | None:
    if _is_folder(name):
        path = Path(name) / "tokenizer.json"
        return path if path.is_file() else None
    cached_file = _transformers().utils.cached_file
    with _quiet(name, "found"):
        cached_file(name, "config.json")  # a name that is nowhere is not one without a tokenizer
        found = cached_file(name, "tokenizer.json", _raise_exceptions_for_missing_entries=False)
    return None if found is None else Path(found)


class OnBody(nn.Module):
    """A model of others, and a linear layer on the features that it gives."""

    def __init__(self, body: nn.Module, features: int, classes: int, options: Options) -> None:
        super().__init__()
        self.body = body.requires_grad_(not options.freeze)
        self.freeze, self.pool = options.freeze, options.pool
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(features, classes)
        self.train()

    def train(self, mode: bool = True) -> OnBody:
        """Set the mode; what is frozen stays in evaluation mode, so that neither masks nor BatchNorm's statistics move it."""
        super().train(mode)
        if self.freeze:
            self.body.eval()
        return self


class OfText(OnBody):
    """Tokens [B, L], the model's own plus 1 and 0 after a text's end, and a vector [B, v] where there is one, to logits.

    body: reads `input_ids` and `attention_mask`, both [B, L], and gives a `last_hidden_state` [B, L, d]. padding: the body's own
    token for padding, which no other token sees.
    """

    def __init__(self, body: nn.Module, features: int, classes: int, options: Options, padding: int) -> None:
        super().__init__(body, features, classes, options)
        self.padding = padding

    def forward(self, tokens: Tensor, beside: Tensor | None = None) -> Tensor:
        """Map tokens [B, L] int64, and the vector [B, v] beside them, to logits [B, classes]."""
        features = self.features(tokens)
        if beside is not None:
            features = torch.cat([features, beside.to(features.dtype)], 1)
        logits: Tensor = self.linear(self.dropout(features))
        return logits

    def features(self, tokens: Tensor) -> Tensor:
        """Return one vector [B, d] for each text."""
        there = tokens != PADDING
        place = torch.arange(tokens.shape[1], device=tokens.device)
        seen = there | (place == 0)  # where nothing at all is seen, as of an empty text, attention is not a number
        ids = torch.where(there, tokens - 1, self.padding)
        states: Tensor = self.body(input_ids=ids, attention_mask=seen.long()).last_hidden_state
        length = there.sum(1).clamp_min(1)
        if self.pool == "first":
            return states[:, 0]
        if self.pool == "last":
            return states[torch.arange(len(states), device=states.device), length - 1]
        return (states * there[:, :, None]).sum(1) / length[:, None]


class OfImages(OnBody):
    """Standardized images [B, C, H, W] to logits.

    body: reads `pixel_values` [B, channels, *size], to which images are resized. Grey images stand for every channel.
    """

    def __init__(
        self, body: nn.Module, features: int, classes: int, options: Options, channels: int, size: tuple[int, int]
    ) -> None:
        super().__init__(body, features, classes, options)
        self.channels, self.size = channels, size

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W], with C the body's channels or 1, to logits [B, classes]."""
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        if self.size != tuple(x.shape[-2:]):
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        logits: Tensor = self.linear(self.dropout(_pooled(self.body(pixel_values=x), self.pool)))
        return logits


def _pooled(out: Any, pool: Pool | None) -> Tensor:
    """Return one vector [B, d] of each image: the model's own, or of its tokens [B, T, d] or features [B, d, h, w]."""
    own: Tensor | None = getattr(out, "pooler_output", None)
    if pool is None and own is not None:
        return own.flatten(1)
    states: Tensor = out.last_hidden_state
    if states.dim() == 4:
        return states.mean((2, 3))
    return states[:, 0] if pool == "first" else states.mean(1)


def _for_text(name: str, config: Any, inputs: Inputs, classes: int, options: Options) -> nn.Module:
    if not hasattr(config, "vocab_size"):
        raise refused(f"{PREFIX}:{name}", f"it is no model of text alone ({config.model_type}), and the data is text")
    vocabulary = int(config.vocab_size)
    if inputs.vocabulary > vocabulary + 1:
        rule = (
            f"it has {vocabulary} tokens, and the tokenizer {inputs.vocabulary - 1}; put the model's own tokenizer.json "
            "into its folder, or give fewer with --set tokens.vocabulary=N"
        )
        raise refused(f"{PREFIX}:{name}", rule)
    body = _body(name, config, options, keep_pooler=False)
    _check_length(name, config, body, inputs.tokens)
    own = getattr(config, "pad_token_id", None)
    padding = own if isinstance(own, int) and 0 <= own < vocabulary else 0
    width, causal = _tried_on_text(name, body, vocabulary, padding)
    if options.pool is None:
        options = replace(options, pool="last" if causal else "mean")
    return RowInput(OfText(body, width + vector_width(inputs), classes, options, padding), inputs)


def _check_length(name: str, config: Any, body: nn.Module, tokens: int) -> None:
    most = getattr(config, "max_position_embeddings", None)
    for part, module in body.named_modules():
        # where positions are counted from behind the padding's own, as in RoBERTa, fewer are left for tokens
        if isinstance(module, nn.Embedding) and part.endswith("position_embeddings") and module.padding_idx is not None:
            most = module.num_embeddings - module.padding_idx - 1
    if most is not None and 0 < int(most) < tokens:
        rule = f"it reads at most {most} tokens of a text, and {tokens} are given; give fewer with --set tokens.length={most}"
        raise refused(f"{PREFIX}:{name}", rule)


@torch.no_grad()
def _tried_on_text(name: str, body: nn.Module, vocabulary: int, padding: int) -> tuple[int, bool]:
    """Return the width of the states, and whether a token sees only those before it.

    Asked of the model itself, since its configuration doesn't tell: of two texts that differ in their last token alone, the
    first token's states are the same then.
    """
    some = [token for token in range(min(vocabulary, 5)) if token != padding][-4:] or [0]
    ids = torch.tensor([[some[0], some[0], some[i % len(some)]] for i in (0, -1)])
    done = "used for text"
    with _quiet(name, done):
        states = body.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    if states.shape[:2] != ids.shape:
        raise refused(
            f"{PREFIX}:{name}", f"its states are {list(states.shape)} for tokens {list(ids.shape)}", f"can't be {done}"
        )
    moved = (states[0] - states[1]).abs().amax(1) / states.abs().max().clamp_min(1e-30)
    return int(states.shape[2]), bool(moved[0] < SAME < moved[-1])


def _for_images(name: str, config: Any, inputs: Inputs, classes: int, options: Options) -> nn.Module:
    if not hasattr(config, "num_channels"):
        raise refused(
            f"{PREFIX}:{name}", f"it is no model of images alone ({config.model_type}), and the data are images"
        )
    channels, size = int(config.num_channels), getattr(config, "image_size", None)
    if inputs.shape[0] not in (1, channels):
        raise refused(f"{PREFIX}:{name}", f"it reads {channels} channels, and the images have {inputs.shape[0]}")
    sides = inputs.shape[-2:] if size is None else (size, size) if isinstance(size, int) else tuple(size)
    height, width = int(sides[0]), int(sides[1])
    body = _body(name, config, options, keep_pooler=options.pool is None)
    if isinstance(getattr(body, "pooler", None), nn.Identity) and options.pool is None:
        options = replace(options, pool="mean")
    with _quiet(name, f"used for images of {height} × {width}"), torch.no_grad():
        out = body.eval()(pixel_values=torch.zeros(1, channels, height, width))
        features = _pooled(out, options.pool).shape[1]
        no_such_token = options.pool == "last" or (options.pool == "first" and out.last_hidden_state.dim() == 4)
    if no_such_token:
        rule = f"model {PREFIX}:{name} has no {options.pool} token of an image; leave model.pool out"
        raise UserError(rule, setting="model.pool", value=options.pool)
    net = OfImages(body, features, classes, options, channels, (height, width))
    if not inputs.mean:  # then x is no pixels
        return net
    mean, deviation = _pixels(name, channels) or (inputs.mean, inputs.deviation)
    return Normalized(net, mean, deviation)


def _pixels(name: str, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and deviation of each channel as the model was trained with; None where it doesn't say."""
    try:
        with _quiet(name):
            read, _ = _transformers().ImageProcessingMixin.get_image_processor_dict(name)
    except UserError:
        return None
    if read.get("do_normalize") is False:
        return (0.0,) * channels, (1.0,) * channels
    found = [read.get(key) for key in ("image_mean", "image_std")]
    if not all(isinstance(values, (list, tuple)) and len(values) == channels for values in found):
        return None
    mean, deviation = (tuple(map(float, values)) for values in found)
    return mean, deviation


def _is_folder(name: str) -> bool:
    """Whether the name is a folder, and not one of the hub. Raises UserError where it can be neither."""
    path = Path(name)
    if name and path.is_dir():
        return True
    if path.is_file():
        raise refused(f"{PREFIX}:{name}", "it is a file; give the folder that it lies in")
    if not name or path.is_absolute() or name.count("/") > 1 or name[0] in ".~":
        raise refused(f"{PREFIX}:{name}", "no such folder; give one that save_pretrained wrote, or a hub's name")
    return False


def _config(name: str) -> Any:
    if _is_folder(name) and not (Path(name) / "config.json").is_file():
        raise refused(f"{PREFIX}:{name}", "the folder has no config.json; give one that save_pretrained wrote")
    with _quiet(name):
        config = _transformers().AutoConfig.from_pretrained(name, trust_remote_code=False)
    if hasattr(config, "use_cache"):
        config.use_cache = False  # keys and values of a text that goes on, which none here does
    config.return_dict = True
    return config


def _body(name: str, config: Any, options: Options, keep_pooler: bool) -> nn.Module:
    """Return the model, without what its features don't depend on, in single precision.

    keep_pooler: its layer on the first token is used, where its weights are there.
    """
    missing: set[str] = set()
    if _takes_weights(name, options.pretrained):
        whole, missing = _loaded(name, config)
    else:
        with _quiet(name):
            whole = _transformers().AutoModel.from_config(config, trust_remote_code=False)
    random = {id(tensor) for key, tensor in whole.state_dict(keep_vars=True).items() if key in missing}
    both = all(isinstance(getattr(whole, part, None), nn.Module) for part in ("encoder", "decoder"))
    body: nn.Module = whole.get_encoder() if both else whole
    pooler = getattr(body, "pooler", None)
    learned = isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters())
    if learned and (not keep_pooler or any("pooler" in key for key in missing)):
        body.pooler = nn.Identity()  # some can't do without one
    lost = [key for key, tensor in body.state_dict(keep_vars=True).items() if id(tensor) in random]
    if lost:
        others = f" and {len(lost) - 1} others" if len(lost) > 1 else ""
        raise refused(
            f"{PREFIX}:{name}", f"its weights have no {lost[0]}{others} of the size that config.json says; {RANDOM}"
        )
    return body.float()


def _takes_weights(name: str, pretrained: bool | None) -> bool:
    folder = Path(name)
    if pretrained is False or not folder.is_dir():
        return pretrained is not False
    has = any((folder / file).is_file() for file in WEIGHTS)
    if not has and (pretrained or any(file.suffix in OTHER_WEIGHTS for file in folder.iterdir())):
        rule = f"no model.safetensors in the folder, and pickles are never read; save it again with save_pretrained; {RANDOM}"
        raise refused(f"{PREFIX}:{name}", rule)
    return has


def _loaded(name: str, config: Any) -> tuple[Any, set[str]]:
    """Return the model with its weights, and the names of those that its file lacks, or has in another shape."""
    with _quiet(name):
        whole, info = _transformers().AutoModel.from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are named below; the package would only print them
            output_loading_info=True,
        )
    return whole, {*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        rule = "they need the package transformers; pip install 'skedastic[hf]'"
        raise UserError(rule, setting="model", given="models of Hugging Face") from None
    return transformers


@contextmanager
def _quiet(name: str, done: str = "loaded") -> Iterator[None]:
    """Keep the package from talking; say in one line what can't be done. Raises UserError."""
    own: Any = _transformers().utils.logging
    hub = logging.getLogger("huggingface_hub")
    verbosity, level, bars = own.get_verbosity(), hub.level, own.is_progress_bar_enabled()
    own.set_verbosity_error()
    own.disable_progress_bar()
    hub.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # the package raises of all kinds
        reason = textwrap.shorten(str(error), 160, placeholder=" …") or type(error).__name__
        raise refused(f"{PREFIX}:{name}", reason, f"can't be {done}") from None
    finally:
        own.set_verbosity(verbosity)
        hub.setLevel(level)
        if bars:
            own.enable_progress_bar()
