"""τ-normalization of the classifier, after training (Kang et al., "Decoupling Representation and Classifier for
Long-Tailed Recognition", ICLR 2020, section 4.2, equation 3).

The weights of frequent classes have larger norms; dividing each class's by its norm to the power τ takes that back.
Nothing is trained. The paper's equation has no bias, and its code leaves it out; `bias=keep` keeps it. τ = 0 changes
nothing, 1 makes all norms 1; the paper chooses it on validation data, mostly near 0.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from skedastic.configurable import setting
from skedastic.core.heads import find_head, normalize_head
from skedastic.methods.bases.card import CLASSIFICATION, LAST_LAYER, Capabilities, Card
from skedastic.methods.bases.method import Stage
from skedastic.methods.bases.recipe import Recipe, last_stage, own_name
from skedastic.methods.bases.step import State
from skedastic.methods.bases.task import Task

Bias = Literal["drop", "keep"]


@dataclass(frozen=True, kw_only=True)
class TauNorm(Recipe):
    """Train, and then divide each class's weights by a power of their norm."""

    tau: float = setting(0.7, "τ; 0 changes nothing, 0.7 is usual, 1 gives all classes the same norm", "[0, 10]")
    bias: Bias = setting("drop", "drop (the paper's) or keep the last layer's bias")

    card: ClassVar[Card] = Card(
        name="tau-norm",
        title="τ-normalization of the classifier",
        paper="Kang et al., Decoupling Representation and Classifier, ICLR 2020",
        equations="w_c / ‖w_c‖^τ (eq. 3)",
        family="two stages",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            takes=(LAST_LAYER,),
        ),
        reduces_to_erm=({"tau": 0.0, "bias": "keep"},),
        cost="1 × plain training",
    )

    def stages(self, task: Task) -> tuple[Stage, ...]:
        """Return the stages of `first`, and one that trains nothing."""
        first = self.first.stages(task)
        normalize = Stage(
            name=own_name("normalize", first),
            method=last_stage(self.first, task),
            passes=0,
            reinit=False,
            enter=self._normalized,
        )
        return (*first, normalize)

    def _normalized(self, state: State, task: Task) -> State:
        normalize_head(find_head(state.net, len(task.classes))[2], self.tau, bias=self.bias == "keep")
        return state
