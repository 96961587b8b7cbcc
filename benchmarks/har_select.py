"""HAR by the fraction of λ below which nothing is enforced: how much `select="auto"` leaves out, at what accuracy.

    python benchmarks/har_select.py [--json] [--data digits,fashion] [--seeds 24] [--first-seed 3000] [--strength auto]
        [--steps resnet32,transformer,bilstm] [--batch 128]

The data sets are those of `har_strength.py`. For each seed: one estimate; plain training; HAR that enforces nothing on
groups whose λτ is below each fraction of the largest, 0 being everyone. Prints, for each fraction, the accuracy of the
classes in focus over plain training's and over everyone's, paired by seed with 95 % t-intervals, the accuracy of the
worst class, the share of the training examples that are regularized, and the seconds over those of plain training.

Of one step in training mode, where 6 % of the batch have a strength (ResNet-32 with BatchNorm, and the transformer and
the BiLSTM of `har_step.py`): the cosine between the penalty's gradient with `select="auto"` and with everyone's second
pass, the ratio of their norms, and the time over that of plain training; medians of five rounds.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from common import hardware, show
from har_step import measured, network_and_batch, some_of
from har_strength import SETS
from skedastic.core import JacobianPenalty, regularized_loss
from skedastic.core.jacobian import cross_entropy
from skedastic.data import affected_classes
from skedastic.evaluation.intervals import paired
from skedastic.methods import har
from skedastic.methods.bases.method import Method
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.pipeline import estimate_noise, train_and_evaluate
from skedastic.pipeline.prepare import network

FRACTIONS = (0.0, 0.1, 0.2, 0.3)
STEPS = ("resnet32", "transformer", "bilstm")
Runs = dict[str, dict[str, list[float]]]  # way of training -> figure -> one value a seed


def run_seed(name: str, seed: int, method: HAR, runs: Runs) -> None:
    """Train every way on one seed, and append the figures."""
    config, data = SETS[name][0](seed)
    make_net = network(config, data)
    estimated = estimate_noise(config, data, make_net)
    focus = affected_classes(config.noise, config.imbalance, data.train.classes) or data.train.classes
    ways: dict[str, tuple[Method, float]] = {"erm": (ERM(), 0.0)}
    ways |= {f"{fraction:g}": (method, fraction) for fraction in FRACTIONS}
    for way, (trained, fraction) in ways.items():
        with patch.object(har, "NOT_ENFORCED_BELOW", fraction):
            result = train_and_evaluate(config, data, trained, make_net, estimated)
        enforced = result.strengths
        assert result.metrics is not None
        groups = {name: group.accuracy for name, group in result.metrics.groups.items()}
        values = runs[way]
        values["focus"].append(float(np.mean([groups[c] for c in focus])))
        values["worst"].append(min(groups.values()))
        values["share"].append(0.0 if enforced is None else float((enforced[data.train.group] > 0).double().mean()))
        values["seconds"].append(result.trained.seconds)


def lines(runs: Runs) -> dict[str, str]:
    """Return a line for each fraction."""
    rows = {}
    for way in map("{:g}".format, FRACTIONS):
        values = runs[way]
        over = {base: _paired(values["focus"], runs[base]["focus"]) for base in ("erm", "0")}
        cost = np.mean(values["seconds"]) / np.mean(runs["erm"]["seconds"])
        rows[way] = (
            f"focus over plain {over['erm']}, over everyone's {over['0']}, worst class {np.mean(values['worst']):.1%} "
            f"(plain {np.mean(runs['erm']['worst']):.1%}), {np.mean(values['share']):.0%} of the examples, "
            f"{cost:.2f} × plain"
        )
    return rows


def _paired(values: list[float], base: list[float]) -> str:
    difference = paired(values, base)
    if difference["low"] is None:
        return f"{difference['mean'] * 100:+.1f}"
    return f"{difference['mean'] * 100:+.1f} ({difference['low'] * 100:+.1f} to {difference['high'] * 100:+.1f})"


def gradients_agree(name: str, batch: int) -> tuple[float, float]:
    """Return cosine and ratio of norms of the penalty's gradients, of `select="auto"` and of everyone's second pass."""
    torch.manual_seed(0)
    net, x = network_and_batch(name, batch)
    y, strength = torch.randint(0, 10, (len(x),)), some_of(torch.full((len(x),), 0.1))

    def gradient(total: Tensor) -> Tensor:
        gradients = torch.autograd.grad(total, list(net.parameters()), allow_unused=True)
        return torch.cat([g.flatten() for g in gradients if g is not None]).double()

    plain = gradient(cross_entropy(net(x), y).mean())
    part = gradient(regularized_loss(net, x, y, strength).total) - plain
    everyone = gradient(regularized_loss(net, x, y, strength, penalty=JacobianPenalty(select=1.0)).total) - plain
    return float(torch.cosine_similarity(part, everyone, dim=0)), float(part.norm() / everyone.norm())


def step_line(name: str, batch: int) -> str:
    """Return how a step of a part fares, right and fast."""
    cosine, norms = gradients_agree(name, batch)
    prefix = "" if name == "resnet32" else f"{name}_"
    times = measured(name, batch, 5, kinds=("erm", "select"))
    low, high = times[f"{prefix}select_ratio_range"]
    return f"cosine {cosine:.3f}, norm × {norms:.2f}, {times[f'{prefix}select_ratio']:.2f} × plain ({low} to {high})"


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", default="digits,fashion")
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=3000)
    parser.add_argument("--strength", default="auto", help="a number, or auto")
    parser.add_argument("--steps", default=",".join(STEPS), help="networks whose step is measured; none: ''")
    parser.add_argument("--batch", type=int, default=128, help="of the ResNet-32's step")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    method = HAR(strength="auto" if arguments.strength == "auto" else float(arguments.strength))
    steps = filter(None, arguments.steps.split(","))
    figures: dict[str, object] = {f"a step, {name}": step_line(name, arguments.batch) for name in steps}
    for name in filter(None, arguments.data.split(",")):
        if not SETS[name][1].exists():
            print(f"{name}: {SETS[name][1].name} is not there, left out")
            continue
        runs: Runs = defaultdict(lambda: defaultdict(list))
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            run_seed(name, seed, method, runs)
        shown = runs if arguments.json else lines(runs)
        figures |= {f"{name}, {way}": value for way, value in shown.items()}
    show(figures | {"seeds": f"{arguments.first_seed} + {arguments.seeds}", **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
