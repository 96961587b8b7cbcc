"""`skedastic fit`: one model, and the groups it was trained on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skedastic.cli import console, early
from skedastic.cli.folders import folder_for
from skedastic.cli.groups import show_choice, show_groups
from skedastic.cli.options import (
    DATA_OPTIONS,
    OUT_OPTIONS,
    TEST_OPTIONS,
    TRAINING_OPTIONS,
    number_or_word,
    options,
    setting_option,
    settings_of,
)
from skedastic.errors import Diverged, Interrupted, UserError
from skedastic.runs.folder import unfinished
from skedastic.runs.unfinished import kept_until_whole, resumable
from skedastic.runs.ways import way_on
from skedastic.runtime.launch import count, is_first, is_launched, is_restarted, launched

if TYPE_CHECKING:
    from skedastic.core.choice import Best
    from skedastic.runs.summary import RunSummary
    from skedastic.settings.config import Config


NOT_SURE = "a trial that has just ended, or a training of all rows that goes wrong, may change that"
CHANGEABLE = ("lr", "on_nan")  # settings of training that may be others where a run goes on


@click.command()
@options(DATA_OPTIONS, TEST_OPTIONS)
@click.option(
    "--method",
    metavar="NAME",
    help="Method by preset name; `skedastic methods` lists them. By default auto, which chooses the way of training, "
    "for classes, stack for numbers, and har where the network is not known to train in seconds; a line says which, "
    "and why.",
)
@click.option(
    "--optimize",
    metavar="NAME",
    help="Criterion of auto: balanced (default), the mean of the groups' accuracies; worst, that of the worst group; "
    "accuracy of all rows; macro-f1; auc; or cost:FILE, the mean cost of a row. Of numbers: rmse (default) or mae.",
)
@click.option(
    "--effort",
    metavar="low|normal|high",
    help="Of auto: low trains few networks, and what is fitted at once; high tries every way on all rows, and "
    "says of which groups more rows would help.",
)
@click.option(
    "--prior",
    metavar="CLASS=SHARE,…",
    help="How frequent the classes will be where the model is used, for --optimize accuracy: spam=0.1,ham=0.9, "
    "shares of all classes, whose sum is 1.",
)
@click.option(
    "--strength",
    type=number_or_word,
    help="Largest enforced regularization strength λτ_g of HAR (default 0.1), or auto. Alone it means --method har.",
)
@setting_option("budget", metavar="TIME")
@setting_option("seed", type=int)
@options(TRAINING_OPTIONS, OUT_OPTIONS)
@click.option(
    "--devices",
    metavar="N",
    type=click.IntRange(1, 256),
    help="Train on so many devices of this machine together, a process each; torchrun does the same on several "
    "machines.",
)
@click.option(
    "--resume",
    metavar="DIR",
    help="Go on with the run DIR that was interrupted; takes no other settings but --set train.lr and --on-nan.",
)
@click.option(
    "--finish",
    is_flag=True,
    help="With --resume: auto tries no more ways, and trains the best of those that it has tried.",
)
def fit(
    out: str | None,
    force: bool,
    resume: str | None,
    finish: bool,
    config_file: str | None,
    sets: tuple[str, ...],
    devices: int | None,
    **given: Any,
) -> None:
    """Train one model on SOURCE and write a run folder with the model, the figures and a report."""
    began = time.monotonic()
    if devices is not None and is_launched() and devices != count():
        rule = f"torchrun has started {count()} processes; leave it out"
        raise UserError(rule, setting="--devices", value=devices, given=f"--devices {devices}")
    if not is_first():
        return _follow(finish)
    if is_restarted() and resume is None and out is not None and (unfinished(out) / "config.toml").is_file():
        resume, out, given, sets, config_file = out, None, dict.fromkeys(given), (), None
    if resume is not None:
        others = {name for name, value in given.items() if value not in (None, ())} - {"on_nan", "model", "trust"}
        changeable = [f"train.{name}" for name in CHANGEABLE]
        others |= {text.partition("=")[0].strip() for text in sets} - set(changeable)
        if out or config_file or others:
            rule = f"a run goes on with its own settings, but for {' and '.join(changeable)}; leave all others out"
            raise UserError(rule, setting="--resume", value=resume, given=f"--resume {resume!r}")
        out, config_file = resume, str(resumable(resume, force=force))
    elif finish:
        rule = "it ends a run that was interrupted; name that with --resume DIR"
        raise UserError(rule, setting="--finish", given="--finish")
    settings = settings_of(config_file, sets, given, resumed=resume is not None)
    early.check_method(settings)
    if devices is not None and devices > 1 and not is_launched():
        early.check_data(settings)
        try:
            raise SystemExit(launched(click.get_current_context().find_object(list) or [], devices))
        except UserError as error:
            begun = out is not None and unfinished(out).is_dir()
            on = f"; go on with: {way_on('fit', Path(out or ''), '')} --devices {devices}" * begun
            raise error.adding(on) from None
    with early.settings_first(settings), folder_for("fit", settings["source"], out, force) as folder:
        console.reading(settings["source"], early.check_data(settings))
        from skedastic import pipeline
        from skedastic.settings.reading import build_config, to_toml
        from skedastic.training.ranks import agreed, together

        config = build_config(settings)
        found = None if finish else Found(began)
        again = way_on("fit", folder, config.model.name) + f" --devices {devices}" * (devices is not None)
        with kept_until_whole(folder, resume=resume is not None, force=force) as kept, _way_on(kept, again, found):
            if resume is not None:
                config = _changed(config, kept)
            with together(), console.progress() as progress:
                agreed([to_toml(config), str(kept.absolute())])
                result = pipeline.fit_config(config, progress, kept, progress.begin, began, found, finish)
            result.save(folder, force=force, checkpoints=kept)
    show_fit(result, folder, time.monotonic() - began)


def _follow(finish: bool) -> None:
    """Train together with the first process, by its settings; it alone speaks and writes."""
    from skedastic import pipeline
    from skedastic.settings.reading import read_text
    from skedastic.training.ranks import agreed, together

    with together():
        config, kept = agreed(None)
        pipeline.fit_config(read_text(config), checkpoints=kept, finish=finish)


def _changed(config: Config, kept: Path) -> Config:
    """Return the configuration that a run had, with what may be changed, and notes on that; keep it so."""
    from skedastic.settings.reading import read, to_toml
    from skedastic.training.checkpoints import change_settings

    before = read(kept / "config.toml", {})
    values = {name: (getattr(before.train, name), getattr(config.train, name)) for name in CHANGEABLE}
    notes = [f"train.{name} was {old}, and {new} from a resume on" for name, (old, new) in values.items() if old != new]
    if not notes:
        return before
    changed = replace(before.train, **{name: getattr(config.train, name) for name in CHANGEABLE})
    config = replace(before, train=changed, notes=(*before.notes, *notes))
    change_settings(kept, to_toml(config))
    return config


def show_fit(summary: RunSummary, folder: Path, seconds: float | None = None) -> None:
    """Print a row for each group, the outcome, the seconds that a fit took, and the files that were written."""
    from skedastic.report.words import duration, to_check
    from skedastic.runs.next_steps import next_steps
    from skedastic.runs.sentences import is_measured, judges, uncalled_sentence

    console.notes(summary.notes)
    show_groups(summary)
    if seconds is not None:
        console.say(f"Took {duration(seconds)}.")
    measured = is_measured(summary.config)
    if summary.findings is not None and summary.findings.learned and (summary.classes or not measured):
        said = to_check(summary.issue_count, summary.wrong_count, summary.target.noun)
        if measured or not summary.classes:
            said += f", which {judges(measured=measured)} disagree with"
        console.say(f"{said}: {folder / 'suspects.parquet'}")
        if uncalled := uncalled_sentence(summary.findings, summary.wrong_count, summary.unranked_classes):
            console.say(uncalled)
    show_choice(summary)
    for step in next_steps(summary):
        console.say(f"Next: {step}")
    console.say(f"Report: {folder / 'report.html'}")


class Found:
    """The best way of training so far, which is printed when it is another one.

    Parameters
    ----------
    began : float
        The reading of `time.monotonic()` at the start.
    """

    def __init__(self, began: float) -> None:
        self.began = began
        self.best: Best | None = None
        self._told = -math.inf

    def __call__(self, best: Best) -> None:
        """Take over the best way."""
        last, self.best = self.best, best
        if last is None:
            way = "Ctrl-C, then --finish, takes it, or a better one by then"
            console.found(f"first model after {self._seconds}: {self.said}; {way}")
        elif last.name != best.name and best.value > self._told:
            console.found(f"best model after {self._seconds}: {self.said}")
        self._told = max(self._told, best.value)

    @property
    def said(self) -> str:
        """The best way in words; empty where there is none."""
        from skedastic.runs.choice import best_sentence

        return "" if self.best is None else best_sentence(self.best)

    @property
    def _seconds(self) -> str:
        return f"{time.monotonic() - self.began:.0f} s"


@contextmanager
def _way_on(kept: Path, way: str, found: Found | None) -> Iterator[None]:
    """Say how to resume, or take the best so far, where the block ends too early and checkpoints were kept.

    `way` is the command that resumes. With `found` None the best so far is being taken.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not (kept / "config.toml").exists():
            raise
        finish = f" --finish; or try more ways with: {way}" if found is None else ""
        if found is not None and found.best is not None:
            finish = f"; or take the best so far ({found.said}; {NOT_SURE}) with: {way} --finish"
        raise Interrupted(f"interrupted; go on with: {way}{finish}") from None
    except UserError as error:
        raise error.adding(_after(error, kept, way)) from None


def _after(error: UserError, kept: Path, way: str) -> str:
    """Return what an error says of the checkpoints at its end; "" where there is nothing to say."""
    is_kept, slower = (kept / "config.toml").exists(), "--set train.lr=RATE"
    if not isinstance(error, Diverged):
        return f" (checkpoints are in {str(kept)!r}: {way})" if is_kept else ""
    if not error.stage:
        return ""
    if is_kept:
        return f"; go on from the last checkpoint with: {way} {slower}"
    return f"; nothing was kept; fit again with {slower}" if error.setting == "train.lr" else "; nothing was kept"
