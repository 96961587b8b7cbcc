"""Networks of all kinds, small, and what each reads: for tests of what must hold for any network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXAMPLES, TIME, CLASSES = 4, 7, 3


class Case(NamedTuple):
    """A network, what it reads (the batch first), and which taps it should have."""

    net: nn.Module
    x: Any
    taps: list[str]
    logits: Callable[[Any], Tensor] = lambda outputs: outputs


class Recurrent(nn.Module):
    """Tokens to logits by a recurrent network, from its outputs or its last states."""

    def __init__(self, kind: Any, *, batch_first: bool, packed: bool, read: str) -> None:
        super().__init__()
        self.batch_first, self.packed, self.read = batch_first, packed, read
        self.embed = nn.Embedding(20, 5)
        self.rnn = kind(5, 6, 2, batch_first=batch_first, bidirectional=True)
        self.last = nn.Linear(12, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        lengths = (tokens > 0).sum(1)
        h = self.embed(tokens if self.batch_first else tokens.t())
        if self.packed:
            h = nn.utils.rnn.pack_padded_sequence(h, lengths, batch_first=self.batch_first, enforce_sorted=False)
        out, states = self.rnn(h)
        if self.read == "states":
            states = states[0] if isinstance(states, tuple) else states
            return self.last(torch.cat([states[-1], states[-2]], 1))
        if self.packed:
            out, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=self.batch_first)
        return self.last(out.sum(1 if self.batch_first else 0))


class Nested(nn.Module):
    """Outputs that are tuples and dicts, a shared module, and a flattened sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.shared = nn.LayerNorm(6)
        self.blocks = nn.ModuleList([Block(self.shared), Block(self.shared)])
        self.flat = nn.LayerNorm(6)
        self.last = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = torch.tanh(self.first(x))  # [B, T, 6]
        for block in self.blocks:
            h = block(h)["hidden"][0]
        rows = torch.tanh(self.flat(h.flatten(0, 1)))  # [B·T, 6]
        return {"logits": self.last(rows.view(len(x), -1, 6).mean(1))}


class Block(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.mix = nn.Linear(6, 6)

    def forward(self, h: Tensor) -> dict[str, Any]:
        return {"hidden": (torch.tanh(self.norm(self.mix(h))), None), "note": "text"}


class OwnRMSNorm(nn.Module):
    """A normalization layer that torch does not know."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, size))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def sequential(*layers: nn.Module, size: int = 6) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Tanh(), nn.Linear(size, CLASSES))


def tokens() -> Tensor:
    """[B, T] of different lengths, 0 where a sequence has ended; unsorted, and as many steps as examples in none."""
    g = torch.Generator().manual_seed(3)
    ids = torch.randint(1, 20, (EXAMPLES, TIME), generator=g)
    for i, length in enumerate((3, 7, 5, 6)):
        ids[i, length:] = 0
    return ids


def vectors(*shape: int) -> Tensor:
    return torch.randn(EXAMPLES, *shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def recurrent(kind: Any, *, batch_first: bool, packed: bool, read: str) -> Case:
    net = Recurrent(kind, batch_first=batch_first, packed=packed, read=read)
    return Case(net, tokens(), ["embed", "rnn"])


def transformers_config(kind: str, **more: Any) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    small = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "num_labels": CLASSES,
    }
    return getattr(transformers, kind)(**small, **more)


def bert() -> Case:
    config = transformers_config(
        "BertConfig", vocab_size=20, max_position_embeddings=TIME, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, attn_implementation="eager",
    )  # fmt: skip
    from transformers import BertForSequenceClassification

    taps = ["bert.embeddings.LayerNorm"]
    taps += [f"bert.encoder.layer.{i}.{part}.LayerNorm" for i in (0, 1) for part in ("attention.output", "output")]
    ids = tokens()
    x = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    return Case(BertForSequenceClassification(config), x, taps, lambda o: o.logits)


def vit() -> Case:
    config = transformers_config("ViTConfig", image_size=8, patch_size=4, attn_implementation="eager")
    from transformers import ViTForImageClassification

    net = ViTForImageClassification(config)
    taps = [name for name, m in net.named_modules() if isinstance(m, nn.LayerNorm)]
    assert len(taps) == 5
    return Case(net, vectors(3, 8, 8), taps, lambda o: o.logits)


def llama() -> Case:
    """Normalization layers of a class of its own."""
    config = transformers_config(
        "LlamaConfig", vocab_size=20, pad_token_id=0, max_position_embeddings=TIME, attn_implementation="eager"
    )
    from transformers import LlamaForSequenceClassification

    taps = [f"model.layers.{i}.{n}_layernorm" for i in (0, 1) for n in ("input", "post_attention")] + ["model.norm"]
    return Case(LlamaForSequenceClassification(config), {"input_ids": tokens()}, taps, lambda o: o.logits)


def timefirst() -> Case:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.TransformerEncoderLayer(6, 2, 8, 0.0)  # [T, B, 6], torch's default
            self.first, self.last = nn.Linear(5, 6), nn.Linear(6, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.inner(self.first(x).transpose(0, 1)).mean(0))

    return Case(Net(), vectors(EXAMPLES, 5), ["inner.norm1", "inner.norm2"])  # as many steps as examples


CASES: dict[str, Callable[[], Case]] = {
    "batch norm in eval": lambda: Case(
        sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Flatten(), size=9).eval(), vectors(2, 5), ["1"]
    ),
    "layer norm": lambda: Case(sequential(nn.Linear(5, 6), nn.LayerNorm(6)), vectors(5), ["1"]),
    "group norm": lambda: Case(
        sequential(nn.Conv2d(2, 4, 2), nn.GroupNorm(2, 4), nn.Flatten(), size=16), vectors(2, 3, 3), ["1"]
    ),
    "instance norm": lambda: Case(
        sequential(nn.Conv2d(2, 4, 2), nn.InstanceNorm2d(4, affine=True), nn.Flatten(), size=16),
        vectors(2, 3, 3),
        ["1"],
    ),
    "rms norm": lambda: Case(sequential(nn.Linear(5, 6), nn.RMSNorm(6)), vectors(5), ["1"]),
    "own norm": lambda: Case(sequential(nn.Linear(5, 6), OwnRMSNorm(6)), vectors(5), ["1"]),
    "no norm": lambda: Case(
        nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, CLASSES)),
        vectors(5),
        ["0", "2"],
    ),
    "weight norm is no layer": lambda: Case(
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 6)), nn.Tanh(), nn.Linear(6, CLASSES)),
        vectors(5), ["0"],
    ),
    "tuples, dicts, shared": lambda: Case(Nested(), vectors(TIME, 5), ["shared", "flat"], lambda o: o["logits"]),
    "time first": timefirst,
    "bert": bert,
    "vit": vit,
    "llama": llama,
}  # fmt: skip
for kind in (nn.LSTM, nn.GRU, nn.RNN):
    for batch_first in (True, False):
        for packed in (False, True):
            for read in ("outputs", "states"):
                name = f"{kind.__name__}, {'batch' if batch_first else 'time'} first, {read}{', packed' * packed}"
                CASES[name] = partial(recurrent, kind, batch_first=batch_first, packed=packed, read=read)


def case(name: str) -> Case:
    """Return a case in double precision, its weights drawn by seed."""
    torch.manual_seed(0)
    chosen = CASES[name]()
    return chosen._replace(net=chosen.net.double())


def labels() -> Tensor:
    return torch.arange(EXAMPLES) % CLASSES


def losses(case: Case) -> Callable[[Any, Tensor], Tensor]:
    """Return the per-example cross entropy of the network's outputs."""
    return lambda outputs, y: F.cross_entropy(case.logits(outputs), y, reduction="none")
