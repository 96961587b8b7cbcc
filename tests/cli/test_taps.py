"""`skedastic taps`: what would be tapped, in shipped networks and a user's own."""

import json
import re

import pytest

from tests.support.command_line import run

OWN = """
from torch import nn

def lstm():
    return nn.Sequential(nn.Embedding(5, 4), nn.LSTM(4, 6, batch_first=True))

def number():
    return 3

def broken():
    raise KeyError("weights")

class Nothing(nn.Module):
    pass
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "nets.py").write_text(OWN)
    return str(tmp_path / "nets.py")


def test_taps_of_shipped_networks(capsys):
    status, out, _ = run(capsys, "taps", "mlp")
    assert status == 0
    assert out.count("BatchNorm1d") == 3
    rows = json.loads(run(capsys, "taps", "resnet32", "--shape", "3,16,16", "--json")[1])
    assert len(rows) == 31
    assert rows[0] == {"name": "bn1", "kind": "BatchNorm2d", "output": [2, 16, 16, 16]}
    rows = json.loads(run(capsys, "taps", "resnet32", "--taps", "layer3.*.bn2", "--json")[1])
    assert [row["name"] for row in rows] == [f"layer3.{i}.bn2" for i in range(5)]


def test_taps_of_ones_own_network(own, capsys):
    assert [row["name"] for row in json.loads(run(capsys, "taps", f"{own}:lstm", "--json")[1])] == ["0", "1"]
    rows = json.loads(run(capsys, "taps", f"{own}:lstm", "--shape", "7", "--json")[1])
    assert [row["output"] for row in rows] == [[2, 7, 4], [2, 7, 6], [1, 2, 6], [1, 2, 6]]  # outputs and states


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{own}:lstn"], "unknown function in .*nets.py 'lstn'; did you mean 'lstm'"),
        (["{own}:number"], "gives a int, and no torch.nn.Module"),
        (["{own}:broken"], r"broken\(\) failed: KeyError"),
        (["{own}:Nothing"], "Nothing has neither a normalization layer nor a hidden layer"),
        (["nowhere.py:net"], "'nowhere.py': no such file; give file.py:function"),
        (["no.such.module:net"], "module 'no.such.module' can't be imported"),
        (["resnet23"], "unknown model 'resnet23'; did you mean 'resnet32'"),
        (["mlp", "--shape", "3,x"], "--shape '3,x': must be whole numbers"),
        (["mlp", "--shape", "0"], "--shape '0': must be whole numbers"),
        (["{own}:lstm", "--shape", "3,4"], r"can't read x of shape \[2, 3, 4\]"),
        (["resnet32", "--taps", "layerr*"], "'layerr\\*' matches no module"),
    ],
)
def test_what_has_no_taps_is_one_line_and_status_2(arguments, message, own, capsys):
    status, out, err = run(capsys, "taps", *(a.format(own=own) for a in arguments))
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1

    assert re.search(message, err), err
