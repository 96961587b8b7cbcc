"""Tables and texts: our network against boosting, logistic regression and the network that was the default before it.

    python benchmarks/tables.py --data FOLDER [--out LINES] [--seeds 3] [--first-seed 0] [--rows 6000] [--json]
                                [--ways tabular,tabm,…] [--sets ecoli,…]

Every table of the folder with classes, and texts and embeddings of texts, a third of the rows for testing by true
labels; trained on true labels, on three kinds of wrong ones that are put in (`noise_estimate.py`), or on its own wrong
ones where it has some. The ways:

- tabular, tabm, mlp: plain training of a network, as `fit --method erm --model NAME --set estimate.kind=none` trains it
- auto: `fit --method auto`, estimate and trials included
- boosting, boosting balanced: scikit-learn's HistGradientBoosting, without and with class weights; of texts on what the
  networks read
- lightgbm, lightgbm balanced: LightGBM, where it is installed, so too
- logistic, logistic balanced: logistic regression on what the networks read, of texts on TF-IDF of words and pairs

Prints for each kind of labels and way accuracy, balanced accuracy and the worst class in %, seconds on one thread, and
the mean rank by balanced accuracy with its standard error over runs; then balanced accuracy by set. With --out each
finished run is a line of a file, and the same command goes on after them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from common import hardware, show
from noise_estimate import with_noise
from resumable import Lines, lines_of, options
from skedastic.pipeline import fit_config
from skedastic.pipeline.prepare import open_data
from skedastic.settings.config import Config
from skedastic.settings.reading import read

LEFT_OUT = {  # columns beside the features, the label, its own wrong ones and the split
    "adult": (),
    "chemprot": ("weak", "cosine_split"),
    "chemprot_minilm": (),
    "cifar10_features_train": ("index", "aggre", "random1", "random2", "random3"),
    "defects": ("weak", "bugs", "file", "release", "release_no"),
    "ecoli": (),
    "hausa_news": (),
    "hypothyroid": (),
    "imdb_train": ("rating", "id"),
    "krk": (),
    "mammography": (),
    "music_genre": ("single", "annotators", "annotator_labels", "song"),
    "page_blocks": (),
    "trec": ("weak", "wrench_split", "n_votes", "vote_counts"),
    "trec_minilm": (),
    "wine_white": (),
    "yeast": (),
    "youtube": ("weak", "n_votes", "vote_counts"),
    "youtube_minilm": (),
}
WRONG = {"cifar10_features_train": "worse"}  # the column of its own wrong labels, where that is not `noisy`
BY_PEOPLE = ("cifar10_features_train", "music_genre")  # sets whose own wrong labels are people's, others' are rules'
KINDS = ("none", "uniform 20", "one way", "rare noisy")
OWN = "own"
WAYS = "tabular,mlp,auto,boosting,boosting balanced,lightgbm,lightgbm balanced,logistic,logistic balanced"


class Figures(NamedTuple):
    """How a way did on the test rows, in %, and how long it took."""

    accuracy: float
    balanced: float
    worst: float
    seconds: float


def figures(predicted: Tensor, y: Tensor, seconds: float) -> Figures:
    """Return the figures of predicted classes [n] by true ones."""
    right = 100 * (predicted == y).double()
    of_class = torch.stack([right[y == c].mean() for c in y.unique()])
    return Figures(float(right.mean()), float(of_class.mean()), float(of_class.min()), seconds)


def labelled(file: Path, kind: str, rows: int, seed: int) -> pd.DataFrame | None:
    """Return a frame with `noisy` to train on, `label` to test by and `part`; None where there is no such kind."""
    name = file.stem
    frame = pd.read_parquet(file).drop(columns=[*LEFT_OUT[name], "split"], errors="ignore")
    frame = frame.rename(columns={WRONG.get(name, "noisy"): "noisy"})
    if (kind == OWN) != ("noisy" in frame):
        return None
    frame = frame.sample(min(rows * 3 // 2, len(frame)), random_state=seed).reset_index(drop=True)
    frame = frame if kind == OWN else with_noise(frame, kind, name, seed)
    test = np.random.default_rng(seed).random(len(frame)) < 1 / 3
    frame = frame.assign(noisy=frame["noisy"].where(~test, frame["label"]), part=np.where(test, "test", "train"))
    count = frame["noisy"][~test].value_counts()
    known = set(count.index[count > 1])  # a class with a single training row is learned by no way
    return frame[frame["noisy"].isin(known) & frame["label"].isin(known)]


def of_network(config: Config) -> Figures:
    """Return the figures of a fit."""
    start = time.perf_counter()
    result = fit_config(config)
    seconds = time.perf_counter() - start
    test = open_data(config).test
    assert test is not None
    return figures(result.trained.predict(test.x).argmax(1), test.y, seconds)


def of_estimator(make: Callable[[], Any], config: Config, native: pd.DataFrame | pd.Series | None = None) -> Figures:
    """Return the figures of an estimator of scikit-learn's kind, on encoded rows or on a frame as it is."""
    data = open_data(config)
    assert data.test is not None
    assert isinstance(data.train.x, Tensor)
    assert isinstance(data.test.x, Tensor)
    train, test = (
        (data.train.x.numpy(), data.test.x.numpy())
        if native is None
        else (native.iloc[data.train.index.numpy()], native.iloc[data.test.index.numpy()])
    )
    start = time.perf_counter()
    estimator = make().fit(train, data.train.y.numpy())
    predicted = torch.from_numpy(np.asarray(estimator.predict(test))).long()
    return figures(predicted, data.test.y, time.perf_counter() - start)


def with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the features as boosting reads them by itself: numbers, and categories as such."""
    features = frame.drop(columns=["noisy", "label", "part"])
    text = [c for c in features if not pd.api.types.is_numeric_dtype(features[c])]
    return features.astype(dict.fromkeys(text, "category"))


def run(way: str, config: Config, frame: pd.DataFrame) -> Figures | None:
    """Return the figures of a way; None where its package is not installed."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    name, _, balanced = way.partition(" ")
    weight, has_text = balanced or None, "text" in frame
    native = None if has_text else with_categories(frame)
    if name in ("tabular", "tabm", "mlp"):
        settings = ["method.name=erm", f"model.name={name}", "estimate.kind=none"]
        return of_network(read(None, _given(config), settings))
    if name == "auto":
        return of_network(read(None, _given(config), ["method.name=auto"]))
    if name == "logistic" and has_text:
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        logistic = LogisticRegression(C=10, max_iter=500, class_weight=weight)
        return of_estimator(lambda: make_pipeline(words, logistic), config, frame["text"])
    if name == "logistic":
        return of_estimator(lambda: LogisticRegression(max_iter=500, class_weight=weight), config)
    if name == "boosting":
        make = partial_of(HistGradientBoostingClassifier, categorical_features="from_dtype", class_weight=weight)
        return of_estimator(make, config, native)
    try:
        from lightgbm import LGBMClassifier
    except ImportError:
        return None
    make = partial_of(LGBMClassifier, class_weight=weight, n_jobs=1, verbose=-1)
    return of_estimator(make, config, None if native is None else native.rename(columns=lambda c: c.replace(" ", "_")))


def partial_of(cls: Callable[..., Any], **settings: Any) -> Callable[[], Any]:
    """Return the function that makes an estimator with these settings."""
    return lambda: cls(**settings)


def _given(config: Config) -> dict[str, Any]:
    return {"source": config.source, "target": "noisy", "truth": "label", "split": "part", "seed": config.seed}


def runs(arguments: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Yield set, kind of labels and seed, one seed after the other."""
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for name in arguments.sets.split(","):
            for kind in (*KINDS, OWN):
                yield name, kind, seed


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run what is not in the lines yet; return all lines."""
    lines = Lines(arguments.out)
    done = {line["run"] for line in lines}
    for name, kind, seed in runs(arguments):
        missing = [way for way in arguments.ways.split(",") if f"{name}/{kind}/{seed}/{way}" not in done]
        frame = labelled(arguments.data / f"{name}.parquet", kind, arguments.rows, seed) if missing else None
        if frame is None:
            continue
        frame = frame.reset_index(drop=True)
        with tempfile.TemporaryDirectory() as folder:
            frame.to_parquet(file := Path(folder) / "set.parquet")
            base = {"source": str(file), "target": "noisy", "truth": "label", "split": "part", "seed": seed}
            for way in missing:
                found = run(way, read(None, base), frame)
                if found is not None:
                    lines.add({"run": f"{name}/{kind}/{seed}/{way}", **found._asdict()})
    return list(lines)


def table(lines: list[dict[str, Any]]) -> dict[str, str]:
    """Return a line for each kind of labels and way, and for each set and way, from runs that every way finished."""
    by_run: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for line in lines:
        name, kind, seed, way = line["run"].split("/")
        by_run[name, kind, seed][way] = line
    ways = max((tuple(found) for found in by_run.values()), key=len, default=())
    whole = {key: found for key, found in by_run.items() if set(found) == set(ways)}
    rows = dict[str, str]()
    kinds = sorted({kind for _, kind, _ in whole})
    for title, chosen in [("all", whole), *((k, {r: f for r, f in whole.items() if r[1] == k}) for k in kinds)]:
        balanced = pd.DataFrame([{way: found[way]["balanced"] for way in ways} for found in chosen.values()])
        ranks = balanced.rank(axis=1, ascending=False)
        for way in ways:
            mean = {k: np.mean([found[way][k] for found in chosen.values()]) for k in Figures._fields}
            error = ranks[way].std() / len(ranks) ** 0.5
            rows[f"{title} ({len(chosen)}): {way}"] = (
                f"accuracy {mean['accuracy']:.1f}, balanced {mean['balanced']:.1f}, worst class {mean['worst']:.1f}, "
                f"{mean['seconds']:.1f} s, rank {ranks[way].mean():.2f} ± {error:.2f}"
            )
    for name, kind in sorted({(name, kind) for name, kind, _ in whole}):
        some = [found for (n, k, _), found in whole.items() if (n, k) == (name, kind)]
        rows[f"{name}, {kind}"] = ", ".join(f"{way} {np.mean([f[way]['balanced'] for f in some]):.1f}" for way in ways)
    return rows


def main() -> None:
    """Parse the options, measure, print."""
    parser = options(__doc__, seeds=3, rows=6000)
    parser.add_argument("--ways", default=WAYS)
    parser.add_argument("--sets", default=",".join(LEFT_OUT))
    arguments = parser.parse_args()
    lines = lines_of(measure, arguments)
    show({"runs": lines} | hardware() if arguments.json else table(lines) | hardware(), arguments.json)


if __name__ == "__main__":
    main()
