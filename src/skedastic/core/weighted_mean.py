"""The weighted mean of models' outputs as one module, so that it is exported and run as networks are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class WeightedMean(nn.Module):
    """Rows [B, ...] to numbers [B, 1]: Σ_k w_k model_k(x).

    Parameters
    ----------
    models : sequence of nn.Module
        The models, one at least; each gives [B] or [B, 1].
    weights : sequence of float
        w, as many; their sum is 1.
    """

    def __init__(self, models: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.models, self.weights = nn.ModuleList(models), tuple(weights)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows [B, ...] to numbers [B, 1]."""
        pairs = zip(self.models, self.weights, strict=True)
        outputs: list[Tensor] = [weight * model(x).reshape(-1, 1) for model, weight in pairs]
        return sum(outputs[1:], start=outputs[0])
