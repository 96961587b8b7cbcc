"""Networks and literal gradients, for the tests of weights that are learned from a reference set."""

from dataclasses import replace

import torch
from torch import nn
from torch.func import functional_call

from skedastic.training import PlainEngine


def smooth_net():
    """A tiny network with BatchNorm and no kinks, in double precision."""
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double()


def losses_of(net, x, y):
    return nn.functional.cross_entropy(net(x), y, reduction="none")


def looked_ahead(net, batch, trusted, v, rate):
    """L at ŵ(v), literally: each example's gradient by itself, one step, and the reference loss there."""
    names = [name for name, _ in net.named_parameters()]
    parameters = [p.detach().clone() for p in net.parameters()]
    of_each = [torch.autograd.grad(loss, list(net.parameters()), retain_graph=True) for loss in losses_of(net, *batch)]
    for j, p in enumerate(parameters):
        for i in range(len(v)):
            p -= rate * v[i] * of_each[i][j]
    out = functional_call(net, dict(zip(names, parameters, strict=True)), (trusted[0],))
    return nn.functional.cross_entropy(out, trusted[1])


def engine_of(net_state, method, trusted, rate=0.3):
    optimizers = {n: torch.optim.SGD(p, rate) for n, p in method.param_groups(net_state).items()}
    return PlainEngine(optimizers, torch.device("cpu"), draw=lambda stream: trusted)


def in_double(batch):
    return replace(batch, x=batch.x.double())
