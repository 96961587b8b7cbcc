"""The loop and its configuration: stages, schedules, streams, and errors."""

import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from skedastic.core.samplers import seeded
from skedastic.methods.bases.card import Card
from skedastic.methods.bases.method import Stage
from skedastic.methods.bases.step import State
from skedastic.methods.erm import ERM
from skedastic.training import TrainingConfig, train
from skedastic.training.loop import make_task
from skedastic.training.optimizers import make_optimizer, make_schedule, undecayed
from skedastic.training.running_means import RunningMeans
from tests.support.refusals import refused
from tests.support.training import QUICK, SEEN, Last, TwoStages, dataset, make_net, same, tensors


def rates(training, epochs=None):
    """The learning rate of each epoch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], training.lr)
    schedule = make_schedule(training, optimizer, epochs or training.epochs)
    seen = []
    for _ in range(epochs or training.epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_steps_fall_at_two_thirds_and_five_sixths() -> None:
    assert rates(TrainingConfig(epochs=60, lr=1.0).settled()) == pytest.approx([1.0] * 40 + [0.1] * 10 + [0.01] * 10)
    assert rates(TrainingConfig(epochs=6, lr=1.0, milestones=(0.5,), decay=0.5).settled()) == pytest.approx(
        [1.0] * 3 + [0.5] * 3
    )
    assert rates(TrainingConfig(epochs=1).settled()) == [0.05]
    assert rates(TrainingConfig(epochs=6, lr=1.0).settled(), epochs=12) == pytest.approx(
        [1.0] * 8 + [0.1] * 2 + [0.01] * 2
    )


def test_cosine_goes_to_zero_and_constant_stays() -> None:
    seen = rates(TrainingConfig(epochs=10, lr=1.0, schedule="cosine").settled())
    expected = 0.5 * (1 + torch.cos(torch.pi * torch.arange(10) / 10))
    assert seen == pytest.approx(expected.tolist())
    assert rates(TrainingConfig(epochs=3, lr=0.3, schedule="constant").settled()) == [0.3] * 3


@pytest.mark.parametrize("schedule", ["steps", "cosine", "constant"])
def test_warmup_rises_to_the_rate_and_the_schedule_goes_on_from_there(schedule) -> None:
    seen = rates(TrainingConfig(epochs=12, lr=1.0, warmup=0.25, schedule=schedule).settled())
    assert seen[:3] == pytest.approx([0.25, 0.5, 0.75])
    assert seen[3] == pytest.approx(1.0)
    rest = {
        "steps": [1.0] * 5 + [0.1] * 2 + [0.01] * 2,
        "cosine": (0.5 * (1 + torch.cos(torch.pi * torch.arange(9) / 9))).tolist(),
        "constant": [1.0] * 9,
    }
    assert seen[3:] == pytest.approx(rest[schedule])


def test_warmup_alone_is_a_whole_schedule() -> None:
    assert rates(TrainingConfig(epochs=2, lr=1.0, warmup=0.9).settled()) == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize(("name", "kind"), [("sgd", "SGD"), ("adam", "Adam"), ("adamw", "AdamW")])
def test_optimizers(name, kind) -> None:
    optimizer = make_optimizer(
        TrainingConfig(optimizer=name, lr=0.5, weight_decay=0.2).settled(), make_net().parameters(), lr_scale=0.1
    )
    assert type(optimizer).__name__ == kind
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    assert optimizer.param_groups[0]["weight_decay"] == 0.2


class Words(nn.Module):
    """An embedding of ten words, the mean of four of them, BatchNorm, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.last = nn.Embedding(10, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.embed(x.long()).mean(1)))


def test_with_adam_the_embedding_of_a_word_in_no_batch_stays_as_it_is() -> None:
    """100 steps; decay alone would take every entry 0.01 a step toward 0."""
    words = torch.randint(0, 7, (32, 4), generator=torch.Generator().manual_seed(0))  # never 7, 8 or 9
    data = replace(dataset(32), x=words.float())
    training = TrainingConfig(
        epochs=100, batch_size=32, optimizer="adam", lr=0.01, weight_decay=0.1, schedule="constant", device="cpu"
    )
    made: list[Words] = []

    def make() -> nn.Module:
        made.append(Words())
        return copy.deepcopy(made[0])

    after = train(ERM(), data, make, training).state.net.embed.weight
    torch.testing.assert_close(after[7:], made[0].embed.weight[7:], rtol=0, atol=0)
    assert (after[:7] - made[0].embed.weight[:7]).abs().min() > 0


@pytest.mark.parametrize(("name", "spared"), [("sgd", 0), ("adam", 4), ("adamw", 0)])
def test_adam_alone_spares_embeddings_norms_and_biases_from_decay(name, spared) -> None:
    net = Words()
    training = TrainingConfig(optimizer=name, weight_decay=0.2).settled()
    optimizer = make_optimizer(training, net.parameters(), spared=undecayed(net))
    without = [p for g in optimizer.param_groups if g["weight_decay"] == 0 for p in g["params"]]
    assert len(without) == spared
    assert all(p is not net.last.weight for p in without)
    assert undecayed(net) == {id(p) for p in net.parameters()} - {id(net.last.weight)}


def test_the_history_has_a_row_an_epoch() -> None:
    history = train(ERM(), dataset(), make_net, replace(QUICK, epochs=6)).history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert [row["lr"] for row in history] == pytest.approx([0.1] * 4 + [0.01] + [0.001])
    assert history[-1]["loss"] < history[0]["loss"]
    assert all(0 <= row["accuracy"] <= 1 for row in history)


def test_a_remainder_of_one_joins_the_batch_before_it() -> None:
    counted = []

    @dataclass(frozen=True, kw_only=True)
    class Counting(ERM):
        def observe(self, step):
            counted.append(len(step.batch.y))

    train(Counting(), dataset(33), make_net, replace(QUICK, epochs=1))
    assert counted == [8, 8, 8, 9]
    with refused("data", 1):
        train(ERM(), dataset(1), make_net, QUICK)


def test_every_epoch_sees_every_example_once_in_another_order() -> None:
    seen = []

    @dataclass(frozen=True, kw_only=True)
    class Watching(ERM):
        def observe(self, step):
            seen.append((step.clock.epoch, step.clock.step, step.batch.index))

    data = dataset()
    train(Watching(), data, make_net, replace(QUICK, epochs=2))
    epochs = [torch.cat([index for at, _, index in seen if at == epoch]) for epoch in (0, 1)]
    assert all(torch.equal(epoch.sort().values, data.index) for epoch in epochs)
    assert not torch.equal(*epochs)
    assert [step for _, step, _ in seen] == list(range(8))


def test_a_loss_that_is_not_finite_is_one_clear_line() -> None:
    with refused("train.lr", 1e30, rule="the loss is not finite"):
        train(ERM(), dataset(), make_net, replace(QUICK, lr=1e30))
    with refused("train.lr", 1e39, rule="a weight is not finite after epoch 1 of 1"):
        train(ERM(), dataset(), make_net, replace(QUICK, epochs=1, batch_size=64, lr=1e39))
    data = dataset()
    with refused("data", None, rule="the loss is not finite; nothing was learned yet, so look for huge values"):
        train(ERM(), replace(data, x=data.x * float("nan")), make_net, QUICK)


# A recipe of stages: train all, then the last layer alone on a part of the data, from where the first stage ended.


@pytest.mark.parametrize("reinit", [False, True])
def test_a_recipe_of_two_stages(reinit) -> None:
    SEEN.update(classes=[], drawn=[], enriched=[], stats=[], rates=[])
    trained = train(TwoStages(reinit=reinit), dataset(), make_net, QUICK, seed=5)
    assert [row["stage"] for row in trained.history] == ["representation"] * 2 + ["classifier"] * 4
    assert trained.method == Last()
    assert set(SEEN["classes"]) == {0, 2}
    assert len(SEEN["classes"]) == 4 * 22
    assert SEEN["stats"] == ["enriched"] * 4
    assert SEEN["rates"] == pytest.approx([0.05] * 3 + [0.0005]), "half of the rate; both steps are at 3 of 4 epochs"
    first, last = SEEN["first"], tensors(trained.state)
    kept = [name for name in trained.state.state_dict() if name in ("net.0.weight", "net.0.bias", "net.1.weight")]
    where = [list(trained.state.state_dict()).index(name) for name in kept]
    assert len(kept) == 3
    assert all(torch.equal(first[i], last[i]) for i in where[:2]) is not reinit, "frozen, unless started from scratch"
    assert not torch.equal(first[-1], last[-1])


@dataclass(frozen=True, kw_only=True)
class Choosing(ERM):
    """ERM on some rows, whose predictions of the others decide between two ends."""

    second: bool = True

    card: ClassVar[Card] = replace(ERM.card, name="choosing")

    def stages(self, task):
        return (
            Stage(name="some", method=ERM(), data=lambda t: t.index[:30] - t.index[0], predicts=self._others),
            Stage(name="first", method=ERM(), chosen=lambda t: not self._chosen(t)),
            Stage(name="second", method=ERM(), chosen=self._chosen, note="it was the second"),
        )

    @staticmethod
    def _others(task):
        return task.index[30:] - task.index[0]

    def _chosen(self, task):
        SEEN["held out"].append(task.handed_on["some"])
        return self.second


@pytest.mark.parametrize("second", [True, False])
def test_what_a_stage_predicts_of_rows_it_has_not_seen_may_choose_the_next(second) -> None:
    SEEN["held out"] = []
    data = dataset()
    trained = train(Choosing(second=second), data, make_net, QUICK, seed=7)
    assert trained.stages == ("some", "second" if second else "first")
    assert trained.notes == (("it was the second",) if second else ())
    plain, some = (train(ERM(), part, make_net, QUICK, seed=7) for part in (data, data.subset(torch.arange(30))))
    assert same(tensors(trained.state.net), tensors(plain.state.net)), "a new start is the start of the seed"
    for predicted in SEEN["held out"]:
        assert torch.equal(predicted, some.predict(data.x[30:]))


def test_a_stage_whose_predictions_are_known_is_left_out() -> None:
    SEEN["held out"] = []
    data = dataset()
    known = torch.rand(len(data) - 30, 3)
    task = replace(make_task(data), handed_on={"some": known})
    assert train(Choosing(), data, make_net, QUICK, task=task).stages == ("second",)
    assert all(predicted is known for predicted in SEEN["held out"])


def test_other_streams_go_round_and_are_shuffled_again() -> None:
    SEEN.update(classes=[], drawn=[], enriched=[], stats=[], rates=[])
    train(TwoStages(), dataset(), make_net, QUICK)
    drawn = torch.cat(SEEN["drawn"])
    rounds = drawn[: 4 * 22].split(22)
    assert all(torch.equal(r.sort().values, rounds[0].sort().values) for r in rounds)
    assert not torch.equal(rounds[0], rounds[1])


@pytest.mark.parametrize(("share", "size"), [(1.0, 8), (0.5, 4), (0.01, 2)])
def test_other_streams_may_have_smaller_batches_and_never_of_one(monkeypatch: pytest.MonkeyPatch, share, size) -> None:
    SEEN.update(classes=[], drawn=[], enriched=[], stats=[], rates=[])
    monkeypatch.setattr(Last, "batch_shares", lambda self: {"other": share})
    train(Last(), dataset(32), make_net, QUICK)
    assert {len(index) for index in SEEN["drawn"]} == {size}
    assert len(torch.cat(SEEN["drawn"][: 32 // size]).unique()) == 32


def test_stages_and_streams_are_a_function_of_the_seed() -> None:
    def run(seed):
        SEEN.update(classes=[], drawn=[], enriched=[], stats=[], rates=[])
        return tensors(train(TwoStages(), dataset(), make_net, QUICK, seed=seed).state), torch.cat(SEEN["drawn"])

    (first, drawn), (again, drawn_again), (other, drawn_other) = run(1), run(1), run(2)
    assert same(first, again)
    assert torch.equal(drawn, drawn_again)
    assert not same(first, other)
    assert not torch.equal(drawn, drawn_other)


def test_seeds_of_near_keys_are_far() -> None:
    firsts = {int(torch.randint(2**40, (1,), generator=seeded(s, e))) for s in range(10) for e in range(10)}
    assert len(firsts) == 100


def test_the_task_holds_the_data_that_a_method_may_know() -> None:
    task = make_task(dataset())
    assert task.input_shape == (5,)
    assert task.stats is None
    assert isinstance(ERM().init(task, make_net), State)


def test_logged_values_are_averaged_over_the_examples() -> None:
    logged, right, levels = RunningMeans(), [], []
    for step in range(150):  # more than are summed at once, and some left over
        right.append(torch.arange(1 + step % 5) == 0)
        levels.append(torch.tensor(float(step)))
        logged.add({"accuracy": right[-1], "level": levels[-1], "never": torch.zeros(0)})
    assert logged.means() == {"accuracy": 150 / sum(map(len, right)), "level": 149 / 2}
    assert RunningMeans().means() == {}
