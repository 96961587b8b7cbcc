"""What the command line says of what it can't use: one clear line, and nothing is written."""

from pathlib import Path

import pytest

from tests.support.command_line import CSV, everything, run

BAD = [
    # the source
    ("fit", "no SOURCE"),
    ("fit nowhere.csv --target quality", "nowhere.csv: no such file"),
    ("fit digit", "did you mean 'digits'?"),
    ("fit notes.txt --target quality", "ends in '.txt'"),
    ("fit notes.csv --target quality", "notes.csv"),
    ("fit broken.parquet --target quality", "can't be read as a parquet table"),
    ("fit . --target quality", "is in no sub-folder"),
    ("fit no_rows.csv --target quality", "no_rows.csv has no rows"),
    ("fit digits --target quality", "digits has no columns"),
    ("fit good.csv good.csv", "extra argument"),
    # the columns
    ("fit good.csv", "--target"),
    ("fit good.csv --target qualty", "did you mean 'quality'?"),
    ("fit good.csv --target quality --groups widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --ignore widht", "did you mean 'width'?"),
    ("fit good.csv --target quality --ignore quality", "be ignored at once"),
    ("fit good.csv --target quality --truth clean", "unknown truth column 'clean'"),
    ("fit good.csv --target quality --groups cluster:", "write how many clusters"),
    ("fit good.csv --target quality --groups cluster:0", "from 2 to 1000"),
    ("fit good.csv --target quality --groups cluster:x", "from 2 to 1000: cluster:4"),
    ("fit good.csv --target quality --groups cluster:999", "take fewer clusters, or more rows"),
    ("compare good.csv --target quality --groups cluster:2 --focus a/1", "not known beforehand"),
    ("fit good.csv --target width --groups cluster:2 --bins 3", "leave it out"),
    ("estimate good.csv --target quality --groups cluster:2 --set estimate.kind=paper", "take estimate.kind=cross-fit"),
    ("fit good.csv --target quality --ignore width --ignore height --ignore depth", "no column is left"),
    ("fit good.csv --target width --task classification", "train it with --task regression"),
    ("fit one_class.csv --target quality", "every label is 'a'"),
    ("fit one_example.csv --target quality", "'b' with a single example"),
    ("fit text.csv --target quality", "line 9: 'wide' is not a number"),
    ("fit nan.npz", "X[4, 1] (row 4, column 1) is nan"),
    ("fit words.npz", "'wide', which is not a number"),
    ("fit good.npz --target z", "unknown array 'z'"),
    # real targets
    ("fit good.csv --target width --task regresion", "did you mean 'regression'?"),
    ("fit good.csv --target quality --task regression", "line 2: 'a' is not a number, and regression needs numbers"),
    ("estimate good.csv --target quality --task regression", "train a classifier with --task classification"),
    ("fit holes.csv --target price --task regression", "line 5: the target is missing"),
    ("fit flat.csv --target price --task regression", "every target of the training rows is 5"),
    ("compare flat.csv --target price --task regression", "every target of the training rows is 5"),
    ("fit good.csv --target width --bins 0", "bins=0: must be a whole number of at least 1"),
    ("fit good.csv --target width --bins 61", "only 60 different targets"),
    ("fit good.csv --target width --bins many", "'many' is not a valid integer"),
    ("fit good.csv --target width --bins 3 --groups quality", "leave one of the two out"),
    ("fit good.csv --target quality --bins 3", "bins are made of numbers"),
    ("fit holes.csv --target width --groups price", "line 5: the group is missing"),
    ("fit digits --task regression", "digits has classes"),
    ("fit good.csv --target width --noise uniform:0.2", "it is made for classes"),
    ("compare good.csv --target width --imbalance step:10", "it is made for classes"),
    (
        "fit good.csv --target width --set method.loss=cross-entropy",
        "har with loss=cross-entropy is not for regression; losses that are",
    ),
    (
        f"fit {CSV} --set method.loss=huber",
        "har with loss=huber is not for classification; losses that are: auto, balanced-softmax, cross-entropy",
    ),
    ("fit good.csv --target width --set method.loss.delta=2", "method.loss.name=huber"),
    ("fit good.csv --target width --set method.noise=units", "did you mean 'unit'?"),
    ("fit good.csv --target width --set estimate.kind=none", "har needs each group's noise"),
    ("fit good.csv --target width --test column_short.csv", "− depth (numeric, is it 'width'?)"),
    ("compare good.csv --target width --focus big", "unknown group in focus 'big'"),
    # the test set
    (f"fit {CSV} --test 1.5", "test=1.5: must be a share of the rows in (0, 1)"),
    (f"fit {CSV} --test 0", "test=0: must be a share"),
    (f"fit {CSV} --test nan", "test=nan: must be a share"),
    (f"fit {CSV} --test nowhere.csv", "nowhere.csv: no such file"),
    (f"fit {CSV} --test other_labels.csv", "label 'zebra' does not occur in the training data"),
    (f"fit {CSV} --test no_rows.csv", "no_rows.csv has no rows"),
    (f"fit {CSV} --test column_short.csv", "− depth (numeric)"),
    (f"fit {CSV} --test good.npz", "good.npz"),
    (f"compare {CSV} --test none", "a comparison needs a test set"),
    # noise, imbalance, limit
    (f"fit {CSV} --noise a<->b:2", "'2' is no probability"),
    ("fit digits --noise 1<->77:0.1", "unknown class '77'"),
    (f"fit {CSV} --noise a<->a:0.1", "flipped to itself"),
    (f"fit {CSV} --noise unifrom:0.2", "unifrom"),
    (f"fit {CSV} --imbalance step:0.5", "'0.5' is no ratio"),
    (f"fit {CSV} --imbalance step:5:d", "unknown class 'd'"),
    (f"fit {CSV} --imbalance longtail", "is not understood"),
    (f"compare {CSV} --noise a<->b:2", "'2' is no probability"),
    (f"fit {CSV} --limit 1", "limit=1: must be a whole number of at least 2"),
    (f"fit {CSV} --limit 3", "limit=3 is too few"),
    (f"fit {CSV} --limit many", "'many' is not a valid integer"),
    # names
    ("fitt digits", "did you mean 'fit'?"),
    ("fit digits --epcohs 3", "'--epochs'"),
    (f"fit {CSV} --method haar", "did you mean 'har'?"),
    (f"compare {CSV} --methods erm,haar", "did you mean 'har'?"),
    (f"compare {CSV} --methods erm,har,erm", "the same name stands twice"),
    (f"compare {CSV} --methods=", "unknown method ''"),
    (f"compare {CSV} --methods erm --strength 1", "strength"),
    (f"compare {CSV} --focus a,d", "unknown group in focus 'd'"),
    (f"compare {CSV} --focus a,a", "the same name stands twice"),
    (f"fit {CSV} --model mpl", "did you mean 'mlp'?"),
    (f"fit {CSV} --model resnet32", "try --model mlp"),
    (f"compare {CSV} --model mpl", "did you mean 'mlp'?"),
    (f"estimate {CSV} --model mpl", "did you mean 'mlp'?"),
    ("methods haar", "did you mean 'har'?"),
    # values
    (f"fit {CSV} --strength -1", "method.strength="),
    (f"fit {CSV} --strength nan", "method.strength="),
    (f"fit {CSV} --strength strong", "method.strength='strong': must be a number"),
    (f"fit {CSV} --set method.strength=autos", "method.strength='autos': must be a number"),
    (f"fit {CSV} --method erm --strength 1", "unknown setting 'method.strength'"),
    (f"fit {CSV} --epochs 0", "train.epochs=0: must be a whole number of at least 1"),
    (f"fit {CSV} --seed -1", "seed=-1: must be a whole number in [0, 2147483647]"),
    (f"compare {CSV} --seeds 0", "seeds=0: must be a whole number of at least 1"),
    (f"compare {CSV} --jobs -1", "jobs=-1: must be at least 1"),
    (f"fit {CSV} --set train.lr=0", "train.lr=0.0: must be a number above 0"),
    (f"fit {CSV} --set train.lr=true", "train.lr=True: must be a number"),
    (f"fit {CSV} --set train.epochs=abc", "train.epochs='abc': must be a whole number"),
    (f"fit {CSV} --set train.epochs=2.5", "train.epochs=2.5: must be a whole number"),
    (f"fit {CSV} --set train.batch_size=1", "BatchNorm can't take a single one"),
    (f"fit {CSV} --set train.milestones=2", "fractions of the epochs"),
    (f"fit {CSV} --set train.optimizer=sdg", "did you mean 'sgd'?"),
    (f"fit {CSV} --set train.device=gpu", "train.device='gpu' can't be used here"),
    (f"compare {CSV} --set train.device=meta", "train.device='meta' can't be used here"),
    (f"fit {CSV} --set train.augment=crop-flip", "augment=crop-flip"),
    (f"fit {CSV} --set estimate.folds=1", "estimate.folds=1: must be a whole number of at least 2"),
    (f"fit {CSV} --set estimate.kind=paprr", "did you mean 'paper'?"),
    (f"fit {CSV} --set estimate.kind=none", "har needs each group's noise"),
    (f"compare {CSV} --set estimate.kind=none", "har needs each group's noise"),
    (f"estimate {CSV} --set estimate.kind=none", "leaves nothing to do"),
    (f"fit {CSV} --set model.width=0", "model.width=0"),
    (f"fit {CSV} --set model.widht=3", "did you mean 'width'?"),
    (f"compare {CSV} --set model.widht=3", "did you mean 'width'?"),
    (f"fit {CSV} --set model.name=3", "model.name=3: must be text"),
    (f"fit {CSV} --set method.name=3", "method.name=3: must be text"),
    (f"fit {CSV} --set method.gradient=exakt", "did you mean 'exact'?"),
    (f"fit {CSV} --set method.taps=bn*", "'bn*' matches no module"),
    (f"compare {CSV} --set method.taps=bn*", "'bn*' matches no module"),
    (f"fit {CSV} --set method.loss=hinge", "unknown loss 'hinge'"),
    (f"fit {CSV} --set method=3", "must be a table"),
    (f"fit {CSV} --set train=3", "must be a table"),
    (f"fit {CSV} --set train.lr.x=3", "must be a number"),
    (f"fit {CSV} --set trian.lr=3", "unknown setting 'trian'; did you mean 'train'?"),
    (f"fit {CSV} --set train.lr", "write key=value"),
    # the configuration
    ("fit --config nowhere.toml", "No such file"),
    ("fit --config notes.csv", "can't read the configuration"),
    ("fit --config broken.toml", "is not TOML"),
    ("fit --config unknown.toml", "unknown setting 'train.epcohs'; did you mean 'train.epochs'?"),
    # the folder to write
    (f"fit {CSV} --out mine", "exists and is not empty"),
    (f"fit {CSV} --out mine --force", "did not write"),
    (f"fit {CSV} --out looks_ours --force", "did not write"),
    (f"fit {CSV} --out good.csv", "is a file"),
    (f"fit {CSV} --out good.csv/run", "can't be written"),
    (f"fit {CSV} --out .", "is where you are"),
    (f"fit {CSV} --out .. --force", "is where you are"),
    (f"fit {CSV} --out {'long' * 80}", "can't be written"),
    (f"compare {CSV} --out mine --force", "did not write"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
@pytest.mark.usefixtures("no_training")
def test_bad_input_is_one_clear_line_and_nothing_is_written(line, words, here, capsys):
    before = everything(here)
    status, out, err = run(capsys, *line.split(" "))
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert everything(here) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody may write to")
@pytest.mark.usefixtures("no_training")
def test_a_folder_in_a_read_only_file_system_is_refused(here, capsys):
    status, _, err = run(capsys, *CSV.replace("good", "fit good").split(), "--out", "/proc/run")
    assert (status, err.count("\n")) == (2, 1)
    assert "--out '/proc/run' can't be written" in err
