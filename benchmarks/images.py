"""Images: what `fit` does with them by itself, against what is usual for few of them on a machine without a GPU.

    python benchmarks/images.py --data FOLDER [--garments FOLDER] [--out LINES] [--seeds 2] [--first-seed 0]
                                [--rows 2000] [--json] [--ways convnet,auto,…] [--sets cifar,…]

Photographs of CIFAR-10, digits of scikit-learn, and with --garments the gz files of Fashion-MNIST; trained on true
labels, on three kinds of wrong ones that are put in (`noise_estimate.py`), of CIFAR-10 on people's wrong ones
(CIFAR-10N's `worse`), too; tested on 2,000 others (597 digits) by true labels. The ways:

- convnet, cnn, resnet32: plain training of a network as `fit --method erm` trains it, by the settings that suit it
- convnet still: the same without augmentation
- auto: `fit` with nothing named, estimate and trials included
- svm balanced: scikit-learn's SVC, whose kernel is Gaussian, on 100 leading directions of the pixels
- logistic balanced, boosting balanced: logistic regression and HistGradientBoosting on the same

Prints what `tables.py` prints. With --out each finished run is a line of a file, and the same command goes on after
them. Seconds are of one thread.
"""

from __future__ import annotations

import argparse
import gzip
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

import skedastic as sk
from common import hardware, show
from noise_estimate import with_noise
from resumable import Lines, lines_of, options
from tables import KINDS, OWN, Figures, figures, table

WAYS = "convnet,convnet still,auto,svm balanced,logistic balanced,boosting balanced"
TEST_ROWS = 2000
DIRECTIONS = 100  # of the pixels, that estimators of scikit-learn read
GARMENTS = ("train", "t10k")


class Images(NamedTuple):
    """Images [n, C, H, W] of 0..255 to train on by the labels `y` [n], and others to test on."""

    x: NDArray[np.uint8]
    y: NDArray[Any]
    test_x: NDArray[np.uint8]
    test_y: NDArray[Any]


def photographs(folder: Path, kind: str, rows: int, seed: int) -> Images:
    """Return some of CIFAR-10."""
    parts = [pd.read_parquet(folder / f"cifar10_{part}.parquet") for part in ("train", "test")]
    train, test = (p.sample(n, random_state=seed) for p, n in zip(parts, (rows, TEST_ROWS), strict=True))
    y = train["worse"].to_numpy() if kind == OWN else wrong(train["label"].to_numpy(), kind, "cifar", seed)
    return Images(decoded(train["image"]), y, decoded(test["image"]), test["label"].to_numpy())


def decoded(cells: pd.Series) -> NDArray[np.uint8]:
    """Return the pixels of encoded images, [n, 3, H, W]."""
    images = [np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in cells]
    return np.stack(images).transpose(0, 3, 1, 2)


def garments(folder: Path, kind: str, rows: int, seed: int) -> Images:
    """Return some of Fashion-MNIST."""
    rng, found = np.random.default_rng(seed), list[NDArray[Any]]()
    for part, n in zip(GARMENTS, (rows, TEST_ROWS), strict=True):
        pixels = numbers(folder / f"{part}-images-idx3-ubyte.gz", 16)
        labels = numbers(folder / f"{part}-labels-idx1-ubyte.gz", 8)
        drawn = rng.permutation(len(labels))[:n]
        found += [pixels.reshape(-1, 1, 28, 28)[drawn], labels[drawn].astype(int)]
    return Images(found[0], wrong(found[1], kind, "garments", seed), *found[2:])


def numbers(file: Path, offset: int) -> NDArray[np.uint8]:
    """Return the numbers of an idx file after its header."""
    with gzip.open(file) as opened:
        return np.frombuffer(opened.read(), np.uint8, offset=offset)


def digits(kind: str, seed: int) -> Images:
    """Return the digits of scikit-learn, two thirds of them to train on."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    x, y = (pixels[order] * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8), labels[order]
    return Images(x[:1200], wrong(y[:1200], kind, "digits", seed), x[1200:], y[1200:])


def wrong(y: NDArray[Any], kind: str, name: str, seed: int) -> NDArray[Any]:
    """Return labels [n] of which some are made wrong."""
    return with_noise(pd.DataFrame({"label": y}), kind, name, seed)["noisy"].to_numpy()


def of_network(images: Images, seed: int, **named: Any) -> Figures:
    """Return the figures of a fit."""
    start = time.perf_counter()
    result = sk.fit(images.x, images.y, test=(images.test_x, images.test_y), seed=seed, **named)
    seconds = time.perf_counter() - start
    assert result.predictions is not None
    predicted = torch.from_numpy(result.predictions["predicted"].astype(int).to_numpy())
    return figures(predicted, torch.from_numpy(images.test_y), seconds)


def of_estimator(images: Images, make: Callable[[], Any]) -> Figures:
    """Return the figures of an estimator of scikit-learn on the leading directions of the pixels."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = (x.reshape(len(x), -1) / 255 for x in (images.x, images.test_x))
    most = min(DIRECTIONS, train.shape[1], len(train))
    start = time.perf_counter()
    steps = make_pipeline(PCA(most, random_state=0), StandardScaler(), make()).fit(train, images.y)
    predicted = torch.from_numpy(steps.predict(test))
    return figures(predicted, torch.from_numpy(images.test_y), time.perf_counter() - start)


def run(way: str, images: Images, seed: int) -> Figures:
    """Return the figures of a way."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    name, _, how = way.partition(" ")
    weight = how or None
    if name == "svm":
        return of_estimator(images, lambda: SVC(class_weight=weight))
    if name == "logistic":
        return of_estimator(images, lambda: LogisticRegression(max_iter=300, class_weight=weight))
    if name == "boosting":
        return of_estimator(images, lambda: HistGradientBoostingClassifier(class_weight=weight))
    if name == "auto":
        return of_network(images, seed)
    training = sk.TrainingConfig(augment="none" if how == "still" else "auto")
    return of_network(images, seed, method="erm", model=name, estimate=sk.Estimation(kind=None), train=training)


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run what is not in the lines yet; return all lines."""
    makers: dict[str, Callable[[str, int], Images]] = {
        "cifar": lambda kind, seed: photographs(arguments.data, kind, arguments.rows, seed),
        "garments": lambda kind, seed: garments(arguments.garments, kind, arguments.rows, seed),
        "digits": digits,
    }
    lines = Lines(arguments.out)
    done = {line["run"] for line in lines}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for name in arguments.sets.split(","):
            if name == "garments" and arguments.garments is None:
                continue
            for kind in KINDS if name != "cifar" else (*KINDS, OWN):
                missing = [way for way in arguments.ways.split(",") if f"{name}/{kind}/{seed}/{way}" not in done]
                images = makers[name](kind, seed) if missing else None
                for way in missing:
                    assert images is not None
                    lines.add({"run": f"{name}/{kind}/{seed}/{way}", **run(way, images, seed)._asdict()})
    return list(lines)


def main() -> None:
    """Parse the options, measure, print."""
    parser = options(__doc__, seeds=2, rows=2000)
    parser.add_argument("--garments", type=Path)
    parser.add_argument("--ways", default=WAYS)
    parser.add_argument("--sets", default="cifar,garments,digits")
    arguments = parser.parse_args()
    lines = lines_of(measure, arguments)
    show({"runs": lines} | hardware() if arguments.json else table(lines) | hardware(), arguments.json)


if __name__ == "__main__":
    main()
