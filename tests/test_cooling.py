"""The strength that is found while training: the rule by itself, HAR with it, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import skedastic as sk
from skedastic.config import build_config, method_table, read, the_method, to_toml
from skedastic.core.cooling import FALL, START, WITHIN, cooled, overdone
from skedastic.errors import UserError
from skedastic.evaluate import mean_of_groups
from skedastic.methods.base import Clock
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR, CoolingState
from skedastic.pipeline import estimate_noise, train_and_evaluate
from skedastic.preparation import network, open_data
from skedastic.training import Budget, Checkpoints, train
from tests.test_contract import dataset, make_net, same, task, weights

BUDGET = Budget(epochs=6, batch_size=16, device="cpu")
SEEN = torch.tensor([20.0, 40.0])


def with_noise(noise, high=None):
    """The task of the contract tests, its groups with this noise and this upper end of it."""
    data = dataset()
    noise = torch.tensor(noise, dtype=torch.float64)
    high = noise if high is None else torch.tensor(high, dtype=torch.float64)
    stats = replace(task(data).stats, noise=noise, noise_low=torch.zeros(3), noise_high=high)
    return replace(task(data), stats=stats)


def ends_at(allowed, epochs=60):
    """The strength at the end, where the error of each group grows with it: λ / (1 + λ), and twice as fast."""
    level = torch.tensor(START)
    allowed = torch.tensor(allowed)
    for _ in range(epochs):
        error = torch.stack([level / (1 + level), 2 * level / (1 + 2 * level)])[: len(allowed)]
        level = cooled(level, error * 100, torch.full_like(error, 100), allowed, epochs)
    return float(level)


def test_a_group_is_overdone_above_what_is_allowed_and_not_at_it():
    allowed = torch.tensor([0.15, 0.3])
    assert overdone(torch.tensor([3.0, 12.0]), SEEN, allowed).tolist() == [False, False]
    assert overdone(torch.tensor([4.0, 0.0]), SEEN, allowed).tolist() == [True, False]
    assert not overdone(torch.zeros(2), torch.zeros(2), torch.zeros(2)).any()  # nothing was seen of them


def test_one_class_that_swallows_another_does_not_hide_behind_the_mean():
    allowed, wrong = torch.tensor([0.5, 0.5]), torch.tensor([20.0, 0.0])  # all and none: together no more than allowed
    assert wrong.sum() <= (allowed * SEEN).sum()
    assert cooled(torch.tensor(1.0), wrong, SEEN, allowed, 60) < 1


@pytest.mark.parametrize("epochs", [3, 15, 60, 300])
def test_it_falls_a_hundredfold_within_two_thirds_of_the_epochs(epochs):
    level = torch.tensor(START)
    for _ in range(round(WITHIN * epochs)):
        level = cooled(level, SEEN, SEEN, torch.zeros(2), epochs)
    assert float(level) == pytest.approx(START / FALL, rel=1e-3)
    assert 0 < float(cooled(level, SEEN, SEEN, torch.zeros(2), 1)) < START / FALL  # one epoch is enough for all of it


def test_it_stays_where_every_group_is_fit_well_enough():
    level = torch.tensor(3.0)
    assert torch.equal(cooled(level, torch.zeros(2), SEEN, torch.zeros(2), 60), level)


def test_the_more_noise_the_stronger_and_without_noise_it_is_weak():
    ends = [ends_at([noise, noise]) for noise in (0.0, 0.02, 0.1, 0.3, 0.5, 0.8)]
    assert ends == sorted(ends)
    assert ends[0] < START / FALL
    assert ends[3] > 0.1
    for noise, end in zip((0.1, 0.3, 0.5), ends[2:], strict=False):
        assert 2 * end / (1 + 2 * end) <= noise  # the group that suffers most is the one that decides


def test_one_group_is_enough_and_a_further_one_can_only_lower_it():
    assert ends_at([0.5]) == pytest.approx(1, rel=0.15)  # λ / (1 + λ) = 1/2
    assert ends_at([0.5, 0.5]) < ends_at([0.5])
    assert ends_at([0.5, 1.0]) == ends_at([0.5])


def test_where_no_group_has_noise_it_is_plain_training_to_the_bit():
    data, t = dataset(), with_noise([0.0, 0.0, 0.0])
    auto, plain = (train(m, data, make_net, BUDGET, task=t) for m in (HAR(strength="auto"), ERM()))
    assert same(weights(auto.state.net), weights(plain.state.net))


def test_groups_without_noise_are_not_regularized_and_still_have_a_say():
    data, t = dataset(), with_noise([0.0, 0.4, 0.0], [1.0, 1.0, 1.0])
    state = train(HAR(strength="auto"), data, make_net, BUDGET, task=t).state
    assert state.strength.tolist() == [0.0, START, 0.0]  # everything is allowed
    t = with_noise([0.0, 0.4, 0.0], [0.0, 1.0, 1.0])
    state = train(HAR(strength="auto"), data, make_net, BUDGET, task=t).state
    assert state.strength[0] == state.strength[2] == 0
    assert 0 < state.strength[1] < START


def test_the_errors_are_counted_by_group_over_an_epoch():
    method, data = HAR(strength="auto"), dataset()
    state = method.init(task(data), make_net)
    assert isinstance(state, CoolingState)
    logits = torch.nn.functional.one_hot(torch.zeros(50, dtype=torch.int64), 3).float()  # class 0 for everyone
    batch = sk.methods.base.Batch(data.x, data.y, data.index, data.group)
    for _ in range(2):
        method.observe(state, batch, sk.methods.base.Out(logits), Clock(0, 6, 0))
    assert state.wrong.tolist() == [0, 34, 32]
    assert state.seen.tolist() == [34, 34, 32]
    method.end_epoch(state, task(data), Clock(0, 6, 0), None)
    assert float(state.level) == pytest.approx(START * FALL ** (-1 / 4))
    assert not state.wrong.any()
    assert not state.seen.any()


@pytest.mark.parametrize("weighting", ["adaptive", "uniform", "random", "inverse"])
def test_it_goes_with_every_weighting_and_the_history_tells_its_course(weighting):
    data = dataset()
    method = HAR(strength="auto", weighting=weighting)
    assert method.needs == {"group_stats"}
    trained = train(method, data, make_net, BUDGET, task=task(data))
    course = [row["strength"] for row in trained.history]
    assert course[0] == START
    assert course == sorted(course, reverse=True)
    enforced = method.enforced(trained.state, task(data))
    assert torch.allclose(enforced, method.group_strengths(task(data)) * trained.state.level / START)
    assert float(trained.state.level) <= course[-1]


def test_it_goes_on_from_a_checkpoint_to_the_bit(tmp_path):
    data, method = dataset(), HAR(strength="auto")

    class Cut(BaseException):
        pass

    def cut(_, done, total):
        if done == 3:
            raise Cut

    whole = train(method, data, make_net, BUDGET, task=task(data))
    with pytest.raises(Cut):
        train(method, data, make_net, BUDGET, task=task(data), progress=cut, checkpoints=Checkpoints(tmp_path, 0, ""))
    again = train(method, data, make_net, BUDGET, task=task(data), checkpoints=Checkpoints(tmp_path, 0, ""))
    assert same(weights(again.state), weights(whole.state))
    assert again.history == whole.history


def test_the_configuration_holds_it():
    config = build_config({"method": method_table(HAR(strength="auto"))})
    assert the_method(config) == HAR(strength="auto")
    assert 'strength = "auto"' in to_toml(config)
    assert the_method(read(None, {}, ["method.strength=auto"])) == HAR(strength="auto")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: HAR(strength="autos"), "strength must be a number, or auto; did you mean 'auto'?"),
        (lambda: HAR(strength=""), "strength must be a number, or auto"),
        (
            lambda: the_method(read(None, {}, ["method.strength=autos"])),
            "method.strength='autos': must be a number, or",
        ),
        (lambda: HAR(strength="auto").group_strengths(replace(task(dataset()), stats=None)), "run estimate first"),
        (
            lambda: HAR(strength="auto", weighting="uniform").init(replace(task(dataset()), stats=None), make_net),
            "run estimate first",
        ),
    ],
)
def test_bad_input_is_one_line(make, says):
    with pytest.raises(UserError) as error:
        make()
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_report_says_what_was_found_and_why():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 4)) + np.eye(4)[y]
    result = sk.fit(x, y, method=sk.HAR(strength="auto"), train=BUDGET, model={"name": "mlp", "width": 16})
    assert float(result.strengths.max()) <= result.history[-1]["strength"] <= START
    from skedastic.report.build import fit_report

    asked = dict(fit_report(result, Path("somewhere")).asked)
    assert asked["Strength"].startswith("auto: from 10.0 to ")
    assert "its noise allows" in asked["Strength"]


def test_on_the_demo_it_is_well_above_plain_training_and_sacrifices_no_class():
    config = read("examples/demo.toml", {"seed": 1000})
    data = open_data(config)
    make_net = network(config, data)
    estimated = estimate_noise(config, data, make_net)
    plain, auto = (train_and_evaluate(config, data, m, make_net, estimated) for m in (ERM(), HAR(strength="auto")))
    gain = mean_of_groups(auto.metrics, config.focus) - mean_of_groups(plain.metrics, config.focus)
    assert gain > 0.04  # 1, the best strength of the grid, gains 0.10 on this seed; 3 and 10 lose as much
    assert auto.metrics["worst_group"]["accuracy"] > plain.metrics["worst_group"]["accuracy"] - 0.1
    assert 0.01 < float(auto.strengths.max()) < 2
