"""Checkpoints: a run that was interrupted, anywhere, ends with the weights that it would have had."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import skedastic as sk
from skedastic import cli
from skedastic.cli import console
from skedastic.errors import UserError
from skedastic.methods.erm import ERM
from skedastic.training import Checkpoints, train
from skedastic.training.checkpoints import Snapshot, files_of
from skedastic.training.tensor_files import read_tensors
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
        ({"data": replace(dataset(), x=dataset().x.roll(1, 1))}, "of other features"),
        ({"data": replace(dataset(), x=dataset().x.roll(3, 0))}, "of other features"),
        ({"training": replace(QUICK, epochs=9)}, "of other epochs"),
        ({"net": lambda: torch.nn.Sequential(torch.nn.Linear(5, 3))}, "size mismatch"),
    ],
    ids=["rows", "labels", "columns", "features", "epochs", "network"],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, change, reason) -> None:
    train(ERM(), dataset(), make_net, QUICK, checkpoints=Checkpoints(tmp_path))
    data, training, net = (change.get(k, v) for k, v in (("data", dataset()), ("training", QUICK), ("net", make_net)))
    with refused(str(tmp_path / "checkpoints" / "1-train.safetensors"), rule=reason):
        train(ERM(), data, net, training, checkpoints=Checkpoints(tmp_path))


def test_other_settings_are_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, settings="a = 1\n")
    trained(tmp_path, settings="a = 1\n")
    with refused("checkpoints", str(tmp_path)):
        Checkpoints(tmp_path, settings="a = 2\n")


DAMAGES = pytest.mark.parametrize("damage", [b"", b"not safetensors", None], ids=["empty", "text", "cut in two"])


def spoil(path: Path, damage: bytes | None) -> None:
    """Put other bytes in the place of a file; by default its first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)


def trained(folder: Path | None = None, every: float = 0, **more):
    kept = None if folder is None else Checkpoints(folder, every, **more)
    return train(ERM(), dataset(), make_net, QUICK, checkpoints=kept)


@DAMAGES
def test_the_one_before_takes_the_place_of_a_damaged_checkpoint(tmp_path: Path, damage) -> None:
    whole = trained(tmp_path)
    last, before = (tmp_path / "checkpoints" / f"1-train.safetensors{end}" for end in ("", ".before"))
    assert sorted(os.listdir(last.parent)) == [last.name, before.name]
    third = before.read_bytes()
    spoil(last, damage)
    with pytest.warns(UserWarning, match="is damaged.*the one before takes its place"):
        resumed = trained(tmp_path)
    assert same(tensors(resumed.state), tensors(whole.state))
    assert before.read_bytes() == third, "the damaged one is not put in the place of the one before"
    with safe_open(last, framework="pt") as file:
        assert json.loads(file.metadata()["facts"])["epoch"] == 4


def names(folder: Path) -> list[str]:
    return sorted(path.name.replace("-1-train.safetensors", "") for path in (folder / "checkpoints").iterdir())


def test_a_stage_that_has_ended_keeps_one_once_the_next_has_its_own(tmp_path: Path) -> None:
    whole = trained(tmp_path, name="a-")
    assert names(tmp_path) == ["a", "a.before"]
    trained(tmp_path, name="b-")
    assert names(tmp_path) == ["a", "b", "b.before"]
    assert same(tensors(trained(tmp_path, name="a-").state), tensors(whole.state))


@DAMAGES
def test_one_whose_last_is_damaged_keeps_the_one_before(tmp_path: Path, damage) -> None:
    whole = trained(tmp_path, name="a-")
    spoil(tmp_path / "checkpoints" / "a-1-train.safetensors", damage)
    trained(tmp_path, name="b-")
    assert names(tmp_path) == ["a", "a.before", "b", "b.before"]
    with pytest.warns(UserWarning, match="the one before takes its place"):
        assert same(tensors(trained(tmp_path, name="a-").state), tensors(whole.state))


def test_one_that_has_not_ended_keeps_both(tmp_path: Path) -> None:
    trained(tmp_path, name="a-")
    path = tmp_path / "checkpoints" / "a-1-train.safetensors"
    path.with_name(f"{path.name}.before").replace(path)  # as if it had been cut before its last epoch
    path.with_name(f"{path.name}.before").write_bytes(path.read_bytes())
    trained(tmp_path, name="b-")
    assert names(tmp_path) == ["a", "a.before", "b", "b.before"]


def test_what_a_training_run_keeps_can_be_removed(tmp_path: Path) -> None:
    for name in ("a-", "b-"):
        trained(tmp_path, name=name)
    Checkpoints(tmp_path).of("a").remove()
    assert names(tmp_path) == ["b", "b.before"]
    Checkpoints(tmp_path).of("b").remove()
    assert not tmp_path.exists()


def test_where_the_last_is_not_there_the_one_before_is_gone_on_with(tmp_path: Path) -> None:
    """A process was killed between two renames."""
    whole = trained(tmp_path)
    (tmp_path / "checkpoints" / "1-train.safetensors").unlink()
    assert Checkpoints(tmp_path).has_ended("1-train", 3)
    assert same(tensors(trained(tmp_path).state), tensors(whole.state))


@DAMAGES
def test_where_all_are_damaged_it_is_one_line(tmp_path: Path, damage) -> None:
    trained(tmp_path)
    path = tmp_path / "checkpoints" / "1-train.safetensors"
    for file in path.parent.iterdir():
        spoil(file, damage)
    with refused(str(path), rule="delete it, or start again"):
        trained(tmp_path)


@pytest.mark.parametrize("part", range(16))
def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path, part: int) -> None:
    """A checkpoint is read as it was written, or is refused."""
    trained(tmp_path, every=float("inf"))
    path = tmp_path / "checkpoints" / "1-train.safetensors"
    wanted, content = Checkpoints(tmp_path).read("1-train"), path.read_bytes()
    assert wanted is not None
    for place in range(part, len(content), 16 * 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        found = None
        with suppress(UserError):
            found = Checkpoints(tmp_path).read("1-train")
        if found is None:
            continue
        assert found.facts == wanted.facts
        assert found.tensors.keys() == wanted.tensors.keys()
        assert all(torch.equal(found.tensors[name], tensor) for name, tensor in wanted.tensors.items())


def test_a_checkpoint_of_before_there_were_checksums_is_gone_on_with(tmp_path: Path) -> None:
    whole = trained(tmp_path)
    folder = tmp_path / "checkpoints"
    path, before = folder / "1-train.safetensors", folder / "1-train.safetensors.before"
    found, texts = read_tensors(before)
    facts = {k: v for k, v in json.loads(texts["facts"]).items() if k not in ("features", "batches", "logged")}
    assert facts["epoch"] == 3
    save_file({k: v for k, v in found.items() if not k.startswith("logged.")}, path, {"facts": json.dumps(facts)})
    before.unlink()
    assert same(tensors(trained(tmp_path).state), tensors(whole.state))


@pytest.mark.parametrize("damage", [b"", b"a = ", b"a = 2\n", None], ids=["empty", "cut", "changed", "removed"])
def test_damaged_settings_are_written_again_from_the_checkpoints(tmp_path: Path, damage) -> None:
    whole = trained(tmp_path, settings="a = 1\n")
    config = tmp_path / "config.toml"
    config.unlink() if damage is None else config.write_bytes(damage)
    spoil(tmp_path / "checkpoints" / "1-train.safetensors", None)  # the one before has them too
    with pytest.warns(UserWarning, match=r"config\.toml' was damaged, and is written again"):
        kept = Checkpoints(tmp_path, 0, settings="a = 1\n")
    assert config.read_text("utf-8") == "a = 1\n"
    with pytest.warns(UserWarning, match="the one before takes its place"):
        assert same(tensors(train(ERM(), dataset(), make_net, QUICK, checkpoints=kept).state), tensors(whole.state))


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
        ("fit --resume nothing --set train.lr=0.1", "--resume", "nothing", "no interrupted run is there"),
        ("fit --resume nothing --set train.epochs=1", "--resume", "nothing", "but for train.lr and train.on_nan"),
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


def test_what_is_written_meanwhile_is_not_called_damaged(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, 0)

    def write() -> None:
        for epoch in range(100):
            kept.write("1-train", Snapshot({"a": torch.full((2000,), float(epoch))}, {"epoch": epoch, "epochs": 100}))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        found = [file for files in files_of(tmp_path) for file in files]
        assert not any(file.damage for file in found), found
    writer.join()
    assert [(file.epochs, file.has_ended) for file in files_of(tmp_path)[0]] == [(99, False), (98, False)]
