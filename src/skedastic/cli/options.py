"""The options that verbs share, and the settings that they stand for."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection
from typing import Any

import click

from skedastic.cli import early
from skedastic.cli.trust import FILES, TRUST, check_config, model_of
from skedastic.configurable import described
from skedastic.errors import UserError
from skedastic.settings.config import Config, Estimation
from skedastic.settings.data_apart import NOTHING, DataApart
from skedastic.settings.layers import check_keys, layered
from skedastic.settings.shares import check_shares
from skedastic.training.config import TrainingConfig

SETTINGS = {
    f"{table}{field.name}": (field, said)
    for table, cls in (("", Config), ("train.", TrainingConfig), ("estimate.", Estimation))
    for field, said in described(cls)
}


def setting_option(name: str, place: str = "", *, multiple: bool = False, **more: Any) -> Callable[[Any], Any]:
    """Return the option of a setting, whose help is the meaning of the setting.

    Parameters
    ----------
    name : str
        Name of the option, without its dashes.
    place : str, optional
        Name of the setting, where it is another, such as "train.epochs".
    multiple : bool, optional
        Whether the option may be repeated.
    **more
        Further arguments of `click.option`.
    """
    field, said = SETTINGS[place or name.replace("-", "_")]
    shown = isinstance(field.default, (int, float, str, DataApart)) and str(field.default) != NOTHING
    words = [f"{said.meaning[:1].upper()}{said.meaning[1:]}"]
    words += [str(said.range)] * (said.range is not None) + ["several by comma, or repeated"] * multiple
    text = f"{'; '.join(words)}{f' (default {field.default})' if shown else ''}."
    return click.option(f"--{name}", help=text, multiple=multiple, **more)


DATA_OPTIONS = [
    click.argument("source", required=False),
    setting_option("target", metavar="COL"),
    setting_option("task", metavar="NAME"),
    setting_option("annotators", metavar="COL", multiple=True),
    setting_option("groups", metavar="COL|A,B|quantiles:COL:N|superclass:FILE|cluster:K"),
    setting_option("bins", metavar="N", type=int),
    setting_option("ignore", metavar="COL", multiple=True),
    setting_option("text", metavar="COL", multiple=True),
    setting_option("numeric", metavar="COL", multiple=True),
    setting_option("categorical", metavar="COL", multiple=True),
    setting_option("decimal"),
    setting_option("image", metavar="COL"),
    setting_option("image-size", metavar="N", type=int),
    setting_option("truth", metavar="COL"),
    setting_option("group-by", metavar="COL"),
    setting_option("labels", metavar="FILE"),
    setting_option("pred-probs", metavar="FILE"),
    setting_option("noise", metavar="SPEC"),
    setting_option("imbalance", metavar="SPEC"),
    setting_option("limit", metavar="N", type=int),
]
TEST_OPTIONS = [
    setting_option("test", metavar="SOURCE|FRACTION"),
    setting_option("split", metavar="COL"),
    setting_option("reference", metavar="SOURCE|FRACTION"),
]
TRAINING_OPTIONS = [
    setting_option("model", metavar="NAME"),
    setting_option("epochs", "train.epochs", type=int),
    setting_option("on-nan", "train.on_nan", metavar="stop|skip:N"),
    setting_option("estimate-with", "estimate.by", metavar="NAME"),
    click.option("--config", "config_file", metavar="FILE.toml", help="Read settings from a file; options go on top."),
    click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Any setting, such as train.lr=0.1."),
    TRUST,
    *FILES,
]
OUT_OPTIONS = [
    click.option("--out", metavar="DIR", help="Folder to write (default: one in runs, numbered where it is there)."),
    click.option("--force", is_flag=True, help="Replace the folder if it is one that skedastic wrote."),
]
RUN = click.argument("run")
CALIBRATED = click.option(
    "--calibrated",
    is_flag=True,
    help="Probabilities at the temperature that was fitted on rows that the models had not seen, noisy as their labels "
    "are.",
)
LABELS = click.option(
    "--labels",
    type=click.Choice(["given", "true", "auto"]),
    default="given",
    show_default=True,
    help="given: the network's own probabilities; true: those of the true classes behind the labels, by the estimate "
    "of how labels go wrong; auto: true where plain training and held-out labels speak for it.",
)
RENAMED = {
    "method": "method.name",
    "strength": "method.strength",
    "optimize": "method.optimize",
    "effort": "method.effort",
    "model": "model.name",
    "epochs": "train.epochs",
    "estimate_with": "estimate.by",
    "on_nan": "train.on_nan",
}


def options(*lists: list[Any]) -> Callable[[Any], Any]:
    """Decorate a verb with lists of options."""

    def decorate(verb: Any) -> Any:
        for option in reversed([option for options_ in lists for option in options_]):
            verb = option(verb)
        return verb

    return decorate


def number_or_word(text: str) -> float | str:
    """Return `text` as a number where it is one; the configuration checks other texts, such as auto."""
    try:
        return float(text)
    except ValueError:
        return text


def _with_prior(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options with the prior in the criterion, accuracy."""
    if given.get("prior") is None:
        return {name: value for name, value in given.items() if name != "prior"}
    prior, criterion = given["prior"], given.get("optimize")
    if criterion not in (None, "accuracy"):
        rule = f"it says how frequent classes are, which counts for accuracy alone, and --optimize is {criterion}"
        raise UserError(f"{rule}; leave one of the two out", setting="--prior", value=prior, given=f"--prior {prior!r}")
    shares = dict[str, Any]()
    for part in next(csv.reader([prior], skipinitialspace=True), []):
        name, equals, share = part.rpartition("=")
        value = number_or_word(share.strip())
        if not equals or not name.strip() or isinstance(value, str):
            rule = 'write CLASS=SHARE for each class, such as spam=0.1,ham=0.9, and a class with a comma in "quotes"'
            raise UserError(rule, setting="--prior", value=prior)
        if name.strip() in shares:
            raise UserError(f"class {name.strip()!r} stands twice; give it once", setting="--prior", value=prior)
        shares[name.strip()] = value
    if all(share > 0 for share in shares.values()):  # others are refused by the setting
        check_shares(shares, False, "--prior", prior)
    return _with_prior({**given, "prior": None, "optimize": {"name": "accuracy", "prior": shares}})


def settings_of(
    config_file: str | None,
    sets: tuple[str, ...],
    given: dict[str, Any],
    preset: str | None = None,
    *,
    resumed: bool = False,
) -> dict[str, Any]:
    """Return the settings of the options, on top of the file and the preset that they name, as plain data.

    Parameters
    ----------
    config_file : str or None
        The TOML file.
    sets : tuple of str
        Texts such as "train.lr=0.1".
    given : dict
        The other options by name; None and () are absent.
    preset : str, optional
        A paper's table, such as "har-table1".
    resumed : bool, optional
        Whether a run goes on, whose configuration the file is.

    Raises
    ------
    UserError
        The file or the preset can't be read, a setting is unknown, no source is named, or code is not to be run.
    """
    trust = given.pop("trust", None)
    given = _with_prior(given)
    overrides = {RENAMED.get(name, name): value if value != () else None for name, value in given.items()}
    settings = layered(config_file, overrides, sets, preset)
    check_keys(Config, settings)
    set_apart = {text.partition("=")[0].strip() for text in sets}  # which go on top
    check_config(config_file, settings, _typed_model(settings, set_apart, given), trust, resumed=resumed)
    if not settings.get("source"):
        rule = "name a table, an image file or a built-in set, for example: skedastic fit digits"
        raise UserError(rule, setting="source", given="no SOURCE")
    named = {name: value for name in early.SEVERAL if name not in set_apart and (value := given.get(name))}
    return settings | {name: early.several(name, value, str(settings["source"])) for name, value in named.items()}


def _typed_model(settings: dict[str, Any], sets: Collection[str], given: dict[str, Any]) -> str | None:
    """Return the name of the model where an option or `--set` gives it; None where a file does, or nothing."""
    typed = given.get("model") is not None or not {"model", "model.name"}.isdisjoint(sets)
    return model_of(settings) if typed else None
