"""Items in processes of their own: outcomes as they come, the caller's settings, and nothing left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import skedastic as sk
from skedastic.runtime.processes import mapped
from tests.support.paths import SOURCE

NEVER = "never written"


def waiting_for(file):
    """Return the name of the file once it is there; at once where there is no name."""
    while file and not Path(file).exists():
        time.sleep(0.05)
    return file


def failing_or_waiting(file):
    if not file:
        raise sk.UserError("the loss is nan; lower the learning rate")
    return waiting_for(file)


def killed_or_waiting(file):
    if not file:
        os.kill(os.getpid(), signal.SIGKILL)
    return waiting_for(file)


def settings(_):
    return torch.get_num_threads(), {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def test_outcomes_come_as_they_come_and_nothing_is_left(tmp_path):
    go = str(tmp_path / "go")
    with mapped(waiting_for, [go, "", ""], 2) as found:
        assert [next(found), next(found)] == ["", ""], "the first is not waited for"
        Path(go).touch()
        assert list(found) == [go]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("at_once", [1, 2])
def test_torch_has_one_thread_and_nothing_else_is_set(at_once):
    """As many threads for linear algebra as in this process: the last digits of a product depend on them."""
    with mapped(settings, [1, 2], at_once) as found:
        assert list(found) == [(1, settings(None)[1])] * 2


def test_a_block_that_is_left_early_waits_for_nobody():
    with mapped(waiting_for, [NEVER, "", NEVER], 2) as found:
        next(found)
    assert not multiprocessing.active_children()


def test_an_error_crosses_as_it_is_and_ends_the_others():
    refused = pytest.raises(sk.UserError, match=r"^the loss is nan; lower the learning rate$")
    with refused, mapped(failing_or_waiting, [NEVER, "", NEVER], 2) as found:
        list(found)
    assert not multiprocessing.active_children()


def test_a_killed_process_ends_the_others():
    refused = pytest.raises(sk.UserError, match=r"^a process died, .*; try fewer jobs, or one$")
    with refused, mapped(killed_or_waiting, [NEVER, "", NEVER], 2) as found:
        list(found)
    assert not multiprocessing.active_children()


def test_two_at_a_time_in_one_process_do_not_end_each_other(tmp_path):
    go, outcomes = str(tmp_path / "go"), list[str]()

    def other():
        with mapped(waiting_for, [go, go], 2) as found:
            outcomes.extend(found)

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(sk.UserError), mapped(failing_or_waiting, [NEVER, ""], 2) as found:
        list(found)
    Path(go).touch()
    thread.join(timeout=120)
    assert outcomes == [go, go]


def test_a_script_needs_no_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from skedastic.runtime.processes import mapped\n"
        "def squared(x):\n"
        "    return x**2\n"
        "with mapped(squared, [2, 3], 2) as found:\n"
        "    assert sorted(found) == [4, 9]\n"
        "print('once')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")
