"""The network for columns: waves where numbers are, the dropout that is asked for, training by the number of rows."""

import math

import pytest
import torch

from skedastic import models
from skedastic.models.inputs import Inputs
from skedastic.models.tabular import Dropout, Waves

TABLE = Inputs(kind="table", shape=(6,), real=5, sizes=(30,), numbers=(0, 2))
WIDE = Inputs(kind="text", shape=(256,), real=256)


def test_waves_are_sums_of_cosines_beside_the_number() -> None:
    torch.manual_seed(0)
    waves, x = Waves(2, 5), torch.tensor([[0.3, -1.2]])
    frequency, phase, weight, bias = (p.tolist() for p in waves.parameters())
    expected = []
    for d, value in enumerate(x[0].tolist()):
        cosines = [math.cos(value * frequency[d][k] + phase[d][k]) for k in range(5)]
        sums = [bias[d][s] + sum(cosines[k] * weight[d][k][s] for k in range(5)) for s in range(3)]
        expected += [value, *sums]
    torch.testing.assert_close(waves(x), torch.tensor([expected]))


def test_a_row_goes_its_way_by_the_positions_of_its_numbers() -> None:
    net = models.make("tabular", TABLE, 3).eval()
    assert net.net.numbers.tolist() == [0, 2]
    assert net.net.waves.frequency.shape == (2, 16)
    x = torch.cat([torch.randn(4, 5), torch.tensor([[0.0], [1], [2], [29]])], 1)
    assert net(x).shape == (4, 3)
    assert models.make("tabular", TABLE, 3, {"waves": 0}).net.waves is None
    many = Inputs.plain((129,))
    assert models.make("tabular", many, 3).waves is None, "too many numbers"


@pytest.mark.parametrize(
    ("inputs", "options", "hidden", "first"),
    [
        (Inputs.plain((20,)), {}, 0.3, None),
        (WIDE, {}, 0.5, 0.1),
        (WIDE, {"dropout": 0.2, "input_dropout": 0.0}, 0.2, None),
        (Inputs.plain((20,)), {"dropout": 0.0}, None, None),
    ],
)
def test_rows_of_many_entries_have_more_dropout(inputs, options, hidden, first) -> None:
    layers = list(models.make("tabular", inputs, 2, options).layers)
    found = [layer.p for layer in layers if isinstance(layer, Dropout)]
    assert found == ([first] if first else []) + ([hidden] * 3 if hidden else [])


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_dropout_from_bytes_drops_its_share_and_keeps_the_mean(p) -> None:
    torch.manual_seed(0)
    dropout, x = Dropout(p), torch.ones(1000, 301, requires_grad=True)
    out = dropout(x)
    assert float((out == 0).float().mean()) == pytest.approx(p, abs=0.005)
    assert float(out.detach().mean()) == pytest.approx(1, abs=0.01)
    rows, columns = (out == 0).float().mean(1), (out == 0).float().mean(0)
    assert float(rows.std()) == pytest.approx((p * (1 - p) / 301) ** 0.5, rel=0.1)
    assert float(columns.std()) == pytest.approx((p * (1 - p) / 1000) ** 0.5, rel=0.2)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach())
    torch.manual_seed(0)
    assert torch.equal(dropout(x), out), "by the seed"
    assert dropout.eval()(x) is x
    assert Dropout(p)(torch.ones(4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_training_follows_the_model_and_the_rows() -> None:
    def suits(inputs: Inputs, rows: int) -> tuple[int, int]:
        found = models.training_of("auto", inputs, rows)
        assert (found["optimizer"], found["threads"]) == ("adamw", 1)
        return found["epochs"], found["batch_size"]

    narrow = Inputs.plain((10,))
    assert [suits(narrow, n) for n in (50, 5000, 25_000, 10**6)] == [(30, 32), (30, 128), (20, 256), (10, 512)]
    assert [suits(WIDE, n) for n in (50, 1000, 5000, 10**6)] == [(30, 32), (19, 128), (15, 128), (10, 512)]
    assert models.training_of("resnet32", Inputs.plain((3, 32, 32)), 100) == {}
    assert models.training_of("hf:none", narrow, 9)["lr"] == 5e-5
    assert models.training_of("hf:none", narrow, 9, {"pretrained": False}) == {}
    assert models.is_small("auto", narrow)
    assert models.is_small("convnet", Inputs.plain((3, 32, 32)))
    assert not models.is_small("resnet32", Inputs.plain((3, 32, 32)))
