"""A run goes on with more processes, or fewer, and ends where one process does that was never interrupted."""

import pytest
import torch
from safetensors.torch import load_file

from tests.ranks import resuming_program
from tests.support.ranks import in_processes

PROGRAM = "tests.ranks.resuming_program"


def ended(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "end.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "worlds"),
    [
        ("har-auto", (2, 1)),
        ("har-auto", (2, 4)),
        ("absgd", (2, 1)),
        ("absgd", (1, 2)),
        ("elr", (2, 1)),
        ("elr", (1, 2)),
    ],
    ids=str,
)
def test_a_run_goes_on_in_another_number_of_processes(name, worlds, tmp_path) -> None:
    """The first two epochs in some, the rest in others."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    resuming_program.main(str(whole), name, "1000")
    for ranks, epochs in zip(worlds, (2, 1000), strict=True):
        in_processes(ranks, PROGRAM, parts, name, epochs) if ranks > 1 else resuming_program.main(
            str(parts), name, str(epochs)
        )
    one, other = ended(whole), ended(parts)
    assert one.keys() == other.keys()
    for key in one:
        assert torch.allclose(one[key].double(), other[key].double(), atol=1e-6), key
