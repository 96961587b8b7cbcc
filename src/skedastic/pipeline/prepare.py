"""From the sources that a configuration names to data that is ready: split, limited, encoded, corrupted if asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from skedastic import models
from skedastic.data import (
    Dataset,
    Encoder,
    Schema,
    Source,
    Truth,
    corrupt,
    from_arrays,
    limit,
    open_later,
    open_source,
    portable,
    read_probabilities,
    reference_rows,
    split_rows,
    with_corrections,
    without_single_rows,
)
from skedastic.data.dataset import with_clean_labels
from skedastic.data.settings import TextSettings
from skedastic.data.sources.names import exact_name, meaning_note
from skedastic.errors import UserError
from skedastic.methods.bases.method import MakeNet
from skedastic.noise.clusters import Clusters
from skedastic.noise.estimate import Estimate
from skedastic.noise.gross_errors import GrossErrors
from skedastic.runs.sentences import source_of_estimate
from skedastic.runtime.allocator import give_back
from skedastic.settings.config import Config
from skedastic.settings.data_apart import FROM_PYTHON, DataApart, FromPython, FromSource, HoldOut
from skedastic.settings.model_choice import NamedModel
from skedastic.settings.network import make_network
from skedastic.training.engine import find_device

NOT_MOVED = (
    "Images are not moved in training, since the model is frozen and its features of each are computed once; "
    "train.augment=crop-flip moves them, and the model runs in every epoch."
)


@dataclass(frozen=True, eq=False)
class Data:
    """A source made ready: training set, test set, and apart from both the clean labels.

    Attributes
    ----------
    reference : Dataset or None
        Trusted examples beside the training set, for the methods that learn from some.
    notes : tuple of str
        What was done to the data, for the report.
    test_labels : tensor [m] or None
        Labels of the test set as given, where `test` has clean ones.
    pred_probs : tensor [n, C] or None
        The user's own out-of-sample class probabilities of the training rows, where there are some.
    clusters : Clusters or None
        The groups, where the estimate of the noise made them.
    gross_errors : tuple of GrossErrors
        The training rows that were set aside, where there were some.
    """

    source: Source
    test_source: Source | None
    encoder: Encoder
    train: Dataset
    test: Dataset | None
    truth: Truth | None
    reference: Dataset | None = None
    notes: tuple[str, ...] = ()
    test_labels: torch.Tensor | None = None
    pred_probs: torch.Tensor | None = None
    clusters: Clusters | None = None
    gross_errors: tuple[GrossErrors, ...] = ()

    def regrouped(self, estimated: Estimate | None) -> Data:
        """Return the data by the clusters of the estimate, where these are the groups, and with its notes."""
        if estimated is None:
            return self
        if estimated.clusters is None:
            return replace(self, notes=(*self.notes, *estimated.notes))
        clusters = estimated.clusters
        test, reference = (None if d is None else clusters.regrouped(d) for d in (self.test, self.reference))
        notes = (*self.notes, *estimated.notes, clusters.note)
        return replace(self, train=estimated.dataset, test=test, reference=reference, notes=notes, clusters=clusters)

    @property
    def has_clean_test(self) -> bool:
        """Whether the test rows have clean targets of their own, as a column with the truth holds them."""
        return (self.test_source or self.source).truth is not None

    @property
    def has_test_of_its_own(self) -> bool:
        """Whether the labels of the test rows may be made in another way than those of the training rows."""
        return self.test_source is not None or self.source.test_rows is not None or self.has_clean_test


Arrays = tuple[Any, ...]  # (X, y), or (X, y, groups)


@dataclass(frozen=True, eq=False)
class Opened:
    """The sources of a configuration, opened: the same for each seed.

    Parameters
    ----------
    source : Source
        The examples to learn from, and perhaps to test on.
    test, reference : Source or None
        The examples for testing, and the trusted ones, where they have sources of their own.
    pred_probs : Tensor or None
        The user's own out-of-sample class probabilities of all rows, [n, C], where there are some.
    notes : tuple of str
        What the names of the sources mean.
    """

    source: Source
    test: Source | None
    reference: Source | None
    pred_probs: torch.Tensor | None
    notes: tuple[str, ...]

    def portable(self) -> Opened:
        """Return the same sources, to be pickled for another process (`data.portable`)."""
        test, reference = (None if source is None else portable(source) for source in (self.test, self.reference))
        return replace(self, source=portable(self.source), test=test, reference=reference)


def open_sources(
    config: Config,
    source: Source | None = None,
    test: Arrays | None = None,
    reference: Arrays | None = None,
    pred_probs: Any = None,
) -> Opened:
    """Open the sources that `config` names, or take the given ones."""
    source = source or open_named(config)
    if config.labels is not None:
        source = with_corrections(source, config.labels)
    source = without_single_rows(source, tested=isinstance(config.test, (FromSource, FromPython)))
    own = _own_probabilities(config, source, pred_probs)
    give_back()
    notes = tuple(note for name in _named(config) for note in meaning_note(name))
    test_source = _beside("test", test, config.test, config, source)
    trusted = _beside("reference", reference, config.reference, config, source)
    return Opened(source, test_source, trusted, own, notes)


def open_data(
    config: Config,
    source: Source | None = None,
    test: Arrays | None = None,
    reference: Arrays | None = None,
    pred_probs: Any = None,
) -> Data:
    """Open the sources that `config` names, or take the given ones, and make them ready."""
    return data_of(config, open_sources(config, source, test, reference, pred_probs))


def data_of(config: Config, opened: Opened) -> Data:
    """Make sources that are open ready for one seed."""
    ready = prepare(config, opened.source, opened.test, opened.reference)
    give_back()
    own = None if opened.pred_probs is None else opened.pred_probs[ready.train.index]
    return replace(ready, notes=(*opened.notes, *ready.notes, *source_of_estimate(config)), pred_probs=own)


def _own_probabilities(config: Config, source: Source, given: Any) -> torch.Tensor | None:
    """Return the user's own class probabilities of all rows, [n, C], as given in Python or named; None without any."""
    if config.pred_probs is None:
        return None
    if given is None and config.pred_probs == FROM_PYTHON:
        rule = "they were given in Python; name a file, or give them again"
        raise UserError(rule, setting="pred_probs", value=FROM_PYTHON)
    return read_probabilities(config.pred_probs if given is None else given, source)


def with_exact_names(config: Config) -> Config:
    """Return a configuration whose sources are named so that it means the same wherever it is run again."""
    source = None if config.source is None else exact_name(config.source)
    return replace(config, source=source, test=_exact(config.test), reference=_exact(config.reference))


def _exact(apart: DataApart) -> DataApart:
    return FromSource(exact_name(apart.name)) if isinstance(apart, FromSource) else apart


def _named(config: Config) -> list[str]:
    """Return the names of the sources that a configuration names, each once."""
    apart = [given.name for given in (config.test, config.reference) if isinstance(given, FromSource)]
    return list(dict.fromkeys([*([] if config.source is None else [config.source]), *apart]))


def _beside(name: str, arrays: Arrays | None, asked: DataApart, config: Config, source: Source) -> Source | None:
    """Return the source of test or reference examples that was given or named; None where there is neither."""
    if arrays is not None:
        if len(arrays) not in (2, 3):
            given = f"{name} has {len(arrays)} parts"
            raise UserError("give (X, y), or (X, y, groups)", setting=name, value=len(arrays), given=given)
        return from_arrays(*arrays, schema=source.schema)
    if isinstance(asked, FromPython):
        raise UserError("the data was given in Python; name a file, or a share", setting=name, value=str(asked))
    return open_named(config, asked.name, source.schema) if isinstance(asked, FromSource) else None


def prepare(config: Config, source: Source, test_source: Source | None, trusted: Source | None = None) -> Data:
    """Split, limit, encode and (for experiments) corrupt. The test set keeps its clean labels; training never sees any.

    trusted: a source of reference examples. Where `config` asks for a share of the training rows, these are set apart
    before anything is corrupted.
    """
    rows, test_rows = source.rows, None
    if source.test_rows is not None and test_source is not None:
        says = f"the column {config.split!r} says" if config.split else "the folders say"
        rule = f"{says} which rows are for testing; leave one out"
        raise UserError(rule, setting="test", value=config.test.written())
    if test_source is not None:
        if test_source.groups != source.groups:
            rule = "it has no groups, and the training data has groups of its own; give (X, y, groups)"
            raise UserError(rule, setting="test")
        test_rows = torch.arange(len(test_source))
    elif source.test_rows is not None:
        for_test = torch.isin(source.rows, source.test_rows)
        rows, test_rows = source.rows[~for_test], source.rows[for_test]
    elif isinstance(config.test, HoldOut):
        rows, test_rows = split_rows(source, config.test.share, config.seed)
    held_out = None
    if isinstance(config.reference, HoldOut):
        rows, held_out = reference_rows(source, rows, config.reference.share, config.seed)
    named = config.model if isinstance(config.model, NamedModel) and source.kind == "text" else None
    own_tokens = models.tokenizer_file(named.name, named.options) if named else None
    as_tokens = named is None or models.reads_tokens(named.name)
    if source.kind == "text":
        _check_text(config.tokens, config.model.name, as_tokens)
    encoder = source.encode(rows, config.tokens, own_tokens, as_tokens=as_tokens)
    target = source.fit_target(rows)
    training = source.dataset(rows, encoder, target)
    if config.limit is not None:
        training = limit(training, config.limit, config.seed)
    truth = source.truth_of(training.index)
    if config.noise or config.imbalance:
        _check_classes(config, source)
        if config.noise and training.soft is not None:
            rule = "it flips labels, and here they are annotators' votes; leave one of the two out"
            raise UserError(rule, setting="noise", value=config.noise)
        training, truth = corrupt(training, truth, noise=config.noise, imbalance=config.imbalance, seed=config.seed)
    test = test_labels = None
    if test_rows is not None:
        test_from = test_source or source
        given = test_from.dataset(test_rows, encoder, target)
        test, test_labels = with_clean_labels(given, test_from.truth_of(test_rows)).in_memory(), given.y
    reference: Dataset | None = None
    said = () if test_source is None else tuple(f"test set: {note}" for note in test_source.notes)
    notes = (*said, *_cut_off(training))
    if trusted is not None or held_out is not None:
        of = trusted or source
        chosen = torch.arange(len(of)) if held_out is None else held_out
        reference = with_clean_labels(of.dataset(chosen, encoder, target), of.truth_of(chosen)).in_memory()
        trained = training.target.counts(training.y) > 0
        notes += (_described(reference, trained, set_apart=trusted is None, truth=config.truth),)
    return Data(source, test_source, encoder, training.in_memory(), test, truth, reference, notes, test_labels)


def _check_text(text: TextSettings, model: str, as_tokens: bool) -> None:
    """Raise UserError where a setting says how text becomes tokens, and it becomes numbers, or the other way round."""
    for name in text.of_numbers if as_tokens else text.of_tokens:
        if (value := getattr(text, name)) != getattr(TextSettings(), name):
            reads, other = ("tokens", "mlp") if as_tokens else ("numbers", "bilstm")
            rule = f"the model {model} reads texts as {reads}; leave it out, or take another model, such as {other}"
            raise UserError(rule, setting=f"tokens.{name}", value=value)


def _cut_off(training: Dataset) -> tuple[str, ...]:
    """Say how many texts fill all that is read of them."""
    if not training.tokens or not isinstance(training.x, torch.Tensor):
        return ()
    full = int((training.x[:, -1] != 0).sum())
    rest = "of longer ones the rest is cut off (tokens.length)"
    said = f"{full:,} of {len(training):,} texts have {training.tokens} tokens or more, as many as are read; {rest}"
    return (said,) * (full > 0)


def _described(reference: Dataset, trained: torch.Tensor, *, set_apart: bool, truth: str | None) -> str:
    """Say what the reference set is; refuse one that lacks a class that is trained on, [C] bool."""
    count = reference.target.counts(reference.y)
    missing = [repr(reference.classes[c]) for c in (trained & (count == 0)).nonzero().flatten().tolist()]
    count = count[trained]
    if missing:
        named = f"{', '.join(missing[:5])}{', …' * (len(missing) > 5)}"
        rule = f"it has no example of class {named}, and what is learned from it would forget the class; add some"
        raise UserError(rule, setting="reference")
    if len(reference) < 2:
        raise UserError("it has 1 example, and needs at least 2; give more", setting="reference")
    whose = "" if truth is None else f", with the labels of {truth!r} where there is one"
    where = "set apart from the training set" if set_apart else "given"
    of_each = f", {int(count.min())} to {int(count.max())} of each class" if reference.classes else ""
    return f"reference: {len(reference)} trusted examples {where}{of_each}{whose}."


def settled(config: Config, data: Data) -> Config:
    """Return a configuration with the name of its model, and settings of training that suit model and data."""
    model, inputs = config.model, data.encoder.inputs
    if not isinstance(model, NamedModel):
        return replace(config, train=config.train.settled())
    if model.name == "auto":
        accelerated = find_device(config.train.device).type != "cpu"
        model = replace(model, name=models.choose(inputs, accelerated=accelerated))
    suits = models.training_of(model.name, inputs, len(data.train), model.options)
    train = config.train.settled(suits)
    still = (NOT_MOVED,) if config.train.augment == "auto" and train.augment == "none" else ()
    return replace(config, model=model, train=train, notes=(*config.notes, *still))


def network(config: Config, data: Data) -> MakeNet:
    """Return the function that makes a fresh network of the configured model for the encoded features."""
    return make_network(config, data.encoder, data.train.target.outputs)


def open_named(config: Config, source: str | None = None, schema: Schema | None = None) -> Source:
    """Open the source that `config` names, or another of the same columns.

    schema: that of the training data, which it must match.
    """
    named = source or config.source
    if named is None:
        raise UserError("name a file, a folder or a built-in set to learn from", setting="source")
    roles = config.column_roles
    return open_source(named, **roles) if schema is None else open_later(named, schema, roles)


def _check_classes(config: Config, source: Source) -> None:
    if not source.classes:
        name = "noise" if config.noise else "imbalance"
        rule = "it is for classes, and the targets are numbers (regression); leave it out"
        raise UserError(rule, setting=name, value=getattr(config, name))
