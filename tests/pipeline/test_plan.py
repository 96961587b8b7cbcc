"""The plan names the parts that progress is told of, each with its epochs."""

import numpy as np
import pytest

from skedastic.pipeline import compare, estimate, fit_config
from skedastic.pipeline.plan import outline_of
from skedastic.pipeline.prepare import open_data
from skedastic.settings.methods import make_method
from skedastic.settings.reading import read


def parts(how, **settings):
    """Return the plan that is told, and the last that progress tells of each part."""
    plans, seen = [], {}
    how(
        read(None, {"source": "good.csv", "target": "quality", "train.epochs": 4, "model.width": 4, **settings}),
        progress=lambda part, done, steps: seen.update({part: (done, steps)}),
        tell=lambda data, plan, said: plans.append(plan),
    )
    [plan] = plans
    return plan, seen


@pytest.mark.parametrize(
    ("method", "settings"),
    [("har", {}), ("crt", {}), ("incv", {}), ("erm", {"estimate.kind": "none"}), ("unif", {"estimate.kind": "paper"})],
)
def test_every_part_of_a_fit_is_planned(method, settings, here) -> None:
    plan, seen = parts(fit_config, **{"method.name": method, **settings})
    assert [(part.name, part.steps) for part in plan] == [(name, steps) for name, (_, steps) in seen.items()]
    assert all(1 <= part.rows <= 48 for part in plan)


def test_an_estimate_trains_nothing_else(here) -> None:
    plan, seen = parts(estimate, **{"estimate.folds": 3})
    assert [part.name for part in plan] == list(seen) == ["estimate 1/3", "estimate 2/3", "estimate 3/3"]


def test_a_comparison_is_told_by_seeds(here) -> None:
    plan, seen = parts(compare, methods="erm", seeds=2)
    assert plan == ()
    assert list(seen.values()) == [(2, 2)]


def test_last_stages_predict_the_test_rows_too(here) -> None:
    config = read(None, {"source": "good.csv", "target": "quality"})
    data = open_data(config)
    outline = outline_of(data, make_method("auto", {}))
    predicted = {stage.name: rows for stage, rows in zip(outline.stages, outline.predicted, strict=True)}
    names = ("mixup, half 1", "plain, half 2", "plain", "mixup, half balanced")
    assert [predicted[name] for name in names] == [24, 24, 48 + 12, 12]


def test_a_plan_draws_nothing(here) -> None:
    def probabilities(**tell):
        config = read(None, {"source": "good.csv", "target": "quality", "train.epochs": 1, "model.width": 4})
        return fit_config(config, **tell).predictions.iloc[:, 4:].to_numpy()

    assert np.array_equal(probabilities(), probabilities(tell=lambda data, plan, said: None))
