"""The features of a frozen model are computed before anything is trained, once for every row."""

from __future__ import annotations

import torch

from skedastic.data.dataset import without_padding
from skedastic.methods.bases.method import MakeNet
from skedastic.models.on_body import OnBody
from skedastic.pipeline.prepare import Data
from skedastic.settings.config import Config
from skedastic.settings.model_choice import NamedModel
from skedastic.training.engine import find_device
from skedastic.training.loop import Progress

ROWS = 256  # of a batch, and of a file


def keep_features(config: Config, data: Data, make_net: MakeNet, progress: Progress | None = None) -> None:
    """Run the rows for training, testing and reference through a network that keeps their features.

    Parameters
    ----------
    config : Config
        The settings of the run. Nothing is done unless its model is frozen.
    data : Data
        The rows.
    make_net : callable
        Makes the network. Those that it makes later look features up, and keep none.
    progress : callable, optional
        Is told "features", the batches done, and of all.
    """
    if not isinstance(config.model, NamedModel) or not config.model.options.get("freeze"):
        return
    device = find_device(config.training.device)
    with torch.random.fork_rng(devices=[]):
        net = make_net().to(device).eval()
    for module in net.modules():
        if isinstance(module, OnBody) and module.frozen is not None:
            module.frozen.keep = True
    parts = [part for part in (data.train, data.test, data.reference) if part is not None]
    batches = [(part, rows) for part in parts for rows in torch.split(torch.arange(len(part)), ROWS)]
    with torch.inference_mode():
        for done, (part, rows) in enumerate(batches, 1):
            net(without_padding(part.x[rows], part.tokens).to(device))
            if progress is not None:
                progress("features", done, len(batches))
