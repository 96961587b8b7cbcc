"""Models of the package transformers by name: `hf:NAME`, with pretrained weights where there are some, and a new head.

NAME is a folder that `save_pretrained` wrote (weights may be left out), or the name of a model in the cache or on the
hub. A text comes in the tokens of the model's own tokenizer plus 1, since 0 ends a text here. Weights are read from
safetensors; a pickle is refused, and no code that lies beside a model is run. Of encoder and decoder, the encoder is
taken.
"""

from __future__ import annotations

import logging
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skedastic.errors import UserError
from skedastic.models.inputs import Inputs
from skedastic.models.normalized import Normalized
from skedastic.models.on_body import OfImages, OfText, Options, pooled, training_of_head
from skedastic.models.options import read_options
from skedastic.models.refusal import refused
from skedastic.models.row_input import RowInput, vector_width
from skedastic.runtime.plain_files import json_value

PREFIX = "hf"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
RANDOM = "for random weights: --set model.pretrained=false"
SAME = 1e-5  # states that differ by less, relative to the largest, have read the same tokens


def from_name(name: str, inputs: Inputs, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the network of a model's name; its last layer is a new `nn.Linear`.

    Parameters
    ----------
    name, inputs, classes, options
        As in `models.make`, the name without its prefix.

    Raises
    ------
    UserError
        The model can't be found, can't be read safely, lacks some of its weights, or doesn't read such data.
    """
    chosen = read_options(Options, f"{PREFIX}:{name}", options)
    if not inputs.tokens and inputs.kind != "image":
        raise refused(f"{PREFIX}:{name}", "it reads text or images, and the data is a table; take --model mlp")
    config = _config(name)
    make = _for_text if inputs.tokens else _for_images
    return make(name, config, inputs, classes, chosen)


def training(inputs: Inputs, rows: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of training that suit the model: those that fine-tune pretrained weights, or train a head.

    Parameters
    ----------
    inputs : Inputs
        The network's input.
    rows : int
        Training rows.
    options : mapping
        The options that were given.
    """
    if options.get("freeze"):
        return training_of_head(inputs)
    if options.get("pretrained") is False:
        return {}
    return {"optimizer": "adamw", "epochs": 4, "batch_size": 32, "lr": 5e-5, "warmup": 0.25}


def tokenizer_file(name: str, pretrained: bool | None = None) -> Path | None:
    """Return the tokenizer.json of a model; None where it has none, which a model with random weights may lack.

    Parameters
    ----------
    name : str
        The model's name without its prefix.
    pretrained : bool, optional
        As the option.

    Raises
    ------
    UserError
        The model can't be found; or its weights are taken and it has no tokenizer: they know nothing of other tokens.
    """
    path = _find_tokenizer(name)
    if path is None and _takes_weights(name, pretrained):
        rule = (
            "it has weights and no tokenizer.json, and to weights other tokens mean nothing; save it there with "
            f"AutoTokenizer.from_pretrained(…).save_pretrained({name!r}), or take --set model.pretrained=false for "
            "random weights"
        )
        raise refused(f"{PREFIX}:{name}", rule)
    return path


def _find_tokenizer(name: str) -> Path | None:
    if _is_folder(name):
        path = Path(name) / "tokenizer.json"
        return path if path.is_file() else None
    cached_file = _transformers().utils.cached_file
    with _quiet(name, "found"):
        cached_file(name, "config.json")  # a name that is nowhere is not one without a tokenizer
        file = cached_file(name, "tokenizer.json", _raise_exceptions_for_missing_entries=False)
    return None if file is None else Path(file)


def _for_text(name: str, config: Any, inputs: Inputs, classes: int, options: Options) -> nn.Module:
    if not hasattr(config, "vocab_size"):
        raise refused(f"{PREFIX}:{name}", f"it is no model of text alone ({config.model_type}), and the data is text")
    vocabulary = int(config.vocab_size)
    if inputs.vocabulary > vocabulary + 1:
        rule = (
            f"it has {vocabulary} tokens, and the tokenizer {inputs.vocabulary - 1}; put the model's own "
            "tokenizer.json into its folder, or give fewer with --set tokens.vocabulary=N"
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
        rule = (
            f"it reads at most {most} tokens of a text, and {tokens} are given; give fewer with --set "
            f"tokens.length={most}"
        )
        raise refused(f"{PREFIX}:{name}", rule)


@torch.no_grad()
def _tried_on_text(name: str, body: nn.Module, vocabulary: int, padding: int) -> tuple[int, bool]:
    """Return the width of the states, and whether a token sees only those before it.

    The model itself is asked, since its configuration doesn't tell. Where tokens see only those before them, two texts
    that differ in their last token alone have the same states of the first token.
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
        features = pooled(out, options.pool).shape[1]
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
    lists = [read.get(key) for key in ("image_mean", "image_std")]
    if not all(isinstance(values, (list, tuple)) and len(values) == channels for values in lists):
        return None
    mean, deviation = (tuple(map(float, values)) for values in lists)
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
        _check_plain(name)
        config = _transformers().AutoConfig.from_pretrained(name, trust_remote_code=False)
    if hasattr(config, "use_cache"):
        config.use_cache = False  # it has keys and values for a text that is continued, which none here is
    config.return_dict = True
    return config


def _check_plain(name: str) -> None:
    """Raise UserError where a model's own files name code to be run, or weights that are no safetensors.

    The package takes layers of the hub's "kernels" by their names in config.json, and gives files that the index of the
    weights names to torch.load where they do not end in .safetensors.
    """
    config = _own_json(name, "config.json")
    for key, value in _leaves(config):
        if key.endswith("_implementation") and "/" in str(value):
            raise refused(f"{PREFIX}:{name}", f"its config.json names code of the hub to be run ({key}: {value})")
    files = _own_json(name, WEIGHTS[1]).get("weight_map", {})
    for file in files.values() if isinstance(files, dict) else [files]:
        if Path(str(file)).suffix != ".safetensors" or Path(str(file)).name != file:
            raise refused(f"{PREFIX}:{name}", f"its {WEIGHTS[1]} names {file!r}, and weights are read from safetensors")


def _own_json(name: str, file: str) -> dict[str, Any]:
    """Return what a file of a model holds, an empty mapping where it has no such file."""
    if _is_folder(name):
        found: str | None = str(Path(name) / file) if (Path(name) / file).is_file() else None
    else:
        raises = ("_raise_exceptions_for_missing_entries", "_raise_exceptions_for_connection_errors")
        found = _transformers().utils.cached_file(name, file, **dict.fromkeys(raises, False))
    value = {} if found is None else json_value(Path(found).read_text("utf-8"), found)
    return value if isinstance(value, dict) else {}


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the key and the value of everything in nested mappings and lists that is neither."""
    if isinstance(value, dict):
        for inner, of_inner in value.items():
            yield from _leaves(of_inner, key if key.endswith("_implementation") else str(inner))
    elif isinstance(value, list):
        for of_inner in value:
            yield from _leaves(of_inner, key)
    else:
        yield key, value


def _body(name: str, config: Any, options: Options, keep_pooler: bool) -> nn.Module:
    """Return the model, without the parts that its features don't depend on, in single precision.

    keep_pooler: whether its layer on the first token is used, where its weights are there.
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
        rule = (
            "no model.safetensors in the folder, and pickles are never read; save it again with save_pretrained; "
            f"{RANDOM}"
        )
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
    """Keep the package quiet, and its errors to one line. Raises UserError."""
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
    except UserError:
        raise
    except Exception as error:  # the package raises of all kinds
        reason = textwrap.shorten(str(error), 160, placeholder=" …") or type(error).__name__
        raise refused(f"{PREFIX}:{name}", reason, f"can't be {done}") from None
    finally:
        own.set_verbosity(verbosity)
        hub.setLevel(level)
        if bars:
            own.enable_progress_bar()
