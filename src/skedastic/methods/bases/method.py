"""The interface of a method, and the stages of training that it is made of.

A method is a frozen dataclass: its fields are its hyperparameters. Everything that changes while training lives in its
`State`, an `nn.Module`, so that it is saved, resumed and moved like everything else in torch. To add a method, add one
file to this package (CONTRIBUTING.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, cast

import torch
from torch import Tensor, nn

from skedastic.configurable import Configurable
from skedastic.core.choice import Best, Trial
from skedastic.core.learning_curve import Rise
from skedastic.core.samplers import Sampler, Shuffle
from skedastic.methods.bases.card import Capabilities, Card, ProbabilitiesOf
from skedastic.methods.bases.engine import Engine, OwnOptimizer
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, Out, S, State, Step, accuracy, outputs
from skedastic.methods.bases.task import Task

MakeNet = Callable[[], nn.Module]  # gives a newly initialized network each time
Optimizer = Literal["configured", "sgd", "adam", "adamw"]  # the optimizers of a stage


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training. Recipes of several stages are lists of these; the loop knows nothing else of them.

    Parameters
    ----------
    name : str
        A name that no other stage of the recipe has.
    method : Method
        The method whose steps it takes.
    epochs : float
        Its length, as a fraction of the training configuration's epochs.
    passes : int, optional
        Its length in passes over the data, instead; with 0 nothing is trained, and `enter` alone is run.
    data : callable, optional
        From the task to the rows to train on, [m]; by default all.
    reinit : bool
        Whether it starts from a new state; else it starts from the state of the stage before.
    enter : callable, optional
        From the state of the stage before and the task to this stage's state, where `reinit` is false.
    trainable : callable, optional
        From the state to the parameters to train; by default all of the method's. A part that is frozen whole is in
        evaluation mode, and so are layers without parameters before the trained ones.
    lr_scale : float
        Factor of the learning rate, above 0.
    optimizer : str
        "configured" for the training configuration's, or "sgd", "adam" or "adamw".
    bias_correction : bool
        Whether Adam divides its averages by what they lack at the start.
    after : callable, optional
        From the state and the task to the task of the next stage, such as one with more in `handed_on`.
    predicts : callable, optional
        From the task to the rows, [m], that it predicts at its end. These predictions, as `Target.predictions`
        [m, ...], are handed on under its name.
    chosen : callable, optional
        Asked of the task before; the stage is left out where it is false.
    note : str
        A sentence on this stage for the user.
    optional : bool
        Whether it is left out where training is cut short, if it was not trained before.
    without : callable, optional
        From the task to the task of the next stage, where it is left out so.
    spared : str
        Its name for the user, where training goes on without it if it fails; empty where it does not.
    """

    name: str
    method: Method
    epochs: float = 1.0
    passes: int | None = None
    data: Callable[[Task], Tensor] | None = None
    reinit: bool = True
    enter: Callable[[Any, Task], State] | None = None
    trainable: Callable[[Any], Iterable[nn.Parameter]] | None = None
    lr_scale: float = 1.0
    optimizer: Optimizer = "configured"
    bias_correction: bool = True
    after: Callable[[Any, Task], Task] | None = None
    predicts: Callable[[Task], Tensor] | None = None
    chosen: Callable[[Task], bool] | None = None
    note: str = ""
    optional: bool = False
    without: Callable[[Task], Task] | None = None
    spared: str = ""

    @property
    def is_compared(self) -> bool:
        """Whether it is trained on a part and predicts another, so that ways of training are compared."""
        return self.data is not None and self.predicts is not None


@dataclass(frozen=True, kw_only=True)
class Method(Configurable, ABC, Generic[S]):
    """A training algorithm over states `S`. Override the parts unlike plain training; most override `objective`."""

    card: ClassVar[Card]
    passes: ClassVar[int | None] = None  # over the data, where it takes no epochs but so many
    refits: ClassVar[bool] = False  # whether its last stage changes what earlier ones trained, and is no plain training

    @classmethod
    def shown_name(cls) -> str:
        """Return the name on the card."""
        return cls.card.name

    @property
    def capabilities(self) -> Capabilities:
        """Its tasks, needs and requirements, with its settings."""
        return self.card.capabilities

    def of_networks(self) -> Method:
        """Return the method that ends with the network that it is given, where it may else take another model."""
        return self

    @property
    def probabilities_of(self) -> ProbabilitiesOf:
        """What the networks' probabilities are of, where labels go wrong.

        Labels: those of the labels as they are given, which plain training fits. True classes: of what the labels were
        before. Neither: most methods resist wrong labels by some way between the two.
        """
        return "neither"

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of the recipe, under names of their own; by default one, this method itself.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.
        """
        return (Stage(name="train", method=self, passes=self.passes),)

    def init(self, task: Task, make_net: MakeNet) -> S:
        """Return a fresh state. A method with a state of its own overrides this.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.
        make_net : callable
            Gives a newly initialized network each time.
        """
        return cast(S, State(make_net()))

    def streams(self, task: Task) -> Mapping[str, Sampler]:
        """Return the samplers of the streams of batches, by name; the loop runs over "main".

        REFERENCE is of the trusted examples, any other of the training set.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.

        Raises
        ------
        UserError
            A stream can't be had, such as one of trusted examples where there are none.
        """
        return {"main": Shuffle()}

    def batch_shares(self) -> Mapping[str, float]:
        """Return the batch sizes of streams beside "main", as shares of the training configuration's, in (0, 1].

        A stream that is not named has 1.
        """
        return {}

    def param_groups(self, state: S) -> Mapping[str, list[nn.Parameter]]:
        """Return the parameters of each optimizer, by the names that `engine.update` takes.

        Parameters
        ----------
        state : State
            The method's state.
        """
        return {"main": list(state.parameters())}

    def optimizers(self) -> Mapping[str, OwnOptimizer]:
        """Return the optimizers of parameter groups that the training configuration's is not for, by their names."""
        return {}

    def forward(self, state: S, batch: Batch) -> Out:
        """Run the network(s) on a batch.

        Parameters
        ----------
        state : State
            The method's state.
        batch : Batch
            B examples.
        """
        return Out(outputs(state.net(batch.x)))

    def observe(self, step: Step[S]) -> None:
        """Change the state, once a step, without gradients; everything else is pure.

        Parameters
        ----------
        step : Step
            The step after its forward.
        """
        return

    @abstractmethod
    def objective(self, step: Step[S]) -> Objective:
        """Return the objective to minimize; it changes nothing.

        Parameters
        ----------
        step : Step
            The step after its forward.
        """

    def step(self, state: S, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take one training step and return the values to log.

        Parameters
        ----------
        state : State
            The method's state.
        batch : Batch
            B examples.
        clock : Clock
            Where training stands.
        engine : Engine
            It steps the optimizers.
        """
        step = Step(state, batch, self.forward(state, batch), clock)
        with torch.no_grad():
            self.observe(step)
        objective = self.objective(step)
        engine.update("main", objective.total)
        return {"loss": objective.per_example, **accuracy(step.out.logits, batch.y), **objective.logs}

    def end_epoch(self, state: S, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """Run after the last step of each epoch; return values that are logged beside the epoch's means.

        Parameters
        ----------
        state : State
            The method's state.
        task : Task
            The data, as far as a method may know them.
        clock : Clock
            Where training stands.
        engine : Engine
            It steps the optimizers.
        """
        return None

    def least_batch(self, task: Task) -> int:
        """Return the size of the smallest batch that the method takes; a last, smaller one joins the one before it.

        Parameters
        ----------
        task : Task
            The data, as far as a method may know them.
        """
        return 2

    def shorter_pass(self, rounds: int) -> tuple[Method, int] | None:
        """Return the method with fewer rounds in its pass, and how many it has; their time is measured beforehand.

        None where the time of its steps tells of all.

        Parameters
        ----------
        rounds : int
            Those of the method that is returned, at most.
        """
        return None

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Return sentences on how training went, for the user; they are the same for every seed.

        Parameters
        ----------
        rows : sequence of Mapping
            The history of a stage, an epoch each.
        batch_size : int
            The training configuration's.
        """
        return ()

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """Return the ways of training that were held against each other, where the method chose between some.

        Parameters
        ----------
        task : Task
            The task that the last stage handed on.
        """
        return ()

    def so_far(self, task: Task) -> Best | None:
        """Return the way of training that is best so far, where the method chooses and has tried some; else None.

        Parameters
        ----------
        task : Task
            The task that the last stage handed on.
        """
        return None

    def held_out(self, task: Task) -> Tensor | None:
        """Return probabilities of the training rows, [n, C], by models that had not seen them, of the way that it took.

        None where there are no such.

        Parameters
        ----------
        task : Task
            The task that the last stage handed on.
        """
        return None

    def rises(self, task: Task) -> tuple[Rise, ...]:
        """Return how much accuracy on rows not seen rose where the training rows doubled, where the method tried that.

        Parameters
        ----------
        task : Task
            The task that the last stage handed on.
        """
        return ()

    def predictor(self, trials: Sequence[Trial]) -> str:
        """Return what predicts, in words, where that is no network; else nothing.

        Parameters
        ----------
        trials : sequence of Trial
            Those of the run.
        """
        return ""

    def net(self, state: S) -> nn.Module:
        """Return the module that predicts, as it is exported.

        Parameters
        ----------
        state : State
            The method's state.
        """
        return state.net

    def predict(self, state: S, x: Tensor) -> Tensor:
        """Return logits [B, C], or standardized numbers [B]; the state is in evaluation mode.

        Parameters
        ----------
        state : State
            The method's state.
        x : Tensor
            Inputs, [B, ...].
        """
        return outputs(state.net(x))
