"""Auto: the way of training that does best on labels not seen, of networks and of trees, balanced or not.

Ours. Each way is trained on halves of the rows and predicts the other half; every label is then compared under every
way, example by example (`skedastic.core.choice`). The ways are plain training; HAR, which shrinks noisy and rare
groups; HAR on the loss that is corrected by how labels go wrong, which alone undoes labels that go one way
(`skedastic.losses.corrected`); and, of columns, boosted trees of 31 and of 8 leaves, which are better than networks
where labels follow sharp rules, and cost little (`skedastic.methods.trees`). Each predicts thrice: as it is, and with
the shares of the classes half and wholly made up for (Menon et al., "Long-tail Learning via Logit Adjustment", ICLR
2021), which costs no training.

All are held against plain training, half balanced: that nearly always helps the rare classes and costs the frequent
ones little. Another is taken if it is better by a standard error in the mean over groups, and gives no class up, by the
halves or by the network of all rows on its own rows. That network learns by the adjusted loss, and is not taken either
if it is right less often on its own rows than its kind was on rows not seen: then its training went wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.choice import LEAST_SHARE, Gain, Trial, gives_up_a_class, made_up_for, paired_gain
from skedastic.core.criteria import Balanced, Criterion, Held
from skedastic.core.heads import AutoHead
from skedastic.core.samplers import Shuffle
from skedastic.core.transitions import shares_of_true_classes
from skedastic.losses.corrected import Corrected
from skedastic.losses.logit_adjusted import LogitAdjusted
from skedastic.methods.bases.card import CLASSIFICATION, GROUP_STATS, Capabilities, Card
from skedastic.methods.bases.held_out import (
    LEAST_ROWS,
    every_row,
    held_out,
    trial_stages,
    was_tried,
)
from skedastic.methods.bases.method import MakeNet, Method, Stage
from skedastic.methods.bases.one_network import OneNetwork, OneNetworkState
from skedastic.methods.bases.step import State
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.methods.trees import Trees, are_quick, can_read_trees

PLAIN, STRONG, CORRECTED = "plain", "har", "har, corrected"
LEAVES = {"trees": 31, "small trees": 8}  # of the trees that are tried
TAUS = (0.0, 0.5, 1.0)  # how much the shares of the classes are made up for
BEST = "best"  # what is handed on of the choice
NAMES = {PLAIN: "plain training", "trees": "boosting", "small trees": "boosting of small trees"}
MANY_ROWS = 10_000  # above which trials are shorter than the training of all rows
LEAST_EPOCHS, IMAGE_EPOCHS = 1 / 3, 1 / 2  # of it, and of images, which take long
MOST_CLASSES = 20  # above which trees predict slowly
NONE_BETTER = (
    "auto took {base}: on labels that the networks had not seen, no other way was better by a standard "
    "error, or those that were gave a class up, or went wrong on all rows."
)
NOT_TRIED = f"auto took {{base}}: other ways can't be tried on fewer than {LEAST_ROWS} rows."


class Candidate(NamedTuple):
    """A way of training, and how much it makes up for the shares of the classes."""

    way: str
    tau: float

    @property
    def name(self) -> str:
        """The name of its stage."""
        return self.way + {0.0: "", 0.5: ", half balanced", 1.0: ", balanced"}[self.tau]

    def shown(self, auto: Auto) -> str:
        """Return its name for the user."""
        corrected = ", loss=corrected" * (self.way == CORRECTED)
        name = NAMES.get(self.way, f"HAR at {auto.strength:g}{corrected}")
        return {0.0: "", 0.5: f"half-{auto.optimize.shifted} ", 1.0: f"{auto.optimize.shifted} "}[self.tau] + name


@dataclass(frozen=True, kw_only=True)
class Auto(OneNetwork[OneNetworkState]):
    """Try plain training, HAR, HAR on the corrected loss and trees on halves, balanced or not; train the best."""

    strength: float = setting(0.3, "the strength of HAR that is tried", "(0, inf)")
    trees: bool = setting(True, "whether boosted trees are tried beside networks, where rows are narrow")
    optimize: Criterion = setting(
        Balanced(),
        "criterion of the choice: balanced, the mean of the groups' accuracies; worst, that of the worst group; "
        "accuracy of all rows; macro-f1; auc, the area under the ROC curve; or cost",
    )

    card: ClassVar[Card] = Card(
        name="auto",
        title="Plain training, HAR, HAR on the corrected loss, or trees, balanced or not, by labels not seen",
        paper="ours; HAR of Cao et al., ICLR 2021, corrected as Patrini et al., CVPR 2017, balanced as Menon et al., "
        "ICLR 2021",
        equations="the largest criterion of held-out predictions, such as their mean accuracy over groups, if a "
        "standard error above that of plain training, half balanced",
        family="regularization",
        capabilities=Capabilities(tasks=CLASSIFICATION, needs=frozenset({GROUP_STATS})),
        never_erm="it chooses; where it takes plain training, balanced or not, it is that to the bit",
        cost="about 8 × plain training: the estimate, three ways on halves, trees, and the best on everything",
    )

    def of_networks(self) -> Auto:
        """Return it without trees."""
        return replace(self, trees=False)

    def method(self, candidate: Candidate, task: Task) -> Method:
        """Return the method that trains a candidate.

        Parameters
        ----------
        candidate : Candidate
            One of `candidates`.
        task : Task
            The data, as far as a method may know them.
        """
        way, tau = candidate
        target = self._target(candidate, task) if tau else ()
        if way in LEAVES:
            return Trees(leaves=LEAVES[way], tau=tau, target=target)
        axes = {name: getattr(self, name) for name in ("class_weights", "sampler", "head")}
        if way == CORRECTED:
            return HAR(strength=self.strength, loss=Corrected(tau=tau, target=target), **axes)
        loss = LogitAdjusted(tau=tau, target=target) if tau else self.loss
        return HAR(strength=self.strength, loss=loss, **axes) if way == STRONG else ERM(loss=loss, **axes)

    def ways(self, task: Task) -> Mapping[str, Method]:
        """Return the ways of training that are tried by name, plain training first.

        The corrected loss is left out where nothing is known of how labels go wrong, or another loss was asked for; and
        trees where examples are no columns or very many, or something was asked for that trees have not.
        """
        known = task.transitions is not None and self.fits_cross_entropy
        names = [PLAIN, STRONG, *[CORRECTED] * known, *(LEAVES if self._tries_trees(task) else ())]
        return {name: self.method(Candidate(name, 0.0), task) for name in names}

    def _target(self, candidate: Candidate, task: Task) -> tuple[float, ...]:
        """Return the shares of the classes that the criterion counts them by; empty where they are all alike."""
        target = self.optimize.target(_share(candidate, task), task.classes)
        return () if bool((target == target[0]).all()) else tuple(target.clamp_min(LEAST_SHARE).tolist())

    def _tries_trees(self, task: Task) -> bool:
        """Return whether trees are tried: rows are narrow, classes few, and nothing is asked for that they lack."""
        quick = are_quick(math.prod(task.input_shape), int(task.class_count.sum()))
        quick = quick and len(task.classes) <= MOST_CLASSES
        own = self.balances and isinstance(self.head, AutoHead)
        return self.trees and task.columns and quick and own and (task.is_of_a_run or can_read_trees())

    @property
    def balances(self) -> bool:
        """Whether shares of classes are made up for: not where the loss, weights or the sampler say otherwise."""
        return self.fits_cross_entropy and self.class_weights is None and self.sampler == Shuffle()

    def base(self, task: Task) -> Candidate:
        """Return what all are held against: plain training, half balanced where the mean over classes counts."""
        by_classes = not self.optimize.of_groups or task.groups == task.classes
        return Candidate(PLAIN, self.optimize.tau if self.balances and by_classes else 0.0)

    def candidates(self, task: Task) -> tuple[Candidate, ...]:
        """Return the ways as they are, half balanced and balanced."""
        return tuple(Candidate(way, tau) for way in self.ways(task) for tau in (TAUS if self.balances else (0.0,)))

    def init(self, task: Task, make_net: MakeNet) -> OneNetworkState:
        """Return a fresh state of HAR, which needs the estimate of each group."""
        state: OneNetworkState = self.ways(task)[STRONG].init(task, make_net)
        return state

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the trials, and the training of the candidate that is best."""
        base = self.base(task)
        rows = int(task.class_count.sum())  # that of a run has no rows, and their count
        if rows < LEAST_ROWS:
            note = NOT_TRIED.format(base=base.shown(self))
            return (Stage(name=base.name, method=self.method(base, task), note=note),)
        epochs = min(1.0 if task.columns else IMAGE_EPOCHS, max(LEAST_EPOCHS, MANY_ROWS / rows))
        trials = [stage for name, way in self.ways(task).items() for stage in trial_stages(name, way, epochs)]
        trials[-1] = replace(trials[-1], after=self._decide)
        finals = [
            Stage(
                name=candidate.name,
                method=(method := self.method(candidate, task)),
                passes=method.passes,
                chosen=partial(self._is_best, candidate=candidate),
                predicts=every_row,
            )
            for candidate in self.candidates(task)
            if candidate != base
        ]
        note = NONE_BETTER.format(base=base.shown(self))
        last = Stage(name=base.name, method=self.method(base, task), chosen=self._is_base, note=note)
        return (*trials, *finals, last)

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """Return how each way did against the base, balanced as was best for it."""
        if not was_tried(PLAIN, task):
            return ()
        held, best, found = self._held_against_base(task), self._best(task), []
        for way in self.ways(task):
            own = [candidate for candidate in held if candidate.way == way]
            if not own:
                continue
            candidate = best if best in own else max(own, key=lambda c: (not held[c][1], held[c][0].mean))
            gain, gives_up = held[candidate]
            went_wrong, gave_up = self._in_the_end(task, best) if candidate == best else (False, False)
            chosen = candidate == best and not went_wrong and not gave_up
            name, other = (c.shown(self) for c in (candidate, self.base(task)))
            criterion = self.optimize.shown_name()
            found.append(Trial(name, other, gain, gives_up or gave_up, chosen, criterion, went_wrong))
        return tuple(found)

    def predictor(self, trials: Sequence[Trial]) -> str:
        """Return that of trees, where they were chosen."""
        taken = next((trial.name for trial in trials if trial.chosen), "")
        way = next((way for way in LEAVES for tau in TAUS if Candidate(way, tau).shown(self) == taken), None)
        return "" if way is None else Trees(leaves=LEAVES[way]).predictor(trials)

    def _held_against_base(self, task: Task) -> dict[Candidate, tuple[Gain, bool]]:
        """Return of each candidate how much better it is than the base, and whether it gives up a class of its."""
        held = Held(task.y, task.group, task.classes, task.unit)
        base, found = self._scores(task, self.base(task)), {}
        for candidate in self.candidates(task):
            if candidate != self.base(task):
                own = self._scores(task, candidate)
                gives_up = gives_up_a_class(own.argmax(1), base.argmax(1), task.y)
                found[candidate] = (self.optimize.gain(own, base, held), gives_up)
        return found

    def _scores(self, task: Task, candidate: Candidate) -> Tensor:
        """Return the logits of each example by a candidate's networks that have not seen it, [n, C]."""
        share = _share(candidate, task)
        return made_up_for(
            held_out(candidate.way, task), share, candidate.tau, self.optimize.target(share, task.classes)
        )

    def _decide(self, state: State, task: Task) -> Task:
        """Hand on the best candidate's place, so that it is found once."""
        best = torch.tensor(self.candidates(task).index(self._best(task)))
        return replace(task, handed_on={**task.handed_on, BEST: best})

    def _best(self, task: Task) -> Candidate:
        """Return the candidate that is best, if by a standard error, and gives no class up; else the base."""
        if BEST in task.handed_on:
            return self.candidates(task)[int(task.handed_on[BEST])]
        held = self._held_against_base(task)
        better = {c: gain.mean for c, (gain, gives_up) in held.items() if gain.mean > gain.error and not gives_up}
        return max(better, key=better.__getitem__) if better else self.base(task)

    def _in_the_end(self, task: Task, candidate: Candidate) -> tuple[bool, bool]:
        """Return whether the training of all rows went wrong, and whether a class is given up that the base held on to.

        It went wrong if it is right on its own rows less often, by two standard errors, than its kind was on rows not
        seen.
        """
        if candidate == self.base(task):
            return False, False
        own, unseen = task.handed_on[candidate.name].argmax(1), self._scores(task, candidate).argmax(1)
        learned = paired_gain(own == task.y, unseen == task.y, torch.zeros_like(task.group), task.unit)
        gave_up = gives_up_a_class(own, self._scores(task, self.base(task)).argmax(1), task.y)
        return learned.mean < -2 * learned.error, gave_up

    def _is_best(self, task: Task, candidate: Candidate) -> bool:
        return self._best(task) == candidate

    def _is_base(self, task: Task) -> bool:
        """Return whether no candidate is better, or the best gave a class up in the end."""
        best = self._best(task)
        return best == self.base(task) or any(self._in_the_end(task, best))


def _share(candidate: Candidate, task: Task) -> Tensor:
    """Return the shares of the classes that a candidate predicts: of the true ones where its loss is corrected, [C]."""
    share = task.class_count.double()
    if candidate.way == CORRECTED:
        assert task.transitions is not None, "else this is no candidate"
        share = shares_of_true_classes(share, task.transitions.matrix)
    return share / share.sum()
