"""The early checks: they answer without torch or pandas, and refuse nothing that the deep ones would take."""

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
from skedastic.errors import UserError
from skedastic.settings.layers import layered
from skedastic.settings.methods import compared_methods, the_method
from skedastic.settings.reading import build_config
from tests.support.paths import SOURCE

HEAVY = ("torch", "numpy", "pandas", "sklearn", "scipy", "rich", "transformers", "PIL")
AT_ONCE = [
    ("fit nowhere.csv --target quality", "nowhere.csv: no such file"),
    ("fit digit", "did you mean 'digits'?"),
    ("fit *.csvv --target quality", "no file matches"),
    ("fit notes.txt --target quality", "ends in '.txt'"),
    ("fit", "no SOURCE"),
    ("fit good.csv", "name it with --target (columns: width, height, depth, quality)"),
    ("fit good.csv --target qualty", "good.csv: unknown target column 'qualty'; did you mean 'quality'?"),
    ("fit good.jsonl --target qualty", "did you mean 'quality'?"),
    ("fit good.csv --target quality --text widht", "unknown feature column 'widht'; did you mean 'width'?"),
    ("fit good.csv --target quality --numeric widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --categorical widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --ignore widht", "unknown column to ignore 'widht'; did you mean 'width'?"),
    ("fit good.csv --target quality --groups widht", "unknown groups column 'widht'; did you mean 'width'?"),
    ("fit good.csv --target quality --groups width,heigth", "did you mean 'height'?"),
    ("fit good.csv --target quality --group-by widht", "unknown column to group by 'widht'"),
    ("fit good.csv --target quality --split widht", "unknown split column 'widht'"),
    ("fit good.csv --target quality --truth widht", "unknown truth column 'widht'"),
    ("fit good.csv --target quality --image widht", "unknown image column 'widht'"),
    ("fit good.csv --annotators widht", "unknown annotators column 'widht'"),
    ("fit good.csv --target quality --test nowhere.csv", "nowhere.csv: no such file"),
    ("fit good.csv --target quality --reference nowhere.csv", "nowhere.csv: no such file"),
    ("fit good.csv --target quality --labels nowhere.csv", "nowhere.csv: no such file"),
    ("fit good.csv --target quality --method haar", "unknown method 'haar'; did you mean 'har'?"),
    ("fit good.csv --target quality --method haar(strength=1)", "did you mean 'har'?"),
    ("fit good.csv --target quality --set method=haar", "did you mean 'har'?"),
    ("compare good.csv --target quality --methods erm,haar", "did you mean 'har'?"),
    (
        "compare good.csv --target quality --preset har-tabel1",
        "unknown preset 'har-tabel1'; did you mean 'har-table1'?",
    ),
    ("estimate good.csv --target qualty", "did you mean 'quality'?"),
    ("methods haar", "did you mean 'har'?"),
    ("fit good.csv --target quality --set train.lr", "write key=value"),
    (
        "fit good.csv --target quality --set train.epcohs=3",
        "unknown setting 'train.epcohs'; did you mean 'train.epochs'?",
    ),
    ("fit good.csv --target quality --set trian.lr=3", "unknown setting 'trian'; did you mean 'train'?"),
    ("fit --config unknown.toml", "unknown setting 'train.epcohs'; did you mean 'train.epochs'?"),
    ("fit good.csv --target quality --test 1.5", "test=1.5: must be a share of the rows in (0, 1)"),
    ("fit --config nowhere.toml", "No such file"),
    ("fit --config broken.toml", "is not TOML"),
    ("fit good.csv --target quality --out mine", "exists and is not empty"),
    ("fit good.csv --target quality --out mine --force", "did not write"),
    ("fit good.csv --target quality --out good.csv", "is a file"),
    ("fit digits --epcohs 3", "--epochs"),
    ("fit digits --seed x", "'x' is not a valid integer"),
    ("fitt digits", "unknown verb 'fitt'; did you mean 'fit'?"),
    ("predict nowhere good.csv --out new.csv", "'nowhere' is not a run folder"),
    ("predict whole nowhere.csv --out new.csv", "nowhere.csv: no such file"),
    ("predict whole good.csv --keep widht --out new.csv", "unknown column to keep 'widht'; did you mean 'width'?"),
    ("predict whole good.csv --out good.csv", "is there already"),
    ("predict whole good.csv --out new.txt", "the name must end in .csv"),
    ("evaluate nowhere good.csv", "'nowhere' is not a run folder"),
    ("evaluate whole nowhere.csv", "nowhere.csv: no such file"),
    ("suspects nowhere", "'nowhere' is not a run folder"),
    ("suspects whole --out good.csv", "is there already"),
    ("export nowhere --out net.onnx", "'nowhere' is not a run folder"),
    ("export whole --out good.csv", "is there already"),
    ("export whole --rows nowhere.csv --out net.onnx", "nowhere.csv: no such file"),
    ("show nowhere", "'nowhere' is not a run folder"),
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
        status = stop.code
    print(json.dumps([status, err.getvalue(), [m for m in {HEAVY} if m in sys.modules]]))
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


def test_slips_are_refused_without_anything_heavy(files):
    answer = python(RUN_ALL, input=json.dumps([line for line, _ in AT_ONCE]), check=True)
    answers = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(answers) == len(AT_ONCE)
    for (line, words), (status, err, heavy) in zip(AT_ONCE, answers, strict=True):
        assert (status, heavy) == (2, []), f"{line}: {err}"
        assert err.startswith("error: "), line
        assert err.count("\n") == 1, line
        assert words in err, f"{line}: {err}"


def test_columns_of_parquet_are_known_without_pandas_or_torch(files):
    code = "import sys; from skedastic.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'pandas', 'sklearn', 'scipy') if m in sys.modules])"
    answer = python(code, "fit", "good.parquet", "--target", "qualty", check=True)
    assert "did you mean 'quality'?" in answer.stderr
    assert answer.stdout == "[]\n"


def test_the_first_line_says_what_is_read_before_torch_is_imported(files):
    answer = python("", "-m", "skedastic", "fit", "good.csv", "--target", "quality", "--set", "train.lr=0")
    reading, error = answer.stderr.splitlines()
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
def test_what_can_be_read_passes(settings, forms):
    early.check_data(settings)
    assert len(open_source(**build_config(settings).column_roles, source=settings["source"]))


def test_only_the_sources_that_a_verb_reads_are_looked_for(here):
    settings = {"source": "good.csv", "target": "quality", "test": "nowhere.csv"}
    early.check_data(settings, beside=("reference",))
    with pytest.raises(UserError, match="no such file"):
        early.check_data(settings)
    for test in ("none", "0.2", 0.2):
        early.check_data(settings | {"test": test})


def test_a_column_that_is_a_number_in_the_settings_is_taken_as_its_writing(here):
    (here / "years.csv").write_text("2001,2002\n1,a\n2,b\n")
    assert early.check_data(layered(None, {"source": "years.csv"}, ["target=2002"])) == ["2001", "2002"]


@pytest.mark.parametrize(
    "method",
    ["har", "gce", "absgd(lam=5)", "absgd (lam=5)", "{name=absgd, loss=focal(gamma=2)}", {"name": "unif"}, {}],
    ids=str,
)
def test_methods_that_can_be_made_pass(method):
    settings = {"source": "digits", "method": method}
    early.check_method(settings)
    the_method(build_config(settings))


@pytest.mark.parametrize("methods", ["erm,har", "erm, absgd(lam=5, loss=focal)", ["erm", "gce"]], ids=str)
def test_methods_that_can_be_compared_pass(methods):
    settings = {"source": "digits", "methods": methods}
    early.check_methods(settings)
    compared_methods(build_config(settings))


def test_all_stands_for_every_method():
    early.check_methods({"methods": "all"})
    early.check_methods({})
    with pytest.raises(UserError, match="unknown method 'all'"):
        early.check_methods({"methods": "erm,all"})
