"""A paper's table on data of its own: every method and seed in a process of its own, as many at a time as asked.

    python benchmarks/paper_tables.py run CONFIG --presets har-table1,har-table1-100 --jobs 16 --lines FILE [--epochs N]
    python benchmarks/paper_tables.py show --lines FILE

`run` trains what `skedastic compare --preset … --config CONFIG` does, and the noise is estimated for the methods that
need it. Several processes share one GPU, which a single training of a small network leaves idle. Each outcome is one
line of a file as soon as it is there: a machine that is lent for a time gives what it got done. `show` makes tables of
the lines: accuracies on the test set in %, means over classes and seeds ± 95 % (Student's t), and differences from the
first method, paired by seed.
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
Line = dict[str, Any]


def jobs_of(presets: Iterable[str], file: str, given: dict[str, Any]) -> list[Job]:
    """Return a job for each preset, seed and method: seed by seed, so that some are whole if time runs out."""
    jobs = []
    for preset in presets:
        config = read(file, given, preset=preset)
        seeds = range(config.first_seed, config.first_seed + config.seeds)
        jobs += [(preset, replace(config, seed=seed, methods=(name,))) for seed in seeds for name in config.methods]
    return sorted(jobs, key=turn)


def turn(job: Job) -> tuple[int, int]:
    """Return when a job is begun: the longest of a seed first."""
    name = job[1].methods[0].partition("(")[0]
    return job[1].seed, LONGEST.index(name) if name in LONGEST else len(LONGEST)


def kept(folder: Path, job: Job) -> Path:
    """Return where the data of a seed is kept, decoded and corrupted once for all methods."""
    return folder / f"{job[0]}-{job[1].seed}.pt"


def keep(folder: Path, job: Job) -> None:
    """Make the data of a seed ready."""
    torch.save(open_data(job[1]), kept(folder, job))


def train(folder: Path, job: Job) -> Line:
    """Train one method with one seed; return its line."""
    preset, config = job
    data: Data = torch.load(kept(folder, job), weights_only=False)
    [(name, method)] = compared_methods(config).items()
    touched = affected_classes(config.noise, config.imbalance, data.train.classes)
    line = {"preset": preset, "seed": config.seed, "method": name, "epochs": config.train.epochs, "touched": touched}
    make_net = network(config, data)
    try:
        estimated = estimate_noise(config, data, make_net) if GROUP_STATS in method.capabilities.needs else None
        result = train_and_evaluate(config, data, method, make_net, estimated)
    except UserError as error:
        return {**line, "failed": str(error)}
    taken = None if result.strengths is None else [round(s, 4) for s in result.strengths.tolist()]
    said = {"seconds": round(result.seconds, 1), "strengths": taken, "notes": result.notes}
    return {**line, **said, "metrics": result.metrics.to_dict(), "history": result.history}


def run(jobs: list[Job], at_once: int, lines: Path) -> None:
    """Train everything, and write a line for each outcome as it comes."""
    start = time.perf_counter()
    with TemporaryDirectory() as name, lines.open("w", encoding="utf-8") as out:
        folder = Path(name)
        of_data = list({kept(folder, job): job for job in jobs}.values())
        with mapped(partial(keep, folder), of_data, min(at_once, len(of_data))) as ready:
            list(ready)
        print(f"{time.perf_counter() - start:6.0f} s  data ready", flush=True)
        with mapped(partial(train, folder), jobs, at_once) as outcomes:
            for line in outcomes:
                outcome = line.get("failed") or f"{line['seconds']:.0f} s of training"
                job = f"{line['preset']}, seed {line['seed']}, {line['method']}"
                print(f"{time.perf_counter() - start:6.0f} s  {job}: {outcome}", flush=True)
                out.write(json.dumps(line | {"hardware": hardware()}) + "\n")
                out.flush()


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
        plain = values_of(table["erm"])
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
    arguments = parser.parse_args()
    if arguments.what == "run":
        given = {"train.epochs": arguments.epochs, "seeds": arguments.seeds}
        run(jobs_of(arguments.presets.split(","), arguments.config, given), arguments.jobs, arguments.lines)
    show([json.loads(line) for line in arguments.lines.read_text("utf-8").splitlines()])


if __name__ == "__main__":
    main()
