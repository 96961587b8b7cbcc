"""Noise and imbalance for experiments: labels are corrupted first, then examples are removed by the *noisy* label.

That order is the one of the HAR authors' code (heteroskedastic_cifar.py). Noise and imbalance draw from separate random
streams of one seed, so that adding one never changes the draws of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from skedastic.data.corruption_spec import parse_imbalance, parse_noise
from skedastic.data.dataset import Dataset, Truth
from skedastic.errors import UserError


def corrupt(
    dataset: Dataset,
    truth: Truth | None = None,
    *,
    noise: str | None = None,
    imbalance: str | None = None,
    seed: int = 0,
) -> tuple[Dataset, Truth | None]:
    """Return a noisier, rarer training set and the clean labels of what is left of it.

    noise: "1<->8:0.4,3->9:0.2", "uniform:0.2" or "pairs:0.2". imbalance: "step:10:1,3,8", "step:10" (the second half of
    the classes) or "longtail:100". truth: what is known of the clean labels already; where nothing is, and no noise is
    injected, nothing is known afterwards. A group that is the label follows the noisy label.
    Depends on the seed, the data and the specifications alone. Raises UserError where a specification is wrong, and
    where a class is left with fewer than two examples.
    """
    for_noise, for_imbalance = np.random.SeedSequence(seed).spawn(2)
    if noise:
        truth = truth or Truth(clean=dataset.y, index=dataset.index)
        noisy = flip_labels(dataset.y.numpy(), parse_noise(noise, dataset.classes), np.random.default_rng(for_noise))
        dataset = dataset.with_targets(torch.from_numpy(noisy))
    if imbalance:
        y = dataset.y.numpy()
        counts = np.bincount(y, minlength=len(dataset.classes))
        kept = parse_imbalance(imbalance, dataset.classes).kept(counts)
        dataset = dataset.subset(torch.from_numpy(thin_out(y, kept, np.random.default_rng(for_imbalance))))
    if noise or imbalance:
        _check_counts(dataset, {name: spec for name, spec in (("noise", noise), ("imbalance", imbalance)) if spec})
    return dataset, truth and Truth(clean=truth.of(dataset.index), index=dataset.index)


def flip_labels(y: NDArray[np.int64], transition: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a noisy label [n] for each label y [n]. transition: [C, C], P(noisy label | label), rows sum to 1."""
    cumulative = transition.cumsum(axis=1)
    cumulative /= cumulative[:, -1:]  # else rounding could leave a gap below 1, and a label of probability 0 be drawn
    noisy: NDArray[np.int64] = (rng.random(len(y))[:, None] >= cumulative[y]).sum(axis=1)
    return noisy


def thin_out(y: NDArray[np.int64], kept: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return which rows stay, ascending, when kept [C] examples of each class, drawn without replacement, do."""
    order = rng.permutation(len(y))
    rows = [order[y[order] == label][:count] for label, count in enumerate(kept)]
    return np.sort(np.concatenate(rows))


def affected_classes(noise: str | None, imbalance: str | None, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that are worse off than others: the default focus of a comparison.

    They flip more often than the class that flips least, or keep no more than 1/sqrt(ratio) of their examples (the
    named classes of a step, the rarer half of a long tail). Nothing where no class or every class would be.
    Raises UserError where a specification is wrong.
    """
    affected = np.zeros(len(classes), dtype=bool)
    if noise:
        flips = 1 - parse_noise(noise, classes).diagonal()
        affected |= flips > flips.min() + 1e-12
    if imbalance:
        rule = parse_imbalance(imbalance, classes)
        affected |= (rule.share <= rule.ratio**-0.5 + 1e-12) & (rule.ratio > 1)
    return () if affected.all() else tuple(c for c, a in zip(classes, affected, strict=True) if a)


def _check_counts(dataset: Dataset, specifications: Mapping[str, str]) -> None:
    counts = dataset.y.bincount(minlength=len(dataset.classes))
    few = [f"{c!r} ({n})" for c, n in zip(dataset.classes, counts.tolist(), strict=True) if n < 2]
    if few:
        given = " ".join(specifications.values())
        listed = f"{', '.join(few[:5])}{', …' if len(few) > 5 else ''}"
        raise UserError(
            "every class needs at least 2; lower the ratio or the noise",
            setting=", ".join(specifications),
            value=given,
            given=f"{given} leaves too few examples of class {listed}",
        )
