"""Rows whose targets are gross errors, or wrong inside the range, are set aside before anything is trained."""

from __future__ import annotations

from dataclasses import replace

import torch

from skedastic.data import Dataset
from skedastic.data.targets.grouping import Grouping
from skedastic.data.targets.regression import Bins
from skedastic.errors import UserError
from skedastic.noise.gross_errors import GrossErrors, can_find_gross_errors, find_gross_errors
from skedastic.noise.inner_errors import find_inner_errors
from skedastic.pipeline.prepare import Data
from skedastic.settings.config import Config
from skedastic.training.engine import threads

OF_TEST_ROWS = "the test rows stay as they are: wrong targets among them count in the figures"


def with_gross_errors_decided(config: Config, data: Data) -> Config:
    """Return a configuration that says whether gross errors are set aside: with auto where no method is named.

    Raises
    ------
    UserError
        They are to be set aside, and can't be found in such data.
    """
    if config.gross_errors == "set-aside":
        _check_can_find(data)
    if config.gross_errors != "auto" or not can_find_gross_errors(data.train):
        return config
    return replace(config, gross_errors="keep" if "name" in config.method else "set-aside")


def without_gross_errors(config: Config, data: Data, *, bins_anew: bool = True) -> Data:
    """Return the data without the training rows whose targets are gross errors, where these are set aside.

    Of the other rows those are set aside too whose targets are wrong inside the range. The targets are standardized by
    what is left.

    Parameters
    ----------
    config : Config
        The settings.
    data : Data
        The rows.
    bins_anew : bool
        Whether bins of the target are made of what is left: not in a comparison, whose seeds have the same bins.
    """
    if config.gross_errors != "set-aside":
        return data
    with threads(config.training.threads):
        for find in (find_gross_errors, find_inner_errors):
            data = _without(data, find(data.train, config.seed), bins_anew=bins_anew)
    own = bool(data.gross_errors) and data.test is not None and not data.has_clean_test
    return replace(data, notes=(*data.notes, *(OF_TEST_ROWS,) * own))


def _without(data: Data, found: GrossErrors | None, *, bins_anew: bool) -> Data:
    """Return the data without the training rows that were found."""
    if found is None:
        return data
    kept = torch.ones(len(data.train), dtype=torch.bool)
    kept[found.position] = False
    train = data.train.subset(kept.nonzero().flatten())
    target, grouping, source = train.target.fit(train.y), train.grouping, data.source
    if bins_anew and grouping.target_bins is not None:
        bins = Bins.fit(train.y, min(len(grouping), len(torch.unique(train.y))))
        grouping = Grouping.of_target(bins)
        source = replace(source, grouping=grouping, group=bins.of(source.y))

    def anew(rows: Dataset) -> Dataset:
        group = rows.group if grouping.target_bins is None else grouping.target_bins.of(rows.y)
        return replace(rows, target=target, grouping=grouping, group=group)

    test, reference = (None if rows is None else anew(rows) for rows in (data.test, data.reference))
    every, notes = (*data.gross_errors, found), (*data.notes, found.note)
    return replace(
        data, source=source, train=anew(train), test=test, reference=reference, gross_errors=every, notes=notes
    )


def _check_can_find(data: Data) -> None:
    rule = ""
    if data.train.classes:
        rule = "it is for targets that are numbers, and these are classes; leave it out"
    elif not data.train.has_columns:
        rule = "it reads rows of numbers and categories, and these are images or tokens; leave it out"
    elif not can_find_gross_errors(data.train):
        rule = "it reads at most 20 million numbers and categories, and here are more; leave it out"
    if rule:
        raise UserError(rule, setting="gross_errors", value="set-aside")
