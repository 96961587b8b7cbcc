"""HAR(strength="auto") against every strength of a grid, and against choosing by held-out labels.

    python benchmarks/har_strength.py [--json] [--seeds 4] [--first-seed 3000] [--held-out]
        [--data digits,fashion,diamonds,cifar,worse,imdb,cifar-resnet,fashion-resnet] [--folder FOLDER] [--rows 1000]
        [--out LINES]

For each data set and seed: one estimate of the noise; plain training; HAR at 0.1, 0.3, 1 and 3; HAR that chooses
between 1 and plain training; and, if asked for, the strength of the grid with the best class-averaged accuracy on
held-out noisy labels, two folds (`held-out`). Prints the mean and worst regret in focus accuracy against the best of
the grid for each seed, the mean difference to plain training, the accuracy of the worst class (of those with ten test
rows), the strengths found, and the seconds as multiples of plain training; then the bounds that auto is held to: its
mean regret over the data sets, and in how many runs it is more than half a point below plain training, or its worst
class more than two. --folder adds sets of Parquet files by the default network, noise of their own and put into clean
ones (those of `noise_estimate.py`); `--data ""` leaves the others out. --out keeps each run as a line of a file; the
same command then goes on from there, also in several processes with seeds of their own.

The best of five by the test labels is best by luck too. So there is a second regret, without the luck: the best by one
half of the test rows of each class, on the other half, and the same with the halves exchanged. That best is a weaker
one, so this regret is too low; the true one lies between both.

Test labels are clean and have no say in any choice but "best of the grid". A data set whose file is absent is left out.
One seed takes, on one core, half a minute for digits, 1 to 3 for tables and vectors, 5 to 8 for the two ResNets and
for reviews, and about an hour for the sets of a folder.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from common import CIFAR, hardware, show
from noise_estimate import real
from resumable import Lines
from skedastic.data import Dataset, affected_classes, folds, from_arrays
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
from true_classes import opened

Features = Callable[[np.ndarray], np.ndarray]  # of images [n, H, W, ...] as bytes
GRID = (0.0, 0.1, 0.3, 1.0, 3.0)
LEAST_TESTED = 10  # rows of a class that may be the worst
BEHIND, WORSE = 0.005, 0.02  # of plain training's accuracy, and of its worst class
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


def every_set(names: list[str], folder: Path | None, rows: int, seed: int) -> Iterator[tuple[str, Config, Data]]:
    """Yield name, configuration and data of the sets that were asked for."""
    for name in names:
        yield name, *SETS[name][0](seed)
    for _, name, frame in () if folder is None else real(folder, rows * 3 // 2, seed):
        yield name, *opened(frame, seed)


def outcome_of(config: Config, data: Data, held_out: bool) -> dict[str, Any]:
    """Return, by way of training, the accuracy of each class, the seconds, and what strength it was."""
    make_net = network(config, data)
    estimated = estimate_noise(config, data, make_net)
    ways: dict[str, Method] = {f"{s:g}": HAR(strength=s) if s else ERM() for s in GRID}
    ways |= {"auto": HAR(strength="auto")}
    outcome: dict[str, Any] = {"seed": config.seed, "estimate seconds": estimated.seconds, "groups": data.train.groups}
    for way, method in ways.items():
        result = train_and_evaluate(config, data, method, make_net, estimated)
        assert result.metrics is not None
        largest = None if result.strengths is None else float(result.strengths.max())
        groups = result.metrics.groups.values()
        accuracy = [group.value for group in groups]
        outcome["tested"] = [i for i, group in enumerate(groups) if group.n >= LEAST_TESTED]  # of each way the same
        halves = accuracy_of_halves(
            result.trained.predict(data.test.x).argmax(1) == data.test.y, data.test, config.seed
        )
        outcome[way] = {"accuracy": accuracy, "halves": halves, "strength": largest, "seconds": result.trained.seconds}
        outcome[way] |= {"trials": [trial.to_dict() for trial in result.trained.trials]}
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
    there = [i for i, a in enumerate(outcome["0"]["accuracy"]) if a is not None]
    outcome["focus"] = [i for i in map(data.train.groups.index, focus) if i in there]
    return outcome


def accuracy_of_halves(right: torch.Tensor, test: Dataset, seed: int) -> list[list[float | None]]:
    """Return the accuracy of each group in each half of the test rows, [2][G]; None where there is no row."""
    order = torch.randperm(len(right), generator=torch.Generator().manual_seed(seed))
    half = torch.empty(len(right), dtype=torch.int64)
    for g in range(len(test.groups)):
        rows = order[test.group[order] == g]
        half[rows] = torch.arange(len(rows)) % 2
    parts = [[right[(half == h) & (test.group == g)].float() for g in range(len(test.groups))] for h in (0, 1)]
    return [[float(part.mean()) if len(part) else None for part in parts[h]] for h in (0, 1)]


def regret_without_luck(run: dict[str, Any], way: str) -> float:
    """Return by how much the best of the grid by one half of the test rows is better on the other half, in the mean."""
    focus = [
        {w: mean_there(run[w]["halves"][h], run["focus"]) for w in (way, *(f"{s:g}" for s in GRID))} for h in (0, 1)
    ]
    best = [max((f"{s:g}" for s in GRID), key=by.__getitem__) for by in focus]
    return float(np.mean([focus[1 - h][best[h]] - focus[1 - h][way] for h in (0, 1)]))


def mean_there(accuracy: list[float | None], groups: list[int]) -> float:
    """Return the mean accuracy of those of the groups that have rows."""
    return float(np.mean([a for a in (accuracy[g] for g in groups) if a is not None]))


def values_of(run: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the figures of each way of training in one run."""
    ways = [way for way in run if isinstance(run[way], dict)]
    accuracy = {way: dict(enumerate(run[way]["accuracy"])) for way in ways}
    focus = {way: float(np.mean([a[g] for g in run["focus"]])) for way, a in accuracy.items()}
    worst = {way: min((a[g] for g in run["tested"]), default=nan) for way, a in accuracy.items()}
    best = max(focus[f"{s:g}"] for s in GRID)
    return {
        way: {
            "focus": focus[way],
            "regret": best - focus[way],
            "without luck": regret_without_luck(run, way),
            "plain": focus[way] - focus["0"],
            "worst": worst[way],
            "worst, plain": worst[way] - worst["0"],
            "cost": run[way]["seconds"] / run["0"]["seconds"],
            "strength": run[way]["strength"] or 0.0,
        }
        for way in ways
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, str]:
    """Return a line for each way of training, from the runs of all seeds."""
    found = [values_of(run) for run in runs]
    lines = {}
    for way in found[0]:
        v = {name: np.array([run[way][name] for run in found]) for name in found[0][way]}
        lines[way] = (
            f"focus {v['focus'].mean():6.1%}, regret {_points(v['regret'])} (worst {100 * v['regret'].max():+5.1f}; "
            f"without luck {_points(v['without luck'])}), "
            f"over plain {_points(v['plain'])} (least {100 * v['plain'].min():+5.1f}), "
            f"worst class {v['worst'].mean():6.1%}, over plain {_points(v['worst, plain'])} "
            f"(least {100 * v['worst, plain'].min():+5.1f}), {v['cost'].mean():4.1f} × plain, "
            f"strength {v['strength'].min():.2g} to {v['strength'].max():.2g}"
        )
    return lines


def bounds(of_set: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return how auto stands to its bounds, and each fixed strength: regret, and how often it is behind."""
    return {f"all, {way}": bounds_of(of_set, way) for way in ("auto", *(f"{s:g}" for s in GRID if s))}


def bounds_of(of_set: dict[str, list[dict[str, Any]]], way: str) -> str:
    """Return the mean regret of a way over sets, and the sets and the runs in which it is behind."""
    found = [[values_of(run)[way] for run in runs] for runs in of_set.values()]
    mean = {name: np.array([np.mean([v[name] for v in of]) for of in found]) for name in found[0][0]}
    single = [v for of in found for v in of]

    def behind(name: str, least: float) -> str:
        return f"in {(mean[name] < -least).sum()} sets and {sum(v[name] < -least for v in single)} runs"

    return (
        f"regret {_points(mean['regret'])}, without luck {_points(mean['without luck'])}, over plain "
        f"{_points(mean['plain'])} in the mean of {len(found)} sets; {behind('plain', BEHIND)} of {len(single)} more "
        f"than {100 * BEHIND:g} points below plain, {behind('worst, plain', WORSE)} its worst class more than "
        f"{100 * WORSE:g} below"
    )


def _points(values: np.ndarray) -> str:
    return f"{100 * values.mean():+5.1f}"


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


def runs_of(arguments: argparse.Namespace, lines: Lines) -> dict[str, list[dict[str, Any]]]:
    """Return the runs of each set, measured or as the lines have them."""
    known = {line["run"]: line for line in lines}
    named = [name for name in arguments.data.split(",") if name]
    for name in named:
        if not SETS[name][1].exists():
            print(f"{name}: {SETS[name][1].name} is not there, left out")
    named = [name for name in named if SETS[name][1].exists()]
    of_set: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for name, config, data in every_set(named, arguments.folder, arguments.rows, seed):
            if (run := f"{name}, {seed}") not in known:
                known[run] = {"run": run, **outcome_of(config, data, arguments.held_out)}
                lines.add(known[run])
            of_set[name].append(known[run])
            over = values_of(of_set[name][-1])["auto"]["plain"]
            print(f"{name}, seed {seed}: auto {100 * over:+.1f} over plain", file=sys.stderr, flush=True)
    return of_set


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=3000)
    parser.add_argument("--held-out", action="store_true", help="also the rule that trains at every strength")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rows", type=int, default=1000, help="to train on, of the sets of a folder")
    parser.add_argument("--out", type=Path, help="file that keeps each run as a line")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        of_set = runs_of(arguments, Lines(arguments.out or Path(folder) / "lines.jsonl"))
    if arguments.json:
        print(json.dumps(of_set | hardware(), indent=2))
        return
    figures = {f"{name}, {way}": line for name, runs in of_set.items() for way, line in summary(runs).items()}
    seeds = f"{arguments.first_seed} + {arguments.seeds}"
    show(figures | bounds(of_set) | {"seeds": seeds, **hardware()}, False)


if __name__ == "__main__":
    main()
