"""Features of a frozen body: those that it gives itself, once for each row, and again for what is damaged or new."""

from __future__ import annotations

import copy
import os
import shutil
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import skedastic as sk
from skedastic import models
from skedastic.core import find_taps, regularized_loss
from skedastic.core.heads import run_with_features
from skedastic.models import kept_features, timm_models
from skedastic.models.kept_features import LEAST, KeptFeatures, arithmetic, fingerprint, keys_of
from skedastic.models.on_body import Layers, OfTimm
from skedastic.runs.network_file import ENDINGS, export_network
from skedastic.runtime.processes import mapped
from skedastic.settings.config import Estimation
from skedastic.settings.model_choice import NamedModel
from skedastic.training import TrainingConfig
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


def frozen(folder: Path, kind: str, *, keep: bool = True, **options: Any) -> Any:
    """Return a frozen network, in evaluation mode, which counts the rows that its body runs on, and keeps features."""
    name, inputs, _ = KINDS[kind]
    path = folder / kind
    if not path.exists():
        saved(path, name)
    torch.manual_seed(0)
    net: Any = models.make(f"hf:{path}", inputs, 3, {"freeze": True, **options}).eval()
    net.rows, net.net.frozen.keep = [], keep
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


def test_a_last_layer_alone_has_nothing_to_measure_at_and_depth_is_the_way_out(tmp_path: Path) -> None:
    x, y = KINDS["text"][2], torch.arange(40) % 3
    with refused("taps", None, rule="on a frozen model, model.depth=1 or more"):
        regularized_loss(frozen(tmp_path, "text", depth=0), x, y, 0.1)
    assert regularized_loss(frozen(tmp_path, "text", depth=1), x, y, 0.1).norm.isfinite().all()


def test_the_gradient_to_the_rows_goes_through_the_body(tmp_path: Path) -> None:
    net = frozen(tmp_path, "images")
    x = torch.rand(4, 3, 16, 16)
    net(x)
    net(x.requires_grad_()).sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert net.rows == [4, 4]


def test_what_nobody_asked_to_keep_is_looked_up_alone(tmp_path: Path, cache: Path) -> None:
    x, net = KINDS["images"][2], frozen(tmp_path, "images", keep=False)
    for mode in (True, False):
        net.train(mode)(x)
    assert net.rows == [40, 40]
    assert not cache.exists()
    assert net.net.linear.weight.requires_grad
    frozen(tmp_path, "images")(x[:32])
    another_process()
    net(x)
    assert net.rows == [40, 40, 8]
    assert len(net.net.frozen._kept.features) == 32


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


def keep_all(folder: Path, at_once: int) -> None:
    """Keep the features of 40 × 32 rows, of which feature i is i, in batches of so many."""
    rows, kept = torch.arange(40 * LEAST), KeptFeatures(folder)
    for batch in rows.split(at_once * LEAST):
        kept.keep([(i, -i) for i in batch.tolist()], batch[:, None].float().expand(-1, 5))


def test_processes_that_write_at_a_time_lose_nothing(tmp_path: Path) -> None:
    with mapped(partial(keep_all, tmp_path / "body"), [1, 2, 1], 2) as done:
        list(done)
    rows = [(i, -i) for i in range(40 * LEAST)]
    found = torch.stack([row for row in KeptFeatures(tmp_path / "body").look_up(rows) if row is not None])
    torch.testing.assert_close(found, torch.arange(40.0 * LEAST)[:, None].expand(-1, 5))
    files = list((tmp_path / "body").iterdir())
    assert len(files) == 40 + 20, "the same rows are the same file"
    assert {file.suffix for file in files} == {".safetensors"}


def keep_some(folder: Path, at_once: int) -> None:
    """Keep as `keep_all` does, where there is room for about five files."""
    os.environ["SKEDASTIC_CACHE_GB"] = "0.000008"
    keep_all(folder, at_once)


def test_processes_that_remove_the_oldest_files_at_a_time_leave_whole_ones(tmp_path: Path) -> None:
    with mapped(partial(keep_some, tmp_path / "body"), [1, 1, 1], 2) as done, warnings.catch_warnings():
        warnings.simplefilter("error")
        list(done)
        files = list((tmp_path / "body").iterdir())
        kept = KeptFeatures(tmp_path / "body").features
    assert sum(file.stat().st_size for file in files) <= 8_000
    assert len(kept) == len(files) * LEAST > 0


def test_a_file_that_another_process_removes_while_it_is_written_costs_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(part: Path, file: Path, *, replace: Any = os.replace) -> None:
        kept_features._remove_oldest(tmp_path, 0)  # as another process may do at this moment
        replace(part, file)

    kept, rows = KeptFeatures(tmp_path / "body"), [(i, -i) for i in range(LEAST)]
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        kept.keep(rows, torch.ones(LEAST, 5))
    assert list((tmp_path / "body").iterdir()) == []
    assert all(row is not None for row in kept.look_up(rows)), "in memory"
    kept.keep(rows, torch.ones(LEAST, 5))
    assert len(list((tmp_path / "body").iterdir())) == 1, "the next file is written"


@pytest.fixture
def three_files(tmp_path: Path) -> list[Path]:
    """Return three files of two bodies, the oldest first, written an hour apart and hours ago."""
    files = list[Path]()
    for i, body in enumerate(("one", "two", "one")):
        KeptFeatures(tmp_path / body).keep([(i, row) for row in range(LEAST)], torch.full((LEAST, 5), float(i)))
        (file,) = set(tmp_path.glob("*/*.safetensors")) - set(files)
        os.utime(file, (10**9 + 3600 * i,) * 2)
        files.append(file)
    return files


def test_the_oldest_files_make_room_and_others_stay(
    tmp_path: Path, three_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = [tmp_path / "one" / "notes.safetensors", tmp_path / "readme.txt"]
    for file in foreign:
        file.write_text("not ours")
        os.utime(file, (1, 1))
    orphan = three_files[0].with_name(f"{three_files[0].name}.left")  # by a process that was killed
    orphan.write_bytes(b"half")
    os.utime(orphan, (1, 1))
    size = three_files[0].stat().st_size
    monkeypatch.setenv("SKEDASTIC_CACHE_GB", str(3.5 * size / 1e9))
    keep = KeptFeatures(tmp_path / "three").keep
    keep([(9, row) for row in range(LEAST)], torch.zeros(LEAST, 5))
    assert [file.exists() for file in (orphan, *three_files)] == [False, False, True, True]
    monkeypatch.setenv("SKEDASTIC_CACHE_GB", str(0.5 * size / 1e9))
    keep([(8, row) for row in range(LEAST)], torch.zeros(LEAST, 5))
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 4, "what is too large for all has no file, and costs none"
    assert all(file.exists() for file in foreign)


@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_bound_that_is_no_size_is_refused(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEDASTIC_CACHE_GB", value)
    with refused("SKEDASTIC_CACHE_GB", value):
        keep_all(tmp_path / "body", 1)


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.warns(UserWarning, match="can't be kept in"):
            keep_all(tmp_path / "body", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "body").iterdir())


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_a_file_has_the_usual_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        keep_all(tmp_path / "body", 40)
    finally:
        os.umask(before)
    (file,) = (tmp_path / "body").iterdir()
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="no modes, or none that hold")
def test_a_damaged_file_that_cannot_be_removed_costs_a_warning(tmp_path: Path) -> None:
    keep_all(tmp_path / "body", 40)
    (file,) = (tmp_path / "body").iterdir()
    file.write_bytes(b"damaged")
    file.parent.chmod(0o555)
    try:
        with pytest.warns(UserWarning, match="is damaged"):
            assert not KeptFeatures(tmp_path / "body").features
    finally:
        file.parent.chmod(0o755)


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
    for dtype in (torch.float64, torch.bfloat16, torch.uint8, torch.bool):
        assert len(set(keys_of(torch.eye(9).to(dtype)))) == 9


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64])
def test_each_sum_alone_tells_rows_apart_that_differ_in_upper_bits(dtype: torch.dtype) -> None:
    """Powers of two: as whole numbers of 64 bits their lower bits are all 0, and so are those of each product."""
    x = 2.0 ** torch.cartesian_prod(*[torch.arange(40, 60)] * 3)
    keys = keys_of(x.to(dtype))
    assert [len(set(part)) for part in zip(*keys, strict=True)] == [8000, 8000]


def test_keys_are_of_shape_and_type() -> None:
    x = torch.arange(36)
    shapes = (1, 3, 12), (1, 3, 3, 4), (1, 3, 4, 3), (1, 36)
    types = (torch.float32, torch.float64, torch.uint8, torch.int32, torch.int64)
    assert len({keys_of(x.view(shape).to(dtype))[0] for shape in shapes for dtype in types}) == 20
    assert len({keys_of(torch.zeros(1, 1, n, dtype=dtype))[0] for n in (3, 4) for dtype in types}) == 10


def test_the_fingerprint_is_of_every_weight_and_its_name() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3)
    body = nn.Sequential(nn.Linear(3, 3), norm)
    found = {fingerprint(body, "a"), fingerprint(body, "b"), fingerprint(nn.Sequential(body), "a")}
    norm(torch.randn(9, 3))
    assert len(found | {fingerprint(body, "a")}) == 4
    assert fingerprint(copy.deepcopy(body), "a") == fingerprint(body, "a")


def test_another_version_of_a_package_or_precision_has_features_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, before = KINDS["text"][2], torch.get_float32_matmul_precision()
    net = frozen(tmp_path, "text")
    net(x)
    for package in ("transformers", "torch"):
        net.net.frozen._state = None
        monkeypatch.setattr(f"{package}.__version__", "2.99.0")
        net(x)
        net(x)
    assert net.rows == [40, 40, 40]
    try:
        torch.set_float32_matmul_precision("medium")
        net(x)
    finally:
        torch.set_float32_matmul_precision(before)
    assert net.rows == [40, 40, 40, 40]
    assert arithmetic(torch.device("cuda")) != arithmetic(torch.device("cpu"))


def arithmetic_there(_: int) -> str:
    return arithmetic(torch.device("cpu"))


def test_a_precision_that_was_set_and_taken_back_is_that_of_a_new_process() -> None:
    before = torch.get_float32_matmul_precision()
    for precision in ("medium", "highest"):
        torch.set_float32_matmul_precision(precision)
        with mapped(arithmetic_there, [1, 2], 2) as done:
            same = [there == arithmetic(torch.device("cpu")) for there in done]
        assert same == [precision == "highest"] * 2
    torch.set_float32_matmul_precision(before)


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
    net.eval().frozen.keep = True
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
    assert sum(bodies) == 300, "rows that are predicted are not kept"
    another_process()
    for method in ("har(strength=1)", "sam", "ncm", "oltr", "bbn"):
        assert sk.fit(x.astype(np.uint8), y, method=method, **settings).metrics.balanced_accuracy > 0.6, method
    assert sum(bodies) == 300
    moved = sk.fit(x.astype(np.uint8), y, method="erm", **settings | {"train": {"epochs": 1, "augment": "crop"}})
    assert sum(bodies) > 300 + 140
    assert not any(note.startswith("Images are not moved") for note in moved.notes)


@pytest.mark.slow
@pytest.mark.parametrize("freeze", [True, False])
def test_ways_of_training_are_tried_on_features_that_are_computed_once(
    freeze: bool, tmp_path: Path, bodies: list[int]
) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(200) % 3
    x = generator.integers(0, 80, size=(200, 16, 16, 3))
    x[np.arange(200), :, :, y] += 120
    model = {"name": f"hf:{saved(tmp_path / 'images', 'ViT')}", "freeze": freeze}
    settings = {"test": 0.3, "model": model, "train": {"epochs": 40 if freeze else 1, "lr": 0.01}}
    result = sk.fit(x.astype(np.uint8), y, **settings)
    (said,) = [note for note in result.notes if note.startswith(f"{result.method.card.name}: ")]
    if not freeze:
        why = f"{model['name']} is not known to train in seconds"
        assert said == f"har: {why}, so nothing else is tried; --method auto tries others"
        return
    assert said.startswith("auto: no method is named")
    assert [trial.name for trial in result.trials][:2] == ["plain training", "HAR at 0.3"]
    assert result.metrics.balanced_accuracy > 0.6
    assert sum(bodies) == 200, "in all trials"
    result.save(tmp_path / "run")
    np.testing.assert_allclose(sk.load(tmp_path / "run").predict_proba(x[:9]), result.predict_proba(x[:9]), rtol=1e-5)


@pytest.mark.slow
def test_each_seed_of_a_comparison_computes_features_once(tmp_path: Path, bodies: list[int], cache: Path) -> None:
    """Pixels are standardized by the training rows, so every seed's rows are others."""
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 200, size=(100, 16, 16, 3)).astype(np.uint8), np.arange(100) % 3
    np.savez(tmp_path / "pictures.npz", X=x, y=y)
    config = sk.Config(
        source=str(tmp_path / "pictures.npz"),
        model=NamedModel(f"hf:{saved(tmp_path / 'images', 'ViT')}", {"freeze": True}),
        methods=("erm", "sam"),
        test=0.4,
        train=TrainingConfig(epochs=3),
        estimate=Estimation(kind=None),
        seeds=2,
    )
    sk.compare(config, jobs=2)
    assert sum(bodies) == 100, "in this process the first seed's alone"
    another_process()
    sk.compare(config)
    assert sum(bodies) == 100
    shutil.rmtree(cache)
    another_process()
    sk.compare(config)
    assert sum(bodies) == 100 + 200


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
