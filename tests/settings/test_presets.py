"""The papers' tables as settings: they fit any data with enough classes, and options go on top."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from skedastic.data import affected_classes
from skedastic.data.corruption_spec import parse_imbalance, parse_noise
from skedastic.settings import presets as experiments
from skedastic.settings.methods import compared_methods
from skedastic.settings.reading import read
from tests.support.command_line import TINY, refusal, run
from tests.support.refusals import check_refusal, refused

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.mark.parametrize("name", experiments.NAMES)
def test_every_table_can_be_read_and_its_methods_are_there(name) -> None:
    config = read(None, {"source": "digits"}, preset=name)
    assert list(compared_methods(config)) == list(config.methods)
    assert config.methods[0] == "erm"
    assert config.notes


def test_the_classes_of_hars_tables_are_the_papers() -> None:
    """Section 3.1: cat and dog, truck and automobile, 40 %."""
    config = read(None, {"source": "digits"}, preset="har-table1")
    transition = parse_noise(config.noise, CIFAR)
    flipped = {
        (CIFAR[a], CIFAR[b]): p
        for a, b in zip(*transition.nonzero(), strict=True)
        if a != b
        for p in [transition[a, b]]
    }
    assert flipped == dict.fromkeys(
        [("cat", "dog"), ("dog", "cat"), ("automobile", "truck"), ("truck", "automobile")], 0.4
    )
    kept = parse_imbalance(config.imbalance, CIFAR).kept(np.full(10, 5000))
    assert {CIFAR[i] for i in np.flatnonzero(kept == 500)} == {"cat", "dog", "automobile", "truck"}
    assert read(None, {"source": "digits"}, preset="har-table2").imbalance is None


def test_the_noise_of_hars_reviews_is_the_papers() -> None:
    """Appendix C.1: 5 % of the negative ones become positive, 40 % in the reverse direction."""
    config = read(None, {"source": "digits"}, preset="har-table6")
    np.testing.assert_allclose(parse_noise(config.noise, ("neg", "pos")), [[0.95, 0.05], [0.4, 0.6]])
    assert affected_classes(config.noise, config.imbalance, ("neg", "pos")) == ("pos",)


def test_a_file_and_options_go_on_top(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("seeds = 7\n[train]\nepochs = 3\n")
    config = read(tmp_path / "mine.toml", {"source": "digits", "imbalance": "step:100:#1"}, ("seed=4",), "har-table1")
    assert (config.seeds, config.train.epochs, config.imbalance, config.seed) == (7, 3, "step:100:#1", 4)
    assert config.noise == "#1<->#9:0.4,#3<->#5:0.4"


def test_a_comparison_of_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    status, printed, _ = run(
        capsys, "compare", "digits", "--preset", "har-table2", "--methods", "erm,gce", "--seeds", "1", *TINY,
        "--limit", "600", "--out", out,
    )  # fmt: skip
    assert status == 0
    assert "gce" in printed
    assert json.loads((out / "compare.json").read_text())["focus"] == ["1", "3", "5", "9"]
    written = tomllib.loads((out / "config.toml").read_text())
    assert written["reference"] == 0.05


def test_an_unknown_table_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    error = refusal(capsys, "compare", "digits", "--preset", "har-tabel1", "--out", tmp_path / "out", alone=True)
    check_refusal(error, "preset", "har-tabel1", rule="did you mean 'har-table1'?")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_training")
def test_a_table_of_ten_classes_does_not_fit_three(here, capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(capsys, "compare", "good.csv", "--preset", "har-table1", "--target", "quality", "--out", "out")
    assert error.setting.startswith(("noise", "class"))
    assert not (here / "out").exists()


@pytest.mark.parametrize(("spec", "rule"), [("#1<->#12:0.4", "the last is #9"), ("#1<->automobile:0.4", "itself")])
def test_positions_that_are_not_there(spec, rule) -> None:
    with refused("noise", spec, rule=rule):
        parse_noise(spec, CIFAR)
    with refused("imbalance", "step:3:#10", rule="#9"):
        parse_imbalance("step:3:#10", CIFAR)


def test_a_class_of_that_very_name_comes_before_the_position() -> None:
    transition = parse_noise("#1->b:0.5", ("#1", "a", "b"))
    assert transition[0, 2] == 0.5
