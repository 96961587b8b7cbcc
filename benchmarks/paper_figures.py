"""The papers' figures as numbers, on any data of their shape.

    python benchmarks/paper_figures.py losses SOURCE [--preset har-table8] [--config CONFIG]     HAR's Figure 1
    python benchmarks/paper_figures.py weights SOURCE [--preset absgd-figure4] [--config CONFIG] ABSGD's Figure 4, right
    python benchmarks/paper_figures.py strengths LINES                                           HAR's Figure 4

`losses` trains plainly, and shows how the losses of the training set lie: of frequent examples with right labels, of
rare ones with right labels, and of those with wrong ones. `weights` trains ABSGD, and shows after each epoch the mean
weight p_i of each class, each example at the network as it is then, in evaluation mode, as in the authors' code; 1 is
plain training. `strengths` reads the lines of `paper_tables.py`, and shows the classes in the order of their strengths
with the errors of `unif-code` and `har-code`, the rows of the presets, or else of `unif` and `har`. ABSGD's Figure 4,
left, is the preset absgd-figure4 of a comparison.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resumable import Lines
from skedastic.methods.absgd import ABSGD, ABSGDState
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.step import Clock, Logs, Step, evaluating
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM
from skedastic.pipeline.prepare import network, open_data
from skedastic.settings.config import Config
from skedastic.settings.methods import compared_methods
from skedastic.settings.reading import read
from skedastic.training import train

BINS = (0, 0.1, 0.25, 0.5, 1, 2, 4, 8, float("inf"))
KINDS = ("frequent, right", "rare, right", "wrong")
RARE = 0.5  # of the largest class


def losses(config: Config) -> dict[str, Any]:
    """Return the share of each kind of training examples whose loss lies in each bin, and the kind's mean loss."""
    data = open_data(config)
    trained = train(ERM(), data.train, network(config, data), config.train, seed=config.seed)
    y = data.train.y
    loss = -trained.predict(data.train.x)[torch.arange(len(y)), y].clamp_min(1e-12).log().numpy()
    wrong = (y != (y if data.truth is None else data.truth.of(data.train.index))).numpy()
    count = torch.bincount(y)
    rare = (count < RARE * count.max())[y].numpy()
    of_kind = dict(zip(KINDS, (~wrong & ~rare, ~wrong & rare, wrong), strict=True))
    return {
        kind: {"n": int(chosen.sum()), "mean": float(loss[chosen].mean()), "shares": shares(loss[chosen])}
        for kind, chosen in of_kind.items()
        if chosen.any()
    }


def shares(loss: np.ndarray) -> list[float]:
    """Return the shares of the losses in BINS."""
    return [float(n) / len(loss) for n in np.histogram(loss, BINS)[0]]


@dataclass(frozen=True, kw_only=True)
class Watched(ABSGD):
    """ABSGD that logs after each epoch the mean weight of each class."""

    def end_epoch(self, state: ABSGDState, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """Return the mean of p_i over each class's training examples, beside what ABSGD logs."""
        total, count = (torch.zeros(len(task.classes), device=engine.device) for _ in range(2))
        with evaluating(state):
            for batch in engine.examples():
                step = Step(state, batch, self.forward(state, batch), clock)
                p = self.instance_weights(step, self.weighted(step))
                total.index_add_(0, batch.y, torch.ones_like(total[batch.y]) if p is None else p)
                count.index_add_(0, batch.y, torch.ones_like(total[batch.y]))
        means = dict(zip(task.classes, total / count, strict=True))
        return {**(super().end_epoch(state, task, clock, engine) or {}), **{f"weight {c}": m for c, m in means.items()}}


def weights(config: Config) -> list[dict[str, Any]]:
    """Return a row for each epoch: the mean weight of each class."""
    data = open_data(config)
    method = next(m for m in compared_methods(config).values() if isinstance(m, ABSGD))
    watched = Watched(**{field.name: getattr(method, field.name) for field in fields(method)})
    trained = train(watched, data.train, network(config, data), config.train, seed=config.seed)
    return [{"epoch": row["epoch"], **{c: row[f"weight {c}"] for c in data.train.classes}} for row in trained.history]


def strengths(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each class, in the order of its strength under har-code, or har: means over the seeds."""
    code = any(line["method"] == "har-code" for line in lines)
    uniform, adaptive = ("unif-code", "har-code") if code else ("unif", "har")
    seen: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line["method"] in (uniform, adaptive) and "metrics" in line:
            for i, group in enumerate(line["metrics"]["groups"]):
                seen[group["name"]][f"error of {line['method']}"].append(1 - group["accuracy"])
                if line["method"] == adaptive:
                    seen[group["name"]]["strength"].append(line["strengths"][i])
    rows = [{"class": name, **{key: float(np.mean(of)) for key, of in by.items()}} for name, by in seen.items()]
    return sorted(rows, key=lambda row: row["strength"])


def main() -> None:
    """Print a figure's numbers, a JSON object or a row a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure", choices=("losses", "weights", "strengths"))
    parser.add_argument("source", help="data to learn from; of strengths, the file of lines")
    parser.add_argument("--preset")
    parser.add_argument("--config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    arguments = parser.parse_args()
    if arguments.figure == "strengths":
        rows = strengths(list(Lines(Path(arguments.source))))
    else:
        preset = arguments.preset or {"losses": "har-table8", "weights": "absgd-figure4"}[arguments.figure]
        config = read(arguments.config, {"source": arguments.source}, arguments.sets, preset)
        figure = losses(config) if arguments.figure == "losses" else weights(config)
        rows = [{"kind": kind, **of} for kind, of in figure.items()] if isinstance(figure, dict) else figure
    print(*map(json.dumps, rows), sep="\n")


if __name__ == "__main__":
    main()
