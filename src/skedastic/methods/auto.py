"""Auto: the way of training that does best on labels not seen, of plain training and two kinds of HAR.

Ours. Each way is trained on halves of the rows and predicts the other half; every label is then compared under every
way, example by example (`skedastic.core.choice`). The ways are plain training; HAR at strength 1, which shrinks noisy
and rare groups; and HAR at strength 1 on the loss that is corrected by how labels go wrong, which alone undoes labels
that go one way (`skedastic.losses.corrected`). The best in the mean over groups is taken, if it is better than plain
training and gives no class up, by the halves or by the network of all rows on its own rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from skedastic.configurable import setting
from skedastic.core.choice import Trial
from skedastic.losses.corrected import Corrected
from skedastic.methods.bases.card import CLASSIFICATION, GROUP_STATS, Capabilities, Card
from skedastic.methods.bases.held_out import (
    LEAST_ROWS,
    every_row,
    gave_up_in_the_end,
    held_against,
    trial_stages,
    was_tried,
)
from skedastic.methods.bases.method import MakeNet, Method, Stage
from skedastic.methods.bases.one_network import OneNetwork, OneNetworkState
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR

PLAIN, STRONG, CORRECTED = "plain", "har", "har, corrected"
NONE_BETTER = (
    "auto trained plainly: on labels that the networks had not seen, no other way was better, or those that were gave "
    "a class up."
)
NOT_TRIED = f"auto trained plainly: other ways can't be tried on fewer than {LEAST_ROWS} rows."


@dataclass(frozen=True, kw_only=True)
class Auto(OneNetwork[OneNetworkState]):
    """Try plain training, HAR, and HAR on the corrected loss on halves; train the best on everything."""

    strength: float = setting(1.0, "the strength of HAR that is tried", "(0, inf)")

    card: ClassVar[Card] = Card(
        name="auto",
        title="Plain training, HAR, or HAR on the corrected loss, by labels not seen",
        paper="ours; HAR of Cao et al., ICLR 2021, corrected as Patrini et al., CVPR 2017",
        equations="the largest mean over groups of right held-out predictions, above that of plain training",
        family="regularization",
        capabilities=Capabilities(tasks=CLASSIFICATION, needs=frozenset({GROUP_STATS})),
        never_erm="it chooses; where it takes plain training, it is that to the bit",
        cost="about 7 × plain training: three ways on halves, and the best on everything; and the estimate",
    )

    def ways(self, task: Task) -> Mapping[str, Method]:
        """Return the ways of training by name, plain training first.

        The corrected loss is left out where nothing is known of how labels go wrong, or another loss was asked for.
        """
        axes = {name: getattr(self, name) for name in ("class_weights", "sampler", "head")}
        ways: dict[str, Method] = {
            PLAIN: ERM(loss=self.loss, **axes),
            STRONG: HAR(strength=self.strength, loss=self.loss, **axes),
        }
        if task.transitions is not None and self.fits_cross_entropy:
            ways[CORRECTED] = HAR(strength=self.strength, loss=Corrected(), **axes)
        return ways

    def init(self, task: Task, make_net: MakeNet) -> OneNetworkState:
        """Return a fresh state of HAR, which needs the estimate of each group."""
        state: OneNetworkState = self.ways(task)[STRONG].init(task, make_net)
        return state

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the trials, and the training of the way that is best."""
        ways = self.ways(task)
        if int(task.class_count.sum()) < LEAST_ROWS:  # a run that is loaded has no rows, and their count
            return (Stage(name=PLAIN, method=ways[PLAIN], note=NOT_TRIED),)
        trials = [stage for name, way in ways.items() for stage in trial_stages(name, way)]
        others = [name for name in ways if name != PLAIN]
        return (
            *trials,
            *(
                Stage(
                    name=_of_all(name),
                    method=ways[name],
                    chosen=partial(_is_best, name=name, others=others),
                    predicts=every_row,
                )
                for name in others
            ),
            Stage(name=PLAIN, method=ways[PLAIN], chosen=partial(_is_plain, others=others), note=NONE_BETTER),
        )

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """Return how each way did against plain training."""
        others = [name for name in self.ways(task) if name != PLAIN and was_tried(name, task)]
        best, found = _best(task, others), []
        for name in others:
            gain, gives_up = held_against(name, PLAIN, task)
            in_the_end = name == best and gave_up_in_the_end(_of_all(name), task)
            chosen = name == best and not in_the_end
            found.append(Trial(_shown(name, self.strength), "plain training", gain, gives_up or in_the_end, chosen))
        return tuple(found)


def _shown(name: str, strength: float) -> str:
    return f"HAR at {strength:g}{', loss=corrected' * (name == CORRECTED)}"


def _of_all(name: str) -> str:
    return f"{name}, all rows"


def _best(task: Task, others: list[str]) -> str | None:
    """Return the way that is right most often, if it is so more often than plain training and gives no class up."""
    found = {name: held_against(name, PLAIN, task) for name in others}
    better = {name: gain.mean for name, (gain, gives_up) in found.items() if gain.mean > 0 and not gives_up}
    return max(better, key=better.__getitem__) if better else None


def _is_best(task: Task, name: str, others: list[str]) -> bool:
    return _best(task, others) == name


def _is_plain(task: Task, others: list[str]) -> bool:
    """Return whether no way is better, or the best gave a class up in the end."""
    best = _best(task, others)
    return best is None or gave_up_in_the_end(_of_all(best), task)
