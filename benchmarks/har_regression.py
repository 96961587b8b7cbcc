"""HAR in regression: error where noise is largest and where examples are rarest, against plain and uniform training.

    python benchmarks/har_regression.py [--json] [--seeds 5] [--data simulated,diamonds,vader] [--tune]

Three data sets; every seed draws another sample or split, another start and, for vader, other ratings:

- simulated: f(x) = sin(4πx₁) + x₂ in 8 dimensions, 1500 examples. Ten groups, intervals of x₁ of equal length, whose
  noise σ (0.1 to 1.5) and density (1 to 20) are known and unrelated. The test set is even in x₁ and without noise.
- diamonds (shared/data): 6000 rows to train on, as they are (a few have impossible sizes); groups are ten bins of the
  price. The test prices hold their own noise, and neither noise nor truth is known: the noisiest decile is the bin with
  the largest estimated variance.
- vader (shared/data): texts as 100 components of TF-IDF, fitted on the training texts; the target is one rating drawn
  from those of the item, the truth the mean of them, the noise their variance. Groups are the four sources: bins of a
  single rating would be chosen by its noise. Items whose published mean is not that of their ratings are left out.

Noisiest decile: the test examples with the largest known variance (simulated: the group; diamonds: the bin). Rarest
decile: simulated, the group with the lowest density; diamonds, the bin with the lowest density of the price; vader, the
test items with the lowest density of the true rating (Gaussian kernel). Prints the root mean squared error against the
truth, and differences to plain training and to unif, paired by seed, with 95 % t-intervals; and the error of predicting
the mean of the training targets for everyone.

Each method has the strength, of 0.1, 0.3, 1 and 3, with the least mean of the two deciles' errors (each relative to
plain training's) on development seeds 1000 to 1002 (--tune prints them), which are not reported. That favours all but
erm alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import gaussian_kde
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from common import hardware, show
from skedastic.data import from_arrays
from skedastic.evaluation.intervals import mean_interval, paired
from skedastic.noise.estimate import Estimate
from skedastic.pipeline import estimate_noise, train_and_evaluate
from skedastic.pipeline.prepare import Data, network, open_data
from skedastic.settings.config import Config
from skedastic.settings.methods import make_method
from skedastic.training import TrainingConfig

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
STRENGTHS = (0.1, 0.3, 1.0, 3.0)
MODEL = {"name": "mlp", "width": 128}  # three hidden layers
CHOSEN = {
    "simulated": {"unif": 1.0, "har-unit": 1.0, "har": 1.0},
    "diamonds": {"unif": 0.1, "har-unit": 0.1, "har": 0.1},
    "vader": {"unif": 0.3, "har-unit": 0.3, "har": 0.3},
}
DEVELOPMENT, FIRST_SEED = range(1000, 1003), 0
PARTS = ("noisiest", "rarest", "overall")


@dataclass(frozen=True, eq=False)
class Problem:
    """Training and test data, and which test examples are the noisiest and the rarest, once the noise is estimated."""

    data: Data
    config: Config
    noisiest: Callable[[Estimate], np.ndarray]
    rarest: np.ndarray


def simulated(seed: int) -> Problem:
    """Return data with known noise and density in ten groups."""
    order = np.random.default_rng(7)
    sigma = order.permutation(np.geomspace(0.1, 1.5, 10))
    density = order.permutation(np.geomspace(1, 20, 10))
    rng = np.random.default_rng(seed)

    def features(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = rng.random((len(group), 8))
        x[:, 0] = (group + x[:, 0]) / 10
        return x, np.sin(4 * np.pi * x[:, 0]) + x[:, 1]

    group, test_group = rng.choice(10, 1500, p=density / density.sum()), np.repeat(np.arange(10), 300)
    x, clean = features(group)
    test = (*features(test_group), test_group)
    training = TrainingConfig(epochs=60, batch_size=128, lr=0.02, device="cpu")
    config = Config(task="regression", seed=seed, model=MODEL, train=training)
    source = from_arrays(x, clean + rng.normal(size=len(x)) * sigma[group], group, task="regression")
    return Problem(
        open_data(config, source, test),
        config,
        lambda _: test_group == sigma.argmax(),
        test_group == density.argmin(),
    )


def diamonds(seed: int) -> Problem:
    """Return prices of diamonds, in ten bins."""
    training = TrainingConfig(epochs=30, batch_size=128, lr=0.02, device="cpu")
    path = str(SHARED / "diamonds.parquet")
    config = Config(source=path, target="price", task="regression", limit=6000, seed=seed, model=MODEL, train=training)
    data = open_data(config)
    assert data.test is not None
    bins = data.test.group.numpy()
    return Problem(
        data,
        config,
        lambda estimated: bins == int(estimated.stats.uncertainty.argmax()),
        bins == int(data.train.density().argmin()),
    )


def vader(seed: int) -> Problem:
    """Return texts with one rating each, and the mean of all ratings to test against."""
    items = pd.read_parquet(SHARED / "vader_ratings.parquet")
    items = items[(items["mean"] - items["ground_truth_mean"]).abs() <= 0.002].drop_duplicates("text")
    rng = np.random.default_rng(seed)
    items = items.iloc[rng.permutation(len(items))[:14_000]]
    rating = np.array([rng.choice(r) for r in items["ratings"]], dtype=np.float64)
    train, test = np.arange(len(items)) < 10_000, np.arange(len(items)) >= 10_000
    words = TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1, 2), stop_words=None)
    components = TruncatedSVD(100, random_state=0)
    texts = items["text"].to_numpy()
    x = components.fit_transform(words.fit_transform(texts[train]))
    x_test = components.transform(words.transform(texts[test]))
    sources, truth, variance = items["source"].to_numpy(), items["mean"].to_numpy(np.float64), items["std"] ** 2
    training = TrainingConfig(epochs=10, batch_size=128, lr=0.02, device="cpu")
    config = Config(task="regression", seed=seed, model=MODEL, train=training)
    data = open_data(
        config,
        from_arrays(x, rating[train], sources[train], task="regression"),
        (x_test, truth[test], sources[test]),
    )
    density = gaussian_kde(truth[train])(truth[test])
    return Problem(data, config, lambda _: top_tenth(variance.to_numpy()[test]), top_tenth(-density))


def top_tenth(values: np.ndarray) -> np.ndarray:
    """Return which values [m] are among the largest tenth."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") >= len(values) - len(values) // 10


def errors(problem: Callable[[int], Problem], seed: int, strengths: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return the error in each part by method ("har", "har@0.3"), on one seed. strengths: of each method but erm."""
    made = problem(seed)
    make_net = network(made.config, made.data)
    estimated = estimate_noise(made.config, made.data, make_net)
    test = made.data.test
    assert test is not None
    rows = {"noisiest": made.noisiest(estimated), "rarest": made.rarest, "overall": np.ones(len(test), dtype=bool)}
    off = float(made.data.train.y.mean()) - test.y.numpy()
    by_method = {"the mean": {part: float((off[row] ** 2).mean() ** 0.5) for part, row in rows.items()}}
    for name, strength in {"erm": None, **strengths}.items():
        settings = {} if strength is None else {"strength": strength}
        method = make_method(name.partition("@")[0], settings)
        result = train_and_evaluate(made.config, made.data, method, make_net, estimated)
        off = (result.predictions["predicted"] - result.predictions["label"]).to_numpy()
        by_method[name] = {part: float((off[row] ** 2).mean() ** 0.5) for part, row in rows.items()}
    return by_method


def tuned(problem: Callable[[int], Problem]) -> dict[str, Any]:
    """Return the score of each method and strength on the development seeds, and the strength with the least."""
    grid = {f"{name}@{s:g}": s for name in ("unif", "har-unit", "har") for s in STRENGTHS}
    runs = [errors(problem, seed, grid) for seed in DEVELOPMENT]
    score = {
        key: float(np.mean([r[key][part] / r["erm"][part] for r in runs for part in ("noisiest", "rarest")]))
        for key in grid
    }
    best = {name: min((k for k in grid if k.startswith(f"{name}@")), key=score.__getitem__) for name in CHOSEN["vader"]}
    return {"chosen": {name: grid[key] for name, key in best.items()}, "relative to erm": score}


def measured(problem: Callable[[int], Problem], name: str, seeds: int) -> dict[str, Any]:
    """Return means, intervals and paired differences over the reported seeds."""
    runs = [errors(problem, FIRST_SEED + seed, CHOSEN[name]) for seed in range(seeds)]
    values = {m: {part: [r[m][part] for r in runs] for part in PARTS} for m in runs[0]}
    return {
        "strengths": CHOSEN[name],
        "errors": {m: {part: mean_interval(v) for part, v in parts.items()} for m, parts in values.items()},
        "paired": {
            f"{b} - {a}": {part: paired(values[b][part], values[a][part]) for part in PARTS}
            for b, a in (("unif", "erm"), ("har-unit", "erm"), ("har", "erm"), ("har-unit", "unif"), ("har", "unif"))
        },
    }


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", default="simulated,diamonds,vader")
    parser.add_argument("--tune", action="store_true", help="print the development seeds' scores instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    problems = {p.__name__: p for p in (simulated, diamonds, vader)}
    results: dict[str, Any] = {}
    for name in arguments.data.split(","):
        run = (
            partial(tuned, problems[name])
            if arguments.tune
            else partial(measured, problems[name], name, arguments.seeds)
        )
        results[name] = run()
        if not arguments.json:
            show(_rows(name, results[name]), False)
    if arguments.json:
        show({"results": results, **hardware()}, True)
    else:
        show({"seeds": arguments.seeds, **hardware()}, False)


def _rows(name: str, result: dict[str, Any]) -> dict[str, str]:
    if "chosen" in result:
        scores = {f"{name}, {key}": f"{value:.3f}" for key, value in result["relative to erm"].items()}
        return scores | {f"{name}, chosen": str(result["chosen"])}
    rows = {}
    for kind in ("errors", "paired"):
        for key, parts in result[kind].items():
            strength = f" ({result['strengths'][key]:g})" if key in result["strengths"] else ""
            rows[f"{name}, {key}{strength}"] = "; ".join(f"{part} {_of(v, kind)}" for part, v in parts.items())
    return rows


def _of(value: dict[str, Any], kind: str) -> str:
    mean = f"{value['mean']:{'+' if kind == 'paired' else ''}.4g}"
    return mean if value["low"] is None else f"{mean} ± {value['high'] - value['mean']:.2g}"


if __name__ == "__main__":
    main()
