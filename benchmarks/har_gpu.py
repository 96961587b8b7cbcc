"""HAR at full speed on one GPU: the paper's CIFAR-10 experiment, everything on the device, PyTorch alone.

    python benchmarks/har_gpu.py prepare cifar10.bin           # where pyarrow and Pillow are: shared/data to 185 MB
    python benchmarks/har_gpu.py run cifar10.bin [--json]      # where a GPU is: PyTorch, and this repository's src

The paper's setting (section 3.1, Table 1): labels of cat and dog, and of truck and automobile, exchanged with
probability 0.4, those four classes cut to 1/10 or 1/100; ResNet-32, batches of 128, 120 epochs of SGD, rate 0.1 cut at
80 and 100, crop and flip. Images and augmentation on the device, bf16, compiled, CUDA graphs (mode reduce-overhead).
HAR is its estimate (two folds, a quarter of the epochs; raw error rates, without the library's counting and shrinking)
and its training. Prints seconds, step times in the same run
(plain, implicit) and test accuracies on the noisy and the clean classes, over seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
from skedastic.core.strengths import strengths
from skedastic.models import make

TRAIN, TEST, PIXELS = 50000, 10000, 3 * 32 * 32
PAIRS = ((3, 5), (1, 9))  # cat and dog, automobile and truck
NOISY = [c for pair in PAIRS for c in pair]
BATCH, STRENGTH = 128, 0.1


@dataclass
class Mode:
    """What the normalization layers do in the forward under way."""

    deltas: list[Tensor] = field(default_factory=list)  # added to their outputs
    moves: bool = True  # the running statistics


class Tap(nn.Module):
    """A normalization layer whose output can be shifted."""

    def __init__(self, norm: nn.BatchNorm2d, number: int, mode: Mode) -> None:
        super().__init__()
        self.norm, self.number, self.mode = norm, number, mode

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x [B, C, H, W], and shift."""
        norm, mode = self.norm, self.mode
        momentum = 0.1 if mode.moves else 0.0
        out = F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, self.training, momentum, norm.eps
        )
        return out + mode.deltas[self.number].to(out.dtype) if mode.deltas else out


class Net:
    """ResNet-32 with a tap on every normalization layer, and its training steps."""

    def __init__(self, device: torch.device, compiled: bool) -> None:
        self.device, self.mode = device, Mode()
        self.net = make("resnet32", (3, 32, 32), 10)
        self.shapes: list[torch.Size] = []
        for name, norm in [(n, m) for n, m in self.net.named_modules() if isinstance(m, nn.BatchNorm2d)]:
            parent = self.net.get_submodule(name.rpartition(".")[0]) if "." in name else self.net
            setattr(parent, name.rpartition(".")[2], Tap(norm, len(self.shapes), self.mode))
            self.shapes.append(torch.Size([norm.num_features, *self._side(name)]))
        self.net.to(device, memory_format=torch.channels_last)
        self.parameters = list(self.net.parameters())
        wrap: Callable[..., Callable[..., Tensor]] = (
            (lambda f: torch.compile(f, mode="reduce-overhead")) if compiled else (lambda f: f)
        )
        self.plain_loss = wrap(self._plain_loss)
        self.measure = wrap(self._measure)
        self.shifted_loss = wrap(self._shifted_loss)
        self.shifted: Callable[[list[Tensor], Tensor], list[Tensor]] = torch.compile(shifted) if compiled else shifted
        self.still: dict[int, list[Tensor]] = {}  # δ = 0 by the size of the batch
        self.optimizer = torch.optim.SGD(self.parameters, 0.1, 0.9, weight_decay=1e-4, fused=device.type == "cuda")

    @staticmethod
    def _side(name: str) -> tuple[int, int]:
        side = {"layer2": 16, "layer3": 8}.get(name.partition(".")[0], 32)
        return side, side

    def logits(self, x: Tensor, **mode: object) -> Tensor:
        """Run the network in a mode."""
        self.mode.__init__(**mode)  # type: ignore[misc]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            out: Tensor = self.net(x)
        return out.float()

    def zeros(self, batch: int) -> list[Tensor]:
        """Return δ = 0 for every tap; the same tensors each time."""
        if batch not in self.still:
            self.still[batch] = [
                torch.zeros(batch, *s, device=self.device).to(memory_format=torch.channels_last).requires_grad_()
                for s in self.shapes
            ]
        return self.still[batch]

    def _plain_loss(self, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(x), y)

    def _measure(self, x: Tensor, y: Tensor, deltas: list[Tensor]) -> Tensor:
        """The summed loss; its parameters are kept out of the graph by the caller."""
        return F.cross_entropy(self.logits(x, deltas=deltas), y, reduction="sum")

    def _shifted_loss(self, x: Tensor, y: Tensor, deltas: list[Tensor]) -> Tensor:
        return F.cross_entropy(self.logits(x, deltas=deltas, moves=False), y)

    def erm_step(self, x: Tensor, y: Tensor, strength: Tensor) -> None:
        """Plain training."""
        self.optimizer.zero_grad()
        self.plain_loss(x, y).backward()
        self.optimizer.step()

    def har_step(self, x: Tensor, y: Tensor, strength: Tensor) -> None:
        """HAR, implicit: everyone takes the second pass."""
        deltas = self.zeros(len(x))
        for p in self.parameters:
            p.requires_grad_(False)
        loss = self.measure(x, y, deltas)
        for p in self.parameters:
            p.requires_grad_(True)
        shifts = self.shifted(list(torch.autograd.grad(loss, deltas)), strength)
        self.optimizer.zero_grad()
        self.shifted_loss(x, y, shifts).backward()
        self.optimizer.step()


def shifted(jacobians: list[Tensor], strength: Tensor) -> list[Tensor]:
    """Return δ_ij = s_i J_ij / R_i."""
    r = torch.stack([torch.linalg.vector_norm(j, dim=(1, 2, 3)) for j in jacobians]).norm(dim=0).clamp_min(1e-12)
    return [(j * (strength / r).view(-1, 1, 1, 1)).detach() for j in jacobians]


def prepare(path: Path) -> None:
    """Write images and labels of both sets of CIFAR-10 as bytes: 50,000 and 10,000 times (label, pixels)."""
    import io

    import numpy as np
    import pyarrow.parquet as pq
    from PIL import Image

    data = Path(__file__).parent.parent.parent / "shared" / "data"
    with path.open("wb") as out:
        for name in ("train", "test"):
            table = pq.read_table(data / f"cifar10_{name}.parquet", columns=["image", "label"])
            for image, label in zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True):
                pixels = np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB")).transpose(2, 0, 1)
                out.write(bytes([label]) + pixels.tobytes())


def read(path: Path, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training images (standardized), labels, test images, labels, on the device."""
    raw = torch.from_file(str(path), size=(TRAIN + TEST) * (PIXELS + 1), dtype=torch.uint8).view(-1, PIXELS + 1)
    raw = raw.to(device)
    y = raw[:, 0].long()
    x = raw[:, 1:].view(-1, 3, 32, 32).float() / 255
    mean, deviation = x[:TRAIN].mean((0, 2, 3), keepdim=True), x[:TRAIN].std((0, 2, 3), keepdim=True)
    x = ((x - mean) / deviation).contiguous(memory_format=torch.channels_last)
    return x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]


def corrupted(y: Tensor, imbalance: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the rows that are left, and all labels as given."""
    g = torch.Generator().manual_seed(seed)
    given, device = y.cpu().clone(), y.device
    for a, b in PAIRS:
        for c, other in ((a, b), (b, a)):
            own = (y.cpu() == c) & (torch.rand(len(y), generator=g) < 0.4)
            given[own] = other
    rows = torch.randperm(len(y), generator=g)
    kept = [rows[given[rows] == c][: 5000 // imbalance if c in NOISY else None] for c in range(10)]
    return torch.cat(kept).to(device), given.to(device)


def batches(x: Tensor, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's images, cropped and flipped, with their rows; whole batches only."""
    order = rows[torch.randperm(len(rows), device=rows.device)]
    for chosen in order[: len(order) // BATCH * BATCH].split(BATCH):
        images = F.pad(x[chosen], (4, 4, 4, 4))
        top, left = torch.randint(9, (2, BATCH, 1), device=x.device)
        flip = torch.rand(BATCH, 1, device=x.device) < 0.5
        line = torch.arange(32, device=x.device)
        across = torch.where(flip, 31 - line, line) + left
        picked = images[
            torch.arange(BATCH, device=x.device)[:, None, None], :, (top + line)[:, :, None], across[:, None, :]
        ]
        yield picked.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last), chosen


def trained(
    kind: str, x: Tensor, given: Tensor, rows: Tensor, tau: Tensor, epochs: int, seed: int, compiled: bool
) -> Net:
    """Train a fresh network on `rows`."""
    torch.manual_seed(seed)
    net = Net(x.device, compiled)
    step = getattr(net, f"{kind}_step")
    schedule = torch.optim.lr_scheduler.MultiStepLR(net.optimizer, [epochs * 2 // 3, epochs * 5 // 6], 0.1)
    net.net.train()
    for _ in range(epochs):
        for images, chosen in batches(x, rows):
            torch.compiler.cudagraph_mark_step_begin()
            step(images, given[chosen], tau[given[chosen]])
        schedule.step()
    return net


@torch.no_grad()
def wrong(net: Net, x: Tensor, y: Tensor) -> Tensor:
    """Return whether each prediction differs from y, [n] bool."""
    net.net.eval()
    return torch.cat([net.logits(part).argmax(1) for part in x.split(2000)]) != y


def estimated(x: Tensor, given: Tensor, rows: Tensor, epochs: int, seed: int, compiled: bool) -> Tensor:
    """Return λτ [10], from two folds, each predicted by a network trained on the other for a quarter of the epochs."""
    fold = torch.arange(len(rows), device=rows.device) % 2
    rows = rows[torch.randperm(len(rows), device=rows.device)]
    errors = torch.zeros(10, device=x.device)
    none = torch.zeros(10, device=x.device)
    for k in (0, 1):
        net = trained("erm", x, given, rows[fold != k], none, max(1, epochs // 4), seed + k + 1, compiled)
        held = rows[fold == k]
        errors += torch.bincount(given[held][wrong(net, x[held], given[held])], minlength=10)
    count = torch.bincount(given[rows], minlength=10)
    tau = strengths((errors / count).cpu(), (count / len(rows)).cpu())
    return STRENGTH * tau.float().to(x.device)


def synchronized(device: torch.device) -> float:
    """Return the time once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def step_ratios(x: Tensor, y: Tensor, compiled: bool, rounds: int, device: torch.device) -> dict[str, float]:
    """Return the milliseconds of a step of each kind, and their ratios to the plain one."""
    nets = {kind: Net(device, compiled) for kind in ("erm", "har")}
    tau = torch.linspace(0.01, 0.1, BATCH, device=device)
    times: dict[str, list[float]] = {kind: [] for kind in nets}
    for round_ in range(rounds + 1):
        for kind, net in nets.items():
            start = synchronized(device)
            for _ in range(20 if device.type == "cuda" else 1):
                torch.compiler.cudagraph_mark_step_begin()
                getattr(net, f"{kind}_step")(x[:BATCH], y[:BATCH], tau)
            if round_:
                times[kind].append((synchronized(device) - start) / (20 if device.type == "cuda" else 1))
    figures = {f"{kind}_step_ms": statistics.median(kept) * 1000 for kind, kept in times.items()}
    figures["har_step_ratio"] = statistics.median(a / b for a, b in zip(times["har"], times["erm"], strict=True))
    return figures


def main() -> None:
    """Parse the options, prepare or measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prepare", "run"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--imbalances", default="10,100")
    parser.add_argument("--limit", type=int, help="training images, for a trial")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    arguments = parser.parse_args()
    if arguments.what == "prepare":
        prepare(arguments.file)
        return
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: no CUDA device here; --device cpu --eager --limit 2000 --epochs 1 tries the script out")
    from common import hardware, show

    device, compiled = torch.device(arguments.device), not arguments.eager
    torch.backends.cudnn.benchmark = True
    x, y, test_x, test_y = read(arguments.file, device)
    figures: dict[str, object] = dict(step_ratios(x, y, compiled, 9 if compiled else 2, device))
    for imbalance in (int(i) for i in arguments.imbalances.split(",")):
        for kind in ("erm", "har"):
            seconds, noisy, clean = [], [], []
            for seed in range(arguments.seeds):
                torch.manual_seed(seed)
                rows, given = corrupted(y[: arguments.limit], imbalance, seed)
                start = synchronized(device)
                tau = torch.zeros(10, device=device)
                if kind == "har":
                    tau = estimated(x, given, rows, arguments.epochs, seed, compiled)
                net = trained(kind, x, given, rows, tau, arguments.epochs, seed, compiled)
                seconds.append(synchronized(device) - start)
                right = ~wrong(net, test_x, test_y)
                is_noisy = torch.isin(test_y, torch.tensor(NOISY, device=device))
                noisy.append(right[is_noisy].float().mean().item())
                clean.append(right[~is_noisy].float().mean().item())
            name = f"imbalance {imbalance}, {kind}"
            figures[f"{name}: seconds"] = [round(s, 1) for s in seconds]
            figures[f"{name}: noisy classes"] = [round(a, 4) for a in noisy]
            figures[f"{name}: clean classes"] = [round(a, 4) for a in clean]
    show(figures | {"epochs": arguments.epochs, **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
