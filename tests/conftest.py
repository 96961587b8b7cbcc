"""A working directory with files of all kinds, for the command line."""

import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

# In `make test &` Ctrl-C is ignored, and the processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the larger forms of tests out, unless they are asked for by `-m torture`."""
    if "torture" not in config.option.markexpr:
        larger = [item for item in items if item.get_closest_marker("torture")]
        config.hook.pytest_deselected(items=larger)
        items[:] = [item for item in items if item not in larger]


@pytest.fixture(scope="module")
def numbers():
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = generator.normal(size=(60, 3)) + y[:, None]
    return pd.DataFrame({"width": x[:, 0], "height": x[:, 1], "depth": x[:, 2], "quality": np.array(list("abc"))[y]})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers):
    """A working directory with files of all kinds, good and bad."""
    monkeypatch.chdir(tmp_path)
    last = numbers.assign(quality="a")
    numbers.to_csv("good.csv", index=False)
    numbers.to_parquet("good.parquet")
    numbers.head(0).to_csv("no_rows.csv", index=False)
    last.to_csv("one_class.csv", index=False)
    pd.concat([last.head(30), numbers.iloc[1:2]]).to_csv("one_example.csv", index=False)
    numbers.assign(price=np.where(np.arange(60) == 3, np.nan, np.arange(60) % 4)).to_csv("holes.csv", index=False)
    numbers.assign(price=5.0).to_csv("flat.csv", index=False)
    text = numbers.astype({"width": object})
    text.loc[7, "width"] = "wide"
    text.to_csv("text.csv", index=False)
    numbers.assign(quality="zebra").to_csv("other_labels.csv", index=False)
    numbers.drop(columns="depth").to_csv("column_short.csv", index=False)
    (tmp_path / "notes.csv").write_bytes(bytes(range(256)))
    (tmp_path / "broken.parquet").write_text("no parquet")
    (tmp_path / "notes.txt").write_text("some notes")
    (tmp_path / "null.json").write_text("null")
    (tmp_path / "far_null.json").write_text(" " * 70 + "null")
    (tmp_path / "null.jsonl").write_text('{"width": 1, "quality": "a"}\nnull\n')
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
def no_training(monkeypatch: pytest.MonkeyPatch):
    """Fail when anything is trained."""

    def trained(*_, **__):
        raise AssertionError("this must be refused before anything is trained")

    monkeypatch.setattr("skedastic.pipeline.steps.train", trained)
    monkeypatch.setattr("skedastic.noise.fold_networks.train", trained)
    monkeypatch.setattr("skedastic.runs.seeds.mapped", trained)
