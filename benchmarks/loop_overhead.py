"""What our loop costs: one epoch of plain training by skedastic over the same epoch by a minimal PyTorch loop.

    python benchmarks/loop_overhead.py [--json] [--images 5000] [--rounds 3]

ResNet-32 on the first images of the CIFAR-10 Parquet file, decoded beforehand, on the same tensors: the same network,
optimizer, augmentation and batches of 128. Each round times both, in turn; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch
import torch.nn.functional as F

from common import CIFAR, hardware, show
from skedastic.data import Dataset, open_source
from skedastic.methods.erm import ERM
from skedastic.models import factory
from skedastic.training import Budget, train


def by_hand(data: Dataset, make_net, batch: int) -> float:
    """Train one epoch as anyone would write it, and return the seconds it took."""
    torch.manual_seed(0)
    net = make_net().train()
    optimizer = torch.optim.SGD(net.parameters(), 0.05, 0.9, weight_decay=1e-4)
    x, y = data.x, data.y
    start = time.perf_counter()
    for rows in torch.randperm(len(y)).split(batch):
        images = F.pad(x[rows], (4, 4, 4, 4))
        top, left = torch.randint(0, 9, (2,)).tolist()  # one crop for the whole batch: the cheapest augmentation
        images = images[:, :, top : top + 32, left : left + 32]
        images = torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, images.flip(3), images)
        loss = F.cross_entropy(net(images), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def by_skedastic(data: Dataset, make_net, batch: int) -> float:
    """Train one epoch with our loop, and return the seconds it took."""
    start = time.perf_counter()
    train(ERM(), data, make_net, Budget(epochs=1, batch_size=batch, device="cpu"))
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    if not CIFAR.exists():
        sys.exit(f"needs {CIFAR.name} in ../shared/data")
    source = open_source(str(CIFAR), target="label")
    rows = torch.arange(arguments.images)
    encoder = source.encode(rows)
    data = source.dataset(rows, encoder).in_memory()
    make_net = factory("resnet32", encoder.inputs, 10)
    by_hand(data.subset(torch.arange(512)), make_net, arguments.batch)  # warms up
    pairs = [
        (by_skedastic(data, make_net, arguments.batch), by_hand(data, make_net, arguments.batch))
        for _ in range(arguments.rounds)
    ]
    ratios = [ours / theirs for ours, theirs in pairs]
    figures = {
        "ratio": statistics.median(ratios),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "skedastic_s": statistics.median(p[0] for p in pairs),
        "by_hand_s": statistics.median(p[1] for p in pairs),
    }
    show(figures | {"images": arguments.images, "rounds": arguments.rounds, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
