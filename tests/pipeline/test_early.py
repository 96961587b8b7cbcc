"""What is tried before the estimate, and on how many threads everything is tried out first."""

import torch

from skedastic.methods.fitted_ways import L2
from skedastic.pipeline import fit_config, steps
from skedastic.settings.reading import read

GOOD = {"source": "good.csv", "target": "quality", "train.epochs": 1}
EARLY = [f"{way}, half {k}" for way in L2 for k in (1, 2)] + ["trees, half 1"]


def told(checkpoints=None, **settings):
    """Return the parts of a fit in the order in which progress tells of them, and in that of its plan; and the fit."""
    seen, plans = dict[str, None](), []
    result = fit_config(
        read(None, {**GOOD, **settings}),
        lambda part, done, steps: seen.setdefault(part),
        checkpoints,
        lambda data, plan, said: plans.append([part.name for part in plan]),
    )
    return list(seen), plans, result


def test_with_checkpoints_what_is_quick_is_tried_before_the_estimate_and_not_again(here) -> None:
    seen, (nothing, plan), result = told(here / "kept")
    assert seen[: len(EARLY) + 1] == [*EARLY, "estimate 1/2"]
    assert (nothing, plan[: len(EARLY) + 2]) == ([], [*EARLY, "trees, half 2", "estimate 1/2"])
    again, plans, alone = told()
    assert again[:2] == ["estimate 1/2", "estimate 2/2"], "without checkpoints they would be tried twice"
    assert plans[0] == []
    assert len(plans) == 2
    assert result.trials == alone.trials
    assert [*alone.trained.stages] == [stage for stage in result.trained.stages if stage != "trees, half 1"], (
        "without, the trees of the estimate stand in for them"
    )
    assert result.predictions.equals(alone.predictions)


def test_with_a_budget_the_plan_comes_first(here) -> None:
    seen, [nothing, plan], _ = told(here / "kept", **{"budget": "1h", "train.epochs": None})
    assert nothing == [], "which method is taken"
    assert seen[: len(EARLY)] == plan[: len(EARLY)] == EARLY


def test_everything_is_tried_out_on_the_threads_of_training(here, monkeypatch) -> None:
    counts = []
    monkeypatch.setattr(steps, "dry_run", lambda *_: counts.append(torch.get_num_threads()))
    told(**{"train.threads": 2, "method.name": "erm", "estimate.kind": "none"})
    assert counts == [2]
