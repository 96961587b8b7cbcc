"""Stack: a weighted mean of a network, boosted trees and linear models, by numbers not seen.

Source: Wolpert, "Stacked Generalization", Neural Networks 1992; Breiman, "Stacked Regressions", Machine Learning 1996,
with weights of at least 0 and of sum 1 (`skedastic.core.stacking`). Each way is trained on halves of the rows and
predicts the other half: a network by `base`; ridge regression, also shrunk a hundredfold; boosted trees of 31 and of 8
leaves and, where there are texts beside other columns, without these; and the mean of the targets, towards which the
weights pull predictions where little can be learned. All but the network take seconds, and come first.

Ours: the weights are held against the mean of the network and of the large trees (`skedastic.methods.blend`), which
errs little nearly everywhere; where trees are slow, against the network alone. They are fitted on one half of the
rows and judged on the other. They are taken if their root mean squared error is less by a standard error, and their
mean absolute error not more by one: a few targets that are far off count too much in squares. Then they are fitted
once more on both halves, and every way that has a weight is trained on all rows. Squared errors are averaged over all
rows or, where groups are given, over the groups.

A way that is fitted at once and fails is left out. Where training is cut short, the weighted mean is that of the ways
that were tried, and is held against the first of them where the network was not reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.choice import Best, Gain, Trial
from skedastic.core.criteria import PLACE, Criterion
from skedastic.core.criteria_of_numbers import CRITERIA_OF_NUMBERS, MAE, OVER_GROUPS, RMSE, OfNumbers
from skedastic.core.weighted_mean import WeightedMean
from skedastic.errors import UserError
from skedastic.losses.absolute import Absolute
from skedastic.losses.auto import Auto
from skedastic.methods.bases.card import COLUMNS, MIXED, PERTURBED, REGRESSION, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.fitted import Fitted, FittedState
from skedastic.methods.bases.held_out import LEAST_ROWS, held_out, rows_of_half, trial_stages, was_tried, why_failed
from skedastic.methods.bases.method import MakeNet, Method, Stage
from skedastic.methods.bases.one_network import OneNetwork
from skedastic.methods.bases.step import Batch, Clock, Logs, State, outputs
from skedastic.methods.bases.task import Task
from skedastic.methods.bases.wrapper import Wrapper
from skedastic.methods.blend import Blend
from skedastic.methods.fitted_ways import CUT_SHORT, L2, LARGE, SMALL, TREES, quick_ways
from skedastic.methods.fitted_ways import NAMES as FITTED_NAMES
from skedastic.methods.linear import Linear
from skedastic.methods.trees import MOST_OF_NUMBERS

NETWORK = "network"
ABSOLUTE = {f"{way}, absolute": replace(TREES[way], loss="absolute") for way in (LARGE, SMALL)}  # tried for mae
CONSTANT = "mean of the targets"
LINEAR = {way: Linear(l2=l2) for way, l2 in (*L2.items(), (CONSTANT, 1e12))}  # the last so much shrunk that it is that
BESIDE: Mapping[str, Fitted[Any]] = {**LINEAR, **TREES, **ABSOLUTE}
NAMES = {**FITTED_NAMES, "shrunk linear": "shrunk linear model", CONSTANT: CONSTANT}  # in a list of names with commas
NAMES |= {f"{way}, absolute": f"{NAMES[way]} by absolute error" for way in (LARGE, SMALL)}
STACK, WITHOUT = "weighted mean", "weighted mean without a network"  # last stages
MEAN, ALONE = "mean", "network alone"  # those of what all are held against
SURE = 1.0  # standard errors by which the weighted mean must be better
NOT_TRIED = f"stack took {{base}}: fewer than {LEAST_ROWS} training rows are too few to try weights on halves of them."
Weights = Mapping[str, float]  # above 0, of ways; their sum is 1
EVEN: Weights = {NETWORK: 0.5, LARGE: 0.5}


class Judged(NamedTuple):
    """How a weighted mean does against what it is held to, with weights of the other half of the rows.

    Parameters
    ----------
    weights : Mapping of str to float
        Those of both halves.
    gain : Gain
        The share of the root mean squared error that it saves.
    is_safe : bool
        Whether that is safe, and the mean absolute error no larger.
    """

    weights: Weights
    gain: Gain
    is_safe: bool


@dataclass(frozen=True, kw_only=True)
class Stack(Wrapper):
    """Predict the weighted mean of a network, trees and linear models that errs least on rows not seen."""

    optimize: Criterion = setting(
        RMSE(),
        "criterion of the weights and of the choice: rmse, or mae, by which ways of absolute loss are tried beside",
    )

    card: ClassVar[Card] = Card(
        name="stack",
        title="The weighted mean of a network, trees and linear models, by numbers not seen",
        paper="Wolpert 1992; Breiman, Stacked Regressions, 1996; Friedman 2001; Hoerl and Kennard 1970",
        equations="Σ_k w_k f_k(x); w = argmin w'(S + λ min S_kk I)w, w ≥ 0, Σ w = 1, S the mean of r r' held out",
        family="around another method",
        capabilities=Capabilities(
            tasks=REGRESSION,
            takes=(COLUMNS,),
            incompatible_with={
                MIXED: "its trees fit examples as they are; turn them round, as in stack(base=mixup)",
                PERTURBED: "its trees have no weights; turn them round, as in stack(base=sam)",
            },
        ),
        never_erm="it has trees and linear models beside the network wherever these help",
        cost="2 × that of `base`, for its halves and for all rows, and about 1 × plain training of a small network",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.optimize.of_numbers:
            rule = f"it is a criterion for classes, and stack is for numbers; take {' or '.join(CRITERIA_OF_NUMBERS)}"
            raise UserError(rule, setting=PLACE, value=self.optimize.shown_name())
        if isinstance(self.optimize, MAE):
            object.__setattr__(self, "base", _by_absolute_loss(self.base))

    @property
    def criterion(self) -> OfNumbers:
        """The criterion."""
        return cast(OfNumbers, self.optimize)

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the trials, the quick ones first, and the training of the weighted mean or of what it is held to.

        Raises UserError where examples are no rows, or `base` is trained in several stages.
        """
        if not task.columns:
            name = self.card.name
            rule = "its trees read rows of numbers and categories, and these are images or tokens; take another method"
            raise UserError(rule, setting="method", value=name, given=name)
        if len(self.base.stages(task)) != 1:
            rule = "it is trained in several stages, and halves are tried in one; take blend, as in blend(base=…)"
            raise UserError(rule, setting=self.place("base"), value=self.base.card.name)
        alone = Stage(name=ALONE, method=self.base, chosen=self._is_held_to)
        mean = Stage(name=MEAN, method=Blend(base=self.base), chosen=self._is_held_to)
        last = mean if LARGE in self._held_to(task) else alone
        if not task.is_of_a_run and len(task.y) < LEAST_ROWS:
            return (replace(last, chosen=None, note=NOT_TRIED.format(base=self._shown(self._held_to(task)))),)
        trials = [
            replace(stage, optional=True, spared=NAMES[way])
            for way in self._quick(task)
            for stage in trial_stages(way, BESIDE[way])
        ]
        trials += [replace(stage, optional=True) for stage in trial_stages(NETWORK, self.base)]
        without, at_once = replace(self, base=Linear()), partial(self._is_taken, network=False)
        return (
            *trials,
            Stage(name=STACK, method=self, chosen=partial(self._is_taken, network=True), spared=STACK),
            Stage(name=WITHOUT, method=without, passes=Linear.passes, chosen=at_once, spared=WITHOUT),
            *[alone] * task.is_of_a_run,  # whose rows are not known, and so whether trees were quick
            last,
        )

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """Return how each way, and the weighted mean, did against what it is held to."""
        if len(task.y) < LEAST_ROWS:
            return ()
        against, judged, found = self._against(task), self._judged(task), list[Trial]()
        for way in (NETWORK, *self._quick(task)):
            reason = why_failed(way, task) or CUT_SHORT * (not was_tried(way, task))
            if {way: 1.0} != against:
                gain = Gain(0.0, 0.0) if reason else self._saved(task, _errors(task, {way: 1.0}), against)
                found.append(self._trial(task, way, self._name(way), gain)._replace(left_out=reason))
        if judged is not None:
            failed, shown = _failed(task), self._shown(judged.weights)
            mean = self._trial(task, STACK, shown, judged.gain)
            found = [trial for trial in found if trial.name != shown]  # a mean of one way is that way
            found.append(mean._replace(chosen=judged.is_safe and not failed, went_wrong=judged.is_safe and failed))
        return tuple(found)

    def so_far(self, task: Task) -> Best | None:
        """Return the weighted mean of what was tried so far, or what it is held to; None before anything was."""
        if not self._tried(task):
            return None
        taken, judged = self._taken(task), self._judged(task)
        name, value = self._shown(taken), -self.criterion.size(_errors(task, taken), _parts(task)).value
        trial = self._trial(task, STACK, name, judged.gain) if judged is not None and judged.is_safe else None
        return Best(name, value, self._told(task), trial)

    def predictor(self, trials: Sequence[Trial]) -> str:
        """Return what the mean is of."""
        taken = next((trial.name for trial in trials if trial.chosen), trials[0].other if trials else "")
        return taken or Blend(base=self.base).predictor(trials)

    def init(self, task: Task, make_net: MakeNet) -> State:
        """Return the state of `base`, and beside it the other ways yet to be fitted, and the weights of all.

        The weights are those that the trials tell.
        """
        state, weights = super().init(task, make_net), self._taken(task)
        state.add_module("beside", nn.ModuleList(FittedState(method.empty(task)) for method in BESIDE.values()))
        state.register_buffer("weights", torch.tensor([weights.get(way, 0.0) for way in (NETWORK, *BESIDE)]))
        return state

    def step(self, state: State, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Take the step of `base`; in the last epoch remember who was met."""
        if clock.epoch + 1 == clock.epochs:
            for method, beside in _weighted(state):
                method.step(beside, batch, clock, engine)
        return self.base.step(state, batch, clock, engine)

    def end_epoch(self, state: State, task: Task, clock: Clock, engine: Engine) -> Logs | None:
        """End the epoch of `base`; after the last one fit the other ways that have a weight."""
        if clock.epoch + 1 == clock.epochs:
            for method, beside in _weighted(state):
                method.end_epoch(beside, task, clock, engine)
        return self.base.end_epoch(state, task, clock, engine)

    def net(self, state: State) -> nn.Module:
        """Return all that have a weight as one module."""
        own, *weights = cast(Tensor, state.weights).tolist()
        nets = [self.base.net(state)] * bool(own) + [beside.net for _, beside in _weighted(state)]
        return WeightedMean(nets, [weight for weight in (own, *weights) if weight])

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return the weighted mean, [B]."""
        return outputs(self.net(state)(x))

    def _held_to(self, task: Task) -> Weights:
        """Return the weights that all are held against."""
        return EVEN if LARGE in self._quick(task) else {NETWORK: 1.0}

    def _against(self, task: Task) -> Weights:
        """Return these, as far as they were tried: else those of the network alone, or of the first way."""
        tried, held_to = self._tried(task), self._held_to(task)
        if not tried or held_to.keys() <= set(tried):
            return held_to
        return {NETWORK if NETWORK in tried else tried[0]: 1.0}

    def _tried(self, task: Task) -> list[str]:
        """Return the ways that were tried on all rows."""
        return [way for way in (*self._quick(task), NETWORK) if was_tried(way, task)]

    def _judged(self, task: Task) -> Judged | None:
        """Return how the weighted mean of the ways that were tried does; None of fewer than two."""
        ways = self._tried(task)
        if len(ways) < 2:
            return None
        part, against = _parts(task), self._against(task)
        errors = torch.stack([_errors(task, {way: 1.0}) for way in ways], 1)
        own = torch.empty_like(errors[:, 0])
        for fitted, judged in ((0, 1), (1, 0)):
            rows, unseen = (rows_of_half(task, half) for half in (fitted, judged))
            own[unseen] = errors[unseen] @ self.criterion.weights(errors[rows], part[rows])
        weights = zip(ways, self.criterion.weights(errors, part).tolist(), strict=True)
        saved, absolute = (self._saved(task, own, against, by) for by in (self.criterion, MAE()))
        is_safe = saved.mean > SURE * saved.error and absolute.mean > -SURE * absolute.error
        return Judged({way: weight for way, weight in weights if weight}, saved, is_safe)

    def _saved(self, task: Task, errors: Tensor, against: Weights, by: OfNumbers | None = None) -> Gain:
        """Return the share of the error of what all are held against that is saved, by the criterion or another."""
        return (by or self.criterion).saved(errors, _errors(task, against), _parts(task), task.unit)

    def _taken(self, task: Task) -> Weights:
        """Return the weights that are taken."""
        judged = self._judged(task)
        return judged.weights if judged is not None and judged.is_safe else self._against(task)

    def _is_taken(self, task: Task, network: bool) -> bool:
        """Return whether a weighted mean is taken, with a network in it or without one."""
        taken = self._taken(task)
        return taken != self._held_to(task) and (NETWORK in taken) == network

    def _is_held_to(self, task: Task) -> bool:
        """Return whether what all are held against is taken, or the training of what was taken failed."""
        return self._taken(task) == self._held_to(task) or _failed(task)

    def _trial(self, task: Task, stage: str, name: str, gain: Gain) -> Trial:
        """Return the trial of a way, which is not chosen."""
        other = self._shown(self._against(task))
        return Trial(name, other, gain, False, False, criterion=self._told(task), stage=stage)

    def _told(self, task: Task) -> str:
        """Return the name of the criterion."""
        return self.criterion.told + OVER_GROUPS * (not task.binned and len(task.groups) > 1)

    def _quick(self, task: Task) -> list[str]:
        """Return the ways beside the network that are fitted in seconds; of a run, whose rows are not known, any."""
        ways = quick_ways(task, len(task.y), most=MOST_OF_NUMBERS)
        absolute = LARGE in ways and isinstance(self.optimize, MAE)
        return ways + [*ABSOLUTE] * absolute + [CONSTANT] * any(way in ways for way in L2)

    def _name(self, way: str) -> str:
        """Return the name of a way for the user."""
        return NAMES.get(way, f"network by {self.base.card.name}")

    def _shown(self, weights: Weights) -> str:
        """Return a mean for the user, the largest weights first."""
        ways = sorted(weights, key=lambda way: -weights[way])
        names = [self._name(way) for way in ways]
        if len(names) == 1:
            return names[0]
        if weights == EVEN:
            return f"mean of {' and '.join(names)}"
        *most, last = (f"{name} ({weights[way]:.0%})" for name, way in zip(names, ways, strict=True))
        return f"{STACK} of {', '.join(most)} and {last}"


def _by_absolute_loss(method: Method) -> Method:
    """Return a method of networks with the absolute loss, where it has none of its own."""
    if isinstance(method, Wrapper):
        return replace(method, base=_by_absolute_loss(method.base))
    return replace(method, loss=Absolute()) if isinstance(method, OneNetwork) and method.loss == Auto() else method


def _weighted(state: State) -> list[tuple[Fitted[Any], FittedState[Any]]]:
    """Return the ways beside the network that have a weight, and their states."""
    weights, beside = cast(Tensor, state.weights)[1:].tolist(), cast(nn.ModuleList, state.beside)
    every = zip(BESIDE.values(), beside, weights, strict=True)
    return [(method, cast(FittedState[Any], own)) for method, own, weight in every if weight]


def _errors(task: Task, weights: Weights) -> Tensor:
    """Return by how much the weighted mean of held-out predictions is off, in the target's units, [n] float64."""
    assert task.numbers is not None, "targets are numbers"
    return sum((held_out(way, task).double() * share for way, share in weights.items()), start=-task.numbers)


def _parts(task: Task) -> Tensor:
    """Return the parts over which squared errors are averaged, [n] int64: the groups, unless the target makes them."""
    return torch.zeros_like(task.group) if task.binned else task.group


def _failed(task: Task) -> bool:
    """Return whether the training of the weighted mean on all rows failed."""
    return STACK in task.failed or WITHOUT in task.failed
