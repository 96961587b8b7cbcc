"""A comparison that is interrupted goes on: seeds that are done, and methods that are trained, are not run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skedastic.pipeline import compared
from skedastic.pipeline.steps import train_and_evaluate
from skedastic.runs.done_seeds import DoneSeeds
from skedastic.runs.folder import is_ours
from skedastic.runs.seeds import SeedOutcome
from skedastic.settings.config import Config
from skedastic.settings.reading import read
from skedastic.training.stage import StageRun
from tests.support.command_line import TINY, refusal, run
from tests.support.methods import dataset
from tests.support.refusals import check_refusal

COMPARED = (
    "compare",
    "good.csv",
    "--target",
    "quality",
    "--methods",
    "erm,har",
    "--seeds",
    3,
    *TINY,
    "--without-trees",
)
ONE = ("--jobs", 1)


def figures(folder: str) -> tuple[dict, list[dict]]:
    """Return all figures of a comparison but its seconds, and its seeds."""
    whole = json.loads(Path(folder, "compare.json").read_text())
    for method in whole["methods"].values():
        method.pop("seconds")
    seeds = [json.loads(line) for line in Path(folder, "seeds.jsonl").read_text().splitlines()]
    return whole, [{name: value for name, value in seed.items() if name != "seconds"} for seed in seeds]


class Stop:
    """Stands before a function, and interrupts its n-th call."""

    def __init__(self, function, n: int) -> None:
        self.function, self.left, self.calls = function, n, 0

    def __call__(self, *arguments, **named):
        self.left, self.calls = self.left - 1, self.calls + 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.function(*arguments, **named)


@pytest.fixture
def whole(here, capsys: pytest.CaptureFixture[str]) -> tuple[dict, list[dict]]:
    assert run(capsys, *COMPARED, *ONE, "--out", "whole")[0] == 0
    return figures("whole")


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2, 4, 6])
def test_one_that_was_interrupted_has_the_same_figures_in_the_end(
    nth: int, whole, here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as within:
        within.setattr(compared, "train_and_evaluate", Stop(train_and_evaluate, nth))
        status, _, err = run(capsys, *COMPARED, *ONE, "--out", "out")
    assert status == 130
    assert "skedastic compare --resume out" in err
    assert not Path("out").exists()
    done = {path.name for path in Path("out.unfinished/seeds").glob("?.json")}
    assert done == {f"{seed}.json" for seed in range((nth - 1) // 2)}
    error = refusal(capsys, *COMPARED, *ONE, "--out", "out")
    check_refusal(error, "--out", "out", rule="go on with --resume out")
    epochs = Stop(StageRun.run_epoch, 0)
    with monkeypatch.context() as within:
        within.setattr(StageRun, "run_epoch", lambda *arguments: epochs(*arguments))
        assert run(capsys, "compare", "--resume", "out", *ONE)[0] == 0
    assert figures("out") == whole
    assert not Path("out.unfinished").exists()
    of_seed = 2 + 2  # two models of the estimate, two methods, an epoch each
    begun, trained = divmod(nth - 1, 2)
    assert epochs.calls == of_seed * (3 - begun) - 2 - trained


@pytest.mark.slow
@pytest.mark.filterwarnings("default:.*is run again")
def test_what_is_damaged_is_run_again_and_said(
    whole, here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as within:
        within.setattr(compared, "train_and_evaluate", Stop(train_and_evaluate, 5))
        run(capsys, *COMPARED, *ONE, "--out", "out")
    first, second = (Path(f"out.unfinished/seeds/{seed}.json") for seed in (0, 1))
    first.write_text(first.read_text()[:-20])
    second.write_text("{}")
    status, out, err = run(capsys, "compare", "--resume", "out", *ONE)
    assert status == 0
    said = " ".join((out + err).split())
    assert "seed 0 is run again" in said
    assert "seed 1 is run again" in said
    assert figures("out") == whole


@pytest.mark.slow
def test_what_a_resume_is_refused(here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as within:
        within.setattr(compared, "train_and_evaluate", Stop(train_and_evaluate, 3))
        run(capsys, *COMPARED, *ONE, "--out", "out")
    check_refusal(refusal(capsys, "fit", "--resume", "out"), "--resume", "out", rule="skedastic compare --resume out")
    error = refusal(capsys, "compare", "--resume", "out", "--seeds", 4)
    check_refusal(error, "--resume", "out", rule="its own settings")
    check_refusal(
        refusal(capsys, "compare", "--resume", "other"), "--resume", "other", rule="no interrupted comparison"
    )
    assert run(capsys, *COMPARED, *ONE, "--out", "out", "--force")[0] == 0
    assert not Path("out.unfinished").exists()


def interrupted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a comparison that was interrupted in its second seed, after the first method."""
    with monkeypatch.context() as within:
        within.setattr(compared, "train_and_evaluate", Stop(train_and_evaluate, 4))
        assert run(capsys, *COMPARED, *ONE, "--out", "out")[0] == 130
    return Path("out.unfinished")


@pytest.mark.slow
def test_seeds_of_other_data_are_not_mixed(here, capsys, monkeypatch) -> None:
    kept, table = interrupted(capsys, monkeypatch), Path("good.csv").read_text()
    lines = table.splitlines(keepends=True)
    Path("good.csv").write_text("".join([lines[0], *reversed(lines[1:])]))
    error = refusal(capsys, "compare", "--resume", "out", *ONE)
    assert "the data are not those of the seeds that are done" in error.rule
    assert (kept / "seeds" / "0.json").exists()
    Path("good.csv").write_text(table)
    assert run(capsys, "compare", "--resume", "out", *ONE)[0] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("default:.*trained from the beginning", "default:.*was damaged")
def test_a_damaged_checkpoint_costs_one_training_and_damaged_settings_are_mended(
    whole, here, capsys, monkeypatch
) -> None:
    kept = interrupted(capsys, monkeypatch)
    files = list(kept.glob("seeds/1/checkpoints/estimate-1*"))
    assert files
    for file in files:
        data = bytearray(file.read_bytes())
        data[-5] ^= 1
        file.write_bytes(data)
    (kept / "config.toml").write_text((kept / "config.toml").read_text()[:100])
    status, out, err = run(capsys, "compare", "--resume", "out", *ONE)
    assert status == 0
    assert "it is trained from the beginning" in " ".join((out + err).split())
    assert figures("out") == whole


@pytest.mark.slow
@pytest.mark.filterwarnings("default:.*is run again")
@pytest.mark.parametrize(
    "damage", [lambda text: text[:-9], lambda text: text.replace("erm", "unif"), lambda text: "{}"]
)
def test_a_method_that_is_done_keeps_its_outcome_alone(damage, whole, here, capsys, monkeypatch) -> None:
    kept = interrupted(capsys, monkeypatch)
    assert {path.name for path in (kept / "seeds").iterdir()} == {"about.json", "0.json", "1", "1.1.json"}
    assert is_ours(kept)
    networks = ["estimate-1-1-train.safetensors", "estimate-2-1-train.safetensors"]
    assert sorted(path.name for path in (kept / "seeds" / "1" / "checkpoints").iterdir()) == networks
    file = kept / "seeds" / "1.1.json"
    file.write_text(damage(file.read_text()))
    status, out, err = run(capsys, "compare", "--resume", "out", *ONE)
    assert status == 0
    assert "erm with seed 1 is run again" in " ".join((out + err).split())
    assert figures("out") == whole


@pytest.mark.slow
def test_what_is_not_ours_is_not_replaced(here, capsys, monkeypatch) -> None:
    mine = interrupted(capsys, monkeypatch) / "seeds" / "1" / "thesis.tex"
    mine.write_text("mine")
    refusal(capsys, *COMPARED, *ONE, "--out", "out", "--force")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", '{"seconds": {}}', "", "null"])
def test_a_file_of_a_seed_may_hold_anything(text: str, tmp_path: Path) -> None:
    done = DoneSeeds(tmp_path, Config(source="x.csv"), [dataset(8), dataset(4)])
    (tmp_path / "seeds" / "0.json").write_text(text)
    with pytest.warns(UserWarning, match="seed 0 is run again"):
        assert done.read([0]) == []


def test_nothing_is_left_where_no_seed_has_begun(here, capsys: pytest.CaptureFixture[str]) -> None:
    refusal(capsys, *COMPARED, "--focus", "nobody", "--out", "out")
    assert not any("out" in path.name for path in Path().iterdir())


@pytest.mark.slow
def test_an_outcome_comes_back_as_it_was(here, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = {"source": "good.csv", "target": "quality", "test": "0.3", "limit": 120, "noise": "a<->b:0.2"}
    settings |= {"methods": ("erm", "har-auto", "auto"), "model": {"name": "mlp", "width": 8}}
    config = read(None, {**settings, "train": {"epochs": 2}})
    outcome = compared.compare_seed(config)
    done = DoneSeeds(tmp_path / "kept", config, [dataset(8), dataset(4)])
    done.write(outcome)
    (back,) = done.read([0, 1])
    assert back.to_dict() == outcome.to_dict()
    assert back.metrics == outcome.metrics
    assert back.trials == outcome.trials
    assert isinstance(back, SeedOutcome)
