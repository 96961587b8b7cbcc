"""Training: its configuration, the engine that steps optimizers, and the loop over stages."""

from typing import TYPE_CHECKING

from skedastic.runtime.lazy import lazy

if TYPE_CHECKING:
    from skedastic.training.checkpoints import Checkpoints as Checkpoints
    from skedastic.training.config import TrainingConfig as TrainingConfig
    from skedastic.training.engine import PlainEngine as PlainEngine
    from skedastic.training.loop import Trained as Trained
    from skedastic.training.loop import train as train

__getattr__, __dir__ = lazy(__name__)
