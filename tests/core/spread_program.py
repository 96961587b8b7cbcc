"""Checks of `core.spread` that several processes make together: `python -m tests.core.spread_program NAME`."""

import os
import sys
from functools import partial

import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from skedastic.core.lookahead import products
from skedastic.core.replay import RandomState
from skedastic.core.spread import Spread, current
from skedastic.training.ranks import together

BATCH = 11  # uneven among 2 and among 3


def net_and_batch(seed: int = 0) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 4, 3)).double()
    return net, torch.randn(BATCH, 2, 4, 4, dtype=torch.float64)


def alike(one: Tensor, other: Tensor) -> None:
    assert torch.allclose(one, other, atol=1e-10), float((one - other).abs().max())


def normalizes(spread: Spread) -> None:
    """Outputs, gradients and running statistics of a network are those of the whole batch."""
    (net, x), (other, _) = net_and_batch(), net_and_batch()
    weigh = torch.randn(BATCH, 3, dtype=torch.float64)
    expected = net(x)
    (expected * weigh).sum().backward()
    with spread.over([other]), spread.counted():
        out = other(x)
        ((out * weigh).sum() / spread.ranks).backward()
    spread.add_all([p.grad for p in other.parameters() if p.grad is not None])
    alike(out, expected)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        alike(p.grad, q.grad)
    for b, c in zip(net.buffers(), other.buffers(), strict=True):
        alike(b.double(), c.double())


def twice(spread: Spread) -> None:
    """A gradient of a gradient by the inputs, through the cut, BatchNorm and the gathering."""
    results = []
    for shared in (False, True):
        net, x = net_and_batch()
        x.requires_grad_()
        with spread.over([net] if shared else []):
            (g,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
            with spread.counted() if shared else spread.over([]):
                (g.square().sum() / (spread.ranks if shared else 1)).backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        if shared:
            spread.add_all(gradients)
        results.append([g.detach(), *gradients])
    for one, other in zip(*results, strict=True):
        alike(one, other)


def dual(spread: Spread) -> None:
    """Derivatives along a direction of the parameters, by dual numbers and by differentiating twice."""
    found = []
    for shared in (False, True):
        net, x = net_and_batch()
        parameters = dict(net.named_parameters())
        torch.manual_seed(1)
        u = [torch.randn_like(p) for p in parameters.values()]
        with spread.over([net] if shared else []):
            losses = lambda at: functional_call(net, dict(at), (x,)).square().sum(1)  # noqa: B023, E731
            found.append(products(losses, parameters, u))
    alike(*found)
    assert forward_ad._current_level < 0


def gathers(spread: Spread) -> None:
    """Every process has every row, whatever the type and the shape; too few rows are whole in each."""
    for dtype in (torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8):
        whole = (torch.arange(BATCH * 6).view(BATCH, 2, 3) % 7).to(dtype)
        assert torch.equal(spread.gather(spread.own(whole), BATCH), whole)
    assert sum(spread.sizes(BATCH) or []) == BATCH
    assert spread.sizes(spread.ranks - 1) is None
    few = torch.ones(spread.ranks - 1, 2)
    assert spread.own(few) is few
    assert spread.gather(few, len(few)) is few
    net = nn.Linear(2, 2)
    with spread.over([net]):
        assert current() is spread
        assert net(few).shape == few.shape
    assert current() is None


def draws(spread: Spread) -> None:
    """Dropout has other masks in each process, the same once more, and what is drawn afterwards is the same in all."""
    net = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5)).train()
    x = torch.ones(spread.ranks * 2, 4)
    torch.manual_seed(3)
    with spread.over([net]):
        state = RandomState.now(net)
        first = net(x)
        after = torch.rand(5)
        second = net(x)
        with state.again():
            again = net(x)
    masks = [tuple((part == 0).flatten().tolist()) for part in first.chunk(spread.ranks)]
    assert len(set(masks)) == spread.ranks
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    told = spread.collected(after[None], [1] * spread.ranks)
    assert all(torch.equal(row, after) for row in told)
    plain = nn.Linear(4, 4).train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with spread.over([plain]):
        plain(x)
    assert torch.equal(torch.rand(3), expected)  # a network that draws nothing moves nothing


def sums(spread: Spread) -> None:
    """One tensor that autograd gives twice is summed once; large ones, small ones and other types are."""
    large, small = torch.ones(1 << 18), torch.ones(3, dtype=torch.float64)
    turned = torch.ones(2, 3).t()
    spread.add_all([large, large, small, turned])
    for tensor in (large, small, turned):
        assert (tensor == spread.ranks).all()
    assert spread.bytes == large.numel() * 4 + 3 * 8 + 6 * 4
    assert torch.equal(F.relu(spread.total(torch.tensor(2.0))), torch.tensor(2.0 * spread.ranks))


CHECKS = {check.__name__: check for check in (normalizes, twice, dual, gathers, draws, sums)}


def main(name: str) -> None:
    """Make one of the checks."""
    with together() as spread:
        assert spread is not None
        partial(CHECKS[name], spread)()


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)  # an abort of torch's threads at the end is no failure of what was checked
