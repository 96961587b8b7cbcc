"""The early checks: they need neither torch nor pandas, and refuse nothing that the later checks accept."""

import gzip
import json
import os
import struct
import subprocess
import sys
import tarfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest
from PIL import Image

from skedastic.cli import early
from skedastic.data import open_source
from skedastic.runs.load import load_summary
from skedastic.settings.layers import layered
from skedastic.settings.methods import compared_methods, the_method
from skedastic.settings.reading import build_config
from tests.support.command_line import TINY, refusal, run
from tests.support.paths import SOURCE
from tests.support.refusals import check_refusal, refused

HEAVY = ("torch", "numpy", "pandas", "sklearn", "scipy", "rich", "transformers", "PIL")
AT_ONCE = [  # a command line, the setting and the value that it is refused for, and a few words of the rule
    ("fit nowhere.csv --target quality", "nowhere.csv", None, "no such file"),
    ("fit digit", "digit", None, "did you mean 'digits'?"),
    ("fit *.csvv --target quality", "*.csvv", None, "no file matches"),
    ("fit notes.txt --target quality", "notes.txt", None, "ends in '.txt'"),
    ("fit", "source", None, "skedastic fit digits"),
    ("fit good.csv", "target", None, "(columns: width, height, depth, quality)"),
    ("fit good.csv --target qualty", "good.csv, target column", "qualty", "did you mean 'quality'?"),
    ("fit good.jsonl --target qualty", "good.jsonl, target column", "qualty", "did you mean 'quality'?"),
    ("fit good.csv --target quality --text widht", "good.csv, feature column", "widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --numeric widht", "good.csv, feature column", "widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --categorical widht", "good.csv, feature column", "widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --ignore widht", "good.csv, column to ignore", "widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --groups widht", "good.csv, groups column", "widht", "did you mean 'width'?"),
    (
        "fit good.csv --target quality --groups width,heigth",
        "good.csv, groups column",
        "heigth",
        "did you mean 'height'?",
    ),
    (
        "fit good.csv --target quality --group-by widht",
        "good.csv, column to group by",
        "widht",
        "did you mean 'width'?",
    ),
    ("fit good.csv --target quality --split widht", "good.csv, split column", "widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --truth widht", "good.csv, truth column", "widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --image widht", "good.csv, image column", "widht", "did you mean 'width'?"),
    ("fit good.csv --annotators widht", "good.csv, annotators column", "widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --test nowhere.csv", "nowhere.csv", None, "no such file"),
    ("fit good.csv --target quality --reference nowhere.csv", "nowhere.csv", None, "no such file"),
    ("fit good.csv --target quality --labels nowhere.csv", "nowhere.csv", None, "no such file"),
    ("fit good.csv --target quality --method haar", "method", "haar", "did you mean 'har'?"),
    ("fit good.csv --target quality --method haar(strength=1)", "method", "haar", "did you mean 'har'?"),
    ("fit good.csv --target quality --set method=haar", "method", "haar", "did you mean 'har'?"),
    ("compare good.csv --target quality --methods erm,haar", "method", "haar", "did you mean 'har'?"),
    ("compare good.csv --target quality --preset har-tabel1", "preset", "har-tabel1", "did you mean 'har-table1'?"),
    ("estimate good.csv --target qualty", "good.csv, target column", "qualty", "did you mean 'quality'?"),
    ("methods haar", "method", "haar", "did you mean 'har'?"),
    ("fit good.csv --target quality --set train.lr", "--set", "train.lr", "write key=value"),
    ("fit good.csv --target quality --set train.epcohs=3", "setting", "train.epcohs", "did you mean 'train.epochs'?"),
    ("fit good.csv --target quality --set trian.lr=3", "setting", "trian", "did you mean 'train'?"),
    ("fit --config unknown.toml", "setting", "train.epcohs", "did you mean 'train.epochs'?"),
    ("fit good.csv --target quality --test 1.5", "test", 1.5, "in (0, 1)"),
    ("fit --config nowhere.toml", "nowhere.toml", None, "No such file"),
    ("fit --config broken.toml", "broken.toml", None, "not TOML"),
    ("fit good.csv --target quality --out mine", "--out", "mine", "not empty"),
    ("fit good.csv --target quality --out mine --force", "--out", "mine", "did not write"),
    ("fit good.csv --target quality --out good.csv", "--out", "good.csv", "it is a file"),
    ("fit digits --epcohs 3", "--epcohs", None, "--epochs"),
    ("fit digits --seed x", "--seed", None, "'x' is not a valid integer"),
    ("fitt digits", "verb", "fitt", "did you mean 'fit'?"),
    ("predict nowhere good.csv --out new.csv", "nowhere", None, "not a run folder"),
    ("predict whole nowhere.csv --out new.csv", "nowhere.csv", None, "no such file"),
    ("predict whole good.csv --keep widht --out new.csv", "good.csv, column to keep", "widht", "did you mean 'width'?"),
    ("predict whole good.csv --out good.csv", "--out", "good.csv", "there already"),
    ("predict whole good.csv --out new.txt", "--out", "new.txt", "must end in .csv"),
    ("evaluate nowhere good.csv", "nowhere", None, "not a run folder"),
    ("evaluate whole nowhere.csv", "nowhere.csv", None, "no such file"),
    ("suspects nowhere", "nowhere", None, "not a run folder"),
    ("suspects whole --out good.csv", "--out", "good.csv", "there already"),
    ("export nowhere --out net.onnx", "nowhere", None, "not a run folder"),
    ("export whole --out good.csv", "--out", "good.csv", "there already"),
    ("export whole --rows nowhere.csv --out net.onnx", "nowhere.csv", None, "no such file"),
    ("show nowhere", "nowhere", None, "not a run folder"),
]
RUN_ALL = f"""
import contextlib, io, json, sys
from skedastic.cli import main
for line in json.load(sys.stdin):
    err = io.StringIO()
    try:
        with contextlib.redirect_stderr(err):
            main(line.split(" "))
        status = 0
    except SystemExit as stop:
        status, error = stop.code, stop.__context__
    setting = getattr(error, "setting", None) or getattr(error, "option_name", None) or error.param.opts[0]
    refusal = setting, getattr(error, "value", None), getattr(error, "rule", err.getvalue())
    print(json.dumps([status, refusal, err.getvalue(), [m for m in {HEAVY} if m in sys.modules]]))
"""


def python(code, *arguments, **more):
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(["-c", code] if code else []), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **more)


@pytest.fixture
def files(here, numbers):
    """The working directory, with a table in JSON lines and the files of a run."""
    numbers.to_json("good.jsonl", orient="records", lines=True)
    (here / "whole").mkdir()
    for name in ("state.json", "model.safetensors"):
        (here / "whole" / name).write_text("{}")
    return here


def test_slips_are_refused_without_anything_heavy(files) -> None:
    done = python(RUN_ALL, input=json.dumps([line for line, *_ in AT_ONCE]), check=True)
    stops = [json.loads(line) for line in done.stdout.splitlines()]
    for (line, setting, value, words), (status, refused_as, err, heavy) in zip(AT_ONCE, stops, strict=True):
        assert (status, heavy) == (2, []), f"{line}: {err}"
        assert err.startswith("error: "), line
        assert err.count("\n") == 1, line
        assert refused_as[:2] == [setting, value], f"{line}: {err}"
        assert words in refused_as[2], f"{line}: {err}"


def test_columns_of_parquet_are_known_without_pandas_or_torch(files) -> None:
    code = "import sys; from skedastic.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'pandas', 'sklearn', 'scipy') if m in sys.modules])"
    done = python(code, "fit", "good.parquet", "--target", "qualty", check=True)
    assert "did you mean 'quality'?" in done.stderr
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_the_first_line_names_the_source_before_torch_is_imported(files) -> None:
    done = python("", "-m", "skedastic", "fit", "good.csv", "--target", "quality", "--set", "train.lr=0")
    reading, error = done.stderr.splitlines()
    assert reading == "reading good.csv: 4 columns"
    assert error.startswith("error: train.lr=0")


def idx(folder):
    for name, dimensions, values in (("images.idx3", (4, 4, 4), 64), ("labels.idx1", (4,), 4)):
        head = bytes([0, 0, 8, len(dimensions)]) + struct.pack(f">{len(dimensions)}i", *dimensions)
        path = folder / f"train-{name.replace('.', '-')}-ubyte.gz"
        path.write_bytes(gzip.compress(head + bytes(i % 2 for i in range(values))))


def shards(folder):
    with tarfile.open(folder / "shard.tar", "w") as tar:
        for i in range(4):
            for ending, text in (("txt", f"{('good', 'bad')[i % 2]} words {i}"), ("cls", str(i % 2))):
                (folder / "part").write_text(text)
                tar.add(folder / "part", f"{i}.{ending}")


@pytest.fixture
def forms(here, numbers):
    """The working directory, with a source of each form."""
    halves = (here / "half-1.csv", here / "half-2.csv")
    for half, path in zip((numbers.head(30), numbers.tail(30)), halves, strict=True):
        half.to_csv(path, index=False)
    (here / "spaced.csv").write_text(" width ,quality, \n" + "".join(f"{i}.5,{'ab'[i % 2]},\n" for i in range(40)))
    (here / "semicolons.csv").write_text("width;quality\n" + "".join(f"{i}.5;{'ab'[i % 2]}\n" for i in range(40)))
    numbers.to_csv("tabs.tsv", index=False, sep="\t")
    numbers.rename(columns={"depth": "a,b"}).assign(**{"a,b": numbers["quality"].str.upper()}).to_csv(
        "comma.csv", index=False
    )
    numbers.set_index("depth").to_parquet("indexed.parquet")
    feather.write_feather(pa.Table.from_pandas(numbers), here / "good.feather")
    rows = numbers.to_dict("records")
    late = [{k: v for k, v in row.items() if i or k != "quality"} for i, row in enumerate(rows)]
    (here / "late.jsonl").write_text("\n".join(map(json.dumps, [*late[1:], *rows[:1]])))
    (here / "array.json").write_text(json.dumps(rows))
    votes = pd.DataFrame({"width": np.arange(40.0) ** 2, "votes": [[3, 1], [0, 2]] * 20})
    votes.to_parquet("votes.parquet")
    for i in range(4):
        (here / "images" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 50 * i).save(here / "images" / "ab"[i % 2] / f"{i}.png")
    (here / "images.csv").mkdir()
    idx(here)
    shards(here)
    return here


@pytest.mark.parametrize(
    "settings",
    [
        {"source": "good.csv", "target": "quality"},
        {"source": "half-*.csv", "target": "quality"},
        {"source": "spaced.csv", "target": "quality"},
        {"source": "semicolons.csv", "target": "quality"},
        {"source": "tabs.tsv", "target": "quality"},
        {"source": "comma.csv", "target": "quality", "groups": "a,b"},
        {"source": "good.csv", "target": "width", "groups": "quality,quality"},
        {"source": "good.csv", "target": "quality", "groups": "quantiles:width:3"},
        {"source": "good.csv", "target": "quality", "ignore": "width,height"},
        {"source": "good.csv", "target": "quality", "ignore": ["width"], "numeric": ("height",)},
        {"source": "good.parquet", "target": "quality"},
        {"source": "indexed.parquet", "target": "quality", "numeric": ("depth",)},
        {"source": "good.feather", "target": "quality"},
        {"source": "late.jsonl", "target": "quality"},
        {"source": "array.json", "target": "quality"},
        {"source": "votes.parquet", "annotators": ("counts:votes",)},
        {"source": "images"},
        {"source": "train-images-idx3-ubyte.gz"},
        {"source": "shard.tar", "target": "cls", "text": ("txt",)},
        {"source": "good.npz"},
        {"source": "good.npz", "target": "y"},
        {"source": "digits"},
        {"source": "iris"},
        {"source": "wine", "target": "cultivar"},
    ],
    ids=str,
)
def test_every_form_of_source_passes(settings, forms) -> None:
    early.check_data(settings)
    assert len(open_source(**build_config(settings).column_roles, source=settings["source"]))


def test_only_the_sources_that_a_verb_reads_are_looked_for(here) -> None:
    settings = {"source": "good.csv", "target": "quality", "test": "nowhere.csv"}
    early.check_data(settings, beside=("reference",))
    with refused("nowhere.csv", None, rule="no such file"):
        early.check_data(settings)
    for test in ("none", "0.2", 0.2):
        early.check_data(settings | {"test": test})


def test_a_column_that_is_a_number_in_the_settings_is_taken_as_its_writing(here) -> None:
    (here / "years.csv").write_text("2001,2002\n1,a\n2,b\n")
    assert early.check_data(layered(None, {"source": "years.csv"}, ["target=2002"])) == ["2001", "2002"]


@pytest.mark.parametrize(
    "method",
    ["har", "gce", "absgd(lam=5)", "absgd (lam=5)", "{name=absgd, loss=focal(gamma=2)}", {"name": "unif"}, {}],
    ids=str,
)
def test_methods_that_can_be_made_pass(method) -> None:
    settings = {"source": "digits", "method": method}
    early.check_method(settings)
    the_method(build_config(settings))


@pytest.mark.parametrize("methods", ["erm,har", "erm, absgd(lam=5, loss=focal)", ["erm", "gce"]], ids=str)
def test_methods_that_can_be_compared_pass(methods) -> None:
    settings = {"source": "digits", "methods": methods}
    early.check_methods(settings)
    compared_methods(build_config(settings))


def test_all_stands_for_every_method() -> None:
    early.check_methods({"methods": "all"})
    early.check_methods({})
    with refused("method", "all"):
        early.check_methods({"methods": "erm,all"})


def test_an_option_that_may_be_repeated_names_several_columns_by_comma(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text('a,b,"a,b",c\n1,2,3,4\n', "utf-8")
    for given, expected in (
        (("a,c",), ("a", "c")),
        (("a, c", "b"), ("a", "c", "b")),
        (("a,b",), ("a,b",)),
        (("a,b,c",), ("a", "b", "c")),
        (("workers:a,b", "c"), ("workers:a,b", "c")),
        (("c,workers:a",), ("c", "workers:a")),
        (("answers:one,two.csv",), ("answers:one,two.csv",)),
        (("a,d",), ("a", "d")),
    ):
        assert early.several("annotators", given, "t.csv") == expected
    assert early.several("ignore", ("a,c",), "nowhere.csv") == ("a,c",), "it is refused when the source is checked"


def test_the_command_line_splits_columns_at_commas(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"x": np.arange(60), "z": np.arange(60) % 7})
    for name in ("anna", "ben", "carl"):
        frame[name] = np.where(frame["x"] > 30, "yes", "no")
    frame.to_csv("t.csv", index=False)
    line = ("--set", "estimate.kind=annotators", "--method", "erm", *TINY, "--out", "run")
    assert run(capsys, "fit", "t.csv", "--annotators", "anna,ben", "--ignore", "carl,z", *line)[0] == 0
    config = load_summary("run").config
    assert (config.annotators, config.ignore) == (("anna", "ben"), ("carl", "z"))
    assert run(capsys, "predict", "run", "t.csv", "--keep", "z,carl", "--out", "p.csv")[0] == 0
    assert list(pd.read_csv("p.csv").columns)[:3] == ["row", "z", "carl"]
    refused_line = ("fit", "t.csv", "--annotators", "anna,bn", *line[:-1], "other")
    check_refusal(refusal(capsys, *refused_line), "t.csv, annotators column", "bn")
