"""Auto: the way of training that does best on labels not seen, of networks and other models, balanced or not.

Ours. Each way is trained on halves of the rows and predicts the other half; every label is then compared under every
way, example by example (`skedastic.core.criteria`). The ways are mixup; plain training; HAR, which shrinks noisy and
rare groups; HAR on the loss that is corrected by how labels go wrong, which alone undoes labels that go one way
(`skedastic.losses.corrected`); and two linear models, and boosted trees of 31 and of 8 leaves, which cost little, and
are better than networks where rows are few or labels follow sharp rules. Images, whose trials take long, have plain
training and HAR. Each way predicts thrice: as it is, and with the shares of the classes half and wholly made up for
(Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021), which costs no training.

With low effort no network but the base is trained. With high effort all ways are tried on all rows, and the base on
quarters too, for a learning curve. A network that is taken may be the mean of several (`skedastic.methods.ensemble`).

All are held against mixup, half balanced: on tables and texts that helps the rare classes, and costs the frequent ones
nothing, more safely than any other fixed way; where there are ids of categories, which can't be mixed, against HAR; of
images against plain training. What is fitted at once is tried first, so that a first model is there soon. Where it is
better than the base on the first half by two standard errors no other network is tried; large trees are not tried
further where linear models are better, nor small trees where large ones are worse than the base. Where few labels are
wrong by estimate, neither HAR beside mixup nor the corrected loss is tried; where many are, the corrected loss is if
they go one way, and their way explains labels that it was not fitted to, and else, on columns, HAR. A way of networks
that is not better by half a standard error on the first half, or worse by one than the best there, is not tried on the
second. Another way is taken if it is better by a standard error, on the corrected loss by two, since these labels have
told how they go wrong; and if it gives no class up, or takes up twice as many that the base gives up, by the halves and
by the network of all rows on its own rows. That network learns by the adjusted loss, and is not taken either if it is
right less often on its own rows than its kind was on rows not seen: then its training went wrong.

A way whose training fails is left out. Where training is cut short, the best of the ways that were tried is taken; they
are held against the first of them where the base was not reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from skedastic.configurable import setting
from skedastic.core.choice import LEAST_SHARE, Best, Gain, Trial, paired_gain
from skedastic.core.criteria import Balanced, Criterion
from skedastic.core.heads import AutoHead
from skedastic.core.learning_curve import Rise, rises
from skedastic.core.samplers import Shuffle
from skedastic.core.transitions import shares_of_true_classes
from skedastic.losses.corrected import Corrected
from skedastic.losses.logit_adjusted import LogitAdjusted
from skedastic.methods.bases.card import CLASSIFICATION, GROUP_STATS, Capabilities, Card
from skedastic.methods.bases.held_out import (
    LEAST_ROWS,
    can_be_quartered,
    every_row,
    held_out,
    quarter_of_half,
    trial_stages,
    was_begun,
    was_tried,
    why_failed,
)
from skedastic.methods.bases.method import MakeNet, Method, Stage
from skedastic.methods.bases.one_network import OneNetwork, OneNetworkState
from skedastic.methods.bases.standing import Candidate, Standing
from skedastic.methods.bases.step import State
from skedastic.methods.bases.task import Task
from skedastic.methods.ensemble import Ensemble
from skedastic.methods.erm import ERM
from skedastic.methods.fitted_ways import (
    CUT_SHORT,
    FITTED,
    L2,
    LARGE,
    TREES,
    WITHOUT_TEXTS,
    quick_ways,
    trees_are_quick,
)
from skedastic.methods.fitted_ways import NAMES as FITTED_NAMES
from skedastic.methods.har import HAR
from skedastic.methods.linear import Linear
from skedastic.methods.mixup import Mixup
from skedastic.methods.post_hoc import PostHoc

Effort = Literal["low", "normal", "high"]
PLAIN, STRONG, CORRECTED, MIXTURES = "plain", "har", "har, corrected", "mixup"
TAUS = (0.0, 0.5, 1.0)  # how much the shares of the classes are made up for
BEST = "best"  # what is handed on of the choice
NAMES = {PLAIN: "plain training", MIXTURES: "mixup", **FITTED_NAMES}
# standard errors
HOPELESS = 1.0  # by which trees are worse there than linear models, or than the base, where no more are tried
OUTDONE = 2.0  # by which a model that is fitted at once is better than the base there, where no other network is tried
LEAST_WRONG = 0.1  # of the labels, for HAR beside mixup, and for the corrected loss, to be tried
LEAST_OF_ONE = 0.2  # of the labels of one true class, where that is clear; or so
ONE_WAY = 0.5  # of the wrong labels go one way, above which the corrected loss is tried, and else HAR
IMAGE_EPOCHS, LEAST_EPOCHS = 1 / 2, 1 / 3  # of a trial on images, which take long, and on many of them
MANY_IMAGES = 10_000  # above which trials are shorter
MOST_CLASSES = 20  # above which trees predict slowly
MANY_CLASSES = (
    f"auto tried no boosted trees: they predict slowly with more than {MOST_CLASSES} classes; --method trees has them."
)
LARGE_WORSE, LARGE_FAILED = "large trees are worse on half of the rows", "large trees failed"
FEW_WRONG = "fewer than 10 % of the labels are wrong by estimate"
UNCLEAR = "the estimate of how labels go wrong does not explain labels held out from it better than none"
EXCHANGED = "by estimate wrong labels are exchanged, and go no one way"
GO_ONE_WAY = "by estimate wrong labels go one way, for which the corrected loss is tried"
OUTDONE_BY = "a linear model or trees are better by two standard errors on half of the rows"
NOT_TRIED = (
    f"auto took {{base}}: fewer than {LEAST_ROWS} training rows are too few to try other ways on halves of them."
)
NO_OTHER = "auto took {base}: its settings leave no other way to try."


@dataclass(frozen=True, kw_only=True)
class Auto(OneNetwork[OneNetworkState]):
    """Try mixup, plain training, HAR, linear models and trees on halves of the rows; train the best on all."""

    strength: float = setting(0.3, "the strength of HAR that is tried", "(0, inf)")
    trees: bool = setting(True, "whether boosted trees and linear models are tried beside networks, where rows suit")
    mixup: bool = setting(True, "whether mixup is tried, where rows suit")
    effort: Effort = setting(
        "normal",
        "low trains no other networks than the base's; high tries all ways on all rows, and the base on quarters "
        "too, to see what more rows bring",
    )
    members: int = setting(1, "networks of which the mean is taken, where one is chosen", "[1, 100]")
    optimize: Criterion = setting(
        Balanced(),
        "criterion of the choice: balanced, the mean of the groups' accuracies; worst, that of the worst group; "
        "accuracy of all rows; macro-f1; auc, the area under the ROC curve; or cost; of numbers rmse or mae",
    )

    card: ClassVar[Card] = Card(
        name="auto",
        title="Mixup, plain training, HAR, trees or a linear model, by labels not seen",
        paper="ours; mixup of Zhang et al., ICLR 2018; HAR of Cao et al., ICLR 2021, corrected as Patrini et al., CVPR "
        "2017; balanced as Menon et al., ICLR 2021",
        equations="the largest criterion of held-out predictions, such as their mean accuracy over groups, if a "
        "standard error above that of mixup, half balanced",
        family="regularization",
        capabilities=Capabilities(tasks=CLASSIFICATION, needs=frozenset({GROUP_STATS})),
        never_erm="it chooses; where it takes plain training, balanced or not, it is that to the bit",
        cost="about 6 × plain training: the estimate, the ways on halves, and the best on everything",
    )

    def shown(self, candidate: Candidate) -> str:
        """Return the name of a candidate for the user."""
        corrected = ", loss=corrected" * (candidate.way == CORRECTED)
        name = NAMES.get(candidate.way, f"HAR at {self.strength:g}{corrected}")
        shifted = self.optimize.shifted
        return {0.0: "", 0.5: f"half-{shifted} ", 1.0: f"{shifted} "}[candidate.tau] + name

    def of_networks(self) -> Auto:
        """Return it without trees, linear models, and what few methods can go around: mixup, and several networks."""
        return replace(self, trees=False, mixup=False, members=1)

    def final(self, candidate: Candidate, task: Task) -> Method:
        """Return the method that trains a candidate on all rows, where it is taken; arguments as of `method`."""
        method = self.method(candidate, task)
        several = self.members > 1 and candidate.way not in FITTED
        return Ensemble(base=method, members=self.members) if several else method

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
        if way in TREES:
            return replace(TREES[way], tau=tau, target=target)
        if way in L2:
            return Linear(l2=L2[way], tau=tau, target=target)
        axes = {name: getattr(self, name) for name in ("class_weights", "sampler", "head")}
        if way == CORRECTED:
            return HAR(strength=self.strength, loss=Corrected(tau=tau, target=target), **axes)
        if way == MIXTURES:  # its labels are soft
            mixup = Mixup(base=ERM(loss=self.loss, **axes))
            return PostHoc(base=mixup, tau=tau, target=target) if tau else mixup
        loss = LogitAdjusted(tau=tau, target=target) if tau else self.loss
        return HAR(strength=self.strength, loss=loss, **axes) if way == STRONG else ERM(loss=loss, **axes)

    def ways(self, task: Task) -> Mapping[str, Method]:
        """Return the ways of training that are tried by name, what all are held against first.

        The corrected loss is left out where nothing is known of how labels go wrong, or another loss was asked for;
        mixup where examples are no columns of numbers; and models that are no networks where examples are no columns or
        too many, or something was asked for that they have not.
        """
        known = task.transitions is not None and self.fits_cross_entropy
        mixes = self.mixup and task.columns and not task.ids and self.fits_cross_entropy
        names = [MIXTURES] * mixes + ([STRONG, PLAIN] if task.columns and not mixes else [PLAIN, STRONG])
        names = names[:1] if self.effort == "low" else names + [CORRECTED] * known
        return {name: self.method(Candidate(name, 0.0), task) for name in names + self._fitted(task)}

    @property
    def tries_all(self) -> bool:
        """Whether each way is tried on all rows, whatever the first half tells."""
        return self.effort == "high"

    def _fitted(self, task: Task) -> list[str]:
        """Return the models that are no networks and are tried: rows and classes suit, nothing else is asked for."""
        if not (self.trees and task.columns and self.balances and isinstance(self.head, AutoHead)):
            return []
        return quick_ways(task, _rows(task), trees=len(task.classes) <= MOST_CLASSES)

    def _target(self, candidate: Candidate, task: Task) -> tuple[float, ...]:
        """Return the shares of the classes that the criterion counts them by; empty where they are all alike."""
        target = self.optimize.target(_share(candidate, task), task.classes)
        return () if bool((target == target[0]).all()) else tuple(target.clamp_min(LEAST_SHARE).tolist())

    @property
    def balances(self) -> bool:
        """Whether shares of classes are made up for: not where the loss, weights or the sampler say otherwise."""
        return self.fits_cross_entropy and self.class_weights is None and self.sampler == Shuffle()

    def base(self, task: Task) -> Candidate:
        """Return what all are held against: the first of the ways, half balanced where the mean over classes counts.

        It is plain training where rows are too few to try anything.
        """
        by_classes = not self.optimize.of_groups or task.groups == task.classes
        way = next(iter(self.ways(task))) if _rows(task) >= LEAST_ROWS else PLAIN
        return Candidate(way, self.optimize.tau if self.balances and by_classes else 0.0)

    def candidates(self, task: Task) -> tuple[Candidate, ...]:
        """Return the ways as they are, half balanced and balanced."""
        taus = TAUS if self.balances else (0.0,)
        return tuple(Candidate(way, tau) for way in self.ways(task) for tau in taus)

    def _chooses(self, task: Task) -> bool:
        """Return whether there is a choice, and rows enough to try it on."""
        return _rows(task) >= LEAST_ROWS and len(self.candidates(task)) > 1

    def init(self, task: Task, make_net: MakeNet) -> OneNetworkState:
        """Return a fresh state of HAR, which needs the estimate of each group."""
        state: OneNetworkState = self.method(Candidate(STRONG, 0.0), task).init(task, make_net)
        return state

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the trials, and the training of the candidate that is best."""
        self.optimize.target(task.class_count.double(), task.classes)  # refuses classes that it does not know
        base = self.base(task)
        if not self._chooses(task):
            note = NOT_TRIED if _rows(task) < LEAST_ROWS else NO_OTHER
            return (Stage(name=base.name, method=self.final(base, task), note=note.format(base=self.shown(base))),)
        finals = [
            Stage(
                name=candidate.name,
                method=(method := self.final(candidate, task)),
                passes=method.passes,
                chosen=partial(self._is_best, candidate=candidate),
                predicts=every_row,
                spared=self.shown(candidate),
            )
            for candidate in self.candidates(task)
            if candidate != base
        ]
        last = Stage(name=base.name, method=self.final(base, task), chosen=self._is_base)
        return (*self._trial_stages(task), *finals, last)

    def _trial_stages(self, task: Task) -> list[Stage]:
        """Return the trials: what is quick, first halves, second ones of the ways that are ahead, the base's last.

        Linear models and large trees come first, so that there is a first model soon.
        """
        epochs = _trial_epochs(task)
        early, first, second, ways = list[Stage](), list[Stage](), list[Stage](), self.ways(task)
        base, *others = ways
        begins, ends = (replace(s, optional=True) for s in trial_stages(base, ways[base], epochs))
        for way in sorted(others, key=lambda way: way not in FITTED):
            spared = self.shown(Candidate(way, 0.0))
            one, two = (replace(s, optional=True, spared=spared) for s in trial_stages(way, ways[way], epochs))
            if way in L2:
                early += (one, replace(two, chosen=partial(was_begun, way)))
            elif way == LARGE:
                early += (one, replace(two, chosen=self._are_close_to_linear))
            else:
                first.append(replace(one, chosen=partial(self._is_hopeful, way=way)))
                second.append(replace(two, chosen=partial(self._is_ahead, way=way)))
        fitted = any(way in FITTED for way in others)
        if fitted and len(task.classes) > MOST_CLASSES and trees_are_quick(task, _rows(task)):
            begins = replace(begins, note=MANY_CLASSES)
        last = replace(ends, after=self._decide, without=partial(self._decide, None))
        quarters = trial_stages(_quartered(base), ways[base], epochs, quarter_of_half) if self.tries_all else ()
        curve = [replace(s, chosen=can_be_quartered, optional=True, spared="the learning curve") for s in quarters]
        return [*early, begins, *first, *second, last, *curve]

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """Return how each way did against what all are held against, balanced as was best for it."""
        if not self._chooses(task):
            return ()
        standing, best, found = self.standing(task), self._best(task), list[Trial]()
        other = standing.against
        for way in self.ways(task):
            half = was_begun(way, task) and not was_tried(way, task)
            own = standing.compared(way, other, half=half)
            if not own or why_failed(way, task) or (half and self._goes_on(task, way)):
                found += self._left_out(task, way, other)
                continue
            candidate = best if best in own else max(own, key=lambda c: (not own[c].gives_up, own[c].gain.mean))
            went_wrong, gave_up = self._in_the_end(task, best) if candidate == best else (False, False)
            found.append(
                Trial(
                    name=self.shown(candidate),
                    other=self.shown(other),
                    gain=own[candidate].gain,
                    gives_up=own[candidate].gives_up or gave_up,
                    chosen=candidate == best and not went_wrong and not gave_up,
                    criterion=self.optimize.told,
                    went_wrong=went_wrong,
                    half=half,
                    stage=candidate.name,
                    accuracy=own[candidate].accuracy,
                )
            )
        return tuple(found)

    def _left_out(self, task: Task, way: str, other: Candidate) -> list[Trial]:
        """Return the trial of a way that failed or was not tried, with the reason; none of others."""
        reason = why_failed(way, task) or self._why_not_tried(task, way)
        name, criterion = self.shown(Candidate(way, 0.0)), self.optimize.told
        trial = Trial(name, self.shown(other), Gain(0.0, 0.0), False, False, criterion, stage=way, left_out=reason)
        return [trial] * bool(reason)

    def _why_not_tried(self, task: Task, way: str) -> str:
        """Return why a way was not tried; nothing of one that was."""
        if was_tried(way, task):
            return ""
        if was_begun(way, task) or not was_begun(self.base(task).way, task) or self._is_hopeful(task, way):
            return CUT_SHORT
        if way in FITTED:
            return LARGE_WORSE if was_begun(LARGE, task) else LARGE_FAILED
        return self._why_hopeless(task, way) or OUTDONE_BY

    def _why_hopeless(self, task: Task, way: str) -> str:
        """Return why a way is worth no trial, by how labels go wrong; nothing where it is.

        The corrected loss undoes labels that go one way, where that is known; HAR allows for others.
        """
        mixes = MIXTURES in self.ways(task)
        if task.transitions is None or not (way == CORRECTED or (way == STRONG and mixes)):
            return ""
        of_one = task.transitions.clear and float(1 - task.transitions.matrix.diagonal().min()) >= LEAST_OF_ONE
        if task.transitions.wrong(task.class_count) < LEAST_WRONG and not of_one:
            return FEW_WRONG
        exchanged = mixes and task.transitions.one_way(task.class_count) <= ONE_WAY
        unclear = UNCLEAR if task.transitions.gain.mean <= 0 else EXCHANGED if exchanged else ""
        return unclear if way == CORRECTED else "" if unclear else GO_ONE_WAY

    def so_far(self, task: Task) -> Best | None:
        """Return the best way so far; None before one was tried on all rows."""
        standing, best = self.standing(task), self._best(task)
        if not was_tried(best.way, task):
            return None
        other, value = standing.against, standing.value(best)
        name, criterion = self.shown(best), self.optimize.told
        if best == other:
            return Best(name, value, criterion, None)
        found = standing.compared(best.way, other)[best]
        return Best(name, value, criterion, Trial(name, self.shown(other), found.gain, False, True, criterion))

    def held_out(self, task: Task) -> Tensor | None:
        """Return those of the way that was taken, where it was tried on all rows, and trained in the end as then."""
        if not self._chooses(task) or _trial_epochs(task) < 1:
            return None
        best = self._best(task)
        taken = self.base(task) if any(self._in_the_end(task, best)) else best
        if self.members > 1 and taken.way not in FITTED:
            return None
        return self.standing(task).scores(taken)[1].softmax(1).float() if was_tried(taken.way, task) else None

    def rises(self, task: Task) -> tuple[Rise, ...]:
        """Return how much the base's accuracy rose from a quarter of the rows to a half, where all ways are tried."""
        base = self.base(task)
        ways = (base.way, _quartered(base.way))
        if not all(was_tried(way, task) for way in ways):
            return ()
        many, few = (self.standing(task).made_up_for(base, held_out(way, task)).argmax(1) == task.y for way in ways)
        return rises(many, few, task.group, task.unit, task.groups, self.shown(base))

    def predictor(self, trials: Sequence[Trial]) -> str:
        """Return that of trees or of a linear model, where they were chosen, or all that was tried was held to them."""
        taken = next((trial for trial in trials if trial.chosen), None)
        candidates = [Candidate(way, tau) for way in FITTED for tau in TAUS]
        others = {trial.other for trial in trials} if taken is None else ()
        named = (c.way for c in candidates if self.shown(c) in others or (taken and _is_named(c, taken, self)))
        way = next(named, "")
        if not way:
            return ""
        return (Linear() if way in L2 else TREES[way]).predictor(trials)

    def standing(self, task: Task) -> Standing:
        """Return how the ways that were tried so far compare; arguments as of `so_far`."""
        return Standing(task, self.optimize, self.base(task), self.candidates(task), partial(_share, task=task))

    def _is_hopeful(self, task: Task, way: str) -> bool:
        """Return whether a way is to be tried at all, by the first halves of others.

        Small trees are not where large ones are worse than the base; no network is where a model that is fitted at once
        is surely better than the base's network; HAR and the corrected loss are not where labels go wrong otherwise.
        """
        if way in (*L2, WITHOUT_TEXTS) or self.tries_all:
            return True
        if self._why_hopeless(task, way):
            return False
        if way in FITTED:
            return self.standing(task).errors(LARGE) > -HOPELESS
        return max(self.standing(task).errors(other) for other in FITTED) < OUTDONE

    def _goes_on(self, task: Task, way: str) -> bool:
        """Return whether a way that was tried on the first half is to be tried on the second."""
        if self.tries_all:
            return True
        if way == LARGE:
            return self._are_close_to_linear(task)
        return way in L2 or not was_begun(self.base(task).way, task) or self._is_ahead(task, way)

    def _are_close_to_linear(self, task: Task) -> bool:
        """Return whether large trees are not worse than linear models by a standard error on the first half."""
        if self.tries_all:
            return was_begun(LARGE, task)
        tau = self.base(task).tau
        begun = [Candidate(way, tau) for way in L2 if was_begun(way, task)]
        return was_begun(LARGE, task) and all(self.standing(task).errors(LARGE, linear) > -HOPELESS for linear in begun)

    def _is_ahead(self, task: Task, way: str) -> bool:
        """Return whether a way is to be tried on the second half: it is ahead on the first, or all are."""
        return was_begun(way, task) if self.tries_all else self.standing(task).is_ahead(way)

    def _decide(self, state: State | None, task: Task) -> Task:
        """Hand on the best candidate's place, so that it is found once."""
        best = torch.tensor(self.candidates(task).index(self._best(task)))
        return replace(task, handed_on={**task.handed_on, BEST: best})

    def _best(self, task: Task) -> Candidate:
        """Return the candidate that is best, if it is safely better, and gives no class up; else what it is held to."""
        if BEST in task.handed_on:
            return self.candidates(task)[int(task.handed_on[BEST])]
        return self.standing(task).best(doubted=(CORRECTED,))

    def _in_the_end(self, task: Task, candidate: Candidate) -> tuple[bool, bool]:
        """Return whether the training of all rows went wrong, and whether a class is given up that the base held on to.

        It went wrong if it failed, or is right on its own rows less often, by two standard errors, than its kind was on
        rows not seen. Where the base was not tried, there is nothing to fall back on.
        """
        if candidate.name in task.failed:
            return True, False
        standing = self.standing(task)
        if candidate == standing.base or standing.against != standing.base:
            return False, False
        own, unseen = task.handed_on[candidate.name].argmax(1), standing.scores(candidate)[1].argmax(1)
        learned = paired_gain(own == task.y, unseen == task.y, torch.zeros_like(task.group), task.unit)
        return learned.mean < -2 * learned.error, standing.gives_up(own, standing.base)

    def _is_best(self, task: Task, candidate: Candidate) -> bool:
        return was_tried(candidate.way, task) and self._best(task) == candidate

    def _is_base(self, task: Task) -> bool:
        """Return whether no candidate is better, or the best gave a class up in the end."""
        best = self._best(task)
        return best == self.base(task) or any(self._in_the_end(task, best))


def _is_named(candidate: Candidate, trial: Trial, auto: Auto) -> bool:
    """Return whether a trial is of this candidate; those of older runs have no stage."""
    return candidate.name == trial.stage if trial.stage else auto.shown(candidate) == trial.name


def _quartered(way: str) -> str:
    """Return the name of a way whose trials are on quarters of the rows, and predict the halves that its halves do."""
    return f"{way} on quarters"


def _trial_epochs(task: Task) -> float:
    """Return the epochs of a trial, as a fraction of those of the training of all rows.

    Of columns it is all: models that are fitted at once are trained whole, and would win against a shortened network.
    """
    return 1.0 if task.columns else min(IMAGE_EPOCHS, max(LEAST_EPOCHS, MANY_IMAGES / _rows(task)))


def _rows(task: Task) -> int:
    """Return how many rows there are; the task of a run has none any more, and their count."""
    return int(task.class_count.sum())


def _share(candidate: Candidate, task: Task) -> Tensor:
    """Return the shares of the classes that a candidate predicts: of the true ones where its loss is corrected, [C]."""
    share = task.class_count.double()
    if candidate.way == CORRECTED:
        assert task.transitions is not None, "else this is no candidate"
        share = shares_of_true_classes(share, task.transitions.matrix)
    return share / share.sum()
