"""How soon there is a model: whole processes of `skedastic fit`, and of scripts with LightGBM and scikit-learn.

    python benchmarks/first_model.py --data FOLDER [--repeats 5] [--ends 1] [--tables adult:label,diamonds:price]
                                     [--json]

Each table is FILE:COLUMN, a Parquet file of the folder and its target; a column `split` tells the test rows, else each
fifth row is one, or a random fifth for `fit`. Seconds of wall clock are from the start of a process, medians of
--repeats, and as ratios to the first script that is there:

- lightgbm, sklearn: a script reads the file, makes words categories, fits LightGBM (where it is installed) or
  HistGradientBoosting with their own settings, of classes with weights, and predicts the test rows
- first model: `skedastic fit FILE --target COLUMN` says "first model after"; --repeats times, then it is ended
- best model, end: the last "best model after" and the end of it all, --ends times

A target of words is classes. Figures are balanced accuracy in %, or the root mean squared error of numbers: of the
scripts and at the end on the test rows, of the first and the best model on training rows that they have not seen.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pyarrow.parquet as pq

from common import hardware, said, show

SCRIPT = """
import sys
import pandas as pd
import {module} as boosting
file, target = sys.argv[1:]
frame = pd.read_parquet(file)
test = frame.pop("split") == "test" if "split" in frame else frame.index % 5 == 0
y = frame.pop(target)
x = frame.astype({{name: "category" for name in frame if not pd.api.types.is_numeric_dtype(frame[name])}})
if pd.api.types.is_numeric_dtype(y):
    predicted = boosting.{kind}Regressor({settings}).fit(x[~test], y[~test]).predict(x[test])
    print(((predicted - y[test]) ** 2).mean() ** 0.5)
else:
    model = boosting.{kind}Classifier(class_weight="balanced", {settings})
    predicted = model.fit(x[~test], y[~test]).predict(x[test])
    print(100 * (predicted == y[test]).groupby(y[test]).mean().mean())
"""
SCRIPTS = {
    "lightgbm": ("lightgbm", "LGBM", "verbose=-1"),
    "sklearn": ("sklearn.ensemble", "HistGradientBoosting", "categorical_features='from_dtype'"),
}
FIGURE = re.compile(r"(?:accuracy over groups|squared error) ([\d.e+-]+)")
FIRST, BEST, END = "first model", "best model", "end"


class Came(NamedTuple):
    """The seconds from the start of a process to a model, and its figure."""

    seconds: float
    figure: float


def of_script(name: str, file: Path, target: str) -> Came:
    """Return when a script of others' boosting ended."""
    module, kind, settings = SCRIPTS[name]
    code, start = SCRIPT.format(module=module, kind=kind, settings=settings), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, str(file), target], capture_output=True, text=True, check=True)
    return Came(time.perf_counter() - start, float(done.stdout))


def of_fit(file: Path, target: str, run: Path, *, ends: bool) -> dict[str, Came]:
    """Return when a fit told of its first model and, where it is not ended then, of its best one, and when it ended."""
    found = dict[str, Came]()
    split = ["--split", "split"] if "split" in pq.read_schema(file).names else ["--test", "0.2"]
    start = time.perf_counter()
    with closing(said("fit", str(file), "--target", target, *split, "--out", str(run), "--force")) as lines:
        for seconds, line, _ in lines:
            which = next((name for name in (FIRST, BEST) if line.startswith(f"{name} after")), "")
            figure = FIGURE.search(line)
            if which and figure:
                found[BEST] = Came(seconds, float(figure[1]))
                found.setdefault(FIRST, found[BEST])
                if not ends:
                    return {FIRST: found[FIRST]}
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    accuracy = metrics.get("balanced_accuracy")
    figure_of_all = metrics["overall"]["rmse"] if accuracy is None else 100 * accuracy
    return {**found, END: Came(time.perf_counter() - start, figure_of_all)}


def measured(arguments: argparse.Namespace) -> dict[str, dict[str, list[Came]]]:
    """Return what came of each process, by table and what it is; those of a turn run one after the other."""
    found = dict[str, dict[str, list[Came]]]()
    with tempfile.TemporaryDirectory() as folder:
        for table in arguments.tables.split(","):
            name, target = table.split(":")
            file, of_table = arguments.data / f"{name}.parquet", found.setdefault(name, {})
            for turn in range(max(arguments.repeats, arguments.ends)):
                came = {which: of_script(which, file, target) for which in SCRIPTS if find_spec(which) is not None}
                came |= of_fit(file, target, Path(folder) / name, ends=turn < arguments.ends)
                for which, one in came.items():
                    of_table.setdefault(which, []).append(one)
    return found


def rows(found: dict[str, list[Came]]) -> dict[str, str]:
    """Return a line for what came of each process of a table: seconds, ratio to the first script, figure."""
    seconds = {which: median(one.seconds for one in came) for which, came in found.items()}
    script = next(which for which in SCRIPTS if which in found)
    return {
        which: f"{took:7.1f} s {took / seconds[script]:6.1f} ×  {found[which][-1].figure:.4g} (of {len(found[which])})"
        for which, took in seconds.items()
    }


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", default="adult:label,diamonds:price")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ends", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measured(arguments)
    if arguments.json:
        show(found | hardware(), as_json=True)
        return
    for name, of_table in found.items():
        print(f"\n{name}")
        show(rows(of_table), as_json=False)
    show(hardware(), as_json=False)


if __name__ == "__main__":
    main()
