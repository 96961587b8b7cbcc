"""Models by name: of transformers, made small and saved here; of timm where it can be imported; and functions of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skedastic import models
from skedastic.core import find_taps, regularized_loss
from skedastic.data import TextSettings
from skedastic.data.encode_text import TextEncoder
from skedastic.errors import UserError
from skedastic.models.inputs import Inputs

transformers = pytest.importorskip("transformers", reason="needs the extra 'hf'")

WORDS = ["a small film of great joy", "what a waste of a good evening", "joy, and then none", "good good good"] * 5
LENGTH, VOCABULARY = 10, 301
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONFIGS = {
    "bert": lambda: transformers.BertConfig(vocab_size=VOCABULARY, max_position_embeddings=32, **SMALL),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=VOCABULARY, max_position_embeddings=32, dim=16, n_layers=2, n_heads=2, hidden_dim=32
    ),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    ),
    "llama": lambda: transformers.LlamaConfig(
        vocab_size=VOCABULARY, max_position_embeddings=32, num_key_value_heads=2, **SMALL
    ),
}
IMAGES = {
    "vit": lambda: transformers.ViTConfig(image_size=16, patch_size=8, **SMALL),
    "resnet": lambda: transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
    ),
}
TEXT = Inputs(kind="text", shape=(LENGTH,), tokens=LENGTH, vocabulary=VOCABULARY)
IMAGE = Inputs(kind="image", shape=(3, 16, 16), mean=(0.5,) * 3, deviation=(0.2,) * 3)


def saved(folder: Path, config: object) -> Path:
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


def tokens(n: int = 6) -> torch.Tensor:
    torch.manual_seed(1)
    ends = torch.randint(2, LENGTH + 1, (n, 1))
    return (torch.randint(1, VOCABULARY, (n, LENGTH)) * (torch.arange(LENGTH) < ends)).float()


def refused(name: str, inputs: Inputs = TEXT, **options: object) -> str:
    with pytest.raises(UserError) as error:
        models.make(name, inputs, 3, options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("pool", ["mean", "first", "last"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_text_model_has_its_saved_weights_and_never_sees_padding(kind: str, pool: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / kind, CONFIGS[kind]())
    net = models.make(f"hf:{folder}", TEXT, 3, {"pool": pool}).eval()
    own = transformers.AutoModel.from_pretrained(folder).state_dict()
    body = net.net.body.state_dict()
    assert own.keys() == body.keys()
    assert all(torch.equal(own[k], body[k]) for k in own)
    x = tokens()
    longer = torch.cat([x, torch.zeros(len(x), 4)], 1)
    torch.testing.assert_close(net(x), net(longer), rtol=1e-4, atol=1e-5)
    assert net(x).shape == (6, 3)
    other = models.make(f"hf:{folder}", TEXT, 3, {"pretrained": False})
    assert any(not torch.equal(own[k], v) for k, v in other.net.body.state_dict().items() if v.is_floating_point())


@pytest.mark.parametrize("kind", CONFIGS)
def test_har_trains_it(kind: str, tmp_path: Path) -> None:
    net = models.make(f"hf:{saved(tmp_path / kind, CONFIGS[kind]())}", TEXT, 3)
    assert len(find_taps(net)) >= 4
    loss = regularized_loss(net, tokens(), torch.arange(6) % 3, torch.full((6,), 0.1))
    loss.total.backward()
    assert torch.isfinite(loss.norm).all()
    assert all(p.grad is not None for n, p in net.named_parameters() if "pooler" not in n and "wpe" not in n)


def test_a_vector_beside_the_text(tmp_path: Path) -> None:
    both = Inputs(kind="text", shape=(3 + LENGTH,), real=2, sizes=(30,), tokens=LENGTH, vocabulary=VOCABULARY)
    net = models.make(f"hf:{saved(tmp_path / 'bert', CONFIGS['bert']())}", both, 1, {"freeze": True})
    assert net(torch.cat([torch.randn(6, 2), torch.randint(0, 30, (6, 1)).float(), tokens()], 1)).shape == (6, 1)
    assert not any(p.requires_grad for p in net.net.body.parameters())
    assert net.net.linear.weight.requires_grad


@pytest.mark.parametrize("kind", IMAGES)
def test_a_model_of_images(kind: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / kind, IMAGES[kind]())
    net = models.make(f"hf:{folder}", IMAGE, 3)
    x = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    assert net(x).shape == (4, 3)
    grey = Inputs(kind="image", shape=(1, 20, 24), mean=(0.5,), deviation=(0.2,))
    assert models.make(f"hf:{folder}", grey, 3)(x.float()[:, :1, :, :].repeat(1, 1, 2, 2)[:, :, :20, :24]).shape == (
        4,
        3,
    )
    loss = regularized_loss(net, x, torch.arange(4) % 3, torch.full((4,), 0.1))
    loss.total.backward()


def test_the_tokenizer_of_a_model_is_taken(tmp_path: Path) -> None:
    own = TextEncoder.fit(WORDS, TextSettings(vocabulary=300))
    folder = saved(tmp_path / "bert", CONFIGS["bert"]())
    assert models.tokenizer_file(f"hf:{folder}") is None
    assert models.tokenizer_file("bilstm") is None
    own._tokenizer.save(str(folder / "tokenizer.json"))
    path = models.tokenizer_file(f"hf:{folder}")
    again = TextEncoder.fit(["other words"], TextSettings(length=LENGTH), path)
    first = own._tokenizer.encode(WORDS[0]).ids
    assert again.tokens(WORDS[:1])[0, : len(first)].tolist() == [i + 1 for i in first][:LENGTH]
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is no tokenizer that can be read"):
        TextEncoder.fit(WORDS, TextSettings(), path)


def test_names_that_can_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    bert = saved(tmp_path / "bert", CONFIGS["bert"]())
    vit = saved(tmp_path / "vit", IMAGES["vit"]())
    assert "can't be loaded" in refused(f"hf:{tmp_path / 'nowhere'}")
    assert "the data is a table; take --model mlp" in refused(f"hf:{bert}", Inputs.plain((3,)))
    assert "(bert) reads no images" in refused(f"hf:{bert}", IMAGE)
    assert "(vit) reads no text" in refused(f"hf:{vit}")
    long = Inputs(kind="text", shape=(64,), tokens=64, vocabulary=VOCABULARY)
    assert "reads at most 32 tokens of a text, and 64 are given" in refused(f"hf:{bert}", long)
    many = Inputs(kind="text", shape=(LENGTH,), tokens=LENGTH, vocabulary=9000)
    assert "has 301 tokens, and the tokenizer 8999" in refused(f"hf:{bert}", many)
    assert "did you mean 'pool'?" in refused(f"hf:{bert}", pol="mean")
    assert "must be one of mean, first, last" in refused(f"hf:{bert}", pool="max")
    assert "model.dropout=1.5" in refused(f"hf:{bert}", dropout=1.5)
    assert "model.pretrained='yes'" in refused(f"hf:{bert}", pretrained="yes")
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    assert "pickles are never read" in refused(f"hf:{bert}")
    assert models.make(f"hf:{bert}", TEXT, 3, {"pretrained": False})(tokens()).shape == (6, 3)
    (bert / "model.safetensors").write_bytes(b"damaged")
    assert "can't be loaded" in refused(f"hf:{bert}")
    (vit / "config.json").write_text("{")
    assert "can't be loaded" in refused(f"hf:{vit}", IMAGE)


def test_timm(tmp_path: Path) -> None:
    assert "reads images, and the data is a text" in refused("timm:resnet18")
    assert "must be a .safetensors file" in refused("timm:resnet18", IMAGE, checkpoint=str(tmp_path / "no.bin"))
    assert "unknown option" in refused("timm:resnet18", IMAGE, width=3)
    try:
        import timm  # noqa: F401
    except (ImportError, RuntimeError):
        assert "pip install 'skedastic[timm]'" in refused("timm:resnet18", IMAGE)
        pytest.skip("timm can't be imported here: it needs a torchvision that works with this torch")
    assert "unknown model of timm" in refused("timm:resnet81", IMAGE)
    net = models.make("timm:resnet18", IMAGE, 3, {"pretrained": False})
    assert net(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)).shape == (2, 3)


OWN = """
from torch import nn
def plain(): return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
def sized(inputs, classes, width=4): return nn.Sequential(nn.Linear(inputs.shape[0], width), nn.Linear(width, classes))
def failing(): raise RuntimeError("no")
def number(): return 3
"""


def test_functions_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("def")
    here = f"{tmp_path / 'nets.py'}"
    table = Inputs.plain((5,))
    assert models.make(f"{here}:sized", table, 2, {"width": 7})(torch.randn(3, 5)).shape == (3, 2)
    assert models.make(f"{here}:plain", IMAGE, 3)(torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)).shape == (
        2,
        3,
    )
    assert "did you mean 'width'?" in refused(f"{here}:sized", table, widht=7)
    assert "did you mean 'plain'?" in refused(f"{here}:plan", table)
    assert "failing() failed: RuntimeError: no" in refused(f"{here}:failing", table)
    assert "gives a int" in refused(f"{here}:number", table)
    assert "can't be run: SyntaxError" in refused(f"{tmp_path / 'broken.py'}:x", table)
    assert "no such file" in refused(f"{tmp_path / 'absent.py'}:x", table)
