"""Seconds to fit the one-dimensional estimator, over n.

    python benchmarks/smoothing_speed.py [--json] [--repeats 3]

Logistic and squared loss, two groups, ρ near the best. Prints the fastest of the repeats for each n, with sorting, and
the slope of log seconds on log n: 1 is O(n).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import hardware, show

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from smoothing import Loss, smooth

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)


def seconds(n: int, loss: Loss, repeats: int) -> tuple[float, int]:
    """Return the seconds of the fastest of the repeated fits, and its Newton steps."""
    rng = np.random.default_rng(n)
    x = rng.random(n)
    f = np.cos(4 * np.pi * x)
    y = np.where(rng.random(n) < 1 / (1 + np.exp(-f)), 1, -1) if loss == "logistic" else f + rng.normal(size=n)
    fits = []
    for _ in range(repeats):
        start = time.perf_counter()
        fit = smooth(x, y, [1.0, 2.0], 0.0015 * n**-0.4, breaks=[0.5], loss=loss)
        fits.append((time.perf_counter() - start, fit.steps))
        assert fit.converged
    return min(fits)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    losses: tuple[Loss, ...] = ("logistic", "squared")
    for loss in losses:
        taken = [seconds(n, loss, arguments.repeats) for n in SIZES]
        figures |= {f"{loss}, n = {n:,}, s": s for n, (s, _) in zip(SIZES, taken, strict=True)}
        figures[f"{loss}, Newton steps"] = taken[-1][1]
        figures[f"{loss}, slope"] = float(np.polyfit(np.log(SIZES), np.log([s for s, _ in taken]), 1)[0])
    show(figures | hardware(), arguments.json)


if __name__ == "__main__":
    main()
