"""From the figures of a run, or of a comparison, to the plain values of its report."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from skedastic.core.choice import Gain, Trial
from skedastic.evaluation.intervals import Interval, mean_interval
from skedastic.evaluation.metric import Metric
from skedastic.evaluation.metrics import Score
from skedastic.methods.bases.held_out import is_trial
from skedastic.noise.findings import Findings
from skedastic.report.content import Difference, GroupRow, MethodRow, Report
from skedastic.runs.choice import choice_of, criterion_in_words, size_of_gain
from skedastic.runs.comparison_summary import ComparisonSummary
from skedastic.runs.folder import GROUPS
from skedastic.runs.label_issues import by_class_sentence, issues_of_classes
from skedastic.runs.next_steps import next_steps
from skedastic.runs.seeds import SeedOutcome
from skedastic.runs.sentences import (
    comparison_notes,
    comparison_sentence,
    estimate_in_words,
    fit_sentences,
    group_notes,
    is_measured,
    metric_notes,
    uncalled_sentence,
)
from skedastic.runs.summary import RunSummary
from skedastic.settings.config import Config
from skedastic.settings.data_apart import HoldOut
from skedastic.settings.trust import option_naming

OWN_TEST_ROWS = "the rows of the source's own folder for testing"


def fit_report(summary: RunSummary, folder: Path) -> Report:
    """Return the report of one trained model."""
    name, metrics = summary.name, summary.metrics
    metric = summary.metric
    score = {group: _interval(s) for group, s in metrics.groups.items() if s.n} if metrics else {}
    tested = {group: s.n for group, s in metrics.groups.items()} if metrics else {}
    groups = [
        GroupRow(
            name=group,
            train=summary.train_count[i],
            test=tested.get(group, 0),
            **_found(summary.findings, i, metric),
            true_noise=_shown_noise(summary.true_noise[i], metric) if summary.true_noise else None,
            strength=None if summary.strengths is None else float(summary.strengths[i]),
            score={name: score[group]} if group in score else {},
            focus=False,
        )
        for i, group in enumerate(summary.groups)
    ]
    methods = []
    if metrics:
        means = metrics.means(groups_are_classes=summary.groups_are_classes)
        worst = metrics.worst_group
        methods = [
            MethodRow(
                name=name,
                overall=_interval(metrics.overall),
                focus=None,
                rest=None,
                worst_group=None if worst is None else score[worst.name],
                seconds=summary.seconds,
                **{part: _without_interval(mean) for part, mean in means.items()},
            )
        ]
    measured = is_measured(summary.config)
    rerun = "skedastic fit --config " + shlex.quote(str(folder / "config.toml")) + " --out NEW"
    rerun += option_naming(summary.config.model.name)
    return Report(
        title=f"{name} on {summary.config.source or 'your data'}",
        sentence=(sentences := fit_sentences(summary))[0],
        beside=sentences[1:],
        asked=_asked(
            summary.config,
            [name],
            summary.trials,
            summary.method.predictor(summary.trials),
            own_test_rows=summary.own_test_rows,
            strengths=summary.strengths is not None,
            was_estimated=summary.findings is not None,
            trains_network=bool(summary.trials) or summary.method.passes is None,
        ),
        command=rerun if summary.config.source else "sk.fit(X, y, …) with the settings in config.toml",
        methods=methods,
        differences=[],
        groups=groups,
        history={name: _curves([summary.history])},
        label_issues=summary.shown_issues,
        label_issue_count=summary.issue_count,
        wrong_count=summary.wrong_count,
        notes=[*summary.notes, *group_notes(groups, summary.findings, measured=measured), *metric_notes(summary)],
        environment=summary.environment,
        metric=metric,
        measured=measured,
        by_class=by_class_sentence(issues_of_classes(summary)),
        uncalled=uncalled_sentence(summary.findings, summary.wrong_count, summary.unranked_classes),
        choice=choice_of(summary.trials),
        next_steps=next_steps(summary),
        all_groups=GROUPS,
    )


def comparison_report(comparison: ComparisonSummary) -> Report:
    """Return the report of a comparison over seeds."""
    config, methods, outcomes = comparison.config, comparison.methods, comparison.outcomes
    first, table, metric = outcomes[0], comparison.to_dict(), comparison.metric
    found = [Findings.from_dict(o.findings, o.stats) for o in outcomes if o.findings and o.stats]
    # the strength of the last method that has one is shown
    strengths = next((s for m in reversed(methods) if all(s := [o.strengths[m] for o in outcomes])), [])
    groups = []
    for i, name in enumerate(first.groups):
        rows = {m: [o.metrics[m].groups[name] for o in outcomes] for m in methods}
        score = {m: [r.value for r in rs if r.value is not None] for m, rs in rows.items()}
        truths = [o.true_noise[i] for o in outcomes if o.true_noise is not None and o.true_noise[i] is not None]
        groups.append(
            GroupRow(
                name=name,
                train=round(float(np.mean([o.train_count[i] for o in outcomes]))),
                test=round(float(np.mean([r.n for r in rows[methods[0]]]))),
                **_over_seeds(found, i, metric),
                true_noise=float(np.mean([_shown_noise(t, metric) for t in truths])) if truths else None,
                strength=float(np.mean([s[i] for s in strengths if s is not None])) if strengths else None,
                score={m: _mean(v) for m, v in score.items() if v},
                focus=name in comparison.focus,
            )
        )
    return Report(
        title=f"{', '.join(methods)} on {config.source}",
        sentence=comparison_sentence(comparison),
        asked=[
            *_asked(config, methods, own_test_rows=first.own_test_rows),
            *_predictors(outcomes),
            *_taken(outcomes),
            ("Seeds", _seeds([o.seed for o in outcomes])),
        ],
        command=f"skedastic compare --config config.toml --out NEW{option_naming(config.model.name)}",
        methods=[
            MethodRow(
                name=m,
                seconds=row["seconds"],
                **{part: _of(row[part]) if row[part] else None for part in comparison.values[m]},  # type: ignore[arg-type]
            )
            for m, row in table["methods"].items()
        ],
        differences=[
            Difference(
                name=f"{b} − {a}",
                **{
                    part: _of(d) if d else None  # type: ignore[arg-type]
                    for part, d in table["paired"][f"{b}-{a}"].items()
                },
            )
            for b, a in comparison.pairs()
        ],
        groups=groups,
        history={m: _curves([o.history[m] for o in outcomes]) for m in methods},
        label_issues=first.shown_issues,
        label_issue_count=first.issue_count,
        wrong_count=first.wrong_count,
        notes=[
            *config.notes,
            *comparison.notes,
            *comparison_notes(comparison),
            *group_notes(groups, found[0] if found else None, measured=is_measured(config)),
        ],
        environment=table["environment"],
        metric=metric,
        measured=is_measured(config),
        uncalled=uncalled_sentence(found[0], first.wrong_count) if found else "",
        all_groups="compare.json",
    )


def _test_rows(config: Config, *, own: bool) -> str:
    """Return where the test rows come from; own: the source itself says which they are."""
    if config.split is not None:
        return f"by column {config.split}"
    if own:
        return OWN_TEST_ROWS
    return f"{config.test.share:.0%} held out" if isinstance(config.test, HoldOut) else str(config.test)


def _asked(
    config: Config,
    methods: Sequence[str],
    trials: Sequence[Trial] = (),
    predictor: str = "",
    *,
    own_test_rows: bool = False,
    strengths: bool = True,
    was_estimated: bool = True,
    trains_network: bool = True,
) -> list[tuple[str, str]]:
    rows = [
        ("Data", config.source or "from Python"),
        ("Target", config.target),
        ("Task", None if config.task == "auto" else config.task),
        ("Bins of the target", None if config.bins is None else str(config.bins)),
        ("Truth", config.truth),
        ("Groups", config.groups),
        ("Test", _test_rows(config, own=own_test_rows)),
        ("Label noise added", config.noise),
        ("Imbalance added", config.imbalance),
        ("Training rows", None if config.limit is None else f"at most {config.limit}"),
        ("Model", predictor or config.model.name),
        ("Networks that were tried", config.model.name if predictor and trials else None),
        ("Methods" if len(methods) > 1 else "Method", ", ".join(methods)),
        ("Strength", _strength(config) if strengths and not trials else None),
        (
            "Training of networks" if predictor else "Training",
            None
            if not trains_network
            else f"{config.train.epochs} epochs, batches of {config.train.batch_size}, "
            f"{config.train.optimizer} at {config.train.lr}",
        ),
        (
            "Noise estimate",
            estimate_in_words(config) if was_estimated else "none",
        ),
    ]
    return [(name, value) for name, value in rows if value]


def _strength(config: Config) -> str | None:
    table = config.method
    while isinstance(table.get("base"), Mapping):
        table = table["base"]
    return str(table["strength"]) if "strength" in table else None


def _predictors(outcomes: Sequence[SeedOutcome]) -> list[tuple[str, str]]:
    """Return what predicted over the seeds, of the methods whose predictor was no network on some."""
    rows = []
    for method in dict.fromkeys(name for outcome in outcomes for name in outcome.predictors):
        count = Counter(outcome.predictors[method] for outcome in outcomes if method in outcome.predictors)
        words = [f"{what} on {n} of {len(outcomes)} seeds" for what, n in count.most_common()]
        networks = len(outcomes) - count.total()
        words += [f"a network on {networks} of {len(outcomes)} seeds"] * (networks > 0)
        rows.append((f"Model of {method}", "; ".join(words)))
    return rows


def _taken(outcomes: Sequence[SeedOutcome]) -> list[tuple[str, str]]:
    """Return what was taken over the seeds, of the methods that held two ways of training against each other."""
    rows = []
    for method in dict.fromkeys(name for outcome in outcomes for name in outcome.trials):
        tried = [trial for outcome in outcomes for trial in outcome.trials.get(method, ()) if not trial.left_out]
        for name in dict.fromkeys(trial.name for trial in tried):
            trials = [trial for trial in tried if trial.name == name]
            taken = sum(trial.chosen for trial in trials)
            whole = [trial for trial in trials if not trial.half] or trials
            mean = trials[0]._replace(gain=Gain(float(np.mean([trial.gain.mean for trial in whole])), 0.0))
            words = f"{name} was {size_of_gain(mean)} than {mean.other}{criterion_in_words(mean)}"
            words += " on labels that neither had seen"
            found = (("was tried on half the rows", "half"), ("gave a class up", "gives_up"))
            for lost, count in (*found, ("went wrong on all rows", "went_wrong")):
                if seeds := sum(getattr(trial, count) for trial in trials):
                    words += f"; it {lost} on {seeds} of {len(trials)} seeds"
            rows.append((f"Choice of {method}", f"{words}; it was taken on {taken} of {len(trials)} seeds"))
    return rows


def _curves(histories: Sequence[Sequence[dict[str, Any]]]) -> dict[str, list[float]]:
    """Return mean loss and accuracy by epoch over the runs, without trials; of the last stage where stages differ."""
    histories = [[row for row in history if not is_trial(row["stage"])] for history in histories]
    if len({tuple(row["stage"] for row in history) for history in histories}) > 1:
        histories = [[row for row in history if row["stage"] == history[-1]["stage"]] for history in histories]
    curves = {}
    for key in ("loss", "accuracy"):
        rows = [[row[key] for row in history if key in row] for history in histories]  # a stage may train nothing
        curves[key] = [float(np.mean([v for v in values if v is not None])) for values in zip_longest(*rows)]
    return {key: values for key, values in curves.items() if values}


def _found(findings: Findings | None, g: int, metric: Metric) -> dict[str, Any]:
    """Return the fields of a `GroupRow` that say what was found of group g, as they are shown."""
    if findings is None:
        return {"noise": None}
    return {
        "noise": findings.shown(g, metric),
        "withheld": findings.withheld[g],
        "wrong": findings.wrong[g],
        "wrong_withheld": findings.wrong_withheld[g],
        "uncertain": findings.uncertain[g],
        "uncertain_withheld": findings.uncertain_withheld[g],
    }


def _over_seeds(found: Sequence[Findings], g: int, metric: Metric) -> dict[str, Any]:
    """Return the mean disagreement of group g over the seeds that show it, where these are half of them or more."""
    values = [shown.mean for f in found if (shown := f.shown(g, metric)) is not None]
    if not found or 2 * len(values) < len(found):
        return {"noise": None, "withheld": next((why for f in found if (why := f.withheld[g])), "")}
    return {"noise": _mean(values)}


def _shown_noise(value: float | None, metric: Metric) -> float | None:
    return None if value is None else metric.of_noise(value)


def _interval(score: Score) -> Interval:
    return _of({"mean": score.value, "low": score.low, "high": score.high})


def _without_interval(mean: float) -> Interval:
    return _of({"mean": mean, "low": None, "high": None})


def _of(row: dict[str, Any]) -> Interval:
    """Return a mean with its interval, whose ends are NaN where one seed gives none."""
    low, high = (math.nan if row[end] is None else row[end] for end in ("low", "high"))
    return Interval(mean=row["mean"], low=low, high=high)


def _mean(values: list[float]) -> Interval:
    return _of(mean_interval(values))


def _seeds(seeds: Sequence[int]) -> str:
    return f"{len(seeds)}, from {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
