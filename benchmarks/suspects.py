"""How many of the labels to check are wrong, overall and of each class, against cleanlab on the same probabilities.

    python benchmarks/suspects.py [--json] [--seeds 2] [--first-seed 0] [--data FOLDER] [--rows 3000] [--quick]

Digits with rare classes and Gaussians of 2 and 3 classes that overlap, with six kinds of noise; with --data a folder of
Parquet files, noise of their own (`label` beside what is trained on) and the same kinds put into clean ones. "Frequent
to rare" is one way: 30 % of the labels of the most frequent class become the next one's; "rare to frequent" is the
other way round; "both, unequal" is 30 % of the second and 10 % of the first.

Orders of all labels: ours; the probability of the given label, which is cleanlab's self confidence too; and cleanlab's
normalized margin and confidence-weighted entropy. N is the number of wrong labels, so that precision and recall of the
first N are one number. For each order, the mean over runs, the 10th percentile of runs, and the runs in which it is at
most 2 %:

    @20, @50, @N    the share that is wrong of the first 20, 50 and N
    worst class     the least share of the wrong labels of a given class, of those with 10 or more, among the first N
    within          the share that is wrong of the first n of a class, n its wrong labels, by its own order; mean

Then the labels to check and those wrong by estimate: how many, how many of these are wrong, and the share of the wrong
labels that they find; cleanlab's `find_label_issues` beside them. Of labels that are all right, how many are called.
--quick is one small run.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from common import hardware, show
from noise_estimate import clean_ones, of_their_own, simulated, transitions
from skedastic.pipeline import estimate_noise
from skedastic.pipeline.prepare import network, open_data, settled
from skedastic.settings.reading import read

SIMULATED = ("digits, four rare", "2 Gaussians", "3 Gaussians that overlap")
CLEAN = ("adult", "mammography", "page_blocks", "hypothyroid", "yeast")
KINDS = ("frequent to rare", "rare to frequent", "both, unequal", "uniform 20", "rare noisy", "none")
METRICS = ("@20", "@50", "@N", "worst class", "within")
LEAST, FOUND = 10, 0.02  # wrong labels of a class, and the share of an order that has hardly any
SMALLEST = 1e-9


def with_noise(frame: pd.DataFrame, kind: str, name: str, seed: int) -> pd.DataFrame:
    """Return a frame with a column `noisy` beside its `label`."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {kind} {seed}".encode()))
    codes, names = pd.factorize(frame["label"].astype(str), sort=True)
    counts = np.bincount(codes)
    second, first = np.argsort(counts)[-2:]
    one_way = {"frequent to rare": [(first, second, 0.3)], "rare to frequent": [(second, first, 0.3)]}
    moves = one_way | {"both, unequal": [(second, first, 0.3), (first, second, 0.1)]}
    t = np.eye(len(counts)) if kind in moves else transitions(kind, counts, rng)
    for a, b, rate in moves.get(kind, ()):
        t[a, a], t[a, b] = 1 - rate, rate
    noisy = np.asarray(names)[[rng.choice(len(t), p=t[z]) for z in codes]]
    return frame.assign(label=np.asarray(names)[codes], noisy=noisy)


def sets(folder: Path | None, rows: int, seed: int) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield kind, name and frame, with `noisy` beside `label`."""
    clean = [(name, frame) for name, frame in simulated(seed) if name in SIMULATED]
    if folder is not None:
        for name, frame in of_their_own(folder, rows, seed):
            yield "their own", name, frame
        clean += [(name, frame.reset_index(drop=True)) for name, frame in clean_ones(CLEAN, folder, rows, seed)]
    for kind in KINDS:
        for name, frame in clean:
            yield kind, name, with_noise(frame, kind, name, seed)


def measured(frame: pd.DataFrame, seed: int, **settings: Any) -> dict[str, Any] | None:
    """Return the figures of one run; None where nothing is learned."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "set.parquet"
        frame.to_parquet(file)
        source = {"source": str(file), "target": "noisy", "truth": "label", "test": "none", "seed": seed}
        config = read(None, source | settings)
        data = open_data(config)
        config = settled(config, data)
        found = estimate_noise(config, data, network(config, data))
    if not found.findings.learned:
        return None
    place = {number: i for i, number in enumerate(data.train.index.tolist())}
    issues = found.label_issues
    rows = np.array([place[number] for number in issues["index"]])
    assert data.truth is not None
    truth = data.truth.of(data.train.index).numpy()[rows]
    return figures(found.held_out.double().numpy()[rows], data.train.y.numpy()[rows], truth, issues)


def figures(p: np.ndarray, y: np.ndarray, truth: np.ndarray, issues: pd.DataFrame) -> dict[str, Any]:
    """Return the metrics of each order, and the counts of what is listed and called.

    Parameters
    ----------
    p, y, truth : ndarray
        Held-out class probabilities [n, C], given and true labels [n], in the order of the label issues.
    issues : DataFrame
        Of the same n rows, the most suspect first.
    """
    wrong = y != truth
    inside = p.clip(SMALLEST, 1)
    scores = {"ours": np.arange(len(y)), "probability": p[np.arange(len(y)), y]} | {
        f"cleanlab, {way}": get_label_quality_scores(y, inside / inside.sum(1, keepdims=True), method=method)
        for way, method in (("margin", "normalized_margin"), ("entropy", "confidence_weighted_entropy"))
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flagged = find_label_issues(y, p, n_jobs=1)
    lists = {"to check": issues["is_issue"], "by estimate": issues["by_estimate"], "cleanlab": flagged}
    return {
        "wrong": int(wrong.sum()),
        "orders": {way: of_order(np.argsort(score, kind="stable"), y, wrong) for way, score in scores.items()},
        "lists": {way: (int(called.sum()), int(wrong[np.asarray(called)].sum())) for way, called in lists.items()},
    }


def of_order(order: np.ndarray, y: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Return the metrics of an order of n labels, [n]; none of those that wrong labels are needed for without any."""
    total = int(wrong.sum())
    found = {f"@{k}": float(wrong[order[:k]].mean()) for k in (20, 50)}
    if not total:
        return found
    first = np.zeros(len(y), dtype=bool)
    first[order[:total]] = True
    within, shares = [], []
    for c in np.unique(y[wrong]):
        count = int(wrong[y == c].sum())
        if count >= LEAST:
            within.append(wrong[order[y[order] == c][:count]].mean())
            shares.append(wrong[first & (y == c)].sum() / count)
    ends = {"worst class": float(min(shares)), "within": float(np.mean(within))} if shares else {}
    return found | {"@N": float(wrong[order[:total]].mean())} | ends


def orders(runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return a line for each order and metric, over runs with wrong labels."""
    lines = {}
    for way in runs[0]["orders"]:
        for metric in METRICS:
            values = np.array([r["orders"][way][metric] for r in runs if metric in r["orders"][way]])
            if len(values):
                low, few = np.quantile(values, 0.1), int((values <= FOUND).sum())
                lines[f"{metric}, {way}"] = f"{values.mean():.3f}, 10th {low:.2f}, {few} of {len(values)} at most 2 %"
    return lines


def lists(runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return a line for each list: labels, how many are wrong, and the share of the wrong labels found."""
    lines, total = {}, sum(run["wrong"] for run in runs)
    for way in runs[0]["lists"]:
        counts = np.array([run["lists"][way] for run in runs])
        some = counts[counts[:, 0] >= LEAST]
        n, hits = counts.sum(0)
        line = f"{n:,} in {len(runs)} runs"
        if total:
            line += f", {hits:,} wrong of {total:,}"
        if total and len(some):
            share = some[:, 1] / some[:, 0]
            line += f"; precision {share.mean():.2f}, below a half in {(share < 0.5).sum()} of {len(some)}"
            line += f", least {share.min():.2f}"
        lines[way] = line
    return lines


def in_short(run: dict[str, Any]) -> str:
    """Return the lists of one run, each with how many of it are wrong."""
    counts = ", ".join(f"{way} {hits} of {n}" for way, (n, hits) in run["lists"].items())
    return f"{run['wrong']:,} wrong: {counts}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for seed in range(options.first_seed, options.first_seed + (1 if options.quick else options.seeds)):
        for kind, name, frame in sets(None if options.quick else options.data, options.rows, seed):
            if options.quick and (name != "2 Gaussians" or kind not in KINDS[:1] + KINDS[-1:]):
                continue
            if (found := measured(frame, seed)) is not None:
                runs.setdefault(kind, {}).setdefault(name, []).append(found)
    lines: dict[str, Any] = {"seeds": options.seeds, "first seed": options.first_seed}
    noisy = [run for kind, of in runs.items() if kind != "none" for found in of.values() for run in found]
    for kind, of in runs.items():
        lines |= {f"{name}, {kind}": "; ".join(map(in_short, found)) for name, found in of.items()}
    tables = {kind: [run for found in of.values() for run in found] for kind, of in runs.items()} | {"ALL noisy": noisy}
    for kind, of_kind in tables.items():
        shown = lists(of_kind) | ({} if kind == "none" else orders(of_kind))
        lines |= {f"{kind}: {name}": line for name, line in shown.items()}
    show({**lines, **hardware()}, options.json)


if __name__ == "__main__":
    main()
