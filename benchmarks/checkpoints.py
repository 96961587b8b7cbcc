"""What the checksum of a checkpoint costs, against writing the checkpoint in the same run.

    python benchmarks/checkpoints.py [--json] [--megabytes 256] [--rounds 7] [--folder .]

A checkpoint of random weights is written as training writes it: copied, checksummed, saved, synced, renamed, with the
one before kept. `checksum_share` is the seconds of the checksum alone over those of the whole, the median over rounds
with the quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from common import hardware, show
from skedastic.training.checkpoints import Checkpoints, Snapshot
from skedastic.training.tensor_files import checksum

TENSOR = 4 * 2**20  # bytes


def seconds(run: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    count = max(1, arguments.megabytes * 2**20 // TENSOR)
    tensors = {f"state.{i}": torch.randn(TENSOR // 4) for i in range(count)}
    shares = list[float]()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        kept = Checkpoints(folder, 0)
        for _ in range(arguments.rounds):
            alone = seconds(lambda: checksum(tensors))
            shares.append(alone / seconds(lambda: kept.write("1-train", Snapshot(tensors, {}))))
    result = {
        "megabytes": arguments.megabytes,
        "checksum_share": statistics.median(shares),
        "checksum_share_quartiles": statistics.quantiles(shares, n=4)[::2],
        "hardware": hardware(),
    }
    show(result, arguments.json)


if __name__ == "__main__":
    main()
