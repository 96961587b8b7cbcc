"""The walk of docs/tutorial.md, in small form: its Python and its commands, one after the other."""

import shlex
from pathlib import Path

import pandas as pd
import pytest

import skedastic as sk
from skedastic.cli import main
from tests.support.pages import fenced

SMALL = {
    "estimate": ["--epochs", "2"],
    "fit": ["--epochs", "5"],
    "compare": ["--epochs", "1", "--seeds", "1", "--jobs", "1", "--limit", "300"],
}


@pytest.mark.slow
def test_the_walk_from_a_table_to_corrected_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fit, tiny = sk.fit, sk.TrainingConfig(epochs=1)
    monkeypatch.setattr(sk, "fit", lambda *given, **named: fit(*given, train=tiny, **named), raising=False)
    verbs = []
    for language, block in fenced("docs/tutorial.md"):
        if language == "python":
            exec(block, {})
        elif language == "":
            _, verb, *rest = shlex.split(block)
            verbs.append(verb)
            main([verb, *rest, *SMALL.get(verb, [])])
    assert list(dict.fromkeys(verbs)) == ["estimate", "fit", "suspects", "compare", "predict"]
    assert "labels corrected" in "".join(capsys.readouterr())
    table, check = pd.read_csv("digits.csv"), pd.read_csv("check.csv")
    assert (check["corrected"] == table["clean"][check["row"]].to_numpy()).all()
    assert len(pd.read_csv("predicted.csv")) == len(table)
