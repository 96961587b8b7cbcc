"""Checkpoints within epochs: a run that is cut at a step, twice, ends with the weights that it would have had."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from skedastic.errors import Diverged
from skedastic.methods.presets import presets
from skedastic.settings.methods import make_method
from skedastic.training import Checkpoints, train
from tests.support.methods import TRAINING, data_for, net_of, reference, same, task, weights
from tests.support.power_cut import CutAtStep, PowerCut

CHOSEN = ("erm", "har", "elr", "mw-net", "co-teaching")  # BatchNorm and dropout in all; per example; two streams
OTHERS = sorted(set(presets()) - set(CHOSEN))


@pytest.mark.parametrize("name", [*CHOSEN, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_a_run_that_was_cut_at_two_steps_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    method = make_method(name, {})
    kind = "classification" if "classification" in method.capabilities.tasks else "regression"
    data = data_for(method, kind)
    run = partial(train, method, data, net_of(kind), TRAINING, task=task(data), reference=reference(kind))
    whole = CutAtStep(tmp_path / "whole")
    wanted = run(checkpoints=whole)
    steps = [place for place in whole.places if place[1]]
    if not steps:
        assert any(stage.passes for stage in method.stages(task(data))), "it is fitted at once"
        return
    late = [number for number, (epoch, _) in enumerate(steps, 1) if epoch >= 1] or [*range(1, len(steps) + 1)]
    first, second = late[len(late) // 4], late[3 * len(late) // 4]
    with pytest.raises(PowerCut):
        run(checkpoints=CutAtStep(tmp_path / "cut", first))
    with pytest.raises(PowerCut):
        run(checkpoints=CutAtStep(tmp_path / "cut", second - first))
    resumed = run(checkpoints=Checkpoints(tmp_path / "cut", float("inf")))
    assert same(weights(resumed.state), weights(wanted.state))
    assert resumed.history == wanted.history


class AtEveryStep(Checkpoints):
    """Checkpoints that are written at every step."""

    due_within_epoch = True


def test_weights_that_are_not_finite_do_not_take_the_place_of_those_that_were(tmp_path: Path) -> None:
    method, data = make_method("erm", {}), data_for(make_method("erm", {}))
    with pytest.raises(Diverged):
        train(method, data, net_of("classification"), replace(TRAINING, lr=1e30), checkpoints=AtEveryStep(tmp_path))
    kept = Checkpoints(tmp_path).read("1-train")
    assert kept is not None
    assert all(tensor.isfinite().all() for name, tensor in kept.tensors.items() if name.startswith("state."))
