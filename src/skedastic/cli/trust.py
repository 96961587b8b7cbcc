"""The options that say what of others may be trusted: the code that a run names, paths, and what a file may need."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from skedastic.cli import console
from skedastic.errors import UserError, first_line
from skedastic.runs.folder import holds_a_run
from skedastic.runs.ways import option
from skedastic.runtime.limits import OPTION, allowing, parsed
from skedastic.settings.layers import file_settings
from skedastic.settings.trust import check_trusted, code_named

CONFIG = "config.toml"


def _allow(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> None:
    for text in given:
        context.with_resource(allowing(**parsed(text, OPTION)))


def _trust_paths(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        context.with_resource(allowing(trust_paths=True))


FILES = [
    click.option(
        "--trust-paths",
        is_flag=True,
        expose_value=False,
        callback=_trust_paths,
        help="Let paths in a table, and links in a folder, lead out of the data's folder.",
    ),
    click.option(
        OPTION,
        metavar="NAME=N",
        multiple=True,
        expose_value=False,
        callback=_allow,
        help="Raise a limit on what a file may need, such as pixels=400000000; see the reference of settings.",
    ),
]
TRUST = click.option(
    "--trust", metavar="RUN", help="Run the code that this run folder names as its model; a line shows what is run."
)
CODE = [
    click.option("--model", metavar="NAME", help="The name of the run's model, where it is code of your own."),
    TRUST,
]


@contextmanager
def of_run(run: str) -> Iterator[None]:
    """Within this context, an error that a run's own files may have caused is one line, which says where it occurred.

    Not every field of every file is checked when a run is read.

    Parameters
    ----------
    run : str
        The folder of the run.
    """
    try:
        yield
    except (UserError, OSError, MemoryError, click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {first_line(error)} ({Path(last.filename).name}, line {last.lineno})"
        rule = f"its files don't fit together, {said}; restore the folder, or fit again. If it is whole, please tell us"
        raise UserError(rule, setting=run) from error


def may_run(run: str, typed: str | None, trust: str | None) -> bool:
    """Return whether the code that a run names as its model may be run; show it where the run is trusted.

    Parameters
    ----------
    run : str
        The folder of the run.
    typed : str or None
        The name of a model that was typed.
    trust : str or None
        The folder that was said to be trusted.

    Raises
    ------
    UserError
        The run names code, and was not trusted, nor the name typed; or another folder was trusted.
    """
    config = Path(run) / CONFIG
    name = model_of(file_settings(config)) if config.is_file() else ""
    _check_code(name, config, typed, trust)
    return bool(code_named(name))


def check_config(
    config_file: str | None,
    settings: Mapping[str, Any],
    typed: str | None,
    trust: str | None,
    *,
    resumed: bool = False,
) -> None:
    """Raise UserError where a configuration of a run folder names code, which is neither typed nor trusted.

    It is of a run where it lies in one, or is a link that leads to one, and where a run is resumed. A configuration
    anywhere else is the user's own, and is like typing. What it would run is shown. A run goes on with its own model.

    Parameters
    ----------
    config_file : str or None
        The configuration.
    settings : Mapping
        All settings, plain.
    typed : str or None
        The name of a model that was typed.
    trust : str or None
        The folder that was said to be trusted.
    resumed : bool, optional
        Whether a run goes on, whose configuration it is.
    """
    if config_file is None:
        if trust is not None:
            raise _not_the_run(trust, "no run is read here")
        return
    name, config = model_of(settings), Path(config_file)
    if resumed:
        _check_code(model_of(file_settings(config)), config, typed, trust)
    elif any(map(holds_a_run, _folders(config))):
        _check_code(name, config, typed, trust)
    elif trust is not None:
        raise _not_the_run(trust, f"{config_file!r} is in no run folder")
    elif typed is None and (code := code_named(name)):
        console.found(f"{config_file} names code, which is run: {code}")


def _check_code(name: str, config: Path, typed: str | None, trust: str | None) -> None:
    folder = config.parent
    if trust is not None and Path(trust).resolve() not in (folder.resolve(), _whole(folder.resolve())):
        raise _not_the_run(trust, f"the run is {str(folder)!r}")
    way = option("--trust", folder)
    ways = f"type the name yourself, --model {shlex.quote(name)}, or trust the run, {way}"
    try:
        check_trusted(name, typed=typed, trusted=trust is not None, ways=ways)
    except UserError as error:
        raise error.at(str(folder)) from None
    if trust is not None and (code := code_named(name)):
        console.found(f"{config} is trusted, and this is run: {code}")


def _folders(file: Path) -> Iterator[Path]:
    """Yield the folder of a file, and that of each file that it leads to where it is a link."""
    yield file.parent.resolve()
    while file.is_symlink():
        file = file.parent / file.readlink()
        yield file.parent.resolve()


def _whole(folder: Path) -> Path:
    """Return the name that the folder of an interrupted run has once that is whole."""
    return folder.with_name(folder.name.removesuffix(".unfinished"))


def _not_the_run(trust: str, why: str) -> UserError:
    return UserError(f"{why}; name the run whose code is to be run", setting="--trust", value=trust)


def model_of(settings: Mapping[str, Any]) -> str:
    """Return the name of the model in plain settings; "" where they name none."""
    model = settings.get("model")
    name = model.get("name") if isinstance(model, Mapping) else model
    return name if isinstance(name, str) else ""
