"""What a HAR step costs against the step of plain training in the same run, and the memory that it takes.

    python benchmarks/har_step.py [--json] [--rounds 9] [--batch 128] [--networks resnet32,transformer,bilstm]

ResNet-32 on batches of 128; a transformer encoder of 12 layers, width 384, on 65 tokens, batches of 16; a two-layer
bidirectional LSTM of width 256 on 64 tokens, batches of 64. Every round times one step of each kind, in turn; a ratio
is the median over rounds of (step / plain step), with the smallest and largest. `select` is `implicit` where 6 % of the
batch have a strength; ResNet-32 normalizes with the batch, so that all take the second pass there. Peak memory
(ResNet-32): each kind in a process of its own, three steps, above what the process held before.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import hardware, show
from skedastic.core import JacobianPenalty, regularized_loss
from skedastic.core.jacobian import cross_entropy
from skedastic.models import make

SELECTED = 0.06
KINDS = ("erm", "implicit", "select", "finite", "exact")
OTHERS = ("erm", "implicit", "select")  # of the other networks: exact has no kernel there, finite says nothing new


class Transformer(nn.Module):
    """A vision transformer's encoder: 64 patches and a class token."""

    def __init__(self, tokens: int = 65, width: int = 384, depth: int = 12) -> None:
        super().__init__()
        self.patches, self.place = nn.Linear(48, width), nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        layer = nn.TransformerEncoderLayer(width, 6, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.last = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map patches [B, 64, 48] to logits [B, 10]."""
        h = torch.cat([self.token.expand(len(x), -1, -1), self.patches(x)], 1) + self.place
        logits: Tensor = self.last(self.encoder(h)[:, 0])
        return logits


class BiLSTM(nn.Module):
    """Embedding, two bidirectional layers, mean over time."""

    def __init__(self, words: int = 10000, width: int = 256) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.rnn = nn.LSTM(width, width, 2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(2 * width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T] to logits [B, 10]."""
        logits: Tensor = self.last(self.rnn(self.embed(tokens))[0].mean(1))
        return logits


def network_and_batch(name: str, batch: int) -> tuple[nn.Module, Tensor]:
    """Return a network and a batch for it."""
    if name == "resnet32":
        return make("resnet32", (3, 32, 32), 10), torch.randn(batch, 3, 32, 32)
    if name == "transformer":
        return Transformer(), torch.randn(16, 64, 48)
    return BiLSTM(), torch.randint(10000, (64, 64))


def some_of(strength: Tensor) -> Tensor:
    """Return the strengths [B] with 6 % of them left, at random."""
    return strength * (torch.randperm(len(strength)) < math.ceil(SELECTED * len(strength)))


def make_steps(name: str, batch: int) -> dict[str, Callable[[], None]]:
    """Return a training step of each kind, all on one network and batch."""
    torch.manual_seed(0)
    net, x = network_and_batch(name, batch)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, 0.9, weight_decay=1e-4, fused=True)
    batch = len(x)
    y, strength = torch.randint(0, 10, (batch,)), torch.rand(batch) * 0.09 + 0.01
    some = some_of(strength)

    def step(total: Tensor) -> None:
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    def regularized(kind: str) -> Callable[[], None]:
        if kind == "select":
            return lambda: step(regularized_loss(net, x, y, some).total)
        penalty = JacobianPenalty(gradient=kind)  # type: ignore[arg-type]
        return lambda: step(regularized_loss(net, x, y, strength, penalty=penalty).total)

    kinds = KINDS if name == "resnet32" else OTHERS
    return {"erm": lambda: step(cross_entropy(net(x), y).mean())} | {kind: regularized(kind) for kind in kinds[1:]}


def measured(name: str, batch: int, rounds: int, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """Return the ratios of a network's steps to its plain step."""
    steps = {kind: step for kind, step in make_steps(name, batch).items() if kind in kinds}
    times: dict[str, list[float]] = {kind: [] for kind in steps}
    for round_ in range(rounds + 1):
        for kind, step in steps.items():
            start = time.perf_counter()
            step()
            if round_:  # the first warms up
                times[kind].append(time.perf_counter() - start)
    prefix = "" if name == "resnet32" else f"{name}_"
    figures: dict[str, Any] = {f"{prefix}erm_ms": statistics.median(times["erm"]) * 1000}
    for kind in list(steps)[1:]:
        ratios = [a / b for a, b in zip(times[kind], times["erm"], strict=True)]
        figures[f"{prefix}{kind}_ratio"] = statistics.median(ratios)
        figures[f"{prefix}{kind}_ratio_range"] = [round(min(ratios), 3), round(max(ratios), 3)]
    return figures


def peak_mb(kind: str, batch: int) -> float:
    """Return the peak memory of three steps, measured in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", kind, "--batch", str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def status_mb(field: str) -> float:
    """Return a field of this process's /proc status, such as VmHWM, the most memory it ever held."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--networks", default="resnet32,transformer,bilstm")
    parser.add_argument("--memory-of", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        steps = make_steps("resnet32", arguments.batch)
        before = status_mb("VmRSS")
        for _ in range(3):
            steps[arguments.memory_of]()
        print(status_mb("VmHWM") - before)
        return
    figures: dict[str, object] = {}
    for name in arguments.networks.split(","):
        figures |= measured(name, arguments.batch, arguments.rounds)
    memory = {kind: peak_mb(kind, arguments.batch) for kind in KINDS}
    figures["erm_memory_mb"] = memory["erm"]
    figures |= {f"{kind}_memory_ratio": memory[kind] / memory["erm"] for kind in KINDS[1:]}
    show(figures | {"rounds": arguments.rounds, "batch": arguments.batch, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
