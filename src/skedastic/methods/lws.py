"""LWS: learnable weight scaling of the classifier, after training (Kang et al., "Decoupling Representation and Classifier for
Long-Tailed Recognition", ICLR 2020, section 4.2, equation 4).

The last layer's logits are multiplied by one factor for each class, and only these are trained, on class-balanced batches. As
in the authors' code (`TauNormClassifier.py`) the bias is multiplied too; its second stage has 5 epochs after 90.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from skedastic.core.heads import Scaled, find_head, replace_head
from skedastic.core.samplers import ClassBalanced
from skedastic.losses.auto import Auto
from skedastic.methods.bases.method import LAST_LAYER, Card, Stage, State, Task
from skedastic.methods.bases.one_network import OneNetwork
from skedastic.methods.bases.recipe import Recipe, check_second, last_stage, own_name
from skedastic.methods.erm import ERM


@dataclass(frozen=True, kw_only=True)
class LWS(Recipe):
    """Train, and then learn how much each class's logits count."""

    begins: float = 0.95
    lr_scale: float = 1.0

    card: ClassVar[Card] = Card(
        name="lws",
        title="Learnable weight scaling of the classifier",
        paper="Kang et al., Decoupling Representation and Classifier, ICLR 2020",
        equations="f_c w_c · x, f learned on class-balanced batches (eq. 4)",
        family="two stages",
        requires=(LAST_LAYER,),
        never_erm="the factors are trained after plain training",
        parameters={
            "first": "the method that trains the network, such as erm or absgd(lam=5)",
            "begins": "the fraction of the epochs after which the factors are trained, in (0, 1)",
            "lr_scale": "of the factors' learning rate, > 0",
        },
        cost="1 × plain training",
    )

    def __post_init__(self) -> None:
        check_second("LWS", self.begins, self.lr_scale)

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
