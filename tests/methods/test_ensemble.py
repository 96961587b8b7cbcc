"""Ensemble: each network is trained as `base` alone trains it, and their probabilities are averaged."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import skedastic as sk
from skedastic.core.mean_of_networks import mean_prediction
from skedastic.errors import UserError
from skedastic.methods.auto import Auto
from skedastic.methods.bases.group_strengths import enforced_strengths
from skedastic.methods.ensemble import Ensemble, EnsembleState
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from skedastic.methods.mixup import Mixup
from skedastic.methods.sam import SAM
from skedastic.methods.two_stage import TwoStage
from skedastic.runs.export import export_run
from skedastic.training import TrainingConfig, train
from tests.support.methods import dataset, make_net, task

TRAINING = TrainingConfig(epochs=3, batch_size=16, lr=0.05, device="cpu")


def starts(count: int) -> Iterator[nn.Module]:
    """Yield networks without dropout, each of a start of its own."""
    for seed in range(count):
        torch.manual_seed(seed)
        yield nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("base", [ERM(), SAM(), TwoStage(fresh_head=False)])
def test_each_network_is_what_the_method_inside_trains_alone(base) -> None:
    data, nets = dataset(), starts(3)
    together = train(Ensemble(base=base), data, lambda: next(nets), TRAINING, seed=4)
    assert isinstance(together.state, EnsembleState)
    for own, net in zip(together.state.members, starts(3), strict=True):
        alone = train(base, data, partial(copy.copy, net), TRAINING, seed=4)
        for mine, expected in zip(own.state_dict().values(), alone.state.state_dict().values(), strict=True):
            torch.testing.assert_close(mine, expected)


def test_probabilities_are_averaged_and_not_logits() -> None:
    data = dataset()
    run = train(Ensemble(members=3), data, make_net, TRAINING, seed=4)
    assert isinstance(run.state, EnsembleState)
    run.state.eval()
    own = torch.stack([member.net(data.x).softmax(1) for member in run.state.members])
    torch.testing.assert_close(run.predict(data.x), own.mean(0).detach())
    assert own.std(0).max() > 0.01, "the networks differ"


def test_of_numbers_it_is_the_mean() -> None:
    first, second = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [6.0]])
    assert mean_prediction([first, second]).tolist() == [[2.0], [4.0]]
    assert mean_prediction([first.squeeze(1), second.squeeze(1)]).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("around", [SAM, Mixup])
def test_inside_of_what_changes_steps_it_is_refused_and_the_other_way_round_named(around) -> None:
    with pytest.raises(UserError, match="turn them round, so that it is inside: ensemble"):
        around(base=Ensemble())


@pytest.mark.parametrize("form", ["onnx", "torch-export", "safetensors"])
def test_all_networks_are_saved_and_exported(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(0)
    y = rng.random(200) < 0.4
    x = (y[:, None] + rng.normal(size=(200, 3))).astype(np.float32)
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=np.where(y, "one", "other"))
    frame.to_csv(tmp_path / "data.csv", index=False)
    result = sk.fit(
        str(tmp_path / "data.csv"),
        target="y",
        method="ensemble(base=mixup)",
        seed=1,
        train={"epochs": 2},
        estimate={"kind": None},
    )
    result.save(tmp_path / "run")
    loaded, rows = sk.load(tmp_path / "run"), frame.drop(columns="y")
    pd.testing.assert_series_equal(loaded.predict(rows), result.predict(rows))
    assert "equal to the network" in export_run(loaded, form, str(tmp_path / f"net.{form}"))


def test_the_strengths_of_the_method_inside_are_shown() -> None:
    data = dataset()
    given = task(data)
    together, alone = (train(m, data, make_net, TRAINING, seed=4, task=given) for m in (Ensemble(base=HAR()), HAR()))
    shown, expected = (enforced_strengths(run.method, run.state, given) for run in (together, alone))
    assert shown is not None
    assert expected is not None
    assert shown.equal(expected)


def tried_by(**settings) -> tuple[set[str], str]:
    """Return the ways that auto tried, and what predicts."""
    data = dataset(90)
    method = Auto(trees=False, **settings)
    run = train(method, data, make_net, TRAINING, seed=4, task=task(data))
    return {trial.stage.split(",")[0] for trial in run.trials}, run.method.predictor(run.trials)


def test_effort_says_what_auto_tries_and_of_how_many_networks_the_mean_is() -> None:
    assert tried_by(effort="low") == ({"mixup"}, "")
    assert tried_by() == ({"mixup", "plain", "har"}, "")
    assert tried_by(effort="high") == ({"mixup", "plain", "har"}, "")
    assert tried_by(members=2) == ({"mixup", "plain", "har"}, "the mean of 2 networks")
