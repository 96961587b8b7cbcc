"""Where a verb writes when no folder is named: a numbered folder, one for each run."""

import os
from pathlib import Path

import pytest

from skedastic.errors import UserError
from skedastic.runs.folder import reserved, unfinished, usual_folder
from skedastic.runtime.locks import locked
from tests.support.command_line import TINY, everything, refusal, run
from tests.support.refusals import check_refusal, refused

USUAL = Path("runs/fit-good")


@pytest.fixture
def empty(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("some/good.csv", "fit-good"),
        ("sklearn:digits", "fit-digits"),
        ("part-*.csv", "fit-part"),
        ("a b\x1b\n.csv", "fit-a-b"),
        ("hf:ylecun/mnist#train", "fit-mnist-train"),
        (f"{'long' * 60}.csv", f"fit-{'long' * 25}"),
    ],
)
def test_the_usual_folder_has_the_name_of_the_source(source, name) -> None:
    assert usual_folder("fit", source) == Path("runs") / name


def test_the_usual_folder_of_the_working_directory_has_its_name(empty) -> None:
    assert usual_folder("compare", ".").name.startswith(f"compare-{empty.name}")


def test_a_second_fit_gets_a_number_and_says_so(here, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("fit", "good.csv", "--target", "quality", "--method", "unif", "--set", "estimate.kind=none", *TINY)
    assert "Report: runs/fit-good/report.html" in run(capsys, *line)[1]
    first = (here / "runs/fit-good/state.json").read_bytes()
    status, out, err = run(capsys, *line)
    assert status == 0
    assert "Report: runs/fit-good-2/report.html" in out
    assert "note: runs/fit-good was there already, so this went to runs/fit-good-2" in err
    assert (here / "runs/fit-good/state.json").read_bytes() == first
    assert sorted(os.listdir(here / "runs")) == ["fit-good", "fit-good-2"]
    check_refusal(refusal(capsys, *line, "--out", "runs/fit-good"), "--out", "runs/fit-good", rule="not empty")
    assert run(capsys, *line, "--force")[0] == 0
    assert sorted(os.listdir(here / "runs")) == ["fit-good", "fit-good-2"], "--force replaces the usual folder"


def test_two_at_a_time_get_two_folders_and_leave_none_empty(empty) -> None:
    with reserved(None, USUAL, False) as first, reserved(None, USUAL, False) as second:
        assert (first, second) == (USUAL, Path("runs/fit-good-2"))
        (second / "model").write_text("whole")
    assert everything(empty) == ["runs", "runs/fit-good-2", "runs/fit-good-2/model"]
    with reserved(None, USUAL, False) as third:
        assert third == USUAL, "the first is free again"


def test_what_fails_leaves_nothing(empty) -> None:
    with pytest.raises(UserError), reserved(None, USUAL, False):
        raise UserError("no", setting="x")
    assert everything(empty) == []


def test_an_interrupted_run_is_named_and_not_passed_over(empty) -> None:
    USUAL.mkdir(parents=True)
    unfinished("runs/fit-good-2").mkdir()
    (unfinished("runs/fit-good-2") / "config.toml").write_text("")
    with refused("--out", "runs/fit-good-2", rule="--resume runs/fit-good-2, or") as caught:
        reserved(None, USUAL, False).__enter__()
    assert "--out runs/fit-good-2 --force" in caught.value.rule


def test_an_empty_folder_that_a_killed_run_left_is_named_too_and_one_that_a_run_has_taken_is_passed_over(empty) -> None:
    USUAL.mkdir(parents=True)
    unfinished(USUAL).mkdir()
    (unfinished(USUAL) / "config.toml").write_text("")
    with locked(unfinished(USUAL)), reserved(None, USUAL, False) as second:
        assert second == Path("runs/fit-good-2")
    with refused("--out", str(USUAL), rule=f"--resume {USUAL}, or"):
        reserved(None, USUAL, False).__enter__()


def test_a_file_in_place_of_the_folder_of_runs_is_refused(empty) -> None:
    Path("runs").write_text("")
    with refused("--out", "runs/fit-good", rule="can't be written"):
        reserved(None, USUAL, False).__enter__()


@pytest.mark.parametrize(
    ("line", "setting", "value"),
    [
        ("fit nowhere.csv --target a --set train.lr=0", "train.lr", 0.0),
        ("fit nowhere.csv --target a --limit 1", "limit", 1),
        ("fit good.csv --target qualty --epochs 0", "train.epochs", 0),
        ("fit good.csv --target quality --out mine --set method.gradient=exakt", "method.gradient", "exakt"),
        ("fit nowhere.csv --target a --model mpl", "model", "mpl"),
        ("fit nowhere.csv --target a --model mlp --set model.widht=3", "option of model 'mlp'", "widht"),
        ("fit nowhere.csv --target a --set train.device=gpu", "train.device", "gpu"),
        ("fit good.csv --target qualty --task regresion", "task", "regresion"),
        ("compare nowhere.csv --target a --strength -1", "method.strength", -1.0),
        ("compare good.csv --target quality --out mine --seeds 0", "seeds", 0),
        ("estimate nowhere.csv --target a --set estimate.folds=1", "estimate.folds", 1),
    ],
)
def test_settings_are_told_before_files_columns_and_folders(
    line, setting, value, here, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(here)
    check_refusal(refusal(capsys, *line.split(), alone=True), setting, value)
    assert everything(here) == before


@pytest.mark.parametrize(("form", "name"), [("torch-export", "model.pt2"), ("safetensors", "exported.safetensors")])
def test_an_export_without_a_name_lies_in_the_run(form, name, here, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("fit", "good.csv", "--target", "quality", "--method", "erm", "--set", "estimate.kind=none", *TINY)
    assert run(capsys, *line, "--out", "run")[0] == 0
    model = (here / "run/model.safetensors").read_bytes()
    status, out, _ = run(capsys, "export", "run", "--format", form)
    assert (status, out.startswith(f"run/{name}: {form}, equal to the network")) == (0, True)
    assert (here / "run" / name).is_file()
    assert (here / "run/model.safetensors").read_bytes() == model
    check_refusal(refusal(capsys, "export", "run", "--format", form), "--out", f"run/{name}", rule="there already")
    assert run(capsys, "export", "run", "--format", form, "--force")[0] == 0
    assert run(capsys, *line, "--out", "run", "--force")[0] == 0, "the folder is still one that skedastic wrote"


def test_an_unknown_format_is_refused_before_a_file_is_named(here, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "whole").mkdir()
    for name in ("state.json", "model.safetensors"):
        (here / "whole" / name).write_text("{}")
    check_refusal(refusal(capsys, "export", "whole", "--format", "onx"), "--format", "onx", rule="did you mean 'onnx'?")
