"""The workers of a Dask cluster: what is refused, and what workers warn of."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest
import torch

import skedastic as sk
from skedastic.runtime import cluster
from skedastic.runtime.cluster import connected, packed, scheduler_of
from skedastic.runtime.limits import limits
from tests.support.clusters import dask_cluster, waited_for
from tests.support.paths import ROOT, SOURCE
from tests.support.refusals import refused


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("tcp://127.0.0.1:8786", "dask:tcp://HOST:PORT"),
        ("dask:127.0.0.1:8786", "dask:tcp://HOST:PORT"),
        ("dask:tcp://", "dask:tcp://HOST:PORT"),
        ("dask:tcp://127.0.0.1", "dask:tcp://HOST:PORT"),
        ("dask:tcp://127.0.0.1:abc", "dask:tcp://HOST:PORT"),
        ("dask:inproc://127.0.0.1:1", "dask:tcp://HOST:PORT"),
        ("", "other clusters than Dask's are not known"),
        ("ray:auto", "other clusters than Dask's are not known"),
    ],
)
def test_a_name_of_no_cluster_is_refused(name: str, rule: str) -> None:
    with refused("cluster", name, rule=rule):
        scheduler_of(name)


def test_without_the_package_the_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    name = "dask:tcp://127.0.0.1:1"
    with refused("cluster", name, rule="pip install 'skedastic[cluster]'"), connected(name):
        pass


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    monkeypatch.setattr(cluster, "WAIT", 0.5)
    name = "dask:tcp://127.0.0.1:1"
    with refused("cluster", name, rule="no scheduler answers there"), connected(name):
        pass
    assert capfd.readouterr() == ("", "")


def test_without_certificates_nothing_is_connected_to() -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    name = "dask:tls://127.0.0.1:1"
    with refused("cluster", name, rule="Dask has no certificates here"), connected(name):
        pass


def telling(item, shared):
    if item == "bad":
        raise sk.UserError("lower it", setting="train.lr", value=9.0)
    warnings.warn(f"the folder {item} is full", RuntimeWarning, stacklevel=1)
    return item, shared, torch.get_num_threads(), limits().pixels


@pytest.mark.slow
def test_outcomes_warnings_limits_and_errors_come_from_the_workers(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    both = {"PYTHONPATH": f"{SOURCE}:{ROOT}", "OMP_NUM_THREADS": "2"}
    with dask_cluster(tmp_path, **both) as there, connected(there.name) as workers, sk.allowing(pixels=5):
        with (
            pytest.warns(RuntimeWarning, match="the folder a is full"),
            workers.mapped(telling, ["a"], packed([1])) as done,
        ):
            assert list(done) == [("a", [1], 1, 5)]
        with refused("train.lr", 9.0, rule="on the worker tcp://"), workers.mapped(telling, ["bad"], packed(0)) as done:
            list(done)


def ending(item, shared):
    os._exit(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("known", "run", "rule"),
    [
        (f"{SOURCE}:{ROOT}", ending, "workers ended while they were at it"),
        ("nowhere", pow, "can't import what it needs"),
    ],
    ids=["every worker dies", "the package is not there"],
)
def test_what_no_worker_can_do_is_one_line(known: str, run, rule: str, tmp_path: Path, capfd) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    start = "import sys; sys.modules['skedastic'] = None"  # what is installed is not seen either
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "sitecustomize.py").write_text(start)
    known = known.replace("nowhere", str(tmp_path / "nowhere"))
    with dask_cluster(tmp_path, PYTHONPATH=known) as there, connected(there.name) as workers:
        waited_for(lambda: workers.workers == 2)
        with refused("cluster", there.name, rule=rule), workers.mapped(run, [2], packed(2)) as done:
            list(done)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("threads", "version", "value", "rule"),
    [(2, None, 2, "start workers of one thread"), (1, ("0", "0"), None, "here are skedastic 0 and torch 0")],
)
def test_workers_whose_figures_may_differ_are_refused(threads, version, value, rule, tmp_path, monkeypatch) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    with dask_cluster(tmp_path, threads=[threads]) as there, connected(there.name) as workers:
        if version is not None:
            monkeypatch.setattr(cluster, "_versions", lambda: version)
        with pytest.raises(sk.UserError, match=rule) as error, workers.mapped(pow, [2], packed(2)) as done:
            list(done)
    assert error.value.setting == "cluster"
    assert value in (None, error.value.value)
