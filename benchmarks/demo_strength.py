"""How the demo's strength was chosen: HAR and uniform regularization at several strengths, on development seeds.

    python benchmarks/demo_strength.py [--json] [--seeds 16] [--first-seed 1000] [--strengths 0.75,1,1.25,1.5,2]
        [--set train.batch_size=128]

The demo reports other seeds (100 and up). Prints, for each strength, the mean accuracy on the focus classes and on the
rest, and the paired difference to plain training with a 95 % t-interval.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from common import hardware, show
from skedastic.evaluation.intervals import mean_interval, paired
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.pipeline import estimate_noise, train_and_evaluate
from skedastic.pipeline.prepare import network, open_data
from skedastic.runs.comparison import Comparison
from skedastic.runs.seeds import SeedOutcome, on_this_machine, run_seeds
from skedastic.settings.config import Config
from skedastic.settings.reading import read

DEMO = Path(__file__).parent.parent / "examples" / "demo.toml"


def run_seed(config: Config) -> SeedOutcome:
    """Train every method of `config.methods`, named such as "har-1.25", on one seed."""
    data = open_data(config)
    make_net = network(config, data)
    estimated = estimate_noise(config, data, make_net)
    outcomes = []
    for name in config.methods:
        kind, _, strength = name.partition("-")
        weighting = "uniform" if kind == "unif" else "adaptive"
        method = ERM() if kind == "erm" else HAR(strength=float(strength), weighting=weighting)
        result = train_and_evaluate(config, data, method, make_net, estimated)
        outcomes.append(SeedOutcome.of(config.seed, name, result))
    return SeedOutcome.joined(outcomes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--strengths", default="0.75,1,1.25,1.5,2")
    parser.add_argument("--set", action="append", default=[], help="a setting, such as train.batch_size=128")
    arguments = parser.parse_args()
    names = [f"{kind}-{s}" for kind in ("unif", "har") for s in arguments.strengths.split(",")]
    config = read(DEMO, {"seeds": arguments.seeds, "first_seed": arguments.first_seed}, arguments.set)
    config = replace(config, methods=("erm", *names))
    comparison = Comparison(config, run_seeds(on_this_machine(run_seed, 0), config, None))
    figures = {}
    for name, parts in comparison.values.items():
        focus, rest = (mean_interval(parts[part]) for part in ("focus", "rest"))
        gain = paired(parts["focus"], comparison.values["erm"]["focus"])
        figures[name] = (
            f"focus {focus['mean']:.1%}, rest {rest['mean']:.1%}, "
            f"focus − erm {gain['mean'] * 100:+.1f} ({gain['low'] * 100:+.1f} to {gain['high'] * 100:+.1f})"
        )
    show(figures | {"seeds": f"{arguments.first_seed} + {arguments.seeds}", **hardware()}, arguments.json)


if __name__ == "__main__":
    main()
