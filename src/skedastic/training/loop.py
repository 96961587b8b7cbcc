"""The loop over the stages of a method; `stage` trains each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn

from skedastic.core.batch_statistics import normalizes_by_batch
from skedastic.core.choice import Best, Trial
from skedastic.core.heads import run_with_features
from skedastic.core.learning_curve import Rise
from skedastic.core.unwrap import eagerly
from skedastic.data.dataset import Dataset, Features, without_padding
from skedastic.data.loader import dead_workers_said
from skedastic.data.stratified import half
from skedastic.data.targets.target import Target
from skedastic.errors import Diverged, UserError
from skedastic.methods.bases.card import MIXED
from skedastic.methods.bases.method import Method, Stage
from skedastic.methods.bases.step import State
from skedastic.methods.bases.task import Task
from skedastic.runtime.launch import count
from skedastic.runtime.signals import held_back
from skedastic.training.checkpoints import FAILED, Checkpoints, Snapshot
from skedastic.training.config import Training, TrainingConfig
from skedastic.training.divergence import left_out
from skedastic.training.engine import find_device, threads
from skedastic.training.failures import StageFailed, telling
from skedastic.training.fingerprint import alike, digest_of_labels, fingerprint
from skedastic.training.ranks import Signs, agreed_tensor, check_alike, joined, same_in_all, spread_over, told_by_all
from skedastic.training.resuming import restore, snapshot_of
from skedastic.training.stage import StageRun, Values

Progress = Callable[[str, int, int], None]  # (stage, epochs done, epochs)
Found = Callable[[Best], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of training.

    Parameters
    ----------
    method : Method
        Of the last stage.
    stages : tuple of str
        The names of the stages that were trained.
    state : State
        The trained state.
    history : list of dict
        A row an epoch: stage, epoch, learning rate, mean loss and accuracy.
    seconds : float
        Spent training, in interrupted runs too.
    target : Target
        The meaning and the units of the predictions.
    notes : tuple of str
        Of the stages.
    tokens : int
        How many of the last columns of x are the ids of a text.
    trials : tuple of Trial
        The ways of training that were held against each other, where the method chose.
    rises : tuple of Rise
        How much accuracy on rows not seen rose where the training rows doubled, where the method tried that.
    held_out : Tensor or None
        Of the way that it chose, probabilities of the training rows by models that had not seen them, [n, C].
    incidents : tuple of str
        Those of the notes that are on settings changed on the way, and on steps that were left out.
    """

    method: Method
    stages: tuple[str, ...]
    state: State
    history: list[Values]
    seconds: float
    target: Target
    notes: tuple[str, ...] = ()
    tokens: int = 0
    trials: tuple[Trial, ...] = ()
    held_out: Tensor | None = None
    rises: tuple[Rise, ...] = ()
    incidents: tuple[str, ...] = ()

    def predict(self, x: Features, batch_size: int = 1024) -> Tensor:
        """Return class probabilities [n, C], or numbers [n] in the target's units, on the CPU.

        Parameters
        ----------
        x : Features
            n examples.
        batch_size : int
            Examples in a forward pass.

        Raises
        ------
        UserError
            A prediction is not finite: training has diverged, be it in its last step, or an example lies far outside
            those of training.
        """
        predicted = self._in_batches(self._predict, x, batch_size)
        if not predicted.isfinite().all():
            rule = "they are not finite; lower the learning rate (train.lr), or look for values far beyond training's"
            raise Diverged(rule, setting="train.lr", given=f"predictions of {self.method.card.name}")
        return predicted

    def _in_batches(self, run: Callable[[Tensor], Tensor], x: Features, batch_size: int) -> Tensor:
        device, spread = next(chain(self.state.parameters(), self.state.buffers())).device, joined()
        self.state.eval()
        if any(map(normalizes_by_batch, self.state.of_examples())):
            spread = None
        own = torch.arange(len(x))[slice(None) if spread is None else spread.rows(len(x))]
        with torch.inference_mode(), eagerly():
            size = batch_size if not self.tokens else max(1, batch_size // 8)  # a row of a text is long
            batches = (x[rows] for rows in torch.split(own, size))
            parts = [run(without_padding(batch, self.tokens).to(device)).cpu() for batch in batches]
        predicted = torch.cat(parts)
        return predicted if spread is None else agreed_tensor(spread.gather(predicted, len(x)))

    def features(self, x: Features, outputs: int, batch_size: int = 1024) -> Tensor:
        """Return the features that the last layer reads, [n, d] float32, on the CPU.

        It is for methods whose state is one network, such as plain training.

        Parameters
        ----------
        x : Features
            n examples.
        outputs : int
            How many numbers the last layer gives.
        batch_size : int
            Examples in a forward pass.

        Raises
        ------
        UserError
            There is no such layer.
        """
        return self._in_batches(lambda part: run_with_features(self.state.net, outputs, part)[1].float(), x, batch_size)

    def _predict(self, x: Tensor) -> Tensor:
        return self.target.predictions(self.method.predict(self.state, x).float())


def make_task(dataset: Dataset, reference: Dataset | None = None) -> Task:
    """Return the task of a training set: the data, as far as a method may know them.

    Parameters
    ----------
    dataset : Dataset
        The training examples.
    reference : Dataset, optional
        Trusted examples beside them.
    """
    return Task(
        input_shape=tuple(dataset.x.shape[1:]),
        classes=dataset.classes,
        index=dataset.index,
        y=dataset.targets,
        group=dataset.group,
        groups=dataset.groups,
        density=dataset.density(),
        class_count=dataset.target.counts(dataset.y),
        binned=dataset.grouping.target_bins is not None,
        numbers=None if dataset.classes else dataset.y,
        columns=dataset.has_columns,
        ids=dataset.ids,
        words=dataset.words,
        unit=dataset.unit,
        halved=partial(_halved, dataset),
        reference=None if reference is None else reference.targets,
    )


def _halved(dataset: Dataset, seed: int, rows: Tensor | None) -> Tensor:
    """Return the half of each of some rows, or of all, as `Task.halved` does."""
    parts = (dataset.group, dataset.strata, dataset.unit)
    group, strata, unit = (part if part is None or rows is None else part[rows] for part in parts)
    assert group is not None
    assert strata is not None
    return half(group, strata, seed, unit)


def with_supported_labels(dataset: Dataset, method: Method) -> tuple[Dataset, tuple[str, ...]]:
    """Return the data with the labels that a method takes, soft labels of votes or the majority's, and a note.

    Parameters
    ----------
    dataset : Dataset
        The training examples.
    method : Method
        The method, with its settings.
    """
    reason = method.capabilities.incompatible_with.get(MIXED)
    if dataset.soft is None or reason is None:
        return dataset, ()
    note = f"{method.card.name} trains on the label of each row, not on the shares of the votes: {reason}"
    return replace(dataset, soft=None), (note,)


@dead_workers_said()
def train(
    method: Method,
    dataset: Dataset,
    make_net: Callable[[], nn.Module],
    training: TrainingConfig,
    *,
    seed: int = 0,
    task: Task | None = None,
    reference: Dataset | None = None,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    found: Found | None = None,
    finish: bool = False,
) -> Trained:
    """Train `method` on `dataset` through all of its stages.

    The same seed gives every method, and every stage that starts from scratch, the same start and the same batches. The
    caller's random state is left alone.

    Parameters
    ----------
    method : Method
        The method, with its settings.
    dataset : Dataset
        The training examples.
    make_net : callable
        Gives a newly initialized network; it is called once for each network that the method trains.
    training : TrainingConfig
        Epochs, batches, optimizer and schedule; what is None is settled as for SGD.
    seed : int
        Of the initial weights, the order of the examples, their augmentation and dropout.
    task : Task, optional
        The data, as far as the method may know them, and more, such as the groups' statistics. A stage whose
        predictions it has already is left out.
    reference : Dataset, optional
        Trusted examples, for methods that need them.
    progress : callable, optional
        Told the stage, the epochs done and the epochs of the stage, after each epoch.
    checkpoints : Checkpoints, optional
        Written while training; training resumes from those that are there.
    found : callable, optional
        Told the best way of training so far, where the method tries several.
    finish : bool
        Whether training is cut short: optional stages are left out, but for those that the checkpoints have whole.

    Returns
    -------
    Trained
        The trained state, the history and the notes.

    Raises
    ------
    UserError
        The loss is no longer finite, or a checkpoint is of something else.
    """
    task = task or make_task(dataset, reference)
    course = Course(method, dataset, make_net, training, seed, task, reference, progress, checkpoints, found, finish)
    course.run()
    return course.trained()


class Course:
    """The training of a method, stage by stage; parameters as of `train`.

    Attributes
    ----------
    task : Task
        The task, with what the stages so far handed on.
    """

    def __init__(
        self,
        method: Method,
        dataset: Dataset,
        make_net: Callable[[], nn.Module],
        training: TrainingConfig,
        seed: int,
        task: Task,
        reference: Dataset | None = None,
        progress: Progress | None = None,
        checkpoints: Checkpoints | None = None,
        found: Found | None = None,
        finish: bool = False,
    ) -> None:
        self.method, self.make_net, self.training, self.seed = method, make_net, training.settled(), seed
        self.dataset, self._notes = with_supported_labels(dataset, method)
        self._incidents: tuple[str, ...] = ()
        self.task, self.reference = task, reference
        self.progress, self.checkpoints, self.found, self.finish = progress, checkpoints, found, finish
        self.device = find_device(self.training.device)
        self.state: State | None = None
        self.stages, self.history, self.seconds = list[Stage](), list[Values](), 0.0

    def run(self, first: int | None = None) -> None:
        """Train all stages, or the first few."""
        device, devices = self.device, [] if self.device.type == "cpu" else [self.device]
        kind = device.type if devices else "cuda"
        with threads(self.training.threads), torch.random.fork_rng(devices, device_type=kind):
            self._check_ranks()
            stages = self.method.stages(self.task)
            lengths = epochs_of(stages, self.training.epochs)
            for number, (stage, epochs) in enumerate(zip(stages[:first], lengths, strict=False), 1):
                key = f"{number}-{stage.name}"
                if (
                    stage.predicts is not None
                    and stage.name in self.task.handed_on
                    and not self._has_ended(key, epochs)
                ):
                    continue
                if self.finish and stage.optional and not self._has_ended(key, epochs):
                    self.task = self.task if stage.without is None else stage.without(self.task)
                elif stage.chosen is None or stage.chosen(self.task):
                    self._run_or_spare(stage, key, epochs)

    def _check_ranks(self) -> None:
        """Refuse processes that would train on other data, or other things."""
        if joined() is None:
            return
        if self.training.compile:
            rule = "a compiled network can't be spread over processes; leave it out"
            raise UserError(rule, setting="train.compile", value=True)
        given = [self.dataset, *([] if self.reference is None else [self.reference])]
        parts = (digest_of_labels(given), repr(self.method), repr(self.training), self.seed)
        features = told_by_all([fingerprint(each.x) for each in given])
        if not same_in_all([*map(str, parts)]) or not all(alike(features[0], other) for other in features):
            rule = "the processes have other data or other settings; give all of them the same"
            raise UserError(rule, setting="devices", value=count())

    def trained(self) -> Trained:
        """Return the result."""
        assert self.state is not None
        notes = [*self._notes, *self._incidents, *(stage.note for stage in self.stages if stage.note)]
        for stage in self.stages:
            course = [row for row in self.history if row["stage"] == stage.name]
            notes += [r for r in stage.method.notes(course, self.training.batch_size) if r not in notes]
        return Trained(
            self.stages[-1].method,
            tuple(s.name for s in self.stages),
            _as_loaded(self.state, self.training),
            self.history,
            self.seconds,
            self.dataset.target,
            tuple(notes),
            self.dataset.tokens,
            self.method.trials(self.task),
            self.method.held_out(self.task),
            self.method.rises(self.task),
            self._incidents,
        )

    def _has_ended(self, key: str, epochs: int) -> bool:
        return self.checkpoints is not None and self.checkpoints.has_ended(key, epochs)

    def _run_or_spare(self, stage: Stage, key: str, epochs: int) -> None:
        """Train a stage; one that fails, or is known to, is noted and left out where training can do without it.

        Where training is cut short, what would take the place of a last stage may not have what it needs.
        """
        if not stage.spared:
            return self._run(stage, key, epochs)
        failure, is_last = "" if self.checkpoints is None else self.checkpoints.failure(key), not stage.optional
        if failure and self.finish and is_last and self.task.stats is None:
            rule = f"{stage.spared} failed ({failure}), and there is no estimate for what would take its place"
            raise UserError(f"{rule}; go on without --finish", setting="--finish", given="--finish")
        if not failure:
            if self.finish and is_last:
                return self._run(stage, key, epochs)
            failure = self._failure(stage, key, epochs)
            if not failure:
                return None
        self.state = None
        self.task = replace(self.task, failed={**self.task.failed, stage.name: failure})
        self._notes += (f"{self.method.card.name} left out {stage.spared}: {failure}",)

    def _failure(self, stage: Stage, key: str, epochs: int) -> str:
        """Train a stage; return why it failed, in whichever process that was, and nothing where it did not."""
        failure, lasting = "", True
        try:
            self._run(stage, key, epochs, partial(telling, at_once=stage.passes is not None))
        except StageFailed as failed:
            if joined() is not None and stage.passes is None and not failed.lasting:
                raise  # the others are amid a step, and can't know
            failure, lasting = failed.reason, failed.lasting
        if failure and self.checkpoints is not None and lasting:
            self.checkpoints.write(key, Snapshot({}, {FAILED: failure}))
        return failure

    def _run(
        self, stage: Stage, key: str, epochs: int, computing: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """Train a stage to its end; what is computed is within a context, what the caller is told is not."""
        with computing():
            state = self._entered(stage)
        rows = self.dataset if stage.data is None else self.dataset.subset(stage.data(self.task))
        with only_trainable(stage, state):
            run = StageRun(
                stage,
                state,
                self.task,
                rows,
                self.training,
                self.seed,
                self.device,
                epochs,
                self.dataset,
                self.reference,
            )
            with spread_over(state):
                _finish(run, key, self.progress, self.checkpoints, computing)
        task, is_new = self.task, stage.name not in self.task.handed_on
        if stage.predicts is not None and is_new:
            with computing():
                task = _with_predictions(stage, state, task, self.dataset)
        if stage.after is not None:
            task = stage.after(state, task)
        self.state, self.task = state, task
        self.stages.append(stage)
        self._incidents += (*run.changed, *left_out(run.place, run.engine.finite))
        self.history, self.seconds = self.history + run.history, self.seconds + run.seconds
        if self.found is not None and is_new and stage.optional and (best := self.method.so_far(task)) is not None:
            self.found(best)

    def _entered(self, stage: Stage) -> State:
        """Return the state that a stage starts from."""
        if self.state is None or stage.reinit:
            torch.manual_seed(self.seed)
            return placed(stage.method.init(self.task, self.make_net), self.training, self.device)
        if stage.enter is not None:
            return placed(stage.enter(self.state, self.task), self.training, self.device)
        return self.state


def _with_predictions(stage: Stage, state: State, task: Task, dataset: Dataset) -> Task:
    """Return the task with what a stage predicts at its end."""
    assert stage.predicts is not None
    trained = Trained(stage.method, (stage.name,), state, [], 0.0, dataset.target, tokens=dataset.tokens)
    predicted = trained.predict(dataset.subset(stage.predicts(task)).x)
    return replace(task, handed_on={**task.handed_on, stage.name: predicted})


def rebuild(
    method: Method, task: Task, make_net: Callable[[], nn.Module], trained: Sequence[str]
) -> tuple[Method, State]:
    """Return the method of the recipe's last trained stage, and its state as the stages build it, yet to be filled.

    Parameters
    ----------
    method : Method
        The method, with its settings.
    task : Task
        The data, as far as a method may know them.
    make_net : callable
        Gives a newly initialized network.
    trained : sequence of str
        The names of the stages that were trained.

    Raises
    ------
    LookupError
        The recipe has no such stage, or none was trained.
    """
    stages = {stage.name: stage for stage in method.stages(task)}
    state: State | None = None
    for name in trained:
        if name not in stages:
            raise LookupError(f"the recipe has no stage {name!r}, only {', '.join(stages)}")
        stage = stages[name]
        if state is None or stage.reinit:
            state = stage.method.init(task, make_net)
        elif stage.enter is not None:
            state = stage.enter(state, task)
    if state is None:
        raise LookupError("no stage was trained")
    return stage.method, state


def epochs_of(stages: Sequence[Stage], epochs: int) -> list[int]:
    """Return the epochs of each stage, at least one each; rounded so that their sum is that of their fractions.

    A stage that predicts is held against others, and is rounded by itself.

    Parameters
    ----------
    stages : sequence of Stage
        The stages of a method.
    epochs : int
        The epochs of the training configuration.
    """
    counted = [stage for stage in stages if stage.passes is None and stage.predicts is None]
    total = max(len(counted), round(sum(stage.epochs for stage in counted) * epochs))
    lengths, done, fraction, left = [], 0, 0.0, len(counted)
    for stage in stages:
        if stage.passes is not None:
            lengths.append(stage.passes)
        elif stage.predicts is not None:
            lengths.append(max(1, round(stage.epochs * epochs)))
        else:
            fraction, left = fraction + stage.epochs, left - 1
            end = min(max(done + 1, round(fraction * epochs)), total - left)
            lengths.append(end - done)
            done = end
    return lengths


def placed(state: State, training: Training, device: torch.device) -> State:
    """Return the state on its device, in the memory format and compiled as the training configuration has it.

    Parameters
    ----------
    state : State
        The state.
    training : Training
        The training configuration.
    device : torch.device
        The device.
    """
    if training.channels_last:
        state.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if training.compile:
        torch.compiler.reset()  # else earlier networks' code counts against the limit of recompilations
        for network in state.networks():
            network.compile()
    return state.to(device)


def _as_loaded(state: State, training: Training) -> State:
    """Return the state as it is once loaded, without the layout of `placed`: the last digits depend on it."""
    if training.compile:
        for network in state.networks():
            network._compiled_call_impl = None
    if training.channels_last:
        state.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return state


def _finish(
    run: StageRun,
    key: str,
    progress: Progress | None,
    checkpoints: Checkpoints | None,
    computing: Callable[[], AbstractContextManager[None]],
) -> None:
    """Train a stage to its end, from its checkpoint where there is one.

    What interrupts waits for the end of a step, and for the checkpoint that is written then; but for a model that is
    fitted at once. What is not finite is not written: the epoch's end will refuse it.
    """
    if checkpoints is not None:
        _restore(run, key, checkpoints)
    within = checkpoints if run.stage.passes is None else None
    with held_back(within is not None) as held:
        signs = Signs()

        def keep(due: bool, ended: bool = False) -> None:
            is_due, ends = signs.exchange(due, held.came, wait=ended)
            if checkpoints is not None and (is_due or ends) and run.is_finite:
                checkpoints.write(key, snapshot_of(run))
            if ends:
                held.let_go()
                raise KeyboardInterrupt  # another process was told to end

        def between_steps() -> None:
            if within is not None:
                keep(within.due_within_epoch)

        while not run.done:
            if run.stage.passes is None:
                with computing():
                    run.run_epoch(between_steps)
            else:
                _fit_at_once(run, computing)
            check_alike(run.state)
            keep(run.done or (checkpoints is not None and checkpoints.due), ended=True)
            if progress is not None:
                progress(run.stage.name, run.epoch, run.epochs)


def _fit_at_once(run: StageRun, computing: Callable[[], AbstractContextManager[None]]) -> None:
    """Take a pass of a model that is fitted at once; where that fails in one process, it fails in all."""
    failed: StageFailed | None = None
    try:
        with computing():
            run.run_epoch()
    except StageFailed as error:
        failed = error
    told = told_by_all(None if failed is None else [failed.reason, failed.lasting])
    if failed is not None:
        raise failed
    for reason, lasting in filter(None, told):
        raise StageFailed(reason, lasting=lasting)


def _restore(run: StageRun, key: str, checkpoints: Checkpoints) -> None:
    snapshot = checkpoints.read(key)
    if snapshot is None:
        return
    try:
        restore(run, snapshot)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise checkpoints.unusable(key, str(error).splitlines()[-1].strip()) from None


@contextmanager
def only_trainable(stage: Stage, state: State) -> Iterator[None]:
    """Within this context, only the stage's trainable parameters gather gradients.

    Parameters
    ----------
    stage : Stage
        The stage.
    state : State
        Its state.
    """
    frozen: list[nn.Parameter] = []
    if stage.trainable is not None:
        trainable = {id(p) for p in stage.trainable(state)}
        frozen = [p for p in state.parameters() if p.requires_grad and id(p) not in trainable]
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(True)
