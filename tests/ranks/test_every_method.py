"""What several processes train together is what one trains: every method, in double precision, over real gloo."""

import re

import pytest
import torch
from safetensors.torch import load_file

from skedastic.methods.presets import presets
from tests.methods.test_waits import HAR, OTHERS
from tests.ranks.methods_program import main, trained
from tests.support.methods import BOTH
from tests.support.ranks import in_processes

ROWS = 53  # steps of 16, 16, 16 and 5: in two processes of 8 and 8, and of 3 and 2
NAMES = [
    *(":".join(each.values) for each in BOTH),
    *(f"{name}:classification" for name in (*HAR, *OTHERS)),
    *(f"{name}:classification@layer" for name in (*HAR, "vat(base=har(strength=1))", "mw-net", "sam(base=har)")),
    "har(strength=1,reduction=mean,norm=layers):classification",
    "mixup(base=har(strength=1)):classification",
]
FOUR = [
    "erm:classification",
    "har(strength=1):classification",
    "absgd:classification",
    "har(strength=1):classification@layer",
]


def of(name: str, found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.split("|")[1]: value for key, value in found.items() if key.split("|")[0] == name}


def files(folder, ranks: int) -> list[dict[str, torch.Tensor]]:
    return [load_file(folder / f"{ranks}-{rank}.safetensors") for rank in range(ranks)]


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    in_processes(2, "tests.ranks.methods_program", folder, ROWS, *NAMES)
    return files(folder, 2)


@pytest.fixture(scope="module")
def of_four(tmp_path_factory):
    """50 rows: the last step has two, too few for four processes, and each takes both."""
    folder = tmp_path_factory.mktemp("four")
    in_processes(4, "tests.ranks.methods_program", folder, 50, *FOUR)
    return files(folder, 4)


def check_alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], most: float) -> None:
    assert one.keys() == other.keys()
    for key in one:
        assert torch.allclose(one[key].double(), other[key].double(), atol=most, rtol=most, equal_nan=True), key


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_end_where_one_does(name, of_two) -> None:
    check_alike(trained(name, ROWS), of(name, of_two[0]), 1e-5 if re.match("elr|vat", name) else 1e-8)


@pytest.mark.parametrize("name", FOUR)
def test_four_processes_end_where_one_does(name, of_four) -> None:
    check_alike(trained(name, 50), of(name, of_four[0]), 1e-8)


def test_all_processes_end_with_the_same_to_the_bit(of_two, of_four) -> None:
    for first, *others in (of_two, of_four):
        for other in others:
            check_alike(first, other, 0.0)


def test_every_published_name_is_here() -> None:
    assert {name.split(":")[0] for name in NAMES} >= set(presets())


def test_gradients_that_are_not_counted_right_are_seen(tmp_path) -> None:
    """The same without the factor that makes the sum of the processes' gradients the gradient."""
    name = "erm:classification"
    in_processes(2, "tests.ranks.methods_program", tmp_path, ROWS, "--uncounted", name)
    with pytest.raises(AssertionError):
        check_alike(trained(name, ROWS), of(name, files(tmp_path, 2)[0]), 1e-5)


def test_the_program_alone_writes_what_it_trains(tmp_path) -> None:
    main(str(tmp_path), str(ROWS), "erm:classification")
    check_alike(trained("erm:classification", ROWS), of("erm:classification", files(tmp_path, 1)[0]), 0.0)
