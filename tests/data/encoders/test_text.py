"""Text: tokens that are the same each time, and a BiLSTM that is torch's own over packed sequences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from skedastic.core import find_taps, regularized_loss
from skedastic.data import Classes, Dataset, Grouping, Loader, TextSettings
from skedastic.data.dataset import without_padding
from skedastic.data.encoders.text import TextEncoder
from skedastic.models import choose, make
from skedastic.models.bilstm import BiLSTM, Options
from skedastic.models.inputs import Inputs
from skedastic.models.row_input import RowInput, embedding_width, vector_width
from tests.support.refusals import refused

WIDTH, LENGTHS = 5, [7, 1, 4, 6, 0]
TEXTS = ["a small film of great joy", "what a waste of a good evening", "joy, and then none 😀", ""] * 5


def tokens() -> Tensor:
    torch.manual_seed(0)
    return torch.randint(1, 40, (len(LENGTHS), 9)) * (torch.arange(9) < torch.tensor(LENGTHS)[:, None])


def bilstm(pool: str = "mean", beside: int = 0) -> BiLSTM:
    torch.manual_seed(1)
    options = Options(width=WIDTH, layers=2, embedding=6, dropout=0.5, pool=pool)
    net = BiLSTM(40, 3, options, beside)
    return net.double().eval()


def packed(net: BiLSTM, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs and last states of torch's LSTM with the same weights, over the packed texts."""
    own = nn.LSTM(6, WIDTH, 2, batch_first=True, bidirectional=True).double()
    weights: dict[str, Tensor] = {}
    for i, layer in enumerate(net.layers):
        for end, lstm in (("", layer.forwards), ("_reverse", layer.backwards)):
            weights |= {f"{k.removesuffix('_l0')}_l{i}{end}": v for k, v in lstm.state_dict().items()}
    own.load_state_dict(weights)
    sequences = nn.utils.rnn.pack_padded_sequence(
        net.embedding(x), (x > 0).sum(1), batch_first=True, enforce_sorted=False
    )
    out, (states, _) = own(sequences)
    return nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0], torch.cat([states[-2], states[-1]], 1)


def test_it_is_torchs_own_over_packed_sequences() -> None:
    x = tokens()[:-1]  # torch packs no empty text
    there = (x > 0)[:, :7]
    with torch.no_grad():
        out, last = packed(bilstm(), x)
        torch.testing.assert_close(bilstm("mean").features(x), out.sum(1) / there.sum(1, keepdim=True))
        torch.testing.assert_close(bilstm("last").features(x), last)
        largest = torch.stack([o[:n].amax(0) for o, n in zip(out, LENGTHS, strict=False)])
        torch.testing.assert_close(bilstm("max").features(x), largest)


@pytest.mark.parametrize("pool", ["mean", "max", "last"])
def test_padding_is_never_seen_and_an_empty_text_is_finite(pool: str) -> None:
    net, x = bilstm(pool), tokens()
    longer = torch.cat([x, torch.zeros_like(x)], 1)
    torch.testing.assert_close(net(longer), net(x), rtol=1e-12, atol=1e-12)
    alone = torch.cat([net(row[None, : max(n, 1)]) for row, n in zip(x, LENGTHS, strict=True)])
    torch.testing.assert_close(net(x), alone, rtol=1e-12, atol=1e-12)
    assert torch.isfinite(net(x)).all()


def test_a_part_of_a_batch_is_regularized_as_among_everyone() -> None:
    """Texts of a part may be shorter: the shapes that J is measured in are those of the batch."""
    net, x, y = bilstm(), tokens(), torch.arange(5) % 3
    strength = torch.tensor([0.0, 0.3, 0.0, 0.0, 0.0], dtype=torch.float64)
    part = regularized_loss(net, x, y, strength)
    alone = regularized_loss(net, x[1:2, :1], y[1:2], strength[1:2])
    torch.testing.assert_close(part.norm[1], alone.norm[0], rtol=1e-8, atol=0)
    assert any("layers.0.forwards" in name for name in find_taps(net))


def test_a_network_gets_each_kind_of_column_of_its_rows() -> None:
    inputs = Inputs(kind="text", shape=(2 + 2 + 9,), real=2, sizes=(30, 200), tokens=9, vocabulary=40)
    assert (embedding_width(30), embedding_width(200), embedding_width(10**6)) == (11, 31, 64)
    assert vector_width(inputs) == 2 + 11 + 31
    assert choose(inputs) == "bilstm"

    class Seen(nn.Module):
        def forward(self, words: Tensor, vector: Tensor) -> Tensor:
            self.words, self.vector = words, vector
            return vector

    net = RowInput(Seen(), inputs)
    x = torch.cat([torch.randn(5, 2), torch.tensor([[3.0, 199.0]] * 5), tokens().float()], 1)
    net(x)
    assert torch.equal(net.net.words, tokens())
    expected = torch.cat(
        [x[:, :2], net.embeddings[0].weight[3].expand(5, -1), net.embeddings[1].weight[199].expand(5, -1)], 1
    )
    assert torch.equal(net.net.vector, expected)
    with refused("model", "mlp", rule="the data has a text"):
        make("mlp", inputs, 3)
    with refused("model", "bilstm", rule="the data has none"):
        make("bilstm", (4,), 3)


def test_batches_are_cut_to_their_longest_text() -> None:
    x = torch.cat([torch.randn(5, 2), tokens().float()], 1)
    assert without_padding(x, 9).shape == (5, 2 + 7)
    assert without_padding(x[1:3], 9).shape == (2, 2 + 4)
    assert without_padding(x[4:], 9).shape == (1, 2 + 1), "one column is left of an empty text"
    assert without_padding(x, 0) is x
    none = torch.zeros(5, dtype=torch.int64)
    data = Dataset(x, none, torch.arange(5), none, Classes(("a", "b")), Grouping(("a", "b")), "text", tokens=9)
    batches = Loader(data, batch_size=2).epoch(0, torch.tensor([1, 2, 3, 4, 0]))
    assert [batch.x.shape[1] for batch in batches] == [2 + 4, 2 + 7], "a single one joins the batch before"


def test_tokens_are_the_same_each_time_and_hold_every_character() -> None:
    settings = TextSettings(vocabulary=320)
    encoder = TextEncoder.fit(TEXTS, settings)
    assert TextEncoder.fit(TEXTS, settings).to_json() == encoder.to_json()
    ids = encoder.tokens(TEXTS[:4])
    assert ids[3].tolist() == [0] * encoder.length
    own = [i - 1 for i in ids[2] if i]
    assert encoder._tokenizer.decode(own).strip() == TEXTS[2]
    assert ids.max() < encoder.vocabulary
    assert TextEncoder(encoder.tokenizer, 3).tokens(TEXTS[:1]).tolist() == [ids[0, :3].tolist()]
    assert TextEncoder.fit(TEXTS, TextSettings(length=7)).length == 7
    upper = TextEncoder.fit(TEXTS, TextSettings(lowercase=False)).tokens([TEXTS[0], TEXTS[0].upper()])
    assert upper[0].tolist() != upper[1].tolist()


def test_impossible_settings_are_refused() -> None:
    for name, count in (("vocabulary", 20), ("length", 0)):
        with refused(f"tokens.{name}", count):
            TextSettings(**{name: count})
    options: dict[str, object] = {"pool": "sum", "dropout": 1.0, "layers": 0}
    for name, value in options.items():
        with refused(f"model.{name}", value):
            make("bilstm", Inputs(kind="text", shape=(9,), tokens=9, vocabulary=40), 3, {name: value})
