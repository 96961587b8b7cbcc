"""Noise and imbalance for experiments: labels are corrupted first, then examples are removed by the *noisy* label.

That order is the one of the HAR authors' code (heteroskedastic_cifar.py). Noise and imbalance draw from separate random
streams of one seed, so that adding one never changes the draws of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    """Return a noisier and more imbalanced training set, and the clean labels of its examples.

    The result depends on the seed, the data and the specifications alone. A group that is the label follows the noisy
    label.

    Parameters
    ----------
    dataset : Dataset
        The training set, with labels.
    truth : Truth or None, optional
        The clean labels that are known already. Without them and without noise, none are known afterwards.
    noise : str or None, optional
        "1<->8:0.4,3->9:0.2", "1<->2<->3:0.4", "uniform:0.2" or "pairs:0.2" (`parse_noise`).
    imbalance : str or None, optional
        "step:10:1,3,8", "step:10" (the second half of the classes) or "longtail:100" (`parse_imbalance`).
    seed : int, optional
        Of both random streams.

    Raises
    ------
    UserError
        A specification is wrong, or a class that has examples is left with fewer than two.
    """
    for_noise, for_imbalance = np.random.SeedSequence(seed).spawn(2)
    present = dataset.target.counts(dataset.y) > 0
    if noise:
        truth = truth or Truth(clean=dataset.y, index=dataset.index)
        transition = _among(parse_noise(noise, dataset.classes), present.numpy())
        noisy = flip_labels(dataset.y.numpy(), transition, np.random.default_rng(for_noise))
        dataset = dataset.with_targets(torch.from_numpy(noisy))
    if imbalance:
        y = dataset.y.numpy()
        counts = np.bincount(y, minlength=len(dataset.classes))
        kept = parse_imbalance(imbalance, dataset.classes).kept(counts)
        dataset = dataset.subset(torch.from_numpy(thin_out(y, kept, np.random.default_rng(for_imbalance))))
    if noise or imbalance:
        given = {name: spec for name, spec in (("noise", noise), ("imbalance", imbalance)) if spec}
        _check_counts(dataset, present, given)
    return dataset, truth and Truth(clean=truth.of(dataset.index), index=dataset.index)


def _among(transition: NDArray[np.float64], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return transitions [C, C] by which no label becomes one of a class without examples: such labels stay."""
    kept = np.where(present[None], transition, 0.0)
    return kept + np.diag(1 - kept.sum(1))


def flip_labels(y: NDArray[np.int64], transition: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a noisy label [n] int64 for each label.

    Parameters
    ----------
    y : ndarray
        The labels, [n] int64 in 0..C-1.
    transition : ndarray
        P(noisy label | label), [C, C]; rows sum to 1.
    rng : Generator
        Draws once for each label.
    """
    cumulative = transition.cumsum(axis=1)
    cumulative /= cumulative[:, -1:]  # else rounding could leave a gap below 1, and a label of probability 0 be drawn
    noisy: NDArray[np.int64] = (rng.random(len(y))[:, None] >= cumulative[y]).sum(axis=1)
    return noisy


def thin_out(y: NDArray[np.int64], kept: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the rows that stay, ascending, when examples of each class are drawn without replacement.

    Parameters
    ----------
    y : ndarray
        The labels, [n] int64 in 0..C-1.
    kept : ndarray
        The number of examples of each class that stay, [C].
    rng : Generator
        Draws the order of the rows.
    """
    order = rng.permutation(len(y))
    rows = [order[y[order] == label][:count] for label, count in enumerate(kept)]
    return np.sort(np.concatenate(rows))


def affected_classes(noise: str | None, imbalance: str | None, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that are corrupted more than others: the default focus of a comparison.

    They flip more often than the class that flips least, or keep at most 1/sqrt(ratio) of their examples (the named
    classes of a step, the rarer half of a long tail). Where that is every class, they are those that flip more; there
    are none where no class or every class would be named.

    Parameters
    ----------
    noise, imbalance : str or None
        The specifications, as in `corrupt`.
    classes : sequence of str
        The names of the C classes.

    Raises
    ------
    UserError
        A specification is wrong.
    """
    affected = np.zeros(len(classes), dtype=bool)
    if noise:
        flips = 1 - parse_noise(noise, classes).diagonal()
        affected |= flips > flips.min() + 1e-12
    if imbalance:
        rule = parse_imbalance(imbalance, classes)
        rare = (rule.share <= rule.ratio**-0.5 + 1e-12) & (rule.ratio > 1)
        affected = affected if (affected | rare).all() else affected | rare
    return () if affected.all() else tuple(c for c, a in zip(classes, affected, strict=True) if a)


def _check_counts(dataset: Dataset, present: Tensor, specifications: Mapping[str, str]) -> None:
    """Raise UserError where classes that were present before, [C] bool, are left with too few examples."""
    counts = dataset.target.counts(dataset.y)
    few = [f"{dataset.classes[c]!r} ({counts[c]})" for c in (present & (counts < 2)).nonzero().flatten().tolist()]
    if few:
        given = " ".join(specifications.values())
        listed = f"{', '.join(few[:5])}{', …' if len(few) > 5 else ''}"
        raise UserError(
            "every class needs at least 2; lower the ratio or the noise",
            setting=", ".join(specifications),
            value=given,
            given=f"{given} leaves too few examples of class {listed}",
        )
