"""Checkpoints: a run that was interrupted, anywhere, ends with the weights that it would have had."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

import skedastic as sk
from skedastic import cli
from skedastic.cli import console
from skedastic.methods.erm import ERM
from skedastic.training import Checkpoints, train
from tests.support import training as support
from tests.support.command_line import refusal
from tests.support.power_cut import PowerCut, cut_after
from tests.support.refusals import check_refusal, refused
from tests.support.signals import with_usual_signals
from tests.support.training import QUICK, TwoStages, dataset, make_net, same, tensors


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        support, "SEEN", {"classes": [], "drawn": [], "enriched": [], "stats": [], "rates": [], "first": []}
    )
    return support.SEEN


@pytest.mark.slow
@pytest.mark.parametrize("reinit", [False, True])
@pytest.mark.parametrize(
    ("stage", "epoch"), [("representation", 1), ("representation", 2), ("classifier", 1), ("classifier", 3)]
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_stages_streams_and_schedules_go_on_to_the_bit(tmp_path: Path, seen, stage, epoch, reinit, optimizer) -> None:
    method = TwoStages(reinit=reinit)
    training = replace(QUICK, optimizer=optimizer, lr=0.02, warmup=0.25, schedule="cosine")
    whole = train(method, dataset(), make_net, training, seed=3)
    drawn, seen["drawn"] = seen["drawn"], []
    kept = Checkpoints(tmp_path, every=0)
    with pytest.raises(PowerCut):
        train(method, dataset(), make_net, training, seed=3, progress=cut_after(stage, epoch), checkpoints=kept)
    resumed = train(method, dataset(), make_net, training, seed=3, checkpoints=Checkpoints(tmp_path, every=0))
    assert same(tensors(resumed.state), tensors(whole.state))
    assert resumed.history == whole.history
    assert torch.equal(torch.cat(seen["drawn"]), torch.cat(drawn)), "the second stream goes on where it stood"
    assert resumed.seconds > 0


def test_plain_sgd_without_momentum_goes_on(tmp_path: Path) -> None:
    training = replace(QUICK, momentum=0.0)
    whole = train(ERM(), dataset(), make_net, training)
    with pytest.raises(PowerCut):
        train(
            ERM(), dataset(), make_net, training, progress=cut_after("train", 2), checkpoints=Checkpoints(tmp_path, 0)
        )
    resumed = train(ERM(), dataset(), make_net, training, checkpoints=Checkpoints(tmp_path, 0))
    assert same(tensors(resumed.state), tensors(whole.state))


def test_finished_stages_are_not_trained_again(tmp_path: Path) -> None:
    done = train(ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path))
    epochs = []
    again = train(
        ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path), progress=lambda *at: epochs.append(at)
    )
    assert epochs == []
    assert same(tensors(again.state), tensors(done.state))
    assert again.history == done.history
    assert again.seconds == done.seconds


def test_only_as_often_as_asked_and_at_the_end_of_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write = Checkpoints.write

    def watched(self, stage, snapshot):
        written.append((stage, snapshot.facts["epoch"]))
        write(self, stage, snapshot)

    monkeypatch.setattr(Checkpoints, "write", watched)
    train(TwoStages(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path, every=float("inf")))
    assert written == [("1-representation", 2), ("2-classifier", 4)]
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["1-representation.safetensors", "2-classifier.safetensors"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": dataset(30)}, "of other shape"),
        ({"data": replace(dataset(), y=dataset().y.flip(0))}, "of other labels"),
        ({"training": replace(QUICK, epochs=9)}, "of other epochs"),
        ({"net": lambda: torch.nn.Sequential(torch.nn.Linear(5, 3))}, "size mismatch"),
    ],
    ids=["rows", "labels", "epochs", "network"],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, change, reason) -> None:
    train(ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path))
    data, training, net = (change.get(k, v) for k, v in (("data", dataset()), ("training", QUICK), ("net", make_net)))
    with refused(str(tmp_path / "checkpoints" / "1-train.safetensors"), rule=reason):
        train(ERM(), data, net, training, checkpoints=Checkpoints(tmp_path))


def test_other_settings_are_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, settings="a = 1\n")
    train(ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path, settings="a = 1\n"))
    with refused("checkpoints", str(tmp_path)):
        Checkpoints(tmp_path, settings="a = 2\n")


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None], ids=["empty", "text", "cut in two"])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, damage) -> None:
    train(ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path))
    path = tmp_path / "checkpoints" / "1-train.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    with refused(str(path), rule="delete it, or start again"):
        train(ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path))


def test_a_disk_that_is_full_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skedastic.training.tensor_files.save_file", full)
    with pytest.warns(UserWarning, match="No space left on device.*training goes on"):
        trained = train(ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path, 0))
    assert same(tensors(trained.state), tensors(train(ERM(), dataset(), make_net, QUICK).state))


def test_the_settings_are_written_once(tmp_path: Path) -> None:
    settings, written = "x = 1\n" * 100, []
    kept = Checkpoints(tmp_path, 0, settings)

    def note(*_) -> None:
        written.append((tmp_path / "config.toml").stat())

    train(ERM(), dataset(), make_net, QUICK, checkpoints=kept, progress=note)
    assert len(written) == 4
    assert len({(stat.st_ino, stat.st_mtime_ns) for stat in written}) == 1
    assert (tmp_path / "config.toml").read_bytes() == settings.encode()


def test_a_checkpoint_is_tensors_and_json(tmp_path: Path) -> None:
    train(ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path))
    with safe_open(tmp_path / "checkpoints" / "1-train.safetensors", framework="pt") as file:
        assert {"state.net.0.weight", "random.cpu", "optimizer.main.0.momentum_buffer"} <= set(file.keys())
        assert json.loads(file.metadata()["facts"])["epoch"] == 4


# The whole job, from Python and from the command line.


def arrays():
    y = np.arange(90) % 3
    return np.random.default_rng(0).normal(size=(90, 4)) + y[:, None], y


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "epoch"), [("estimate 1/2", 2), ("estimate 2/2", 3), ("mixup, half 1", 1), ("mixup, half 2", 2)]
)
def test_fit_goes_on_with_the_estimate_too(tmp_path: Path, stage, epoch) -> None:
    settings: dict[str, Any] = {
        "train": sk.TrainingConfig(epochs=3, batch_size=16, device="cpu"),
        "checkpoint_every": 0,
        "test": 0.3,
    }
    x, y = arrays()
    whole = sk.fit(x, y, **settings)
    with pytest.raises(PowerCut):
        sk.fit(x, y, **settings, checkpoints=tmp_path, progress=cut_after(stage, epoch))
    resumed = sk.fit(x, y, **settings, checkpoints=tmp_path)
    assert same(tensors(resumed.trained.state), tensors(whole.trained.state))
    assert resumed.group_stats.to_dict() == whole.group_stats.to_dict()
    assert resumed.label_issues.equals(whole.label_issues)
    assert resumed.metrics == whole.metrics
    with refused("checkpoints", str(tmp_path)):
        sk.fit(x, y, **settings, method=sk.HAR(strength=0.3), checkpoints=tmp_path)


def skedastic(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "skedastic", *map(str, arguments)],
        cwd=cwd,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=with_usual_signals,
    )


FIT = ("fit", "digits", "--limit", 200, "--set", "checkpoint_every=0", "--set", "train.device=cpu")


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_run_that_was_ended_is_resumed_from_the_command_line(tmp_path: Path, end) -> None:
    process = skedastic(*FIT, "--epochs", 100000, "--out", "run", cwd=tmp_path)
    kept = tmp_path / "run.unfinished" / "checkpoints" / "estimate-1-1-train.safetensors"
    while not kept.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(end)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-end if end == signal.SIGKILL else 128 + end), err
    if end != signal.SIGKILL:
        assert err.splitlines()[-1] == "error: interrupted; go on with: skedastic fit --resume run"
    assert sorted(os.listdir(tmp_path)) == ["run.unfinished"], "the run itself is whole or is not there"

    again = skedastic(*FIT, "--epochs", 100000, "--out", "run", cwd=tmp_path)
    assert again.wait(60) == 2
    assert "go on with --resume run, or start from scratch with --out run --force" in again.communicate()[1]


@pytest.mark.slow
def test_a_resumed_run_folder_is_the_one_that_would_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = [*map(str, FIT), "--method", "har", "--epochs", "3", "--test", "0.3"]
    cli.main([*line, "--out", "whole"])

    with monkeypatch.context() as patch:
        cut = cut_after("train", 2)
        patch.setattr(console.Shown, "__call__", lambda _, stage, done, total: cut(stage, done, total))
        with pytest.raises(PowerCut):
            cli.main([*line, "--out", "run"])
    cli.main(["fit", "--resume", "run"])
    capsys.readouterr()
    assert sorted(os.listdir()) == ["run", "whole"]
    for name in ("config.toml", "model.safetensors", "history.jsonl", "metrics.json", "predictions.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert os.listdir("run/checkpoints") == ["1-train.safetensors"]
    assert sk.load("run").metrics == sk.load("whole").metrics
    cli.main([*line, "--out", "run", "--force"])  # a folder with checkpoints is still one of ours


@pytest.mark.parametrize(
    ("line", "setting", "value", "rule"),
    [
        ("fit --resume nothing", "--resume", "nothing", "no interrupted run is there"),
        ("fit digits --resume nothing", "--resume", "nothing", "leave all others out"),
        ("fit --resume nothing --out other", "--resume", "nothing", "leave all others out"),
        ("fit --resume nothing --set train.lr=0.1", "--resume", "nothing", "leave all others out"),
        ("fit --resume nothing --ignore a", "--resume", "nothing", "leave all others out"),
        ("fit digits --set checkpoint_every=-1", "checkpoint_every", -1.0, ""),
        ("fit digits --set checkpoint_every=nan", "checkpoint_every", pytest.approx(math.nan, nan_ok=True), ""),
        ("fit digits --set checkpoint_every=often", "checkpoint_every", "often", ""),
    ],
)
def test_bad_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line, setting, value, rule
) -> None:
    monkeypatch.chdir(tmp_path)
    check_refusal(refusal(capsys, *line.split(), alone=True), setting, value, rule=rule)
    assert not os.listdir(tmp_path)


def test_an_unfinished_run_is_replaced_only_when_forced_and_only_if_it_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.unfinished").mkdir()
    (tmp_path / "run.unfinished" / "thesis.txt").write_text("my own")
    line = [*map(str, FIT), "--epochs", "1", "--out", "run"]
    for more in ([], ["--force"]):
        with pytest.raises(SystemExit) as ended:
            cli.main([*line, *more])
        assert ended.value.code == 2
    assert (tmp_path / "run.unfinished" / "thesis.txt").read_text() == "my own"
    (tmp_path / "run.unfinished" / "thesis.txt").unlink()
    (tmp_path / "run.unfinished" / "config.toml").write_text("")
    cli.main([*line, "--force"])
    assert sorted(os.listdir()) == ["run"]
    capsys.readouterr()
