"""Refusals before anything is trained: methods, data and settings that don't go together."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from skedastic.core.criteria import Accuracy
from skedastic.data import Dataset
from skedastic.errors import UserError, unknown
from skedastic.methods.bases.card import GROUP_STATS, REFERENCE, TRANSITIONS, without_reference
from skedastic.methods.bases.method import Method
from skedastic.methods.bases.wrapper import wrapped
from skedastic.pipeline.prepare import Data
from skedastic.settings.config import Config
from skedastic.settings.shares import check_shares


def check_estimate(config: Config, methods: Sequence[Method]) -> None:
    """Raise UserError where no noise is estimated and a method can't do without."""
    for method in methods:
        needs, name = method.capabilities.needs, method.card.name
        if config.estimate.kind is None and GROUP_STATS in needs:
            raise UserError(
                f"{name} needs each group's noise; use cross-fit or paper", setting="estimate.kind", value="none"
            )
        if config.estimate.kind == "annotators" and TRANSITIONS in needs:
            rule = f"{name} with loss=corrected needs held-out predictions; use cross-fit, or leave the loss out"
            raise UserError(rule, setting="estimate.kind", value="annotators")


def check_no_budget(config: Config) -> None:
    """Raise UserError where a wall time is given for what is no fit."""
    if config.budget is not None:
        raise UserError("it is for fit; give train.epochs instead", setting="budget", value=config.budget.text)


def check_annotators(config: Config, data: Data) -> None:
    """Raise UserError where the noise is to be estimated from annotators, and the data names none."""
    if config.estimate.kind == "annotators" and data.train.disagreement is None:
        rule = "there are none; name their columns with --annotators"
        raise UserError(rule, setting="estimate.kind", value="annotators")


def check_votes(data: Data, methods: Sequence[Method]) -> None:
    """Raise UserError where a method needs to know how labels go wrong, and they are annotators' votes."""
    for method in methods:
        if data.train.soft is not None and TRANSITIONS in method.capabilities.needs:
            rule = "it is for labels that go wrong, and here they are annotators' votes; take another loss"
            raise UserError(rule, setting="method.loss", value="corrected")


def check_prior(data: Data, methods: Sequence[Method]) -> None:
    """Raise UserError where the shares of all classes, where the model will be used, do not sum to 1."""
    for method in methods:
        for inner in wrapped(method):
            criterion = getattr(inner, "optimize", None)
            if isinstance(criterion, Accuracy) and criterion.prior is not None:
                check_shares(criterion.prior, set(criterion.prior) >= set(data.train.classes), "method.optimize.prior")


def check_reference(data: Data, methods: Sequence[Method]) -> None:
    """Raise UserError where a method learns from trusted examples, and there are none."""
    for method in methods:
        if data.reference is None and REFERENCE in method.capabilities.needs:
            raise without_reference(method.card.name)


def check_focus(config: Config, test: Dataset) -> None:
    """Raise UserError where a group in focus is none of the test set's, or none of them has an example there."""
    for name in config.focus:
        if name not in test.groups:
            with_comma = any("," in group for group in test.groups)
            raise unknown("group in focus", name, test.groups).adding(
                '; one with a comma stands in "quotes"' * with_comma
            )
    ids = torch.tensor([test.groups.index(name) for name in config.focus])
    if len(ids) and not torch.isin(test.group, ids).any():
        named = ",".join(config.focus)
        rule = "the test set has no example of it; name other groups"
        raise UserError(rule, setting="focus", value=named)
