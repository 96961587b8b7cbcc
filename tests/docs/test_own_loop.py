"""The loops of docs/guide/own_loop.md, run."""

import torch
import torch.nn.functional as F

from skedastic.core import regularized_loss
from skedastic.models import make
from tests.support.pages import blocks

PAGE = "docs/guide/own_loop.md"


def the_snippet(function):
    [snippet] = [block for block in blocks(PAGE, "python") if function in block]
    return snippet


def data_and_network():
    torch.manual_seed(0)
    net = make("mlp", (4,), 3, {"width": 16, "depth": 1})
    return torch.randn(60, 4), torch.arange(60) % 3, net, torch.optim.SGD(net.parameters(), lr=0.1)


def lines(snippet):
    return len([line for line in snippet.splitlines() if line.strip()])


def test_har_is_at_most_eight_lines_and_trains() -> None:
    snippet = the_snippet("regularized_loss")
    assert lines(snippet) <= 8
    x, y, net, optimizer = data_and_network()
    before = regularized_loss(net, x, y, 0.1).total.item()
    names = {"net": net, "optimizer": optimizer, "loader": [(x, y, torch.full((60,), 0.1))] * 20}
    exec(snippet, names)
    assert names["loss"].total.item() < before


def test_absgd_is_at_most_eight_lines_and_trains() -> None:
    snippet = the_snippet("attentional_weights")
    assert lines(snippet) <= 8
    x, y, net, optimizer = data_and_network()
    before = F.cross_entropy(net(x), y).item()
    exec(snippet, {"net": net, "optimizer": optimizer, "loader": [(x, y)] * 20, "cross_entropy": F.cross_entropy})
    assert F.cross_entropy(net(x), y).item() < before
