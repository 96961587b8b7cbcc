"""Values that the command line can't use: each is refused in one clear line, and nothing is written."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.command_line import CSV, everything, refusal, usage_error
from tests.support.refusals import check_refusal

NAN = pytest.approx(math.nan, nan_ok=True)
PART = {"a": 0.3, "b": 0.3, "c": 0.3}


class Bad(NamedTuple):
    """A command line, the setting and the value that it is refused for, and a few words of the rule."""

    line: str
    setting: str
    value: Any = None
    rule: str = ""


BAD = [
    # the source
    Bad("fit", "source", None, "skedastic fit digits"),
    Bad("fit nowhere.csv --target quality", "nowhere.csv", None, "no such file"),
    Bad("fit digit", "digit", None, "did you mean 'digits'?"),
    Bad("fit notes.txt --target quality", "notes.txt", None, "ends in '.txt'"),
    Bad("fit notes.csv --target quality", "notes.csv", None, "not a text file in UTF-8"),
    Bad("fit null.json --target quality", "null.json, line 1", "null", "must be an object"),
    Bad("fit null.jsonl --target quality", "null.jsonl, line 2", "null", "must be an object"),
    Bad("fit far_null.json --target quality", "far_null.json, line 1", "null", "must be an object"),
    Bad("fit broken.parquet --target quality", "broken.parquet", None, "as a parquet table"),
    Bad("fit . --target quality", "notes.txt", None, "is in no sub-folder"),
    Bad("fit no_rows.csv --target quality", "no_rows.csv", None, "at least one"),
    Bad("fit digits --target quality", "digits", None, "leave --target"),
    # the columns
    Bad("fit good.csv", "target", None, "--target"),
    Bad("fit good.csv --target qualty", "good.csv, target column", "qualty", "did you mean 'quality'?"),
    Bad("fit good.csv --target quality --groups widht", "good.csv, groups column", "widht", "did you mean 'width'?"),
    Bad("fit good.csv --target quality --ignore widht", "good.csv, column to ignore", "widht", "did you mean 'width'?"),
    Bad("fit good.csv --target quality --ignore quality", "target", "quality", "be ignored at once"),
    Bad("fit good.csv --target quality --truth clean", "good.csv, truth column", "clean", "known: width"),
    Bad("fit good.csv --target quality --groups cluster:", "groups", "cluster:", "from 2 to 1000"),
    Bad("fit good.csv --target quality --groups cluster:0", "groups", "cluster:0", "from 2 to 1000"),
    Bad("fit good.csv --target quality --groups cluster:x", "groups", "cluster:x", "from 2 to 1000"),
    Bad("fit good.csv --target quality --groups cluster:999", "groups", "cluster:999", "take fewer clusters"),
    Bad("compare good.csv --target quality --groups cluster:2 --focus a/1", "focus", "a/1", "not known beforehand"),
    Bad("fit good.csv --target width --groups cluster:2 --bins 3", "bins", 3, "leave it out"),
    Bad(
        "estimate good.csv --target quality --groups cluster:2 --set estimate.kind=paper",
        "groups",
        "cluster:2",
        "take estimate.kind=cross-fit",
    ),
    Bad(
        "fit good.csv --target quality --ignore width --ignore height --ignore depth",
        "good.csv",
        None,
        "no column is left",
    ),
    Bad(
        "fit good.csv --target width --task classification",
        "good.csv, column 'width'",
        60,
        "train it with --task regression",
    ),
    Bad("fit one_class.csv --target quality", "one_class.csv, column 'quality'", "a", "at least two classes"),
    Bad("fit one_example.csv --target quality", "one_example.csv, quality", "b", "fewer than two classes"),
    Bad("fit text.csv --target quality", "text.csv, line 9, column 'width'", "wide", "is not a number"),
    Bad("fit nan.npz", "nan.npz: X[4, 1]", NAN, "impute or remove"),
    Bad("fit words.npz", "words.npz: X[0, 1]", "wide", "must be a number"),
    Bad("fit good.npz --target z", "good.npz, array", "z", "known: X, y"),
    # real targets
    Bad("fit good.csv --target width --task regresion", "task", "regresion", "did you mean 'regression'?"),
    Bad(
        "fit good.csv --target quality --task regression",
        "good.csv, line 2, column 'quality'",
        "a",
        "regression needs numbers",
    ),
    Bad(
        "estimate good.csv --target quality --task regression",
        "good.csv, line 2, column 'quality'",
        "a",
        "train a classifier with --task classification",
    ),
    Bad(
        "fit holes.csv --target price --task regression",
        "holes.csv, line 5, column 'price'",
        None,
        "the target is missing",
    ),
    Bad("fit flat.csv --target price --task regression", "target", 5.0, "every target of the training rows"),
    Bad("compare flat.csv --target price --task regression", "target", 5.0, "every target of the training rows"),
    Bad("fit good.csv --target width --bins 0", "bins", 0, "at least 1"),
    Bad("fit good.csv --target width --bins 61", "bins", 61, "only 60 different targets"),
    Bad("fit good.csv --target width --bins 3 --groups quality", "bins", 3, "leave one of the two out"),
    Bad("fit good.csv --target quality --bins 3", "bins", 3, "bins are made of numbers"),
    Bad(
        "fit holes.csv --target width --groups price", "holes.csv, line 5, column 'price'", None, "the group is missing"
    ),
    Bad("fit digits --task regression", "task", "regression", "name a table with numbers"),
    Bad("fit good.csv --target width --noise uniform:0.2", "noise", "uniform:0.2", "it is for classes"),
    Bad("compare good.csv --target width --imbalance step:10", "imbalance", "step:10", "it is for classes"),
    Bad(
        "fit good.csv --target width --set method.loss=cross-entropy",
        "method.loss",
        "cross-entropy",
        "losses that are: absolute",
    ),
    Bad(f"fit {CSV} --set method.loss=huber", "method.loss", "huber", "losses that are: auto, balanced-softmax"),
    Bad("fit good.csv --target width --set method.loss.delta=2", "method.loss", {"delta": 2}, "method.loss.name=huber"),
    Bad("fit good.csv --target width --set method.noise=units", "method.noise", "units", "did you mean 'unit'?"),
    Bad("fit good.csv --target width --set estimate.kind=none", "estimate.kind", "none", "needs each group's noise"),
    Bad(
        "fit good.csv --target width --test column_short.csv",
        "column_short.csv",
        "depth",
        "− depth (numeric, is it 'width'?)",
    ),
    Bad("compare good.csv --target width --focus big", "group in focus", "big", "known: -2.25 to"),
    # the test set
    Bad(f"fit {CSV} --test 1.5", "test", 1.5, "in (0, 1)"),
    Bad(f"fit {CSV} --test 0", "test", 0, "in (0, 1)"),
    Bad(f"fit {CSV} --test=", "test", "", "in (0, 1)"),
    Bad(f"fit {CSV} --reference=", "reference", "", "in (0, 1)"),
    Bad(f"fit {CSV} --test nan", "test", NAN, "in (0, 1)"),
    Bad(f"fit {CSV} --test nowhere.csv", "nowhere.csv", None, "no such file"),
    Bad(
        f"fit {CSV} --test other_labels.csv",
        "other_labels.csv, line 2, column 'quality'",
        "zebra",
        "does not occur in the training data",
    ),
    Bad(f"fit {CSV} --test no_rows.csv", "no_rows.csv", None, "at least one"),
    Bad(f"fit {CSV} --test column_short.csv", "column_short.csv", "depth", "− depth (numeric)"),
    Bad(f"fit {CSV} --test good.npz", "good.npz, array", "quality", "known: X, y"),
    Bad(f"compare {CSV} --test none", "test", "none", "needs a test set"),
    # noise, imbalance, limit
    Bad(f"fit {CSV} --noise a<->b:2", "noise", "a<->b:2", "no probability"),
    Bad("fit digits --noise 1<->77:0.1", "noise", "1<->77:0.1", "unknown class '77'"),
    Bad(f"fit {CSV} --noise a<->a:0.1", "noise", "a<->a:0.1", "flipped to itself"),
    Bad(f"fit {CSV} --noise unifrom:0.2", "noise", "unifrom:0.2", "not understood"),
    Bad(f"fit {CSV} --imbalance step:0.5", "imbalance", "step:0.5", "no ratio"),
    Bad(f"fit {CSV} --imbalance step:5:d", "imbalance", "step:5:d", "unknown class 'd'"),
    Bad(f"fit {CSV} --imbalance longtail", "imbalance", "longtail", "not understood"),
    Bad(f"compare {CSV} --preset har-table1", "noise", "#1<->#9:0.4,#3<->#5:0.4", "--preset har-table1 says so"),
    Bad(f"compare {CSV} --noise a<->b:2", "noise", "a<->b:2", "no probability"),
    Bad(f"fit {CSV} --limit 1", "limit", 1, "at least 2"),
    Bad(f"fit {CSV} --limit 3", "limit", 3, "6 in all"),
    # names
    Bad("fitt digits", "verb", "fitt", "did you mean 'fit'?"),
    Bad(f"fit {CSV} --method haar", "method", "haar", "did you mean 'har'?"),
    Bad(f"compare {CSV} --methods erm,haar", "method", "haar", "did you mean 'har'?"),
    Bad(f"compare {CSV} --methods erm,har,erm", "methods", "erm,har,erm", "stands twice"),
    Bad(f"compare {CSV} --methods=", "method", ""),
    Bad(f"compare {CSV} --methods erm --strength 1", "setting of erm", "strength", "known: class_weights"),
    Bad(f"compare {CSV} --focus a,d", "group in focus", "d", "known: a, b, c"),
    Bad(f"compare {CSV} --focus a,a", "focus", "a,a", "stands twice"),
    Bad(f"fit {CSV} --model mpl", "model", "mpl", "did you mean 'mlp'?"),
    Bad(f"fit {CSV} --model resnet32", "model", "resnet32", "try --model mlp"),
    Bad(f"compare {CSV} --model mpl", "model", "mpl", "did you mean 'mlp'?"),
    Bad(f"estimate {CSV} --model mpl", "model", "mpl", "did you mean 'mlp'?"),
    Bad("methods haar", "method", "haar", "did you mean 'har'?"),
    # values
    Bad(f"fit {CSV} --strength -1", "method.strength", -1.0, "of at least 0, or auto"),
    Bad(f"fit {CSV} --strength nan", "method.strength", NAN, "of at least 0, or auto"),
    Bad(f"fit {CSV} --strength strong", "method.strength", "strong", "must be a number"),
    Bad(f"fit {CSV} --set method.strength=autos", "method.strength", "autos", "must be a number"),
    Bad(f"fit {CSV} --method erm --strength 1", "setting", "method.strength", "known: method.loss"),
    Bad(f"fit {CSV} --optimize blanced", "criterion", "blanced", "did you mean 'balanced'?"),
    Bad(f"fit {CSV} --optimize cost", "method.optimize.costs", None, "cost:FILE"),
    Bad(f"fit {CSV} --optimize cost:none.csv", "method.optimize", "none.csv", "can't read the costs: No such file"),
    Bad(f"fit {CSV} --optimize cost:good.csv", "method.optimize", "good.csv", "is no number; a cost is 0 or more"),
    Bad(f"fit {CSV} --optimize macro-f1 --method erm", "method.optimize", "macro-f1", "by which auto chooses"),
    Bad(f"fit {CSV} --prior a=0.5,b=0.5", "method.optimize.prior", ["a", "b"], "nothing of class 'c'"),
    Bad(f"fit {CSV} --prior a=0.3,b=0.3,d=0.4", "method.optimize.prior", "d", "'d' is no class"),
    Bad(f"fit {CSV} --prior a=1,b=1,c=1", "--prior", "a=1,b=1,c=1", "the shares sum to 3, and"),
    Bad(f"fit {CSV} --prior a=0.3,b=0.3,c=0.3", "method.optimize.prior", PART, "divide each by 0.9"),
    Bad(f"fit {CSV} --prior a=0.5,a=0.5", "--prior", "a=0.5,a=0.5", "'a' stands twice"),
    Bad(f"fit {CSV} --prior 1=0.5,1.0=0.5", "method.optimize.prior", "1.0", "'1' stands twice"),
    Bad(f"fit {CSV} --prior a", "--prior", "a", "CLASS=SHARE"),
    Bad(f"fit {CSV} --prior a=1,b=1,c=1 --optimize worst", "--prior", "a=1,b=1,c=1", "--optimize is worst"),
    Bad(f"fit {CSV} --epochs 0", "train.epochs", 0, "at least 1"),
    Bad(f"fit {CSV} --seed -1", "seed", -1, "in [0, 2147483647]"),
    Bad(f"compare {CSV} --seeds 0", "seeds", 0, "at least 1"),
    Bad(f"compare {CSV} --jobs -1", "jobs", -1, "at least 1"),
    Bad(f"fit {CSV} --set train.lr=1{'0' * 400}", "train.lr", 10**400, "a number above 0"),
    Bad(f"fit {CSV} --set train.epochs={'[' * 2000}", "train.epochs", "[" * 2000, "a whole number"),
    Bad(f"fit {CSV} --set train.lr=0", "train.lr", 0.0, "above 0"),
    Bad(f"fit {CSV} --set train.lr=true", "train.lr", True, "must be a number"),
    Bad(f"fit {CSV} --set train.epochs=abc", "train.epochs", "abc", "a whole number"),
    Bad(f"fit {CSV} --set train.epochs=2.5", "train.epochs", 2.5, "a whole number"),
    Bad(f"fit {CSV} --set train.batch_size=1", "train.batch_size", 1, "BatchNorm can't take a single one"),
    Bad(f"fit {CSV} --set train.milestones=2", "train.milestones", (2.0,), "fractions of the epochs"),
    Bad(f"fit {CSV} --set train.optimizer=sdg", "train.optimizer", "sdg", "did you mean 'sgd'?"),
    Bad(f"fit {CSV} --set train.device=gpu", "train.device", "gpu", "can't be used here"),
    Bad(f"compare {CSV} --set train.device=meta", "train.device", "meta", "can't be used here"),
    Bad(f"fit {CSV} --set train.augment=crop-flip", "train.augment", "crop-flip", "use train.augment=none"),
    Bad(f"fit {CSV} --set estimate.folds=1", "estimate.folds", 1, "at least 2"),
    Bad(f"fit {CSV} --set estimate.kind=paprr", "estimate.kind", "paprr", "did you mean 'paper'?"),
    Bad(f"fit {CSV} --set estimate.kind=none", "estimate.kind", "none", "needs each group's noise"),
    Bad(f"compare {CSV} --set estimate.kind=none", "estimate.kind", "none", "needs each group's noise"),
    Bad(f"estimate {CSV} --set estimate.kind=none", "estimate.kind", "none", "leaves nothing to do"),
    Bad(f"fit {CSV} --set model.width=0", "model.width", 0, "at least 1"),
    Bad(f"fit {CSV} --set model.widht=3", "option of model 'tabular'", "widht", "did you mean 'width'?"),
    Bad(f"compare {CSV} --set model.widht=3", "option of model 'tabular'", "widht", "did you mean 'width'?"),
    Bad(f"fit {CSV} --set model.name=3", "model.name", 3, "must be text"),
    Bad(f"fit {CSV} --set method.name=3", "method.name", 3, "must be text"),
    Bad(f"fit {CSV} --set method.gradient=exakt", "method.gradient", "exakt", "did you mean 'exact'?"),
    Bad(f"fit {CSV} --set method.taps=bn*", "taps", "bn*", "matches no module"),
    Bad(f"compare {CSV} --set method.taps=bn*", "taps", "bn*", "matches no module"),
    Bad(f"fit {CSV} --set method.loss=hinge", "loss", "hinge", "known: absolute"),
    Bad(f"fit {CSV} --set method=3", "method", 3, "must be a table"),
    Bad(f"fit {CSV} --set train=3", "train", 3, "must be a table"),
    Bad(f"fit {CSV} --set train.lr.x=3", "train.lr", {"x": 3}, "must be a number"),
    Bad(f"fit {CSV} --set trian.lr=3", "setting", "trian", "did you mean 'train'?"),
    Bad(f"fit {CSV} --set train.lr", "--set", "train.lr", "write key=value"),
    # the configuration
    Bad("fit --config nowhere.toml", "nowhere.toml", None, "No such file"),
    Bad("fit --config notes.csv", "notes.csv", None, "can't be read"),
    Bad("fit --config broken.toml", "broken.toml", None, "is not TOML"),
    Bad("fit --config unknown.toml", "setting", "train.epcohs", "did you mean 'train.epochs'?"),
    # the folder to write
    Bad(f"fit {CSV} --out mine", "--out", "mine", "exists and is not empty"),
    Bad(f"fit {CSV} --out mine --force", "--out", "mine", "did not write"),
    Bad(f"fit {CSV} --out looks_ours --force", "--out", "looks_ours", "did not write"),
    Bad(f"fit {CSV} --out good.csv", "--out", "good.csv", "is a file"),
    Bad(f"fit {CSV} --out good.csv/run", "--out", "good.csv/run", "can't be written"),
    Bad(f"fit {CSV} --out .", "--out", ".", "where you are"),
    Bad(f"fit {CSV} --out .. --force", "--out", "..", "where you are"),
    Bad(f"fit {CSV} --out {'long' * 80}", "--out", "long" * 80, "can't be written"),
    Bad(f"compare {CSV} --out mine --force", "--out", "mine", "did not write"),
]
MISUSED = {  # command lines that click itself refuses, and the option that it names or suggests, or what it says
    "fit good.csv good.csv": "Got unexpected extra argument (good.csv)",
    "fit good.csv --target width --bins many": "--bins",
    f"fit {CSV} --limit many": "--limit",
    "fit digits --epcohs 3": "--epochs",
}


@pytest.mark.parametrize("bad", BAD, ids=[bad.line for bad in BAD])
@pytest.mark.usefixtures("no_training")
def test_bad_input_is_refused_and_nothing_is_written(bad, here, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(here)
    check_refusal(refusal(capsys, *bad.line.split(" "), alone=True), bad.setting, bad.value, rule=bad.rule)
    assert everything(here) == before


@pytest.mark.parametrize("line", MISUSED)
def test_a_misused_option_is_named(line, here, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(here)
    assert usage_error(capsys, *line.split(" ")) == MISUSED[line]
    assert everything(here) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody may write to")
@pytest.mark.usefixtures("no_training")
def test_a_folder_in_a_read_only_file_system_is_refused(here, capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(capsys, "fit", *CSV.split(), "--out", "/proc/run", alone=True)
    check_refusal(error, "--out", "/proc/run", rule="can't be written")
