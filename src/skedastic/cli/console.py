"""What the command line prints: progress, tables and one sentence."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from skedastic.configurable import Setting, described
from skedastic.errors import UserError
from skedastic.evaluation.metric import Metric, metric_of, to_digits

if TYPE_CHECKING:
    from skedastic.evaluation.metrics import AnyMetrics
    from skedastic.noise.estimate import Estimate
    from skedastic.pipeline.prepare import Data
    from skedastic.runs.comparison import Comparison
    from skedastic.runs.summary import RunSummary
    from skedastic.training.loop import Progress as Report

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
MOST_GROUPS = 40
LONGEST_NAME = 24  # of a method that is not broken, in columns
TARGETS = {"classification": "classes", "regression": "numbers"}
NEEDS = {"group_stats": "an estimate of noise", "reference": "a reference set"}
WRAPPED = {"perturbed": "not in sam, asam, amp or vat", "mixed": "not in mixup"}


@contextmanager
def progress() -> Iterator[Report]:
    """Lend a function that shows how far each stage is; on a terminal as bars, else as a line when a stage ends."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    tasks: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if not err.is_terminal:
            if done == total:
                err.print(f"{stage}: {total} done", markup=False, soft_wrap=True)
            return
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done)

    with bars if err.is_terminal else _nothing():
        yield report


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def say(text: str) -> None:
    """Print a sentence, broken between words on a terminal and nowhere else."""
    out.print(text, markup=False, soft_wrap=not out.is_terminal)


def show_data(data: Data) -> None:
    """Print what was found in the data, before anything is trained."""
    test = "no test set" if data.test is None else f"{len(data.test):,} rows to test on"
    err.print(f"{data.source.summary}", markup=False, soft_wrap=True)
    err.print(f"{len(data.train):,} rows to train on, {test}", markup=False, soft_wrap=True)


def show_fit(result: RunSummary, folder: Path) -> None:
    """Print a row for each group, what came out, and where it was written."""
    _notes(result.notes)
    show_groups(result)
    if result.label_issues is not None:
        say(f"{result.issue_count} {result.target.noun} look wrong: {folder / 'suspects.parquet'}")
    say(f"Report: {folder / 'report.html'}")


def show_run(result: RunSummary, folder: Path) -> None:
    """Print the summary of a run folder."""
    config = result.config
    name, model = config.method.get("name", result.method.card.name), config.model.name
    say(
        f"{name} with model {model}, {config.train.epochs} epochs, seed {config.seed}, on {config.source or 'your data'}"
    )
    say(result.source_summary)
    show_fit(result, folder)


def show_groups(result: RunSummary) -> None:
    """Print a row for each group, and what came out."""
    from skedastic.runs.sentences import fit_sentence, unlearned

    tested = result.metrics.groups if result.metrics else {}
    metric = result.metric
    table = _table(
        "group",
        "train",
        f"{metric.noise} (95 %)",
        *[f"true {metric.noise}"] * bool(result.true_noise),
        "strength",
        "test",
        f"{metric.name} (95 %)",
    )
    order = (
        range(len(result.groups))
        if result.strengths is None
        else result.strengths.argsort(descending=True, stable=True).tolist()
    )
    for g in list(order)[:MOST_GROUPS]:
        group, row = result.groups[g], tested.get(result.groups[g])
        table.add_row(
            group,
            str(result.train_count[g]),
            "" if result.group_stats is None else _noise_of(result.group_stats, g, metric),
            *([_noise(result.true_noise[g], metric)] if result.true_noise else []),
            "" if result.strengths is None else f"{float(result.strengths[g]):.3f}",
            str(row.n) if row else "",
            _range(row.value, row.low, row.high, metric) if row and row.value is not None else "",
        )
    out.print(table)
    _left_out(len(result.groups))
    _rank_correlation(result.group_stats, result.true_noise)
    _notes(() if result.group_stats is None else tuple(unlearned(result.group_stats)))
    say(fit_sentence(result))


def show_evaluation(result: RunSummary, metrics: AnyMetrics, as_json: bool) -> None:
    """Print the figures of a labelled source."""
    if as_json:
        print(json.dumps(_finite(metrics.to_dict()), indent=2, ensure_ascii=False))
        return
    show_groups(dataclasses.replace(result, metrics=metrics))


def show_suspects(frame: Any, total: int) -> None:
    """Print suspects, a row each."""
    shown = [c for c in ("rank", "row", "given", "suggested", "score") if c in frame.columns]
    table = _table(*shown)
    for values in frame[shown].itertuples(index=False):
        table.add_row(*(f"{v:.3g}" if isinstance(v, float) else escape(str(v)) for v in values))
    out.print(table)
    say(f"{total:,} are called an issue.")


def show_comparison(comparison: Comparison, folder: Path) -> None:
    """Print a row for each method, the paired differences, the sentence, and where it was written."""
    from skedastic.runs.sentences import comparison_sentence

    _notes(comparison.notes)
    figures = comparison.to_dict()
    has_focus = bool(comparison.focus)
    parts = ["focus", "rest", "overall", "worst_group"] if has_focus else ["overall", "worst_group"]
    metric = comparison.metric
    what = (
        "accuracy on the test set, %" if metric.percent else "root mean squared error on the test set, lower is better"
    )
    table = _table("", *[p.replace("_", " ") for p in parts], "seconds", title=f"{what} (95 % over seeds)")
    table.columns[0].min_width = min(LONGEST_NAME, max(len(name) for name in figures["methods"]))
    for name, row in figures["methods"].items():
        table.add_row(name, *[_of(row[p], metric) for p in parts], f"{row['seconds']:.1f}")
    differences = [p for p in parts if p != "worst_group"]
    for b, a in comparison.pairs():
        row = figures["paired"][f"{b}-{a}"]
        table.add_row(f"{b} − {a}", *[_of(row[p], metric, signed=True) if p in differences else "" for p in parts], "")
    out.print(table)
    if has_focus:
        say(f"focus: {', '.join(comparison.focus)}")
    elif comparison.config.focus:
        say("focus: left out, since the test set of a seed has no example of it")
    say(comparison_sentence(comparison))
    say(f"Report: {folder / 'report.html'}")


def show_estimate(estimated: tuple[Estimate, Data], as_json: bool) -> None:
    """Print noise, density and relative strength of each group."""
    from skedastic.noise.label_issues import score_label_issues
    from skedastic.pipeline.gather import true_noise, wrong_labels
    from skedastic.runs.sentences import unlearned

    estimate, data = estimated
    stats, truth = estimate.stats, true_noise(data)
    measured = None if estimate.measured is None else estimate.measured.noise.tolist()
    metric = metric_of(data.train.target)
    tau = stats.strengths
    wrong = wrong_labels(data)
    scores = None if wrong is None else score_label_issues(estimate.label_issues, wrong)
    if as_json:
        beside = {"strengths": tau.tolist(), "true_noise": truth, "measured_noise": measured, "suspects": scores}
        print(json.dumps(stats.to_dict() | beside | {"seconds": estimate.seconds}, indent=2))
        return
    _notes(data.source.notes)
    table = _table(
        "group",
        "rows",
        "share" if data.train.grouping.target_bins is None else "density",
        f"{metric.noise} (95 %)",
        *[f"true {metric.noise}"] * bool(truth),
        *["annotators disagree"] * bool(measured),
        "τ",
        title="estimated on held-out rows",
    )
    for g in tau.argsort(descending=True, stable=True).tolist()[:MOST_GROUPS]:
        row = [
            stats.names[g],
            str(int(stats.count[g])),
            _percent(float(stats.density[g])),
            _noise_of(stats, g, metric),
        ]
        others = [_noise(values[g], metric) for values in (truth, measured) if values]
        table.add_row(*row, *others, f"{float(tau[g]):.3f}")
    out.print(table)
    _left_out(len(stats.names))
    _rank_correlation(stats, truth)
    _rank_correlation(stats, measured, "annotators' disagreement")
    if scores is not None:
        say(
            f"{scores['issues']:,} labels look wrong, and {scores['precision']:.0%} of these are: {scores['recall']:.0%} of all "
            f"{scores['wrong']:,} that are. Of the {scores['wrong']:,} most suspect, {scores['first']:.0%} are."
        )
    _notes(tuple(unlearned(stats)))


def show_methods(name: str | None, as_json: bool) -> None:
    """Print all methods by family, or the card and parameters of one."""
    from skedastic.methods.presets import find_preset, presets

    if name is not None:
        described = _describe(name, find_preset(name))
        if as_json:
            print(json.dumps(_finite(described), indent=2, ensure_ascii=False))
            return
        out.print(f"[bold]{name}[/bold]: {described['title']}")
        for key in ("paper", "equations", "stands_for", "cost", "memory", "needs", "not_wrapped"):
            value = described[key]
            if value:
                text = ", ".join(value) if isinstance(value, list) else value
                out.print(f"  {key.replace('_', ' ')}: {text}", markup=False)
        table = _table("parameter", "default", "meaning")
        table.columns[2].justify = "left"
        for parameter, about in described["parameters"].items():
            table.add_row(parameter, escape(_as_expression(about["default"])), escape(about["meaning"]))
        out.print(table)
        return
    rows = {n: _describe(n, preset) for n, preset in presets().items()}
    if as_json:
        print(json.dumps(_finite(rows), indent=2, ensure_ascii=False))
        return
    table = _table("name", "what it is", "needs", "paper", "equation")
    for column in table.columns:
        column.justify, column.overflow = "left", "fold"
    table.columns[0].no_wrap = True
    for family in dict.fromkeys(row["family"] for row in sorted(rows.values(), key=_family_order)):
        table.add_row(f"[bold]{family}[/bold]")
        for n, row in rows.items():
            if row["family"] == family:
                cells = (n, row["title"], ", ".join(row["needs"]), _cited(row["paper"]), row["equations"])
                table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
    _show_axes()


def _finite(value: Any) -> Any:
    """Return plain data that JSON can hold: infinities as the text that means them."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return f"{value:g}" if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def _cited(paper: str) -> str:
    """Return "Cao et al. 2021" of "Cao et al., Title, ICLR 2021"."""
    years = re.findall(r"\b(?:19|20)\d\d\b", paper)
    return f"{paper.split(', ')[0]} {years[-1]}" if years else paper


def _family_order(row: dict[str, Any]) -> int:
    order = [
        "plain", "losses", "class weights", "samplers", "instance weights", "reweighting by learning", "noise cleaning",
        "long tail", "two stages", "regularization", "around another method",
    ]  # fmt: skip
    return order.index(row["family"]) if row["family"] in order else len(order)


def _show_axes() -> None:
    """Print what methods are put together from."""
    from skedastic.settings.registry import FAMILIES

    say("")
    say('Put together from these, as in --method "absgd(lam=5, loss=ldam, class_weights=deferred(effective-number))":')
    for family in FAMILIES:
        if family.what != "method":
            say(f"  {family.many}: {', '.join(family.names())}")


def show_taps(model: str, shape: tuple[int, ...] | None, names: Sequence[str], as_json: bool) -> None:
    """Print where HAR would measure in a network: a shipped model's name, or file.py:function."""
    from skedastic.core.taps import find_taps
    from skedastic.models import make, prefixes
    from skedastic.models.own import own_network

    default = (3, 32, 32) if model == "resnet32" else (64,)
    net = (
        own_network(model)
        if ":" in model and model.partition(":")[0] not in prefixes()
        else make(model, shape or default, 10)
    )
    modules = find_taps(net, names or None)
    rows: list[dict[str, Any]] = [{"name": n, "kind": type(m).__name__} for n, m in modules.items()]
    if shape is not None:
        rows = [
            {"name": tap.name, "kind": type(modules[tap.name]).__name__, "output": list(tap.shape)}
            for tap in _tapped(net, modules, shape)
        ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = _table("tap", "kind", *(["output for 2 examples"] if shape is not None else []))
    table.columns[1].justify = "left"
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    out.print(table)
    out.print(f"{len(rows)} tapped; name others with taps=, in Python or as --set method.taps=PATTERN,…")


def _tapped(net: Any, modules: dict[str, Any], shape: tuple[int, ...]) -> list[Any]:
    """Return what is tapped when the network reads 2 examples of `shape`, real numbers or else tokens."""
    import torch

    from skedastic.core.trace import record

    for x in (torch.zeros(2, *shape), torch.zeros(2, *shape, dtype=torch.int64)):
        try:
            _, trace = record(net.eval(), x, modules, strength=torch.ones(2))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            reason = str(error).splitlines()[0]
            continue
        trace.layouts(2)
        return [place.tap for place in trace.places]
    raise UserError(f"--shape: the network can't read x of shape {[2, *shape]}: {reason}")


def _describe(name: str, preset: Any) -> dict[str, Any]:
    from skedastic.settings.methods import method_table, settings_table

    card, method = preset.cls.card, preset.make()
    able = method.capabilities
    defaults, own = method_table(method), settings_table(preset.settings)
    targets = " or ".join(words for task, words in TARGETS.items() if task in able.tasks)
    needed = [words for need, words in NEEDS.items() if need in able.needs]
    return {
        "name": name,
        "family": preset.family,
        "title": preset.title,
        "paper": preset.paper,
        "equations": preset.equations,
        "stands_for": _as_expression({"name": card.name, **own}) if name != card.name else "",
        "cost": card.cost,
        "memory": card.memory,
        "not_wrapped": [f"{WRAPPED[way]}: {why}" for way, why in able.incompatible_with.items()],
        "needs": [targets, *needed, *dict.fromkeys(able.takes)],
        "supports": sorted(able.tasks),
        "limits": [settings_table(limit) for limit in card.reduces_to_erm],
        "parameters": {
            field.name: {"default": defaults.get(field.name), "meaning": _meaning(said)}
            for field, said in described(preset.cls)
        },
    }


def _meaning(said: Setting) -> str:
    return said.meaning if said.range is None else f"{said.meaning}; {said.range}"


def _as_expression(value: Any) -> str:
    """Return the text that means `value`, as the command line takes it."""
    if isinstance(value, dict) and "name" in value:
        inside = ", ".join(f"{k}={_as_expression(v)}" for k, v in value.items() if k != "name" and v is not None)
        return f"{value['name']}({inside})" if inside else str(value["name"])
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={_as_expression(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_expression, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    return (
        {None: "none", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, int) or isinstance(value, bool)
        else str(value)
    )


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="dim", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    return table


def _notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        err.print(f"note: {note}", markup=False, style="dim", soft_wrap=not err.is_terminal)


def _left_out(groups: int) -> None:
    if groups > MOST_GROUPS:
        say(f"… and {groups - MOST_GROUPS} more groups: see the report")


def _rank_correlation(stats: Any, other: Sequence[float | None] | None, what: str = "true noise") -> None:
    known = [t for t in other or [] if t is not None]
    if stats is None or not other or len(known) < len(other) or len(set(known)) < 2:
        return
    from scipy.stats import spearmanr

    value = float(spearmanr(stats.noise.numpy(), known).statistic)
    say(f"Spearman correlation of estimated noise and {what} over {len(known)} groups: {value:.2f}")


def _noise_of(stats: Any, g: int, metric: Metric) -> str:
    mean, low, high = (metric.of_noise(float(c[g])) for c in (stats.noise, stats.noise_low, stats.noise_high))
    return _range(mean, low, high, metric)


def _noise(value: float | None, metric: Metric) -> str:
    if value is None or metric.percent:
        return _percent(value)
    return metric.text(metric.of_noise(value))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value * 100:.1f}"


def _range(mean: float, low: float | None, high: float | None, metric: Metric) -> str:
    if low is None or high is None:
        return metric.text(mean)
    if not metric.percent:
        return f"{metric.text(mean)} ({to_digits(low, 3)}–{to_digits(high, 3)})"
    return f"{mean * 100:.1f} ({low * 100:.0f}–{high * 100:.0f})"


def _of(row: dict[str, Any] | None, metric: Metric, signed: bool = False) -> str:
    if row is None:
        return ""
    if not metric.percent:
        mean = metric.difference(row["mean"]) if signed else metric.text(row["mean"])
        return mean if row["low"] is None else f"{mean} ± {to_digits(row['high'] - row['mean'], 3)}"
    sign = "+" if signed else ""
    mean = f"{row['mean'] * 100:{sign}.1f}"
    return mean if row["low"] is None else f"{mean} ± {(row['high'] - row['mean']) * 100:.1f}"
