"""The mathematics, in torch alone, for anyone's training loop."""

from skedastic.core.jacobian import JacobianPenalty, Penalized, regularized_loss
from skedastic.core.strengths import GroupStats, strengths
from skedastic.core.taps import find_taps
from skedastic.core.tilted import DROObjective, attentional_weights

__all__ = [
    "DROObjective",
    "GroupStats",
    "JacobianPenalty",
    "Penalized",
    "attentional_weights",
    "find_taps",
    "regularized_loss",
    "strengths",
]
