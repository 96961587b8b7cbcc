"""What the README and the demo promise, run."""

import re
import tomllib

import pytest
import torch
import torch.nn.functional as F

from skedastic.core import regularized_loss
from skedastic.models import make
from skedastic.pipeline import ALL
from skedastic.settings.expression import split
from skedastic.settings.methods import compared_methods, make_method
from skedastic.settings.reading import read
from tests.support.paths import ROOT


def test_the_snippet_for_anyones_loop_is_at_most_eight_lines_and_trains():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    snippet = next(block for block in blocks if "regularized_loss" in block)
    assert len([line for line in snippet.splitlines() if line.strip()]) <= 8
    torch.manual_seed(0)
    net = make("mlp", (4,), 3, {"width": 16, "depth": 1})
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    before = regularized_loss(net, x, y, 0.1).total.item()
    names = {
        "net": net,
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.1),
        "loader": [(x, y, torch.full((60,), 0.1))] * 20,
    }
    exec(snippet, names)
    assert names["loss"].total.item() < before


@pytest.mark.parametrize("file", ["README.md", "docs/methods.md"])
def test_the_snippet_of_absgd_trains(file):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / file).read_text("utf-8"), re.DOTALL)
    snippet = next(block for block in blocks if "attentional_weights" in block)
    torch.manual_seed(0)
    net = make("mlp", (4,), 3, {"width": 16, "depth": 1})
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    before = F.cross_entropy(net(x), y).item()
    names = {"net": net, "optimizer": torch.optim.SGD(net.parameters(), lr=0.1), "loader": [(x, y)] * 20}
    exec(snippet, names | {"cross_entropy": F.cross_entropy, "F": F})
    assert F.cross_entropy(net(x), y).item() < before


@pytest.mark.parametrize("file", ["README.md", "docs/methods.md"])
def test_every_method_that_the_docs_put_together_is_one(file):
    text = (ROOT / file).read_text("utf-8")
    written = [m for m in re.findall(r"--method (\"[^\"]*\"|\S+)", text) if m != "NAME`"]
    listed = [m for names in re.findall(r"--methods (\"[^\"]*\"|[^\s`]+)", text) for m in split(names.strip('"`'))]
    listed = [m for m in listed if m != ALL]
    assert written or listed
    for method in [*written, *listed]:
        assert make_method(method.strip('"'), {})


def test_the_configurations_of_the_results_can_be_read():
    files = sorted((ROOT / "docs" / "results").glob("*.toml"))
    assert files
    for file in files:
        named = re.search(r"--presets? (\S+)", file.read_text("utf-8"))  # the table that it is for
        config = read(file, {}, preset=named and named[1])
        assert len(compared_methods(config)) >= (4 if named and named[1] == "har-table6" else 6)  # the paper's rows
        assert config.seeds >= 3


def test_the_demos_configuration_is_valid_and_is_the_documented_experiment():
    config = read(ROOT / "examples" / "demo.toml", {})
    assert config.noise == "1<->8:0.4,3<->9:0.4"
    assert config.imbalance == "step:3:1,3,8,9"
    assert config.methods == ("erm", "unif", "har", "har-auto")
    assert config.train.epochs == 60
    assert config.seeds >= 10
    assert config.first_seed + config.seeds <= 1000, "development seeds are 1000 and up"


def test_the_locked_torch_is_in_the_declared_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text("utf-8").split())
    assert locked["torch"] == "2.13.0"
    for dependency in project["dependencies"]:
        assert re.split(r"[<>=\[]", dependency)[0].replace("-", "_").lower() in {
            name.replace("-", "_").lower() for name in locked
        }
