"""What large data takes: processor seconds and the largest resident memory of a process each, at several sizes.

    python benchmarks/sizes.py classes [--sizes 1000,5000] [--rows 20000] [--json]
    python benchmarks/sizes.py rows    [--sizes 1000000,2000000,4000000] [--verb estimate|fit] [--ending parquet|csv]
    python benchmarks/sizes.py predict [--sizes 1000000,5000000] [--ending parquet|csv] [--to parquet|csv|jsonl]
    python benchmarks/sizes.py groups  [--sizes 20000,200000]
    python benchmarks/sizes.py images  [--sizes 25000,100000] [--grey]

classes   the estimate and its suspects of so many classes, by random probabilities in memory that know the class, in
          four folds; memory above that of the process that holds them, in MiB and in copies of them in float32
rows      `skedastic estimate`, or `fit` with an estimate, of so many rows of 10 numbers and 3 classes; one epoch
predict   `skedastic predict` of so many rows of the same kind
groups    `skedastic fit` with so many groups, of three rows each; `show`, `suspects`, `doctor`, `evaluate` and
          `predict` of the run; the sizes of its files
images    `skedastic fit` (`cnn` of width 8, plain training, one epoch) and `predict` of so many files of 16 × 16
          pixels, in folders by class, and at the paths in a CSV file

Where there are several sizes, the last line has the bytes that one row, group or image takes more. Resident memory
counts the pages of files that are mapped, such as features that are stored beside the estimate. On Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import torch

from common import hardware, show
from skedastic.data import Classes, Dataset, Grouping
from skedastic.noise.estimate import _estimate
from skedastic.settings.config import Estimation

AT_A_TIME, NUMBERS, FOLDS = 250_000, 10, 4
NOISE = 0.15
FIT = ("--set", "train.epochs=1", "--set", "train.batch_size=4096", "--set", "estimate.by=model")
DEFAULTS = {
    "classes": "1000,5000",
    "rows": "1000000,2000000",
    "predict": "1000000,2000000",
    "groups": "20000,200000",
    "images": "25000,100000",
}
SIDE, COLOURS = 16, 10  # pixels of a side; classes
PLAIN = ("--method", "erm", "--set", "estimate.kind=none", *FIT[:2])


def estimate_of(classes: int, rows: int) -> dict[str, float]:
    """Estimate by random probabilities, in this process, and return what it took."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    true = torch.from_numpy(rng.integers(0, classes, rows))
    p = torch.randn(rows, classes, generator=generator)
    p[torch.arange(rows), true] += 10 + 2 * torch.randn(rows, generator=generator)
    for part in torch.split(p, 500):
        part.copy_(part.softmax(1))
    y = torch.where(torch.rand(rows, generator=generator) < NOISE, true.roll(1), true)
    names = tuple(map(str, range(classes)))
    data = Dataset(torch.zeros(rows, 1), y, torch.arange(rows), y, Classes(names), Grouping(names), "table")
    before, start = resident("VmRSS"), time.process_time()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    found = _estimate(data, p, torch.arange(rows) % FOLDS, Estimation(), None)
    assert len(found.label_issues) <= rows
    above = resident("VmHWM") - before
    return {
        "cpu_s": time.process_time() - start,
        "above_mib": above / 2**20,
        "copies": above / (4 * rows * classes),
    }


def resident(kind: str) -> int:
    """Return the bytes that this process holds ("VmRSS") or has held at most ("VmHWM")."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(kind))
    return int(line.split()[1]) * 1024


def write_table(path: Path, rows: int, groups: int = 0) -> None:
    """Write rows of numbers and a label that is wrong now and then; with groups each row has one."""
    rng, writer = np.random.default_rng(0), None
    means = rng.normal(size=(3, NUMBERS)) * 1.5
    for start in range(0, rows, AT_A_TIME):
        m = min(AT_A_TIME, rows - start)
        true = rng.integers(0, 3, m)
        x = (means[true] + rng.normal(size=(m, NUMBERS))).astype(np.float32)
        y = np.where(rng.random(m) < NOISE, rng.integers(0, 3, m), true)
        columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(NUMBERS)} | {"label": np.array([*"abc"])[y]}
        if groups:
            columns["site"] = np.char.add("site ", ((start + np.arange(m)) % groups).astype(str))
        table = pa.table(columns)
        kind = pq.ParquetWriter if path.suffix == ".parquet" else arrow_csv.CSVWriter
        writer = writer or kind(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def write_images(folder: Path, table: Path, count: int, grey: bool) -> None:
    """Write noisy images of a colour, or shade, for each class, in folders by class; and a table of their paths."""
    rng, table_rows = np.random.default_rng(0), ["file,label"]
    for c in range(COLOURS):
        (folder / f"c{c}").mkdir(parents=True)
    shades = rng.integers(40, 200, (COLOURS, 1 if grey else 3))
    for i in range(count):
        c = i % COLOURS
        pixels = (shades[c] + rng.integers(-40, 40, (SIDE, SIDE, shades.shape[1]))).astype(np.uint8)
        name = f"c{c}/{i:07}.png"
        PIL.Image.fromarray(pixels[:, :, 0] if grey else pixels).save(folder / name, compress_level=1)
        table_rows.append(f"{folder.name}/{name},c{c}")
    table.write_text("\n".join(table_rows) + "\n", "utf-8")


def images(size: int, grey: bool, folder: Path) -> dict[str, float]:
    """Return what fitting and predicting take, of a folder of images and of a table that names them."""
    pictures, table = folder / f"images{size}", folder / f"images{size}.csv"
    write_images(pictures, table, size, grey)
    found: dict[str, float] = {}
    small = ("--model", "cnn", "--set", "model.width=8", *PLAIN)
    for name, source, more in (
        ("folder", pictures, ()),
        ("column", table, ("--image", "file", "--target", "label")),
    ):
        out = f"{folder / name}{size}.run"
        used = {"fit": run("fit", str(source), *more, *small, "--out", out)}
        used["predict"] = run("predict", out, str(source), "--out", f"{out}.parquet")
        found |= {f"{name}_{verb}_{key}": value for verb, told in used.items() for key, value in told.items()}
    shutil.rmtree(pictures)
    return found | {"peak_mib": found["folder_fit_peak_mib"]}


def run(*arguments: str) -> dict[str, float]:
    """Run skedastic in a process of its own and return what it took. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "skedastic", *arguments]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    cpu = used.ru_utime + used.ru_stime
    return {"s": time.perf_counter() - start, "cpu_s": cpu, "peak_mib": used.ru_maxrss / 1024}


def measured(what: str, size: int, arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Return what one size takes."""
    if what == "classes":
        command = [sys.executable, __file__, what, "--alone", "--sizes", str(size), "--rows", str(arguments.rows)]
        found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return found
    if what == "images":
        return images(size, arguments.grey, folder)
    data, out = folder / f"{size}.{arguments.ending}", folder / f"run{size}"
    write_table(data, 3 * size if what == "groups" else size, size if what == "groups" else 0)
    target = ("--target", "label")
    if what == "groups":
        groups = ("--groups", "site", "--ignore", "site")
        used = run("fit", str(data), *target, *groups, "--method", "har", *FIT, "--out", str(out))
        for verb in (["show"], ["suspects"], ["doctor"], ["evaluate", str(data)], ["predict", str(data)]):
            more = ("--out", f"{out}.parquet") if verb[0] == "predict" else ()
            used |= {f"{verb[0]}_{key}": value for key, value in run(verb[0], str(out), *verb[1:], *more).items()}
        sizes = {f"{p.name}_mib": p.stat().st_size / 2**20 for p in sorted(out.iterdir()) if p.is_file()}
        return used | sizes
    if what == "rows" and arguments.verb == "estimate":
        return run("estimate", str(data), *target, *FIT)
    if what == "rows":
        return run("fit", str(data), *target, "--method", "har", *FIT, "--out", str(out))
    small = folder / "small.parquet"
    if not small.exists():
        write_table(small, 2000)
        run("fit", str(small), *target, *PLAIN, "--out", f"{small}.run")
    used = run("predict", f"{small}.run", str(data), "--out", str(folder / f"{size}.predicted.{arguments.to}"))
    data.unlink()
    return used


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=DEFAULTS)
    parser.add_argument("--sizes", help="by comma")
    parser.add_argument("--rows", type=int, default=20_000, help="of classes")
    parser.add_argument("--verb", choices=("estimate", "fit"), default="estimate")
    parser.add_argument("--ending", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--to", choices=("parquet", "csv", "jsonl"), default="parquet")
    parser.add_argument("--grey", action="store_true", help="images without colour, each of which is looked at first")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = [int(size) for size in (arguments.sizes or DEFAULTS[arguments.what]).split(",")]
    if arguments.alone:
        print(json.dumps(estimate_of(sizes[0], arguments.rows)))
        return
    figures: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        for size in sizes:
            found = measured(arguments.what, size, arguments, Path(folder))
            figures |= {f"{size}_{name}": round(value, 3) for name, value in found.items()}
    if len(sizes) > 1 and arguments.what != "classes":
        more = figures[f"{sizes[-1]}_peak_mib"] - figures[f"{sizes[0]}_peak_mib"]
        figures["bytes_for_each_more"] = round(more * 2**20 / (sizes[-1] - sizes[0]), 1)
    show(figures | hardware(), arguments.json)


if __name__ == "__main__":
    main()
