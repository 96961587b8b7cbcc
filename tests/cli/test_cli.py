"""The command line: its files, its output, and what stays when something goes wrong on the way."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from skedastic.cli import console
from skedastic.data import Classes, open_source
from skedastic.errors import UserError
from skedastic.runs.folder import COMPARISON_FILES, RUN_FILES
from skedastic.runs.seeds import SeedOutcome
from tests.models.test_named_models import saved
from tests.support.command_line import CSV, TINY, everything, refusal, run
from tests.support.paths import SOURCE
from tests.support.refusals import check_refusal

HEAVY = ("torch", "numpy", "pandas", "sklearn", "scipy", "rich", "jinja2", "pyarrow", "cleanlab")


def test_the_module_is_the_command_and_its_errors_have_no_traceback(here) -> None:
    before = everything(here)
    done = subprocess.run(
        [sys.executable, "-m", "skedastic", *f"compare {CSV} --methods erm,haar --out both".split()],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown method 'haar'")
    assert done.stderr.count("\n") == 1
    assert everything(here) == before


@pytest.mark.parametrize(
    "code",
    ["import skedastic", "import skedastic\nskedastic.__dir__()", "from skedastic.cli import main\nmain(['--help'])"],
)
def test_help_and_import_load_nothing_heavy(code) -> None:
    code += f"\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_arguments_are_a_call_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys)
    assert status == 0
    assert "Usage: skedastic" in out
    assert "compare" in out


@pytest.mark.slow
def test_fit_writes_a_run_folder_that_can_be_run_again_to_the_bit(here, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["fit", "good.csv", "--target", "quality", "--noise", "uniform:0.1", "--method", "unif", *TINY]
    status, out, _ = run(capsys, *line, "--seed", 3, "--strength", 0.5, "--set", "train.lr=0.1", "--out", "a/run")
    assert status == 0
    assert "a/run/report.html" in out
    assert "test rows are right" in out
    written = [*RUN_FILES, "checkpoints", "checkpoints/1-train.safetensors"]
    assert everything(here / "a") == sorted(["run", *(f"run/{name}" for name in written)])
    assert run(capsys, "fit", "--config", "a/run/config.toml", "--out", "again")[0] == 0
    for name in ("metrics.json", "model.safetensors", "group_stats.json", "config.toml"):
        assert (here / "again" / name).read_bytes() == (here / "a" / "run" / name).read_bytes()
    config = (here / "again" / "config.toml").read_text()
    assert 'name = "unif"' in config
    assert "strength = 0.5" in config
    check_refusal(refusal(capsys, *line, "--out", "again"), "--out", "again", rule="not empty")
    assert run(capsys, *line, "--out", "again", "--force")[0] == 0
    assert everything(here / "again") == sorted(written)
    assert not [name for name in os.listdir(here) if name.startswith(".")]


@pytest.mark.slow
def test_options_go_over_the_file_and_set_over_both(here, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "some.toml").write_text(
        'source = "good.csv"\ntarget = "quality"\nseed = 1\n[train]\nepochs = 9\nlr = 0.3\n'
    )
    given = ("--config", "some.toml", "--epochs", 7, "--seed", 2, "--set", "train.epochs=1", "--set", "model.width=8")
    assert run(capsys, "fit", *given, "--out", "run")[0] == 0
    config = (here / "run" / "config.toml").read_text()
    for written in ("epochs = 1\n", "lr = 0.3\n", "seed = 2\n", "width = 8\n"):
        assert written in config


@pytest.mark.slow
def test_a_run_without_test_set_or_estimate_is_written_too(here, capsys: pytest.CaptureFixture[str]) -> None:
    line = (*CSV.replace("good", "fit good").split(), "--method", "erm", "--set", "estimate.kind=none", *TINY)
    status, out, _ = run(capsys, *line, "--test", "none", "--out", "run")
    assert status == 0
    assert "there is no test set" in out
    assert json.loads((here / "run" / "metrics.json").read_text()) is None
    assert json.loads((here / "run" / "group_stats.json").read_text()) is None
    assert run(capsys, "fit", "--config", "run/config.toml", "--out", "again")[0] == 0


def test_compare_writes_its_figures_and_a_report(here, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("compare", "good.parquet", "--target", "quality", "--methods", "erm,har", "--seeds", 2, "--jobs", 1)
    status, out, _ = run(capsys, *line, *TINY, "--focus", "a", "--strength", 0.3, "--out", "both")
    assert status == 0
    assert "har − erm" in out
    assert everything(here / "both") == sorted(COMPARISON_FILES)
    figures = json.loads((here / "both" / "compare.json").read_text())
    assert figures["focus"] == ["a"]
    assert run(capsys, "compare", "--config", "both/config.toml", "--jobs", 1, "--out", "again")[0] == 0
    assert json.loads((here / "again" / "compare.json").read_text())["paired"] == figures["paired"]


def test_an_interrupt_leaves_nothing_but_the_way_on(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    before = everything(here)
    monkeypatch.setattr("skedastic.runs.result.render", interrupted)  # half of the folder is written by then
    status, _, err = run(capsys, *CSV.replace("good", "fit good").split(), *TINY, "--out", "a/run")
    assert status == 130
    last, way = err.splitlines()[-1], "skedastic fit --resume a/run"
    assert last.startswith(f"error: interrupted; go on with: {way}; or take the best so far (linear model")
    assert last.endswith(f" with: {way} --finish")
    assert {name for name in everything(here) if "run.unfinished" not in name} == set(before) | {"a"}
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert run(capsys, "fit", "--resume", "a/run")[0] == 0
    assert os.listdir(here / "a") == ["run"]


def test_the_method_that_is_taken_is_said_before_the_training_and_in_the_report(
    here, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, *CSV.replace("good", "fit good").split(), *TINY, "--out", "run")
    assert status == 0
    said = "auto: no method is named, so several ways of training are tried, as far as rows and time allow; "
    said += "--method har trains the network alone"
    assert err.count(said) == 1
    assert err.index(said) < err.index("linear, half 1: ")
    assert said in (here / "run" / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_a_warning_is_a_note_once_without_a_line_of_code(here) -> None:
    pytest.importorskip("transformers", reason="needs the extra 'hf'")
    saved(here / "vit", "ViT")
    x = np.random.default_rng(0).integers(0, 200, size=(100, 16, 16, 3)).astype(np.uint8)
    np.savez(here / "pictures.npz", X=x, y=np.arange(100) % 3)
    (here / "file").write_text("no folder")
    frozen = ("pictures.npz", "--model", "hf:vit", "--set", "model.freeze=true", "--epochs", "1")
    cached = {**os.environ, "SKEDASTIC_CACHE": str(here / "file"), "PYTHONPATH": str(SOURCE)}
    for line in (("fit", *frozen), ("compare", *frozen, "--methods", "erm", "--seeds", "2", "--jobs", "2")):
        words = [sys.executable, "-m", "skedastic", *line]
        done = subprocess.run(words, cwd=here, env=cached, capture_output=True, text=True, check=True)
        lines = [line for line in done.stderr.splitlines() if "can't be kept" in line]
        assert lines == [f"note: features of rows can't be kept in {here / 'file' / 'features'} (Not a directory)"]
        assert "Warning" not in done.stderr


def test_a_full_disk_is_one_line_and_leaves_the_old_run(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (*CSV.replace("good", "fit good").split(), *TINY, "--out", "run", "--force")
    assert run(capsys, *line)[0] == 0
    before = {name: (here / "run" / name).read_bytes() for name in RUN_FILES}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skedastic.runs.result.render", full)
    check_refusal(refusal(capsys, *line), "--out", "run", rule="No space left on device")
    assert {name: (here / "run" / name).read_bytes() for name in RUN_FILES} == before
    assert not [name for name in os.listdir(here) if name.startswith(".")]


def test_estimate_prints_a_table_or_json(here, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "estimate", "good.csv", "--target", "quality", "--noise", "a->b:0.4", *TINY, "--json")
    assert status == 0
    figures = json.loads(out)
    assert figures["names"] == ["a", "b", "c"]
    assert sum(figures["count"]) == 60
    assert max(figures["strengths"]) == 1
    assert len(figures["true_noise"]) == 3
    assert figures["measured_noise"] is None
    status, out, _ = run(capsys, "estimate", "good.csv", "--target", "quality", *TINY)
    assert status == 0
    assert "uncertain (95 %)" in out


def test_methods_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "methods")
    assert status == 0
    assert all(name in out for name in ("erm", "unif", "har"))
    assert "Heteroskedastic" in run(capsys, "methods", "har")[1]
    everyone = json.loads(run(capsys, "methods", "--json")[1])
    of_numbers = json.loads(run(capsys, "methods", "--task", "regression", "--json")[1])
    assert of_numbers == {name: card for name, card in everyone.items() if "regression" in card["supports"]}
    assert "blend" in of_numbers
    check_refusal(refusal(capsys, "methods", "har", "--task", "regression", alone=True), "--task", "regression")
    assert everyone["har"] == json.loads(run(capsys, "methods", "har", "--json")[1])
    assert everyone["unif"]["parameters"]["weighting"]["default"] == "uniform"
    needs = {name: about["needs"] for name, about in everyone.items()}
    assert needs["har"] == ["classes or numbers", "an estimate of noise"]
    assert needs["unif"] == needs["erm"] == ["classes or numbers"]
    assert needs["ldam"] == needs["crt"] == ["classes", "a last nn.Linear"]
    assert needs["dmi"] == ["classes", "batches of as many as classes"]
    assert needs["group-dro"][1:] == ["groups: a column, or the classes"]
    assert out.split()[:4] == ["name", "method", "needs", "paper"]


@pytest.mark.slow
def test_an_error_of_a_worker_crosses_as_one_line(
    here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skedastic.pipeline.compare_seed", diverging)
    before = everything(here)
    line = ("compare", "good.csv", "--target", "quality", "--seeds", 2, "--jobs", 2, "--out", "both")
    check_refusal(refusal(capsys, *line), "train.lr", 9.0, rule="the loss is nan")
    assert everything(here) == before


def diverging(config, done) -> SeedOutcome:
    raise UserError("the loss is nan; lower it", setting="train.lr", value=9.0)


@pytest.mark.parametrize(("verb", "width"), [("fit", 80), ("compare", 60), ("compare", 80), ("compare", 120)])
def test_tables_fit_the_terminal_and_sentences_are_not_broken(
    verb, width: int, here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, request
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    console.out.cache_clear()  # which keeps its width
    request.addfinalizer(console.out.cache_clear)
    jobs = ("--jobs", 1, "--seeds", 2) if verb == "compare" else ()
    status, out, _ = run(capsys, verb, "digits", "--noise", "1<->8:0.4", *TINY, *jobs, "--out", "a" * 90)
    assert status == 0
    lines = out.splitlines()
    starts = ("erm  ", "unif  ", "har  ", "unif − ", "har − ", *(f"{digit}  " for digit in range(10)))
    rows = [line for line in lines if line.startswith(starts)]
    if verb == "compare":
        heads = [re.split(r"  +", line.strip()) for line in lines if "seconds" in line or "focus  " in line]
        first, second = ["focus", "rest", "overall"], ["balanced", "worst group", "seconds"]
        assert [column for head in heads for column in head] == [*first, *second]
        assert len(heads) == {60: 2, 120: 1}.get(width, len(heads))
        assert len(rows) == 6 * len(heads)  # a folded row would be two
    assert len(rows) >= (6 if verb == "compare" else 10)
    assert max(map(len, rows)) <= width
    assert f"Report: {'a' * 90}/report.html" in lines
    assert any(line.endswith(".") and len(line) > 80 for line in lines)


def test_the_source_knows_whole_numbers(here) -> None:
    for target, whole in (
        (open_source("good.npz").target, True),
        (open_source("good.csv", target="quality").target, False),
    ):
        assert isinstance(target, Classes)
        assert target.integer_labels == whole
