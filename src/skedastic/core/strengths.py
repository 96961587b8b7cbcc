"""How strongly each group is regularized: the noisier and the rarer, the stronger.

Source: Cao et al., "Heteroskedastic and Imbalanced Deep Learning with Adaptive Regularization", ICLR 2021,
section 2.2 (below equation 5) and section 2.3 (equations 6 and 7):

    τ_g = I_g^{3/5} q_g^{-2/5}

with q_g = |G_g| / n and I_g the mean over the group of I(x) = Var(Y|X=x), which is 1 − max_k P(Y=k|x) of labels: how
uncertain labels are where the examples of the group lie. The paper takes the error rate of held-out examples for it.
The paper leaves the scale to λ; here the largest τ is 1, so that λ is the strongest regularization anywhere.

The share w_g of the labels of group g that are wrong is another quantity: I_g belongs to the place, w_g to the label.
Where 40 % of class a are labelled b, and none of b are labelled a, labels are uncertain where a lies, and it is b whose
labels are wrong.

For real targets with squared loss the paper has I_g = 1, hence τ_g = q_g^{-2/5}. Where the noise has a variance σ²_g of
its own (ours, not the paper's), the balance behind Theorem 1 is between a squared bias ∝ ρ² q^{-2} and a variance ∝
σ² q^{-1/2} ρ^{-1/2}; the least of their sum is at ρ ∝ (σ²)^{2/5} q^{3/5}, and τ = ρ / q is

    τ_g = (σ²_g)^{2/5} q_g^{-2/5}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from skedastic.errors import UserError

NoiseKind = Literal["rate", "variance"]  # of uncertainty: the rate of labels, or the variance of real targets

NOISE_EXPONENT: Mapping[NoiseKind, float] = {"rate": 3 / 5, "variance": 2 / 5}
DENSITY_EXPONENT = -2 / 5
COUNTS = ("count", "errors", "counted")
OF_LABELS = ("errors", "wrong", "wrong_low", "wrong_high")  # None where targets are real


@dataclass(frozen=True, eq=False)
class GroupStats:
    """Noise and density of each of G groups; every tensor is [G], on the CPU, in the order of `names`.

    Parameters
    ----------
    names : tuple of str
        The G groups, each once.
    count : Tensor
        Examples in the group, [G] int64 ≥ 0.
    density : Tensor
        Their share of all examples, [G] float64 in [0, 1]; for bins of a real target, relative to their width.
    errors : Tensor or None
        Held-out examples predicted otherwise than labelled, [G] int64 in 0..counted; None where targets are real.
    counted : Tensor
        Examples with a prediction by a model that was not trained on them, [G] int64 in 0..count.
    uncertainty : Tensor
        I_g, how uncertain labels are where the examples of the group lie, [G] float64 in [0, 1]; where targets are real
        the variance of their noise ≥ 0, in their squared units.
    uncertainty_low, uncertainty_high : Tensor
        The ends of the interval of `uncertainty`, [G] float64, at most and at least it.
    wrong : Tensor or None
        w_g, the share of the group's labels that are wrong, [G] float64 in [0, 1]; None where targets are real.
    wrong_low, wrong_high : Tensor or None
        The ends of the interval of `wrong`, [G] float64, at most and at least it.

    Raises
    ------
    UserError
        A field has another length than `names`, a value is not in its range, or a name occurs twice.
    """

    names: tuple[str, ...]
    count: Tensor
    density: Tensor
    errors: Tensor | None
    counted: Tensor
    uncertainty: Tensor
    uncertainty_low: Tensor
    uncertainty_high: Tensor
    wrong: Tensor | None = None
    wrong_low: Tensor | None = None
    wrong_high: Tensor | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        if not self.names or len(set(self.names)) != len(self.names):
            rule = "names must be one or more, each once"
            raise UserError(rule, setting="GroupStats: names", value=list(self.names)[:12])
        if len({getattr(self, name) is None for name in OF_LABELS}) > 1:
            there = [name for name in OF_LABELS if getattr(self, name) is not None]
            rule = f"{', '.join(OF_LABELS)} are of labels: give all of them, or none where targets are real"
            raise UserError(rule, setting="GroupStats", value=there)
        for name in self._given():
            value = _column(name, getattr(self, name))
            if value.shape != (len(self.names),):
                shape = list(value.shape)
                rule = f"must be one number for each of the {len(self.names)} groups"
                given = f"GroupStats: {name} of shape {shape}"
                raise UserError(rule, setting=f"GroupStats: {name}", value=shape, given=given)
            object.__setattr__(self, name, value)
        _check_range("GroupStats: density", self.density, names=self.names)
        for quantity in self.quantities:
            low, high = f"{quantity}_low", f"{quantity}_high"
            for name in (quantity, low, high):
                _check_range(f"GroupStats: {name}", getattr(self, name), self.measure, self.names)
            self._check_order(low, quantity)
            self._check_order(quantity, high)
        if self.errors is not None:
            _check_range("GroupStats: errors", self.errors, "variance", self.names)
            self._check_order("errors", "counted")
        _check_range("GroupStats: counted", self.counted, "variance", self.names)
        self._check_order("counted", "count")

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names of the fields that have an interval."""
        return ("uncertainty",) if self.wrong is None else ("uncertainty", "wrong")

    def _given(self) -> list[str]:
        return [name for name in _tensor_fields() if getattr(self, name) is not None]

    def _check_order(self, small_name: str, large_name: str) -> None:
        small, large = getattr(self, small_name), getattr(self, large_name)
        wrong = (small > large).nonzero().flatten().tolist()
        if wrong:
            g = wrong[0]
            value = large[g].item()
            least = f"{small_name}, {small[g].item():g}"
            given = f"GroupStats: {large_name} of group {self.names[g]!r} is {value:g}"
            raise UserError(f"must be at least {least}", setting=f"GroupStats: {large_name}", value=value, given=given)

    @property
    def measure(self) -> NoiseKind:
        """The meaning of `uncertainty`: a "rate" of labels, or the "variance" of real targets."""
        return "variance" if self.errors is None else "rate"

    @property
    def strengths(self) -> Tensor:
        """τ [G] in [0, 1], the largest 1 (see `strengths`)."""
        return strengths(self.uncertainty, self.density, self.measure)

    def to_dict(self) -> dict[str, list[Any] | None]:
        """Return plain lists of equal length, ready for JSON; `from_dict` reads them back to the bit."""
        columns = {name: getattr(self, name) for name in _tensor_fields()}
        return {"names": list(self.names)} | {n: None if c is None else c.tolist() for n, c in columns.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GroupStats:
        """Return the statistics that `to_dict` wrote.

        Parameters
        ----------
        data : Mapping
            The fields by name, as lists.

        Raises
        ------
        UserError
            A field is missing or unknown, or its values break a rule of the class.
        """
        known = {"names", *_tensor_fields()}
        if missing := known - set(data):
            raise UserError("missing", setting=f"GroupStats: {', '.join(sorted(missing))}")
        if extra := set(data) - known:
            rule = f"unknown; the fields are {', '.join(sorted(known))}"
            raise UserError(rule, setting=f"GroupStats: {', '.join(sorted(extra))}")
        columns = {name: None if data[name] is None else _column(name, data[name]) for name in _tensor_fields()}
        return cls(tuple(map(str, data["names"])), **columns)  # type: ignore[arg-type]


def strengths(uncertainty: Tensor, density: Tensor, measure: NoiseKind = "rate") -> Tensor:
    """Return the relative strengths τ_g ∝ uncertainty_g^{3/5} density_g^{-2/5}, [G] float64, the largest 1.

    A group without noise needs no regularization: its τ is 0, and where no group has noise all are 0. A group
    without examples (density 0) has τ = 0 too and does not set the scale: the formula's limit there is
    infinite, but no example would feel it.

    Parameters
    ----------
    uncertainty : Tensor
        I_g of each group, [G] in [0, 1]; or variance, [G] ≥ 0. Ones leave the density alone.
    density : Tensor
        Share of each group in the examples, [G] in [0, 1]; only the ratios between groups matter.
    measure : str
        The meaning of `uncertainty`: "rate", or "variance" of real targets, whose exponent is 2/5.

    Raises
    ------
    UserError
        The two have not one and the same shape [G], or a value is NaN or out of its range.
    """
    uncertainty, density = uncertainty.to(torch.float64), density.to(torch.float64)
    if uncertainty.ndim != 1 or uncertainty.shape != density.shape or not len(uncertainty):
        shape = list(uncertainty.shape)
        given = f"strengths: uncertainty of shape {shape} and density of shape {list(density.shape)}"
        rule = "both must be [G] with G at least 1"
        raise UserError(rule, setting="strengths: uncertainty", value=shape, given=given)
    _check_range("strengths: uncertainty", uncertainty, measure)
    _check_range("strengths: density", density)
    felt = (uncertainty > 0) & (density > 0)
    # In logarithms: tiny rates and shares neither underflow nor overflow, and the largest is exactly 1.
    log_tau = NOISE_EXPONENT[measure] * uncertainty.log() + DENSITY_EXPONENT * density.log()
    log_tau = log_tau.masked_fill(~felt, -torch.inf)
    return (log_tau - log_tau.max()).exp() if felt.any() else torch.zeros_like(uncertainty)


def random_strengths(tau: Tensor, density: Tensor, seed: int) -> Tensor:
    """Return strengths of no meaning, [G] ≥ 0: uniform, of the same mean over the examples as `tau`.

    Source: appendix C.4 of the paper, "random": an ablation.

    Parameters
    ----------
    tau : Tensor
        Strengths, [G] ≥ 0.
    density : Tensor
        Share of each group in the examples, [G].
    seed : int
        Of the draws.
    """
    draws = torch.rand(len(tau), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return _of_equal_mean(draws, tau, density)


def inverse_strengths(tau: Tensor, density: Tensor) -> Tensor:
    """Return the inverse 1/τ_g, [G] ≥ 0, scaled to the same mean over the examples.

    A group whose τ is 0 gets the value of the weakest of the others.
    Source: appendix C.4 of the paper, "inverse": an ablation.

    Parameters
    ----------
    tau : Tensor
        Strengths, [G] ≥ 0.
    density : Tensor
        Share of each group in the examples, [G].
    """
    if not (tau > 0).any():
        return tau
    return _of_equal_mean(1 / tau.clamp_min(tau[tau > 0].min()), tau, density)


def _of_equal_mean(weights: Tensor, tau: Tensor, density: Tensor) -> Tensor:
    share = density.to(torch.float64)
    return weights * ((share * tau).sum() / (share * weights).sum().clamp_min(torch.finfo(torch.float64).tiny))


def _tensor_fields() -> list[str]:
    return [field.name for field in fields(GroupStats) if field.name != "names"]


def _column(name: str, values: Any) -> Tensor:
    try:
        return torch.as_tensor(values, dtype=torch.int64 if name in COUNTS else torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"must be numbers; {error}", setting=f"GroupStats: {name}") from error


def _check_range(place: str, values: Tensor, measure: NoiseKind = "rate", names: tuple[str, ...] | None = None) -> None:
    allowed = (values >= 0) & (values <= 1 if measure == "rate" else values.isfinite())
    wrong = (~allowed).nonzero().flatten().tolist()  # NaN is in no range
    if wrong:
        g = wrong[0]
        who = f"group {names[g]!r}" if names else f"group number {g}"
        value = values[g].item()
        rule = f"must be a number {'in [0, 1]' if measure == 'rate' else 'of at least 0'}"
        raise UserError(rule, setting=place, value=value, given=f"{place} of {who} is {value:g}")
