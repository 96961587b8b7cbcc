"""Exponentially tilted weights and the objectives that they minimize, in the log domain, so that no loss overflows.

Source: Qi et al., "Attentional-Biased Stochastic Gradient Descent" (ABSGD), Algorithm 1 and equations 3 to 8. For a
scale λ ≠ 0 of either sign, F_λ = λ log (1/n) Σ_i exp(ℓ_i/λ) is the value of the KL-regularized min-max problem F_τ^(1)
where λ = τ > 0, and of the min-min problem F_τ^(2) where λ = −τ < 0; |λ| = ∞ is the mean loss. Its gradient is
Σ_i p_i ∇ℓ_i with p_i ∝ exp(ℓ_i/λ), and ABSGD estimates the denominator by a moving average s over the batches.

In several processes (torch.distributed) the means that weights go by are over the examples of all of them.
"""

from __future__ import annotations

from math import log

import torch
import torch.distributed as dist
from torch import Tensor, nn

from skedastic.core.spread import is_managed
from skedastic.errors import UserError

UNSET = float("-inf")  # log s before the first batch


def single(x: Tensor) -> Tensor:
    """Return x in single precision where it is in half, else as it is.

    Parameters
    ----------
    x : Tensor
        Any reals.
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_scale(lam: float, setting: str = "lam", given: str | None = None) -> None:
    """Refuse a λ that is no scale: 0, or not a number. ±inf is plain training.

    Parameters
    ----------
    lam : float
        λ.
    setting, given : str
        Where it was given, and how the message shows it, as in `UserError`.

    Raises
    ------
    UserError
        λ is 0 or NaN.
    """
    if lam == 0 or lam != lam:
        rule = (
            "λ must be a number other than 0: above 0 it looks to large losses (imbalance), below 0 to small ones "
            "(label noise), inf is plain training"
        )
        raise UserError(rule, setting=setting, value=lam, given=given)


def log_mean_exp(x: Tensor) -> Tensor:
    """Return log (1/n) Σ exp(x_i), a scalar; over the examples of all processes.

    Parameters
    ----------
    x : Tensor
        [n], in any precision.
    """
    x = single(x)
    top = x.max()
    top = torch.where(top.isfinite(), top, 0.0)  # else all −inf, or one inf, gives NaN
    value: Tensor = (x - top).exp().mean().log() + top
    alone = not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)
    if alone or is_managed():  # then x is of the whole batch already
        return value
    own = torch.stack([value + log(len(x)), value.new_tensor(log(len(x)))])
    gathered = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, own)
    total, count = torch.stack(gathered).logsumexp(0).unbind()
    return total - count


def moved(log_s: Tensor, log_g: Tensor, gamma: float, *, first_batch: bool = True, alpha: float = 1.0) -> Tensor:
    """Return log s after a batch: s ← (1 − γ) s + γ α g (Algorithm 1, step 4).

    Parameters
    ----------
    log_s : Tensor
        log s before it, a scalar; −inf at the start.
    log_g : Tensor
        log g of the batch, a scalar.
    gamma : float
        γ, in (0, 1].
    first_batch : bool
        Whether s begins as α g of the first batch; else as 0, as in the authors' code, where the first weights are 1/γ
        too large.
    alpha : float
        α, above 0: the authors' code's; 1 is the paper.
    """
    log_g = log_g + log(alpha)
    if gamma == 1:
        return log_g
    average = torch.logaddexp(log_s + log(1 - gamma), log_g + log(gamma))
    return torch.where(log_s.isneginf(), log_g, average) if first_batch else average


def attentional_weights(
    losses: Tensor, log_s: Tensor | None = None, lam: float = 5.0, gamma: float = 0.9, *, first_batch: bool = True
) -> tuple[Tensor, Tensor]:
    """Return ABSGD's weights p_i [B], detached, and log s for the next batch: minimize (weights * losses).mean().

    Algorithm 1, steps 3 to 5.

    Parameters
    ----------
    losses : Tensor
        [B], in any precision.
    log_s : Tensor, optional
        The result of the call before; None at the start.
    lam : float
        λ, of either sign, in units of the loss; ±inf gives ones.
    gamma : float
        γ, the share of the newest batch in the moving average, in (0, 1].
    first_batch : bool
        As in `moved`.

    Raises
    ------
    UserError
        λ is 0, or γ is out of its range.
    """
    check_scale(lam, given=f"attentional_weights(lam={lam})")
    check_gamma("attentional_weights", gamma)
    losses = single(losses.detach())
    if log_s is None:
        log_s = losses.new_tensor(UNSET)
    if abs(lam) == float("inf"):
        return torch.ones_like(losses), log_s
    log_s = moved(log_s, log_mean_exp(losses / lam), gamma, first_batch=first_batch)
    return (losses / lam - log_s).exp(), log_s


def check_gamma(name: str, gamma: float) -> None:
    """Refuse a γ outside of (0, 1].

    Parameters
    ----------
    name : str
        The function that it was given to.
    gamma : float
        γ.

    Raises
    ------
    UserError
        γ is outside.
    """
    if not 0 < gamma <= 1:
        rule = "gamma, the newest batch's share of the moving average, must be in (0, 1]; 0.9 is the authors' package's"
        raise UserError(rule, setting="gamma", value=gamma, given=f"{name}(gamma={gamma})")


def effective_size(weights: Tensor) -> Tensor:
    """Return how many equally weighted examples the weights are worth, in 1..B; 0 where all weights are 0.

    (Σw)²/Σw² (Kish, "Survey Sampling", 1965).

    Parameters
    ----------
    weights : Tensor
        [B] ≥ 0.
    """
    tiny = torch.finfo(weights.dtype).tiny
    w = weights / weights.max().clamp_min(tiny)
    return w.sum().square() / w.square().sum().clamp_min(tiny)


class DROObjective(nn.Module):
    """F_λ of a data set, batch by batch (equation 6, without the weight decay r(w)).

    F_τ^(1) for λ = τ, F_τ^(2) for λ = −τ. It holds two buffers, so that it is saved, and moves to a device.

    Parameters
    ----------
    lam : float
        λ ≠ 0, in units of the loss; ±inf gives the mean loss.

    Raises
    ------
    UserError
        λ is 0 or NaN.
    """

    total: Tensor
    count: Tensor

    def __init__(self, lam: float) -> None:
        super().__init__()
        check_scale(lam, given=f"DROObjective(lam={lam})")
        self.lam = lam
        self.register_buffer("total", torch.tensor(0.0 if abs(lam) == float("inf") else UNSET, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))

    @torch.no_grad()
    def update(self, losses: Tensor) -> None:
        """Take the losses of a batch.

        Parameters
        ----------
        losses : Tensor
            [B].
        """
        losses = losses.detach().to(self.total.dtype)
        if abs(self.lam) == float("inf"):
            self.total += losses.sum()
        else:
            self.total.copy_(torch.logaddexp(self.total, (losses / self.lam).logsumexp(0)))
        self.count += len(losses)

    def value(self) -> Tensor:
        """Return F_λ of all examples so far, a scalar in the loss's unit; NaN where there were none."""
        if abs(self.lam) == float("inf"):
            return self.total / self.count
        return self.lam * (self.total - self.count.to(self.total).log())

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        """Move to a device, in single precision where it has no double."""
        try:
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        except TypeError:
            self.total = self.total.float()
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def taken(self) -> Tensor:
        """Return the value, and begin again."""
        value = self.value()
        self.reset()
        return value

    def reset(self) -> None:
        """Begin again."""
        self.total.fill_(0.0 if abs(self.lam) == float("inf") else UNSET)
        self.count.zero_()
