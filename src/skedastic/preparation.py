"""From the sources that a configuration names to data that is ready: split, limited, encoded, corrupted if asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from skedastic.config import Config
from skedastic.data import Dataset, Encoder, Source, Truth, corrupt, from_arrays, limit, open_source, split_rows
from skedastic.errors import UserError
from skedastic.rehearsal import MakeNet
from skedastic.results import make_network


@dataclass(frozen=True, eq=False)
class Data:
    """A source made ready: what is trained on, what is tested on, and apart from both what is truly so."""

    source: Source
    test_source: Source | None
    encoder: Encoder
    train: Dataset
    test: Dataset | None
    truth: Truth | None


def open_data(config: Config, source: Source | None = None, test: tuple[Any, ...] | None = None) -> Data:
    """Open the sources that `config` names, or take the given ones, and make them ready."""
    source = source or open_named(config)
    if test is not None:
        if len(test) not in (2, 3):
            raise UserError(f"test has {len(test)} parts; give (X, y), or (X, y, groups)")
        return prepare(config, source, from_arrays(*test, like=source))
    if config.test == "none" or config.test_fraction is not None:
        return prepare(config, source, None)
    return prepare(config, source, open_named(config, config.test, source))


def prepare(config: Config, source: Source, test_source: Source | None) -> Data:
    """Split, limit, encode and (for experiments) corrupt. The test set keeps its clean labels; training never sees any."""
    rows, test_rows = torch.arange(len(source)), None
    if test_source is not None:
        if test_source.groups != source.groups:
            raise UserError("the training data has groups of its own, the test data has none; give (X, y, groups)")
        test_rows = torch.arange(len(test_source))
    elif config.test_fraction is not None:
        rows, test_rows = split_rows(source, config.test_fraction, config.seed)
    encoder, scale = source.encode(rows), source.scale(rows)
    training = source.dataset(rows, encoder, scale)
    if config.limit is not None:
        training = limit(training, config.limit, config.seed)
    truth = source.truth_of(training.index)
    if config.noise or config.imbalance:
        _check_classes(config, source)
        training, truth = corrupt(training, truth, noise=config.noise, imbalance=config.imbalance, seed=config.seed)
    test = None
    if test_rows is not None:
        test_from = test_source or source
        test = _with_clean_labels(
            test_from.dataset(test_rows, encoder, scale), test_from.truth_of(test_rows)
        ).in_memory()
    return Data(source, test_source, encoder, training.in_memory(), test, truth)


def network(config: Config, data: Data) -> MakeNet:
    """Return the function that makes a fresh network of the configured model for the encoded features."""
    return make_network(config, data.encoder, data.train.classes)


def open_named(config: Config, source: str | None = None, like: Source | None = None) -> Source:
    """Open the source that `config` names, or another of the same columns; `like`: the training data it must match."""
    return open_source(
        source or config.source,
        target=config.target,
        groups=config.groups,
        ignore=config.ignore,
        truth=config.truth,
        task=config.task,
        bins=config.bins,
        like=like,
    )


def _check_classes(config: Config, source: Source) -> None:
    if not source.classes:
        name = "noise" if config.noise else "imbalance"
        raise UserError(
            f"{name}={getattr(config, name)}: it is made for classes, and the targets are real (regression); leave it out"
        )


def _with_clean_labels(test: Dataset, truth: Truth | None) -> Dataset:
    if truth is None:
        return test
    clean = truth.of(test.index)
    if test.bins is not None:
        return replace(test, y=clean, group=test.bins.of(clean))
    by_label = test.groups == test.classes and torch.equal(test.group, test.y)
    return replace(test, y=clean, group=clean if by_label else test.group)
