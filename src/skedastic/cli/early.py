"""The checks that need neither torch nor pandas, so that the most common slips are refused at once.

They refuse nothing that the later checks would accept. A value that only the data can decide on passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skedastic.data.sources.headers import column_names, no_target
from skedastic.data.sources.names import check_file, is_idx, named_files, shown_name
from skedastic.errors import UserError, unknown
from skedastic.methods.catalogue import method_names
from skedastic.settings.data_apart import FROM_PYTHON, DataApart, FromSource
from skedastic.settings.expression import name_and_settings, split

ROLES = {
    "target": "target column",
    "truth": "truth column",
    "split": "split column",
    "group_by": "column to group by",
    "annotators": "annotators column",
    "ignore": "column to ignore",
    "text": "feature column",
    "numeric": "feature column",
    "categorical": "feature column",
    "image": "image column",
}  # settings that name columns, with the word for such a column in messages
SEVERAL = ("annotators", "ignore", "text", "numeric", "categorical")  # settings that may name several columns
NAMES = {
    "source",
    "test",
    "reference",
    "labels",
    "pred_probs",
    *ROLES,
    "groups",
}  # settings that these checks are about
SPECIAL = ("counts:", "workers:")  # before a column of votes, and of those who voted
ANSWERS = "answers:"  # before a file


@contextmanager
def settings_first(settings: Mapping[str, Any], *, several: bool = False) -> Iterator[None]:
    """Within this context, a setting that can't be used is refused before a file, a column or a folder is.

    Where nothing is refused, or no setting has a value that torch is needed to check, this costs nothing. The settings
    of a method are those of several methods where these are compared: a file of settings may name both.
    """
    try:
        yield
    except UserError:
        if not settings.keys() <= NAMES:
            _check_values(settings, several)
        raise


def _check_values(settings: Mapping[str, Any], several: bool) -> None:
    """Raise UserError for the first setting whose value can't be used, whatever the data are."""
    from skedastic.models import check_model
    from skedastic.settings.methods import compared_methods, the_method
    from skedastic.settings.model_choice import NamedModel
    from skedastic.settings.reading import build_config
    from skedastic.training.engine import find_device

    config = build_config(settings)
    if not several and "method" in settings:
        the_method(config)
    elif several and list(config.methods) != ["all"]:
        compared_methods(config)
    if isinstance(config.model, NamedModel):
        check_model(config.model.name, config.model.options)
    find_device(config.train.device)


def check_data(settings: Mapping[str, Any], beside: Sequence[str] = ("test", "reference")) -> list[str] | None:
    """Check that the files and columns that settings name are there.

    Parameters
    ----------
    settings : Mapping
        Plain settings, as `settings.layers.layered` gives them.
    beside : sequence of str
        The settings that name further sources to check.

    Returns
    -------
    list of str or None
        The columns of the source; None where they are known only when it is opened.

    Raises
    ------
    UserError
        A file or a column is not there.
    """
    source = str(settings["source"])
    columns = check_columns(source, ((role, _columns(name, settings.get(name))) for name, role in ROLES.items()))
    if columns is not None:
        if not _columns("target", settings.get("target")) and not settings.get("annotators"):
            raise no_target(shown_name(check_source(source)), columns)
        _check_groups(source, settings.get("groups"), columns)
    for name in beside:
        if isinstance(apart := DataApart.read(settings.get(name), name), FromSource):
            check_source(apart.name)
    for name in ("labels", "pred_probs"):
        if isinstance(file := settings.get(name), str) and file.strip() and file != FROM_PYTHON:
            check_file(Path(file))
    return columns


def several(setting: str, given: Sequence[str], source: str) -> tuple[str, ...]:
    """Return the columns that a repeated option names: one with commas is several, unless a column is named so.

    Parameters
    ----------
    setting : str
        The name of the setting.
    given : sequence of str
        The values of the option.
    source : str
        The source. Where its columns are known only when it is opened, the values stay as they are.
    """
    if not any("," in value for value in given):
        return tuple(given)
    try:
        columns = check_columns(source, ())
    except UserError:  # which is told when the source is checked
        columns = None
    if columns is None:
        return tuple(given)
    names = list[str]()
    for value in given:
        whole = value.startswith(ANSWERS) or value.strip() in columns or _columns(setting, [value])[0] in columns
        names += [value] if whole else [part for part in split(value) if part]
    return tuple(names)


def check_source(source: str) -> list[Path]:
    """Return the files of a source, none where it is of another form. Raises UserError for an absent or empty file."""
    paths = [Path(source)] if is_idx(Path(source)) else named_files(source) or []
    for path in paths:
        check_file(path)
    return paths


def check_columns(source: str, wanted: Iterable[tuple[str, Sequence[str]]]) -> list[str] | None:
    """Return the columns of a source, and check that some are there.

    Parameters
    ----------
    source : str
        The source, as the command line takes it.
    wanted : iterable of (str, sequence of str)
        Names of columns that must be there, each list with the word for such a column in messages.

    Returns
    -------
    list of str or None
        The columns; None where they are known only when the source is opened.

    Raises
    ------
    UserError
        The source or a column is not there.
    """
    paths = check_source(source)
    columns = column_names(paths[0]) if paths else None
    if columns is not None:
        for role, names in wanted:
            for name in names:
                if name.strip() not in columns:
                    raise unknown(role, name, columns).at(shown_name(paths))
    return columns


def _check_groups(source: str, groups: Any, columns: Sequence[str]) -> None:
    """Check the columns of groups; a specification such as quantiles:age:4 is checked later."""
    if isinstance(groups, str) and groups not in columns and ":" not in groups:
        check_columns(source, [("groups column", [part.strip() for part in groups.split(",")])])


def check_method(settings: Mapping[str, Any]) -> None:
    """Raise UserError where `method` names no method."""
    method = settings.get("method")
    name = method.get("name") if isinstance(method, Mapping) else method
    if isinstance(name, str):
        _check_names([name], "method")


def check_methods(settings: Mapping[str, Any]) -> None:
    """Raise UserError where one of `methods` is no method; "all" stands for every method."""
    methods = settings.get("methods", ())
    names = split(methods) if isinstance(methods, str) else methods if isinstance(methods, (list, tuple)) else ()
    if list(names) != ["all"]:
        _check_names((name for name in names if isinstance(name, str)), "methods")


def _check_names(names: Iterable[str], place: str) -> None:
    for name in names:
        plain, _ = name_and_settings(name, place)
        if plain not in method_names():
            raise unknown("method", plain, method_names())


def _columns(setting: str, value: Any) -> list[str]:
    """Return the columns that a setting names."""
    if isinstance(value, str):
        value = split(value) if setting in SEVERAL else [value]
    names = [str(v) for v in (value if isinstance(value, (list, tuple)) else [] if value is None else [value])]
    if setting != "annotators":
        return names
    columns = [name for name in names if not name.startswith(ANSWERS)]
    return [name.partition(":")[2] if name.startswith(SPECIAL) else name for name in columns]
