"""A stage of training: epoch by epoch, step by step. It never looks inside a method."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from skedastic.core.samplers import RowLabels, Sampler
from skedastic.data.dataset import Dataset
from skedastic.data.loader import Loader, RawBatch
from skedastic.errors import Diverged, UserError
from skedastic.methods.bases.card import REFERENCE
from skedastic.methods.bases.method import Stage
from skedastic.methods.bases.step import Batch, Clock, Logs, State
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.wrapper import wrapped
from skedastic.training.averaged_weights import AveragedWeights
from skedastic.training.config import Training
from skedastic.training.distributed import make_engine
from skedastic.training.divergence import Place, check_epoch, exceeded, stopped
from skedastic.training.fingerprint import digest_of_labels, fingerprint
from skedastic.training.finite import kept_buffers, put_back
from skedastic.training.optimizers import can_be_fused, make_optimizer, make_schedule, undecayed
from skedastic.training.ranks import joined
from skedastic.training.running_means import RunningMeans
from skedastic.training.uncorrected import uncorrected

Values = dict[str, float | str]  # a row of the history
FOREVER = 2**31  # epochs of a stream that is not the main one: it has no end to go to


class StageRun:
    """A stage while it is trained, with everything that changes, so that it can be kept and resumed.

    Parameters
    ----------
    stage : Stage
        The stage, with its method.
    state : State
        Its state, on the device.
    task : Task
        The data, as far as a method may know them.
    dataset : Dataset
        The examples that the stage is trained on, `whole` or a part of it.
    training : Training
        Batches, optimizer and schedule.
    seed : int
        Of the order of the examples and their augmentation.
    device : torch.device
        The device that computes.
    epochs : int
        Epochs of the stage.
    whole : Dataset, optional
        All training examples, where the stage has a part of them.
    reference : Dataset, optional
        The trusted examples.

    Attributes
    ----------
    epoch : int
        Epochs done.
    batches : int
        Batches done in the epoch that has begun, and `logged` what they logged.
    history : list of dict
        A row for each of them.
    seconds : float
        Spent so far, in interrupted runs too.
    changed : list of str
        What was changed while the stage was trained, or since, in sentences.

    Raises
    ------
    UserError
        There are fewer examples than the method takes in a batch.
    """

    def __init__(
        self,
        stage: Stage,
        state: State,
        task: Task,
        dataset: Dataset,
        training: Training,
        seed: int,
        device: torch.device,
        epochs: int,
        whole: Dataset | None = None,
        reference: Dataset | None = None,
    ) -> None:
        method = stage.method
        least = method.least_batch(task)
        if len(dataset) < least:
            reason = "BatchNorm needs 2" if least == 2 else f"{method.card.name} needs {least} in a batch"
            given = f"stage {stage.name} has {len(dataset)} example{'s' * (len(dataset) != 1)} to train on"
            raise UserError(f"{reason}; give more data", setting="data", value=len(dataset), given=given)
        self.stage, self.state, self.task = stage, state, task
        self.training, self.seed, self.device = training, seed, device
        self.epochs = epochs
        self.epoch, self.step, self.history, self.seconds = 0, 0, list[Values](), 0.0
        self.changed = list[str]()
        self.batches, self.logged = 0, RunningMeans()
        groups = method.param_groups(state) if stage.trainable is None else {"main": list(stage.trainable(state))}
        self.optimizers, self.schedules = dict[str, torch.optim.Optimizer](), list[LRScheduler]()
        spared = undecayed(state)
        for name, group in groups.items():
            if group and (own := method.optimizers().get(name)) is not None:
                fused = can_be_fused(training, group)
                self.optimizers[name] = torch.optim.Adam(group, own.lr, weight_decay=own.weight_decay, fused=fused)
            elif group:
                self.optimizers[name] = make_optimizer(training, group, stage.lr_scale, stage.optimizer, spared)
                if not stage.bias_correction:
                    uncorrected(self.optimizers[name])
                self.schedules.append(make_schedule(training, self.optimizers[name], self.epochs))
        self.loader = self._loader(dataset, least)
        self.whole, self.reference = whole or dataset, reference
        self.rows = rows_of(dataset)
        samplers = dict(method.streams(task))
        self.sampler = samplers.pop("main")
        shares = method.batch_shares()
        self.streams = {
            name: CyclingLoader(self._loader_of(name, shares.get(name, 1.0)), sampler, seed + 1 + i)
            for i, (name, sampler) in enumerate(samplers.items(), 1)
        }
        self.engine = make_engine(
            self.optimizers,
            device,
            lambda stream: next(self.streams[stream]),
            training.precision,
            self._examples,
            training.allowed_steps,
            training.accumulate,
            training.clip,
            method.optimizers(),
        )
        self.averaged = AveragedWeights(state.of_examples(), training.ema) if training.ema and self.optimizers else None

    def _loader(self, dataset: Dataset, least: int = 2, share: float = 1.0) -> Loader:
        return Loader(
            dataset,
            batch_size=max(least, round(share * self.training.batch_size)),
            least=least,
            seed=self.seed,
            augment=self.training.augment,
            device=self.device,
            workers=self.training.workers,
            spread=joined(),
        )

    def _loader_of(self, stream: str, share: float) -> Loader:
        if stream != REFERENCE:
            return self.loader if share == 1 else self._loader(self.loader.dataset, share=share)
        assert self.reference is not None, (
            "the pipeline refuses a method that needs a reference set where there is none"
        )
        return self._loader(self.reference, share=share)

    @cached_property
    def _whole(self) -> Loader:
        return self.loader if self.whole is self.loader.dataset else self._loader(self.whole)

    def _examples(self, index: Tensor | None) -> Iterator[Batch]:
        names = self.whole.index
        rows = torch.arange(len(names))
        if index is not None:
            ordered, order = names.sort()
            rows = order[torch.searchsorted(ordered, index.cpu())]
        for batch in self._whole.epoch(0, rows, augmented=False):
            yield to_batch(batch, self._whole)

    @property
    def done(self) -> bool:
        """Whether all epochs are trained."""
        return self.epoch == self.epochs

    @property
    def is_finite(self) -> bool:
        """Whether all parameters are finite; a device is waited for."""
        return all(p.isfinite().all() for p in self.state.parameters())

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The facts that must be the same for the stage to be resumed."""
        data = self.loader.dataset
        return {
            "stage": self.stage.name,
            "epochs": self.epochs,
            "shape": list(data.x.shape),
            "labels": digest_of_labels(d for d in (data, self.reference) if d is not None),
        }

    @cached_property
    def features(self) -> list[list[float]]:
        """What tells the features of the training set, and of the reference set, from others (`fingerprint`)."""
        return [fingerprint(d.x) for d in (self.loader.dataset, self.reference) if d is not None]

    def run_epoch(self, between_steps: Callable[[], None] | None = None) -> None:
        """Train for an epoch, or for the rest of one that has begun.

        Parameters
        ----------
        between_steps : callable, optional
            Is called between two steps; what it raises ends the epoch, which can be gone on with.

        Raises
        ------
        Diverged
            A loss, a gradient, or a weight at the end is no longer finite.
        """
        start, method = time.perf_counter(), self.stage.method
        rates = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers.values()] or [0.0]
        train_mode(self.stage, self.state)
        order = self.sampler.order(self.rows, self.seed, self.epoch, self.epochs)
        first, steps = self.batches, self.loader.steps(len(order))
        for batch in self.loader.epoch(self.epoch, order, start=first):
            if between_steps is not None and self.batches > first and self.engine.is_between_steps:
                self.seconds += time.perf_counter() - start
                between_steps()
                start = time.perf_counter()
            self._step_if_finite(batch, last=self.batches + 1 == steps)
            self.batches += 1
        if self.averaged is not None and self.epoch + 1 == self.epochs:
            self.averaged.put()
        at_end = method.end_epoch(self.state, self.task, self._clock, self.engine)
        self.engine.end_step()
        self.check_steps()
        for schedule in self.schedules:
            schedule.step()
        means = self.logged.means() | {name: float(value) for name, value in (at_end or {}).items()}
        check_epoch(self.place, means, self.state.parameters())
        if self.engine.finite.allowed:
            before = self.step - self.batches  # steps of the epochs before
            means["skipped"] = float(sum(bad.step > before for bad in self.engine.finite.bad))
        self.epoch, self.batches, self.logged = self.epoch + 1, 0, RunningMeans()
        self.history.append({"stage": self.stage.name, "epoch": self.epoch, "lr": rates[0], **means})
        self.seconds += time.perf_counter() - start

    def check_steps(self) -> None:
        """Wait until all steps are known. Raises Diverged where more of them than allowed are not finite."""
        self.engine.finite.look(wait=True)
        if self.engine.finite.exceeded:
            raise exceeded(self.place, self.engine.finite)

    def take_step(self, batch: RawBatch, *, last: bool = False) -> Logs:
        """Take a step and return the values to log.

        Parameters
        ----------
        batch : RawBatch
            A batch of the loader.
        last : bool
            Whether it is the last of the epoch.
        """
        with self.engine.computing():
            logs = self.stage.method.step(self.state, to_batch(batch, self.loader), self._clock, self.engine)
        self.engine.end_batch(last=last)
        self.step += 1
        return logs

    def _step_if_finite(self, batch: RawBatch, *, last: bool = False) -> None:
        """Take a step that is left out where it is not finite; where that is not allowed, stop."""
        finite = self.engine.finite
        kept = kept_buffers(self.state) if finite.allowed else []
        try:
            logs = self.take_step(batch, last=last)
        except Diverged as error:  # of the forward pass
            self.step += 1
            places = [place for place in error.rows if place < len(batch.index)]
            if not finite.allowed:
                rows = sorted(batch.index[places].tolist())
                raise stopped(self.place, error.rule, self.step, rows, error.given) from None
            logs = self._left_out(places, len(batch.index))
            self.engine.end_batch(last=last)
        flag = finite.end_step(self.step, batch.index, logs.get("loss"))
        if finite.exceeded:
            raise exceeded(self.place, finite)
        if flag is not None:
            put_back(kept, flag)
        if self.averaged is not None and self.engine.is_between_steps:
            self.averaged.update(self.step)
        self.logged.add(logs, flag)

    def _left_out(self, places: list[int], examples: int) -> Logs:
        """End a step whose forward pass failed at some places of the batch, and return losses [B] that say so."""
        self.engine.finite.refuse()
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        losses = torch.zeros(examples)
        losses[places] = float("nan")
        return {"loss": losses}

    @property
    def place(self) -> Place:
        """Where it stands."""
        method = self.stage.method
        has_strength = any(hasattr(each, "strength") for each in wrapped(method))
        done = (self.epoch, self.epochs, self.step)
        return Place(self.stage.name, method.card.name, *done, self.training, has_strength)

    @property
    def _clock(self) -> Clock:
        return Clock(self.epoch, self.epochs, self.step, self.training.first_drop(self.epochs))


class CyclingLoader:
    """The batches of a stream, starting over at its end; in a new order each time round.

    Parameters
    ----------
    loader : Loader
        The stream's data.
    sampler : Sampler
        Its order.
    seed : int
        Of the order.
    """

    def __init__(self, loader: Loader, sampler: Sampler, seed: int) -> None:
        self.loader, self.sampler, self.rows, self.seed = loader, sampler, rows_of(loader.dataset), seed
        self.drawn = 0
        self._batches = self._from(0)

    def __next__(self) -> Batch:
        """Return the next batch."""
        self.drawn += 1
        return next(self._batches)

    def skip(self, drawn: int) -> None:
        """Go to where some batches have been drawn.

        Parameters
        ----------
        drawn : int
            How many.
        """
        self.drawn = drawn
        self._batches = self._from(drawn)

    def _from(self, drawn: int) -> Iterator[Batch]:
        epoch = 0
        while drawn >= (steps := self.loader.steps(len(self._order(epoch)))):
            drawn, epoch = drawn - steps, epoch + 1
        while True:
            for batch in self.loader.epoch(epoch, self._order(epoch), start=drawn):
                yield to_batch(batch, self.loader)
            drawn, epoch = 0, epoch + 1

    def _order(self, epoch: int) -> Tensor:
        return self.sampler.order(self.rows, self.seed, epoch, FOREVER)


def to_batch(batch: RawBatch, loader: Loader) -> Batch:
    """Return a batch of the loader in the methods' form.

    Parameters
    ----------
    batch : RawBatch
        The batch.
    loader : Loader
        The loader that gave it.
    """
    return Batch(*batch[:-1], len(loader.dataset.classes), batch.group_on_host)


def train_mode(stage: Stage, state: State) -> None:
    """Put the state in training mode, but for the parts that are frozen whole in this stage.

    A module without parameters, such as dropout, is frozen where it stands before the trained ones.

    Parameters
    ----------
    stage : Stage
        The stage.
    state : State
        Its state.
    """
    state.train()
    if stage.trainable is not None:
        _freeze(state)


def _freeze(module: nn.Module) -> None:
    trained = [p.requires_grad for p in module.parameters()]
    if trained and not any(trained):
        module.eval()
    elif not all(trained):
        before = True
        for child in module.children():
            own = [p.requires_grad for p in child.parameters()]
            before = before and not any(own)
            if own:
                _freeze(child)
            elif before:
                child.eval()


def rows_of(dataset: Dataset) -> RowLabels:
    """Return the classes and groups of a data set's rows, for samplers.

    Parameters
    ----------
    dataset : Dataset
        Any examples.
    """
    return RowLabels(dataset.target.labels(dataset.y), dataset.group)
