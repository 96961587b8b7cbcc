"""Groups that are clusters of held-out features: which they are, and that they are saved and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

import skedastic as sk
from skedastic import pipeline
from skedastic.cli import main
from skedastic.data import TextSettings
from skedastic.data.encoders.text import TextEncoder
from skedastic.noise.clusters import _by_size, _matched
from skedastic.runs.evaluate import evaluate_source
from skedastic.runs.load import load, load_summary
from skedastic.runs.predict import predict_source
from skedastic.settings.config import Config
from skedastic.settings.reading import read
from tests.support.refusals import refused

QUICK = sk.TrainingConfig(epochs=10)


def parity() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return digits, whether each is odd, and which it is."""
    digits = load_digits()
    return digits.data, np.where(digits.target % 2, "odd", "even"), digits.target


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    x, y, digit = parity()
    path = tmp_path_factory.mktemp("parity") / "parity.parquet"
    pd.DataFrame(x.astype(int), columns=[f"p{i}" for i in range(64)]).assign(parity=y, digit=digit).to_parquet(path)
    return str(path)


@pytest.fixture(scope="module")
def run(table: str) -> sk.Result:
    return sk.fit(
        table, target="parity", ignore=["digit"], groups="cluster:5", method="har", test=0.2, train=QUICK, seed=1
    )


@pytest.mark.slow
def test_the_clusters_of_the_odd_and_the_even_are_digits(run: sk.Result) -> None:
    _, y, digit = parity()
    assert run.groups == tuple(f"{c}/{i}" for c in ("even", "odd") for i in range(1, 6))
    assert sum(run.train_count) == 1438
    for c in ("even", "odd"):
        counts = [n for g, n in zip(run.groups, run.train_count, strict=True) if g.startswith(c)]
        assert counts == sorted(counts, reverse=True), "the largest first"
    tested = run.predictions.set_index("index")
    assert tested["group"].str.split("/").str[0].eq(y[tested.index]).all(), "of its own class, whatever was predicted"
    for c in ("even", "odd"):
        rows = tested[y[tested.index] == c]
        assert adjusted_rand_score(digit[rows.index], rows["group"]) > 0.3  # 0 by chance
    assert len(run.strengths) == len(run.group_stats.uncertainty) == 10
    assert "10 clusters of held-out features" in " ".join(run.notes)
    assert set(run.metrics.groups) == set(run.groups)


@pytest.mark.slow
def test_each_row_is_clustered_by_a_network_that_never_saw_it(table: str) -> None:
    config = read(
        None, {"source": table, "target": "parity", "ignore": ("digit",), "groups": "cluster:3", "train.epochs": 3}
    )
    estimated, data = pipeline.estimate(config)
    assert estimated.clusters is not None
    assert torch.equal(estimated.dataset.group, data.train.group)
    own = (estimated.fold == 0).nonzero().flatten()
    part = data.train.subset(own)
    assert torch.equal(estimated.clusters.of(part.x, part.y), part.group), "the first network's, of what it never saw"
    assert estimated.stats.names == estimated.clusters.names
    assert int(estimated.stats.count.sum()) == len(data.train)
    assert 1 / 3 < estimated.clusters.agreement <= 1


@pytest.mark.slow
def test_a_saved_run_says_the_same_of_other_rows(run: sk.Result, table: str, tmp_path: Path) -> None:
    run.save(tmp_path / "run")
    again = load(tmp_path / "run")
    x, _, _ = parity()
    predict_source(run, table, tmp_path / "one.csv")
    predict_source(again, table, tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    rows = pd.read_csv(tmp_path / "one.csv")
    assert rows["group"].str.split("/").str[0].eq(rows["predicted"]).all(), "of the predicted class"
    assert evaluate_source(run, table) == evaluate_source(again, table)
    assert set(evaluate_source(again, table).groups) == set(run.groups)
    assert load_summary(tmp_path / "run").groups == run.groups
    run.save(tmp_path / "run", force=True)
    assert len(x) == len(rows)


def test_numbers_are_clustered_too() -> None:
    rng = np.random.default_rng(0)
    kind = np.arange(300) % 2
    x = rng.normal(size=(300, 4)) + 6 * kind[:, None] * np.array([1, -1, 0, 0])
    y = x[:, 2] + np.where(kind, 3, -3) + rng.normal(size=300) * np.where(kind, 1.0, 0.1)
    result = sk.fit(x, y, task="regression", groups="cluster:2", test=0.3, train=QUICK, method="erm")
    assert result.groups == ("cluster/1", "cluster/2")
    group = result.predictions.set_index("index")["group"]
    assert max((group == g).eq(kind[group.index] == 1).mean() for g in result.groups) > 0.9


def colours(folder: Path) -> dict[str, Any]:
    """Write images of two classes, dark and bright ones of each; return what to train on and with."""
    rng = np.random.default_rng(0)
    for i in range(160):
        pixels = rng.integers(0, 60, (8, 8, 3)) + 150 * (i // 2 % 2)
        pixels[:, :, 2 * (i % 2)] += 45
        path = folder / "images" / ("warm", "cold")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels.astype(np.uint8)).save(path)
    return {"source": str(folder / "images"), "model": "cnn"}


def reviews(folder: Path) -> dict[str, Any]:
    """Write good and bad reviews, of films and of food; return what to train on and with."""
    rng = np.random.default_rng(0)
    about = (["film", "actor", "scene", "plot"], ["soup", "cook", "salt", "table"])
    opinion = (["bad", "poor", "dull"], ["good", "fine", "great"])
    words = [[*rng.choice(about[i // 2 % 2], 3), *rng.choice(opinion[i % 2], 2)] for i in range(160)]
    table = pd.DataFrame({"text": [" ".join(rng.permutation(w)) for w in words], "label": ["no", "yes"] * 80})
    table.to_csv(folder / "reviews.csv", index=False)
    model = {"name": "bilstm", "width": 8}
    return {"source": str(folder / "reviews.csv"), "target": "label", "text": ["text"], "model": model}


def pretrained(folder: Path) -> dict[str, Any]:
    """Return the reviews, and a small model of transformers that was saved with its tokenizer."""
    transformers = pytest.importorskip("transformers", reason="needs the extra 'hf'")
    given = reviews(folder)
    encoder = TextEncoder.fit(pd.read_csv(given["source"])["text"].tolist(), TextSettings(vocabulary=300))
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=encoder.vocabulary, max_position_embeddings=32, **small)
    transformers.BertModel(config).save_pretrained(folder / "bert")
    (folder / "bert" / "tokenizer.json").write_text(json.dumps(encoder.tokenizer))
    return given | {"model": f"hf:{folder / 'bert'}"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [colours, reviews, pretrained])
def test_images_and_texts_are_clustered_and_a_saved_run_says_the_same(
    kind: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    given = kind(tmp_path)
    training = sk.TrainingConfig(epochs=3, batch_size=16, optimizer="adam", lr=0.003)
    result = sk.fit(**given, groups="cluster:2", method="har", test=0.25, train=training)
    assert len(result.groups) == len(result.strengths) == 4
    assert sum(result.train_count) == 120
    result.save(tmp_path / "run")
    predict_source(result, given["source"], tmp_path / "one.csv")
    predict_source(load(tmp_path / "run"), given["source"], tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert set(pd.read_csv(tmp_path / "one.csv")["group"]) <= set(result.groups)


@pytest.mark.slow
def test_arrays_and_digits_and_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y, _ = parity()
    assert len(sk.fit(x, y, groups="cluster:2", method="erm", train=sk.TrainingConfig(epochs=1)).groups) == 4
    options = ["--groups", "cluster:2", "--methods", "erm,group-dro", "--epochs", "1", "--seeds", "2", "--jobs", "1"]
    main(["compare", "digits", *options, "--out", str(tmp_path / "out")])
    said, beside = capsys.readouterr()
    assert "20 clusters of held-out features" in beside
    assert "focus" not in said, "clusters are not the same in every seed"
    assert "worst group" in said


def test_networks_are_matched_by_what_they_share() -> None:
    ours = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3, 3, 3])
    theirs = torch.tensor([1, 1, 0, 0, 0, 2, 2, 3, 3, 2])
    match, same = _matched(ours, theirs, 2, 4)
    assert match.tolist() == [1, 0, 2, 3]
    assert same == 8


def test_clusters_are_ordered_by_size() -> None:
    group = torch.tensor([0, 1, 1, 2, 2, 2, 3, 3])
    assert _by_size(group, 2, 4).tolist() == [1, 0, 2, 3]
    assert _by_size(torch.tensor([0, 0, 1, 2]), 2, 4).tolist() == [0, 1, 2, 3], "the last may be empty"


@pytest.mark.parametrize(
    ("settings", "name", "rule"),
    [
        ({"groups": "cluster:"}, "groups", "from 2 to 1000"),
        ({"groups": "cluster:1"}, "groups", "from 2 to 1000"),
        ({"groups": "cluster:many"}, "groups", "from 2 to 1000"),
        ({"groups": "cluster:-3"}, "groups", "from 2 to 1000"),
        ({"groups": "cluster:2", "estimate": sk.Estimation(kind="none")}, "groups", "kind=cross-fit, not none"),
        ({"groups": "cluster:2", "estimate": sk.Estimation(kind="paper")}, "groups", "kind=cross-fit, not paper"),
        ({"groups": "cluster:2", "focus": ("even/1",)}, "focus", "not known beforehand"),
        ({"groups": "cluster:2", "bins": 4}, "bins", "not known beforehand"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], name: str, rule: str) -> None:
    value = "even/1" if name == "focus" else settings[name]
    with refused(name, value, rule=rule):
        Config(source="digits", **settings)


def test_too_few_rows_are_refused_before_training(no_training: None) -> None:
    x, y, _ = parity()
    with refused("groups", "cluster:12", rule="12 clusters found with 2 folds need 48"):
        sk.fit(x[:60], y[:60], groups="cluster:12", train=sk.TrainingConfig(epochs=1))


def test_too_few_kinds_of_rows_are_refused() -> None:
    few = np.arange(80) % 2
    with refused("groups", "cluster:3", rule="fewer than 3 kinds of rows apart in class"):
        sk.fit(few[:, None].astype(float), few, groups="cluster:3", train=sk.TrainingConfig(epochs=1))


class First(torch.nn.Module):
    """The first numbers of a vector: a network that ends in no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)[:, :2]


def test_a_network_without_a_last_layer_is_refused_before_training(no_training: None) -> None:
    x, y, _ = parity()
    with refused("model", rule="no last layer"):
        sk.fit(x, y, groups="cluster:2", model=First, method="erm", train=sk.TrainingConfig(epochs=1))


@pytest.mark.slow
def test_damaged_clusters_are_one_clear_line(run: sk.Result, tmp_path: Path) -> None:
    run.save(tmp_path / "run")
    path = tmp_path / "run" / "clusters.safetensors"
    tensors = load_file(path)
    save_file({n: t for n, t in tensors.items() if "weight" not in n}, path)
    with refused(f"{path.parent}, clusters.safetensors", None, rule="does not fit the network"):
        load(path.parent)
    save_file({n: t for n, t in tensors.items() if n != "means"}, path)
    with refused(str(path.parent), None, rule="means"):
        load(path.parent)
    path.write_bytes(b"nothing")
    with refused(f"{path.parent}, clusters.safetensors", None, rule="damaged"):
        load(path.parent)
    path.unlink()
    with refused(str(path.parent), None, rule="clusters.safetensors"):
        load(path.parent)
