"""A paper's table on data of its own: every method and seed in a process of its own, as many at a time as asked.

    python benchmarks/paper_tables.py run CONFIG --presets har-table1,har-table1-100 --jobs 16 --lines FILE [--epochs N]
        [--methods erm,unif,har,har-auto] [--gpu-minutes 9]
    python benchmarks/paper_tables.py show --lines FILE

`run` trains what `skedastic compare --preset … --config CONFIG` does, and the noise is estimated for the methods that
need it. Several processes share one GPU, which a single training of a small network leaves idle. Each outcome is one
line of a file as soon as it is there. The same command goes on from where it was: runs that have a line are done, and
those that were stopped, by `--gpu-minutes` or by a kill, go on from their checkpoints in FILE.unfinished. So a machine
that is lent for nine minutes at a time makes a table in several. `show` makes tables of the lines: accuracies on the
test set in %, means over classes and seeds ± 95 % (Student's t), and differences from the first method, paired by seed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from common import hardware
from resumable import Line, Lines, TimeIsUp, Until, run_of
from skedastic.data import affected_classes
from skedastic.errors import UserError
from skedastic.evaluation.intervals import mean_interval, paired
from skedastic.evaluation.metrics import metrics_from_dict
from skedastic.methods.bases.card import GROUP_STATS
from skedastic.pipeline import estimate_noise, train_and_evaluate
from skedastic.pipeline.prepare import Data, network, open_data
from skedastic.runtime.processes import mapped
from skedastic.settings.config import Config
from skedastic.settings.methods import compared_methods
from skedastic.settings.reading import read

FIRST = ("erm", "unif", "unif-code", "har", "har-code", "har-auto")  # of all seeds, before the others begin
LONGEST = (
    "incv",
    "mw-net",
    "l2rw",
    "har-auto",
    "har-code",
    "unif-code",
    "har",
    "co-teaching",
    "unif",
    "mentornet",
)  # of a seed, begun first

Job = tuple[str, Config]  # the preset, and the configuration of one method and one seed


def jobs_of(presets: Iterable[str], file: str, given: dict[str, Any]) -> list[Job]:
    """Return a job for each preset, seed and method: the first methods, and seed by seed, if time runs out."""
    jobs = []
    for preset in presets:
        config = read(file, given, preset=preset)
        seeds = range(config.first_seed, config.first_seed + config.seeds)
        jobs += [(preset, replace(config, seed=seed, methods=(name,))) for seed in seeds for name in config.methods]
    return sorted(jobs, key=turn)


def turn(job: Job) -> tuple[bool, int, int]:
    """Return when a job is begun: FIRST before the others, and the longest of a seed first."""
    name = job[1].methods[0].partition("(")[0]
    return name not in FIRST, job[1].seed, LONGEST.index(name) if name in LONGEST else len(LONGEST)


def kept(folder: Path, job: Job) -> Path:
    """Return where the data of a seed is kept, decoded and corrupted once for all methods."""
    return folder / f"{job[0]}-{job[1].seed}.pt"


def keep(folder: Path, job: Job) -> None:
    """Make the data of a seed ready."""
    torch.save(open_data(job[1]), kept(folder, job))


def train(folder: Path, lines: Lines, until: Until, job: Job) -> Line:
    """Train one method with one seed; return its line, which says so where the time was up before it was done."""
    preset, config = job
    run = run_of(preset, config)
    if until.passed:
        return {"run": run, "stopped": "not begun"}
    data: Data = torch.load(kept(folder, job), weights_only=False)
    [(name, method)] = compared_methods(config).items()
    touched = affected_classes(config.noise, config.imbalance, data.train.classes)
    line = {
        "run": run,
        "preset": preset,
        "seed": config.seed,
        "method": name,
        "epochs": config.training.epochs,
        "touched": touched,
    }
    make_net, checkpoints = network(config, data), lines.checkpoints(run, config, until)
    needed = GROUP_STATS in method.capabilities.needs
    try:
        estimated = estimate_noise(config, data, make_net, until.check, checkpoints) if needed else None
        result = train_and_evaluate(config, data, method, make_net, estimated, until.check, checkpoints)
    except TimeIsUp as stop:
        return {"run": run, "stopped": str(stop)}
    except UserError as error:
        return {**line, "failed": str(error)}
    taken = None if result.strengths is None else [round(s, 4) for s in result.strengths.tolist()]
    said = {"seconds": round(result.seconds, 1), "strengths": taken, "notes": result.notes}
    return {**line, **said, "metrics": result.metrics.to_dict(), "history": result.history}


def run(jobs: list[Job], at_once: int, lines: Lines, minutes: float | None = None) -> None:
    """Train everything that has no line yet, and write a line for each outcome as it comes."""
    start, until = time.perf_counter(), Until(minutes)
    done = {line["run"] for line in lines}
    jobs = [job for job in jobs if run_of(*job) not in done]
    if not jobs:
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        of_data = list({kept(folder, job): job for job in jobs}.values())
        with mapped(partial(keep, folder), of_data, min(at_once, len(of_data))) as ready:
            list(ready)
        print(f"{time.perf_counter() - start:6.0f} s  data ready", flush=True)
        with mapped(partial(train, folder, lines, until), jobs, at_once) as outcomes:
            for line in outcomes:
                outcome = line.get("stopped") or line.get("failed") or f"{line['seconds']:.0f} s of training"
                print(f"{time.perf_counter() - start:6.0f} s  {line['run']}: {outcome}", flush=True)
                if "stopped" not in line:
                    lines.add(line | {"hardware": hardware()})


def show(lines: Sequence[Line]) -> None:
    """Print a table for each preset."""
    tables: defaultdict[str, defaultdict[str, dict[int, Line]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        tables[line["preset"]][line["method"]][line["seed"]] = line
    for preset, table in tables.items():
        some = next(iter(next(iter(table.values())).values()))
        print(f"\n{preset}, {some['epochs']} epochs; noisy and rare: {', '.join(some['touched'])}\n")
        print("| | noisy and rare | others | all | worst class | noisy − erm | others − erm | seeds |")
        print("| --- |" + " --- |" * 7)
        plain = values_of(table.get("erm", {}))
        for name in sorted(table, key=lambda name: name != "erm"):
            print(row_of(name, values_of(table[name]), plain))
        for name, of_seeds in table.items():
            for seed, line in of_seeds.items():
                if "failed" in line:
                    print(f"{name}, seed {seed}: {line['failed']}")
                elif line["strengths"]:
                    print(f"{name}, seed {seed}: strengths {line['strengths']}, {' '.join(line['notes'][1:])}")
    print(*{json.dumps(line["hardware"]) for line in lines}, sep="\n")


def values_of(of_seeds: dict[int, Line]) -> dict[int, list[float]]:
    """Return by seed the accuracies on the noisy classes, the others, all, and the worst class."""
    by_seed = {}
    for seed, line in sorted(of_seeds.items()):
        if metrics := line.get("metrics"):
            others = [g["name"] for g in metrics["groups"] if g["name"] not in line["touched"]]
            parts = [metrics_from_dict(metrics).mean_of_groups(names) for names in (line["touched"], others)]
            by_seed[seed] = [*parts, metrics["overall"]["accuracy"], metrics["worst_group"]["accuracy"]]
    return by_seed


def row_of(name: str, values: dict[int, list[float]], plain: dict[int, list[float]]) -> str:
    """Return a row of the table."""
    if not values:
        return f"| `{name}` |" + " |" * 6 + " 0 |"
    cells = [percent(mean_interval(part)) for part in zip(*values.values(), strict=True)]
    both = [seed for seed in values if seed in plain]
    for part in (0, 1):
        of = paired([values[s][part] for s in both], [plain[s][part] for s in both]) if both and name != "erm" else None
        cells.append(percent(of, "+") if of else "")
    return f"| `{name}` | " + " | ".join([*cells, str(len(values))]) + " |"


def percent(interval: dict[str, Any], sign: str = "") -> str:
    """Write a mean, and the half width of its interval where there is one, in %."""
    width = "" if interval["high"] is None else f" ± {100 * (interval['high'] - interval['mean']):.1f}"
    return f"{100 * interval['mean']:{sign}.1f}{width}"


def main() -> None:
    """Run or show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("config", nargs="?", help="TOML: source, test, model, train")
    parser.add_argument("--presets", default="har-table1")
    parser.add_argument("--lines", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--methods", help="of the tables; by default all of their rows")
    parser.add_argument("--gpu-minutes", type=float, help="minutes after which nothing more is begun, and all stops")
    arguments = parser.parse_args()
    lines = Lines(arguments.lines)
    if arguments.what == "run":
        given = {"train.epochs": arguments.epochs, "seeds": arguments.seeds, "methods": arguments.methods}
        jobs = jobs_of(arguments.presets.split(","), arguments.config, given)
        run(jobs, arguments.jobs, lines, arguments.gpu_minutes)
    show(list(lines))


if __name__ == "__main__":
    import paper_tables  # by its name, which the processes find what they run under

    paper_tables.main()
