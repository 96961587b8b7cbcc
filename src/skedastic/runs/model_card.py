"""The model card of a run, `README.md`: its data, its training, its figures for each group, its use and its limits.

Every figure is one of the run's; where there is none, the card says so.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from skedastic.errors import quoted
from skedastic.evaluation.intervals import LEAST_ROWS, Interval
from skedastic.evaluation.metric import ABSENT
from skedastic.evaluation.metrics import ASKED
from skedastic.report.content import GroupRow, MethodRow, Report
from skedastic.report.listed import MOST_LISTED
from skedastic.runs.folder import GROUPS
from skedastic.runs.reports import OWN_TEST_ROWS, fit_report
from skedastic.runs.summary import RunSummary
from skedastic.runtime.escaping import code, markdown, visible
from skedastic.settings.data_apart import HoldOut
from skedastic.settings.trust import code_named, option_naming

MOST_GROUPS = 50


def model_card(summary: RunSummary, folder: Path) -> str:
    """Return the card as Markdown, with the front matter that model hubs read."""
    report = fit_report(summary, folder)
    parts = [
        _front_matter(summary),
        f"# {markdown(report.title)}",
        markdown(" ".join([report.sentence, *report.beside])),
        "## Data",
        *_data(summary),
        "## How it was trained",
        "\n".join(f"- {name}: {markdown(value)}" for name, value in report.asked),
        *_choice(report),
        f"To do it again: {code(report.command)}",
        "## Figures",
        _figures(report),
        *[f"- {markdown(note)}" for note in report.notes],
        "## Use",
        _use(folder, summary.config.model.name),
        "## Limits",
        *_limits(summary),
        f"Trained with {', '.join(f'{name} {markdown(value)}' for name, value in report.environment.items())}.",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(summary: RunSummary) -> str:
    task = summary.target.task
    kind = {"table": "tabular", "text": "text", "image": "image"}[summary.kind]
    tags = "\n".join(f"- {tag}" for tag in ("label-noise", "class-imbalance", summary.method.card.name))
    return f"---\nlibrary_name: skedastic\npipeline_tag: {kind}-{task}\ntags:\n{tags}\n---"


def _data(summary: RunSummary) -> list[str]:
    config = summary.config
    lines = [f"- Source: {markdown(config.source or 'given in Python')}: {markdown(summary.source_summary)}."]
    lines.append(f"- Trained on {sum(summary.train_count):,} rows.")
    if summary.metrics is not None:
        lines.append(f"- Tested on {summary.metrics.overall.n:,} rows ({_tested_on(summary)}).")
    if config.noise or config.imbalance:
        given = ", ".join(
            f"{name} {markdown(value)}"
            for name, value in (("noise", config.noise), ("imbalance", config.imbalance))
            if value
        )
        lines.append(f"- The training labels were corrupted on purpose: {given}.")
    if summary.schema.kinds:
        columns = ", ".join(f"{code(name)} ({kind})" for name, kind in summary.schema.kinds.items())
        lines.append(f"- It reads the columns {columns}.")
    if summary.schema.images:
        channels, height, width = summary.schema.images
        lines.append(f"- It reads images of {width} × {height} pixels in {channels} channels.")
    return ["\n".join(lines)]


def _tested_on(summary: RunSummary) -> str:
    config = summary.config
    test = config.test
    where = f"{test.share:.0%} of the source, held out" if isinstance(test, HoldOut) else markdown(str(test))
    if config.split is not None:
        where = f"the rows that column {code(config.split)} says"
    elif summary.own_test_rows:
        where = OWN_TEST_ROWS
    return f"{where}, with the clean labels of {code(config.truth)}" if config.truth else where


def _choice(report: Report) -> list[str]:
    """Return which way of training was taken, and a table of those that were tried; nothing where none was."""
    if report.choice is None:
        return []
    head = f"| {' | '.join(report.choice.head)} |\n" + "| --- " * len(report.choice.head) + "|"
    rows = ["| " + " | ".join(map(markdown, row)) + " |" for row in report.choice.rows]
    return [f"Choice: {markdown(report.choice.sentence)}.", "\n".join([head, *rows]), markdown(report.choice.legend)]


def _brackets(report: Report) -> str:
    """Return what the intervals of the table allow for."""
    more = ", and those of wrong and uncertain labels for the model's errors" * report.metric.percent
    return f"95 % intervals in brackets: they allow for chance{more}."


def _figures(report: Report) -> str:
    name = next(iter(report.history), "")
    names = ["group", "trained on", "tested on", report.metric.disagreement]
    names += ["wrong labels, estimated", "uncertainty where they lie"] * report.metric.percent
    names += ["strength"] * _has_strength(report) + [report.metric.name]
    head = f"| {' | '.join(names)} |\n" + "| --- " * len(names) + "|"
    rows = [_row(group, name, report) for group in report.groups[:MOST_GROUPS]]
    left = len(report.groups) - MOST_GROUPS
    rest = "metrics.json" if len(report.groups) <= MOST_LISTED else GROUPS
    more = f"\n\n… and {left:,} more groups, in {rest}." if left > 0 else ""
    overall = ""
    if report.methods:
        overall = f"\n\nOver all test rows: {_written(report.methods[0].overall, report)}."
        overall += _means(report.methods[0], report)
    return "\n".join([head, *rows]) + "\n\n" + _brackets(report) + overall + more


def _means(method: MethodRow, report: Report) -> str:
    """Return the means over classes and over groups, in a sentence each."""
    means = (
        ("Balanced accuracy, the mean over the classes of the test rows", method.balanced_accuracy),
        ("Mean over groups", method.mean_of_groups),
        *((name[0].upper() + name[1:], getattr(method, part)) for part, name in ASKED.items()),
    )
    return "".join(f" {name}: {_written(mean, report)}." for name, mean in means if mean is not None)


def _row(group: GroupRow, name: str, report: Report) -> str:
    score = group.score.get(name)
    cells = [
        markdown(group.name),
        f"{group.train:,}",
        f"{group.test:,}",
        _found(group.noise, group.withheld, report),
        *_estimated(group, report),
        *["" if group.strength is None else f"{group.strength:.3g}"] * _has_strength(report),
        "" if score is None else _written(score, report),
    ]
    return "| " + " | ".join(cells) + " |"


def _has_strength(report: Report) -> bool:
    return any(group.strength is not None for group in report.groups)


def _estimated(group: GroupRow, report: Report) -> list[str]:
    if not report.metric.percent:
        return []
    figures = ((group.wrong, group.wrong_withheld), (group.uncertain, group.uncertain_withheld))
    return [_found(interval, why, report) for interval, why in figures]


def _found(interval: Interval | None, why: str, report: Report) -> str:
    return f"{ABSENT} {why}" * bool(why) if interval is None else _written(interval, report)


def _written(interval: Interval, report: Report) -> str:
    metric = report.metric
    between = f" ({metric.bare(interval.low, 3)} to {metric.bare(interval.high, 3)})" if interval.known else ""
    return metric.text(interval.mean) + between


def _use(folder: Path, model: str) -> str:
    named, given = visible(json.dumps(str(folder), ensure_ascii=False)), visible(shlex.quote(str(folder)))
    if code_named(model):  # is run where it is named
        named += f", model={visible(json.dumps(model, ensure_ascii=False))}"
        given += visible(option_naming(model))
    lines = [
        "```python",
        "import skedastic as sk",
        "",
        f"result = sk.load({named})",
        "result.predict(X)  # like those that it was trained on",
        "```",
        "",
        "```",
        f"skedastic predict {given} new.csv --out predicted.csv",
        f"skedastic evaluate {given} labelled.csv",
        f"skedastic export {given} --format onnx",
        "```",
    ]
    return "\n".join(lines)


def _limits(summary: RunSummary) -> list[str]:
    limits = ["- It knows its test set only: on rows of another kind nothing is known of it."]
    if summary.metrics is None:
        limits = ["- It was never tested."]
    few = [g for g, n in zip(summary.groups, summary.train_count, strict=True) if n < LEAST_ROWS]
    if few:
        named = ", ".join(markdown(quoted(name)) for name in few[:10]) + " and others" * (len(few) > 10)
        limits.append(f"- Fewer than {LEAST_ROWS} training rows: {named}.")
    if summary.temperature is not None:
        limits.append(
            "- Its probabilities are not calibrated; `--calibrated` divides their logarithms by "
            f"{summary.temperature:.3g}, fitted on the labels of the {summary.temperature_by} as they were given."
        )
    return ["\n".join(limits)]
