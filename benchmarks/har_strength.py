"""HAR(strength="auto") against every strength of a grid, and against choosing by held-out labels.

    python benchmarks/har_strength.py [--json] [--seeds 4] [--first-seed 3000] [--held-out]
        [--data digits,fashion,diamonds,cifar,worse,imdb,cifar-resnet,fashion-resnet]

For each data set and seed: one estimate of the noise; plain training; HAR at 0.1, 0.3, 1 and 3; HAR that chooses
between 1 and plain training; and, if asked for, the strength of the grid with the best class-averaged accuracy on
held-out noisy labels, two folds (`held-out`). Prints the mean and worst regret in focus accuracy against the best of
the grid for each seed, the mean difference to plain training, the accuracy of the worst class, the strengths found, and
the seconds as multiples of plain training.

Test labels are clean and have no say in any choice but "best of the grid". A data set whose file is absent is left out.
One seed takes, on one core, half a minute for digits, 1 to 3 for tables and vectors, 5 to 8 for the two ResNets and
for reviews.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from common import CIFAR, hardware, show
from skedastic.data import affected_classes, folds, from_arrays
from skedastic.methods.bases.method import Method
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.pipeline import estimate_noise, train_and_evaluate
from skedastic.pipeline.prepare import Data, network, open_data
from skedastic.settings.config import Config
from skedastic.settings.reading import read
from skedastic.training import train
from skedastic.training.loop import make_task

Features = Callable[[np.ndarray], np.ndarray]  # of images [n, H, W, ...] as bytes
GRID = (0.0, 0.1, 0.3, 1.0, 3.0)
DEMO = Path(__file__).parent.parent / "examples" / "demo.toml"
DIAMONDS = CIFAR.parent / "diamonds.parquet"
REVIEWS = CIFAR.parent / "imdb_features_train.parquet"
FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's package of it
MLP = {"model": {"name": "mlp"}, "train": {"epochs": 40, "batch_size": 128, "lr": 0.02}}
ADAM = {"batch_size": 64, "optimizer": "adamw", "lr": 0.003, "weight_decay": 0.01, "schedule": "cosine", "warmup": 0.13}
RESNET = {
    "model": {"name": "resnet32", "blocks": 1, "width": 8},
    "train": {"epochs": 20, "augment": "none", **ADAM},
}
EXCHANGED = {"noise": "3<->5:0.4,1<->9:0.4", "imbalance": "step:3:1,3,5,9"}
GARMENTS = {"noise": "0<->6:0.4,7<->9:0.4", "imbalance": "step:3:0,6,7,9"}


def digits(seed: int) -> tuple[Config, Data]:
    """The demo: 26 examples of each noisy class."""
    config = read(DEMO, {"seed": seed})
    return config, open_data(config)


def diamonds(seed: int) -> tuple[Config, Data]:
    """The cut of 4,000 diamonds; Very Good and Premium are exchanged, and cut to a third."""
    settings = {"source": str(DIAMONDS), "target": "cut", "test": "0.1", "limit": 4000, "seed": seed, **MLP}
    settings |= {"noise": "Very Good<->Premium:0.4", "imbalance": "step:3:Very Good,Premium"}
    config = read(None, settings)
    return config, open_data(config)


def fashion(seed: int) -> tuple[Config, Data]:
    """2,500 garments; T-shirts and shirts, and sneakers and boots, are exchanged, and cut to a third."""
    return _fashion(MLP | {"seed": seed}, _flat)


def fashion_resnet(seed: int) -> tuple[Config, Data]:
    """The same at 14 × 14 for a small ResNet, 20 epochs."""
    return _fashion(RESNET | {"seed": seed}, lambda images: _shrunk(images)[:, None])


def cifar(seed: int) -> tuple[Config, Data]:
    """3,000 images of CIFAR-10 at 16 × 16, as vectors; cat, dog, automobile, truck are exchanged and cut to a third."""
    return _cifar({"source": "cifar", **EXCHANGED, **MLP, "seed": seed}, "label", lambda images: _flat(_shrunk(images)))


def cifar_resnet(seed: int) -> tuple[Config, Data]:
    """The same images at 32 × 32 for a small ResNet, 20 epochs."""
    return _cifar(
        {"source": "cifar", **EXCHANGED, **RESNET, "seed": seed}, "label", lambda images: images.transpose(0, 3, 1, 2)
    )


def worse(seed: int) -> tuple[Config, Data]:
    """3,000 images of CIFAR-10 at 16 × 16, as vectors, with the human labels "worse"; all classes are in focus."""
    return _cifar({"source": "worse", **MLP, "seed": seed}, "worse", lambda images: _flat(_shrunk(images)))


def imdb(seed: int) -> tuple[Config, Data]:
    """25,000 reviews as 256 numbers (TF-IDF, SVD); 40 % of the positive are labelled negative, 5 % the other way."""
    settings = {"source": str(REVIEWS), "target": "label", "test": str(CIFAR.parent / "imdb_features_test.parquet")}
    settings |= {"ignore": ("rating", "id"), "noise": "1->0:0.4,0->1:0.05", "seed": seed}
    config = read(None, settings | MLP)
    return config, open_data(config)


SETS: dict[str, tuple[Callable[[int], tuple[Config, Data]], Path]] = {
    "digits": (digits, DEMO),
    "fashion": (fashion, FASHION / "train-images-idx3-ubyte.gz"),
    "diamonds": (diamonds, DIAMONDS),
    "cifar": (cifar, CIFAR),
    "worse": (worse, CIFAR),
    "imdb": (imdb, REVIEWS),
    "cifar-resnet": (cifar_resnet, CIFAR),
    "fashion-resnet": (fashion_resnet, FASHION / "train-images-idx3-ubyte.gz"),
}


def run_seed(name: str, seed: int, held_out: bool) -> dict[str, Any]:
    """Return, by way of training, the accuracy of each class, the seconds, and what strength it was."""
    config, data = SETS[name][0](seed)
    make_net = network(config, data)
    estimated = estimate_noise(config, data, make_net)
    ways: dict[str, Method] = {f"{s:g}": HAR(strength=s) if s else ERM() for s in GRID}
    ways |= {"auto": HAR(strength="auto")}
    outcome: dict[str, Any] = {"seed": seed, "estimate seconds": estimated.seconds, "groups": data.train.groups}
    for way, method in ways.items():
        result = train_and_evaluate(config, data, method, make_net, estimated)
        assert result.metrics is not None
        largest = None if result.strengths is None else float(result.strengths.max())
        accuracy = [group.value for group in result.metrics.groups.values()]
        outcome[way] = {"accuracy": accuracy, "strength": largest, "seconds": result.trained.seconds}
    if held_out:
        scores, seconds = {}, 0.0
        for s in GRID:
            task = replace(make_task(data.train), stats=estimated.stats)
            scores[s], spent = _held_out_accuracy(config, data, ways[f"{s:g}"], make_net, task)
            seconds += spent
        best = max(scores, key=lambda s: scores[s])
        chosen = outcome[f"{best:g}"]
        outcome["held-out"] = chosen | {"strength": best, "seconds": seconds + chosen["seconds"]}
    focus = affected_classes(config.noise, config.imbalance, data.train.classes) or data.train.classes
    outcome["focus"] = [data.train.groups.index(c) for c in focus]
    return outcome


def summary(runs: list[dict[str, Any]]) -> dict[str, str]:
    """Return a line for each way of training, from the runs of all seeds."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        ways = [way for way in run if isinstance(run[way], dict)]
        focus = {way: float(np.mean([run[way]["accuracy"][g] for g in run["focus"]])) for way in ways}
        best = max(focus[f"{s:g}"] for s in GRID)
        for way in ways:
            v = values[way]
            v["focus"].append(focus[way])
            v["regret"].append(best - focus[way])
            v["plain"].append(focus[way] - focus["0"])
            v["worst"].append(min(run[way]["accuracy"]))
            v["cost"].append(run[way]["seconds"] / run["0"]["seconds"])
            v["strength"].append(run[way]["strength"] or 0.0)
    lines = {}
    for way, v in values.items():
        regret, least = np.array(v["regret"]) * 100, min(v["plain"]) * 100
        lines[way] = (
            f"focus {np.mean(v['focus']):6.1%}, regret {regret.mean():+5.1f} (worst {regret.max():+5.1f}), "
            f"over plain {np.mean(v['plain']) * 100:+5.1f} (least {least:+5.1f}), "
            f"worst class {np.mean(v['worst']):6.1%}, {np.mean(v['cost']):4.1f} × plain, "
            f"strength {min(v['strength']):.2g} to {max(v['strength']):.2g}"
        )
    return lines


def _held_out_accuracy(config: Config, data: Data, method: Method, make_net: Any, task: Task) -> tuple[float, float]:
    """Return the class-averaged accuracy on the given labels, each half predicted from the other, and the seconds."""
    d, seconds = data.train, 0.0
    fold = folds(d.group, d.y, 2, config.seed)
    right = torch.zeros(len(d))
    for k in range(2):
        trained = train(
            method, d.subset((fold != k).nonzero()[:, 0]), make_net, config.train, seed=config.seed, task=task
        )
        held = d.subset((fold == k).nonzero()[:, 0])
        right[fold == k] = (trained.predict(held.x).argmax(1) == held.y).float()
        seconds += trained.seconds
    return float(torch.stack([right[d.group == g].mean() for g in d.group.unique()]).mean()), seconds


def _cifar(settings: dict[str, Any], column: str, features: Features) -> tuple[Config, Data]:
    config = read(None, settings | {"test": "given"})
    table = pd.read_parquet(CIFAR).sample(6000, random_state=config.seed)
    x = features(np.stack([np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in table["image"]]))
    given, clean = table[column].to_numpy(), table["label"].to_numpy()
    return config, open_data(config, from_arrays(x[:3000], given[:3000]), (x[3000:], clean[3000:]))


def _fashion(settings: dict[str, Any], features: Features) -> tuple[Config, Data]:
    config = read(None, {"source": "fashion", **GARMENTS, "test": "given", **settings})
    rows = np.random.default_rng(config.seed).permutation(60000)[:2500]
    x, y, test_x, test_y = (
        _idx(f"{part}-{kind}") for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    source = from_arrays(features(x[rows]), y[rows].astype(int))
    return config, open_data(config, source, (features(test_x[:3000]), test_y[:3000].astype(int)))


def _idx(name: str) -> np.ndarray:
    with gzip.open(FASHION / f"{name}.gz") as file:
        raw = file.read()
    shape = np.frombuffer(raw, ">i4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def _shrunk(images: np.ndarray) -> np.ndarray:
    """Return images [n, H, W, ...] at half the size, each pixel the mean of four."""
    n, height, width, *rest = images.shape
    blocks = images.reshape(n, height // 2, 2, width // 2, 2, *rest).astype(np.float32)
    return blocks.mean((2, 4)).round().astype(np.uint8)


def _flat(images: np.ndarray) -> np.ndarray:
    return (images.reshape(len(images), -1) / 255).astype(np.float32)


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=3000)
    parser.add_argument("--held-out", action="store_true", help="also the rule that trains at every strength")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name in arguments.data.split(","):
        if not SETS[name][1].exists():
            print(f"{name}: {SETS[name][1].name} is not there, left out")
            continue
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        runs = [run_seed(name, seed, arguments.held_out) for seed in seeds]
        figures |= {name: runs} if arguments.json else {f"{name}, {way}": line for way, line in summary(runs).items()}
    if arguments.json:
        print(json.dumps(figures | hardware(), indent=2))
    else:
        show(figures | {"seeds": f"{arguments.first_seed} + {arguments.seeds}", **hardware()}, False)


if __name__ == "__main__":
    main()
