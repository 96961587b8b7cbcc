"""RECOVER: F_λ by variance-reduced estimates of both g and its gradient.

Source: Qi, Guo, Xu, Jin, Yang, "An Online Method for A Class of Distributionally Robust Optimization with Non-Convex
Objectives", NeurIPS 2021, the KL-regularized objective that ABSGD's paper compares itself with (section 2). With
g(w) = mean_i exp(ℓ_i/λ) of a batch, and the same batch taken at the weights of the step before, w⁻,

    u ← g(w) + (1−a)(u − g(w⁻)),   v ← ∇g(w) + (1−a)(v − ∇g(w⁻)),   w ← w − η λ v/u,

begun again by each drop of the learning rate (the stages of RECOVER) and each change of λ. a = 1 is ABSGD with γ = 1.

Compared with github.com/qiqi-helloworld/RECOVER, whose README has this update. Ours: everything is in the log domain,
so that no loss overflows. The code halves v, caps its newest part at λ for stability, and keeps u at a restart. Where u
is below a g, which a moving average never is, the estimates begin again; in the code u may become negative. Both passes
have the same dropout masks, and BatchNorm's running statistics follow the first alone. The authors step by plain SGD;
here the training configuration's optimizer steps, and `train.momentum=0` is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.core.replay import RandomState
from skedastic.core.tilted import UNSET, log_mean_exp, single
from skedastic.methods.bases.card import PERTURBED, Capabilities, Card
from skedastic.methods.bases.engine import Engine
from skedastic.methods.bases.method import MakeNet
from skedastic.methods.bases.one_network import ClassConstants, OneNetwork, OneNetworkState
from skedastic.methods.bases.scale import INFINITE, SCALE, Schedule, check_lam, lam_at
from skedastic.methods.bases.step import Batch, Clock, Logs, Objective, Step, accuracy
from skedastic.methods.bases.task import Task
from skedastic.methods.sam import ReplayedStep

Part = tuple[Tensor, Sequence[Tensor], float]  # log g, λ ∇g/g of each parameter, and the share in the estimates


class Estimate(nn.Module):
    """log u, and of each parameter the direction λ v/u and the weights before, w⁻."""

    log_u: Tensor

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        super().__init__()
        self.register_buffer("log_u", torch.tensor(UNSET))
        for i, p in enumerate(parameters):
            self.register_buffer(f"direction{i}", torch.zeros_like(p))
            self.register_buffer(f"before{i}", p.detach().clone())

    def of(self, name: str, rows: Sequence[int]) -> list[Tensor]:
        """Return the buffers "direction" or "before" of some parameters."""
        return [self.get_buffer(f"{name}{i}") for i in rows]

    def renew(self, parts: Sequence[Part], directions: Sequence[Tensor], a: float, goes_on: Tensor) -> None:
        """Take u = Σ c exp(l) and λ v = Σ c exp(l) G over the parts (l, G, c).

        Where it does not go on, or u < a g, it begins again with the first part alone.
        """
        unit = torch.stack([log for log, _, _ in parts]).max()
        factors = [c * (log - unit).exp() for log, _, c in parts]
        u = torch.stack(factors).sum()
        kept = goes_on & (u >= a * factors[0] * (1 - 1e-6))
        for direction, *gradients in zip(directions, *(part[1] for part in parts), strict=True):
            mean = torch.stack([f * g for f, g in zip(factors, gradients, strict=True)]).sum(0) / u
            direction.copy_(torch.where(kept, mean, gradients[0]))
        self.log_u.copy_(torch.where(kept, u.log() + unit, parts[0][0]))


class RecoverState(OneNetworkState):
    """The network, the estimate, and the λ and the learning rate that it is of."""

    begun_at: Tensor

    def __init__(self, net: nn.Module, constants: ClassConstants) -> None:
        super().__init__(net, constants)
        self.estimate = Estimate(list(net.parameters()))
        self.register_buffer("begun_at", torch.zeros(2))


@dataclass(frozen=True, kw_only=True)
class Recover(OneNetwork[RecoverState]):
    """Minimize λ log mean exp(ℓ/λ) by estimates that correct themselves by the same batch at the weights before."""

    lam: float | Schedule = setting(5.0, SCALE)
    a: float = setting(
        0.9, "a, the share of the estimates that each batch renews; 1 keeps none of the batches before", "(0, 1]"
    )

    weighs: ClassVar[bool] = True

    card: ClassVar[Card] = Card(
        name="recover",
        title="RECOVER, variance-reduced distributionally robust optimization",
        paper="Qi et al., An Online Method for A Class of Distributionally Robust Optimization, NeurIPS 2021",
        equations="u ← g + (1−a)(u − g⁻), v ← ∇g + (1−a)(v − ∇g⁻), w ← w − η λ v/u",
        family="instance weights",
        capabilities=Capabilities(
            incompatible_with={PERTURBED: "its steps compare two weights themselves"},
        ),
        reduces_to_erm=({"lam": INFINITE, "a": 1.0},),
        cost="2 × the step of plain training: each batch is taken at two weights",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lam(self.lam, "recover.lam")

    def init(self, task: Task, make_net: MakeNet) -> RecoverState:
        """Return a fresh network, without an estimate."""
        return RecoverState(self.network(task, make_net), self.class_constants(task))

    def objective(self, step: Step[RecoverState]) -> Objective:
        """Return λ log mean exp(ℓ/λ) of the batch, or the mean loss; logs its logarithm of g."""
        losses, lam = single(self.weighted(step)), lam_at(self.lam, step.clock)
        plain = abs(lam) == INFINITE
        log_g = losses.new_zeros(()) if plain else log_mean_exp(losses / lam)
        logs = {"log_g": log_g.detach()}
        return Objective(losses.mean() if plain else lam * log_g, step.out.extra.detach(), logs)

    def step(self, state: RecoverState, batch: Batch, clock: Clock, engine: Engine) -> Logs:
        """Renew the estimates by the batch at the weights and at those before, and step along λ v/u."""
        random_state = RandomState.now(state)
        step = Step(state, batch, self.forward(state, batch), clock)
        here = self.objective(step)
        replayed = ReplayedStep(self, step, engine, random_state)
        parameters, estimate = replayed.parameters, state.estimate
        trained = {id(p) for p in parameters}
        rows = [i for i, p in enumerate(state.net.parameters()) if id(p) in trained]
        directions, before = estimate.of("direction", rows), estimate.of("before", rows)
        parts: list[Part] = [(here.logs["log_g"], replayed.gradients(here), 1.0)]
        goes_on = self._goes_on(state, clock, engine)
        if self.a < 1:
            with replayed.at([old - p.detach() for old, p in zip(before, parameters, strict=True)]) as there:
                parts.append((there.logs["log_g"], replayed.gradients(there), self.a - 1))
            parts.append((estimate.log_u, directions, 1 - self.a))
        with torch.no_grad():
            estimate.renew(parts, directions, self.a, goes_on)
            for old, p in zip(before, parameters, strict=True):
                old.copy_(p)
        engine.update("main", torch.stack([(p * d).sum() for p, d in zip(parameters, directions, strict=True)]).sum())
        return {"loss": here.per_example, **accuracy(step.out.logits, batch.y), "log_u": estimate.log_u.clone()}

    def _goes_on(self, state: RecoverState, clock: Clock, engine: Engine) -> Tensor:
        """Return whether the estimate is of this λ and of no higher learning rate, [] bool; take note of both."""
        known_lam, known_rate = state.begun_at.clone()
        lam, rate = lam_at(self.lam, clock), engine.rate("main")
        state.begun_at.copy_(torch.tensor([lam, rate]), non_blocking=True)
        goes_on: Tensor = (known_lam == lam) & (known_rate * (1 - 1e-6) <= rate)
        return goes_on
