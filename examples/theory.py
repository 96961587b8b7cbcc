"""HAR's theory (section 2.2) against simulation: a figure and a table, in about two minutes on two cores.

    python examples/theory.py [--out runs/theory] [--quick]

Writes figure.html and table.csv and prints the table; the figure needs plotly: pip install 'skedastic[examples]'.
`docs/theory/theory.md` says what came out. `theory_setting.py` has the simulated truth and what the theory says of it,
`theory_network.py` the network of Figure 3, `theory_figure.py` the figure.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from theory_figure import Cost, Curve, Optimum, draw
from theory_network import network
from theory_setting import (
    FINE,
    LARGE,
    Floats,
    Row,
    Setting,
    Waves,
    best_rho,
    best_scale,
    log_slope,
    mean_error,
)

# ---------------------------------------------------------------------------------------------------------------------
# 1. Theorem 1 over n and over ρ


def over_n(quick: bool) -> tuple[list[Row], list[Curve]]:
    """Theorem 1 where f* is flat at the ends, and where it is not; λ ∝ n^{−2/5}."""
    runs = [(1000, 300), (4000, 100), (16_000, 40), (64_000, 20), (256_000, 10), (1_024_000, 6)]
    runs = [(n, max(4, r // 6)) for n, r in runs[:4]] if quick else runs
    flat = Setting(Waves([-1, 1, -1, 1, -1]), 0)
    steep = Setting(Waves([-1, 1, -1, 1, -1], 0.125, 0.875), 0)
    jump = Setting(Waves([-1, 1, -1, 1]), 0, np.array([0.5]), (1.0, 1.0))
    whole, inner = slice(None), slice(150, 1350)
    rows, curves = [], []
    for setting, tilt, parts, sizes in (
        (flat, (1.0,), {"f* flat at the ends": whole}, runs),
        (steep, (1.0,), {"f* steep at the ends": whole, "the same, over [0.1, 0.9] only": inner}, runs[:5]),
        (jump, (8**-0.5, 8**0.5), {"ρ jumps by 8 where f* is steep": whole}, runs[:5]),
    ):
        errors: dict[int, Floats] = {}
        points: dict[str, list[tuple[float, ...]]] = {name: [] for name in parts}
        for n, repeats in sizes:
            s = replace(setting, n=n)
            rho = s.theory_rho().mean() * np.array(tilt)
            errors[n] = np.array([s.errors(rho, s.draw(1, n, k)) for k in range(repeats)])
            same_n = s.linearized(rho)
            for name, part in parts.items():
                theorem = s.theorem(rho, part)
                layers = theorem + s.layers(rho) if part is whole else np.nan
                points[name].append((theorem, layers, float(same_n[part].mean())))
        for name, part in parts.items():
            simulated, spread = over_sizes({n: e[:, part].mean(1) for n, e in errors.items()})
            curves.append(Curve(name, np.array(list(errors), float), simulated, spread, *np.array(points[name]).T))
            rows += rate_rows(curves[-1])
    return rows, curves


def over_sizes(errors: dict[int, Floats]) -> tuple[Floats, Floats]:
    """Return the mean error at each n and its standard error, pooled over n, since the largest has few repeats.

    The relative standard deviation of one fit goes with the root of the width, n^{−1/10}.
    """
    means = np.array([e.mean() for e in errors.values()])
    off = [n**0.1 * (e / e.mean() - 1) for n, e in errors.items()]
    freedom = sum(len(e) - 1 for e in off)
    pooled = np.sqrt(sum(float(e @ e) for e in off) / freedom)
    return means, np.array(
        [m * pooled * n**-0.1 / np.sqrt(len(e)) for m, (n, e) in zip(means, errors.items(), strict=True)]
    )


def rate_rows(curve: Curve) -> Iterator[Row]:
    """Yield the slope of an error over n, and how far the largest n is from the formula."""
    n, exact = curve.x, np.zeros_like(curve.x)
    slope, spread = log_slope(n, curve.simulated, curve.spread)
    layered = not np.isnan(curve.layers).any() and not np.allclose(curve.layers, curve.theorem)
    note = f"formula with layers {log_slope(n, curve.layers, exact)[0]:.3f}; its limit is −0.6" if layered else ""
    yield Row("1 over n", f"{curve.name}: slope", slope, spread, log_slope(n, curve.same_n, exact)[0], -0.8, note)
    simulated, spread, same_n, layers = (
        values[-1] / curve.theorem[-1] for values in (curve.simulated, curve.spread, curve.same_n, curve.layers)
    )
    note = f"formula with layers {layers:.3f}" if layered else ""
    what = f"{curve.name}: MSE / formula at n = {n[-1]:,.0f}"
    yield Row("1 over n", what, simulated, spread, same_n, 1.0, note)


def over_rho(quick: bool) -> tuple[list[Row], Curve]:
    """Theorem 1 at one n, ρ from a sixteenth to sixteen times the best."""
    s = Setting(Waves([-1, 1, -1, 1, -1]), 16_000)
    factors, repeats = 2.0 ** np.arange(-4, 5), 6 if quick else 30
    data = [s.draw(2, k) for k in range(repeats)]
    points = []
    for factor in factors:
        rho = factor * s.theory_rho()
        sim = mean_error([float(s.errors(rho, d).mean()) for d in data])
        points.append((factor, *sim, s.theorem(rho), s.theorem(rho) + s.layers(rho), float(s.linearized(rho).mean())))
    curve = Curve(f"n = {s.n:,}", *np.array(points).T)
    rows = []
    for k in (0, 2, 4, 6, 8):
        simulated, spread, same = (v[k] / curve.theorem[k] for v in (curve.simulated, curve.spread, curve.same_n))
        rows.append(Row("1 over ρ", f"MSE / formula at {factors[k]:g} × its best ρ", simulated, spread, same, 1.0))
    return rows, curve


# ---------------------------------------------------------------------------------------------------------------------
# 2. The best ρ of groups, and what other choices cost


class Search(NamedTuple):
    """How much is simulated for one search: `repeats` searches, each on the same `sets` data sets throughout."""

    repeats: int
    sets: int
    fresh: int  # data sets for comparing choices
    compare: bool


def relative(rho: Floats) -> Floats:
    """Return ρ relative to the first group's."""
    return np.asarray(rho) / rho[0]


def simulated_mse(s: Setting, data: Sequence[tuple[Floats, Floats]]) -> Callable[[Floats], float]:
    """Return the mean squared error over the data sets as a function of ρ [k]."""
    return lambda rho: float(np.mean([s.errors(rho, d) for d in data]))


def find(name: str, number: int, s: Setting, search: Search) -> tuple[Optimum, dict[str, Floats]]:
    """Seek the best ρ; return it, and the ρ [k] of every choice, each the geometric mean over the repeats.

    The choices: the best ρ; the paper's weights, uniform ρ, and uniform per example (τ = ρ/q), each at its best λ.
    """
    choices = {"paper's weights": s.paper_rho(), "uniform per example": s.density} if search.compare else {}
    logs: dict[str, list[Floats]] = {choice: [] for choice in ("best", "uniform ρ", *choices)}
    for r in range(search.repeats):
        objective = simulated_mse(s, [s.draw(3, number, r, d) for d in range(search.sets)])
        uniform = best_scale(objective, np.ones(len(s.share)))
        logs["uniform ρ"].append(np.log(uniform))
        logs["best"].append(np.log(best_rho(objective, uniform)))  # from there: nothing of the theory is put in
        for choice, shape in choices.items():
            logs[choice].append(np.log(best_scale(objective, shape)))
    ratios = np.array([log - log[0] for log in logs["best"]])
    same, large = (relative(best_rho(at.linearized_mse, at.theory_rho(), FINE)) for at in (s, replace(s, n=LARGE)))
    spread = ratios.std(0, ddof=1) / np.sqrt(len(ratios))
    theory, paper = relative(s.theory_rho()), relative(s.paper_rho())
    optimum = Optimum(name, s.noise is None, np.exp(ratios.mean(0)), spread, same, large, theory, paper)
    return optimum, {choice: np.exp(np.mean(v, axis=0)) for choice, v in logs.items()}


def costs(optimum: Optimum, number: int, s: Setting, search: Search, chosen: dict[str, Floats]) -> list[Cost]:
    """Compare the choices of `find`, and no regularization, with the best ρ on fresh data."""
    fresh = [s.draw(4, number, d) for d in range(search.fresh)]
    # the logistic f̂ is infinite without: a thousandth of the best uniform ρ stands for it
    none, factor = ("uniform ρ, a thousandth", 1e-3) if s.noise is None else ("none", 1e-9)
    errors = {
        choice: np.array([s.errors(rho, d).mean() for d in fresh])
        for choice, rho in (chosen | {none: factor * chosen["uniform ρ"]}).items()
    }
    best = errors.pop("best")
    best_linear = s.linearized_mse(best_scale(s.linearized_mse, optimum.same_n, FINE))
    result = []
    for choice, error in errors.items():
        ratio = float(error.mean() / best.mean())
        spread = mean_error(error - ratio * best)[1] / float(best.mean())
        scaled = None if choice == none else best_scale(s.linearized_mse, chosen[choice], FINE)
        same = None if scaled is None else s.linearized_mse(scaled) / best_linear
        result.append(Cost(optimum.name, choice, ratio, spread, same))
    return result


A = 0.75  # half the height of a wave
TWO = Waves([-A, A, -A, A, -A])  # two groups alike, each with two waves
APART = Waves([-A, A, -A, A, 3 + A, 3 - A, 3 + A, 3 - A])  # about 0, then about 3, and the way there
FOUR = Waves([-A, A, -A, A, 2.5 + A, 2.5 - A, 2.5 + A, 2.5 - A, 2.5 + A, 2.5 - A, A, -A, A, -A])
STEEP = Waves([-A, A, -A, A])  # cut at 1/2, where it is steepest
CURVED = replace(TWO, bends=(1, 1, 4, 4))  # waves of one height, the second group's half as wide


def groups(quick: bool) -> tuple[list[Row], list[Optimum], list[Cost]]:
    """Best ρ against q^{3/5} I^{3/5}, regression against (σ²)^{2/5} q^{3/5}; and what other choices cost."""
    n = 10_000
    cases: list[tuple[str, Setting, bool]] = [
        ("q 10:1", Setting(TWO, n, TWO.cut(2), (10, 1)), False),
        ("I 3.5:1", Setting(APART, n, APART.cut(3), (1, 1)), False),
        ("q 6:1, I 3.5:1", Setting(APART, n, APART.cut(3), (6, 1)), True),
        ("four groups", Setting(FOUR, 2 * n, FOUR.cut(3, 6, 10), (6, 6, 1, 1)), True),
        ("q 10:1, f* steep at the border", Setting(STEEP, n, np.array([0.5]), (10, 1)), True),
        ("regression, q 10:1", Setting(TWO, n, TWO.cut(2), (10, 1), (1, 1)), False),
        ("regression, σ² 1:16", Setting(TWO, n, TWO.cut(2), (1, 1), (0.25, 4)), False),
        ("regression, q 10:1, σ² 1:16", Setting(TWO, n, TWO.cut(2), (10, 1), (0.25, 4)), True),
        ("regression, q 10:1, σ² 16:1", Setting(TWO, n, TWO.cut(2), (10, 1), (4, 0.25)), True),
        ("regression, |f*''| 1:4", Setting(CURVED, n, CURVED.cut(2), (1, 1), (1, 1)), True),
    ]
    rows, optima, all_costs = [], [], []
    for number, (name, s, compare) in enumerate(cases):
        search = Search(2, 1, 4, compare) if quick else Search(4, 4, 24, compare)
        optimum, chosen = find(name, number, s, search)
        optima.append(optimum)
        rows += best_rows(optimum)
        if compare:
            all_costs += costs(optimum, number, s, search, chosen)
    known = {optimum.name: optimum for optimum in optima}
    mean_i = Setting(APART, n, APART.cut(3), (1, 1))
    varied = float(np.divide(*mean_i.mean(mean_i.information)))
    rows += [
        exponent_row("2 best ρ", "exponent of q", known["q 10:1"], 10, 0.6),
        exponent_row("2 best ρ", "exponent of I (mean of the group)", known["I 3.5:1"], varied, 0.6),
        exponent_row("3 best ρ, regression", "exponent of q", known["regression, q 10:1"], 10, 0.6),
        exponent_row("3 best ρ, regression", "exponent of σ²", known["regression, σ² 1:16"], 1 / 16, 0.4),
    ]
    part = "4 MSE / optimal"
    rows += [Row(part, f"{c.setting}: {c.choice}", c.ratio, c.spread, c.same_n, None) for c in all_costs]
    return rows, optima, all_costs


def best_rows(optimum: Optimum) -> Iterator[Row]:
    """Yield the best ρ of every group but the first, relative to the first's."""
    for g in range(1, len(optimum.paper)):
        ratio, spread = optimum.simulated[g], optimum.simulated[g] * optimum.spread[g]
        note = f"formula's best {optimum.theory[g]:.3f}; same n at a million {optimum.large_n[g]:.3f}"
        part = "2 best ρ" if optimum.logistic else "3 best ρ, regression"
        what = f"{optimum.name}: ρ_{g + 1} / ρ_1"
        yield Row(part, what, ratio, spread, optimum.same_n[g], optimum.paper[g], note)


def exponent_row(part: str, what: str, optimum: Optimum, first_over_second: float, theory: float) -> Row:
    """Return the exponent that a ratio of best ρ says, where only one thing differs between two groups."""
    scale = -np.log(first_over_second)
    simulated, same, large, formula = (
        float(np.log(v[1]) / scale) for v in (optimum.simulated, optimum.same_n, optimum.large_n, optimum.theory)
    )
    note = f"formula's best {formula:.3f}; same n at a million {large:.3f}"
    return Row(part, what, simulated, float(optimum.spread[1] / abs(scale)), same, theory, note)


# ---------------------------------------------------------------------------------------------------------------------
# The table


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    width = max(len(row.what) for row in rows)
    print(f"{'':{width}s}  simulated   ± s.e.   same n   theory")
    part = ""
    for row in rows:
        if row.part != part:
            part = row.part
            print(f"\n{part}")
        cells = [f"{'' if v is None else format(v, '.4g'):>8s}" for v in (row.spread, row.same_n, row.theory)]
        print(f"{row.what:{width}s}  {row.simulated:9.4g} {' '.join(cells)}  {row.note}".rstrip())


def one_thread() -> None:
    """Keep this process to one thread: the matrices are narrow, and threads would only wait for each other."""
    torch.set_num_threads(1)
    threadpool_limits(1)


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/theory"), help="the folder to write to")
    parser.add_argument("--quick", action="store_true", help="fewer simulations, to see that it runs; not to be quoted")
    arguments = parser.parse_args()
    one_thread()
    begin = time.perf_counter()
    with ProcessPoolExecutor(1, get_context("spawn"), one_thread) as apart:
        line, networks_fitted = (apart.submit(part, arguments.quick) for part in (over_n, network))
        over_rho_rows, rho_curve = over_rho(arguments.quick)
        group_rows, optimum, cost = groups(arguments.quick)
        print(f"groups: {time.perf_counter() - begin:.0f} s", flush=True)
        over_n_rows, curves = line.result()
        network_rows, networks = networks_fitted.result()
    rows = [*over_n_rows, *over_rho_rows, *group_rows, *network_rows]
    rows.sort(key=lambda row: row.part)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(rows)
    draw(curves, rho_curve, optimum, cost, networks).write_html(arguments.out / "figure.html", include_plotlyjs=True)
    show(rows)
    print(f"\n{time.perf_counter() - begin:.0f} s; wrote figure.html and table.csv to {arguments.out}")


if __name__ == "__main__":
    main()
