"""Names that a set of scikit-learn and a file of the user's may share."""

import pandas as pd
import pytest

import skedastic as sk
from skedastic.data import open_source
from skedastic.data.sources.names import BUNDLED, built_in, exact_name, meaning_note
from tests.support.command_line import run
from tests.support.refusals import refused

ONE = {"method": "erm", "train": sk.TrainingConfig(epochs=1), "estimate": sk.Estimation(kind="none")}


SMALL = ("--epochs", 1, "--set", "model.width=8", "--set", "tokens.numbers=8")


@pytest.fixture
def empty(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def wine(empty):
    """A folder of texts with the name of a set of scikit-learn."""
    for label in ("red", "white"):
        (empty / "wine" / label).mkdir(parents=True)
        for i in range(10):
            (empty / "wine" / label / f"{i}.txt").write_text(f"a {label} one from the slopes, number {i}")
    return empty


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bare_name_means_the_set_where_nothing_else_has_it(empty, name) -> None:
    assert built_in(name) == built_in(f"sklearn:{name}") == name
    assert exact_name(name) == exact_name(f"sklearn:{name}") == f"sklearn:{name}"
    assert meaning_note(name) == (f"{name}: the set that comes with scikit-learn; sklearn:{name} always means it",)
    assert meaning_note(f"sklearn:{name}") == meaning_note("good.csv") == ()


def test_a_folder_comes_first(wine) -> None:
    assert open_source("wine").classes == ("red", "white")
    assert len(open_source("sklearn:wine")) == 178
    assert exact_name("wine") == "./wine"
    assert "the folder of that name" in meaning_note("wine")[0]


def test_a_file_comes_first(empty) -> None:
    (empty / "digits").write_text("x,label\n1,a\n")
    with refused("digits", rule="sklearn:digits is the set") as caught:
        open_source("digits")
    assert "without ending" in caught.value.rule
    assert len(open_source("sklearn:digits")) == 1797


def test_an_unknown_set_is_refused(empty) -> None:
    with refused("set of scikit-learn", "wyne", rule="did you mean 'wine'?"):
        open_source("sklearn:wyne")


def test_a_run_keeps_what_was_meant(empty, capsys: pytest.CaptureFixture[str]) -> None:
    result = sk.fit("iris", test=0.5, **ONE)
    assert result.config.source == "sklearn:iris"
    assert [note for note in result.notes if note.startswith("iris: the set")]
    result.save("run")
    pd.DataFrame({"x": [1.0, 2.0]}).to_csv("iris", index=False)  # which is not what the run learned from
    status, _, err = run(capsys, "predict", "run", "sklearn:iris", "--out", "p.csv")
    assert (status, "note" in err) == (0, False)
    assert len(pd.read_csv("p.csv")) == 150
    assert run(capsys, "fit", "--config", "run/config.toml", "--out", "again")[0] == 0
    assert not [note for note in sk.load_summary("again").notes if note.startswith("iris")]


def test_every_verb_says_which_is_taken(wine, capsys: pytest.CaptureFixture[str]) -> None:
    local = "note: wine: the folder of that name; sklearn:wine means the set that comes with scikit-learn"
    assert local in run(capsys, "fit", "wine", *SMALL, "--out", "run")[2]
    assert sk.load_summary("run").config.source == "./wine"
    assert local in run(capsys, "estimate", "wine", *SMALL)[2]
    assert local in run(capsys, "predict", "run", "wine", "--out", "p.csv")[2]
    assert local in run(capsys, "evaluate", "run", "wine")[2]
    line = ("compare", "wine", "--methods", "erm,unif", "--seeds", 1, "--jobs", 1, *SMALL, "--out", "both")
    assert local in run(capsys, *line)[2]
