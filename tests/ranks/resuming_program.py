"""Train a method, alone or as one of several processes, for some epochs, or from the checkpoints of those to the end.

python -m tests.ranks.resuming_program FOLDER NAME EPOCHS
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from skedastic.runtime.launch import is_first
from skedastic.settings.methods import make_method
from skedastic.training import train
from skedastic.training.agreed_checkpoints import checkpoints_in
from skedastic.training.ranks import together
from tests.ranks.methods_program import TRAINING, network
from tests.support.methods import data_for, reference, task


class Stop(Exception):
    """Training is interrupted."""


def main(folder: str, name: str, epochs: str) -> None:
    """Write what the first process ends with, where training came to its end."""
    method, done = make_method(name, {}), 0
    data = data_for(method, n=53)

    def progress(stage: str, at: int, of: int) -> None:
        nonlocal done
        done += 1
        if done == int(epochs):
            raise Stop

    with together():
        how = {"task": task(data), "reference": reference(), "progress": progress}
        kept = checkpoints_in(folder, every=0.0)
        try:
            result = train(method, data, lambda: network(3, normalized=True), TRAINING, checkpoints=kept, **how)
        except Stop:
            return
        if is_first():
            state = {key: value.clone() for key, value in result.state.state_dict().items()}
            history = torch.tensor([row["loss"] for row in result.history])
            save_file({**state, "history": history}, Path(folder) / "end.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # an abort of torch's threads at the end is no failure of what was checked
