"""Settings of training that are not given: the model's, the optimizer's, the usual ones, in this order."""

from dataclasses import replace

import pytest
import torch
from threadpoolctl import threadpool_info

from skedastic.methods.bases.held_out import trial_stages
from skedastic.methods.bases.method import Stage
from skedastic.methods.erm import ERM
from skedastic.settings.config import Config
from skedastic.settings.reading import read, to_toml
from skedastic.training.config import OF_OPTIMIZER, Training, TrainingConfig
from skedastic.training.engine import threads
from skedastic.training.loop import epochs_of
from skedastic.training.optimizers import make_optimizer
from tests.support.training import make_net

SUITS = {"optimizer": "adamw", "epochs": 7, "batch_size": 32, "threads": 1}
FINE = {"optimizer": "adamw", "lr": 5e-5, "warmup": 0.25}


def test_nothing_given_is_sgd_or_what_suits_the_model() -> None:
    usual, suited = TrainingConfig().settled(), TrainingConfig().settled(SUITS)
    assert (usual.optimizer, usual.lr, usual.epochs, usual.schedule) == ("sgd", 0.05, 60, "steps")
    assert (suited.optimizer, suited.epochs, suited.batch_size, suited.threads) == ("adamw", 7, 32, 1)
    assert (suited.lr, suited.weight_decay, suited.schedule) == tuple(OF_OPTIMIZER["adamw"].values())


def test_what_is_given_stays_and_another_optimizer_has_its_own_rate_decay_and_schedule() -> None:
    given = TrainingConfig(epochs=3, lr=0.2, weight_decay=0.0, schedule="constant").settled(SUITS)
    assert (given.epochs, given.lr, given.weight_decay, given.schedule) == (3, 0.2, 0.0, "constant")
    sgd = TrainingConfig(optimizer="sgd").settled(FINE)
    assert (sgd.lr, sgd.weight_decay, sgd.schedule, sgd.warmup) == (0.05, 1e-4, "steps", 0.25)
    assert TrainingConfig(optimizer="adam").settled(FINE).lr == 5e-5, "of the kind that suits the model"


@pytest.mark.parametrize("settings", [{"milestones": (0.5,)}, {"decay": 0.5}])
def test_milestones_ask_for_steps(settings) -> None:
    assert TrainingConfig(**settings).settled(SUITS).schedule == "steps"
    assert TrainingConfig(**settings, schedule="cosine").settled(SUITS).schedule == "cosine"


def test_settled_settings_are_settled_once_and_survive_a_file(tmp_path) -> None:
    settled = TrainingConfig().settled(SUITS)
    assert settled.settled({"optimizer": "sgd", "epochs": 99}) == settled
    assert not TrainingConfig().is_settled
    config = replace(Config(source="a.csv"), train=settled)
    (tmp_path / "config.toml").write_text(to_toml(config))
    again = read(tmp_path / "config.toml", {})
    assert isinstance(again.train, Training)
    assert again == config


@pytest.mark.parametrize(
    ("configured", "kind", "rate", "decay"),
    [
        ("adamw", "configured", 0.002, 0.01),
        ("adamw", "sgd", 0.05, 1e-4),
        ("adamw", "adam", 0.002, 1e-4),
        ("sgd", "adamw", 0.001, 1e-4),
        ("adam", "sgd", 0.05, 1e-4),
    ],
)
def test_another_optimizer_of_a_stage_has_a_rate_and_a_decay_of_its_kind(configured, kind, rate, decay) -> None:
    optimizer = make_optimizer(TrainingConfig(optimizer=configured).settled(), make_net().parameters(), kind=kind)
    group = optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(rate)
    assert group["weight_decay"] == pytest.approx(decay)


def test_threads_are_limited_within_and_as_before_after() -> None:
    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
        assert all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")
    with threads(None):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_trials_are_of_one_length_whatever_stands_before_them() -> None:
    ways = [stage for name in "abc" for stage in trial_stages(name, ERM(), 1 / 3)]
    stages = [*ways, Stage(name="train", method=ERM())]
    assert epochs_of(stages, 10) == [3] * 6 + [10]
    assert epochs_of(stages, 1) == [1] * 7
