"""What auto chooses, against every fixed way that it tries, an oracle, a choice without guard, LightGBM and cleanlab.

    python benchmarks/evidence.py --data FOLDER [--out LINES] [--seeds 5] [--first-seed 0] [--rows 1500] [--json]
                                  [--sets ecoli,…] [--quick] [--keep FILE.jsonl.gz] [--again auto,… --from LINES]
    python benchmarks/evidence.py --from LINES [--page FILE.md] [--advice FILE.md] [--json]

The sets and the kinds of wrong labels are those of `tables.py`; so are the test rows, a third with true labels. In each
run one estimate of the noise and one split serve all:

- auto: as `fit` trains it, estimate and trials included in its seconds
- each candidate of auto, trained on all rows: mixup, HAR, …, as it is, half balanced and balanced
- of three networks: half-balanced mixup, the mean of the probabilities of three
- largest gain: of each way the best in its trial; of these the one that gained most, be it by chance
- oracle: the candidate that is best on the test labels, which nobody has; it is lucky, too
- oracle without luck: on each half of the test rows the candidate that is best on the other half
- lightgbm balanced; cleanlab: HistGradientBoosting, in rows of over 128 entries logistic regression, on the rows that
  its CleanLearning keeps; where they are installed

Prints for each of them balanced accuracy, worst class and accuracy in %, the mean rank by balanced accuracy, the gain
over plain training with its 95 % interval (`evidence_lines.by_set`), the worst gain, in how many runs it is more than
half a point above and below, in how many it gives a class up that plain training does not, what it lacks to the oracle,
and its time over plain training. Then gains by kind of labels, and by set. With --out each finished run is a line, and
the same command goes on after them; with --again a few ways alone are run anew, in the runs that --from has, and all
else is as it was there, with seconds by those of plain training in both. --keep writes the lines into a small file,
which the second form reads and runs nothing; with --seeds 0 it has the lines of --out alone. --page writes the tables
and the bounds that auto is held to as Markdown, --advice the guide to choosing (`choosing.py`). --quick is one small
run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import choosing
import evidence_page
from common import hardware, show
from evidence_lines import AUTO, PEERS, PLAIN, SEVERAL, UNGUARDED, UNLUCKY, Run, keep, read_lines, runs_of
from resumable import Line, Lines, lines_of, options
from skedastic.core.choice import Trial, gives_up_a_class
from skedastic.errors import UserError
from skedastic.methods.auto import MIXTURES, Auto
from skedastic.methods.bases.standing import Candidate
from skedastic.methods.ensemble import Ensemble
from skedastic.methods.linear import logistic
from skedastic.methods.trees import MOST_ENTRIES
from skedastic.pipeline import estimate_noise
from skedastic.pipeline.prepare import Data, network, open_data, settled
from skedastic.pipeline.steps import with_estimate
from skedastic.settings.reading import read
from skedastic.training import train
from skedastic.training.loop import make_task
from tables import KINDS, LEFT_OUT, OWN, figures, labelled

QUICK = {"sets": "ecoli", "seeds": 1, "rows": 150, "kinds": ("rare noisy",)}


def of_run(file: Path, seed: int, again: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the figures of every way by name, and the candidates that auto took, with its guard and without.

    again: the names of a few ways, which alone are run, with plain training.
    """
    given = {"source": str(file), "target": "noisy", "truth": "label", "split": "part", "seed": seed}
    config = read(None, given)
    data = open_data(config)
    config = settled(config, data)
    assert data.test is not None
    make_net, auto = network(config, data), Auto()
    start = time.perf_counter()
    estimate = estimate_noise(config, data, make_net)
    task = with_estimate(replace(make_task(data.train), seed=seed), estimate, auto, config.training.epochs)

    def trained(method: Any) -> Any:
        return train(method, data.train, make_net, config.train, seed=seed, task=task)

    predicted, spent, took = dict[str, Tensor](), dict[str, float](), dict[str, str]()
    if not again or AUTO in again:
        chosen = trained(auto)
        spent[AUTO] = time.perf_counter() - start
        predicted[AUTO] = chosen.predict(data.test.x).argmax(1)
        took = taken(auto, auto.shown(auto.base(task)), chosen.trials)
    ways = {auto.shown(candidate): auto.method(candidate, task) for candidate in auto.candidates(task)}
    candidates = list(ways)
    if (half_balanced := auto.shown(Candidate(MIXTURES, 0.5))) in ways:
        ways[SEVERAL] = Ensemble(base=ways[half_balanced], members=3)
    for name, method in ways.items():
        if not again or name in again | {PLAIN}:
            start = time.perf_counter()
            predicted[name] = trained(method).predict(data.test.x).argmax(1)
            spent[name] = time.perf_counter() - start
    for name in PEERS:
        start = time.perf_counter()
        if (not again or name in again) and (labels := of_peer(name, data)) is not None:
            predicted[name], spent[name] = labels, time.perf_counter() - start
    y, plain = data.test.y, predicted[PLAIN]
    if not again:
        predicted[UNLUCKY], spent[UNLUCKY] = without_luck({name: predicted[name] for name in candidates}, y, seed), 0.0
    found = {
        name: figures(labels, y, spent[name])._asdict() | {"gives_up": gives_up_a_class(labels, plain, y)}
        for name, labels in predicted.items()
    }
    return {"ways": found, "took": took}


def taken(auto: Auto, base: str, trials: Sequence[Trial]) -> dict[str, str]:
    """Return the names of what auto took, and of what it would have taken without guard."""
    best = max((trial for trial in trials if not trial.left_out), key=lambda trial: trial.gain.mean, default=None)
    return {
        AUTO: next((trial.name for trial in trials if trial.chosen), base),
        UNGUARDED: best.name if best is not None and best.gain.mean > 0 else base,
    }


def with_again(line: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run of earlier lines with a few ways run anew, whose seconds are scaled by those of plain training."""
    scale = line["ways"][PLAIN]["seconds"] / found["ways"][PLAIN]["seconds"]
    anew = {name: own | {"seconds": own["seconds"] * scale} for name, own in found["ways"].items() if name != PLAIN}
    return {**line, "ways": line["ways"] | anew, "took": line["took"] | found["took"]}


def without_luck(predicted: Mapping[str, Tensor], y: Tensor, seed: int) -> Tensor:
    """Return the classes of an oracle that chooses by half of the test rows for the other half."""
    first = torch.from_numpy(np.random.default_rng(seed).permutation(len(y)) % 2 == 0)
    found = torch.empty_like(y)
    for own, other in ((first, ~first), (~first, first)):
        best = max(predicted, key=lambda name: figures(predicted[name][other], y[other], 0.0).balanced)
        found[own] = predicted[best][own]
    return found


def of_peer(name: str, data: Data) -> Tensor | None:
    """Return the classes that others' tools predict of the test rows; None where they are not installed."""
    train, test = data.train, data.test
    assert isinstance(train.x, Tensor)
    assert test is not None
    assert isinstance(test.x, Tensor)
    x, y, rows = train.x.numpy(), train.y.numpy(), test.x.numpy()
    try:
        if name == "cleanlab":
            from cleanlab.classification import CleanLearning
            from sklearn.ensemble import HistGradientBoostingClassifier

            known, y = np.unique(y, return_inverse=True)
            wide = x.shape[1] > MOST_ENTRIES
            inner = logistic(0, x.shape[1], 0) if wide else HistGradientBoostingClassifier()
            fitted = CleanLearning(inner, seed=0, verbose=False).fit(x, y)
            return torch.from_numpy(known[fitted.predict(rows)])
        from lightgbm import LGBMClassifier

        fitted = LGBMClassifier(class_weight="balanced", n_jobs=1, verbose=-1).fit(x, y)
        return torch.from_numpy(np.asarray(fitted.predict(rows)))
    except (ImportError, ValueError):  # cleanlab may need more rows of a class
        return None


def facts_of(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the kind of data of a labelled frame, and of its training rows by the labels given how many there are."""
    features = frame.drop(columns=["noisy", "label", "part"])
    wide = "embeddings" if features.shape[1] > MOST_ENTRIES else "columns"
    count = frame["noisy"][frame["part"] == "train"].value_counts()
    return {
        "kind": "texts" if "text" in features else wide,
        "rows": int(count.sum()),
        "classes": len(count),
        "least": int(count.min()),
        "most": int(count.max()),
    }


def measure(arguments: argparse.Namespace) -> list[Line]:
    """Run what is not in the lines yet; return all lines, with facts also where earlier ones had none."""
    lines = Lines(arguments.out)
    done = {line["run"] for line in lines}
    earlier = {line["run"]: line for line in read_lines(arguments.earlier)[1]} if arguments.earlier else {}
    again = frozenset(arguments.again.split(",")) - {""}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for name in arguments.sets.split(","):
            for kind in arguments.kinds:
                run = f"{name}/{kind}/{seed}"
                frame = None
                if run not in done and (run in earlier or not again):
                    frame = labelled(arguments.data / f"{name}.parquet", kind, arguments.rows, seed)
                if frame is not None:
                    with tempfile.TemporaryDirectory() as folder:
                        frame.reset_index(drop=True).to_parquet(file := Path(folder) / "set.parquet")
                        found = of_run(file, seed, again)
                        new = {"run": run, "facts": facts_of(frame), **found}
                        lines.add(with_again(earlier[run], found) if again else new)
    return [line if "facts" in line else with_facts(line, arguments) for line in lines]


def with_facts(line: Line, arguments: argparse.Namespace) -> Line:
    """Return a line of before there were facts with those of its rows, which are drawn again."""
    name, kind, seed = line["run"].split("/")
    frame = labelled(arguments.data / f"{name}.parquet", kind, arguments.rows, int(seed))
    assert frame is not None
    return {"run": line["run"], "facts": facts_of(frame), **line}


def written(arguments: argparse.Namespace) -> tuple[list[Line], list[Run], dict[str, Any]]:
    """Return lines that are measured or read, their runs and what they are about; write the files asked for."""
    reads = arguments.earlier and not arguments.again
    about, lines = read_lines(arguments.earlier) if reads else ({}, lines_of(measure, arguments))
    about, runs = about or {"rows": arguments.rows, **hardware()}, runs_of(lines)
    if arguments.keep is not None:
        keep(arguments.keep, {name: about[name] for name in ("rows", "torch", "cpu")}, lines)
    if arguments.page is not None:
        arguments.page.write_text(evidence_page.page(runs, about), "utf-8")
    if arguments.advice is not None:
        arguments.advice.write_text(choosing.page(runs), "utf-8")
    return lines, runs, about


def main(given: list[str] | None = None) -> None:
    """Parse the options, measure or read, write, print."""
    parser = options(__doc__, seeds=5, rows=1500, needs_data=False)
    parser.add_argument("--sets", default=",".join(LEFT_OUT))
    parser.add_argument("--again", default="")
    parser.add_argument("--from", dest="earlier", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--advice", type=Path)
    parser.set_defaults(kinds=(*KINDS, OWN))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(given)
    again = [name for name in arguments.again.split(",") if name]
    if unknown := [name for name in again if name not in (AUTO, SEVERAL, *PEERS)]:
        parser.error(f"--again {unknown[0]}: takes {', '.join((AUTO, SEVERAL, *PEERS))}")
    if again and not arguments.earlier:
        parser.error("--again needs --from")
    if not arguments.data and (again or not arguments.earlier):
        parser.error("--data names the folder to measure on; --from alone reads lines")
    if arguments.quick:
        vars(arguments).update(QUICK)
    try:
        lines, runs, about = written(arguments)
    except UserError as error:
        print(f"evidence: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if arguments.json:
        show({"runs": lines} | about, as_json=True)
        return
    for title, table in evidence_page.tables(runs).items():
        print(f"\n{title}")
        show({name: "  ".join(f"{k} {v}" for k, v in row.items()) for name, row in table.items()}, as_json=False)
    show(about, as_json=False)


if __name__ == "__main__":
    main()
