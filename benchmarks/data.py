"""The cost of our data path in training, against a bare loop over the same tensors, and the memory of a large table.

    python benchmarks/data.py [--json] [--rounds 5] [--model cnn]
    python benchmarks/data.py --memory 20000000 [--method erm] [--json]

Each round trains one epoch of plain training by skedastic and by a minimal PyTorch loop, in turn, with the same
network, optimizer and batches of 128, and the loss and the accuracy of the epoch, which both count; a ratio is ours
over theirs, in examples a second, of whole epochs, the median over rounds.

    rows          a table of 100,000 rows and 20 columns, MLP; the bare loop reads a tensor
    stored rows   the same, but encoded into a file, as tables of more than 128 MB are
    images        5,000 images of CIFAR-10 in memory, `cnn` or another network (--model resnet32); both crop and flip
    streamed      the same as JPEG files that are decoded in the loop; the bare loop decodes with Pillow

All networks read images one channel after the other. Pixels that Pillow gives, taken as they lie, would let both run
faster on a CPU: that is `train.channels_last=true`, a setting of its own.

`--memory N` writes an Arrow file of N rows (8 numbers, a category, 3 classes; 42 bytes a row) and fits one epoch on it
by the command line, with the split, the test set, the report and all; it prints the largest resident size of that
process. Plain training makes no estimate; --method har does.
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from common import CIFAR, hardware, show
from skedastic.data import Dataset, open_source
from skedastic.data.on_disk import OnDiskFeatures
from skedastic.methods.erm import ERM
from skedastic.models import factory
from skedastic.training import TrainingConfig, train

BATCH = 128
Batch = Callable[[Tensor], Tensor]
MakeNet = Callable[[], nn.Module]


def by_hand(x: Batch, y: Tensor, make_net: MakeNet, augment: bool) -> float:
    """Train one epoch as anyone would write it, and return the seconds that it took."""
    torch.manual_seed(0)
    net = make_net().train()
    optimizer = torch.optim.SGD(net.parameters(), 0.05, 0.9, weight_decay=1e-4, fused=True)
    start = time.perf_counter()
    losses = right = torch.zeros(())
    for rows in torch.randperm(len(y)).split(BATCH):
        inputs = x(rows)
        if augment:  # one crop for the whole batch: the cheapest
            top, left = torch.randint(0, 9, (2,)).tolist()
            inputs = F.pad(inputs, (4, 4, 4, 4))[:, :, top : top + 32, left : left + 32]
            inputs = torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, inputs.flip(3), inputs)
        labels = y[rows]
        outputs = net(inputs)
        loss = F.cross_entropy(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses = losses + loss.detach() * len(rows)
        right = right + (outputs.argmax(1) == labels).sum()
    assert 0 < float(losses) / len(y) < 100
    assert 0 < float(right) / len(y) <= 1
    return time.perf_counter() - start


def by_skedastic(data: Dataset, make_net: MakeNet) -> float:
    """Train one epoch with our loop, and return the seconds that it took."""
    start = time.perf_counter()
    train(ERM(), data, make_net, TrainingConfig(epochs=1, batch_size=BATCH, device="cpu"))
    return time.perf_counter() - start


def compared(data: Dataset, bare: Batch, make_net: MakeNet, rounds: int) -> dict[str, Any]:
    """Return examples a second of both, and their ratio."""
    augment = data.kind == "image"
    by_hand(bare, data.y[: 4 * BATCH], make_net, augment)  # warms up
    pairs = [(by_skedastic(data, make_net), by_hand(bare, data.y, make_net, augment)) for _ in range(rounds)]
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    return {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "per_second": round(len(data) / statistics.median(p[0] for p in pairs)),
        "bare_per_second": round(len(data) / statistics.median(p[1] for p in pairs)),
    }


def tables(rounds: int) -> dict[str, Any]:
    """Compare on a table, in memory and stored."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 20)).astype(np.float32)
    y = (x @ rng.normal(size=(20, 5))).argmax(1)
    source = open_source(pa.table({f"x{i}": x[:, i] for i in range(20)} | {"y": y}).to_pandas(), target="y")
    rows = torch.arange(len(source))
    encoder = source.encode(rows)
    data = source.dataset(rows, encoder)
    assert isinstance(data.x, Tensor)
    make_net = factory("mlp", encoder.inputs, 5)
    stored = replace(data, x=OnDiskFeatures.written(data.x.numpy().reshape(-1, 1000, 20), 20))
    return {
        "rows": compared(data, data.x.__getitem__, make_net, rounds),
        "stored rows": compared(stored, data.x.__getitem__, make_net, rounds),
    }


def images(rounds: int, model: str) -> dict[str, Any]:
    """Compare on images, in memory and decoded as they come."""
    table = pq.read_table(CIFAR, columns=["image", "label"]).slice(0, 5000)
    with TemporaryDirectory() as folder:
        pq.write_table(table, Path(folder) / "images.parquet")
        source = open_source(str(Path(folder) / "images.parquet"), target="label")
        rows = torch.arange(len(source))
        encoder = source.encode(rows)
        streamed = source.dataset(rows, encoder)
        data = streamed.in_memory()
        make_net = factory(model, encoder.inputs, 10)
        files = [cell["bytes"] for cell in table["image"].to_pylist()]
        assert isinstance(data.x, Tensor)
        return {
            "images": compared(data, data.x.__getitem__, make_net, rounds),
            "streamed": compared(streamed, lambda r: decoded(files, r), make_net, rounds),
        }


def decoded(files: list[bytes], rows: Tensor) -> Tensor:
    """Return images as anyone would decode them."""
    pictures = [np.asarray(Image.open(io.BytesIO(files[i])).convert("RGB")) for i in rows.tolist()]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def memory(rows: int, method: str) -> dict[str, Any]:
    """Fit on a large Arrow file in a process of its own; return its largest resident size, and its rows a second."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "large.arrow"
        write_rows(path, rows)
        options = ["--target", "y", "--method", method, "--epochs", "1", "--out", str(Path(folder) / "run")]
        sets = ["--set", "train.batch_size=1024", *(["--set", "estimate.kind=none"] if method == "erm" else [])]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "skedastic", "fit", str(path), *options, *sets],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        size = path.stat().st_size / 2**30
    return {
        "rows": rows,
        "method": method,
        "file_gib": round(size, 2),
        "peak_gib": round(peak, 2),
        "rows_per_second": round(rows / seconds),
    }


def write_rows(path: Path, rows: int) -> None:
    """Write a table a million rows at a time."""
    names = [f"x{i}" for i in range(8)]
    schema = pa.schema([(name, pa.float32()) for name in names] + [("kind", pa.string()), ("y", pa.string())])
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(8, 3))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as out:
        for start in range(0, rows, 1_000_000):
            n = min(1_000_000, rows - start)
            x = rng.normal(size=(n, 8)).astype(np.float32)
            y = (x @ weights + rng.gumbel(size=(n, 3))).argmax(1)
            kind = rng.integers(0, 5, n)
            columns = [
                *(pa.array(x[:, i]) for i in range(8)),
                pa.array(np.array(list("pqrst"))[kind]),
                pa.array(np.array(list("abc"))[y]),
            ]
            out.write_batch(pa.record_batch(columns, schema=schema))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--memory", type=int, metavar="ROWS")
    parser.add_argument("--method", default="erm")
    arguments = parser.parse_args()
    if arguments.memory:
        show(memory(arguments.memory, arguments.method) | hardware(), arguments.json)
        return
    figures = tables(arguments.rounds)
    if CIFAR.exists():
        figures |= images(arguments.rounds, arguments.model)
    show(figures | {"rounds": arguments.rounds, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
