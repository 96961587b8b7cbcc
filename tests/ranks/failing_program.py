"""What fails, or differs, in one of several processes alone: `python -m tests.ranks.failing_program FOLDER WHAT`."""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from skedastic.errors import UserError
from skedastic.methods.linear import Linear
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.ranks import joined, together
from tests.ranks.methods_program import TRAINING, network
from tests.support.methods import dataset, task


class Either(nn.Module):
    """Two layers of which a forward in training takes one at random, as LayerDrop does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        one = not self.training or bool(torch.rand(()) < 0.5)
        return self.last(self.first(x) if one else self.second(x))


def memory(rank: int) -> str:
    """Trial models need more memory than the second process has: all leave them out."""
    if rank == 1:

        def fit(*_: object) -> None:
            raise MemoryError("Unable to allocate")

        Linear.fit = fit  # type: ignore[method-assign, assignment]
    data = dataset(200)
    result = train(make_method("auto", {}), data, lambda: network(3, normalized=True), TRAINING, task=task(data))
    return "|".join(result.stages) + f"|{float(result.predict(data.x).sum()):.6f}|" + str(len(result.notes) > 0)


def paths(rank: int) -> str:
    """A network that takes its path at random."""
    data = dataset(53)
    try:
        train(make_method("erm", {}), data, Either, TRAINING, task=task(data))
    except UserError as error:
        return str(error)
    return "trained"


def features(rank: int) -> str:
    """The second process has the columns in another order."""
    data = dataset(53)
    if rank == 1:
        data = type(data)(**{**vars(data), "x": data.x.flip(1)})
    try:
        train(make_method("erm", {}), data, lambda: network(3, normalized=True), TRAINING, task=task(data))
    except UserError as error:
        return str(error)
    return "trained"


def main(folder: str, what: str) -> None:
    """Write what this process ends with."""
    with together():
        spread = joined()
        assert spread is not None
        said = {"memory": memory, "paths": paths, "features": features}[what](spread.rank)
        (Path(folder) / f"{spread.rank}.txt").write_text(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)
