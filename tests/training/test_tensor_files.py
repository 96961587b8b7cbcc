"""Files of tensors where they can't be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from skedastic.runs.folder import written
from skedastic.training.tensor_files import write_tensors
from tests.support.refusals import refused

resource = pytest.importorskip("resource", reason="needs limits on the size of files")
LARGE = {"w": torch.zeros(50_000)}


@contextmanager
def small_files() -> Iterator[None]:
    """Within this context no file grows beyond 100 kB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_an_error_of_the_system_as_any_other(tmp_path: Path) -> None:
    with small_files(), pytest.raises(OSError, match="large"):
        write_tensors(LARGE, tmp_path / "m.safetensors")
    run = tmp_path / "run"
    with refused("--out", str(run), rule="writing it failed"), small_files(), written(run) as new:
        write_tensors(LARGE, new / "m.safetensors")
    assert not run.exists()
