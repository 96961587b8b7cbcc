"""The papers' tables as settings: they fit any data with enough classes, and options go on top."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skedastic.core import JacobianPenalty, regularized_loss
from skedastic.data import affected_classes
from skedastic.data.corruption_spec import parse_imbalance, parse_noise
from skedastic.methods.har import HAR
from skedastic.models import make, training_of
from skedastic.models.inputs import Inputs
from skedastic.settings import presets as experiments
from skedastic.settings.methods import compared_methods
from skedastic.settings.reading import read
from skedastic.training.optimizers import make_optimizer, make_schedule
from tests.reference.filled import fill, images
from tests.support.command_line import TINY, refusal, run
from tests.support.paths import FIXTURES
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


AUTHORS = (  # README and the defaults of cifar_train.py, github.com/kaidic/HAR, commit 188a463
    "cifar_train.py --dataset cifar10 --rand-number 0 --mislabel_type hetero --imb_type None --gpu 0 --reg_weight 10"
    " --batch-size 128 --lr 0.1 --momentum 0.9 --weight-decay 1e-4"
)


OF_HAR = [name for name in experiments.NAMES if name.startswith("har-table")]


@pytest.mark.parametrize("name", [name for name in OF_HAR if name != "har-table6"])
def test_the_strength_and_the_penalty_of_hars_tables_are_those_of_the_authors_commands(name) -> None:
    """Their loss + reg_weight · mean(weight · Σ_j ‖∂(mean loss)/∂(normalized activations)‖), by their own figures."""
    given = dict(zip(words := AUTHORS.split()[1:], words[1:], strict=False))
    methods = compared_methods(read(None, {"source": "digits"}, preset=name))
    fixture = json.loads((FIXTURES / "har_authors_resnet32.json").read_text())
    full = [m for m in methods.values() if isinstance(m, HAR) and m.strength == 10]
    assert full
    for method in full:
        assert method.strength == float(given["--reg_weight"])
        assert method.penalty == JacobianPenalty(
            gradient="exact", norm="layers", affine="before", reduction="mean", select=1.0
        )
        net = make("resnet32", (3, 32, 32), 10).double()
        fill(net)
        x, y = images(8)
        strength = method.strength * torch.linspace(0, 1, 8, dtype=torch.float64)
        result = regularized_loss(net, x, y, strength, penalty=method.penalty, taps=["layer*.bn?"])
        torch.testing.assert_close(result.norm, torch.tensor(fixture["norms"], dtype=torch.float64), rtol=1e-8, atol=0)
        assert result.total.item() == pytest.approx(fixture["total"], rel=1e-9)


@pytest.mark.parametrize("name", [name for name in OF_HAR if name != "har-table6"])
@pytest.mark.parametrize("model", ["resnet32", "convnet"])
def test_hars_tables_of_images_are_trained_as_the_authors_commands_ask_for(name, model) -> None:
    """Appendix B, and the arguments, of which epochs are the default; whatever suits the model."""
    given = dict(zip(words := AUTHORS.split()[1:], words[1:], strict=False))
    suits = training_of(model, Inputs.plain((3, 32, 32)), 40000)
    training = read(None, {"source": "digits"}, preset=name).train.settled(suits)
    assert (training.optimizer, training.schedule, training.epochs) == ("sgd", "steps", 120)
    assert training.batch_size == int(given["--batch-size"])
    assert training.lr == float(given["--lr"])
    assert (training.momentum, training.weight_decay) == (float(given["--momentum"]), float(given["--weight-decay"]))
    assert ([round(m * 120) for m in training.milestones], training.decay, training.warmup) == ([80, 100], 0.1, 0)


def test_hars_table_of_reviews_is_trained_by_adam_for_20_epochs() -> None:
    """Appendix B. Torch's rate and decay, since it names none, and no schedule."""
    training = read(None, {"source": "digits"}, preset="har-table6").training
    assert (training.optimizer, training.epochs, training.lr, training.weight_decay) == ("adam", 20, 1e-3, 0)
    assert (training.schedule, training.warmup) == ("constant", 0)


@pytest.mark.parametrize("name", OF_HAR)
def test_the_estimate_of_hars_tables_is_that_of_algorithm_1(name) -> None:
    """One model of one random half, trained as the method is, whose errors on the other half are the uncertainty."""
    config = read(None, {"source": "digits"}, preset=name)
    assert (config.estimate.kind, config.estimate.counts_errors) == ("paper", True)
    assert config.estimate.epochs_of(config.train.settled()) == config.train.settled().epochs


def test_every_strength_of_a_table_has_one_unit() -> None:
    for name in OF_HAR:
        methods = compared_methods(read(None, {"source": "digits"}, preset=name)).values()
        rows = [m for m in methods if isinstance(m, HAR) and m.strength != "auto"]
        assert {(m.norm, m.affine, m.reduction) for m in rows} == {("layers", "before", "mean")}


def test_a_strength_of_the_batchs_mean_is_a_bth_of_one_of_its_sum() -> None:
    net, x, y = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2)).double(), *pairs()
    for gradient in ("implicit", "exact", "finite"):
        totals = [
            regularized_loss(net, x, y, s, penalty=JacobianPenalty(gradient=gradient, reduction=r)).total
            for s, r in ((0.5, "sum"), (0.5 * len(x), "mean"))
        ]
        torch.testing.assert_close(*totals, rtol=1e-10, atol=0)


def pairs() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, generator=g, dtype=torch.float64), torch.arange(8) % 2


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


HUNDRED = tuple(f"c{i}" for i in range(100))
VEHICLES = ([8, 13, 48, 58, 90], [41, 69, 81, 85, 89])  # bicycle, bus, motorcycle, … and lawn mower, rocket, …


def test_the_noise_within_superclasses_is_that_of_hars_code() -> None:
    """Section 3.1: 40 % of the labels of "vehicles 1" and "vehicles 2" to one of the other four of five."""
    config = read(None, {"source": "digits"}, preset="har-table2-100")
    expected = np.eye(100)
    for superclass in VEHICLES:
        for clean in superclass:
            expected[clean, superclass] = 0.1
            expected[clean, clean] = 0.6
    np.testing.assert_allclose(parse_noise(config.noise, HUNDRED), expected)
    assert set(affected_classes(config.noise, None, HUNDRED)) == {f"c{i}" for part in VEHICLES for i in part}


@pytest.mark.parametrize(("name", "ratio"), [("har-table8", 10), ("har-table8-100", 100)])
def test_the_clean_classes_are_rare_beside_the_noisy_ones(name, ratio) -> None:
    """Appendix C.3; the headline is of the noisy ones."""
    config = read(None, {"source": "digits"}, preset=name)
    kept = parse_imbalance(config.imbalance, CIFAR).kept(np.full(10, 5000))
    assert {CIFAR[i] for i in np.flatnonzero(kept == 5000)} == {"cat", "dog", "automobile", "truck"}
    assert set(kept) == {5000, 5000 // ratio}
    assert affected_classes(config.noise, config.imbalance, CIFAR) == ("automobile", "cat", "dog", "truck")


@pytest.mark.parametrize("name", ["absgd-table1", "absgd-table2", "absgd-figure4"])
def test_absgds_long_tail_is_trained_by_the_authors_schedule(name) -> None:
    """Section 4.1 and adjust_learning_rate: 5 epochs of warmup, 200 in all, a hundredth at 160 and again at 180."""
    config = read(None, {"source": "digits"}, preset=name)
    training = config.training
    optimizer = make_optimizer(training, [torch.nn.Parameter(torch.zeros(1))])
    schedule = make_schedule(training, optimizer, training.epochs)
    rates = []
    for _ in range(training.epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert [rates[e] for e in (5, 159, 160, 179, 180, 199)] == pytest.approx([0.1, 0.1, 1e-3, 1e-3, 1e-5, 1e-5])
    assert rates[0] < rates[4] < 0.1
    for method in compared_methods(config).values():
        begins = method.class_weights and method.class_weights.begins  # type: ignore[attr-defined]
        assert begins in (None, "first-drop")


def test_absgds_schedules_for_label_noise_are_the_papers() -> None:
    """Sections 5.1 and 5.2: 120 epochs, drops at 40 and 80; 10 epochs, a drop at 5."""
    for name, epochs, drops in (("absgd-table6", 120, [40, 80]), ("absgd-table7", 10, [5])):
        train = read(None, {"source": "digits"}, preset=name).train
        assert train.epochs == epochs
        assert [round(at * epochs) for at in train.milestones] == drops


def test_a_files_table_goes_on_top_of_a_tables_setting_by_setting(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[train]\ndevice = "cpu"\n')
    config = read(tmp_path / "mine.toml", {"source": "digits"}, preset="absgd-table7")
    assert (config.train.device, config.train.epochs, config.train.lr) == ("cpu", 10, 0.002)


def test_every_table_says_what_it_is_of() -> None:
    assert all(re.match(r"(HAR|ABSGD)'s (Table|Figure) \d", experiments.about(name)) for name in experiments.NAMES)
