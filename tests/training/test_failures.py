"""Which errors are failures of a training that others can go on without."""

import numpy as np
import pytest
import torch

from skedastic.errors import Diverged, UserError
from skedastic.training.failures import StageFailed, failure_of, telling


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Diverged("the loss is nan", setting="train.lr"), "train.lr: the loss is nan"),
        (FloatingPointError("overflow\nmore"), "overflow"),
        (np.linalg.LinAlgError("Singular matrix"), "Singular matrix"),
        (torch.linalg.LinAlgError("not positive-definite"), "not positive-definite"),  # type: ignore[attr-defined]
        (torch.OutOfMemoryError("CUDA out of memory"), "CUDA out of memory"),
        (MemoryError(), "MemoryError"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "[enforce fail] DefaultCPUAllocator: can't allocate memory",
        ),
        (ValueError("Input X contains infinity"), ""),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ""),
        (RuntimeError("CUDA error: device-side assert triggered"), ""),
        (NotImplementedError("later"), ""),
        (RecursionError("maximum recursion depth"), ""),
        (ZeroDivisionError("division by zero"), ""),
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


def test_what_a_library_cannot_fit_is_a_failure_of_what_is_fitted_at_once() -> None:
    error = ValueError("Input X contains infinity")
    assert failure_of(error, at_once=True) == "Input X contains infinity"
    with pytest.raises(StageFailed) as failed, telling(at_once=True):
        raise error
    assert failed.value.lasting
    with pytest.raises(StageFailed) as failed, telling(at_once=False):
        raise MemoryError
    assert not failed.value.lasting, "memory may be enough another time"
    with pytest.raises(ValueError, match="infinity"), telling(at_once=False):
        raise error
