"""LWS: learnable weight scaling of the classifier, after training (Kang et al., "Decoupling Representation and
Classifier for Long-Tailed Recognition", ICLR 2020, section 4.2, equation 4).

The last layer's logits are multiplied by one factor for each class, and only these are trained, on class-balanced
batches. As in the authors' code (`TauNormClassifier.py`) the bias is multiplied too; its second stage has 5 epochs
after 90.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from skedastic.configurable import setting
from skedastic.core.heads import Scaled, find_head, replace_head
from skedastic.core.samplers import ClassBalanced
from skedastic.losses.auto import Auto
from skedastic.methods.bases.card import CLASSIFICATION, LAST_LAYER, Capabilities, Card
from skedastic.methods.bases.method import Stage
from skedastic.methods.bases.one_network import OneNetwork
from skedastic.methods.bases.recipe import Recipe, last_stage, own_name
from skedastic.methods.bases.step import State
from skedastic.methods.bases.task import Task
from skedastic.methods.erm import ERM


@dataclass(frozen=True, kw_only=True)
class LWS(Recipe):
    """Train, and then learn how much each class's logits count."""

    begins: float = setting(0.95, "the fraction of the epochs after which the factors are trained", "(0, 1)")
    lr_scale: float = setting(1.0, "of the factors' learning rate", "(0, inf)")

    card: ClassVar[Card] = Card(
        name="lws",
        title="Learnable weight scaling of the classifier",
        paper="Kang et al., Decoupling Representation and Classifier, ICLR 2020",
        equations="f_c w_c · x, f learned on class-balanced batches (eq. 4)",
        family="two stages",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            takes=(LAST_LAYER,),
        ),
        never_erm="the factors are trained after plain training",
        cost="1 × plain training",
    )

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `first`, shortened, and that of the factors."""
        first = self.shortened(task, self.begins)
        last = last_stage(self.first, task)
        loss = last.loss if isinstance(last, OneNetwork) else Auto()
        return (
            *first,
            Stage(
                name=own_name("factors", first),
                method=ERM(loss=loss, sampler=ClassBalanced()),
                epochs=1 - self.begins,
                reinit=False,
                enter=_with_factors,
                trainable=lambda state: [find_head(state.net, len(task.classes))[2].factor],  # type: ignore[list-item]
                lr_scale=self.lr_scale,
            ),
        )


def _with_factors(state: State, task: Task) -> State:
    replace_head(state.net, len(task.classes), lambda head: Scaled(head, len(task.classes)))
    return state
