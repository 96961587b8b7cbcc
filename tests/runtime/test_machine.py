"""What is said of a machine: each sentence has a fact that stands behind it, and a sound machine has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skedastic.runtime.environment import differences, environment, expectation
from skedastic.runtime.machine import Machine, machine
from skedastic.runtime.packages import Package, packages

SOUND = Machine(
    system="Linux",
    python="3.11.7",
    torch="2.13.0",
    cores=4,
    usable=4,
    quota=None,
    throttled=0,
    memory=16 * 10**9,
    free=8 * 10**9,
    swapped=0,
    limit=None,
    devices=(),
    driver=False,
    built_with={"oneDNN": True, "MKL": True},
    instructions="AVX2",
    threads=4,
    variables={},
    disks={"temporary files (/tmp)": 10**11},
    rates=(50e9, 150e9),
)


def test_of_a_sound_machine_nothing_is_slow() -> None:
    assert SOUND.slow() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"variables": {"OMP_NUM_THREADS": "64"}}, "OMP_NUM_THREADS=64 is more threads than the 4 cores"),
        (
            {"variables": {"OMP_NUM_THREADS": "1"}, "threads": 1},
            "OMP_NUM_THREADS=1 keeps large networks from the other",
        ),
        ({"quota": 1.5}, "torch has 4 threads, and 1.5 cores may be used; set OMP_NUM_THREADS=1"),
        ({"rates": (50e9, 20e9)}, "4 threads multiply matrices at 0.40 of the rate of one"),
        ({"usable": 2, "threads": 2}, "2 of the 4 cores, by its affinity"),
        ({"throttled": 12345}, "had to wait for its cores in 12,345 periods"),
        ({"swapped": 2 * 10**9}, "2.0 GB are in swap"),
        ({"free": 10**8}, "0.1 GB of memory are free"),
        ({"limit": 5 * 10**8}, "0.5 GB of memory are free"),
        ({"driver": True}, "install a torch that is built with CUDA"),
        ({"built_with": {"oneDNN": False, "MKL": True}}, "torch was built without oneDNN"),
        ({"disks": {"features (/home)": 10**8}}, "0.1 GB are free on the disk of features (/home)"),
    ],
)
def test_each_fact_that_slows_is_said_alone(change: dict, words: str) -> None:
    (said,) = replace(SOUND, **change).slow()
    assert words in said


def test_this_machine_has_what_a_machine_has(tmp_path: Path) -> None:
    found = machine({"results": tmp_path / "not" / "there"})
    assert 1 <= found.usable <= found.cores
    assert 0 < found.free <= found.memory
    assert min(found.rates) > 0
    assert found.disks[f"results ({tmp_path / 'not' / 'there'})"] > 0


@pytest.mark.parametrize(
    ("installed", "asked", "fits"),
    [
        ("23.0.1", ">=23.0.1", True),
        ("23.0.0", ">=23.0.1", False),
        ("9.1", ">=10", False),
        ("3.0", "<3,>=2.6", False),
        ("2.13.0+cpu", "<3,>=2.6", True),
        ("5.0rc1", ">=4", True),
        ("1", "", True),
        (None, "", False),
    ],
)
def test_versions_are_held_against_their_ranges(installed: str | None, asked: str, fits: bool) -> None:
    assert Package("one", "", installed, asked).fits is fits


def test_the_packages_are_those_that_the_project_asks_for() -> None:
    found = packages()
    assert found[0].name == "python"
    assert {"torch", "pyarrow"} <= {package.name for package in found if not package.extra}
    assert ("images", "datasets") in {(package.extra, package.name) for package in found}
    assert all(package.installed for package in found if not package.extra)


def test_how_equal_a_repeat_will_be_is_said() -> None:
    here = environment(1) | {"device": "cpu"}
    assert expectation(here, here | {"cores": "64"}).endswith("equal to the bit")
    for name, words in (
        ("threads", "last digits"),
        ("instructions", "last digits"),
        ("scipy", "last digits"),
        ("torch", "the split and the batches may be others"),
        ("skedastic", "equal to the bit where"),
    ):
        written = here | {name: "other"}
        assert differences(written, here) == [(name, "other", here[name])]
        assert words in expectation(written, here)
    assert "GPU" in expectation(here | {"device": "cuda (H200)"}, here)
