"""What several processes train together is what one trains: every method, in double precision, over real gloo."""

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from skedastic.methods.presets import presets
from tests.methods.test_waits import HAR, OTHERS
from tests.ranks.methods_program import trained
from tests.support.methods import BOTH
from tests.support.ranks import in_processes

MOST = 1e-8  # difference in double precision
ROWS = 53  # steps of 16, 16, 16 and 5: in two processes of 8 and 8, and of 3 and 2
NAMES = [
    *(":".join(each.values) for each in BOTH),
    *(f"{name}:classification" for name in (*HAR, *OTHERS)),
    *(f"{name}:classification@layer" for name in (*HAR, "vat(base=har(strength=1))", "mw-net", "sam(base=har)")),
    "har(strength=1,reduction=mean,norm=layers):classification",
    "mixup(base=har(strength=1)):classification",
]
STREAMED = [
    f"{name}:classification@stream" for name in ("erm", "har(strength=1)", "absgd", "mixup", "sam", "vat", "bbn")
]
FOUR = [
    "erm:classification",
    "har(strength=1):classification",
    "absgd:classification",
    "har(strength=1):classification@layer",
]


def files(folder, ranks: int) -> list[dict[str, Tensor]]:
    return [load_file(folder / f"{ranks}-{rank}.safetensors") for rank in range(ranks)]


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative where numbers are large: predictions are in the target's units."""
    away = (one.double() - other).abs() / one.double().abs().clamp_min(1.0)
    return float(away.nan_to_num(0.0).max())


def differences(names, rows: int, found: dict[str, Tensor]) -> dict[str, float]:
    """The largest difference of each name's result from what one process ends with, where it is above MOST."""
    largest = {}
    for name in names:
        one = trained(name, rows)
        other = {key.removeprefix(f"{name}|"): value for key, value in found.items() if key.startswith(f"{name}|")}
        assert one.keys() == other.keys(), name
        largest[name] = max(difference(one[key], other[key]) for key in one if one[key].numel())
        assert all(torch.equal(one[key].isnan(), other[key].isnan()) for key in one), name
    return {name: value for name, value in largest.items() if value > MOST}


def check_alike_to_the_bit(first: dict[str, Tensor], *others: dict[str, Tensor]) -> None:
    for other in others:
        assert first.keys() == other.keys()
        assert all(torch.allclose(first[key], other[key], 0.0, 0.0, equal_nan=True) for key in first)


@pytest.mark.slow
def test_two_processes_end_where_one_does(tmp_path) -> None:
    """All in one test, so that the processes are started once."""
    in_processes(2, "tests.ranks.methods_program", tmp_path, ROWS, *NAMES)
    first, other = files(tmp_path, 2)
    assert differences(NAMES, ROWS, first) == {}
    check_alike_to_the_bit(first, other)


@pytest.mark.slow
def test_four_processes_end_where_one_does(tmp_path) -> None:
    """Of 50 rows the last step has two, too few for four processes, and each takes both."""
    in_processes(4, "tests.ranks.methods_program", tmp_path, 50, *FOUR)
    first, *others = files(tmp_path, 4)
    assert differences(FOUR, 50, first) == {}
    check_alike_to_the_bit(first, *others)


def test_every_published_name_is_here() -> None:
    assert {name.split(":")[0] for name in NAMES} >= set(presets())


@pytest.mark.slow
def test_of_a_stream_each_process_reads_its_own_rows(tmp_path) -> None:
    """A method that mixes inputs, or moves them, has those of all rows: they are gathered."""
    in_processes(2, "tests.ranks.methods_program", tmp_path, ROWS, *STREAMED)
    of_two = files(tmp_path, 2)
    for name in STREAMED:
        key = f"{name}|rows_read"
        read = [float(found.pop(key)) for found in of_two]
        assert read[0] == pytest.approx(read[1], rel=0.1)
        # some are read by both, to compare their data
        assert sum(read) <= 1.25 * float(trained(name, ROWS)["rows_read"])
        for found in of_two:
            found[key] = trained(name, ROWS)["rows_read"]
    assert differences(STREAMED, ROWS, of_two[0]) == {}


@pytest.mark.slow
def test_gradients_that_are_not_counted_right_are_seen(tmp_path) -> None:
    """The same without the factor that makes the sum of the processes' gradients the gradient."""
    name = "erm:classification"
    in_processes(2, "tests.ranks.methods_program", tmp_path, ROWS, "--uncounted", name)
    assert differences([name], ROWS, files(tmp_path, 2)[0]).keys() == {name}
