"""Exports: what the file gives is what the network gives, in every format, for any number of rows; or there is no file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from skedastic.errors import UserError
from skedastic.models import make
from skedastic.models.inputs import Inputs
from skedastic.runs.network_file import ENDINGS, FORMATS, export_network

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
        "ids": (make("mlp", ids, 3, small), rows(9)),
        "image": (make("cnn", image, 3, small), torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8)),
        "text": (make("bilstm", text, 3, small), texts(9)),
        "text and table": (make("bilstm", both, 1, small), torch.cat([rows(9), texts(9)], 1)),
        "own": (Own(), torch.randn(9, 6)),
    }


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", list(networks()))
def test_what_is_written_gives_what_the_network_gives(name: str, form: str, tmp_path: Path) -> None:
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


def refused(folder: Path, net: nn.Module, x: Tensor, form: str, **options: object) -> str:
    before = sorted(p.name for p in folder.iterdir())
    with pytest.raises(UserError) as error:
        export_network(net, x, folder / "net", form, **options)
    assert "\n" not in str(error.value)
    assert sorted(p.name for p in folder.iterdir()) == before, "nothing half-written"
    return str(error.value)


def test_what_can_not_be_written_is_one_clear_line(tmp_path: Path) -> None:
    x = torch.randn(5, 6)
    assert "the network can't be written as torch-export: " in refused(tmp_path, Data(), x, "torch-export")
    assert "take --format safetensors" in refused(tmp_path, Data(), x, "onnx")
    assert "an output differs by " in refused(tmp_path, Counting(), x, "torch-export")
    assert "did you mean 'onnx'?" in refused(tmp_path, Own(), x, "onxx")
    assert "there are no rows" in refused(tmp_path, Own(), x[:0], "safetensors")
    (tmp_path / "net").write_text("years of work")
    assert "is there already" in refused(tmp_path, Own(), x, "safetensors")
    assert export_network(Own(), x, tmp_path / "net", "safetensors", force=True).difference == 0
    with pytest.raises(UserError, match="can't be written"):
        export_network(Own(), x, tmp_path / "nowhere" / "net", "safetensors")


def test_a_single_row_is_enough(tmp_path: Path) -> None:
    export_network(Own(), torch.randn(1, 6), tmp_path / "net.pt2", "torch-export")
    module = torch.export.load(tmp_path / "net.pt2").module()
    assert module(torch.randn(3, 6)).shape == (3, 2)
