"""BBN: one branch for the data as they are, one mostly for rare classes, and a shift from the first to the second.

Source: Zhou, Cui, Wei, Chen, "BBN: Bilateral-Branch Network with Cumulative Learning for Long-Tailed Visual
Recognition", CVPR 2020, equations 1 and 3 and Algorithm 1. The branches share all layers but the last residual block.
With the features f_c of an example of the uniform sampler and f_r of one of the reversed sampler, the logits are z = α
W_c f_c + (1 − α) W_r f_r, the loss is α ℓ(z, y_c) + (1 − α) ℓ(z, y_r), and α = 1 − (T/T_max)² in epoch T. It predicts
with both branches at α = 1/2.

W_c f_c + b is a whole network's output. So the state has two networks whose lower layers are the same modules, and z
is the weighted mean of their outputs, for any network with a last block. The layers of a branch's own (`branch`) may
be chosen.

Compared with github.com/megvii-research/BBN (commit 7992e90), on its ResNet-32: the same loss and gradients, where W_c
and W_r here are twice its halves of one classifier; it multiplies z by 2, in training and so in prediction, and the
paper does not. As there: the two batches are run one after the other, so that BatchNorm normalizes each by itself, and
running statistics of shared layers follow both; the heads have one bias for both; T counts from 0. It takes 100 for
T_max where there are 90 epochs and 200 where there are 180, an exception that is not in the paper, and not here. The
reversed batches repeat a class's examples in turns; there, each is drawn again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.heads import find_head, part
from skedastic.core.samplers import Reversed, Sampler
from skedastic.errors import UserError
from skedastic.methods.bases.card import CLASSIFICATION, LAST_LAYER, MIXED, PERTURBED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import OneNetwork, OneNetworkState
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, Out, Step, accuracy, outputs
from skedastic.methods.bases.task import Task

SECOND = "second"  # the stream of the second branch


def share_of_first(epoch: int, epochs: int) -> float:
    """Return α = 1 − (T/T_max)² (eq. 3): 1 in epoch 0, towards 0 at the end."""
    return float(1 - (epoch / epochs) ** 2)


def share_modules(net: nn.Module, other: nn.Module, own: set[int]) -> None:
    """Give `other`, built as `net` is, the modules and parameters of `net` itself, but for those in `own`.

    own: the `id` of parameters of `net`. A module all of whose parameters are own keeps its buffers.
    """
    for name, module in list(net.named_children()):
        if any(id(p) in own for p in module.parameters()):
            share_modules(module, other.get_submodule(name), own)
        else:
            other.add_module(name, module)
    for name, p in list(net.named_parameters(recurse=False)):
        if id(p) not in own:
            other.register_parameter(name, p)


class Branches(nn.Module):
    """Two networks that share modules; together they give the mean of both outputs."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ...] to logits [B, C] at α = 1/2."""
        mean: Tensor = (self.first(x) + self.second(x)) / 2
        return mean


class BranchesState(OneNetworkState):
    """Both branches as one network, and the constants of the classes in their loss."""

    net: Branches

    def of_examples(self) -> Iterator[nn.Module]:
        """Yield the branches, which training runs one by one."""
        yield from (self.net.first, self.net.second)


class BranchOutputs(NamedTuple):
    """The results of the branches on their batches."""

    first: Tensor  # [B, C], of the first branch's examples
    second: Tensor  # [B, C], of the second's
    y: Tensor  # [B], the labels of the second's examples


@dataclass(frozen=True, kw_only=True)
class BBN(OneNetwork[BranchesState]):
    """Train two branches, and move from the first one's batches to the second one's."""

    second_sampler: Sampler = setting(
        factory=Reversed, meaning="of the second branch: reversed, or class-balanced, which the authors compare"
    )
    branch: str = setting(
        "last-block",
        "the part that each branch has for itself, always with the head: last-block, head, all, or patterns of names",
    )

    card: ClassVar[Card] = Card(
        name="bbn",
        title="Two branches, on uniform and on reversed batches",
        paper="Zhou et al., BBN: Bilateral-Branch Network with Cumulative Learning for Long-Tailed Visual "
        "Recognition, CVPR 2020",
        equations="α ℓ(z, y_c) + (1 − α) ℓ(z, y_r), z = α W_c f_c + (1 − α) W_r f_r, α = 1 − (T/T_max)² (eq. 1 and 3)",
        family="long tail",
        capabilities=Capabilities(
            tasks=CLASSIFICATION,
            takes=(LAST_LAYER,),
            incompatible_with={
                PERTURBED: "its step draws a second batch, which would not be there at other weights",
                MIXED: "its step draws a second batch, which would not be mixed",
            },
        ),
        never_erm="half of its prediction comes from the second branch",
        cost="2.0 × the step of plain training on ResNet-32 (two cores), and in prediction 2 × its forward",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.branch.strip():
            rule = "must name a part of the network: last-block, head, all, or patterns"
            raise UserError(rule, setting=self.place("branch"), value=self.branch)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the method and of all of its parts."""
        return super().capabilities & Capabilities(tasks=self.second_sampler.supports)

    def streams(self, task: Task) -> dict[str, Sampler]:
        """Return the samplers of both branches."""
        return {**super().streams(task), SECOND: self.second_sampler}

    def init(self, task: Task, make_net: MakeNet) -> BranchesState:
        """Return two fresh branches. Raises UserError where the network has no such part."""
        first = self.network(task, make_net)
        second = self.network(task, make_net)
        if any(p is q for p, q in zip(first.parameters(), second.parameters(), strict=False)):
            second = copy.deepcopy(first)  # a network that there is only one of: both branches begin with it
        wanted = self.outputs_for(task)
        share_modules(first, second, self._own(first, wanted))
        heads = find_head(first, wanted)[2], find_head(second, wanted)[2]
        bias = getattr(heads[0], "bias", None)
        if isinstance(bias, nn.Parameter):
            heads[1].register_parameter("bias", bias)
        return BranchesState(Branches(first, second), self.class_constants(task))

    def _own(self, net: nn.Module, wanted: int) -> set[int]:
        try:
            chosen = part(net, wanted, self.branch)
        except UserError as error:
            rule = f"the network can't be parted so ({error}); branch=head parts the last layer alone"
            raise UserError(rule, setting=self.place("branch"), value=self.branch) from None
        return {id(p) for p in (*chosen, *part(net, wanted, "head"))}

    def forward(self, state: BranchesState, batch: Batch) -> Out:
        """Run both branches on one batch; `extra` is a `BranchOutputs`."""
        return self._forward(state, batch.x, batch.x, batch.y)

    def _forward(self, state: BranchesState, x: Tensor, other: Tensor, y: Tensor) -> Out:
        both = BranchOutputs(outputs(state.net.first(x)), outputs(state.net.second(other)), y)
        return Out((both.first + both.second) / 2, both)

    def objective(self, step: Step[BranchesState]) -> Objective:
        """Return the mean of α ℓ(z, y_c) + (1 − α) ℓ(z, y_r)."""
        clock, out = step.clock, step.out
        alpha = share_of_first(clock.epoch, clock.epochs)
        z = alpha * out.extra.first + (1 - alpha) * out.extra.second
        parts = [
            (share, y, self.losses(step.state, z, y)) for share, y in ((alpha, step.batch.y), (1 - alpha, out.extra.y))
        ]
        total: Any = sum(
            share * self.with_weight(losses, self.class_weight(step.state, y, clock), z, y).mean()
            for share, y, losses in parts
        )
        seen: Any = sum(share * losses.detach() for share, _, losses in parts)
        return Objective(total, seen, {"share_of_first": torch.tensor(alpha)})

    def step(self, state: BranchesState, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Draw the second branch's batch, and step by both."""
        other = engine.draw(SECOND)
        rows = torch.arange(len(batch.y), device=batch.y.device) % len(other.y)  # as many as the first branch's
        out = self._forward(state, batch.x, other.x[rows], other.y[rows])
        objective = self.objective(Step(state, batch, out, clock))
        engine.update("main", objective.total)
        return {"loss": objective.per_example, **accuracy(out.extra.first, batch.y), **objective.logs}

    def notes(self, rows: Sequence[Mapping[str, Any]], batch_size: int) -> tuple[str, ...]:
        """Say so where there was no epoch for the second branch."""
        if len(rows) != 1:
            return ()
        return (
            "bbn: in the first epoch only the first branch is trained, and there was no other; give it more epochs.",
        )
