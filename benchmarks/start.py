"""How soon the command line answers: slips that can be seen at once, and the first line of a fit.

    python benchmarks/start.py [--repeats 5]

Each case is a process of its own, run several times; medians of wall clock and CPU (user and system) seconds, and CPU
over that of `python -c "import torch"` in the same run, which no check may need.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from common import said

ROWS = 600
SLIPS = {
    "--help": "--help",
    "unknown verb": "fitt good.csv",
    "unknown option": "fit good.csv --epcohs 3",
    "missing file": "fit missing.csv --target quality",
    "unknown column (CSV)": "fit good.csv --target qualty",
    "unknown column (Parquet)": "fit good.parquet --target qualty",
    "unknown column (JSON lines)": "fit good.jsonl --target qualty",
    "unknown method": "fit good.csv --target quality --method haar",
    "unknown method of several": "compare good.csv --target quality --methods erm,haar",
    "unknown preset": "compare good.csv --target quality --preset har-tabel1",
    "missing configuration": "fit --config missing.toml",
    "--set without =": "fit good.csv --target quality --set train.lr",
    "folder that can't be written": "fit good.csv --target quality --out .",
    "missing run": "predict runs/missing good.csv --out new.csv",
}
FIT = "fit good.csv --target quality --epochs 1 --force --out run"
LINES = {"reading": "first line", "rows to train on": "the data's columns and rows"}


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        _write_tables()
        torch = _median([_run("-c", "import torch") for _ in range(repeats)])
        print(f"{'':32}{'wall s':>8}{'CPU s':>8}{'of torch':>10}")
        _show("import torch", torch, torch)
        for name, line in SLIPS.items():
            _show(name, _median([_run("-m", "skedastic", *line.split()) for _ in range(repeats)]), torch)
        fits = [_fit() for _ in range(repeats)]
        for words, name in LINES.items():
            _show(f"fit: {name}", _median([fit[words] for fit in fits]), torch)


def _write_tables() -> None:
    rows = [(i * 37 % 101 / 10, i * 53 % 97 / 10, "abc"[i * 31 % 7 % 3]) for i in range(ROWS)]
    Path("good.csv").write_text("width,height,quality\n" + "".join(f"{w},{h},{q}\n" for w, h, q in rows))
    code = "import pandas as pd; t = pd.read_csv('good.csv'); t.to_parquet('good.parquet'); "
    code += "t.to_json('good.jsonl', orient='records', lines=True)"
    subprocess.run([sys.executable, "-c", code], check=True)


def _run(*arguments: str) -> tuple[float, float]:
    """Return the seconds of wall clock and of CPU that a process takes."""
    before, start = _cpu(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start, _cpu() - before


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _fit() -> dict[str, tuple[float, float]]:
    """Return when each of the lines came, in seconds of wall clock and of CPU; the fit is not waited for."""
    seen = dict[str, tuple[float, float]]()
    with closing(said(*FIT.split())) as lines:
        for seconds, line, process in lines:
            for words in LINES:
                if words in line:
                    seen[words] = (seconds, _cpu_of(process))
            if len(seen) == len(LINES):
                break
    return {words: seen.get(words, (float("nan"), float("nan"))) for words in LINES}


def _cpu_of(process: int) -> float:
    """Return the CPU seconds of a process that runs, on Linux."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _median(runs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(wall for wall, _ in runs), statistics.median(cpu for _, cpu in runs)


def _show(name: str, seconds: tuple[float, float], torch: tuple[float, float]) -> None:
    print(f"{name:32}{seconds[0]:8.2f}{seconds[1]:8.2f}{seconds[1] / torch[1]:10.2f}", flush=True)


if __name__ == "__main__":
    main()
