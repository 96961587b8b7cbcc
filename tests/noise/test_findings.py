"""What is shown of an estimate: nothing without rows or where nothing was learned, and a reason for each."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from skedastic.core.strengths import GroupStats
from skedastic.data import Grouping, Numbers
from skedastic.noise.by_target import held_out_predictions
from skedastic.noise.estimate import estimate_groups
from skedastic.noise.findings import NO_ROWS, NOT_LEARNED, Findings, examine, with_strengths
from skedastic.noise.wrong_labels import FEW, OWN_ERRORS, SLACK, UNCERTAIN
from skedastic.runs.sentences import uncalled_sentence
from skedastic.settings.config import Estimation
from skedastic.training import TrainingConfig
from tests.noise.test_estimate import dataset, net_for

TRAINING = TrainingConfig(epochs=8, lr=0.05, batch_size=64, device="cpu")


def back(estimate) -> Findings:
    written = json.loads(json.dumps(estimate.findings.to_dict(), allow_nan=False))
    return Findings.from_dict(written, estimate.stats.to_dict())


def test_a_group_without_rows_has_no_figure_and_is_no_headline() -> None:
    data = dataset(400, noise=(0.3,))
    data = replace(data, grouping=Grouping((*data.groups, "new")))
    estimate = estimate_groups(data, net_for(4), TRAINING, Estimation())
    found = estimate.findings
    assert found.withheld == ("", "", "", "", NO_ROWS)
    assert found.disagreement[4] is None
    assert found.wrong[4] is None
    assert found.wrong_withheld[4] == NO_ROWS
    assert found.largest in (0, 2)
    values = found.to_dict()
    assert values["disagreement"][4] is values["uncertainty_high"][4] is values["wrong"][4] is None
    assert values["disagreement_withheld"] == [None] * 4 + [NO_ROWS]
    assert estimate.stats.uncertainty.isfinite().all()  # of which strengths are made
    again = back(estimate)
    assert again.to_dict() == values
    assert again.wrong == found.wrong
    assert again.uncertain == found.uncertain


def test_disagreement_is_a_count_that_other_groups_do_not_move() -> None:
    estimate = estimate_groups(dataset(400, noise=(0.3,)), net_for(4), TRAINING, Estimation())
    stats, shown = estimate.stats, estimate.findings.disagreement
    for errors, counted, figure in zip(stats.errors.tolist(), stats.counted.tolist(), shown, strict=True):
        assert figure is None or figure.mean == pytest.approx(errors / counted)
    assert any(shown)


@pytest.mark.parametrize("kind", ["cross-fit", "paper"])
def test_where_nothing_was_learned_nothing_is_shown(kind) -> None:
    data = replace(dataset(200), x=torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
    training = replace(TRAINING, epochs=20)
    estimate = estimate_groups(data, net_for(4), training, Estimation(kind=kind))
    found = estimate.findings
    assert not found.learned
    assert set(found.withheld) == set(found.wrong_withheld) == {NOT_LEARNED}
    assert found.largest is None
    assert len(estimate.label_issues) == 0
    assert "is_issue" in estimate.label_issues
    assert "nothing was learned" in found.notes[0]
    assert ("estimate.epochs=1, the whole, gives them 20" in found.notes[0]) == (kind == "cross-fit")
    assert with_strengths(found, "har").notes[0] == found.notes[0]
    assert "--method unif" in with_strengths(found, "har").notes[1]
    assert not back(estimate).learned


def test_a_fold_that_learned_nothing_gets_no_figure_and_no_suspects() -> None:
    data = dataset(400)
    estimate = estimate_groups(data, net_for(4), TRAINING, Estimation())
    held_out = estimate.held_out.clone()
    held_out[estimate.fold == 1] = 0.25
    how = Estimation()
    predictions = held_out_predictions(data, held_out, estimate.fold)
    found, judged, counted = examine(data, predictions, how, estimate.stats, TRAINING)
    assert found.learned
    assert "fold 2 of 2" in found.notes[0]
    assert torch.equal(judged, estimate.fold == 0)
    assert int(found.stats.counted.sum()) <= int((estimate.fold == 0).sum())
    assert torch.equal(counted.present, estimate.fold == 0)
    assert found.withheld == ("",) * 4
    assert float(found.stats.wrong.max()) < 0.1


def test_a_group_of_random_labels_has_neither_figure_nor_suspects() -> None:
    data = dataset(800, classes=2, group=torch.arange(800) // 2 % 2)
    random = torch.randint(0, 2, (800,), generator=torch.Generator().manual_seed(1))
    data = replace(data, y=torch.where(data.group == 1, random, data.y))
    estimate = estimate_groups(data, net_for(2), TRAINING, Estimation())
    assert estimate.findings.withheld == ("", NOT_LEARNED)
    first = set(data.index[data.group == 0].tolist())
    assert set(estimate.label_issues["index"]) == first
    assert torch.equal(estimate.stats.count, torch.tensor([400, 400]))
    found = estimate.findings
    assert found.unranked == ("group 1",)
    said = "group 1 was not learned, so none of its labels is ranked."
    assert uncalled_sentence(found).endswith(said)
    assert uncalled_sentence(found, None) == said, "of an older run too"
    assert uncalled_sentence(found, unranked=("b", "group 1")).endswith("is ranked. No label of class b is ranked.")
    nine = {name: torch.tensor([400, 9]) for name in ("count", "counted")} | {"errors": torch.tensor([4, 4])}
    few = replace(found, stats=replace(found.stats, **nine))
    assert few.unranked == (), "of few rows that tells nothing, and their labels are ranked"
    assert "How many labels of group 1 are wrong is not known" in uncalled_sentence(few)


def test_few_rows_are_no_headline() -> None:
    count, noise = torch.tensor([29, 30, 500]), torch.tensor([0.9, 0.3, 0.1])
    stats = GroupStats(("a", "b", "c"), count, count / 559, torch.tensor([26, 9, 50]), count, *[noise] * 6)
    found = Findings.without_predictions(stats)
    assert found.largest == 1
    assert found.few == ("a",)


def test_numbers_have_no_wrong_labels() -> None:
    data = dataset(400)
    y = data.x[:, 0].double() * 3 + 1
    data = replace(
        data, y=y, target=Numbers().fit(y), group=torch.zeros(400, dtype=torch.int64), grouping=Grouping(("all",))
    )
    net = lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))  # noqa: E731
    estimate = estimate_groups(data, net, TRAINING, Estimation())
    assert estimate.findings.withheld == ("",)
    assert "wrong" not in estimate.findings.to_dict()
    assert back(estimate).to_dict() == estimate.findings.to_dict()


def test_of_what_is_withheld_few_or_no_labels_may_be_called_wrong() -> None:
    estimate = estimate_groups(dataset(800, noise=(0.3,) * 4), net_for(4), TRAINING, Estimation())
    found = estimate.findings
    assert [why in ("", UNCERTAIN) for why in found.wrong_withheld] == [True] * 4
    low = [end - SLACK for end in found.stats.wrong_low.tolist()]
    assert found.most_issues(clear=True).tolist() == pytest.approx(low)
    shown = [not why and end > 0.1 for why, end in zip(found.wrong_withheld, low, strict=True)]
    assert sum(shown) == 2
    only = [end * is_shown for end, is_shown in zip(low, shown, strict=True)]
    assert found.most_issues(clear=False).tolist() == pytest.approx(only)
    assert estimate.transitions.clear
    assert min(low) > 0.03, "or there is nothing to be seen"
    reasons = (UNCERTAIN, OWN_ERRORS, "", FEW)
    wrong = tuple(None if why else figure for why, figure in zip(reasons, found.wrong, strict=True))
    withheld = replace(found, wrong=wrong, wrong_withheld=reasons)
    assert withheld.most_issues(clear=True).tolist() == pytest.approx([low[0], 0.0, low[2], 0.0])
    issues = replace(estimate, findings=withheld).label_issues
    assert len(issues) == len(estimate.label_issues), "all are ranked"
    to_check = estimate.label_issues[["index", "is_issue"]]
    pd.testing.assert_frame_equal(issues[["index", "is_issue"]], to_check)
    every = estimate.label_issues["given"][estimate.label_issues["by_estimate"]].value_counts()
    counts = found.stats.counted.tolist()
    assert [every[name] for name in "0123"] == [round(end * n) for end, n in zip(low, counts, strict=True)]
    assert issues["is_issue"][issues["by_estimate"]].all()
    called = issues["given"][issues["by_estimate"]].value_counts()
    assert called.to_dict() == {name: every[name] for name in "02"}
    said = uncalled_sentence(withheld)
    assert "How many labels of 1, 3 are wrong is not known" in said
    assert uncalled_sentence(found) == ""


@pytest.mark.parametrize(("classes", "apart"), [(5, 0.5), (20, 0.5)])
def test_overlapping_classes_of_right_labels_are_hardly_ever_called_wrong(classes, apart) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40 * classes if classes > 5 else 800) % classes
    x = apart * rng.normal(size=(classes, 5))[y] + rng.normal(size=(len(y), 5))
    data = dataset(len(y), classes)
    data = replace(data, x=torch.tensor(x, dtype=torch.float32))
    net = lambda: nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, classes))  # noqa: E731
    estimate = estimate_groups(data, net, replace(TRAINING, epochs=20), Estimation(epochs=1.0))
    assert estimate.findings.learned
    assert estimate.label_issues["by_estimate"].mean() < 0.02
    doubtful = 1 - estimate.predictions.truth.right.mean()
    assert estimate.label_issues["is_issue"].mean() < 0.6 * doubtful + 0.05, "few are to be checked"
    assert "of each class half as many labels are to check" in uncalled_sentence(estimate.findings)
