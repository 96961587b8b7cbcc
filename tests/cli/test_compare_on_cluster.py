"""`compare --cluster` on a real Dask cluster: the figures are those of one process, whatever dies meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from skedastic.runs.done_seeds import DoneSeeds
from tests.cli.test_compare_goes_on import COMPARED, ONE, figures
from tests.support.clusters import DaskCluster, dask_cluster, waited_for
from tests.support.command_line import refusal, run
from tests.support.refusals import check_refusal

pytest.importorskip("distributed", reason="needs the extra 'cluster'")
pytestmark = pytest.mark.slow

NETS = """
import os, time
from pathlib import Path
from torch import nn

def make(classes):
    if "HOLD" in os.environ:  # on a worker, which is held until the test lets it go
        Path(os.environ["HOLD"], f"{os.getpid()}.began").touch()
        while not Path(os.environ["HOLD"], "go").exists():
            time.sleep(0.05)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, classes))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as there:
        yield there


def test_a_worker_that_is_killed_costs_its_seed_alone(here, tmp_path: Path, capsys) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    hold = tmp_path / "hold"
    hold.mkdir()
    compared = [*COMPARED[: COMPARED.index("--epochs")], "--epochs", 1, "--model", f"{tmp_path / 'nets.py'}:make"]
    assert run(capsys, *compared, *ONE, "--out", "whole")[0] == 0
    with dask_cluster(tmp_path, HOLD=str(hold)) as there:

        def kill() -> None:
            waited_for(lambda: len(list(hold.glob("*.began"))) == 2)
            there.workers[0].kill()
            (hold / "go").touch()

        killer = Thread(target=kill)
        killer.start()
        status, _, err = run(capsys, *compared, "--cluster", there.name, "--out", "out")
        killer.join()
    assert status == 0, err
    assert "each is sent the data once, 0." in err
    assert there.workers[0].returncode == -9
    assert figures("out") == figures("whole")
    assert not Path("out.unfinished").exists()


def test_a_scheduler_that_is_lost_leaves_what_is_done_and_it_goes_on_here(here, tmp_path, capsys, monkeypatch) -> None:
    assert run(capsys, *COMPARED, *ONE, "--out", "whole")[0] == 0
    write = DoneSeeds.write
    with dask_cluster(tmp_path, threads=[1]) as there, monkeypatch.context() as within:

        def lose(done: DoneSeeds, outcome) -> None:
            write(done, outcome)
            there.scheduler.kill()
            there.scheduler.wait()

        within.setattr(DoneSeeds, "write", lose)
        error = refusal(capsys, *COMPARED, "--cluster", there.name, "--out", "out")
    check_refusal(error, "cluster", there.name, rule="the connection to the cluster was lost")
    assert f"skedastic compare --resume out --cluster {there.name})" in error.rule
    assert len(list(Path("out.unfinished/seeds").glob("?.json"))) == 1
    assert run(capsys, "compare", "--resume", "out", *ONE)[0] == 0
    assert figures("out") == figures("whole")


def test_an_interrupted_one_goes_on_there(cluster, here, capsys, monkeypatch) -> None:
    assert run(capsys, *COMPARED, *ONE, "--out", "whole")[0] == 0
    write = DoneSeeds.write

    def interrupt(done: DoneSeeds, outcome) -> None:
        write(done, outcome)
        raise KeyboardInterrupt

    with monkeypatch.context() as within:
        within.setattr(DoneSeeds, "write", interrupt)
        status, _, err = run(capsys, *COMPARED, "--cluster", cluster.name, "--out", "out")
    assert status == 130
    assert "skedastic compare --resume out" in err
    assert run(capsys, "compare", "--resume", "out", "--cluster", cluster.name)[0] == 0
    assert figures("out") == figures("whole")


def test_code_that_a_worker_lacks_is_said_with_the_worker(cluster, here, capsys) -> None:
    Path("nets_of_mine.py").write_text(NETS)
    compared = [*COMPARED[: COMPARED.index("--epochs")], "--epochs", 1, "--model", "nets_of_mine:make"]
    error = refusal(capsys, *compared, "--cluster", cluster.name, "--out", "out")
    check_refusal(error, "model", "nets_of_mine:make", rule="ModuleNotFoundError")
    assert "(on the worker tcp://127.0.0.1:" in error.rule
    assert not any("out" in path.name for path in Path().iterdir())


def test_jobs_and_a_cluster_are_not_both_asked_for(here, capsys) -> None:
    error = refusal(capsys, *COMPARED, "--jobs", 2, "--cluster", "dask:tcp://127.0.0.1:1", alone=True)
    check_refusal(error, "cluster", "dask:tcp://127.0.0.1:1", rule="--jobs is for this machine")
