"""Numbers as targets: what `fit` takes by default, against plain training, HAR alone, boosting and ridge regression.

    python benchmarks/regression_tables.py --data FOLDER [--out LINES] [--seeds 3] [--first-seed 0] [--rows 4000]
                                           [--tables FILE:COLUMN ...] [--kinds KINDS] [--json]

Columns of numbers as targets: the price of diamonds, the score of white wines, hours and age of adult, and, of
scikit-learn's, diabetes and Friedman's three functions (2,000 rows, with noise on the half of them where the first
feature is large; tested without). --tables names others, such as prices.csv:price. A third of the rows are for
testing. The ways:

- fit: as `skedastic fit` trains it with no method named, which is stack: the weighted mean of HAR's network, trees and
  linear models that errs least on rows not seen
- blend: the plain mean of HAR's network and of trees, to which the weighted mean is held
- erm, har: the network alone, by plain training and by HAR; har with its estimate of the noise, as fit
- trees, linear: our boosted trees and ridge regression, on what the network reads
- boosting, lightgbm: scikit-learn's HistGradientBoostingRegressor and, where it is installed, LightGBM, with their own
  settings, on the same

Gross errors are set aside in fit and blend, as fit does. Prints the root mean squared error of each as a ratio to
boosting's, by set and on average (geometric) with its largest, the same to blend's, the same of the mean absolute error
and of the worst tenth of the targets that has 20 test rows, and seconds on one thread. With --out each finished run is
a line of a file, and the same command goes on after them.

With --kinds, gross errors are put among the training targets: clean has none, x10:0.05 is ten times 5 % of them, and so
are x3, div10, zero, 999, neg (another sign), swap (the target of another row) and uniform (any number of the range); t2
adds noise of Student's t with two degrees of freedom and a scale of 0.15 deviations, which is heavy-tailed and no
error, and lognormal multiplies by skewed noise of mean 1. The ways are then

- fit: as above, which sets gross errors and wrong targets inside the range aside; keep: with gross_errors=keep
- absolute: with method.loss=absolute alone, which is HAR's network; mae: fit with method.optimize=mae and keep
- boosting, boosting-absolute: scikit-learn's, by squared and by absolute error

and root mean squared and mean absolute errors on test rows, without gross errors, are ratios to those of keep, by kind.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import Tensor

from common import hardware, show
from resumable import Lines, lines_of, options
from skedastic.pipeline import fit_config
from skedastic.pipeline.prepare import open_data
from skedastic.settings.reading import read

BASE, BLEND, LIGHTGBM = "boosting", "blend", "lightgbm"
WAYS = ("fit", BLEND, "erm", "har", "trees", "linear", BASE, *[LIGHTGBM] * (find_spec(LIGHTGBM) is not None))
FRIEDMAN: dict[str, Callable[..., Any]] = {"friedman1": make_friedman1, "friedman2": make_friedman2}
FRIEDMAN["friedman3"] = make_friedman3
SETS = ("diamonds", "wine_white", "hours", "age", "diabetes", *FRIEDMAN)
COLUMNS = {
    "diamonds": ("diamonds", "price"),
    "wine_white": ("wine_white", "label"),
    "hours": ("adult", "hours_per_week"),
}
COLUMNS["age"] = ("adult", "age")
LEAST = 20  # test rows of a tenth; where none has as many, all count
KEEP, ABSOLUTE, MAE = "keep", "absolute", "mae"
ALL_ERRORS = "clean,x10:0.02,x10:0.1,zero:0.05,swap:0.05,t2"
WAYS_OF_KINDS = ("fit", KEEP, ABSOLUTE, MAE, BASE, "boosting-absolute")
SKEWED = 0.6  # the deviation of the logarithm of the noise of lognormal
HEAVY = 0.15  # of the targets' deviation, the scale of the noise of t2


def frame_of(name: str, data: Path, rows: int, seed: int) -> pd.DataFrame:
    """Return a frame with `target` and `part`."""
    rng = np.random.default_rng(seed)
    if name in FRIEDMAN:
        x, y = FRIEDMAN[name](2000, random_state=seed)
        frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])])
        noise = 0.3 * y.std() * rng.normal(size=len(y)) * (x[:, 0] > np.median(x[:, 0]))
    else:
        whole = _whole(name, data)
        frame = whole.sample(min(rows * 3 // 2, len(whole)), random_state=seed).reset_index(drop=True)
        y = frame.pop("target").astype(str).str.extract(r"([-\d.]+)")[0].astype(float).to_numpy()  # of ">=8" the 8
        noise = np.zeros(len(frame))
    test = rng.random(len(frame)) < 1 / 3
    return frame.assign(target=np.where(test, y, y + noise), part=np.where(test, "test", "train"))


def _whole(name: str, data: Path) -> pd.DataFrame:
    """Return a table with its target, of a set by name or FILE:COLUMN."""
    if name == "diabetes":
        return load_diabetes(as_frame=True).frame
    file, column = COLUMNS.get(name) or name.rsplit(":", 1)
    path = data / f"{file}.parquet" if name in COLUMNS else Path(file)
    whole = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    whole = whole[whole[column].notna()].rename(columns={column: "target"})
    return whole.drop(columns=["split", "part"], errors="ignore")


def with_errors(frame: pd.DataFrame, kind: str, seed: int) -> pd.DataFrame:
    """Return the frame with errors of a kind, such as "x10:0.05", among its training targets."""
    rng, (name, _, share) = np.random.default_rng(1000 + seed), kind.partition(":")
    y, train = frame["target"].to_numpy(dtype=float), (frame["part"] == "train").to_numpy()
    made = {
        "clean": lambda: y,
        "t2": lambda: y + HEAVY * y.std() * rng.standard_t(2, len(y)),
        "lognormal": lambda: y * np.exp(SKEWED * rng.normal(size=len(y)) - SKEWED**2 / 2),
        "x10": lambda: 10 * y,
        "x3": lambda: 3 * y,
        "uniform": lambda: rng.uniform(y.min(), y.max(), len(y)),
        "div10": lambda: y / 10,
        "zero": lambda: 0 * y,
        "999": lambda: np.full(len(y), 999.0),
        "neg": lambda: -y,
        "swap": lambda: rng.permutation(y),
    }[name]()
    wrong = train & (rng.random(len(y)) < float(share or 1))
    return frame.assign(target=np.where(wrong, made, y))


def of_run(file: Path, seed: int, way: str) -> dict[str, float]:
    """Return errors and seconds of a way on a file."""
    source = {"source": str(file), "target": "target", "split": "part", "task": "regression", "seed": seed}
    named: dict[str, Any] = (
        {} if way in ("fit", KEEP, MAE, LIGHTGBM) or way.startswith(BASE) else {"method": {"name": way}}
    )
    named = {"method": {"loss": "absolute"}, "gross_errors": KEEP} if way == ABSOLUTE else named
    named |= {"gross_errors": KEEP} if way == KEEP else {}
    named |= {"gross_errors": KEEP, "method": {"optimize": MAE}} if way == MAE else {}
    named = {"method": {"name": BLEND, "base": "har"}, "gross_errors": "set-aside"} if way == BLEND else named
    config = read(None, source | named | ({"estimate.kind": "none"} if way in ("erm", "trees", "linear") else {}))
    data = open_data(config)
    assert data.test is not None
    start = time.perf_counter()
    if way.startswith(BASE):
        x, rows = (_rows(part.x) for part in (data.train, data.test))
        loss = "squared_error" if way == BASE else "absolute_error"
        predicted = (
            HistGradientBoostingRegressor(loss=loss, random_state=seed).fit(x, data.train.y.numpy()).predict(rows)
        )
    elif way == LIGHTGBM:
        from lightgbm import LGBMRegressor  # not among the dependencies

        x, rows = (_rows(part.x) for part in (data.train, data.test))
        boosted = LGBMRegressor(random_state=seed, n_jobs=1, verbose=-1)
        predicted = np.asarray(boosted.fit(x, data.train.y.numpy()).predict(rows))
    else:
        predicted = fit_config(config).trained.predict(data.test.x).numpy()
    seconds = time.perf_counter() - start
    off = (predicted - data.test.y.numpy()) ** 2
    tenths = [off[data.test.group.numpy() == g] for g in range(len(data.test.groups))]
    worst = max((float(tenth.mean()) for tenth in tenths if len(tenth) >= LEAST), default=float(off.mean()))
    absolute = float((off**0.5).mean())
    return {"error": float(off.mean()) ** 0.5, "absolute": absolute, "worst": worst**0.5, "seconds": seconds}


def _rows(x: Any) -> NDArray[np.float32]:
    assert isinstance(x, Tensor)
    rows: NDArray[np.float32] = x.numpy()
    return rows


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run what is not in the lines yet; return all lines."""
    lines = Lines(arguments.out)
    done = {line["run"] for line in lines}
    kinds, ways = ([""], WAYS) if arguments.kinds is None else (arguments.kinds.split(","), WAYS_OF_KINDS)
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for name, kind in ((name, kind) for kind in kinds for name in arguments.tables or SETS):
            if (run := "/".join([Path(name).name, str(seed), *[kind] * bool(kind)])) not in done:
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / "set.parquet"
                    frame = frame_of(name, arguments.data, arguments.rows, seed)
                    (with_errors(frame, kind, seed) if kind else frame).to_parquet(file)
                    lines.add({"run": run, "ways": {way: of_run(file, seed, way) for way in ways}})
    return list(lines)


def tables_of_kinds(lines: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of the table of each kind: the ratios of both errors to those of keep."""
    kinds = [line["run"].split("/")[2] for line in lines]
    for kind in dict.fromkeys(kinds):
        of_kind = [line["ways"] for line, own in zip(lines, kinds, strict=True) if own == kind]
        for way in WAYS_OF_KINDS:
            squared, absolute = (
                np.array([ways[way][key] / ways[KEEP][key] for ways in of_kind]) for key in ("error", "absolute")
            )
            row = {"RMSE": f"{_mean(squared):.3f}", "largest": f"{squared.max():.3f}", "MAE": f"{_mean(absolute):.3f}"}
            seconds = np.mean([ways[way]["seconds"] for ways in of_kind])
            yield f"{kind} {way}", row | {"seconds": f"{seconds:.1f}", "runs": str(len(of_kind))}


def tables(lines: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of the table: the ratios by set and on average, the worst tenth, and seconds."""
    for way in WAYS:
        ratio = {
            (key, of): np.array([line["ways"][way][key] / line["ways"][of][key] for line in lines])
            for key, of in (("error", BASE), ("error", BLEND), ("absolute", BASE), ("worst", BASE))
        }
        sets = np.array([line["run"].split("/")[0] for line in lines])
        squared, to_blend = ratio["error", BASE], ratio["error", BLEND]
        row = {name: f"{_mean(squared[sets == name]):.3f}" for name in dict.fromkeys(sets)}
        row |= {"all": f"{_mean(squared):.3f}", "largest": f"{squared.max():.3f}"}
        row |= {"to blend": f"{_mean(to_blend):.3f}", "largest to blend": f"{to_blend.max():.3f}"}
        row |= {"MAE": f"{_mean(ratio['absolute', BASE]):.3f}", "worst tenth": f"{_mean(ratio['worst', BASE]):.3f}"}
        yield way, row | {"seconds": f"{np.mean([line['ways'][way]['seconds'] for line in lines]):.1f}"}


def _mean(ratios: NDArray[np.float64]) -> float:
    return float(np.exp(np.log(ratios).mean()))


def main() -> None:
    """Parse the options, measure, print."""
    parser = options(__doc__, seeds=3, rows=4000)
    parser.add_argument("--tables", nargs="+", default=[])
    parser.add_argument("--kinds", nargs="?", const=ALL_ERRORS)
    arguments = parser.parse_args()
    lines = lines_of(measure, arguments)
    if arguments.json:
        show({"runs": lines} | hardware(), as_json=True)
        return
    rows = tables(lines) if arguments.kinds is None else tables_of_kinds(lines)
    show({way: "  ".join(f"{k} {v}" for k, v in row.items()) for way, row in rows}, as_json=False)
    show({"runs": len(lines)} | hardware(), as_json=False)


if __name__ == "__main__":
    main()
