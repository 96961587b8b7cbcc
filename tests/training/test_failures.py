"""Which errors are failures of a training that others can go on without."""

import numpy as np
import pytest
import torch

from skedastic.errors import Diverged, UserError
from skedastic.training.failures import failure_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Diverged("the loss is nan", setting="train.lr"), "train.lr: the loss is nan"),
        (FloatingPointError("overflow\nmore"), "overflow"),
        (np.linalg.LinAlgError("Singular matrix"), "Singular matrix"),
        (torch.linalg.LinAlgError("not positive-definite"), "not positive-definite"),  # type: ignore[attr-defined]
        (torch.OutOfMemoryError("CUDA out of memory"), "CUDA out of memory"),
        (MemoryError(), "MemoryError"),
        (ValueError("Input X contains infinity"), "Input X contains infinity"),
        (UserError("must be 1", setting="train.lr"), ""),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal"), ""),
        (OSError("no such file"), ""),
        (TypeError("takes 2 arguments"), ""),
        (KeyError("name"), ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_numbers_and_memory_fail_and_settings_files_and_code_do_not(error: Exception, reason: str) -> None:
    assert failure_of(error) == reason
