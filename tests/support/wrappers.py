"""One plain step, for the tests of wrappers."""

import torch
from torch import nn

from skedastic.training import PlainEngine
from tests.support.methods import CLOCK


def plain_net():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def step_of(method, state, batch, lr=0.1):
    engine = PlainEngine({"main": torch.optim.SGD(state.parameters(), lr)}, torch.device("cpu"))
    return method.step(state, batch, CLOCK, engine)
