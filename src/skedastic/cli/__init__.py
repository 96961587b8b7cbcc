"""The command line: verbs over `pipeline`. Heavy imports wait inside the verbs, so that `--help` answers at once."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skedastic.errors import Interrupted, UserError, unknown
from skedastic.runs.folder import free_folder, kept_until_whole, resumable
from skedastic.runtime.allocator import keep_freed_memory
from skedastic.version import __version__

if TYPE_CHECKING:
    from skedastic.settings.config import Config


class Verbs(click.Group):
    """A group that suggests the nearest verb."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the verb, or refuse it with the nearest one."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise unknown("verb", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="skedastic")
def app() -> None:
    """Train models that hold up where labels are noisy and examples are rare.

    \b
    skedastic fit data.csv --target quality          train one model, see what it found
    skedastic compare data.csv --target quality      plain training against HAR, over seeds
    skedastic estimate data.csv --target quality     how noisy and how rare each group is
    skedastic predict runs/fit-data new.csv --out predicted.csv
    """


DATA_OPTIONS = [
    click.argument("source", required=False),
    click.option("--target", help="Column with the labels, or numbers."),
    click.option("--task", metavar="NAME", help="classification, regression, or auto (default): as the target looks."),
    click.option(
        "--annotators",
        metavar="COL",
        multiple=True,
        help="Column of one person's answers, or of lists, or counts:COL; repeat it.",
    ),
    click.option(
        "--groups",
        metavar="COL|A,B|quantiles:COL:N|superclass:FILE|cluster:K",
        help="What the groups are; by default each label, or bins of numbers.",
    ),
    click.option("--bins", metavar="N", type=int, help="Bins of a target of numbers that are the groups (default 10)."),
    click.option("--ignore", metavar="COL", multiple=True, help="Column to leave out; may be repeated."),
    click.option("--text", metavar="COL", multiple=True, help="Column to read as text; may be repeated."),
    click.option("--numeric", metavar="COL", multiple=True, help="Column to read as numbers; may be repeated."),
    click.option("--categorical", metavar="COL", multiple=True, help="Column to read as categories; may be repeated."),
    click.option("--image", metavar="COL", help="Column of images, or of paths to images."),
    click.option("--image-size", metavar="N", type=int, help="Pixels of each side that images are resized to."),
    click.option("--truth", metavar="COL", help="Column with clean labels: for evaluation only, never for training."),
    click.option("--group-by", metavar="COL", help="Rows with the same cell there stay together in every split."),
    click.option(
        "--labels", metavar="FILE", help="Corrected labels, as `skedastic suspects` writes the file to fill in."
    ),
    click.option(
        "--noise",
        metavar="SPEC",
        help='Corrupt training labels: "1<->8:0.4", "a->b:0.3", "uniform:0.2", "pairs:0.2"; #3 is the class at position 3, from 0.',
    ),
    click.option("--imbalance", metavar="SPEC", help='Remove training examples: "step:10:1,3,8", "longtail:100".'),
    click.option("--limit", metavar="N", type=int, help="Use N training examples, drawn by seed."),
]
TEST_OPTIONS = [
    click.option(
        "--test", metavar="SOURCE|FRACTION", help="Test file, or the share to hold out (default 0.2), or none."
    ),
    click.option("--split", metavar="COL", help="Column that names each row train, test or validation."),
    click.option(
        "--reference",
        metavar="SOURCE|FRACTION",
        help="Trusted examples, which mw-net, l2rw and their kin learn from: a file, or a share of the training rows to set "
        "apart, as many of each class.",
    ),
]
TRAINING_OPTIONS = [
    click.option("--model", metavar="NAME", help="auto, mlp, cnn or resnet32."),
    click.option("--epochs", type=int, help="Passes over the training data (default 60)."),
    click.option("--config", "config_file", metavar="FILE.toml", help="Read settings from a file; options go on top."),
    click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Any setting, such as train.lr=0.1."),
]
OUT_OPTIONS = [
    click.option("--out", metavar="DIR", help="Folder to write."),
    click.option("--force", is_flag=True, help="Replace the folder if it is one that skedastic wrote."),
]


def options(*lists: list[Any]) -> Callable[[Any], Any]:
    """Decorate a verb with lists of options."""

    def decorate(verb: Any) -> Any:
        for option in reversed([option for options_ in lists for option in options_]):
            verb = option(verb)
        return verb

    return decorate


def _config(
    config_file: str | None, sets: tuple[str, ...], renamed: dict[str, str], preset: str | None = None, **given: Any
) -> Config:
    """Return the configuration; `renamed` says which setting an option means where the names differ."""
    from skedastic.settings.reading import read

    overrides = {renamed.get(name, name): value if value != () else None for name, value in given.items()}
    result = read(config_file, overrides, sets, preset)
    if not result.source:
        raise UserError("no SOURCE: name a table, an image file or a built-in set, for example: skedastic fit digits")
    return result


def _number_or_word(text: str) -> float | str:
    """What the configuration then checks, such as a strength: 0.5, or auto."""
    try:
        return float(text)
    except ValueError:
        return text


RENAMED = {"method": "method.name", "strength": "method.strength", "model": "model.name", "epochs": "train.epochs"}


@app.command()
@options(DATA_OPTIONS, TEST_OPTIONS)
@click.option("--method", metavar="NAME", help="Method by preset name (default har); `skedastic methods` lists them.")
@click.option(
    "--strength",
    type=_number_or_word,
    help="Largest enforced regularization strength λτ_g of HAR (default 0.1), or auto.",
)
@click.option("--seed", type=int, help="Seed of the split, the initial weights and the batches (default 0).")
@options(TRAINING_OPTIONS, OUT_OPTIONS)
@click.option("--resume", metavar="DIR", help="Go on with the run DIR that was interrupted; takes no other settings.")
def fit(
    out: str | None,
    force: bool,
    resume: str | None,
    config_file: str | None,
    sets: tuple[str, ...],
    **given: Any,
) -> None:
    """Train one model on SOURCE and write a run folder with the model, the figures and a report."""
    if resume is not None:
        if out or config_file or sets or any(value not in (None, ()) for value in given.values()):
            raise UserError(f"--resume {resume!r}: a run goes on with its own settings; leave all others out")
        out, config_file = resume, str(resumable(resume))
    config = _config(config_file, sets, RENAMED, **given)
    from skedastic import pipeline
    from skedastic.cli import console

    folder = free_folder(out or f"runs/fit-{Path(config.source or '').stem}", force)
    with kept_until_whole(folder, resume=resume is not None, force=force) as kept, _way_on(kept, folder):
        with console.progress() as progress:
            result = pipeline.fit_config(config, progress, kept, console.show_data)
        result.save(folder, force=force, checkpoints=kept)
    console.show_fit(result, folder)


@contextmanager
def _way_on(kept: Path, folder: Path) -> Iterator[None]:
    """Say how to go on where the block ends too early and checkpoints were kept."""
    way = f"skedastic fit --resume {folder}"
    try:
        yield
    except KeyboardInterrupt:
        if not kept.exists():
            raise
        raise Interrupted(f"interrupted; go on with: {way}") from None
    except UserError as error:
        if not kept.exists():
            raise
        raise UserError(f"{error} (checkpoints are in {str(kept)!r}: {way})") from None


@app.command()
@options(DATA_OPTIONS, TEST_OPTIONS)
@click.option("--methods", metavar="A,B,…", help="Methods to compare (default erm,unif,har), or all.")
@click.option(
    "--strength", type=_number_or_word, help="Largest enforced strength, or auto, for every method that has one."
)
@click.option("--seeds", type=int, help="How many seeds: splits, corruptions and initial weights (default 5).")
@click.option("--first-seed", type=int, help="The first seed (default 0).")
@click.option("--focus", metavar="GROUPS", help="Groups whose mean accuracy, or error, is the headline, by comma.")
@click.option(
    "--preset",
    metavar="NAME",
    help="A table of a paper: its noise, imbalance and methods, such as har-table1 or har-table6; options go on top.",
)
@click.option("--jobs", type=int, default=0, help="Seeds to run at a time (default: one for each core).")
@options(TRAINING_OPTIONS, OUT_OPTIONS)
def compare(
    out: str | None, force: bool, jobs: int, config_file: str | None, sets: tuple[str, ...], **given: Any
) -> None:
    """Compare methods on SOURCE: equal training, same splits, paired differences with 95 % intervals."""
    config = _config(config_file, sets, RENAMED, **given)
    from skedastic import pipeline
    from skedastic.cli import console

    folder = free_folder(out or f"runs/compare-{Path(config.source or '').stem}", force)
    with console.progress() as progress:
        comparison = pipeline.compare(config, jobs=jobs, progress=progress, tell=console.show_data)
    comparison.save(folder, force=force)
    console.show_comparison(comparison, folder)


@app.command()
@options(DATA_OPTIONS)
@click.option("--seed", type=int, help="Seed (default 0).")
@options(TRAINING_OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
def estimate(config_file: str | None, sets: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Estimate the noise and the density of each group of SOURCE, with 95 % intervals; train no final model."""
    config = _config(config_file, sets, RENAMED, **given)
    from skedastic import pipeline
    from skedastic.cli import console

    with console.progress() as progress:
        estimated = pipeline.estimate(config, progress, console.show_data)
    console.show_estimate(estimated, as_json)


RUN = click.argument("run")
CALIBRATED = click.option(
    "--calibrated",
    is_flag=True,
    help="Probabilities at the temperature that was fitted on the run's test rows, noisy as their labels are.",
)
FILE_OPTIONS = [
    click.option("--out", metavar="FILE", required=True, help="File to write: .csv, .parquet or .jsonl."),
    click.option("--force", is_flag=True, help="Replace the file."),
]


@app.command()
@options([RUN, click.argument("source")], FILE_OPTIONS)
@CALIBRATED
@click.option("--keep", metavar="COL", multiple=True, help="Column of SOURCE to hand on; may be repeated.")
def predict(run: str, source: str, out: str, force: bool, calibrated: bool, keep: tuple[str, ...]) -> None:
    """Predict the rows of SOURCE with the model of the folder RUN: label, group and probabilities into a file."""
    from skedastic.cli import console
    from skedastic.runs.load import load
    from skedastic.runs.predict import predict_source

    result = load(run)
    with console.progress() as progress:
        rows = predict_source(result, source, out, calibrated=calibrated, keep=keep, force=force, progress=progress)
    console.say(f"{rows:,} rows predicted: {out}")


@app.command()
@options([RUN, click.argument("source")])
@CALIBRATED
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(run: str, source: str, calibrated: bool, as_json: bool) -> None:
    """Test the model of the folder RUN on SOURCE, which has labels: every figure that the run's own test set gives."""
    from skedastic.cli import console
    from skedastic.runs.evaluate import evaluate_source
    from skedastic.runs.load import load

    result = load(run)
    console.show_evaluation(result, evaluate_source(result, source, calibrated), as_json)


@app.command()
@options([RUN])
@click.option("--top", metavar="N", type=int, help="How many (default: those that are called an issue).")
@click.option(
    "--out", metavar="FILE", help="File to write, with the cells of each row and a column to correct labels in."
)
@click.option("--force", is_flag=True, help="Replace the file.")
def suspects(run: str, top: int | None, out: str | None, force: bool) -> None:
    """List the labels of the folder RUN to check, the most suspect first; corrected ones go into `fit --labels FILE`."""
    from skedastic.cli import console
    from skedastic.runs.label_issues import issues_with_rows
    from skedastic.runs.load import load_summary
    from skedastic.runs.tables import write_frame

    summary = load_summary(run)
    frame = issues_with_rows(summary, top)
    if out is not None:
        write_frame(frame, out, force)
    console.show_suspects(frame.head(top or console.MOST_GROUPS), summary.issue_count)
    if out is not None:
        console.say(
            f"{len(frame):,} rows: {out}; write right labels into its column corrected, then fit --labels {out}"
        )


@app.command()
@options([RUN])
@click.option("--format", "form", default="onnx", help="onnx (default), torch-export or safetensors.")
@click.option("--out", metavar="FILE", required=True, help="File to write.")
@click.option("--rows", metavar="SOURCE", help="Rows to check it on (default: those of the run's source).")
@click.option("--force", is_flag=True, help="Replace the file.")
def export(run: str, form: str, out: str, rows: str | None, force: bool) -> None:
    """Write the network of the folder RUN as a file that others can run, and check it on real rows."""
    from skedastic.cli import console
    from skedastic.runs.export import export_run
    from skedastic.runs.load import load

    console.say(export_run(load(run), form, out, rows, force))


@app.command()
@options([RUN])
def show(run: str) -> None:
    """Print the summary of the folder RUN."""
    from skedastic.cli import console
    from skedastic.runs.load import load_summary

    console.show_run(load_summary(run), Path(run))


@app.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def methods(name: str | None, as_json: bool) -> None:
    """List the methods, or show the card and the parameters of one."""
    from skedastic.cli import console

    console.show_methods(name, as_json)


@app.command()
@click.argument("model")
@click.option("--shape", metavar="C,H,W", help="Shape of one example; shows the shapes of what is tapped too.")
@click.option(
    "--taps", metavar="PATTERN", multiple=True, help='Names or patterns, such as "layer3.*"; may be repeated.'
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def taps(model: str, shape: str | None, taps: tuple[str, ...], as_json: bool) -> None:
    """List where HAR would measure the Jacobian in MODEL: a model's name, or file.py:function that makes a network."""
    from skedastic.cli import console
    from skedastic.settings.convert import whole_numbers

    console.show_taps(model, whole_numbers("--shape", shape) if shape else None, taps, as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Anything that the user gave and can't be used is one line on stderr, and exit status 2."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    keep_freed_memory()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app.main(args=arguments or ["--help"], prog_name="skedastic", standalone_mode=False)
    except UserError as error:
        _stop(str(error), 2)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _stop("interrupted; nothing was written", 130)
    except Interrupted as error:
        _stop(str(error), 130)
    except click.ClickException as error:
        _stop(error.format_message(), 2)


def _stop(message: str, status: int) -> None:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(status)
