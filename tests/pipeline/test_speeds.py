"""The speeds that a fit is planned by: of every method, by real steps, and without a trace."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.methods.linear import Linear
from skedastic.methods.mixup import Mixup
from skedastic.methods.post_hoc import PostHoc
from skedastic.methods.presets import presets
from skedastic.methods.trees import Trees
from skedastic.pipeline import speeds
from skedastic.pipeline.plan import outline_of
from skedastic.pipeline.speeds import measured_speeds
from skedastic.settings.config import Config, Estimation
from skedastic.settings.methods import make_method
from skedastic.training import TrainingConfig
from skedastic.training.speed import Speed
from tests.support.methods import METHODS, data_for, kind_of, net_of, reference

FEW = TrainingConfig(epochs=2, batch_size=16, lr=0.05, device="cpu")


def measured(method, config: Config | None = None, kind: str = ""):
    """Return the stages of a method and their speeds, on data that suit it."""
    kind = kind or ("classification" if "classification" in method.capabilities.tasks else "regression")
    train = data_for(method, kind)
    data: Any = SimpleNamespace(train=train, test=None, reference=reference(kind_of(train)), pred_probs=None)
    outline = outline_of(data, method)
    config = config or Config(train=FEW, estimate=Estimation(kind=None))
    return outline.stages, measured_speeds(config, data, outline, method, net_of(kind))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_measured_and_nothing_is_drawn(name) -> None:
    before = torch.get_rng_state()
    stages, found = measured(presets()[name].make())
    assert len(found.stages) == len(stages)
    for stage, speed in zip(stages, found.stages, strict=True):
        assert (speed.seconds(1, 50, 16) > 0) == (stage.passes != 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_method_is_measured_once_and_alternatives_are_of_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted(stage, *_):
        seen.append(stage.method)
        return Speed(len(seen), 1.0, 0.0)

    monkeypatch.setattr(speeds, "measured", counted)
    auto = make_method("auto", {})
    stages, found = measured(auto, Config(train=FEW))
    assert [type(method) for method in seen] == [Linear, Linear, Trees, Mixup, ERM, HAR, PostHoc]
    assert len({id(method) for method in seen}) == len(seen)
    by_name = {stage.name: speed.step for stage, speed in zip(stages, found.stages, strict=True)}
    assert by_name["mixup, half 1"] == by_name["mixup, half 2"] == by_name["mixup"] == 4
    assert by_name["mixup, half balanced"] == by_name["mixup, balanced"] == 7
    assert by_name["plain, half 1"] == by_name["plain, half 2"] == by_name["plain, balanced"] == 5
    assert found.network is not None
    assert found.network.step == 5
    assert found.trees is not None
    assert found.trees.step == by_name["trees, half 1"] == by_name["small trees, half 2"] == 3


def test_an_alternative_that_was_tried_has_its_own_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "measured", lambda stage, *_: Speed(2.0 if stage.method.strength else 1.0, 1.0, 0.0))
    stages, found = measured(HAR(strength="auto"))
    assert [(stage.name, speed.step) for stage, speed in zip(stages, found.stages, strict=True)][-2:] == [
        ("train", 2.0),
        ("plain", 1.0),
    ]


@pytest.mark.parametrize(
    ("speed", "seconds"),
    [
        (Speed(0.5, 1.0, 0.1), 3 * 4 * 0.5 + 2),  # 100 rows are 4 batches of 32
        (Speed(0.5, 0.5, 0.0), 3 * 2 * 0.5),  # half of the rows, as a sampler may take
        (Speed(0.0, 1.0, 0.1, whole=2.0, rows=50), 3 * 2 + 2),  # as long on few rows
    ],
)
def test_seconds(speed, seconds) -> None:
    assert speed.seconds(3, 100, 32, 20) == pytest.approx(seconds)


def test_passes_over_many_rows_take_longer() -> None:
    speed = Speed(0.0, 1.0, 0.0, whole=2.0, rows=20_000)
    assert [speed.seconds(1, rows, 1) for rows in (5_000, 10_000, 40_000)] == [1, 1, 4]


def test_groups_of_numbers_are_regularized_where_har_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    strengths = []

    def kept(stage, state, *_):
        strengths.append(state.strength.clone())
        return Speed(1.0, 1.0, 0.0)

    monkeypatch.setattr(speeds, "measured", kept)
    for kind in ("classification", "regression"):
        measured(HAR(), kind=kind)
    assert all((strength > 0).all() for strength in strengths)
    assert len(strengths) == 2
