"""What it saves to compute the features of a frozen model once: seconds of several methods with and without.

    python benchmarks/frozen_features.py [--methods erm,sam,bbn,elr-plus] [--rows 400] [--epochs 10] [--layers 4]
                                         [--width 128] [--json]

Random pictures of 32 × 32, and a ViT with random weights, which cost what real ones of the size do. Both ways train the
same head, for the same epochs, without moving images. Without: the body runs on every row in every epoch. First: no
feature is on disk. Again: all are. Prints seconds, and their ratios in the same run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor

import skedastic as sk
from common import hardware, show
from skedastic.models import kept_features
from skedastic.models.on_body import OnBody
from skedastic.pipeline import steps


def saved(folder: Path, layers: int, width: int) -> Path:
    """Return a folder with a ViT with random weights."""
    import transformers

    sizes = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 4 * width,
    }
    config = transformers.ViTConfig(image_size=32, patch_size=4, **sizes)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


def seconds(methods: list[str], x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], settings: dict[str, Any]) -> float:
    """Return the seconds of all methods, one after the other, as in a new process."""
    kept_features._kept_of.cache_clear()
    start = time.perf_counter()
    for method in methods:
        sk.fit(x, y, method=method, **settings)
    return time.perf_counter() - start


def _run(net: OnBody, x: Tensor) -> Tensor:
    return net.features(x)


def measure(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the seconds and ratios."""
    generator = np.random.default_rng(0)
    y = np.arange(arguments.rows) % 4
    x = generator.integers(0, 256, size=(arguments.rows, 32, 32, 3)).astype(np.uint8)
    methods = arguments.methods.split(",")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SKEDASTIC_CACHE"] = str(Path(folder) / "cache")
        model = {"name": f"hf:{saved(Path(folder) / 'model', arguments.layers, arguments.width)}", "freeze": True}
        train = {"epochs": arguments.epochs, "threads": 1}
        settings = {"model": model, "train": train, "test": 0.2, "estimate": {"kind": "none"}, "seed": 0}
        sk.fit(
            x[:40], y[:40], method="erm", **settings | {"train": {"epochs": 1, "threads": 1}}
        )  # imports, and the like
        found = {name: seconds(methods, x, y, settings) for name in ("first", "again")}
        with patch.object(OnBody, "looked_up", _run), patch.object(steps, "keep_features"):
            found["without"] = seconds(methods, x, y, settings)
    ratios = {f"without / {name}": f"{found['without'] / found[name]:.1f}" for name in ("first", "again")}
    return {**{name: f"{value:.1f} s of {len(methods)} methods" for name, value in found.items()}, **ratios}


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="erm,sam,bbn,elr-plus")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    show(measure(arguments) | hardware(), arguments.json)


if __name__ == "__main__":
    main()
