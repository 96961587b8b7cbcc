"""Results: the content of a run folder, reading it back, and the refusals of damaged ones."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import skedastic as sk
from skedastic.methods.har import HAR
from skedastic.pipeline.gather import _data_uri
from skedastic.runs.folder import RUN_FILES
from skedastic.runs.sentences import fit_outcome
from skedastic.runs.summary import RunSummary
from tests.support.refusals import refused

TRAIN = sk.TrainingConfig(epochs=2, batch_size=32, device="cpu")


class Net(nn.Module):
    """A network of one's own, with tied weights, which safetensors does not take as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.second(self.first(x)))))


def table(labels):
    generator = np.random.default_rng(0)
    y = np.arange(90) % 3
    frame = pd.DataFrame(
        {
            "size": generator.normal(size=90) + y,
            "colour": np.array(["red", "green", None], dtype=object)[generator.integers(3, size=90)],
            "age": np.where(generator.random(90) < 0.2, np.nan, y),
        }
    )
    return frame, np.array(labels)[y]


@pytest.fixture(scope="module")
def fitted():
    x, y = table(["low", "middle", "high"])
    result = sk.fit(x, y, method=HAR(strength=0.5, gradient="exact"), test=0.3, train=TRAIN, model={"name": "mlp"})
    return x, result


@pytest.fixture
def folder(fitted, tmp_path: Path):
    fitted[1].save(tmp_path / "run")
    return tmp_path / "run"


def test_scripts_find_the_facts_of_the_data_at_the_top_of_the_state(fitted, tmp_path: Path) -> None:
    _, result = fitted
    result.save(tmp_path / "run")
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert state["classes"] == ["high", "low", "middle"]
    assert state["found"].startswith("90 rows")
    assert state["known"] == {"kinds": {"size": "number", "colour": "category", "age": "number"}}
    assert state["remarks"] == list(result.notes)


def test_a_loaded_result_is_the_saved_one(fitted, folder) -> None:
    x, result = fitted
    assert {path.name for path in folder.iterdir()} == set(RUN_FILES)
    loaded = sk.load(folder)
    assert np.array_equal(loaded.predict_proba(x), result.predict_proba(x))
    assert np.array_equal(loaded.predict(x.head(5)), result.predict(x.head(5)))
    assert loaded.method == result.method == HAR(strength=0.5, gradient="exact")
    assert torch.equal(loaded.strengths, result.strengths)
    assert loaded.group_stats.to_dict() == result.group_stats.to_dict()
    assert loaded.metrics == result.metrics
    assert loaded.history == result.history
    pd.testing.assert_frame_equal(loaded.label_issues, result.label_issues)
    pd.testing.assert_frame_equal(loaded.predictions, result.predictions)
    for name in ("target", "grouping", "train_count", "seconds", "notes", "true_noise"):
        assert getattr(loaded, name) == getattr(result, name), name


def test_the_figures_are_read_without_the_network(fitted, folder, monkeypatch: pytest.MonkeyPatch) -> None:
    _, result = fitted
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr(nn.Module, "__init__", lambda *_: pytest.fail("a network was built"))
    summary = sk.load_summary(folder)
    assert type(summary) is RunSummary
    assert not hasattr(summary, "predict")
    assert not hasattr(summary, "save")
    assert summary.metrics == result.metrics
    assert summary.shown_issues == result.shown_issues
    assert summary.issue_count == result.label_issues["is_issue"].sum()
    assert fit_outcome(summary) == fit_outcome(result)
    assert fit_outcome(result) in str(result)
    assert len(str(result).splitlines()) == 1
    pd.testing.assert_frame_equal(summary.predictions, result.predictions)


def test_predictions_agree_with_the_metrics(fitted) -> None:
    _, result = fitted
    predictions = result.predictions
    assert len(predictions) == result.metrics.overall.n == 27
    assert (predictions["label"] == predictions["predicted"]).mean() == result.metrics.overall.accuracy
    shares = predictions[[f"p_{c}" for c in result.classes]].to_numpy()
    assert np.allclose(shares.sum(1), 1, atol=1e-6)
    assert (np.array(result.classes)[shares.argmax(1)] == predictions["predicted"]).all()


@pytest.mark.parametrize("labels", [[3, 10, -7], ["3", "10", "-7"], ["a", "b", "c"], ["01", "1", "2"]])
def test_predicted_labels_are_of_the_kind_that_was_given(labels, tmp_path: Path) -> None:
    x, y = table(labels)
    result = sk.fit(x, y, method="erm", train=TRAIN, estimate=sk.Estimation(kind="none"))
    result.save(tmp_path / "run")
    for r in (result, sk.load(tmp_path / "run")):
        predicted = r.predict(x)
        assert {type(v) for v in predicted.tolist()} == {type(labels[0])}
        assert set(predicted) <= set(labels)


def test_a_network_of_ones_own_needs_its_function_again(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(60, 4)), [0, 1, 2] * 20
    result = sk.fit(x, y, model=Net, method="unif", train=TRAIN)
    result.save(tmp_path / "run")
    with refused(f"{tmp_path / 'run'}, model", rule="of your own"):
        sk.load(tmp_path / "run")
    assert np.array_equal(sk.load(tmp_path / "run", model=Net).predict_proba(x), result.predict_proba(x))
    with refused(f"{tmp_path / 'run'}, model.safetensors", rule="does not fit the network"):
        sk.load(tmp_path / "run", model=lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))


def test_images_are_predicted_alike(tmp_path: Path) -> None:
    x = torch.rand(60, 8, 8)
    result = sk.fit(x, torch.arange(60) % 3, train=TRAIN, method="unif")
    result.save(tmp_path / "run")
    loaded = sk.load(tmp_path / "run")
    assert np.array_equal(loaded.predict_proba(x.numpy()), result.predict_proba(x))
    assert loaded.predict(x[:1]).dtype.kind == "i"
    assert loaded.predict_proba(x[:0]).shape == (0, 3)


def test_a_folder_is_replaced_only_if_it_is_a_run_and_nothing_else(fitted, folder) -> None:
    _, result = fitted
    with refused("--out", str(folder), rule="not empty"):
        result.save(folder)
    result.save(folder, force=True)
    (folder / "notes.txt").write_text("mine")
    with refused("--out", str(folder), rule="did not write"):
        result.save(folder, force=True)
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def edit(name, change):
    def edited(folder):
        value = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(change(value)))

    return edited


def edit_state(part, change):
    return edit("state.json", lambda state: state | {part: change(state[part])})


def other_network(folder):
    tensors = load_file(folder / "model.safetensors")
    name = next(k for k in tensors if k.endswith("weight"))
    save_file(tensors | {name: torch.zeros(2, 2)}, folder / "model.safetensors")


WITHOUT = {
    "config.toml": (", config.toml", "it is not there"),
    "model.safetensors": ("", "it has no model.safetensors;"),
    "state.json": ("", "it has no state.json;"),
    **{
        name: (f", {name}", "it is not there")
        for name in RUN_FILES
        if name not in ("config.toml", "model.safetensors", "state.json", "report.html", "README.md")
    },
}


def flip(name):
    """Return the damage of one flipped bit in a file, in the middle of its last number."""

    def damage(folder):
        content = bytearray((folder / name).read_bytes())
        content[-2] ^= 1
        (folder / name).write_bytes(content)

    return damage


NO_FIT = (", model.safetensors", "does not fit the network")
DAMAGE = [  # name, damage, the place in the folder and a part of the rule that the error has
    *[
        (f"without {name}", lambda folder, name=name: (folder / name).unlink(), *expected)
        for name, expected in WITHOUT.items()
    ],
    ("cut safetensors", write("model.safetensors", b"\x08\0\0\0"), ", model.safetensors", "it is damaged"),
    ("one flipped bit", flip("model.safetensors"), ", model.safetensors", "it is damaged (its tensors are not as"),
    ("other safetensors", other_network, *NO_FIT),
    ("fewer tensors", lambda folder: save_file({}, folder / "model.safetensors"), *NO_FIT),
    ("binary state", write("state.json", b"\xff\xfe\0"), ", state.json", "UnicodeDecodeError"),
    ("cut state", write("state.json", b"{"), ", state.json", "JSONDecodeError"),
    ("state of another kind", write("state.json", b"[]"), ", state.json", "AttributeError"),
    (
        "state without encoder",
        edit_state("network", lambda s: s | {"encoder": {}}),
        ", state.json, the saved encoder",
        "KeyError",
    ),
    (
        "state without classes",
        edit_state("summary", lambda s: s | {"target": s["target"] | {"classes": None}}),
        ", state.json",
        "TypeError",
    ),
    (
        "state with another kind of target",
        edit_state("summary", lambda s: s | {"target": s["target"] | {"task": "ranking"}}),
        ", state.json, the saved target",
        "'ranking'",
    ),
    ("metrics without figures", edit("metrics.json", lambda m: m | {"overall": {}}), ", metrics.json", "KeyError"),
    (
        "state without seconds",
        edit_state("summary", lambda s: s.pop("seconds") and s),
        ", state.json",
        "KeyError: 'seconds'",
    ),
    (
        "state of another version",
        edit("state.json", lambda s: s | {"format": 3}),
        ", state.json",
        "format 3, and here 5",
    ),
    (
        "statistics of another kind",
        write("group_stats.json", b"[1]"),
        ", group_stats.json, GroupStats: count, counted, density, errors, names, uncertainty, uncertainty_high, "
        "uncertainty_low, wrong, wrong_high, wrong_low",
        "missing",
    ),
    (
        "statistics out of range",
        edit("group_stats.json", lambda s: s | {"density": [2.0] * 3}),
        ", group_stats.json, GroupStats: density",
        "in [0, 1]",
    ),
    ("cut metrics", write("metrics.json", b""), ", metrics.json", "JSONDecodeError"),
    ("cut history", write("history.jsonl", b'{"epoch"'), ", history.jsonl", "JSONDecodeError"),
    ("another stage", edit_state("network", lambda s: s | {"stages": ["none"]}), "", "no stage 'none', only train"),
    (
        "shown issues of another kind",
        write("suspects_shown.jsonl", b'{"index": 1}'),
        ", suspects_shown.jsonl",
        "TypeError",
    ),
    ("cut table", write("predictions.parquet", b"PAR1"), ", predictions.parquet", "ArrowInvalid"),
    ("configuration of another kind", write("config.toml", b"== no TOML"), ", config.toml", "not TOML"),
    (
        "unknown method",
        write("config.toml", b'[method]\nname = "haar"'),
        ", config.toml, method",
        "did you mean 'har'?",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "place", "rule"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE])
def test_a_damaged_run_is_refused_with_the_damaged_part(damage, place, rule, folder) -> None:
    damage(folder)
    with refused(f"{folder}{place}", rule=rule):
        sk.load(folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "file", "."):
        with refused(str(tmp_path / name), rule="not a run folder"):
            sk.load(tmp_path / name)


def test_nothing_pickled_is_read(folder) -> None:
    for path in folder.iterdir():
        assert path.suffix in (".toml", ".safetensors", ".json", ".jsonl", ".parquet", ".html", ".md")


def test_a_saved_folder_can_be_moved(folder, fitted) -> None:
    shutil.move(folder, folder.parent / "moved")
    assert np.array_equal(sk.load(folder.parent / "moved").predict(fitted[0]), fitted[1].predict(fitted[0]))


def test_a_small_suspect_image_is_shown_as_it_is_and_a_large_one_reduced() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)  # of all images the largest files

    def shown(pixels):
        kind, encoded = _data_uri(Image.fromarray(pixels)).removeprefix("data:image/").split(";base64,")
        return kind, len(encoded), Image.open(io.BytesIO(base64.b64decode(encoded)))

    kind, _, small = shown(noise[:64, :40])
    assert kind == "png"
    np.testing.assert_array_equal(np.asarray(small), noise[:64, :40])
    kind, size, large = shown(noise)
    assert (kind, large.size) == ("jpeg", (107, 160))
    assert size < 16_000
    assert shown(noise[..., 0])[2].mode == "L"
