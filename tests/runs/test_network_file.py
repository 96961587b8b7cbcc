"""Exports: the outputs of the file are those of the network, in every format, for any number of rows; else no file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from skedastic.models import make
from skedastic.models.inputs import Inputs
from skedastic.runs.network_file import ENDINGS, FORMATS, export_network
from tests.support.refusals import refused

LENGTH = 12


def texts(n: int) -> Tensor:
    ends = torch.randint(1, LENGTH + 1, (n, 1))
    return (torch.randint(1, 50, (n, LENGTH)) * (torch.arange(LENGTH) < ends)).float()


def rows(n: int) -> Tensor:
    return torch.cat([torch.randn(n, 3), torch.randint(0, 30, (n, 2)).float()], 1)


class Own(nn.Module):
    """A network of the user's, with a layer norm and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.norm(self.first(x)).relu())


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    torch.manual_seed(0)
    image = Inputs(kind="image", shape=(3, 16, 16), mean=(0.5,) * 3, deviation=(0.2,) * 3)
    ids = Inputs(kind="table", shape=(5,), real=3, sizes=(30, 40))
    text = Inputs(kind="text", shape=(LENGTH,), tokens=LENGTH, vocabulary=50)
    both = Inputs(kind="text", shape=(5 + LENGTH,), real=3, sizes=(30, 40), tokens=LENGTH, vocabulary=50)
    small = {"width": 8}
    return {
        "table": (make("mlp", (6,), 3, small), torch.randn(9, 6)),
        "members": (make("tabm", ids, 3, small), rows(9)),
        "ids": (make("mlp", ids, 3, small), rows(9)),
        "image": (make("cnn", image, 3, small), torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8)),
        "text": (make("bilstm", text, 3, small), texts(9)),
        "text and table": (make("bilstm", both, 1, small), torch.cat([rows(9), texts(9)], 1)),
        "own": (Own(), torch.randn(9, 6)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", list(networks()))
def test_the_outputs_of_the_file_are_those_of_the_network(name: str, form: str, tmp_path: Path) -> None:
    net, x = networks()[name]
    with torch.no_grad():
        for _ in range(3):
            net.train()(x)  # so that running statistics are none that a batch has
    file = tmp_path / f"net{ENDINGS[form]}"
    parity = export_network(net, x, file, form)
    assert parity.rows == 9
    assert parity.difference <= 1e-5
    assert net.training, "the network is left as it was"
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    if form == "torch-export":
        module = torch.export.load(file).module()
        torch.testing.assert_close(module(x[:4]), net.eval()(x[:4]))
    elif form == "safetensors":
        saved = load_file(file)
        assert all(torch.equal(saved[k], v) for k, v in net.state_dict().items())


class Data(nn.Module):
    """A network whose course depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x) if float(x.sum()) > 0 else self.last(-x)


class Counting(nn.Module):
    """A network that is another each time."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 2)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.last(x) + self.calls


ROWS = torch.randn(5, 6)
REFUSED = {
    "course depends on data, torch-export": (Data, ROWS, "torch-export", "--format", "can't be written so"),
    "course depends on data, onnx": (Data, ROWS, "onnx", "--format", "can't be written so"),
    "another network each time": (Counting, ROWS, "torch-export", "--format", "an output differs"),
    "unknown format": (Own, ROWS, "onxx", "--format", "did you mean 'onnx'?"),
    "no rows": (Own, ROWS[:0], "safetensors", "--rows", "no rows"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_network_that_can_not_be_written_is_refused(name: str, tmp_path: Path) -> None:
    net, x, form, setting, rule = REFUSED[name]
    with refused(setting, form if setting == "--format" else None, rule=rule):
        export_network(net(), x, tmp_path / "net", form)
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_text("years of work")
    with refused("--out", str(path), rule="is there already"):
        export_network(Own(), ROWS, path, "safetensors")
    assert path.read_text() == "years of work"
    assert export_network(Own(), ROWS, path, "safetensors", force=True).difference == 0
    nowhere = tmp_path / "nowhere" / "net"
    with refused("--out", str(nowhere), rule="can't be written"):
        export_network(Own(), ROWS, nowhere, "safetensors")


def test_a_single_row_is_enough(tmp_path: Path) -> None:
    export_network(Own(), torch.randn(1, 6), tmp_path / "net.pt2", "torch-export")
    module = torch.export.load(tmp_path / "net.pt2").module()
    assert module(torch.randn(3, 6)).shape == (3, 2)
