"""The options that verbs share, and the settings that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from skedastic.errors import UserError
from skedastic.settings.layers import layered

DATA_OPTIONS = [
    click.argument("source", required=False),
    click.option("--target", help="Column with the labels, or numbers."),
    click.option("--task", metavar="NAME", help="classification, regression, or auto (default): as the target looks."),
    click.option(
        "--annotators",
        metavar="COL",
        multiple=True,
        help="Column of one person's labels or ratings, or of lists, or counts:COL; repeat it.",
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


RUN = click.argument("run")
CALIBRATED = click.option(
    "--calibrated",
    is_flag=True,
    help="Probabilities at the temperature that was fitted on the run's test rows, noisy as their labels are.",
)
RENAMED = {"method": "method.name", "strength": "method.strength", "model": "model.name", "epochs": "train.epochs"}


def options(*lists: list[Any]) -> Callable[[Any], Any]:
    """Decorate a verb with lists of options."""

    def decorate(verb: Any) -> Any:
        for option in reversed([option for options_ in lists for option in options_]):
            verb = option(verb)
        return verb

    return decorate


def number_or_word(text: str) -> float | str:
    """Return a number where `text` is one; the configuration checks the rest, such as auto."""
    try:
        return float(text)
    except ValueError:
        return text


def settings_of(
    config_file: str | None, sets: tuple[str, ...], given: dict[str, Any], preset: str | None = None
) -> dict[str, Any]:
    """Return what the options say, over the file and the preset that they name, as plain settings.

    Raises UserError where these can't be read, or name no source.
    """
    overrides = {RENAMED.get(name, name): value if value != () else None for name, value in given.items()}
    settings = layered(config_file, overrides, sets, preset)
    if not settings.get("source"):
        raise UserError("no SOURCE: name a table, an image file or a built-in set, for example: skedastic fit digits")
    return settings
