"""Small data and a recipe of two stages, for the tests of training."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn

from skedastic.core.samplers import Shuffle
from skedastic.data import Classes, Dataset, Grouping
from skedastic.methods.bases.card import Card
from skedastic.methods.bases.method import Method, Stage
from skedastic.methods.bases.step import Objective
from skedastic.methods.erm import ERM
from skedastic.training import TrainingConfig

QUICK = TrainingConfig(epochs=4, batch_size=8, lr=0.1, device="cpu")


def dataset(n=33):
    y = torch.arange(n) % 3
    x = torch.randn(n, 5, generator=torch.Generator().manual_seed(0)) + y[:, None]
    names = ("a", "b", "c")
    return Dataset(
        x=x, y=y, index=torch.arange(n) + 100, group=y, target=Classes(names), grouping=Grouping(names), kind="table"
    )


def make_net():
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))


def tensors(state):
    return [v.clone() for v in state.state_dict().values()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


SEEN: dict[str, list] = {}


@dataclass(frozen=True, kw_only=True)
class Last(ERM):
    """Plain training that draws from a second stream too."""

    card: ClassVar[Card] = replace(ERM.card, name="last")

    def streams(self, task):
        return {"main": Shuffle(), "other": Shuffle()}

    def step(self, state, batch, clock, engine):
        SEEN["classes"] += [int(y) for y in batch.y]
        SEEN["drawn"].append(engine.draw("other").index)
        SEEN["enriched"].append(state)
        return super().step(state, batch, clock, engine)

    def end_epoch(self, state, task, clock, engine):
        SEEN["stats"].append(task.stats)
        SEEN["rates"].append(engine.rate("main"))


@dataclass(frozen=True, kw_only=True)
class TwoStages(Method):
    """ERM, then `Last` on two of the classes."""

    reinit: bool = False

    card: ClassVar[Card] = Card(name="two-stages", title="Two stages", paper="none")

    def stages(self, task):
        return (
            Stage(name="representation", method=ERM(), epochs=0.5, after=self.after),
            Stage(
                name="classifier",
                method=Last(),
                data=lambda task: (task.y != 1).nonzero().flatten(),
                reinit=self.reinit,
                trainable=lambda state: state.net[-1].parameters(),
                lr_scale=0.5,
            ),
        )

    @staticmethod
    def after(state, task):
        SEEN["first"] = tensors(state)
        return replace(task, stats="enriched")

    def objective(self, step) -> Objective:
        raise AssertionError("its stages train, not it itself")
