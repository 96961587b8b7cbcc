"""HAR by the way to the gradient of its penalty: how well exact, implicit and finite do, each at its best strength.

    python benchmarks/har_gradient.py [--json] [--data digits,features,page-blocks,diamonds] [--seeds 10]
        [--first-seed 3000] [--tuning-seeds 3] [--strengths 0.1,0.3,1,3] [--epochs N]

Digits and diamonds are those of `har_strength.py`; features are 4,000 CIFAR-10 images as 256 numbers with the human
labels "worse"; page-blocks are blocks of pages with a third of the labels of two rare classes exchanged. Everyone is
regularized (select=1.0). The strength of each way is the one with the best mean accuracy of the classes in focus on
seeds of their own, after those reported. For each seed one estimate serves all. Prints, for each data set and way, its
strength, the accuracy of the classes in focus and its difference to plain training and to exact, paired by seed with
95 % t-intervals, and the seconds over those of plain training. Test labels are clean.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from common import CIFAR, hardware, show
from har_strength import MLP, diamonds, digits
from skedastic.core.jacobian import Gradient
from skedastic.data import affected_classes
from skedastic.evaluation.intervals import mean_interval, paired
from skedastic.methods.bases.method import Method
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.pipeline import estimate_noise, train_and_evaluate
from skedastic.pipeline.prepare import Data, network, open_data
from skedastic.settings.config import Config
from skedastic.settings.reading import read

WAYS: tuple[Gradient, ...] = ("exact", "implicit", "finite")
FOLDER = CIFAR.parent
HUMAN = ("aggre", "random1", "random2", "random3", "index")


def features(seed: int) -> tuple[Config, Data]:
    """4,000 images as the numbers of a network trained on others, labelled by people; all classes are in focus."""
    settings = {"source": str(FOLDER / "cifar10_features_train.parquet"), "target": "worse", "truth": "label"}
    settings |= {"test": str(FOLDER / "cifar10_features_test.parquet"), "ignore": HUMAN, "limit": 4000, "seed": seed}
    return _opened(settings | MLP)


def page_blocks(seed: int) -> tuple[Config, Data]:
    """Blocks of pages of five kinds, of which vertical lines and pictures are exchanged."""
    settings = {"source": str(FOLDER / "page_blocks.parquet"), "target": "label", "ignore": ("split",), "test": "0.3"}
    return _opened(settings | {"noise": "picture<->vertical line:0.33", "seed": seed} | MLP)


def _opened(settings: dict[str, object]) -> tuple[Config, Data]:
    config = read(None, settings)
    return config, open_data(config)


SETS: dict[str, Callable[[int], tuple[Config, Data]]] = {
    "digits": digits,
    "features": features,
    "page-blocks": page_blocks,
    "diamonds": diamonds,
}


class Outcome(NamedTuple):
    """The accuracy of the classes in focus, and the seconds of the training."""

    focus: float
    seconds: float


def outcomes(name: str, seed: int, methods: dict[str, Method], epochs: int | None) -> dict[str, Outcome]:
    """Return the outcome of each method on one seed of a data set."""
    config, data = SETS[name](seed)
    if epochs is not None:
        config = replace(config, train=replace(config.train, epochs=epochs))
    make_net = network(config, data)
    estimated = estimate_noise(config, data, make_net)
    focus = affected_classes(config.noise, config.imbalance, data.train.classes) or data.train.classes
    found = {}
    for key, method in methods.items():
        result = train_and_evaluate(config, data, method, make_net, estimated)
        assert result.metrics is not None
        accuracy = float(np.mean([result.metrics.groups[c].value for c in focus]))
        found[key] = Outcome(accuracy, result.trained.seconds)
    return found


def tuned(name: str, seeds: Sequence[int], strengths: Sequence[float], epochs: int | None) -> dict[Gradient, float]:
    """Return the strength of each way with the best mean on these seeds; of equal ones the smallest."""
    grid = {f"{way} {s:g}": regularized(way, s) for way in WAYS for s in strengths}
    runs = [outcomes(name, seed, grid, epochs) for seed in seeds]
    mean = {key: float(np.mean([run[key].focus for run in runs])) for key in grid}
    return {way: max(sorted(strengths), key=lambda s: mean[f"{way} {s:g}"]) for way in WAYS}


def regularized(way: Gradient, strength: float) -> Method:
    """Return HAR by a way to the gradient, of everyone."""
    return HAR(gradient=way, strength=strength, select=1.0)


def lines(name: str, runs: Sequence[dict[str, Outcome]], strengths: dict[Gradient, float]) -> dict[str, str]:
    """Return a line for each way."""
    focus = {key: [run[key].focus for run in runs] for key in runs[0]}
    seconds = {key: float(np.mean([run[key].seconds for run in runs])) for key in runs[0]}
    rows = {f"{name}, plain": _shown(mean_interval(focus["erm"]), "{:.1f}")}
    for way in WAYS:
        over = _shown(paired(focus[way], focus["erm"]), "{:+.1f}")
        beside = "" if way == "exact" else f", over exact {_shown(paired(focus[way], focus['exact']), '{:+.1f}')}"
        accuracy, cost = _shown(mean_interval(focus[way]), "{:.1f}"), seconds[way] / seconds["erm"]
        rows[f"{name}, {way}"] = f"{accuracy} at {strengths[way]:g}, over plain {over}{beside}, {cost:.1f} × plain"
    return rows


def _shown(interval: dict[str, float | None], form: str) -> str:
    mean, low, high = (None if interval[k] is None else interval[k] * 100 for k in ("mean", "low", "high"))
    return form.format(mean) + ("" if low is None else f" ({form.format(low)} to {form.format(high)})")


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=3000)
    parser.add_argument("--tuning-seeds", type=int, default=3)
    parser.add_argument("--strengths", default="0.1,0.3,1,3")
    parser.add_argument("--epochs", type=int, help="of a training, for a trial")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    grid = [float(s) for s in arguments.strengths.split(",")]
    reported = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    figures: dict[str, object] = {}
    for name in arguments.data.split(","):
        best = tuned(name, range(reported.stop, reported.stop + arguments.tuning_seeds), grid, arguments.epochs)
        methods: dict[str, Method] = {"erm": ERM()} | {way: regularized(way, s) for way, s in best.items()}
        runs = [outcomes(name, seed, methods, arguments.epochs) for seed in reported]
        figures |= {f"{name}, runs": runs, f"{name}, strengths": best} if arguments.json else lines(name, runs, best)
    about = {"seeds": f"{reported.start} + {arguments.seeds}", "tuning seeds": arguments.tuning_seeds}
    show(figures | about | hardware(), arguments.json)


if __name__ == "__main__":
    main()
