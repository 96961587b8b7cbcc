"""Train methods, alone or as one of several processes, and write what they end with.

python -m tests.ranks.methods_program FOLDER ROWS [--uncounted] NAME:KIND …
"""

import os
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from skedastic.core.spread import Spread
from skedastic.runtime.launch import count
from skedastic.settings.methods import make_method
from skedastic.training import TrainingConfig, train
from skedastic.training.ranks import joined, together
from tests.support.methods import data_for, reference, task

TRAINING = TrainingConfig(epochs=5, batch_size=16, lr=0.05, device="cpu", threads=1)  # 4 steps an epoch


class Wide(nn.Linear):
    """A first layer in double precision, which reads images too."""

    def forward(self, x):
        return super().forward(x.flatten(1).double())


def network(outputs: int, *, normalized: bool) -> nn.Module:
    """Nothing is drawn in it: dropout differs from process to process."""
    norm = nn.BatchNorm1d(16) if normalized else nn.LayerNorm(16)
    return nn.Sequential(Wide(6, 16), norm, nn.ReLU(inplace=True), nn.Linear(16, outputs)).double()


class Streamed:
    """Features that are read when they are asked for; it counts the rows that are read."""

    def __init__(self, x: Tensor, read: list[int] | None = None) -> None:
        self.x, self.dtype, self.shape, self.read = x, x.dtype, tuple(x.shape), [] if read is None else read

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor) -> Tensor:
        self.read.append(len(rows))
        return self.x[rows]

    def take(self, rows: Tensor) -> "Streamed":
        return Streamed(self.x[rows], self.read)


def trained(text: str, rows: int) -> dict[str, Tensor]:
    """Return what a method ends with: its state, and the losses and the like of each epoch.

    The text is NAME:KIND, and after an @ "layer" for a network without BatchNorm, or "stream" for features that are
    read from elsewhere; of these the rows that were read are returned too.
    """
    text, _, way = text.partition("@")
    name, _, kind = text.rpartition(":")
    method = make_method(name, {})
    data = data_for(method, kind, n=rows)
    streamed = Streamed(data.x)

    def make_net() -> nn.Module:
        return network(3 if kind == "classification" else 1, normalized=way != "layer")

    if way == "stream":
        data = replace(data, x=streamed)

    result = train(method, data, make_net, TRAINING, task=task(data), reference=reference(kind))
    state = {key: value for key, value in result.state.state_dict().items() if value.is_floating_point()}
    history = [value for row in result.history for value in row.values() if isinstance(value, float)]
    read = torch.tensor([float(sum(streamed.read))])
    found = {**state, "history": torch.tensor(history, dtype=torch.float64), "predicted": result.predict(data.x)}
    return {**found, "rows_read": read} if way == "stream" else found


def main(folder: str, rows: str, *names: str) -> None:
    """Write a file for this process, with what every method ends with."""
    if "--uncounted" in names:
        Spread.counted = contextmanager(lambda self: nullcontext().__enter__() or (yield))  # type: ignore[method-assign]
    with together():
        found = {
            f"{name}|{key}": value.clone(memory_format=torch.contiguous_format)
            for name in names
            if name != "--uncounted"
            for key, value in trained(name, int(rows)).items()
        }
        spread = joined()
    rank = 0 if spread is None else spread.rank
    save_file(found, Path(folder) / f"{count()}-{rank}.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # an abort of torch's threads at the end is no failure of what was checked
