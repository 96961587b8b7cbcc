"""The reference set: its sources, that it is clean and balanced, and the data that is refused as one."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import skedastic as sk
from skedastic.data import reference_rows
from skedastic.data.sources.from_python import from_arrays
from skedastic.pipeline.prepare import open_data
from skedastic.settings.config import Config
from skedastic.training import TrainingConfig
from tests.support.command_line import refusal, run
from tests.support.refusals import check_refusal, refused

NAN = pytest.approx(math.nan, nan_ok=True)
SHORT = TrainingConfig(epochs=2, batch_size=16)


def table(counts=(40, 30, 20), seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(y), 4)) + y[:, None], np.array([f"c{i}" for i in range(len(counts))])[y]


def prepared(config, X, y, **given):
    return open_data(Config(test="none", **config), from_arrays(X, y), **given)


def test_a_share_is_set_apart_with_as_many_of_each_class() -> None:
    data = prepared({"reference": "0.2"}, *table())
    assert torch.bincount(data.reference.y).tolist() == [6, 6, 6]
    assert len(data.train) == 90 - 18
    assert not set(data.reference.index.tolist()) & set(data.train.index.tolist())
    assert data.notes == ("reference: 18 trusted examples set apart from the training set, 6 to 6 of each class.",)


def test_no_class_gives_more_than_half() -> None:
    data = prepared({"reference": "0.5"}, *table((80, 6, 3)))
    assert torch.bincount(data.reference.y).tolist() == [15, 3, 1]


def test_it_is_set_apart_before_anything_is_corrupted() -> None:
    X, y = table((60, 60, 60))
    data = prepared({"reference": "0.1", "noise": "uniform:0.6", "imbalance": "longtail:10"}, X, y)
    labels = np.array([data.train.classes[i] for i in data.reference.y])
    assert (labels == y[data.reference.index.numpy()]).all()
    assert torch.bincount(data.reference.y).tolist() == [6, 6, 6]
    wrong = np.array([data.train.classes[i] for i in data.train.y]) != y[data.train.index.numpy()]
    assert 0.4 < wrong.mean() < 0.8


def test_it_depends_on_the_seed_and_the_test_set_does_not_depend_on_it() -> None:
    X, y = table()
    sets = [
        open_data(Config(test="0.2", reference=r, seed=s), from_arrays(X, y))
        for r, s in ((None, 1), ("0.1", 1), ("0.1", 2))
    ]
    assert torch.equal(sets[0].test.index, sets[1].test.index)
    assert not torch.equal(sets[1].reference.index, sets[2].reference.index)


def test_of_real_targets_it_is_a_share_of_the_rows() -> None:
    X, _ = table()
    data = prepared({"reference": "0.1"}, X, X.sum(1))
    assert len(data.reference) == 9
    assert data.reference.target == data.train.target


def test_a_class_of_one_row_cant_be_in_both() -> None:
    source = from_arrays(*table((10, 5)))
    with refused("reference", 0.2, rule="class 'c1' has 1 training example"):
        reference_rows(source, torch.tensor([0, 1, 2, 12]), 0.2, 0)


def test_arrays_and_files_are_taken_as_they_are(tmp_path: Path) -> None:
    X, y = table()
    trusted = table((3, 3, 3), seed=5)
    result = sk.fit(X, y, method="l2rw", reference=trusted, train=SHORT, estimate=sk.Estimation(kind="none"))
    assert "reference: 9 trusted examples given, 3 to 3 of each class." in result.notes
    np.savez(tmp_path / "trusted.npz", X=trusted[0], y=trusted[1])
    named = sk.fit(
        X, y, method="l2rw", reference=tmp_path / "trusted.npz", train=SHORT, estimate=sk.Estimation(kind="none")
    )
    assert np.array_equal(named.predict_proba(X), result.predict_proba(X))


@pytest.mark.parametrize(
    ("reference", "setting", "value", "rule"),
    [
        (None, "reference", None, "there is none: name a file with --reference"),
        (1.5, "reference", 1.5, "in (0, 1)"),
        (0, "reference", 0, "in (0, 1)"),
        (math.nan, "reference", NAN, "in (0, 1)"),
        ("nowhere.csv", "nowhere.csv", None, "no such file"),
        ([1, 2], "reference", None, "is a list"),
        ((1, 2, 3, 4), "reference", 4, "give (X, y)"),
        (table((4, 4)), "reference", None, "no example of class 'c2'"),
        ((np.zeros((3, 4)), ["c0", "c1", "no such"]), "y[2]", "no such", "does not occur in the training data"),
        ((np.zeros((3, 7)), ["c0", "c1", "c2"]), "X", [3, 7], "trained on [n, 4]"),
    ],
)
def test_data_that_cant_be_a_reference_is_refused(reference, setting, value, rule) -> None:
    with refused(setting, value, rule=rule):
        sk.fit(*table(), method="l2rw", reference=reference, train=SHORT)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "fit",
        "digits",
        "--limit",
        "200",
        "--epochs",
        "2",
        "--out",
        tmp_path / "run",
        "--set",
        "estimate.kind=none",
    ]
    error = refusal(capsys, *given, "--method", "mw-net")
    check_refusal(error, "reference", None, rule="mw-net learns from a reference set")
    assert not (tmp_path / "run").exists()
    status, stdout, stderr = run(capsys, *given, "--method", "mw-net", "--reference", "0.1")
    assert status == 0, stderr
    assert "trusted examples set apart" in " ".join((stdout + stderr).split())
    loaded = sk.load(tmp_path / "run")
    assert loaded.method.card.name == "mw-net"
    assert loaded.trained.state.weighter is not None


@pytest.mark.parametrize("name", ["co-teaching", "elr", "sam(base=elr)"])
def test_two_networks_and_per_example_buffers_are_read_back(name, tmp_path: Path) -> None:
    X, y = table()
    result = sk.fit(X, y, method=name, train=SHORT)
    result.save(tmp_path / "run")
    again = sk.load(tmp_path / "run")
    assert np.array_equal(again.predict_proba(X), result.predict_proba(X))
    ours, theirs = again.trained.state.state_dict(), result.trained.state.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(v, theirs[k]) for k, v in ours.items())
