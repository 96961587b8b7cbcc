"""The command line: what it writes, and what it says of what it can't use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skedastic import pipeline
from skedastic.cli import main
from skedastic.comparison import SeedOutcome
from skedastic.data import open_source
from skedastic.folder import COMPARISON_FILES, RUN_FILES

PACKAGE = Path(__file__).parent.parent / "src"
TINY = ("--epochs", "1", "--set", "model.width=8", "--set", "model.depth=1", "--limit", "120")
HEAVY = ("torch", "numpy", "pandas", "sklearn", "scipy", "rich", "plotly", "pyarrow", "torchmetrics", "cleanlab")


def run(capsys, *arguments):
    """Run the command line in this process; return the exit status, stdout and stderr."""
    capsys.readouterr()
    try:
        main([str(a) for a in arguments])
        status = 0
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


@pytest.fixture(scope="module")
def numbers():
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = generator.normal(size=(60, 3)) + y[:, None]
    return pd.DataFrame({"width": x[:, 0], "height": x[:, 1], "depth": x[:, 2], "quality": np.array(list("abc"))[y]})


@pytest.fixture
def here(tmp_path, monkeypatch, numbers):
    """A working directory with files of all kinds, good and bad."""
    monkeypatch.chdir(tmp_path)
    last = numbers.assign(quality="a")
    numbers.to_csv("good.csv", index=False)
    numbers.to_parquet("good.parquet")
    numbers.head(0).to_csv("no_rows.csv", index=False)
    last.to_csv("one_class.csv", index=False)
    pd.concat([last.head(30), numbers.iloc[1:2]]).to_csv("one_example.csv", index=False)
    text = numbers.astype({"width": object})
    text.loc[7, "width"] = "wide"
    text.to_csv("text.csv", index=False)
    numbers.assign(quality="zebra").to_csv("other_labels.csv", index=False)
    numbers.drop(columns="depth").to_csv("column_short.csv", index=False)
    (tmp_path / "notes.csv").write_bytes(bytes(range(256)))
    (tmp_path / "broken.parquet").write_text("no parquet")
    (tmp_path / "notes.txt").write_text("some notes")
    x, y = numbers[["width", "height"]].to_numpy(), (np.arange(60) % 3)
    np.savez("good.npz", X=x, y=y)
    np.savez("nan.npz", X=np.where(np.arange(120).reshape(60, 2) == 9, np.nan, x), y=y)
    np.savez("words.npz", X=np.array([["1.5", "wide"]] * 60), y=y)
    (tmp_path / "broken.toml").write_text("source = \n")
    (tmp_path / "unknown.toml").write_text('source = "digits"\n[train]\nepcohs = 3\n')
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "looks_ours").mkdir()
    for name in ("config.toml", "state.json", "thesis.txt"):
        (tmp_path / "looks_ours" / name).write_text("years of work")
    return tmp_path


@pytest.fixture
def no_training(monkeypatch):
    """Fail when anything is trained."""

    def trained(*_, **__):
        raise AssertionError("this must be refused before anything is trained")

    monkeypatch.setattr("skedastic.pipeline.train", trained)
    monkeypatch.setattr("skedastic.estimate.train", trained)
    monkeypatch.setattr("skedastic.comparison.mapped", trained)


CSV = "good.csv --target quality"
BAD = [
    # the source
    ("fit", "no SOURCE"),
    ("fit nowhere.csv --target quality", "nowhere.csv: no such file"),
    ("fit digit", "digit: no such file; give digits"),
    ("fit notes.txt --target quality", "ends in '.txt'"),
    ("fit notes.csv --target quality", "notes.csv"),
    ("fit broken.parquet --target quality", "can't be read as a parquet table"),
    ("fit . --target quality", "a directory"),
    ("fit no_rows.csv --target quality", "no_rows.csv has no rows"),
    ("fit digits --target quality", "digits has no columns"),
    ("fit good.csv good.csv", "extra argument"),
    # the columns
    ("fit good.csv", "--target"),
    ("fit good.csv --target qualty", "did you mean 'quality'?"),
    ("fit good.csv --target quality --groups widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --ignore widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --ignore quality", "be ignored at once"),
    ("fit good.csv --target quality --truth clean", "unknown truth column 'clean'"),
    ("fit good.csv --target quality --ignore width --ignore height --ignore depth", "no column is left"),
    ("fit good.csv --target width", "regression"),
    ("fit one_class.csv --target quality", "every label is 'a'"),
    ("fit one_example.csv --target quality", "'b' with a single example"),
    ("fit text.csv --target quality", "line 9: 'wide' is not a number"),
    ("fit nan.npz", "X[4, 1] (row 4, column 1) is nan"),
    ("fit words.npz", "'wide', which is not a number"),
    ("fit good.npz --target z", "unknown array 'z'"),
    # the test set
    (f"fit {CSV} --test 1.5", "test=1.5: a fraction to hold out must be in (0, 1)"),
    (f"fit {CSV} --test 0", "test=0: a fraction"),
    (f"fit {CSV} --test nan", "test=nan: a fraction"),
    (f"fit {CSV} --test nowhere.csv", "nowhere.csv: no such file"),
    (f"fit {CSV} --test other_labels.csv", "label 'zebra' does not occur in the training data"),
    (f"fit {CSV} --test no_rows.csv", "no_rows.csv has no rows"),
    (f"fit {CSV} --test column_short.csv", "unknown feature column 'depth'"),
    (f"fit {CSV} --test good.npz", "good.npz"),
    (f"compare {CSV} --test none", "a comparison needs a test set"),
    # noise, imbalance, limit
    (f"fit {CSV} --noise a<->b:2", "'2' is no probability"),
    ("fit digits --noise 1<->77:0.1", "unknown class '77'"),
    (f"fit {CSV} --noise a<->a:0.1", "flipped to itself"),
    (f"fit {CSV} --noise unifrom:0.2", "unifrom"),
    (f"fit {CSV} --imbalance step:0.5", "'0.5' is no ratio"),
    (f"fit {CSV} --imbalance step:5:d", "unknown class 'd'"),
    (f"fit {CSV} --imbalance longtail", "is not understood"),
    (f"compare {CSV} --noise a<->b:2", "'2' is no probability"),
    (f"fit {CSV} --limit 1", "limit=1: must be at least 2"),
    (f"fit {CSV} --limit 3", "limit=3 is too few"),
    (f"fit {CSV} --limit many", "'many' is not a valid integer"),
    # names
    ("fitt digits", "did you mean 'fit'?"),
    ("fit digits --epcohs 3", "'--epochs'"),
    (f"fit {CSV} --method haar", "did you mean 'har'?"),
    (f"compare {CSV} --methods erm,haar", "did you mean 'har'?"),
    (f"compare {CSV} --methods erm,har,erm", "the same name stands twice"),
    (f"compare {CSV} --methods=", "unknown method ''"),
    (f"compare {CSV} --methods erm --strength 1", "strength"),
    (f"compare {CSV} --focus a,d", "unknown group in focus 'd'"),
    (f"compare {CSV} --focus a,a", "the same name stands twice"),
    (f"fit {CSV} --model mpl", "did you mean 'mlp'?"),
    (f"fit {CSV} --model resnet32", "try --model mlp"),
    (f"compare {CSV} --model mpl", "did you mean 'mlp'?"),
    (f"estimate {CSV} --model mpl", "did you mean 'mlp'?"),
    ("methods haar", "did you mean 'har'?"),
    # values
    (f"fit {CSV} --strength -1", "strength must be finite and at least 0"),
    (f"fit {CSV} --strength nan", "strength must be finite and at least 0"),
    (f"fit {CSV} --strength strong", "'strong' is not a valid float"),
    (f"fit {CSV} --method erm --strength 1", "unknown setting 'method.strength'"),
    (f"fit {CSV} --epochs 0", "train.epochs=0: epochs must be at least 1"),
    (f"fit {CSV} --seed -1", "seed=-1: must be a whole number from 0"),
    (f"compare {CSV} --seeds 0", "seeds=0: must be at least 1"),
    (f"compare {CSV} --jobs -1", "jobs=-1: must be at least 1"),
    (f"fit {CSV} --set train.lr=0", "train.lr=0.0: lr must be above 0"),
    (f"fit {CSV} --set train.lr=true", "train.lr=True: must be a number"),
    (f"fit {CSV} --set train.epochs=abc", "train.epochs='abc': must be a whole number"),
    (f"fit {CSV} --set train.epochs=2.5", "train.epochs=2.5: must be a whole number"),
    (f"fit {CSV} --set train.batch_size=1", "batch_size must be at least 2"),
    (f"fit {CSV} --set train.milestones=2", "fractions of the epochs"),
    (f"fit {CSV} --set train.optimizer=sdg", "did you mean 'sgd'?"),
    (f"fit {CSV} --set train.device=gpu", "train.device='gpu' can't be used here"),
    (f"compare {CSV} --set train.device=meta", "train.device='meta' can't be used here"),
    (f"fit {CSV} --set train.augment=crop-flip", "augment=crop-flip"),
    (f"fit {CSV} --set estimate.folds=1", "folds must be at least 2"),
    (f"fit {CSV} --set estimate.kind=paprr", "did you mean 'paper'?"),
    (f"fit {CSV} --set estimate.kind=none", "har needs each group's noise"),
    (f"compare {CSV} --set estimate.kind=none", "har needs each group's noise"),
    (f"estimate {CSV} --set estimate.kind=none", "leaves nothing to do"),
    (f"fit {CSV} --set model.width=0", "model.width=0"),
    (f"fit {CSV} --set model.widht=3", "did you mean 'width'?"),
    (f"compare {CSV} --set model.widht=3", "did you mean 'width'?"),
    (f"fit {CSV} --set model.name=3", "model.name=3: must be text"),
    (f"fit {CSV} --set method.name=3", "method.name=3: must be text"),
    (f"fit {CSV} --set method.gradient=exakt", "did you mean 'exact'?"),
    (f"fit {CSV} --set method.taps=bn*", "'bn*' matches no module"),
    (f"compare {CSV} --set method.taps=bn*", "'bn*' matches no module"),
    (f"fit {CSV} --set method.loss_function=hinge", "unknown loss 'hinge'"),
    (f"fit {CSV} --set method=har", "must be a table"),
    (f"fit {CSV} --set train=3", "must be a table"),
    (f"fit {CSV} --set train.lr.x=3", "must be a number"),
    (f"fit {CSV} --set trian.lr=3", "unknown setting 'trian'; did you mean 'train'?"),
    (f"fit {CSV} --set train.lr", "write key=value"),
    # the configuration
    ("fit --config nowhere.toml", "No such file"),
    ("fit --config notes.csv", "can't read the configuration"),
    ("fit --config broken.toml", "is not TOML"),
    ("fit --config unknown.toml", "unknown setting 'train.epcohs'; did you mean 'train.epochs'?"),
    # the folder to write
    (f"fit {CSV} --out mine", "exists and is not empty"),
    (f"fit {CSV} --out mine --force", "did not write"),
    (f"fit {CSV} --out looks_ours --force", "did not write"),
    (f"fit {CSV} --out good.csv", "is a file"),
    (f"fit {CSV} --out good.csv/run", "can't be written"),
    (f"fit {CSV} --out .", "is where you are"),
    (f"fit {CSV} --out .. --force", "is where you are"),
    (f"fit {CSV} --out {'long' * 80}", "can't be written"),
    (f"compare {CSV} --out mine --force", "did not write"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
@pytest.mark.usefixtures("no_training")
def test_bad_input_is_one_clear_line_and_nothing_is_written(line, words, here, capsys):
    before = everything(here)
    status, out, err = run(capsys, *line.split(" "))
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert everything(here) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody may write to")
@pytest.mark.usefixtures("no_training")
def test_a_folder_in_a_read_only_file_system_is_refused(here, capsys):
    status, _, err = run(capsys, *CSV.replace("good", "fit good").split(), "--out", "/proc/run")
    assert (status, err.count("\n")) == (2, 1)
    assert "--out '/proc/run' can't be written" in err


def test_the_module_is_the_command_and_its_errors_have_no_traceback(here):
    before = everything(here)
    answer = subprocess.run(
        [sys.executable, "-m", "skedastic", *f"compare {CSV} --methods erm,haar --out both".split()],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"},
    )
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: unknown method 'haar'; did you mean 'har'?")
    assert answer.stderr.count("\n") == 1
    assert everything(here) == before


@pytest.mark.parametrize(
    "code",
    ["import skedastic", "import skedastic\nskedastic.__dir__()", "from skedastic.cli import main\nmain(['--help'])"],
)
def test_help_and_import_load_nothing_heavy(code):
    code += f"\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_no_arguments_are_a_call_for_help(capsys):
    status, out, _ = run(capsys)
    assert status == 0
    assert "Usage: skedastic" in out
    assert "compare" in out


def test_fit_writes_a_run_folder_that_can_be_run_again_to_the_bit(here, capsys):
    line = ["fit", "good.csv", "--target", "quality", "--noise", "uniform:0.1", "--method", "unif", *TINY]
    status, out, _ = run(capsys, *line, "--seed", 3, "--strength", 0.5, "--set", "train.lr=0.1", "--out", "a/run")
    assert status == 0
    assert "a/run/report.html" in out
    assert "test rows are right" in out
    assert everything(here / "a") == sorted(["run", *(f"run/{name}" for name in RUN_FILES)])
    assert run(capsys, "fit", "--config", "a/run/config.toml", "--out", "again")[0] == 0
    for name in ("metrics.json", "model.safetensors", "group_stats.json", "config.toml"):
        assert (here / "again" / name).read_bytes() == (here / "a" / "run" / name).read_bytes()
    config = (here / "again" / "config.toml").read_text()
    assert 'name = "unif"' in config
    assert "strength = 0.5" in config
    assert run(capsys, *line, "--out", "again")[0] == 2
    assert run(capsys, *line, "--out", "again", "--force")[0] == 0
    assert everything(here / "again") == sorted(RUN_FILES)
    assert not [name for name in os.listdir(here) if name.startswith(".")]


def test_options_go_over_the_file_and_set_over_both(here, capsys):
    (here / "some.toml").write_text(
        'source = "good.csv"\ntarget = "quality"\nseed = 1\n[train]\nepochs = 9\nlr = 0.3\n'
    )
    given = ("--config", "some.toml", "--epochs", 7, "--seed", 2, "--set", "train.epochs=1", "--set", "model.width=8")
    assert run(capsys, "fit", *given, "--out", "run")[0] == 0
    config = (here / "run" / "config.toml").read_text()
    for written in ("epochs = 1\n", "lr = 0.3\n", "seed = 2\n", "width = 8\n"):
        assert written in config


def test_a_run_without_test_set_or_estimate_is_written_too(here, capsys):
    line = (*CSV.replace("good", "fit good").split(), "--method", "erm", "--set", "estimate.kind=none", *TINY)
    status, out, _ = run(capsys, *line, "--test", "none", "--out", "run")
    assert status == 0
    assert "there is no test set" in out
    assert json.loads((here / "run" / "metrics.json").read_text()) is None
    assert json.loads((here / "run" / "group_stats.json").read_text()) is None
    assert run(capsys, "fit", "--config", "run/config.toml", "--out", "again")[0] == 0


def test_compare_writes_its_figures_and_a_report(here, capsys):
    line = ("compare", "good.parquet", "--target", "quality", "--methods", "erm,har", "--seeds", 2, "--jobs", 1)
    status, out, _ = run(capsys, *line, *TINY, "--focus", "a", "--strength", 0.3, "--out", "both")
    assert status == 0
    assert "har − erm" in out
    assert everything(here / "both") == sorted(COMPARISON_FILES)
    figures = json.loads((here / "both" / "compare.json").read_text())
    assert figures["focus"] == ["a"]
    assert run(capsys, "compare", "--config", "both/config.toml", "--jobs", 1, "--out", "again")[0] == 0
    assert json.loads((here / "again" / "compare.json").read_text())["paired"] == figures["paired"]


def test_what_goes_wrong_while_training_leaves_nothing(here, capsys):
    before = everything(here)
    line = (*CSV.replace("good", "fit good").split(), "--set", "train.lr=1e30", "--epochs", 3, "--out", "a/run")
    status, _, err = run(capsys, *line)
    assert status == 2
    assert "lower the learning rate" in err.splitlines()[-1]
    assert everything(here) == before


def test_an_interrupt_leaves_nothing_but_the_way_on(here, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    before = everything(here)
    monkeypatch.setattr("skedastic.report.html.render", interrupted)  # half of the folder is written by then
    status, _, err = run(capsys, *CSV.replace("good", "fit good").split(), *TINY, "--out", "a/run")
    assert status == 130
    assert err.splitlines()[-1] == "error: interrupted; go on with: skedastic fit --resume a/run"
    assert {name for name in everything(here) if "run.unfinished" not in name} == set(before) | {"a"}
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert run(capsys, "fit", "--resume", "a/run")[0] == 0
    assert os.listdir(here / "a") == ["run"]


def test_a_full_disk_is_one_line_and_leaves_what_was_there(here, capsys, monkeypatch):
    line = (*CSV.replace("good", "fit good").split(), *TINY, "--out", "run", "--force")
    assert run(capsys, *line)[0] == 0
    before = {name: (here / "run" / name).read_bytes() for name in RUN_FILES}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skedastic.report.html.render", full)
    status, _, err = run(capsys, *line)
    assert status == 2
    assert "No space left on device" in err.splitlines()[-1]
    assert {name: (here / "run" / name).read_bytes() for name in RUN_FILES} == before
    assert not [name for name in os.listdir(here) if name.startswith(".")]


def test_estimate_prints_a_table_or_json(here, capsys):
    status, out, _ = run(capsys, "estimate", "good.csv", "--target", "quality", "--noise", "a->b:0.4", *TINY, "--json")
    assert status == 0
    figures = json.loads(out)
    assert figures["names"] == ["a", "b", "c"]
    assert sum(figures["count"]) == 60
    assert max(figures["strengths"]) == 1
    assert len(figures["true_noise"]) == 3
    status, out, _ = run(capsys, "estimate", "good.csv", "--target", "quality", *TINY)
    assert status == 0
    assert "noise (95 %)" in out


def test_methods_are_listed_and_shown(capsys):
    status, out, _ = run(capsys, "methods")
    assert status == 0
    assert all(name in out for name in ("erm", "unif", "har"))
    assert "Heteroskedastic" in run(capsys, "methods", "har")[1]
    everyone = json.loads(run(capsys, "methods", "--json")[1])
    assert everyone["har"] == json.loads(run(capsys, "methods", "har", "--json")[1])
    assert everyone["unif"]["parameters"]["weighting"]["default"] == "uniform"


def test_an_error_of_a_worker_crosses_as_one_line(here, capsys, monkeypatch):
    monkeypatch.setattr("skedastic.pipeline.compare_seed", diverging)
    before = everything(here)
    line = ("compare", "good.csv", "--target", "quality", "--seeds", 2, "--jobs", 2, "--out", "both")
    status, _, err = run(capsys, *line)
    assert (status, err) == (2, "error: the loss is nan; lower the learning rate\n")
    assert everything(here) == before


def diverging(config) -> SeedOutcome:
    raise pipeline.UserError("the loss is nan; lower the learning rate")


@pytest.mark.parametrize("verb", ["fit", "compare"])
def test_tables_fit_80_columns_and_sentences_are_not_broken(verb, here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    jobs = ("--jobs", 1, "--seeds", 2) if verb == "compare" else ()
    status, out, _ = run(capsys, verb, "digits", "--noise", "1<->8:0.4", *TINY, *jobs, "--out", "a" * 90)
    assert status == 0
    lines = out.splitlines()
    starts = ("erm  ", "unif  ", "har  ", "unif − ", "har − ", *(f"{digit}  " for digit in range(10)))
    rows = [line for line in lines if line.startswith(starts)]
    assert len(rows) >= (6 if verb == "compare" else 10)  # a folded row would be two
    assert max(map(len, rows)) <= 80
    assert f"Report: {'a' * 90}/report.html" in lines
    assert any(line.endswith(".") and len(line) > 80 for line in lines)


def test_the_source_knows_whole_numbers(here):
    assert open_source("good.npz").integer_labels
    assert not open_source("good.csv", target="quality").integer_labels
