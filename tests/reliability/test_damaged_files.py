"""Each file of a run, cut and with a flipped bit, over the commands that read it: one line, which names the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from skedastic.cli import main
from skedastic.pipeline import compared
from skedastic.pipeline.steps import train_and_evaluate
from tests.cli.test_compare_goes_on import COMPARED, Stop, figures
from tests.support.command_line import run
from tests.support.tables import frame

pytestmark = pytest.mark.slow
COMMANDS = {
    "show": "show run",
    "suspects": "suspects run --top 5",
    "predict": "predict run new.csv --out p.csv --force",
    "evaluate": "evaluate run data.csv",
}
FIGURES = tuple(COMMANDS)  # read by all of them
NETWORK = ("predict", "evaluate")
FILES = {
    "config.toml": FIGURES,
    "state.json": FIGURES,
    "group_stats.json": FIGURES,
    "metrics.json": FIGURES,
    "history.jsonl": FIGURES,
    "suspects_shown.jsonl": FIGURES,
    "predictions.parquet": FIGURES,
    "suspects.parquet": FIGURES,
    "model.safetensors": NETWORK,
    "encoder.safetensors": NETWORK,
    "clusters.safetensors": NETWORK,
}
OF_COMPARISON = (
    "config.toml",
    "seeds/about.json",
    "seeds/0.json",
    "seeds/1.1.json",
    "seeds/1/config.toml",
    "seeds/1/checkpoints/estimate-1-1-train.safetensors",
)
CUTS = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2 + 1],
}


def flipped(part: float) -> Callable[[bytes], bytes]:
    """Return the damage of a flipped bit, so far into a file."""

    def flip(content: bytes) -> bytes:
        place = int(part * (len(content) - 1))
        return content[:place] + bytes([content[place] ^ 1 << place % 7]) + content[place + 1 :]

    return flip


FLIPS = {f"bit at {part}": flipped(part) for part in (0, 0.2, 0.4, 0.5, 0.7, 0.9, 1)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run whose groups are clusters, a comparison that was interrupted, and their tables."""
    path = tmp_path_factory.mktemp("damaged")
    with pytest.MonkeyPatch.context() as within:
        within.chdir(path)
        data = frame().assign(words=[f"{('red', 'blue')[i % 2]} words of a row" for i in range(len(frame()))])
        data.to_csv("data.csv", index=False)
        data.head(20).to_csv("new.csv", index=False)
        fit = "fit data.csv --target label --ignore id --text words --method har --model mlp --groups cluster:2"
        main([*fit.split(), "--set", "model.width=8", "--epochs", "20", "--out", "run"])
        within.setattr(compared, "train_and_evaluate", Stop(train_and_evaluate, 4))
        two = [str(word) for word in (*COMPARED, "--jobs", 1, "--seeds", 2, "--set", "model.width=4")]
        two[two.index("good.csv")], two[two.index("quality")] = "data.csv", "label"
        with pytest.raises(SystemExit):
            main([*two, "--out", "both"])
        within.setattr(compared, "train_and_evaluate", train_and_evaluate)
        shutil.copytree("both.unfinished", "whole.unfinished")
        main(["compare", "--resume", "whole", "--jobs", "1"])
    return path


def is_named(name: str, status: int, err: str) -> bool:
    """Return whether a command was refused by a line that names the file; True where it noticed nothing."""
    assert "Traceback" not in err
    last = err.splitlines()[-1] if status else ""
    assert status in (0, 2), err
    return status == 0 or name in last


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_run_is_named(name: str, folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    file = folder / "run" / name
    content = file.read_bytes()
    try:
        for damage, change in {**CUTS, **FLIPS}.items():
            file.write_bytes(change(content))
            for verb, line in COMMANDS.items():
                status, _, err = run(capsys, *line.split())
                assert is_named(name, status, err), f"{verb}, {damage}: {err}"
                is_empty_list = damage == "empty" and name.endswith(".jsonl")
                told = name.endswith(".safetensors") or (damage in CUTS and not is_empty_list)
                must = verb in FILES[name] and told
                assert status == 2 or not must, f"{verb} does not notice: {damage}"
    finally:
        file.write_bytes(content)
    for line in COMMANDS.values():
        assert run(capsys, *line.split())[0] == 0


@pytest.mark.filterwarnings("default::UserWarning")
@pytest.mark.parametrize("name", OF_COMPARISON)
def test_a_damaged_file_of_a_comparison_costs_no_figure(name: str, folder: Path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "data.csv", tmp_path)
    for damage, change in (("half", CUTS["half"]), ("a flipped bit", flipped(0.5))):
        shutil.copytree(folder / "both.unfinished", "both.unfinished")
        file = Path("both.unfinished", name)
        content = file.read_bytes()
        file.write_bytes(change(content))
        status, out, err = run(capsys, "compare", "--resume", "both", "--jobs", 1)
        assert is_named(file.name, status, err), f"{damage}: {err}"
        if status == 2:
            file.write_bytes(content)
            assert run(capsys, "compare", "--resume", "both", "--jobs", 1)[0] == 0, damage
        else:
            assert file.name in " ".join((out + err).split()), f"{damage}: it is warned of"
        assert figures("both") == figures(str(folder / "whole")), damage
        shutil.rmtree("both")
