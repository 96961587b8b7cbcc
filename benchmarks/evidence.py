"""What auto chooses, against every fixed way that it tries, an oracle, a choice without guard, LightGBM and cleanlab.

    python benchmarks/evidence.py --data FOLDER [--out LINES] [--seeds 5] [--first-seed 0] [--rows 1500] [--json]
                                  [--sets ecoli,…] [--quick] [--page FILE.md] [--advice FILE.md]
                                  [--again auto,… --from LINES]

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

Prints for each of them balanced accuracy, worst class and accuracy in %, the mean rank by balanced accuracy with its
standard error, the gain over plain training with its 95 % interval over runs, the worst gain, in how many runs it is
more than half a point above and below, in how many it gives a class up that plain training does not, what it lacks to
the oracle, and its time over plain training. Then gains by kind of labels, and by set. With --out each finished run
is a line, and the same command goes on after them; with --again a few ways alone are run anew, in the runs that
--from has, and all else is as it was there, with seconds by those of plain training in both; --page writes the tables
as Markdown, and --advice two of them, the best ways and by kind of labels into a page that has a place for it,
between `<!-- evidence -->` and `<!-- end -->`. --quick is one small run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from common import hardware, show
from resumable import Lines, lines_of, options
from skedastic.core.choice import Trial, gives_up_a_class
from skedastic.evaluation.intervals import mean_interval
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

AUTO, UNGUARDED, ORACLE, UNLUCKY = "auto", "largest gain", "oracle", "oracle without luck"
CHOICES = (AUTO, UNGUARDED, ORACLE, UNLUCKY)  # not fixed beforehand
SEVERAL = "half-balanced mixup of three networks"
BEGIN, END = "<!-- evidence -->", "<!-- end -->"
PLAIN_SHOWN = "plain training"
PEERS = ("lightgbm balanced", "cleanlab")
IN_WORDS = {
    "none": "as they came",
    "uniform 20": "20 % wrong, in all classes alike",
    "one way": "wrong from one class to another",
    "rare noisy": "wrong in rare classes",
    OWN: "wrong on their own: rules, crowds",
}
HALF_POINT = 0.5
FIXED, ADVICE = 5, ("balanced", "worst class", "accuracy", "over plain", "gives up", "time")  # of the advice
WIDTH = 118  # of a line of the page
QUICK = {"sets": "ecoli", "seeds": 1, "rows": 150, "kinds": ("rare noisy",)}
TITLE = "# The evidence: what `auto` chooses, against every way that it tries"
TEXT = """The command below prints these figures and writes this page. {runs} runs of {sets}: labels as they came,
three kinds of wrong ones that are put in, and wrong ones of their own; a third of the rows for testing by true
labels, at most {rows} to train on. `auto` counts with its estimate and its trials. The oracle is the candidate that
is best on the test labels, of {candidates}: nobody has it, and much of its lead is luck where a class has few test
rows. Without that luck it is, on each half of the test rows, the candidate that is best on the other half. Gains are
of balanced accuracy over plain training of the same network, in points, paired by run, with 95 % intervals over runs;
"up, down" are runs that are more than half a point above and below it; "gives up" are runs in which a class is
predicted less than half as often as it is there and as plain training predicts it. "Largest gain" takes the way that
gained most in its trial, be it by chance. A way that some runs lack counts over its own. Other tools read the rows as
the network does. {hardware}"""


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
        if not again or name in again | {PLAIN_SHOWN}:
            start = time.perf_counter()
            predicted[name] = trained(method).predict(data.test.x).argmax(1)
            spent[name] = time.perf_counter() - start
    for name in PEERS:
        start = time.perf_counter()
        if (not again or name in again) and (labels := of_peer(name, data)) is not None:
            predicted[name], spent[name] = labels, time.perf_counter() - start
    y, plain = data.test.y, predicted[PLAIN_SHOWN]
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
    scale = line["ways"][PLAIN_SHOWN]["seconds"] / found["ways"][PLAIN_SHOWN]["seconds"]
    anew = {
        name: own | {"seconds": own["seconds"] * scale} for name, own in found["ways"].items() if name != PLAIN_SHOWN
    }
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


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run what is not in the lines yet; return all lines."""
    lines = Lines(arguments.out)
    done = {line["run"] for line in lines}
    earlier = {line["run"]: line for line in Lines(arguments.earlier)} if arguments.earlier else {}
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
                        lines.add(with_again(earlier[run], found) if again else {"run": run, **found})
    return list(lines)


def with_choices(line: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the ways of a run, the choice without guard and the oracle among them."""
    ways = dict(line["ways"])
    candidates = {name: found for name, found in ways.items() if name not in (*CHOICES, *PEERS, SEVERAL)}
    ways[UNGUARDED] = candidates[line["took"][UNGUARDED]]
    ways[ORACLE] = max(candidates.values(), key=lambda found: found["balanced"])
    return ways


def rows_of(runs: list[dict[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each way that all runs have, with its figures as text."""
    all_runs, names = runs, list(dict.fromkeys(name for run in runs for name in run))
    common = [name for name in names if all(name in run for run in runs)]
    fixed = [name for name in common if name == AUTO or name not in CHOICES]
    balanced = np.array([[run[name]["balanced"] for name in fixed] for run in runs])
    ranks = rankdata(-balanced, axis=1)
    for name in sorted(names, key=lambda name: -np.mean([run[name]["balanced"] for run in all_runs if name in run])):
        runs = [run for run in all_runs if name in run]
        plain = np.array([run[PLAIN_SHOWN]["balanced"] for run in runs])
        best = np.array([run[ORACLE]["balanced"] for run in runs])
        cost = np.mean([run[PLAIN_SHOWN]["seconds"] for run in runs])
        own = np.array([run[name]["balanced"] for run in runs])
        gain, rank = own - plain, ranks[:, fixed.index(name)] if name in fixed else None
        ends = mean_interval(list(gain))
        half = "" if ends["low"] is None else f" ± {(ends['high'] - ends['low']) / 2:.1f}"
        seconds = np.mean([run[name]["seconds"] for run in runs])
        yield (
            name if len(runs) == len(all_runs) else f"{name} ({len(runs)} runs)",
            {
                "balanced": f"{own.mean():.1f}",
                "worst class": f"{np.mean([run[name]['worst'] for run in runs]):.1f}",
                "accuracy": f"{np.mean([run[name]['accuracy'] for run in runs]):.1f}",
                "rank": "" if rank is None else f"{rank.mean():.1f} ± {rank.std() / len(rank) ** 0.5:.1f}",
                "over plain": f"{gain.mean():+.1f}{half}",
                "least": f"{gain.min():+.1f}",
                "up, down": f"{(gain > HALF_POINT).sum()}, {(gain < -HALF_POINT).sum()}",
                "gives up": str(sum(run[name]["gives_up"] for run in runs)),
                "to the oracle": f"{(own - best).mean():.1f}",
                "time": "" if name != AUTO and name in CHOICES else f"{seconds / cost:.1f} ×",
            },
        )


def tables(lines: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, str]]]:
    """Return the table of all runs, by way; and gains of auto over plain training by kind of labels, and by set."""
    runs = {tuple(line["run"].split("/")): with_choices(line) for line in lines}
    found = {f"all {len(runs)} runs": dict(rows_of(list(runs.values())))}
    for title, place in (("by kind of labels", 1), ("by set", 0)):
        parts = defaultdict(list)
        for key, run in runs.items():
            parts[key[place]].append(run)
        found[title] = {}
        for name, some in parts.items():
            own = dict(rows_of(some))
            best = next(way for way in own if way.partition(" (")[0] not in (*CHOICES, *PEERS))
            found[title][f"{name} ({len(some)})"] = {
                **{way: own[way]["balanced"] for way in (PLAIN_SHOWN, AUTO, *PEERS, UNLUCKY, ORACLE) if way in own},
                "auto over plain": own[AUTO]["over plain"],
                "best fixed way": f"{best} {own[best]['balanced']}",
            }
    return found


def markdown(table: Mapping[str, Mapping[str, str]], head: str) -> str:
    """Return a table as Markdown."""
    columns = list(next(iter(table.values())))
    rows = [f"| {head} | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    rows += [f"| {name} | {' | '.join(row.get(c, '') for c in columns)} |" for name, row in table.items()]
    return "\n".join(rows)


def page(lines: list[dict[str, Any]], arguments: argparse.Namespace, machine: Mapping[str, Any]) -> str:
    """Return the page of the evidence."""
    found = tables(lines)
    sets = {line["run"].split("/")[0] for line in lines}
    text = TEXT.format(
        runs=len(lines),
        sets=", ".join(sorted(sets)),
        rows=f"{arguments.rows:,}",
        candidates=f"{max(len(set(line['ways']) - {*CHOICES, *PEERS, SEVERAL}) for line in lines)}",
        hardware=f"torch {machine['torch']}, one thread of an {machine['cpu']}, shared with other work.",
    )
    parts = [f"## {title[0].upper()}{title[1:]}\n\n{markdown(table, 'way')}" for title, table in found.items()]
    command = (
        f"```\npython benchmarks/evidence.py --data FOLDER --rows {arguments.rows} --seeds {arguments.seeds} "
        f"--first-seed {arguments.first_seed} \\\n    --page docs/results/evidence.md --sets {arguments.sets}\n```"
    )
    return (
        "\n\n".join([TITLE, fill(text, WIDTH, break_long_words=False, break_on_hyphens=False), command, *parts]) + "\n"
    )


def advised(text: str, lines: list[dict[str, Any]]) -> str:
    """Return a page with two tables in their place: auto beside the best fixed ways, and by kind of labels."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"the page has no place for it, between {BEGIN} and {END}")
    found = tables(lines)
    rows, every = found["by kind of labels"], next(iter(found.values()))
    fixed = [name for name in every if name.partition(" (")[0] not in (*CHOICES, PLAIN_SHOWN, *PEERS)][:FIXED]
    ways = {
        name: {column: every[name][column] for column in ADVICE}
        for name in (AUTO, *fixed, PLAIN_SHOWN, *PEERS)
        if name in every
    }
    table = {
        f"{IN_WORDS[kind]} ({count}": row for (kind, _, count), row in ((n.partition(" ("), r) for n, r in rows.items())
    }
    parts = (markdown(ways, f"way ({len(lines)} runs)"), markdown(table, "labels (runs)"))
    return "\n\n".join([f"{before}{BEGIN}", *parts, f"{END}{after}"])


def main(given: list[str] | None = None) -> None:
    """Parse the options, measure, print."""
    parser = options(__doc__, seeds=5, rows=1500)
    parser.add_argument("--sets", default=",".join(LEFT_OUT))
    parser.add_argument("--again", default="")
    parser.add_argument("--from", dest="earlier", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--advice", type=Path)
    parser.set_defaults(kinds=(*KINDS, OWN))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(given)
    again = [name for name in arguments.again.split(",") if name]
    if unknown := [name for name in again if name not in (AUTO, SEVERAL, *PEERS)]:
        parser.error(f"--again {unknown[0]}: takes {', '.join((AUTO, SEVERAL, *PEERS))}")
    if bool(again) != bool(arguments.earlier):
        parser.error("--again and --from go together")
    if arguments.quick:
        vars(arguments).update(QUICK)
    lines = lines_of(measure, arguments)
    machine = hardware()
    if arguments.page is not None:
        arguments.page.write_text(page(lines, arguments, machine), "utf-8")
    if arguments.advice is not None:
        arguments.advice.write_text(advised(arguments.advice.read_text("utf-8"), lines), "utf-8")
    if arguments.json:
        show({"runs": lines} | machine, as_json=True)
        return
    for title, table in tables(lines).items():
        print(f"\n{title}")
        show({name: "  ".join(f"{k} {v}" for k, v in row.items()) for name, row in table.items()}, as_json=False)
    show(machine, as_json=False)


if __name__ == "__main__":
    main()
