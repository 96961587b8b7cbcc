"""Models by name: small ones of transformers, saved here; of timm where it can be imported; and one's own functions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from skedastic import models
from skedastic.core import find_taps, regularized_loss
from skedastic.core.heads import Cosine, find_head, replace_head
from skedastic.data import TextSettings
from skedastic.data.encoders.text import TextEncoder
from skedastic.models.inputs import Inputs
from skedastic.models.on_body import OfImages
from skedastic.models.own import own_network
from skedastic.models.row_input import vector_width
from tests.support.refusals import refused

transformers = pytest.importorskip("transformers", reason="needs the extra 'hf'")

try:
    import timm
except (ImportError, RuntimeError):
    timm = None
with_timm = pytest.mark.skipif(
    timm is None, reason="timm can't be imported here: it needs a torchvision that works with this torch"
)

WORDS = ["a small film of great joy", "what a waste of a good evening", "joy, and then none", "good good good"] * 5
LENGTH, VOCABULARY = 10, 301
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TEXTS: dict[str, dict[str, Any]] = {  # the classes of their configurations, with what is to be small
    "Bert": {"max_position_embeddings": 32, **SMALL},
    "DistilBert": {"max_position_embeddings": 32, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "Roberta": {"max_position_embeddings": 32, **SMALL},
    "Albert": {"max_position_embeddings": 32, "embedding_size": 8, **SMALL},
    "T5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
    "Bart": {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2}
    | {"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 32},
    "GPT2": {"n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0},
    "Llama": {"max_position_embeddings": 32, "num_key_value_heads": 2, "pad_token_id": None, **SMALL},
    "OPT": {"max_position_embeddings": 32, "word_embed_proj_dim": 8, "ffn_dim": 32}
    | {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
}
DECODERS = ("GPT2", "Llama", "OPT")
IMAGES: dict[str, dict[str, Any]] = {
    "ViT": {"image_size": 16, "patch_size": 8, **SMALL},
    "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "ConvNext": {"image_size": 32, "hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1]},
}
TEXT = Inputs(kind="text", shape=(LENGTH,), tokens=LENGTH, vocabulary=VOCABULARY)
IMAGE = Inputs(kind="image", shape=(3, 16, 16), mean=(0.5,) * 3, deviation=(0.2,) * 3)
TABLE = Inputs.plain((5,))


def config(kind: str, **others: Any) -> Any:
    """Return the configuration of a small model of a kind."""
    given = TEXTS[kind] | {"vocab_size": VOCABULARY} if kind in TEXTS else IMAGES[kind]
    return getattr(transformers, f"{kind}Config")(**(given | others))


def saved(folder: Path, kind: str, **others: Any) -> Path:
    """Return a folder with a small model of a kind, and its weights."""
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config(kind, **others)).save_pretrained(folder)
    return folder


def tokens(n: int = 6) -> Tensor:
    torch.manual_seed(1)
    ends = torch.randint(2, LENGTH + 1, (n, 1))
    return (torch.randint(1, VOCABULARY, (n, LENGTH)) * (torch.arange(LENGTH) < ends)).float()


def pixels(inputs: Inputs = IMAGE, n: int = 4) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(0, 256, (n, *inputs.shape), dtype=torch.uint8)


def refused_model(rule: str, name: str, inputs: Inputs = TEXT, /, **options: object) -> None:
    """Assert that the model of a name can't be made for these inputs, and that a few words of the rule say why."""
    with refused("model", name, rule=rule):
        models.make(name, inputs, 3, options)


def har_step(net: nn.Module, x: Tensor) -> None:
    """Take a step of HAR, and see that it is one."""
    y = torch.arange(len(x)) % 3
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    loss = regularized_loss(net.train(), x, y, torch.full((len(x),), 0.1))
    loss.total.backward()
    assert torch.isfinite(loss.norm).all()
    assert (loss.norm > 0).any()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert any(not torch.equal(p, before[name]) for name, p in net.named_parameters() if "body" in name)


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["mean", "first", "last"])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_model_has_its_saved_weights_and_never_sees_padding(kind: str, pool: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / kind, kind)
    net = models.make(f"hf:{folder}", TEXT, 3, {"pool": pool}).eval()
    own = load_file(folder / "model.safetensors")
    body: Any = net.net.body
    prefix = "encoder." if kind in ("T5", "Bart") else ""  # of encoder and decoder, the encoder
    shared = {"embed_tokens.weight": "shared.weight"} if prefix else {}
    for name, value in body.state_dict().items():
        assert torch.equal(value, own[prefix + name if prefix + name in own else shared[name]]), name
    x = tokens()
    longer = torch.cat([x, torch.zeros(len(x), 4)], 1)
    torch.testing.assert_close(net(x), net(longer), rtol=1e-4, atol=1e-5)
    assert net(x).shape == (6, 3)
    assert torch.isfinite(net(x * 0)).all()  # texts without a token
    torch.manual_seed(9)
    other: Any = models.make(f"hf:{folder}", TEXT, 3, {"pretrained": False})
    drawn = other.net.body.state_dict()
    assert any(not torch.equal(value, drawn[name]) for name, value in body.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", TEXTS)
def test_har_trains_a_text_model(kind: str, tmp_path: Path) -> None:
    net = models.make(f"hf:{saved(tmp_path / kind, kind)}", TEXT, 3)
    assert len(find_taps(net)) >= 3
    assert net.net.pool == ("last" if kind in DECODERS else "mean")
    har_step(net, tokens())
    assert all(p.grad is not None for p in net.parameters()), "a parameter that nothing depends on"


def test_the_last_token_is_that_of_the_text(tmp_path: Path) -> None:
    folder = saved(tmp_path / "gpt2", "GPT2")
    net: Any = models.make(f"hf:{folder}", TEXT, 3).eval()
    body = transformers.AutoModel.from_pretrained(folder).eval()
    text = torch.tensor([[7, 9, 11]])  # in the model's own ids
    x = F.pad(text + 1, (0, LENGTH - 3)).float()
    torch.testing.assert_close(net.net.features(x.long()), body(text).last_hidden_state[:, -1])


def test_a_vector_beside_the_text(tmp_path: Path) -> None:
    both = Inputs(kind="text", shape=(3 + LENGTH,), real=2, sizes=(30,), tokens=LENGTH, vocabulary=VOCABULARY)
    net = models.make(f"hf:{saved(tmp_path / 'bert', 'Bert')}", both, 1)
    x = torch.cat([torch.randn(6, 2), torch.randint(0, 30, (6, 1)).float(), tokens()], 1)
    assert net(x).shape == (6, 1)
    net(x).sum().backward()
    assert net.embeddings[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("kind", "inputs", "x"), [("Bert", TEXT, tokens()), ("ResNet", IMAGE, pixels())])
def test_a_frozen_body_does_not_move(kind: str, inputs: Inputs, x: Tensor, tmp_path: Path) -> None:
    net: Any = models.make(f"hf:{saved(tmp_path / kind, kind)}", inputs, 3, {"freeze": True})
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    F.cross_entropy(net.train()(x), torch.arange(len(x)) % 3).backward()
    optimizer.step()
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert {"net.linear.weight", "net.linear.bias"} <= moved
    assert not any("body" in name for name in moved)
    assert not net.net.body.training
    assert net.net.hidden.training
    assert not net.eval().net.hidden.training
    alone: Any = models.make(f"hf:{tmp_path / kind}", inputs, 3, {"freeze": True, "depth": 0})
    assert [name for name, p in alone.named_parameters() if p.requires_grad] == ["net.linear.weight", "net.linear.bias"]


@pytest.mark.parametrize(("kind", "inputs"), [("Bert", TEXT), ("ViT", IMAGE)])
def test_the_head_can_be_replaced(kind: str, inputs: Inputs, tmp_path: Path) -> None:
    net: Any = models.make(f"hf:{saved(tmp_path / kind, kind)}", inputs, 16)  # as many classes as the model is wide
    assert find_head(net, 16)[2] is net.net.linear
    replace_head(net, 16, lambda head: Cosine(head.in_features, 16))
    assert net(tokens() if inputs is TEXT else pixels()).abs().max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", IMAGES)
def test_a_model_of_images(kind: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / kind, kind)
    net: Any = models.make(f"hf:{folder}", IMAGE, 3)
    own = transformers.AutoModel.from_pretrained(folder).state_dict()  # whose names are not always the file's
    assert own.keys() == net.net.body.state_dict().keys()
    assert all(torch.equal(value, own[name]) for name, value in net.net.body.state_dict().items())
    assert net(pixels()).shape == (4, 3)
    har_step(net, pixels())
    odd = Inputs(kind="image", shape=(3, 20, 27), mean=(0.5,) * 3, deviation=(0.2,) * 3)
    assert models.make(f"hf:{folder}", odd, 3)(pixels(odd)).shape == (4, 3)
    plain = Inputs.plain((3, 16, 16))  # numbers that are no pixels stay as they are
    assert type(models.make(f"hf:{folder}", plain, 3)) is OfImages


def test_pixels_are_standardized_as_the_model_had_them_and_grey_ones_stand_for_every_channel(tmp_path: Path) -> None:
    folder = saved(tmp_path / "vit", "ViT")
    assert models.make(f"hf:{folder}", IMAGE, 3).mean.flatten().tolist() == [0.5] * 3
    read = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(read))
    net: Any = models.make(f"hf:{folder}", IMAGE, 3).eval()
    torch.testing.assert_close(net.mean.flatten(), torch.tensor(read["image_mean"]))
    torch.testing.assert_close(net.std.flatten(), torch.tensor(read["image_std"]))
    grey: Any = models.make(
        f"hf:{folder}", Inputs(kind="image", shape=(1, 16, 16), mean=(0.5,), deviation=(0.2,)), 3
    ).eval()
    grey.load_state_dict(net.state_dict())
    one = pixels()[:, :1]
    torch.testing.assert_close(grey(one), net(one.expand(-1, 3, -1, -1)))
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False, **read}))
    assert models.make(f"hf:{folder}", IMAGE, 3).std.flatten().tolist() == [1] * 3


def test_a_pooler_without_weights_is_not_used(tmp_path: Path) -> None:
    transformers.ViTForImageClassification(config("ViT")).save_pretrained(tmp_path / "vit")  # it has none
    net: Any = models.make(f"hf:{tmp_path / 'vit'}", IMAGE, 3)
    assert net.net.pool == "mean"
    assert not any("pooler" in name for name, _ in net.named_parameters())
    har_step(net, pixels())
    whole: Any = models.make(f"hf:{saved(tmp_path / 'whole', 'ViT')}", IMAGE, 3)
    assert any("pooler" in name for name, _ in whole.named_parameters())
    first: Any = models.make(f"hf:{tmp_path / 'whole'}", IMAGE, 3, {"pool": "first"}).eval()
    states = whole.eval().net.body(pixel_values=torch.ones(1, 3, 16, 16)).last_hidden_state
    head = first.net.linear(states[:, 0])
    torch.testing.assert_close(first.net(torch.ones(1, 3, 16, 16)), head)


def test_loading_is_silent_and_leaves_the_packages_settings(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    transformers.BertForMaskedLM(config("Bert")).save_pretrained(
        tmp_path
    )  # with a head that is left out, without pooler
    logging = transformers.utils.logging
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    models.make(f"hf:{tmp_path}", TEXT, 3)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with refused("model", f"hf:{tmp_path}"):
        models.make(f"hf:{tmp_path}", TEXT, 3)
    assert capfd.readouterr() == ("", "")
    assert before == (logging.get_verbosity(), logging.is_progress_bar_enabled())


def test_the_tokenizer_of_a_model_is_taken(tmp_path: Path) -> None:
    own = TextEncoder.fit(WORDS, TextSettings(vocabulary=300))
    folder = saved(tmp_path / "bert", "Bert")
    with refused("model", f"hf:{folder}", rule="has weights and no tokenizer.json"):
        models.tokenizer_file(f"hf:{folder}")
    assert models.tokenizer_file(f"hf:{folder}", {"pretrained": False}) is None
    assert models.tokenizer_file("bilstm") is None
    own._tokenizer.save(str(folder / "tokenizer.json"))
    path = models.tokenizer_file(f"hf:{folder}")
    assert path == folder / "tokenizer.json"
    again = TextEncoder.fit(["other words"], TextSettings(length=LENGTH), path)
    first = own._tokenizer.encode(WORDS[0]).ids
    assert again.tokens(WORDS[:1])[0, : len(first)].tolist() == [i + 1 for i in first][:LENGTH]
    inputs = Inputs(kind="text", shape=(LENGTH,), tokens=LENGTH, vocabulary=again.vocabulary)
    net = models.make(f"hf:{folder}", inputs, 3)
    assert net(torch.from_numpy(again.tokens(WORDS)).float()).shape == (len(WORDS), 3)
    (folder / "tokenizer.json").write_text("{}")
    with refused(str(folder / "tokenizer.json"), rule="no tokenizer"):
        TextEncoder.fit(WORDS, TextSettings(), path)


def test_names_that_are_no_model(tmp_path: Path) -> None:
    bert = saved(tmp_path / "bert", "Bert")
    for name in (str(tmp_path / "nowhere"), "./nowhere", "a/b/c", ""):
        refused_model("no such folder; give one that save_pretrained wrote", f"hf:{name}")
        with refused("model", f"hf:{name}", rule="no such folder"):
            models.tokenizer_file(f"hf:{name}")
    refused_model("is a file; give the folder", f"hf:{bert / 'config.json'}")
    (tmp_path / "empty").mkdir()
    refused_model("the folder has no config.json", f"hf:{tmp_path / 'empty'}")
    for text in ("{", "[]", '{"model_type": "nonsense"}'):
        (bert / "config.json").write_text(text)
        with refused("model", f"hf:{bert}") as caught:
            models.make(f"hf:{bert}", TEXT, 3)
        assert caught.value.given.endswith("can't be loaded")


def test_data_that_a_model_does_not_read(tmp_path: Path) -> None:
    bert, vit = f"hf:{saved(tmp_path / 'bert', 'Bert')}", f"hf:{saved(tmp_path / 'vit', 'ViT')}"
    refused_model("the data is a table; take --model mlp", bert, TABLE)
    refused_model("no model of images alone (bert)", bert, IMAGE)
    refused_model("no model of text alone (vit)", vit)
    four = Inputs(kind="image", shape=(4, 16, 16), mean=(0.5,) * 4, deviation=(0.2,) * 4)
    refused_model("reads 3 channels, and the images have 4", vit, four)
    many = Inputs(kind="text", shape=(LENGTH,), tokens=LENGTH, vocabulary=9000)
    refused_model("has 301 tokens, and the tokenizer 8999", bert, many)
    assert models.make(bert, Inputs(kind="text", shape=(LENGTH,), tokens=LENGTH, vocabulary=VOCABULARY + 1), 3)
    transformers.DPRConfig(vocab_size=VOCABULARY, **SMALL).save_pretrained(tmp_path / "dpr")  # gives no states
    with refused("model", f"hf:{tmp_path / 'dpr'}") as caught:
        models.make(f"hf:{tmp_path / 'dpr'}", TEXT, 3)
    assert caught.value.given.endswith("can't be used for text")
    config("ViT", image_size=4).save_pretrained(tmp_path / "tiny")  # patches have sides of 8
    with refused("model", f"hf:{tmp_path / 'tiny'}") as caught:
        models.make(f"hf:{tmp_path / 'tiny'}", IMAGE, 3)
    assert caught.value.given.endswith("can't be used for images of 4 × 4")


@pytest.mark.parametrize(("kind", "most"), [("Bert", 32), ("GPT2", 32), ("Roberta", 30)])
def test_texts_that_are_too_long(kind: str, most: int, tmp_path: Path) -> None:
    folder = saved(tmp_path / kind, kind)
    for length in (most + 1, 64):
        long = Inputs(kind="text", shape=(length,), tokens=length, vocabulary=VOCABULARY)
        refused_model(f"reads at most {most} tokens of a text, and {length} are given", f"hf:{folder}", long)
    whole = Inputs(kind="text", shape=(most,), tokens=most, vocabulary=VOCABULARY)
    assert models.make(f"hf:{folder}", whole, 3)(torch.full((2, most), 5.0)).shape == (2, 3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pool", "max"),
        ("dropout", 1.5),
        ("dropout", True),
        ("pretrained", "yes"),
        ("pretrained", 0),
        ("freeze", "no"),
        ("freeze", None),
    ],
)
def test_options_that_can_not_be(option: str, value: object, tmp_path: Path) -> None:
    config("Bert").save_pretrained(tmp_path)
    with refused(f"model.{option}", value):
        models.make(f"hf:{tmp_path}", TEXT, 3, {option: value})


def test_a_misspelled_option_gets_the_nearest(tmp_path: Path) -> None:
    with refused(f"option of model 'hf:{tmp_path}'", "pol", rule="did you mean 'pool'?"):
        models.make(f"hf:{tmp_path}", TEXT, 3, {"pol": "mean"})


def test_pools_that_images_do_not_have(tmp_path: Path) -> None:
    config("ViT").save_pretrained(tmp_path / "vit")
    config("ResNet").save_pretrained(tmp_path / "resnet")
    for name, pool in (("vit", "last"), ("resnet", "first")):
        with refused("model.pool", pool):
            models.make(f"hf:{tmp_path / name}", IMAGE, 3, {"pool": pool})


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    folder = saved(tmp_path, "Bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    for options in ({}, {"pretrained": True}):
        refused_model("no model.safetensors", f"hf:{folder}", **options)
    (folder / "adapter_model.safetensors").write_bytes(b"")  # weights, but not of the model
    refused_model("pickles are never read", f"hf:{folder}")
    assert models.make(f"hf:{folder}", TEXT, 3, {"pretrained": False})(tokens()).shape == (6, 3)
    (folder / "pytorch_model.bin").unlink()
    assert models.make(f"hf:{folder}", TEXT, 3)(tokens()).shape == (6, 3)  # a configuration only: random weights
    refused_model("no model.safetensors", f"hf:{folder}", pretrained=True)


def test_weights_that_are_not_the_models_are_never_left_random(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole", "Bert")
    weights = load_file(whole / "model.safetensors")
    of = {
        "some": {k: v for k, v in weights.items() if "layer.1." not in k},
        "none": {"something": torch.zeros(2)},
        "smaller": weights | {"embeddings.word_embeddings.weight": torch.zeros(9, 16)},
    }
    for name, held in of.items():
        folder = Path(shutil.copytree(whole, tmp_path / name))
        save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
        refused_model("its weights have no e", f"hf:{folder}")
        assert models.make(f"hf:{folder}", TEXT, 3, {"pretrained": False})(tokens()).shape == (6, 3)


def test_of_encoder_and_decoder_the_decoder_may_be_missing(tmp_path: Path) -> None:
    transformers.T5EncoderModel(config("T5")).save_pretrained(tmp_path)
    net: Any = models.make(f"hf:{tmp_path}", TEXT, 3)
    assert not any("decoder" in name for name, _ in net.named_parameters())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["shared.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    refused_model("its weights have no embed_tokens.weight", f"hf:{tmp_path}")


def test_code_beside_a_model_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to run code"))
    ran = tmp_path / "ran"
    (tmp_path / "code.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n")
    described = {"model_type": "own", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(described))
    with refused("model", f"hf:{tmp_path}") as caught:
        models.make(f"hf:{tmp_path}", TEXT, 3)
    assert caught.value.given.endswith("can't be loaded")
    assert not ran.exists()


FROM_THE_HUB = """
import json
from skedastic import models
from skedastic.errors import UserError
from skedastic.models.inputs import Inputs
text, said = Inputs(kind="text", shape=(10,), tokens=10, vocabulary=301), {}
for name in ("own/whole", "own/pickled", "own/absent"):
    model = f"hf:{name}"
    for what, run in (("net", lambda: models.make(model, text, 3)), ("tokens", lambda: models.tokenizer_file(model))):
        try:
            result = run()
            said[f"{name} {what}"] = type(result).__name__ if what == "net" else result and result.name
        except UserError as error:
            assert (error.setting, error.value) == ("model", model)
            said[f"{name} {what}"] = str(error)
print(json.dumps(said))
"""


@pytest.mark.slow
def test_names_of_the_hub_are_taken_from_its_cache(tmp_path: Path) -> None:
    for name in ("whole", "pickled"):
        cached = tmp_path / f"models--own--{name}"
        folder = saved(cached / "snapshots" / ("0" * 40), "Bert")
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text("0" * 40)
        if name == "pickled":
            (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        else:
            (folder / "tokenizer.json").write_text("{}")
    where = {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}  # read once, where the package is imported
    done = subprocess.run(
        [sys.executable, "-c", FROM_THE_HUB], env=os.environ | where, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    assert said["own/whole net"] == "RowInput"
    assert said["own/whole tokens"] == "tokenizer.json"
    assert "safetensors" in said["own/pickled net"]
    assert "no tokenizer.json" in said["own/pickled tokens"]
    assert said["own/absent net"].startswith("model hf:own/absent can't be loaded: ")
    assert said["own/absent tokens"].startswith("model hf:own/absent can't be found: ")
    assert not any("\n" in line for line in said.values() if line)


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with refused("model", None, rule="pip install 'skedastic[hf]'"):
        models.make("hf:own/model", TEXT, 3)


def test_the_options_of_timm_are_checked_before_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_model("reads images, and the data is a text", "timm:resnet18")
    refused_model("reads images, and the data is a table", "timm:resnet18", TABLE)
    with refused("option of model 'timm:resnet18'", "drop_rat", rule="did you mean 'drop_rate'?"):
        models.make("timm:resnet18", IMAGE, 3, {"drop_rat": 0.1})
    (tmp_path / "weights.bin").write_bytes(b"")
    for option, value in (
        ("pretrained", "no"),
        ("drop_rate", "much"),
        ("drop_path_rate", 1),
        ("img_size", 0),
        ("checkpoint", str(tmp_path / "weights.bin")),
        ("checkpoint", str(tmp_path / "absent.safetensors")),
        ("checkpoint", 3),
    ):
        with refused(f"model.{option}", value):
            models.make("timm:resnet18", IMAGE, 3, {option: value})
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with refused("model.pretrained", False):
        both = {"checkpoint": str(tmp_path / "empty.safetensors"), "pretrained": False}
        models.make("timm:resnet18", IMAGE, 3, both)
    monkeypatch.setitem(sys.modules, "timm", None)
    with refused("model", None, rule="pip install 'skedastic[timm]'"):
        models.make("timm:resnet18", IMAGE, 3)


@pytest.mark.skipif(timm is not None, reason="timm can be imported here")
def test_where_timm_lacks_torchvision() -> None:
    with refused("model", None, rule="pip install 'skedastic[timm]'"):
        models.make("timm:resnet18", IMAGE, 3)


@with_timm
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_a_model_of_timm(name: str, tmp_path: Path) -> None:
    for inputs in (IMAGE, Inputs(kind="image", shape=(1, 32, 48), mean=(0.5,), deviation=(0.2,))):
        net: Any = models.make(f"timm:{name}", inputs, 3, {"pretrained": False, "drop_rate": 0.1})
        assert net.mean.flatten().tolist() == [0.5] * inputs.shape[0]
        dropout = [m.p for m in net.modules() if isinstance(m, nn.Dropout)]
        assert 0.1 in dropout or getattr(net.net, "drop_rate", None) == 0.1
        assert find_head(net, 3)[2].out_features == 3
        y = torch.arange(4) % 3
        regularized_loss(net.train(), pixels(inputs), y, torch.full((4,), 0.1)).total.backward()
        assert all(p.grad is not None for p in net.parameters())
    torch.manual_seed(0)
    whole = timm.create_model(name)
    file = tmp_path / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in whole.state_dict().items()}, file)
    loaded: Any = models.make(f"timm:{name}", IMAGE, 3, {"checkpoint": str(file)})
    own = dict(whole.named_parameters())
    same = [key for key, p in loaded.net.named_parameters() if own[key].shape == p.shape]
    assert len(same) >= len(own) - 3  # but the last layer's, and the places' of another image size
    assert all(torch.equal(own[key], loaded.net.get_parameter(key)) for key in same)
    torch.testing.assert_close(loaded.mean.flatten(), torch.tensor(whole.default_cfg["mean"]))
    assert loaded(pixels()).shape == (4, 3)


@with_timm
def test_models_that_timm_does_not_have(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with refused("model of timm", "resnet81", rule="did you mean 'resnet18'?"):
        models.make("timm:resnet81", IMAGE, 3)
    refused_model("Invalid pretrained tag", "timm:resnet18.none", IMAGE, pretrained=False)
    odd = Inputs(kind="image", shape=(3, 28, 28), mean=(0.5,) * 3, deviation=(0.2,) * 3)
    refused_model("resize them with --set image_size=", "timm:test_vit", odd, pretrained=False)
    with refused("model", "timm:resnet18") as caught:
        models.make("timm:resnet18", IMAGE, 3, {"pretrained": False, "img_size": 32})  # it takes any
    assert caught.value.given.endswith("can't be made")
    by_address = next(n for n in timm.list_pretrained() if not timm.get_pretrained_cfg(n).hf_hub_id)
    refused_model("no weights in safetensors on the hub", f"timm:{by_address}", IMAGE)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"damaged")
    with refused("model", "timm:test_resnet") as caught:
        models.make("timm:test_resnet", IMAGE, 3, {"checkpoint": str(file)})
    assert caught.value.given.endswith("can't be made")
    weights = timm.create_model("test_resnet").state_dict()
    save_file({key: value for key, value in weights.items() if "layer4" not in key}, file)
    with refused("model.checkpoint", str(file), rule="has no layer4.0"):
        models.make("timm:test_resnet", IMAGE, 3, {"checkpoint": str(file)})
    save_file({"something": torch.zeros(1)}, file)
    with refused("model.checkpoint", str(file), rule="has no conv1"):
        models.make("timm:test_resnet", IMAGE, 3, {"checkpoint": str(file)})
    assert not caplog.records


OWN = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import nn

@dataclass
class Sizes:
    width: int = 4

class Texts(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.embedding = nn.Embedding(inputs.vocabulary, 4)
        self.linear = nn.Linear(4 + 2, classes)
    def forward(self, tokens, vector):
        assert tokens.dtype == torch.int64
        return self.linear(torch.cat([self.embedding(tokens).mean(1), vector], 1))

def plain(): return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
def sized(inputs, classes, width=4, *, bias: bool = True):
    return nn.Sequential(nn.Linear(inputs.shape[0], width), nn.Linear(width, classes, bias=bias))
def all_of_them(**given): return nn.Linear(given["inputs"].shape[0] if "inputs" in given else given["size"], 2)
def only_classes(classes): return nn.Linear(5, classes)
def needing(depth): return nn.Linear(5, depth)
def failing(): raise RuntimeError("no\\nway")
def ending(): raise SystemExit(3)
def number(): return 3
network = nn.Linear(5, 2)
CONSTANT = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(OWN)
    return str(tmp_path / "nets.py")


def test_functions_of_ones_own(own: str) -> None:
    x = torch.randn(3, 5)
    assert models.make(f"{own}:sized", TABLE, 2)(x).shape == (3, 2)
    net: Any = models.make(f"{own}:sized", TABLE, 2, {"width": 7, "bias": False})
    assert (net[0].out_features, net[1].bias) == (7, None)
    assert models.make(f"{own}:all_of_them", TABLE, 2, {"size": 5})(x).shape == (3, 2)
    assert models.make(f"{own}:only_classes", TABLE, 6)(x).shape == (3, 6)
    assert models.make(f"{own}:network", TABLE, 2)(x).shape == (3, 2)
    assert models.make(f"{own}:needing", TABLE, 2, {"depth": 4})(x).shape == (3, 4)
    assert isinstance(models.make("torch.nn:Identity", TABLE, 2), nn.Identity)
    assert own_network(f"{own}:network")(x).shape == (3, 2)
    with refused("model", f"{own}:only_classes", rule="missing 1 required positional argument"):
        own_network(f"{own}:only_classes")


def test_the_inputs_of_a_network_of_ones_own(own: str) -> None:
    net: Any = models.make(f"{own}:plain", IMAGE, 3)
    assert net(pixels()).shape == (4, 3)
    torch.testing.assert_close(net(pixels()), net.net((pixels() / 255 - 0.5) / 0.2))
    plain = models.make(f"{own}:plain", Inputs.plain((3, 16, 16)), 3)
    assert isinstance(plain, nn.Sequential)
    with_ids = Inputs(kind="table", shape=(3,), real=2, sizes=(30,))
    net = models.make(f"{own}:plain", with_ids, 3)
    assert net(torch.cat([torch.randn(4, 2), torch.randint(0, 30, (4, 1)).float()], 1)).shape == (4, 3)
    assert net.net[1].in_features == vector_width(with_ids)
    both = Inputs(kind="text", shape=(2 + LENGTH,), real=2, tokens=LENGTH, vocabulary=VOCABULARY)
    assert models.make(f"{own}:Texts", both, 3)(torch.cat([torch.randn(6, 2), tokens()], 1)).shape == (6, 3)


@pytest.mark.parametrize(
    ("function", "option", "rule"),
    [
        ("sized", "widht", "did you mean 'width'? (known: width, bias)"),
        ("sized", "classes", ""),
        ("all_of_them", "inputs", ""),
        ("plain", "width", "known: none"),
        ("network", "width", "known: none"),
    ],
)
def test_options_that_a_function_does_not_take(own: str, function: str, option: str, rule: str) -> None:
    with refused(f"option of model '{own}:{function}'", option, rule=rule):
        models.make(f"{own}:{function}", TABLE, 3, {option: 7})


@pytest.mark.parametrize(("function", "rule"), [("plan", "did you mean 'plain'?"), ("CONSTANT", ""), ("", "")])
def test_functions_that_there_are_not(own: str, function: str, rule: str) -> None:
    with refused(f"function in {own}", function, rule=rule):
        models.make(f"{own}:{function}", TABLE, 3)


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        ("failing", "RuntimeError: no way"),
        ("ending", "SystemExit: 3"),
        ("needing", "missing 1 required positional argument: 'depth'"),
        ("number", "must return a torch.nn.Module"),
    ],
)
def test_functions_that_give_no_network(own: str, function: str, rule: str) -> None:
    refused_model(rule, f"{own}:{function}", TABLE)


def test_files_and_modules_that_can_not_be_run(tmp_path: Path) -> None:
    for text, said in (
        ("def", "SyntaxError"),
        ("raise ValueError('a\\nb')", "ValueError: a b"),
        ("raise SystemExit", "SystemExit"),
    ):
        (tmp_path / "broken.py").write_text(text)
        refused_model(said, f"{tmp_path / 'broken.py'}:x", TABLE)
    refused_model("no such file", f"{tmp_path / 'absent.py'}:x", TABLE)
    refused_model("ModuleNotFoundError", "no.such:x", TABLE)
    with refused("function in torch.nn", "Linaer", rule="did you mean 'Linear'?"):
        models.make("torch.nn:Linaer", TABLE, 3)
    assert not [name for name in sys.modules if name.startswith("broken_")]
