"""The weighted mean of models' outputs as one module, so that it is exported and run as networks are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class WeightedMean(nn.Module):
    """Inputs [B, ...] to outputs [B, C], or numbers [B, 1]: Σ_k w_k model_k(x).

    Parameters
    ----------
    models : sequence of nn.Module
        The models, one at least; each gives [B, C], [B, 1] or [B].
    weights : sequence of float
        w, as many; their sum is 1.
    """

    def __init__(self, models: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.models, self.weights = nn.ModuleList(models), tuple(weights)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs [B, ...] to outputs [B, C], or to numbers [B, 1]."""
        pairs = zip(self.models, self.weights, strict=True)
        outputs = [weight * _in_columns(model(x)) for model, weight in pairs]
        return sum(outputs[1:], start=outputs[0])


def _in_columns(outputs: Tensor) -> Tensor:
    """Return numbers [B] as [B, 1], others as they are."""
    return outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
