"""Items in processes of their own: outcomes in the order they are done, the caller's settings, nothing left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch

import skedastic as sk
from skedastic.runtime.processes import mapped
from tests.support.paths import SOURCE
from tests.support.refusals import refused

NEVER = "never written"


def waiting_for(file):
    """Return the name of the file once it is there; at once where there is no name."""
    while file and not Path(file).exists():
        time.sleep(0.05)
    return file


def failing_or_waiting(file):
    if not file:
        raise sk.UserError("the loss is nan; lower it", setting="train.lr", value=9.0)
    return waiting_for(file)


def killed_or_waiting(file):
    if not file:
        os.kill(os.getpid(), signal.SIGKILL)
    return waiting_for(file)


def settings(_):
    return torch.get_num_threads(), {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@pytest.mark.slow
def test_outcomes_come_in_the_order_they_are_done_and_nothing_is_left(tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    with mapped(waiting_for, [go, "", ""], 2) as outcomes:
        assert [next(outcomes), next(outcomes)] == ["", ""], "the first is not waited for"
        Path(go).touch()
        assert list(outcomes) == [go]
    assert not multiprocessing.active_children()


def warning(item):
    warnings.warn(f"the folder {item} is full", RuntimeWarning, stacklevel=1)
    return item


@pytest.mark.slow
def test_what_processes_warn_of_is_warned_of_here(capfd) -> None:
    with (
        pytest.warns(RuntimeWarning, match="the folder b is full"),
        pytest.warns(RuntimeWarning, match="the folder a is full"),
        mapped(warning, ["a", "b"], 2) as outcomes,
    ):
        assert sorted(outcomes) == ["a", "b"]
    assert capfd.readouterr().err == "", "the processes print nothing"


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 2])
def test_torch_has_one_thread_and_nothing_else_is_set(at_once) -> None:
    """As many threads for linear algebra as in this process: the last digits of a product depend on them."""
    with mapped(settings, [1, 2], at_once) as outcomes:
        assert list(outcomes) == [(1, settings(None)[1])] * 2


@pytest.mark.slow
def test_a_block_that_is_left_early_waits_for_nobody() -> None:
    with mapped(waiting_for, [NEVER, "", NEVER], 2) as outcomes:
        next(outcomes)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_an_error_crosses_with_its_fields_and_ends_the_others() -> None:
    with (
        refused("train.lr", 9.0, rule="the loss is nan; lower it"),
        mapped(failing_or_waiting, [NEVER, "", NEVER], 2) as outcomes,
    ):
        list(outcomes)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_killed_process_ends_the_others() -> None:
    with refused("jobs", 2, rule="a process died"), mapped(killed_or_waiting, [NEVER, "", NEVER], 2) as outcomes:
        list(outcomes)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_two_at_a_time_in_one_process_do_not_end_each_other(tmp_path: Path) -> None:
    go, outcomes = str(tmp_path / "go"), list[str]()

    def other():
        with mapped(waiting_for, [go, go], 2) as of_thread:
            outcomes.extend(of_thread)

    thread = threading.Thread(target=other)
    thread.start()
    with refused("train.lr", 9.0), mapped(failing_or_waiting, [NEVER, ""], 2) as failing:
        list(failing)
    Path(go).touch()
    thread.join(timeout=120)
    assert outcomes == [go, go]


@pytest.mark.slow
def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from skedastic.runtime.processes import mapped\n"
        "def squared(x):\n"
        "    return x**2\n"
        "with mapped(squared, [2, 3], 2) as squares:\n"
        "    assert sorted(squares) == [4, 9]\n"
        "print('once')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")
