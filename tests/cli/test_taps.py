"""`skedastic taps`: the taps of shipped networks and of a user's own."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import refusal, run
from tests.support.refusals import check_refusal

OWN = """
from torch import nn

def lstm():
    return nn.Sequential(nn.Embedding(5, 4), nn.LSTM(4, 6, batch_first=True))

class Silent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

    def forward(self, x):
        raise ValueError

def silent():
    return Silent()

def number():
    return 3

def broken():
    raise KeyError("weights")

class Nothing(nn.Module):
    pass
"""


@pytest.fixture
def own(tmp_path: Path):
    (tmp_path / "nets.py").write_text(OWN)
    return str(tmp_path / "nets.py")


def test_taps_of_shipped_networks(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "taps", "mlp")
    assert status == 0
    assert out.count("BatchNorm1d") == 3
    rows = json.loads(run(capsys, "taps", "resnet32", "--shape", "3,16,16", "--json")[1])
    assert len(rows) == 31
    assert rows[0] == {"name": "bn1", "kind": "BatchNorm2d", "output": [2, 16, 16, 16]}
    rows = json.loads(run(capsys, "taps", "resnet32", "--taps", "layer3.*.bn2", "--json")[1])
    assert [row["name"] for row in rows] == [f"layer3.{i}.bn2" for i in range(5)]


def test_taps_of_ones_own_network(own, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["name"] for row in json.loads(run(capsys, "taps", f"{own}:lstm", "--json")[1])] == ["0", "1"]
    rows = json.loads(run(capsys, "taps", f"{own}:lstm", "--shape", "7", "--json")[1])
    assert [row["output"] for row in rows] == [[2, 7, 4], [2, 7, 6], [1, 2, 6], [1, 2, 6]]  # outputs and states


@pytest.mark.parametrize(
    ("arguments", "setting", "value", "rule"),
    [
        (["{own}:lstn"], "function in {own}", "lstn", "did you mean 'lstm'"),
        (["{own}:number"], "model", "{own}:number", "must return a torch.nn.Module"),
        (["{own}:broken"], "model", "{own}:broken", "KeyError"),
        (["{own}:silent", "--shape", "3"], "--shape", "3", "ValueError"),
        (["{own}:Nothing"], "taps", None, "neither a normalization layer nor a hidden layer"),
        (["nowhere.py:net"], "model", "nowhere.py:net", "no such file"),
        (["no.such.module:net"], "model", "no.such.module:net", "ModuleNotFoundError"),
        (["resnet23"], "model", "resnet23", "did you mean 'resnet32'"),
        (["mlp", "--shape", "3,x"], "--shape", "3,x", "whole numbers"),
        (["mlp", "--shape", "0"], "--shape", "0", "whole numbers"),
        (["{own}:lstm", "--shape", "3,4"], "--shape", "3,4", "x of shape [2, 3, 4]"),
        (["resnet32", "--taps", "layerr*"], "taps", "layerr*", "matches no module"),
    ],
)
def test_a_network_without_taps_is_refused(
    arguments, setting, value, rule, own, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, "taps", *(a.format(own=own) for a in arguments), alone=True)
    check_refusal(error, setting.format(own=own), value and value.format(own=own), rule=rule)
