"""Features of a frozen body: those that it gives itself, once for each row, and again for what is damaged or new."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import skedastic as sk
from skedastic import models
from skedastic.core import find_taps
from skedastic.core.heads import run_with_features
from skedastic.models import kept_features, timm_models
from skedastic.models.kept_features import LEAST, KeptFeatures, fingerprint, keys_of
from skedastic.models.on_body import Layers, OfTimm
from skedastic.runs.network_file import ENDINGS, export_network
from tests.models.test_named_models import IMAGE, TEXT, pixels, saved, tokens
from tests.support.refusals import refused

pytest.importorskip("transformers", reason="needs the extra 'hf'")
KINDS = {"text": ("Bert", TEXT, tokens(40)), "images": ("ViT", IMAGE, pixels(n=40))}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for features, which this process has not read."""
    monkeypatch.setenv("SKEDASTIC_CACHE", str(tmp_path / "cache"))
    another_process()
    return tmp_path / "cache" / "features"


def another_process() -> None:
    """Forget what is kept in memory."""
    kept_features._kept_of.cache_clear()


def frozen(folder: Path, kind: str, **options: Any) -> Any:
    """Return a frozen network, in evaluation mode, which counts the rows that its body runs on."""
    name, inputs, _ = KINDS[kind]
    path = folder / kind
    if not path.exists():
        saved(path, name)
    torch.manual_seed(0)
    net: Any = models.make(f"hf:{path}", inputs, 3, {"freeze": True, **options}).eval()
    net.rows = []
    net.net.body.register_forward_hook(lambda _, args, out: net.rows.append(len(out.last_hidden_state)))
    return net


@pytest.mark.parametrize("kind", KINDS)
def test_the_body_runs_once_on_each_row_and_never_in_another_process(kind: str, tmp_path: Path, cache: Path) -> None:
    x, net, bare = KINDS[kind][2], frozen(tmp_path, kind), frozen(tmp_path, kind)
    bare.net.frozen = None
    expected = bare(x)
    torch.testing.assert_close(net(x), expected)
    torch.testing.assert_close(net(x.flip(0)), expected.flip(0))
    assert sum(net.rows) == 40
    assert len(list(cache.rglob("*"))) == 2, "a folder of the body and a file"
    assert not frozen_rows(tmp_path, kind, x), "in memory"
    another_process()
    assert not frozen_rows(tmp_path, kind, x), "on disk"
    another_process()
    other = x.clone()
    other[0] = other[1]
    other[2, ..., 0] += 1
    assert frozen_rows(tmp_path, kind, other) == [1], "the body sees what is new alone"


def frozen_rows(folder: Path, kind: str, x: Tensor) -> list[int]:
    """Return how many rows the body of a fresh network ran on, batch by batch, of which all features are right."""
    net, bare = frozen(folder, kind), frozen(folder, kind)
    bare.net.frozen = None
    torch.testing.assert_close(net(x), bare(x))
    return list(net.rows)


def test_other_weights_and_other_settings_have_features_of_their_own(tmp_path: Path, cache: Path) -> None:
    x, net = KINDS["text"][2], frozen(tmp_path, "text")
    before = net(x)
    with torch.no_grad():
        net.net.body.embeddings.word_embeddings.weight.mul_(2)
    assert not torch.allclose(net(x), before), "weights that are loaded later"
    assert frozen_rows(tmp_path, "text", x) == []
    first = frozen(tmp_path, "text", pool="first")
    first(x)
    assert first.rows == [40]
    assert len(list(cache.iterdir())) == 3


def test_a_body_that_is_trained_after_all_is_run(tmp_path: Path) -> None:
    x, net = KINDS["text"][2], frozen(tmp_path, "text")
    net(x)
    net.net.body.requires_grad_(True)
    F.cross_entropy(net(x), torch.arange(40) % 3).backward()
    assert all(p.grad is not None for p in net.net.body.encoder.parameters())


def test_the_gradient_to_the_rows_goes_through_the_body(tmp_path: Path) -> None:
    net = frozen(tmp_path, "images")
    x = torch.rand(4, 3, 16, 16)
    net(x)
    net(x.requires_grad_()).sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert net.rows == [4, 4]


def test_what_training_mode_has_seen_is_not_kept(tmp_path: Path, cache: Path) -> None:
    x, net = KINDS["images"][2], frozen(tmp_path, "images")
    net.train()(x)
    net(x)
    assert net.rows == [40, 40]
    assert not cache.exists()
    assert net.net.linear.weight.requires_grad


def test_features_of_inference_train_a_head(tmp_path: Path) -> None:
    x, net = KINDS["text"][2], frozen(tmp_path, "text")
    with torch.inference_mode():
        net(x)
    F.cross_entropy(net.train()(x), torch.arange(40) % 3).backward()
    assert net.rows == [40]
    assert float(net.net.linear.weight.grad.abs().sum()) > 0
    again = copy.deepcopy(net)
    again(x)
    assert run_with_features(again.eval(), 3, x)[1].shape == (40, 256)
    assert net.rows == [40]


@pytest.mark.parametrize("spoil", ["cut", "changed"])
def test_a_damaged_file_is_computed_again_with_a_warning(spoil: str, tmp_path: Path, cache: Path) -> None:
    x, net = KINDS["text"][2], frozen(tmp_path, "text")
    net(x)
    (file,) = cache.rglob("*.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[:-9] if spoil == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    another_process()
    with pytest.warns(UserWarning, match="is damaged; the features in it are computed again"):
        assert frozen_rows(tmp_path, "text", x) == [40]
    assert [f.read_bytes() for f in cache.rglob("*.safetensors")] == [content]


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SKEDASTIC_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="can't be kept in"):
        assert frozen_rows(tmp_path, "text", KINDS["text"][2]) == [40]
    assert frozen_rows(tmp_path, "text", KINDS["text"][2]) == [], "in memory"


def test_two_processes_at_a_time_lose_nothing(tmp_path: Path) -> None:
    first, second = KeptFeatures(tmp_path / "body"), KeptFeatures(tmp_path / "body")
    rows = [(i, -i) for i in range(3 * LEAST)]
    features = torch.randn(len(rows), 5)
    for kept, part in ((first, slice(0, 2 * LEAST)), (second, slice(LEAST, 3 * LEAST)), (second, slice(0, 2 * LEAST))):
        kept.keep(rows[part], features[part])
    third = KeptFeatures(tmp_path / "body").look_up(rows)
    torch.testing.assert_close(torch.stack([row for row in third if row is not None]), features)
    assert len(list((tmp_path / "body").iterdir())) == 2, "the same rows are the same file"


def test_few_rows_have_no_file(tmp_path: Path, cache: Path) -> None:
    frozen(tmp_path, "text")(KINDS["text"][2][: LEAST - 1])
    assert not cache.exists()


def test_keys_tell_rows_apart_and_ignore_padding() -> None:
    x = torch.randint(1, 9, (50, 7))
    keys = keys_of(x)
    assert keys_of(F.pad(x, (0, 3000))) == keys
    assert keys_of(x[3:4]) == keys[3:4]
    y = torch.zeros(1, 9).repeat(20, 1)
    for i in range(9):
        y[i, i], y[9 + i, i] = 1.0, -1.0
    y[18] = 1.0
    assert len(set(keys_of(y))) == 20
    for dtype in (torch.float64, torch.bfloat16, torch.uint8):
        assert len(set(keys_of(torch.eye(9).to(dtype)))) == 9


def test_the_fingerprint_is_of_every_weight_and_its_name() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3)
    body = nn.Sequential(nn.Linear(3, 3), norm)
    found = {fingerprint(body, "a"), fingerprint(body, "b"), fingerprint(nn.Sequential(body), "a")}
    norm(torch.randn(9, 3))
    assert len(found | {fingerprint(body, "a")}) == 4
    assert fingerprint(copy.deepcopy(body), "a") == fingerprint(body, "a")


class OfFeatures(nn.Module):
    """A model as timm makes them for no classes: images to features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.rows = nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8), list[int]()

    def forward(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        features: Tensor = self.norm(self.conv(x)).mean((2, 3))
        return features


def test_a_frozen_model_of_timm_is_under_the_same_layers(cache: Path) -> None:
    body, x = OfFeatures(), torch.rand(40, 3, 16, 16)
    net = OfTimm(body, 8, 3, Layers(freeze=True, depth=None, dropout=None), "name")
    net.eval()
    expected = net.logits(body(x))
    torch.testing.assert_close(net(x), expected)
    net.train()(x)
    assert body.rows == [40, 40]
    assert not body.norm.training
    assert len(find_taps(net)) == 1 + 2, "two hidden layers"
    assert type(OfTimm(OfFeatures(), 8, 3, Layers(True, 0, 0.2), "name").hidden) is nn.Dropout


def test_options_of_timm_that_mean_nothing_are_refused() -> None:
    with refused("model.depth", 1, rule="add model.freeze=true"):
        timm_models.Options(depth=1)
    assert models.training_of("timm:any", IMAGE, 9, {"freeze": True})["augment"] == "none"
    assert models.training_of("timm:any", IMAGE, 9) == {}
    assert "augment" not in models.training_of("hf:any", TEXT, 9, {"freeze": True})


@pytest.fixture
def bodies() -> Iterator[list[int]]:
    """Return the rows of each batch that any ViT runs on, but for the two that a new one is tried on."""
    rows = list[int]()

    def note(module: nn.Module, args: Any, out: Any) -> None:
        if type(module).__name__ == "ViTModel" and len(out.last_hidden_state) > 2:
            rows.append(len(out.last_hidden_state))

    hook = nn.modules.module.register_module_forward_hook(note)
    yield rows
    hook.remove()


@pytest.mark.slow
def test_a_run_computes_features_once_and_other_methods_none(tmp_path: Path, bodies: list[int]) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(200) % 3
    x = generator.integers(0, 80, size=(200, 16, 16, 3))
    x[np.arange(200), :, :, y] += 120
    model = {"name": f"hf:{saved(tmp_path / 'images', 'ViT')}", "freeze": True}
    settings = {"test": 0.3, "model": model, "train": {"epochs": 10, "lr": 0.01}, "seed": 0}
    result = sk.fit(x.astype(np.uint8), y, method="erm", **settings)
    assert sum(bodies) == 200
    assert sum(note.startswith("Images are not moved") for note in result.notes) == 1
    result.save(tmp_path / "run")
    again = sk.load(tmp_path / "run")
    new = generator.integers(0, 200, size=(50, 16, 16, 3)).astype(np.uint8)
    np.testing.assert_allclose(again.predict_proba(new), result.predict_proba(new), rtol=1e-5)
    assert sum(bodies) == 250
    another_process()
    for method in ("har(strength=1)", "sam", "ncm", "oltr", "bbn"):
        assert sk.fit(x.astype(np.uint8), y, method=method, **settings).metrics.balanced_accuracy > 0.6, method
    assert sum(bodies) == 250
    moved = sk.fit(x.astype(np.uint8), y, method="erm", **settings | {"train": {"epochs": 1, "augment": "crop"}})
    assert sum(bodies) > 250 + 140
    assert not any(note.startswith("Images are not moved") for note in moved.notes)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "safetensors"])  # torch-export fixes the batch of such bodies, frozen or not
@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_file_has_the_body(kind: str, form: str, tmp_path: Path) -> None:
    net, x = frozen(tmp_path, kind), KINDS[kind][2]
    net(x)
    file = tmp_path / f"net{ENDINGS[form]}"
    assert export_network(net, x, file, form).difference < 1e-4
    size = sum(p.numel() for p in net.parameters()) * 4
    assert file.stat().st_size > size, "body and head"
