"""Training: its configuration, the engine that steps optimizers, and the loop over stages."""

from skedastic.training.checkpoints import Checkpoints
from skedastic.training.config import TrainingConfig
from skedastic.training.engine import PlainEngine
from skedastic.training.loop import Trained, train

__all__ = ["Checkpoints", "PlainEngine", "Trained", "TrainingConfig", "train"]
