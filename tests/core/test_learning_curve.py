"""The learning curve of two points: the same rows, predicted by models of half and of a quarter of all rows."""

from __future__ import annotations

from dataclasses import replace

import torch

from skedastic.core.learning_curve import Rise, rises
from skedastic.methods.auto import Auto
from skedastic.training import TrainingConfig, train
from tests.support.methods import dataset, make_net, task


def test_a_rise_is_the_difference_of_accuracies_by_group_and_their_mean() -> None:
    group = torch.tensor([0] * 8 + [1] * 4)
    few = torch.tensor([True] * 4 + [False] * 8)
    many = torch.tensor([True] * 6 + [False] * 2 + [True] * 3 + [False])
    mean, a, b = rises(many, few, group, None, ("a", "b"), "erm")
    assert [(r.group, r.rows) for r in (mean, a, b)] == [("", 6), ("a", 4), ("b", 2)]
    torch.testing.assert_close(torch.tensor([r.gain.mean for r in (mean, a, b)]), torch.tensor([0.5, 0.25, 0.75]))
    assert a.gain.error > 0
    assert Rise.from_dict(a.to_dict()) == a


def test_with_high_effort_auto_learns_quarters_of_the_other_half_and_rows_rise_with_them() -> None:
    data = dataset(240)
    data = replace(data, x=data.x + 0.8 * torch.randn(data.x.shape, generator=torch.Generator().manual_seed(1)))
    given = replace(task(data), seed=3)
    method = Auto(trees=False, effort="high")
    quarters = [stage for stage in method.stages(given) if "on quarters" in stage.name]
    assert given.halved is not None
    first = given.halved(3, None)
    for stage in quarters:
        assert stage.data is not None
        assert stage.predicts is not None
        rows, seen = stage.data(given), stage.predicts(given)
        assert not set(rows.tolist()) & set(seen.tolist())
        assert len(rows) + len(seen) < 240
        assert len(rows) == 60
        assert len(set(first[rows].tolist())) == 1
    run = train(method, data, make_net, TrainingConfig(epochs=3, batch_size=16, lr=0.05, device="cpu"), task=given)
    assert [rise.group for rise in run.rises] == ["", "a", "b", "c"]
    assert {rise.way for rise in run.rises} == {"half-balanced mixup"}
    assert run.rises[0].gain.mean > 0
    assert train(Auto(trees=False), data, make_net, TrainingConfig(epochs=1), task=given).rises == ()
