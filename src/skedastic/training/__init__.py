"""Training: the budget, the engine that steps optimizers, and the loop over stages."""

from skedastic.training.checkpoints import Checkpoints
from skedastic.training.config import Budget
from skedastic.training.engine import PlainEngine
from skedastic.training.loop import Trained, train

__all__ = ["Budget", "Checkpoints", "PlainEngine", "Trained", "train"]
