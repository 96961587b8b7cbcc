"""`sk.fit`: what Python is given (arrays, frames, objects) becomes a configuration and an opened source."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skedastic.data import from_arrays, from_torch, is_frame, is_torch, open_source
from skedastic.data.settings import Decimal, TaskName, TextSettings, clusters_asked
from skedastic.errors import UserError
from skedastic.methods.bases.method import MakeNet, Method
from skedastic.pipeline.prepare import Data, open_data, with_exact_names
from skedastic.pipeline.steps import fit_data
from skedastic.runs.own_index import entries_of, own_index, with_own_index
from skedastic.runs.result import Result
from skedastic.runs.unfinished import alone
from skedastic.settings.config import Config, Estimation, GrossErrors
from skedastic.settings.data_apart import FROM_PYTHON, DataApart, FromPython, HoldOut
from skedastic.settings.methods import make_method, method_table
from skedastic.settings.model_choice import OwnModel
from skedastic.settings.reading import build_config
from skedastic.training import TrainingConfig
from skedastic.training.loop import Progress

OF_FRAMES = ("task", "bins", "text", "numeric", "categorical", "decimal", "ignore")  # said of X where y is beside it
ColumnNames = str | Sequence[str]  # names, or several in one text by comma


def fit(
    source: Any,
    y: Any = None,
    *,
    method: Method | str | None = None,
    model: str | Mapping[str, Any] | MakeNet = "auto",
    train: TrainingConfig | None = None,
    budget: str | None = None,
    estimate: Estimation | None = None,
    tokens: TextSettings | None = None,
    test: Any = 0.2,
    reference: Any = None,
    target: str | None = None,
    task: TaskName = "auto",
    groups: Any = None,
    bins: int | None = None,
    ignore: ColumnNames = (),
    text: ColumnNames = (),
    numeric: ColumnNames = (),
    categorical: ColumnNames = (),
    decimal: Decimal = "auto",
    image: str | None = None,
    image_size: int | None = None,
    annotators: ColumnNames = (),
    split: str | None = None,
    group_by: str | None = None,
    truth: str | None = None,
    labels: str | Path | None = None,
    pred_probs: Any = None,
    noise: str | None = None,
    imbalance: str | None = None,
    gross_errors: GrossErrors = "auto",
    limit: int | None = None,
    seed: int = 0,
    checkpoints: str | Path | None = None,
    checkpoint_every: float = 60.0,
    progress: Progress | None = None,
) -> Result:
    """Train one model, and return it with all that was learned about the data on the way.

    Parameters
    ----------
    source : array [n, ...], frame, data set, str or Path
        Features X, with labels `y` beside them: NumPy, torch, pandas, Polars, lists or texts. Without `y`, a map-style
        torch data set of pairs (x, label), a frame, a file, or the name of a built-in set; columns are then given by
        name.
    y : array [n], optional
        Labels of any kind, or numbers.
    method : Method or str, optional
        Such as `sk.HAR(strength=0.1)`, or the name of a preset. By default it is auto, which chooses the way of
        training, for classes, stack for numbers, and har where the network is your own or is not known to train in
        seconds; a note says which, and why.
    model : str, mapping or callable
        A model's name, a table {"name": …} with its options, or a function without arguments that returns a fresh
        network for the encoded features.
    train : TrainingConfig, optional
        Epochs, batches, optimizer and learning rate.
    budget : str, optional
        Wall time that all may take, such as "90s", "10m" or "1.5h", in place of epochs. It shortens training where the
        default epochs would take longer, and never lengthens it.
    estimate : Estimation, optional
        How the noise of the groups is estimated.
    tokens : TextSettings, optional
        How text becomes tokens or numbers.
    test : tuple (X, y) or (X, y, groups), float in (0, 1), str or Path, optional
        Arrays, a share of the rows to hold out, or a file. With None everything is trained on, and nothing is tested.
    reference : tuple (X, y) or (X, y, groups), float in (0, 1), str or Path, optional
        Trusted examples for the methods that learn from some. A share is set apart from the training rows, as many of
        each class.
    target : str, optional
        Column with the labels, or numbers.
    task : {'auto', 'classification', 'regression'}
        "auto" is regression where the target holds measurements.
    groups : array [n], or str, optional
        Group of each example; of a file or a frame the name of a column; or "cluster:K". By default each label, or bins
        of numbers.
    bins : int, at least 1, optional
        Bins of a target of numbers that are the groups; by default 10.
    ignore, text, numeric, categorical : sequence of str
        Columns to leave out, and those to read as text, numbers or categories, whatever they look like.
    decimal : Decimal
        The decimal sign of numbers that are text, such as 1.012,50: "point", "comma", or "auto", as the cells tell.
    image : str, optional
        Column of images, or of paths to images.
    image_size : int, at least 4, optional
        Pixels of each side that images are resized to.
    annotators : sequence of str
        Columns of one person's labels each; they make the target where none is named.
    split : str, optional
        Column that names each row train, test or validation.
    group_by : str, optional
        Column whose equal cells stay together in every split.
    truth : str, optional
        Column with clean labels, for evaluation only and never for training.
    labels : str or Path, optional
        File of corrected labels, which take the place of the source's.
    pred_probs : array [n, C], frame, str or Path, optional
        Your own out-of-sample class probabilities of all rows, or the file with them. The noise is estimated from them,
        and nothing is trained for that. Columns are in the order of the classes, or named by them.
    noise, imbalance : str, optional
        What to corrupt the training rows with, such as "uniform:0.2" and "longtail:100".
    gross_errors : {'auto', 'set-aside', 'keep'}
        Training rows whose target is a number that looks like a gross error, or wrong inside the range: "set-aside"
        trains without them, "keep" trains on them, and "auto" sets them aside where no method is named.
    limit : int, at least 2, optional
        Training examples to use, drawn by seed.
    seed : int in [0, 2147483647]
        Of the split, the initial weights and the batches.
    checkpoints : str or Path, optional
        Folder to keep checkpoints in. The same call goes on from those that are there.
    checkpoint_every : float, at least 0
        Least seconds between two checkpoints, within an epoch too; 0 is at the end of each epoch, inf at that of each
        stage.
    progress : callable, optional
        Is told of every epoch.

    Returns
    -------
    Result
        The model with its figures.

    Raises
    ------
    UserError
        In one line, for whatever can't be used.
    """
    began = time.monotonic()
    if y is None and is_torch(source):
        source, y = from_torch(source)
    named = y is None and isinstance(source, (str, Path))
    if y is None and not named and not (is_frame(source) and (target is not None or annotators)):
        rule = "fit needs labels: fit(X, y), or the name of a file or a frame with target=… or annotators=…"
        raise UserError(rule, setting="y", given="")
    if not isinstance(method, (str, Method, type(None))):
        rule = "must be a method, such as sk.HAR(strength=0.1), the name of a preset, or None"
        raise UserError(rule, setting="method", value=method)
    if not isinstance(checkpoints, (str, Path, type(None))) or checkpoints == "":
        raise UserError("must be the name of a folder, or None", setting="checkpoints", value=checkpoints)
    own_net = None if isinstance(model, (str, Mapping)) else model
    name = method if isinstance(method, str) else None
    method = make_method(method, {}) if isinstance(method, str) else method
    asks_for_clusters = isinstance(groups, str) and clusters_asked(groups) is not None
    config = build_config(
        {
            "source": str(source) if named else None,
            "target": target,
            "task": task,
            "groups": groups if y is None or asks_for_clusters else None,
            "bins": bins,
            "ignore": ignore,
            "text": text,
            "numeric": numeric,
            "categorical": categorical,
            "decimal": decimal,
            "image": image,
            "image_size": image_size,
            "annotators": annotators,
            "split": split,
            "group_by": group_by,
            "truth": truth,
            "labels": None if labels is None else str(labels),
            "pred_probs": _named_or_given(pred_probs),
            "test": _apart("test", test),
            "reference": _apart("reference", reference),
            "noise": noise,
            "imbalance": imbalance,
            "gross_errors": gross_errors,
            "limit": limit,
            "seed": seed,
            "budget": budget,
            "checkpoint_every": checkpoint_every,
            "method": {} if method is None else method_table(method, name),
            "model": model if own_net is None else OwnModel(),
            "train": TrainingConfig() if train is None else train,
            "estimate": Estimation() if estimate is None else estimate,
            "tokens": TextSettings() if tokens is None else tokens,
        }
    )
    if y is None:
        opened = open_source(source, **config.column_roles)
    else:
        said = {name: value for name, value in config.column_roles.items() if value not in (None, ())}
        for name, value in said.items():
            if name not in OF_FRAMES:
                rule = "is for a file, or for a frame without y; leave it out, or name the column of y as target"
                raise UserError(rule, setting=name, value=value)
        opened = from_arrays(source, y, None if asks_for_clusters else groups, **said)
    of_test, trusted = (given if isinstance(given, tuple) else None for given in (test, reference))
    data = open_data(config, opened, of_test, trusted, None if isinstance(pred_probs, (str, Path)) else pred_probs)
    data = replace(data, notes=(*data.notes, *_pairing_note(source, y), *_held_out_note(config, data)))
    with alone(checkpoints):
        result = fit_data(with_exact_names(config), data, method, own_net, progress, checkpoints, began=began)
    index = own_index(source, y)
    index_of_test = None if of_test is None else own_index(*of_test[:2])
    return _with_index(result, index, index if data.test_source is None else index_of_test)


def _with_index(result: Result, train: pd.Index[Any] | None, test: pd.Index[Any] | None) -> Result:
    """Return a result whose label issues and predictions have the entries of the user's index, where there is one."""
    shown = result.shown_issues
    if train is not None:
        shown = tuple(s if s.image else replace(s, row={**entries_of(train, s.index, s.row), **s.row}) for s in shown)
    issues = None if result.label_issues is None else with_own_index(result.label_issues, train)
    predictions = with_own_index(result.predictions, test)
    return replace(result, label_issues=issues, shown_issues=shown, predictions=predictions)


def _held_out_note(config: Config, data: Data) -> tuple[str, ...]:
    """Say how many rows were held out to test on, where no column names them."""
    if data.test is None or data.source.test_rows is not None or not isinstance(config.test, HoldOut):
        return ()
    n = len(data.test)
    return (f"{n:,} of {n + len(data.train):,} rows were held out to test on; with test=None all are trained on",)


def _pairing_note(X: Any, y: Any) -> tuple[str, ...]:
    """Say how rows are paired where the indexes of X and y differ."""
    both = isinstance(X, pd.DataFrame) and isinstance(y, pd.Series)
    if not both or own_index(y) is None or X.index.equals(y.index):
        return ()
    return ("the indexes of X and y differ; their rows are paired in the order that they have",)


def _named_or_given(pred_probs: Any) -> str | None:
    """Return how the configuration names the probabilities that `fit` was given."""
    if pred_probs is None:
        return None
    return str(pred_probs) if isinstance(pred_probs, (str, Path)) else FROM_PYTHON


def _apart(name: str, given: Any) -> DataApart:
    """Return where the test or reference data that `fit` was given comes from."""
    if isinstance(given, tuple):
        return FromPython()
    if not isinstance(given, (str, Path, int, float, np.floating, type(None))):
        rule = f"is a {type(given).__name__}; give (X, y), a share in (0, 1), the name of a file, or None"
        raise UserError(rule, setting=name)
    read: DataApart = DataApart.read(given, name)
    return read
