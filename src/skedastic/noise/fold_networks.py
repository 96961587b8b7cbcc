"""The estimating networks: one for each fold, trained on the others. Where several processes train, each has some."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skedastic.data import Dataset, Features
from skedastic.errors import Diverged, UserError
from skedastic.methods.erm import ERM
from skedastic.training import Checkpoints, train
from skedastic.training.config import Training
from skedastic.training.loop import Progress, Trained
from skedastic.training.ranks import agreed_tensor, apart, joined, told_by_all

PREDICTED = 2**16  # rows that are copied to be predicted


@dataclass(frozen=True, eq=False)
class OfFold:
    """What the network of a fold gives.

    Parameters
    ----------
    others, rows : Tensor
        The rows that it was trained on, and those of the fold.
    elsewhere : Tensor or None
        Its best guesses of other examples, where some are asked for.
    seconds : float
        Of training and predicting.
    notes : tuple of str
        What happened on the way.
    trained : Trained or None
        The network; None where another process has it.
    """

    others: Tensor
    rows: Tensor
    elsewhere: Tensor | None
    seconds: float
    notes: tuple[str, ...]
    trained: Trained | None = None


@dataclass(frozen=True, eq=False)
class FoldNetworks:
    """How the estimating networks are trained.

    Parameters
    ----------
    dataset : Dataset
        The n training examples.
    fold : Tensor
        The fold of each, [n] in 0..K-1.
    make_net : callable
        Makes the network.
    training : Training
        The training configuration, with the epochs of the estimate.
    seed : int
        Of the first network, less 1.
    progress : callable or None
        Told of each epoch.
    checkpoints : Checkpoints or None
        Keep the networks.
    elsewhere : Features or None
        Other examples to predict.
    """

    dataset: Dataset
    fold: Tensor
    make_net: Callable[[], nn.Module]
    training: Training
    seed: int
    progress: Progress | None
    checkpoints: Checkpoints | None
    elsewhere: Features | None

    def into(self, held_out: Tensor, *, whole: bool) -> list[OfFold]:
        """Write what each network predicts of its fold into a table; return what else they give.

        Parameters
        ----------
        held_out : Tensor
            The predictions, [n, C] or [n], which are overwritten.
        whole : bool
            Whether every process needs every network: then all train each together.
        """
        spread, folds = joined(), range(int(self.fold.max()) + 1)
        if spread is None or whole or spread.ranks > len(folds):  # else some would wait
            return [self._of(k, held_out) for k in folds]
        own, failed = dict[int, OfFold](), list[Any]()
        with apart():
            try:
                own = {k: self._of(k, held_out) for k in folds if k % spread.ranks == spread.rank}
            except UserError as error:
                failed, mine = [str(error), isinstance(error, Diverged)], error
        reasons = told_by_all(failed)
        if failed:
            raise mine
        for reason, diverged in filter(None, reasons):
            raise (Diverged if diverged else UserError)(reason)
        told = told_by_all({k: [found.seconds, found.notes] for k, found in own.items()})
        if self.progress is not None:
            for k in set(folds) - own.keys():
                self.progress(_name(k, len(folds)), self.training.epochs, self.training.epochs)
        sources = [k % spread.ranks for k in folds]
        return [self._shared(k, held_out, own.get(k), told[source][str(k)], source) for k, source in enumerate(sources)]

    def _of(self, k: int, held_out: Tensor) -> OfFold:
        """Train the network of a fold."""
        name, (others, rows) = _name(k, int(self.fold.max()) + 1), parted(self.fold, k)
        rest = self.dataset.subset(others)
        report = None if self.progress is None else _named(self.progress, name)
        kept = None if self.checkpoints is None else self.checkpoints.of(f"estimate-{k + 1}")
        seed = self.seed + k + 1
        try:
            trained = train(ERM(), rest, self.make_net, self.training, seed=seed, progress=report, checkpoints=kept)
        except Diverged as error:
            raise error.during(name) from None
        del rest
        start = time.perf_counter()
        for part in torch.split(rows, PREDICTED):
            held_out[part] = trained.predict(self.dataset.subset(part).x)
        target = self.dataset.target
        elsewhere = None if self.elsewhere is None else target.best(trained.predict(self.elsewhere))
        seconds = trained.seconds + time.perf_counter() - start
        notes = tuple(f"{name}, {incident}" for incident in trained.incidents)
        return OfFold(others, rows, elsewhere, seconds, notes, trained)

    def _shared(self, k: int, held_out: Tensor, own: OfFold | None, told: list[Any], source: int) -> OfFold:
        """Return what the network of a fold gives, which one process trained."""
        others, rows = parted(self.fold, k)
        for part in torch.split(rows, PREDICTED):
            held_out[part] = agreed_tensor(held_out[part], source)
        elsewhere, target = None, self.dataset.target
        if self.elsewhere is not None:
            mine = None if own is None else own.elsewhere
            like = target.best(target.no_predictions(len(self.elsewhere))) if mine is None else mine
            elsewhere = agreed_tensor(like, source)
        seconds, notes = told
        return OfFold(others, rows, elsewhere, seconds, tuple(notes))


def parted(fold: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the examples outside a fold, and those in it."""
    return (fold != k).nonzero().flatten(), (fold == k).nonzero().flatten()


def _name(k: int, models: int) -> str:
    return f"estimate {k + 1}/{models}"


def _named(progress: Progress, name: str) -> Progress:
    return lambda _, done, total: progress(name, done, total)
