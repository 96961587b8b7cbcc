"""One temperature for a model's probabilities, so that they say how often it is right (Guo et al., ICML 2017).

p_c ∝ p_c^{1/T}. At T the labels of rows that the models had not seen, noisy as they are, are most probable. T is not
taken from the estimate of the noise, whose held-out predictions are those of models that are trained for less long.
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
    """Return the temperature T, in [0.05, 20], that fits held-out predictions best; None where there are none.

    Parameters
    ----------
    probabilities : Tensor
        Held-out class probabilities, [n, C].
    y : Tensor
        The labels, [n] in 0..C-1.
    """
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
    """Return class probabilities at a temperature, [n, C] float32; the most probable class stays so.

    Parameters
    ----------
    probabilities : Tensor
        Class probabilities, [n, C].
    temperature : float
        T, above 0; 1 changes nothing.
    """
    return (probabilities.double().clamp_min(TINY).log() / temperature).softmax(1).float()
