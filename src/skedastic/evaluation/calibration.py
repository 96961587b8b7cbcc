"""One temperature for a model's probabilities, so that they say how often it is right (Guo et al., ICML 2017).

p_c ∝ p_c^{1/T}. T is the one at which the labels of the test rows, noisy as they are, are most probable. It is not taken from
the estimate of the noise, whose held-out predictions are those of models that are trained for less long.
"""

from __future__ import annotations

from math import exp, log

from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy

COLDEST, HOTTEST = 0.05, 20.0
TINY = 1e-12
MOST_ROWS = 1_000_000  # that the fit takes, evenly spaced


def fit_temperature(probabilities: Tensor, y: Tensor) -> float | None:
    """Return T of held-out class probabilities [n, C] and labels [n]; None where there are none. It is in [0.05, 20]."""
    if not len(y):
        return None
    step = 1 + (len(y) - 1) // MOST_ROWS
    probabilities, y = probabilities[::step], y[::step]
    logs = probabilities.double().clamp_min(TINY).log()

    def loss(log_temperature: float) -> float:
        return float(cross_entropy(logs / exp(log_temperature), y))

    best = minimize_scalar(loss, bounds=(log(COLDEST), log(HOTTEST)), method="bounded", options={"xatol": 1e-4})
    return exp(best.x)


def with_temperature(probabilities: Tensor, temperature: float) -> Tensor:
    """Return class probabilities [n, C] at a temperature; the most probable class stays so."""
    return (probabilities.double().clamp_min(TINY).log() / temperature).softmax(1).float()
