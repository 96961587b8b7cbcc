"""Sentences for the report and the terminal: the outcome, and notes on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skedastic.core.strengths import GroupStats
from skedastic.errors import quoted
from skedastic.evaluation.intervals import LEAST_ROWS, Interval, paired
from skedastic.evaluation.metrics import ASKED, COST, AnyMetrics, ClassificationMetrics, RegressionMetrics
from skedastic.noise.findings import NOT_LEARNED, Findings
from skedastic.noise.wrong_labels import (
    FEW,
    GIVEN_UP,
    LIKE_ANOTHER,
    MEANING,
    MOSTLY,
    OF_ALL,
    OF_BOTH,
    OVERCONFIDENT,
    OWN_ERRORS,
    UNLIKE_TEST,
    WIDEST,
    trusted,
)
from skedastic.report.content import GroupRow
from skedastic.report.words import listed
from skedastic.runs.comparison_summary import ComparisonSummary
from skedastic.runs.summary import RunSummary
from skedastic.settings.config import Config
from skedastic.settings.data_apart import FROM_PYTHON, HoldOut

LEAST_SHOWN = 0.005  # a disagreement that would be written as 0 %
BY_THEIR_LABELS = " by their own labels"  # which may be wrong
CLASSIFIERS = {"hgb": "gradient-boosted trees (hgb)", "logistic": "logistic regression (logistic)"}
FEW_NAMES = 3  # that a headline names
UNKNOWN = (FEW, MOSTLY, OWN_ERRORS, OF_ALL, LIKE_ANOTHER, OF_BOTH, GIVEN_UP, OVERCONFIDENT, UNLIKE_TEST, NOT_LEARNED)
MEASURED = {
    "rate": "The disagreement is the mean share of annotators' votes against the label. No model was held out, so how "
    "many labels are wrong is not estimated.",
    "variance": "The deviation is that of the annotators' mean rating, by their disagreement. No model was held out.",
}


def judges(*, measured: bool) -> str:
    """Return who disagrees with labels: held-out predictions, or annotators where these measure the noise."""
    return "most annotators" if measured else "held-out predictions"


def is_measured(config: Config) -> bool:
    """Tell whether annotators measure the noise, and no model estimates it."""
    return config.estimate.kind == "annotators"


def estimate_in_words(config: Config) -> str:
    """Return what the noise was estimated by, in a few words."""
    how = config.estimate
    if config.pred_probs is not None:
        return f"your own class probabilities, {_where_given(config.pred_probs)}"
    words = [how.kind or "none", *[f"{how.folds} folds"] * (how.kind == "cross-fit")]
    return ", ".join([*words, *[f"by {how.by}"] * (not how.of_networks)])


def source_of_estimate(config: Config) -> tuple[str, ...]:
    """Return a note that says what the noise was estimated by, where that is not networks of the model."""
    if config.pred_probs is not None:
        where = _where_given(config.pred_probs)
        said = f"the noise was estimated from your own class probabilities, {where}; nothing was trained for it"
        return (f"{said}, and that no model saw the rows that it predicts is taken on trust",)
    by = config.estimate.by
    if by is None or by == "model":
        return ()
    return (f"the noise was estimated by {CLASSIFIERS[by]}, not by networks of the model",)


def _where_given(pred_probs: str) -> str:
    return "given in Python" if pred_probs == FROM_PYTHON else f"in {pred_probs}"


def fit_outcome(summary: RunSummary) -> str:
    """Return the outcome of a fit in a few sentences."""
    return " ".join(fit_sentences(summary))


def fit_sentences(summary: RunSummary) -> tuple[str, ...]:
    """Return the sentences of the outcome of a fit, at least one: how well it does, its worst group, wrong labels."""
    parts = []
    if summary.metrics:
        value, n = summary.metrics.value, summary.metrics.overall.n
        parts.append(
            f"{value:.1%} of the {n} test rows are right{BY_THEIR_LABELS * (not summary.metrics.by_truth)}"
            if summary.metric.percent
            else f"the root mean squared error on the {n} test rows is {summary.metric.text(value)}"
        )
        if isinstance(summary.metrics, RegressionMetrics):
            parts[0] += f", and the mean absolute error is {summary.metric.text(summary.metrics.overall.mae)}"
        if isinstance(summary.metrics, ClassificationMetrics):
            parts[0] += f", and their balanced accuracy is {summary.metrics.balanced_accuracy:.1%}"
            parts += [_asked_for(part, value) for part, value in summary.metrics.asked.items()]
        parts.append(_worst_group(summary.metrics))
    if summary.findings is not None:
        parts.append(_most_disagreement(summary, summary.findings))
    parts = [part for part in parts if part] or [f"trained on {sum(summary.train_count)} rows; there is no test set"]
    return tuple(f"{part[0].upper()}{part[1:]}." for part in parts)


def _asked_for(part: str, value: float) -> str:
    """Return the figure that `--optimize` names."""
    return f"a row costs {value:.3g} in the mean" if part == COST else f"the {ASKED[part]} is {value:.1%}"


def _worst_group(metrics: AnyMetrics) -> str:
    """Return the worst group of those with enough test rows, and the groups with too few."""
    worst = metrics.worst_group
    few = [name for name, score in metrics.groups.items() if 0 < score.n < LEAST_ROWS]
    if worst is None:
        enough = next((name for name, score in metrics.groups.items() if score.n >= LEAST_ROWS), "")
        have = f"only {enough} has" if enough else "no group has"
        return f"{have} {LEAST_ROWS} test rows, so none is called the worst"
    value = f"is at {worst.value:.1%}" if metrics.metric.percent else f"has {metrics.metric.text(worst.value)}"
    return f"the worst group, {worst.name}, {value}{_without(few, 'test rows')}"


def _most_disagreement(summary: RunSummary, findings: Findings) -> str:
    """Return the group whose targets are disagreed with most, and what is known of how many of these are wrong."""
    if not findings.learned:
        own = summary.config.pred_probs is not None
        who = "your own probabilities tell nothing" if own else "the estimating models learned nothing"
        return f"{who}, so nothing is said of the {summary.target.noun}"
    g = findings.largest
    if g is None:
        return ""
    shown = findings.disagreement[g]
    assert shown is not None, "the largest is one that is shown"
    if shown.mean < LEAST_SHOWN and summary.metric.percent:
        return ""
    name, beside = findings.names[g], _without(findings.few, "counted rows")
    if not summary.metric.percent:
        value = summary.metric.text(summary.metric.of_noise(shown.mean))
        if is_measured(summary.config):
            return f"annotators disagree most about the targets of {name}, by a deviation of {value}{beside}"
        return f"held-out predictions are farthest from the targets of {name}, by a deviation of {value}{beside}"
    if is_measured(summary.config):
        return f"annotators disagree most with the labels of {name}, with {shown.mean:.0%} of their votes{beside}"
    wrong, reason = findings.wrong[g], findings.wrong_withheld[g]
    if wrong is not None:
        return "" if wrong.mean < LEAST_SHOWN else f"{_wrong_labels(name, wrong)}{beside}"
    most = f"held-out predictions disagree most with the labels of {name}, with {shown.mean:.0%} of them"
    return f"{most} (how many of these are wrong is not known: {MEANING.get(reason, reason)}){beside}"


def _wrong_labels(name: str, wrong: Interval) -> str:
    """Return the share of wrong labels in words: an upper bound alone where the interval begins at 0."""
    if wrong.low < LEAST_SHOWN:
        return f"at most {wrong.high:.0%} of the labels of {name} are wrong by estimate"
    return f"{wrong.mean:.0%} of the labels of {name} are wrong by estimate ({wrong.low:.0%} to {wrong.high:.0%})"


def _without(few: Sequence[str], rows: str) -> str:
    """Return the groups that are no headline, with the reason, in brackets; nothing where there are none."""
    return f" (left out, with fewer than {LEAST_ROWS} {rows}: {_some(few, FEW_NAMES)})" if few else ""


def uncalled_sentence(findings: Findings | None, wrong: int | None = 0, unranked: Sequence[str] = ()) -> str:
    """Return of which groups few or no labels are called wrong, or ranked, and why few are to check; nothing elsewhere.

    Parameters
    ----------
    findings : Findings or None
        Of an estimate; None where nothing was estimated.
    wrong : int or None, optional
        How many labels are wrong by the estimate; None of older runs, whose labels were called by other rules.
    unranked : sequence of str, optional
        The classes of which no label is ranked (`RunSummary.unranked_classes`).
    """
    if findings is None or not findings.learned:
        return ""
    parts = [] if wrong is None else _uncalled(findings)
    groups, what = findings.unranked, "labels" if findings.stats.measure == "rate" else "targets"
    if groups:
        one = len(groups) == 1
        verb, whose = ("was", "its") if one else ("were", "their")
        parts.append(f"{_some(groups)} {verb} not learned, so none of {whose} {what} is ranked.")
    if classes := [name for name in unranked if name not in groups]:
        parts.append(f"No label of class {_some(classes)} is ranked.")
    return " ".join(parts)


def _uncalled(findings: Findings) -> list[str]:
    """Return of which groups few or no labels are called wrong, and why few are to check."""
    told = {*findings.unranked}
    none = [
        name
        for name, why in zip(findings.names, findings.wrong_withheld, strict=True)
        if why in UNKNOWN and name not in told
    ]
    parts = []
    if none:
        parts.append(f"How many labels of {_some(none)} are wrong is not known, so none is called wrong.")
    parts += ["suspects.parquet ranks these labels too."] * bool(parts)
    stats = findings.stats
    if stats.errors is not None and stats.wrong is not None and not trusted(stats):
        parts.append(
            "Much of the disagreement is taken for the model's own errors, so of each class half as many labels "
            "are to check."
        )
    return parts


def comparison_sentence(comparison: ComparisonSummary) -> str:
    """Return the comparison of the last method with the first in one sentence."""
    methods = comparison.methods
    part = "focus" if comparison.focus else "overall"
    where = f"on {_some(comparison.focus)}" if comparison.focus else "overall"
    values = comparison.values
    if not comparison.metric.higher_is_better:
        return _error_sentence(comparison, part, where)
    if len(methods) == 1:
        return f"{methods[0]} is right on {np.mean(values[methods[0]][part]):.1%} {where}."
    name, base = methods[-1], methods[0]
    difference = paired(values[name][part], values[base][part])
    mean = difference["mean"] * 100
    size = f"{abs(mean):.1f} points {'better' if mean > 0 else 'worse'} than"
    words = f"{name} is {size if abs(mean) >= 0.05 else 'as good as'} {base} {where}"
    own, other = (f"{np.mean(values[m][part]):.1%}" for m in (name, base))
    return f"{words}{_details(comparison, difference, own, other)}."


def _details(comparison: ComparisonSummary, difference: Mapping[str, Any], own: str, other: str) -> str:
    """Return the interval of a difference, both figures, and the difference on the other groups."""
    metric, values = comparison.metric, comparison.values
    words = ""
    if difference["low"] is not None:
        low, high = difference["low"], difference["high"]
        chance = ", so it may be chance" if low <= 0 <= high else ""
        ends = f"{metric.difference(low)} to {metric.difference(high)}"
        words = f" (95 % interval {ends}, {len(comparison.outcomes)} seeds{chance})"
    words += f": {own} against {other}"
    name, base = comparison.methods[-1], comparison.methods[0]
    if comparison.focus and values[name]["rest"]:
        rest = paired(values[name]["rest"], values[base]["rest"])
        words += f"; on the other groups {metric.difference(rest['mean'])}"
    return words


def _error_sentence(comparison: ComparisonSummary, part: str, where: str) -> str:
    """Return the same sentence for errors, where lower is better."""
    methods, values, metric = comparison.methods, comparison.values, comparison.metric
    own = metric.text(float(np.mean(values[methods[-1]][part])))
    if len(methods) == 1:
        return f"The root mean squared error of {methods[0]} is {own} {where}."
    name, base = methods[-1], methods[0]
    other = float(np.mean(values[base][part]))
    difference = paired(values[name][part], values[base][part])
    size = f"{metric.text(abs(difference['mean']))} {'lower' if difference['mean'] < 0 else 'higher'} than"
    same = abs(difference["mean"]) < 5e-4 * other
    words = f"The error of {name} is {'the same as' if same else size} that of {base} {where}"
    return f"{words}{_details(comparison, difference, own, metric.text(other))}. Lower is better."


def group_notes(groups: Sequence[GroupRow], findings: Findings | None, *, measured: bool) -> list[str]:
    """Return notes on the groups of which little is known, and on the meaning of the disagreement."""
    notes = []
    absent = [g.name for g in groups if g.test == 0]
    if absent and len(absent) < len(groups):
        notes.append(f"Not in the test set, so without a figure: {_some(absent)}.")
    if findings is not None and findings.learned:
        if findings.few:
            few, counted = _some(findings.few), "examples" if measured else "held-out examples"
            notes.append(f"Fewer than {LEAST_ROWS} {counted} counted, so no headline: {few}.")
        if measured:
            return [*notes, MEASURED[findings.stats.measure]]
        notes += unlearned(findings.stats)
        notes.append(
            "The deviation is that of held-out targets from their predictions: it counts the model's own error too. "
            "Where bins of the target are the groups, it also counts that a target is in an outer bin because of its "
            "noise."
            if findings.stats.measure == "variance"
            else "The disagreement is the share of held-out predictions that differ from the label: it counts the "
            "model's own errors too. How many labels are wrong, and how uncertain labels are where these examples lie, "
            "is estimated from how sure the predictions are. The two differ where labels go wrong one way: if some of "
            "class a are labelled b, labels are uncertain where a lies, and it is b whose labels are wrong. Neither is "
            "shown of few rows, of a class that models may have given up or take for another, where too much of the "
            "disagreement is the model's own errors, where predictions disagree with most labels, where test labels "
            f"speak against the estimate, and where the interval is wider than {100 * WIDEST:.0f} points."
        )
    return notes


def unlearned(stats: GroupStats) -> list[str]:
    """Return a warning, in one line, where the estimate is more about the model's own errors than about the labels."""
    if stats.errors is None:
        return []
    wrong = int(stats.errors.sum()) / max(1, int(stats.counted.sum()))
    if wrong <= 0.5:
        return []
    return [
        f"The predictions of {wrong:.0%} of the held-out rows disagree with the label: that is as much the model's "
        "own error as the labels'. Train longer, with more rows or another model, before you trust it."
    ]


def metric_notes(summary: RunSummary) -> list[str]:
    """Return notes on the meaning of the accuracy of a fit."""
    if summary.metrics is None:
        return [f"There was no test set: nothing is known of the {summary.metric.name}."]
    if not summary.metrics.by_truth and isinstance(summary.config.test, HoldOut):
        where = "The test rows are" if summary.own_test_rows else "The test rows were held out"
        return [
            f"{where} of the same source: wrong labels among them make the accuracy wrong too."
            if summary.metric.percent
            else f"{where} of the same source: the error counts the noise of their own targets too."
        ]
    return []


def comparison_notes(comparison: ComparisonSummary) -> list[str]:
    """Return notes on a comparison: the parts that its methods share, its intervals, the seed of its label issues."""
    notes = []
    if comparison.config.focus and not comparison.focus:
        notes.append(f"There is no focus: {_some(comparison.config.focus)} is not in the test set of every seed.")
    n = len(comparison.outcomes)
    if n == 1:
        return [*notes, "One seed has no interval; use --seeds 5 or more to tell luck from merit."]
    return [
        *notes,
        f"The {'label' if comparison.metric.percent else 'target'} issues are of seed {comparison.outcomes[0].seed}.",
        "Every seed draws another split, other corruption and other initial weights; within a seed these are equal for "
        "all methods, as the training configuration is. "
        f"Intervals are 95 % t-intervals over {n} seeds; differences are paired.",
    ]


def _some(names: Sequence[str], most: int = 8) -> str:
    return listed([quoted(name) for name in names], most)
