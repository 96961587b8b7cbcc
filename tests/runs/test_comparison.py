"""Comparisons: the same figures however they are run, and the focus, pairs and sentences made from them."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

import skedastic as sk
from skedastic.core import GroupStats
from skedastic.core.choice import Gain, Trial
from skedastic.pipeline import fit_config
from skedastic.runs.comparison import Comparison
from skedastic.runs.folder import COMPARISON_FILES
from skedastic.runs.reports import _taken, comparison_report
from skedastic.runs.sentences import unlearned
from tests.support.refusals import refused

CONFIG = sk.Config(
    source="digits",
    noise="1<->8:0.4",
    limit=150,
    seeds=2,
    model={"name": "mlp", "width": 8, "depth": 1},
    train=sk.TrainingConfig(epochs=2, batch_size=32, augment="none", device="cpu"),
)


@pytest.fixture(scope="module")
def comparison():
    return sk.compare(CONFIG)


def figures(comparison):
    """Everything but the seconds and the environment."""
    value = comparison.to_dict()
    for row in value["methods"].values():
        del row["seconds"]
    del value["environment"]
    return value


def outcomes(comparison):
    return [(o.metrics, o.stats, o.strengths, o.history, o.true_noise) for o in comparison.outcomes]


def test_the_content_of_compare_json(comparison, tmp_path: Path) -> None:
    comparison.save(tmp_path / "both")
    assert {path.name for path in (tmp_path / "both").iterdir()} == set(COMPARISON_FILES)
    value = json.loads((tmp_path / "both" / "compare.json").read_text())
    assert set(value) == {"source", "seeds", "focus", "methods", "paired", "failed", "environment", "metric"}
    assert value["source"] == "sklearn:digits"
    assert value["seeds"] == [0, 1]
    assert value["focus"] == ["1", "8"]
    assert list(value["methods"]) == ["erm", "unif", "har"]
    for row in value["methods"].values():
        assert set(row) == {"overall", "focus", "rest", "balanced_accuracy", "worst_group", "seconds"}
        for part in ("overall", "focus", "rest", "balanced_accuracy", "worst_group"):
            assert set(row[part]) == {"mean", "low", "high", "values"}
            assert len(row[part]["values"]) == 2
            assert row[part]["low"] <= row[part]["mean"] <= row[part]["high"]
    assert set(value["paired"]) == {"unif-erm", "har-erm", "har-unif"}
    for row in value["paired"].values():
        assert set(row) == {"focus", "rest", "overall", "balanced_accuracy"}
        assert all(set(part) == {"mean", "low", "high"} for part in row.values())
    assert value["environment"]["torch"] == torch.__version__
    with refused("--out", str(tmp_path / "both"), rule="not empty"):
        comparison.save(tmp_path / "both")


def test_a_method_that_diverges_does_not_take_the_others_along(comparison, tmp_path: Path) -> None:
    config = replace(CONFIG, methods=("erm", "dmi(lr_scale=1e30)", "unif", "har"))
    diverged = sk.compare(config)
    assert diverged.methods == ("erm", "unif", "har")
    diverged.save(tmp_path / "run")
    value, without = (c.to_dict() for c in (diverged, comparison))
    assert value["failed"].keys() == {"dmi(lr_scale=1e30)"}
    assert value["failed"]["dmi(lr_scale=1e30)"].startswith("seed 0: training stage second (erm), epoch ")
    for row in (*value["methods"].values(), *without["methods"].values()):
        del row["seconds"]
    assert (value["methods"], value["paired"]) == (without["methods"], without["paired"])
    assert diverged.notes[0].startswith("dmi(lr_scale=1e30) is left out, since its training failed; seed 0: ")
    assert "is left out, since its training failed" in (tmp_path / "run" / "report.html").read_text()
    lines = (tmp_path / "run" / "seeds.jsonl").read_text().splitlines()
    assert [list(json.loads(line)["failed"]) for line in lines] == [["dmi(lr_scale=1e30)"]] * 2


def test_where_every_method_diverges_there_is_no_comparison() -> None:
    with refused("train.lr", 0.05, rule="the loss is ") as caught:
        sk.compare(replace(CONFIG, methods=("dmi(lr_scale=1e30)", "tce(lr_scale=1e30)"), seeds=1))
    assert caught.value.given.startswith("training stage second (erm), epoch ")


def test_where_every_method_fails_with_some_seed_the_first_failure_is_told(comparison) -> None:
    first, second = comparison.outcomes
    outcomes = [
        replace(first, failed={"erm": "the loss is nan", "har": "the loss is inf"}),
        replace(second, failed={"unif": "the loss is nan"}),
    ]
    with refused("methods", "erm", rule="seed 0: the loss is nan"):
        Comparison(comparison.config, outcomes)


def test_the_figures_are_those_of_the_seeds(comparison) -> None:
    value = comparison.to_dict()
    for name, row in value["methods"].items():
        for i, outcome in enumerate(comparison.outcomes):
            accuracy = {group: score.accuracy for group, score in outcome.metrics[name].groups.items()}
            assert row["focus"]["values"][i] == pytest.approx((accuracy["1"] + accuracy["8"]) / 2)
            rest = [a for g, a in accuracy.items() if g not in ("1", "8")]
            assert row["rest"]["values"][i] == pytest.approx(sum(rest) / 8)
    har, erm = (np.array(value["methods"][m]["focus"]["values"]) for m in ("har", "erm"))
    assert value["paired"]["har-erm"]["focus"]["mean"] == pytest.approx((har - erm).mean())


def test_balanced_accuracy_is_that_of_scikit_learn(comparison) -> None:
    value = comparison.to_dict()
    expected = {}
    for name in ("erm", "har"):
        runs = [fit_config(replace(CONFIG, method={"name": name}, seed=seed)) for seed in (0, 1)]
        expected[name] = [balanced_accuracy_score(r.predictions["label"], r.predictions["predicted"]) for r in runs]
        assert value["methods"][name]["balanced_accuracy"]["values"] == pytest.approx(expected[name])
    difference = np.subtract(expected["har"], expected["erm"]).mean()
    assert value["paired"]["har-erm"]["balanced_accuracy"]["mean"] == pytest.approx(difference)


def test_the_mean_over_groups_is_beside_that_over_classes_where_they_differ(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(240, 3)), columns=list("abc"))
    table["label"] = np.where(table["a"] + rng.normal(size=240) > 0.8, "yes", "no")
    table["where"] = np.where(rng.random(240) < 0.2, "north", "south")
    table.to_csv(tmp_path / "table.csv", index=False)
    given = {"source": str(tmp_path / "table.csv"), "target": "label", "groups": "where", "limit": None, "noise": None}
    comparison = sk.compare(replace(CONFIG, **given, methods=("erm", "auto"), seeds=1))
    result = fit_config(replace(CONFIG, **given, method={"name": "erm"}))
    right = result.predictions["label"] == result.predictions["predicted"]
    expected = {
        "balanced_accuracy": right.groupby(result.predictions["label"], observed=True).mean().mean(),
        "mean_of_groups": right.groupby(result.predictions["group"], observed=True).mean().mean(),
        "overall": right.mean(),
    }
    assert len(set(expected.values())) == 3
    value = comparison.to_dict()
    for part, mean in expected.items():
        assert value["methods"]["erm"][part]["values"] == pytest.approx([mean])
        assert set(value["paired"]["auto-erm"][part]) == {"mean", "low", "high"}
    comparison.save(tmp_path / "both")
    result.save(tmp_path / "one")
    for page in ("both/report.html", "one/report.html"):
        text = (tmp_path / page).read_text("utf-8")
        assert f"{expected['mean_of_groups']:.1%}".replace("%", " %") in text
        assert "Mean of groups</th>" in text
    card = (tmp_path / "one" / "README.md").read_text("utf-8")
    assert f"Mean over groups: {100 * expected['mean_of_groups']:.1f} %." in card


@pytest.mark.parametrize(("criterion", "where"), [("balanced", " in the mean over groups"), ("accuracy", "")])
def test_the_criterion_of_a_choice_is_the_one_that_was_asked_for(comparison, criterion, where: str) -> None:
    trial = Trial("HAR", "plain training", Gain(0.02, 0.01), gives_up=False, chosen=True, criterion=criterion)
    [(name, words)] = _taken([replace(o, trials={"auto": (trial,)}) for o in comparison.outcomes])
    assert name == "Choice of auto"
    assert f"than plain training{where} on labels that neither had seen; it was taken on 2 of 2 seeds" in words


def test_the_choice_tells_of_how_many_seeds_a_way_gave_a_class_up_or_went_wrong(comparison) -> None:
    trial = Trial("HAR", "plain training", Gain(0.02, 0.01), gives_up=True, chosen=False, went_wrong=True)
    trials = (trial, trial._replace(gives_up=False, went_wrong=False, chosen=True))
    outcomes = [replace(o, trials={"auto": (t,)}) for o, t in zip(comparison.outcomes, trials, strict=True)]
    [(_, words)] = _taken(outcomes)
    lost = (
        "; it gave a class up on 1 of 2 seeds; it went wrong on all rows on 1 of 2 seeds; it was taken on 1 of 2 seeds"
    )
    assert words.endswith(lost)


def test_the_report_names_what_predicted_where_that_is_no_network(comparison) -> None:
    trees = [replace(comparison.outcomes[0], predictors={"auto": "boosted trees"}), comparison.outcomes[1]]
    said = dict(comparison_report(replace(comparison, outcomes=trees)).asked)
    assert said["Model"] == "mlp"
    assert said["Model of auto"] == "boosted trees on 1 of 2 seeds; a network on 1 of 2 seeds"
    assert "Model of auto" not in dict(comparison_report(comparison).asked)


def test_a_comparison_knows_what_its_methods_predicted_by(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc"))
    table.assign(label=np.where(table["a"] > 0, "yes", "no")).to_csv(tmp_path / "table.csv", index=False)
    given = {"source": str(tmp_path / "table.csv"), "target": "label", "limit": None, "noise": None}
    found = sk.compare(replace(CONFIG, **given, methods=("erm", "trees"), seeds=1))
    assert set(found.outcomes[0].predictors) == {"trees"}
    found.save(tmp_path / "run")
    assert "Model of trees" in (tmp_path / "run" / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_the_same_however_many_jobs(comparison) -> None:
    threads = torch.get_num_threads()
    assert outcomes(sk.compare(CONFIG, jobs=2)) == outcomes(comparison)
    assert not multiprocessing.active_children()
    torch.set_num_threads(2)  # the caller's setting makes no difference either, and stays
    try:
        assert outcomes(sk.compare(CONFIG)) == outcomes(comparison)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_seed_is_the_same_alone(comparison) -> None:
    alone = sk.compare(replace(CONFIG, seeds=1, first_seed=1))
    assert outcomes(alone) == outcomes(comparison)[1:]
    value = alone.to_dict()
    for row in (*value["methods"].values(), *value["paired"].values()):
        assert row["focus"]["low"] is None
        assert row["focus"]["high"] is None


def test_methods_share_their_splits_their_estimate_and_nothing_else(comparison) -> None:
    for outcome in comparison.outcomes:
        sizes = [[score.n for score in m.groups.values()] for m in outcome.metrics.values()]
        assert sizes[0] == sizes[1] == sizes[2]
    one = sk.compare(replace(CONFIG, methods=("har",), seeds=1))
    assert one.outcomes[0].metrics["har"] == comparison.outcomes[0].metrics["har"]
    assert one.outcomes[0].stats == comparison.outcomes[0].stats
    assert one.to_dict()["paired"] == {}


def test_one_method_without_an_estimate(tmp_path: Path) -> None:
    config = replace(CONFIG, methods=("erm",), noise=None, estimate=sk.Estimation(kind="none"), seeds=1)
    comparison = sk.compare(config)
    comparison.save(tmp_path / "one")
    value = json.loads((tmp_path / "one" / "compare.json").read_text())
    assert value["focus"] == []
    assert value["methods"]["erm"]["focus"] is None
    assert value["methods"]["erm"]["rest"] is None
    assert value["methods"]["erm"]["overall"]["mean"] > 0
    assert value["paired"] == {}


def test_a_saved_comparison_can_be_repeated(comparison, tmp_path: Path) -> None:
    from skedastic.settings.reading import read

    comparison.save(tmp_path / "both")
    again = sk.compare(read(tmp_path / "both" / "config.toml", {}))
    assert figures(again) == figures(comparison)


def test_the_focus_is_the_named_touched_or_most_regularized_groups(comparison) -> None:
    assert comparison.focus == ("1", "8")
    named = Comparison(replace(CONFIG, focus=("0", "8")), comparison.outcomes)
    assert named.focus == ("0", "8")
    untouched = Comparison(replace(CONFIG, noise=None), comparison.outcomes)
    stats = [sk.core.GroupStats.from_dict(o.stats).strengths for o in comparison.outcomes]
    expected = sum(stats).argsort(descending=True)[:2].sort().values.tolist()
    assert untouched.focus == tuple(str(g) for g in expected)
    everyone = Comparison(replace(CONFIG, focus=tuple("0123456789")), comparison.outcomes)
    assert everyone.to_dict()["methods"]["har"]["rest"] is None


def test_groups_that_the_test_set_lacks(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)) + (np.arange(60) % 3)[:, None]
    table = pd.DataFrame(x, columns=list("abc")).assign(label=np.array(list("uvw"))[np.arange(60) % 3])
    table.to_csv(tmp_path / "train.csv", index=False)
    table[table["label"] != "w"].to_csv(tmp_path / "test.csv", index=False)
    config = replace(
        CONFIG, source=str(tmp_path / "train.csv"), target="label", test=str(tmp_path / "test.csv"), limit=None
    )
    with refused("focus", "w", rule="the test set has no example of it"):
        sk.compare(replace(config, noise=None, focus=("w",)))
    comparison = sk.compare(replace(config, noise=None, focus=("v", "w"), seeds=1))
    assert comparison.focus == ("v", "w")
    comparison.save(tmp_path / "named")
    touched = sk.compare(replace(config, noise="w->u:0.3", seeds=1))
    assert touched.focus == ()
    touched.save(tmp_path / "touched")
    value = json.loads((tmp_path / "touched" / "compare.json").read_text())
    assert value["methods"]["har"]["focus"] is None
    assert value["methods"]["har"]["worst_group"] is None  # no group has 30 test rows
    accuracy = touched.outcomes[0].metrics["har"].groups
    of_tested = (accuracy["u"].accuracy + accuracy["v"].accuracy) / 2
    assert value["methods"]["har"]["balanced_accuracy"]["mean"] == pytest.approx(of_tested)


def test_progress_is_told() -> None:
    seen = []
    sk.compare(replace(CONFIG, methods=("erm",)), progress=lambda *report: seen.append(report))
    assert seen == [("1 method × 2 seeds", done, 2) for done in (0, 1, 2)]


def test_an_estimate_of_the_models_own_errors_is_called_that() -> None:
    count = torch.tensor([100, 100])

    def of(errors: list[int]) -> GroupStats:
        noise = torch.tensor(errors) / 100
        return GroupStats(("a", "b"), count, count / 200, torch.tensor(errors), count, *[noise] * 6)

    assert unlearned(of([20, 60])) == []
    assert "80% of the held-out rows" in unlearned(of([70, 90]))[0]


def test_of_many_methods_each_is_paired_with_the_first(comparison) -> None:
    names = ("erm", "har", "elr", "gce", "sce", "unif", "crt")
    of_few, of_many = (Comparison(replace(comparison.config, methods=n), []) for n in (names[:6], names))
    assert len(of_few.pairs()) == 15
    assert of_many.pairs() == [(name, "erm") for name in reversed(names[1:])]


@pytest.mark.slow
def test_all_methods_are_those_that_the_data_can_be_used_with() -> None:
    config = sk.Config(
        source="digits", limit=150, seeds=1, methods=("all",), train=sk.TrainingConfig(epochs=2, batch_size=64),
        model={"name": "mlp", "width": 8, "depth": 1},
    )  # fmt: skip
    everything = sk.compare(config)
    names = everything.config.methods
    assert (names[0], names[-1]) == ("erm", "har-auto")
    assert list(names[1:-1]) == sorted(names[1:-1])
    assert {"har", "co-teaching", "elr", "sam", "gce"} <= set(names)
    assert not {"l2rw", "mw-net"} & set(names)
    assert any("l2rw (no reference set)" in note for note in everything.config.notes)
    assert set(everything.to_dict()["methods"]) == set(names)
