"""Regression from end to end: fit, compare, estimate, the command line, and back from disk."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import skedastic as sk
from skedastic.core import GroupStats, strengths
from skedastic.core.jacobian import JacobianPenalty, regularized_loss
from skedastic.data import from_arrays
from skedastic.losses.huber import Huber
from skedastic.losses.squared import Squared
from skedastic.methods.bases.card import CLASSIFICATION, Capabilities, Card
from skedastic.methods.bases.method import Method
from skedastic.methods.erm import ERM
from skedastic.pipeline.dry_run import dry_run
from skedastic.pipeline.prepare import open_data
from skedastic.pipeline.task_check import GOOD, check_task
from skedastic.settings.methods import make_method
from tests.reference import regression as literal
from tests.support.command_line import run
from tests.support.power_cut import PowerCut, cut_after
from tests.support.refusals import refused

QUICK: dict[str, Any] = {
    "train": sk.TrainingConfig(epochs=3, batch_size=32, lr=0.02, device="cpu"),
    "model": {"name": "mlp", "width": 8, "depth": 1},
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 3))
GROUPS = np.array(["quiet", "loud", "rare"])[np.minimum(np.arange(240) % 12, 2) * (np.arange(240) % 3 > 0)]
SIGMA = np.where(GROUPS == "loud", 200.0, 10.0)
CLEAN = 50_000 + 300 * X[:, 0] - 100 * X[:, 1]
Y = CLEAN + RNG.normal(size=240) * SIGMA


@pytest.fixture(scope="module")
def fitted():
    return sk.fit(X, Y, groups=GROUPS, test=(X, CLEAN, GROUPS), method="har", task="regression", **QUICK)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    columns = {"price": Y, "clean": CLEAN, "kind": GROUPS}
    pd.DataFrame(X, columns=list("abc")).assign(**columns).to_csv("prices.csv", index=False)
    return "prices.csv"


def test_strengths_follow_the_variance_and_the_density() -> None:
    noise, density = [0.5, 400.0, 3.0], [0.7, 0.1, 0.2]
    tau = strengths(torch.tensor(noise), torch.tensor(density), "variance")
    assert tau.tolist() == pytest.approx(literal.tau(noise, density), rel=1e-6)
    unit = strengths(torch.ones(3), torch.tensor(density))
    assert unit.tolist() == pytest.approx(literal.tau([1.0] * 3, density), rel=1e-6)  # the paper's q^{-2/5}
    with refused("strengths: uncertainty", 400.0, rule="in [0, 1]"):
        strengths(torch.tensor(noise), torch.tensor(density))
    for wrong in (-1.0, float("nan"), float("inf")):
        with refused("strengths: uncertainty", pytest.approx(wrong, nan_ok=True), rule="of at least 0"):
            strengths(torch.tensor([wrong, 1.0]), torch.tensor([0.5, 0.5]), "variance")


def test_statistics_of_a_variance_go_to_json_and_back(fitted) -> None:
    stats = fitted.group_stats
    assert stats.measure == "variance"
    assert stats.errors is None
    again = GroupStats.from_dict(json.loads(json.dumps(stats.to_dict(), allow_nan=False)))
    assert again.to_dict() == stats.to_dict()
    assert torch.equal(again.strengths, stats.strengths)


def test_a_fit_is_in_the_targets_units(fitted) -> None:
    assert fitted.classes == ()
    assert fitted.groups == ("loud", "quiet", "rare")
    predicted = fitted.predict(X)
    assert predicted.shape == (240,)
    assert predicted.dtype == np.float64
    assert np.abs(predicted - CLEAN).mean() < 400
    assert fitted.metrics.overall.rmse == pytest.approx(literal.rmse(predicted, CLEAN))
    assert fitted.predictions["label"].tolist() == CLEAN.tolist()
    assert fitted.predictions["predicted"].tolist() == predicted.tolist()
    assert fitted.group_stats.uncertainty[0] > 200**2 / 4
    expected = 0.1 * strengths(fitted.group_stats.uncertainty, fitted.group_stats.density, "variance")
    torch.testing.assert_close(fitted.strengths.double(), expected, rtol=1e-6, atol=0)
    assert "accuracy" not in fitted.history[0]
    with refused("predict_proba", None, rule="use predict"):
        fitted.predict_proba(X)


def test_suspects_are_residuals_in_units_of_their_groups_noise(fitted) -> None:
    issues = fitted.label_issues
    assert len(issues) == 240
    deviation = fitted.group_stats.uncertainty.sqrt()[[fitted.groups.index(GROUPS[i]) for i in issues["index"]]].numpy()
    np.testing.assert_allclose(issues["residual"], (issues["given"] - issues["suggested"]) / deviation)
    assert issues["given"].tolist() == Y[issues["index"]].tolist()
    assert issues["residual"].abs().is_monotonic_decreasing


def test_known_noise_is_the_mean_square_of_the_added_noise(table) -> None:
    result = sk.fit(table, target="price", truth="clean", groups="kind", ignore=["kind"], test=0.3, **QUICK)
    rows = np.setdiff1d(np.arange(240), result.predictions["index"])
    for g, name in enumerate(result.groups):
        mine = rows[GROUPS[rows] == name]
        assert result.true_noise[g] == pytest.approx(((Y - CLEAN)[mine] ** 2).mean())
    assert result.predictions["label"].tolist() == CLEAN[result.predictions["index"]].tolist()


def test_a_saved_result_predicts_the_same_to_the_bit(fitted, tmp_path: Path) -> None:
    fitted.save(tmp_path / "run")
    loaded = sk.load(tmp_path / "run")
    assert np.array_equal(loaded.predict(X), fitted.predict(X))
    assert loaded.target == fitted.target
    assert loaded.metrics == fitted.metrics
    assert loaded.group_stats.to_dict() == fitted.group_stats.to_dict()
    assert loaded.density == fitted.density
    pd.testing.assert_frame_equal(loaded.label_issues, fitted.label_issues)
    loaded.save(tmp_path / "again")
    for name in ("state.json", "model.safetensors", "metrics.json", "group_stats.json", "config.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "epoch"), [("estimate 2/2", 1), ("train", 2)])
def test_an_interrupted_fit_goes_on_to_the_same_weights(stage, epoch, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "groups": GROUPS,
        "method": "har",
        "task": "regression",
        "checkpoint_every": 0.0,
        **QUICK,
    }
    whole = sk.fit(X, Y, **settings)
    with pytest.raises(PowerCut):
        sk.fit(X, Y, **settings, checkpoints=tmp_path, progress=cut_after(stage, epoch))
    resumed = sk.fit(X, Y, **settings, checkpoints=tmp_path)
    assert np.array_equal(resumed.predict(X), whole.predict(X))
    assert resumed.group_stats.to_dict() == whole.group_stats.to_dict()
    with refused(str(tmp_path / "checkpoints" / "estimate-1-1-train.safetensors"), rule="of other labels"):
        sk.fit(X, Y * 2, **settings, checkpoints=tmp_path)


def test_unit_noise_needs_no_estimate_and_no_strength_is_plain_training() -> None:
    none = sk.Estimation(kind="none")
    result = sk.fit(X, Y, method=sk.HAR(noise="unit"), groups=GROUPS, task="regression", estimate=none, **QUICK)
    share = [float((name == GROUPS).mean()) for name in result.groups]
    assert (result.strengths / 0.1).tolist() == pytest.approx(literal.tau([1.0] * 3, share), rel=1e-6)
    assert result.group_stats is None
    plain = sk.fit(X, Y, method="erm", task="regression", estimate=none, **QUICK)
    for method in (sk.HAR(noise="unit", strength=0.0), sk.HAR(weighting="uniform", strength=0.0)):
        off = sk.fit(X, Y, method=method, task="regression", estimate=none, **QUICK)
        assert np.array_equal(off.predict(X), plain.predict(X))


@pytest.mark.parametrize("loss", ["squared", "absolute", {"name": "huber", "delta": 0.5}])
def test_every_loss_of_numbers_trains(loss) -> None:
    name = "auto" if loss == "squared" else loss
    settings: dict[str, Any] = {"task": "regression", "estimate": sk.Estimation(kind="none"), **QUICK}
    result = sk.fit(X, Y, method=make_method("har-unit", {"loss": loss}), **settings)
    assert np.abs(result.predict(X) - CLEAN).mean() < 400
    if loss == "squared":
        auto = sk.fit(X, Y, method=make_method("har-unit", {"loss": name}), **settings)
        assert np.array_equal(auto.predict(X), result.predict(X))


def test_implicit_and_finite_are_near_the_exact_gradient_for_squared_loss() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 1), nn.Flatten(0)).double()
    x, y = torch.from_numpy(X[:32]), torch.from_numpy((Y[:32] - Y.mean()) / Y.std())
    for strength in (0.0, 0.05):
        gradients = {}
        for kind in ("exact", "finite", "implicit"):
            net.zero_grad()
            penalty = JacobianPenalty(gradient=kind, step=1e-4)
            regularized_loss(net, x, y, strength, loss=Squared(), penalty=penalty).total.backward()
            gradients[kind] = torch.cat([p.grad.flatten() for p in net.parameters()])
        torch.testing.assert_close(gradients["finite"], gradients["exact"], rtol=1e-3, atol=1e-5)
        cosine = torch.cosine_similarity(gradients["implicit"], gradients["exact"], dim=0)
        assert float(cosine) > 0.999


def test_networks_of_ones_own_may_give_one_column_or_none() -> None:
    none: dict[str, Any] = {
        "estimate": sk.Estimation(kind="none"),
        "method": "erm",
        "task": "regression",
        "train": QUICK["train"],
    }
    column = sk.fit(X, Y, model=lambda: nn.Linear(3, 1), **none)
    bare = sk.fit(X, Y, model=lambda: nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), **none)
    assert np.array_equal(column.predict(X), bare.predict(X))
    assert column.predict(X[:1]).shape == (1,)
    with refused("the network's output", [2, 2], rule="one number each, [2] or [2, 1]"):
        sk.fit(X, Y, model=lambda: nn.Linear(3, 2), **none)


class OnlyClasses(ERM):
    """A method that is not for regression."""

    card = replace(ERM.card, name="only-classes", capabilities=Capabilities(tasks=CLASSIFICATION))


def test_a_method_that_is_not_for_the_task_is_refused(fitted) -> None:
    data = open_data(sk.Config(task="regression"), from_arrays(X, Y), None).train
    method: Method = OnlyClasses()
    assert isinstance(method.card, Card)
    way = "take stack, har, trees, erm, or another of `skedastic methods --task regression`"
    with refused("method", "only-classes", rule=f"only-classes is not for regression; {way}"):
        dry_run([method], data, lambda: nn.Linear(3, 1), QUICK["train"])


@pytest.mark.parametrize("task", GOOD)
def test_the_methods_that_a_refusal_names_are_for_the_task(task: str) -> None:
    for name in GOOD[task]:
        check_task(make_method(name, {}), task)


def test_a_refusal_names_a_handful_of_losses() -> None:
    with refused("method.loss", "huber", rule=", … (`skedastic methods` lists all)") as caught:
        check_task(ERM(loss=Huber()), "classification")
    assert caught.value.rule.count(",") < 10


def test_the_papers_half_split_and_its_raw_variance() -> None:
    result = sk.fit(X, Y, groups=GROUPS, task="regression", estimate=sk.Estimation(kind="paper"), test=None, **QUICK)
    seen = result.label_issues
    assert len(seen) == int(result.group_stats.counted.sum()) == 120
    for g, name in enumerate(result.groups):
        rows = seen[GROUPS[seen["index"]] == name]
        assert float(result.group_stats.uncertainty[g]) == pytest.approx(
            ((rows["given"] - rows["suggested"]) ** 2).mean()
        )


def test_tiny_groups_and_a_single_one_are_no_trouble() -> None:
    groups = np.where(np.arange(240) < 2, "two", np.where(np.arange(240) < 3, "one", "rest"))
    result = sk.fit(X, Y, groups=groups, test=0.3, method="har", task="regression", **QUICK)
    assert torch.isfinite(result.strengths).all()
    assert result.group_stats.uncertainty.min() > 0
    alone = sk.fit(X, Y, task="regression", bins=1, method="har", **QUICK)
    assert alone.strengths.tolist() == pytest.approx([0.1])
    images = RNG.integers(0, 255, (240, 6, 6), dtype=np.uint8)
    assert sk.fit(images, Y, task="regression", **QUICK).predict(images).shape == (240,)


CONFIG: dict[str, Any] = {
    "target": "price",
    "ignore": ("clean", "kind"),
    "bins": 4,
    "seeds": 2,
    "methods": ("erm", "har-unit", "har"),
    **QUICK,
}


def test_a_comparison_is_of_errors_and_lower_is_better(table) -> None:
    comparison = sk.compare(sk.Config(source=table, test="0.5", **CONFIG))  # 30 test rows in each bin
    figures = comparison.to_dict()
    assert figures["metric"] == "rmse"
    assert all(
        set(row) == {"overall", "focus", "rest", "worst_group", "seconds"} for row in figures["methods"].values()
    )
    assert all(set(row) == {"overall", "focus", "rest"} for row in figures["paired"].values())
    for seed, outcome in enumerate(comparison.outcomes):
        rmse = {name: error.rmse for name, error in outcome.metrics["har"].groups.items()}
        focus = [rmse[name] for name in rmse if name in comparison.focus]
        assert comparison.values["har"]["focus"][seed] == pytest.approx(np.mean(focus))
        assert comparison.values["har"]["worst_group"][seed] == max(rmse.values())
    difference = figures["paired"]["har-erm"]["focus"]["mean"]
    assert difference == pytest.approx(
        figures["methods"]["har"]["focus"]["mean"] - figures["methods"]["erm"]["focus"]["mean"]
    )
    assert len({o.groups for o in comparison.outcomes}) == 1, "the bins are the same for every seed"
    comparison.save("both")
    page = Path("both/report.html").read_text("utf-8")
    assert all(words in page for words in ("lower is better", "The error of har is"))
    assert "Accuracy" not in page[: page.index("<script")]


def sentence(har: float, erm: float) -> str:
    from skedastic.runs.comparison import Comparison
    from skedastic.runs.sentences import comparison_sentence

    comparison = sk.compare(sk.Config(source="prices.csv", **CONFIG | {"methods": ("erm", "har")}))
    for outcome in comparison.outcomes:
        for name, value in (("har", har), ("erm", erm)):
            rmse, metrics = value + outcome.seed * 0.01 * value, outcome.metrics[name]
            groups: dict[str, Any] = {group: replace(error, rmse=rmse) for group, error in metrics.groups.items()}
            outcome.metrics[name] = replace(metrics, groups=groups)
    return comparison_sentence(Comparison(comparison.config, comparison.outcomes))


@pytest.mark.slow
def test_the_sentence_has_the_sign_right(table) -> None:
    assert sentence(10.0, 20.0).startswith("The error of har is 10.05 lower than that of erm on ")
    assert sentence(20.0, 10.0).startswith("The error of har is 10.05 higher than that of erm on ")
    assert "the same as that of erm" in sentence(10.0, 10.0)


@pytest.mark.slow
def test_the_command_line(table, capsys: pytest.CaptureFixture[str]) -> None:
    learning = ("model.width=8", "train.lr=0.05", "train.batch_size=16", "estimate.epochs=1")
    brief = ("--epochs", 20, *(word for setting in learning for word in ("--set", setting)))
    apart = ("--ignore", "clean", "--ignore", "kind")
    line = (table, "--target", "price", "--task", "regression", "--bins", 4, *apart, *brief)
    status, out, err = run(capsys, "fit", *line, "--set", "method.loss=huber", "--out", "run")
    assert status == 0, err
    assert "error (95 %)" in out
    assert "The root mean squared error on the 48 test rows is" in out
    assert ", and the mean absolute error is " in out
    assert re.search(r"^Took \d+\.\d s\.$", out, re.MULTILINE)
    assert "targets to check" in out
    assert json.loads(Path("run/metrics.json").read_text())["overall"]["n"] == 48
    page = Path("run/report.html").read_text("utf-8")
    assert "Root mean squared error on held-out test rows" in page
    assert run(capsys, "fit", "--config", "run/config.toml", "--out", "again")[0] == 0
    for name in ("metrics.json", "model.safetensors", "group_stats.json", "config.toml"):
        assert Path("run", name).read_bytes() == Path("again", name).read_bytes()
    assert list(pd.read_parquet("run/predictions.parquet").columns) == ["index", "label", "predicted", "group"]
    status, out, _ = run(capsys, "estimate", *line, "--json")
    figures = json.loads(out)
    assert (status, figures.get("errors"), len(figures["disagreement"])) == (0, None, 4)
    assert max(figures["strengths"]) == 1
    status, out, _ = run(capsys, "estimate", table, "--target", "price", "--groups", "kind", "--truth", "clean", *brief)
    assert "true noise σ" in out
    status, out, _ = run(capsys, "compare", *line, "--methods", "erm,har", "--seeds", 2, "--jobs", 1, "--out", "both")
    assert status == 0
    assert "lower is better" in " ".join(out.split())
    status, out, err = run(capsys, "fit", *line, "--method", "har", "--set", "train.lr=1e30", "--out", "nan")
    assert (status, out) == (3, "")
    assert "lower the learning rate (now train.lr=1e+30)" in err
