"""Configuration: one frozen dataclass, read from TOML, `--set key=value` and the command line, and written back whole.

A misspelled key gets the nearest right one, a value of the wrong type says what was expected: nothing is swallowed.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import tomli_w

from skedastic import losses
from skedastic.errors import UserError, suggestion, unknown
from skedastic.losses import PerExampleLoss
from skedastic.methods import find_preset
from skedastic.methods.base import Method
from skedastic.training.budget import Budget

EstimateKind = Literal["cross-fit", "paper", "none"]


@dataclass(frozen=True, kw_only=True)
class Estimation:
    """How the noise of the groups is estimated.

    kind: "cross-fit" holds every example out once, in one of `folds` folds, and shrinks the groups' error rates toward
    each other (empirical Bayes); "paper" trains on one random half and counts the errors on the other (Algorithm 1);
    "none" is for methods that need no estimate. folds: ≥ 2. epochs: of each estimating model, as a fraction of the
    training budget's, > 0.
    """

    kind: EstimateKind = "cross-fit"
    folds: int = 2
    epochs: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(EstimateKind):
            known = get_args(EstimateKind)
            raise UserError(
                f"estimate.kind={self.kind!r}: must be one of {', '.join(known)}{suggestion(str(self.kind), known)}"
            )
        if self.folds < 2:
            raise UserError(
                f"estimate.folds={self.folds}: folds must be at least 2, since every example is held out once"
            )
        if not 0 < self.epochs <= 10:
            raise UserError(f"estimate.epochs={self.epochs}: a fraction of the training budget's epochs, in (0, 10]")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides a run. `[method]` and `[model]` hold a name and the settings of what it names."""

    source: str = ""
    target: str | None = None
    groups: str | None = None
    ignore: tuple[str, ...] = ()
    truth: str | None = None
    test: str = "0.2"
    noise: str | None = None
    imbalance: str | None = None
    limit: int | None = None
    seed: int = 0
    method: Mapping[str, Any] = field(default_factory=lambda: {"name": "har"})
    model: Mapping[str, Any] = field(default_factory=lambda: {"name": "auto"})
    train: Budget = field(default_factory=Budget)
    estimate: Estimation = field(default_factory=Estimation)
    methods: tuple[str, ...] = ("erm", "unif", "har")
    seeds: int = 5
    first_seed: int = 0
    focus: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 2:
            raise UserError(f"limit={self.limit}: must be at least 2 training examples")
        if self.seeds < 1:
            raise UserError(f"seeds={self.seeds}: must be at least 1")
        for name in ("seed", "first_seed"):
            if not 0 <= getattr(self, name) < 2**31:
                raise UserError(f"{name}={getattr(self, name)}: must be a whole number from 0 to 2147483647")

    @property
    def test_fraction(self) -> float | None:
        """The share of the source held out for testing, or None where `test` names another source."""
        try:
            fraction = float(self.test)
        except ValueError:
            return None
        if not 0 < fraction < 1:
            raise UserError(f"test={self.test}: a fraction must be in (0, 1); or name a file")
        return fraction


def read(path: str | Path | None, overrides: Mapping[str, Any], sets: Sequence[str] = ()) -> Config:
    """Return the configuration of a TOML file, with `overrides` (None: not given) and then `--set key=value` on top."""
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"can't read the configuration {str(path)!r}: {getattr(error, 'strerror', None) or error}"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"{str(path)!r} is not TOML: {error}") from None
    for key, value in overrides.items():
        if value is not None:
            _put(data, key, value)
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {item!r}: write key=value, for example --set train.lr=0.1")
        _put(data, key.strip(), _parse(text.strip()))
    config: Config = build(Config, data, "")
    make_method(config.method.get("name", "har"), _settings(config.method))  # refuse a wrong setting before any work
    return config


def to_toml(config: Config) -> str:
    """Return the whole configuration as TOML; `read` gives the same configuration back."""
    return tomli_w.dumps(_plain(dataclasses.asdict(config)))


def make_method(name: str, settings: Mapping[str, Any]) -> Method:
    """Return the method of a preset's name with `settings` on top of the preset's own."""
    cls, preset = find_preset(name)
    method: Method = build(cls, {**preset, **settings}, "method")
    return method


def the_method(config: Config) -> Method:
    """Return the method that the configuration names."""
    return make_method(config.method.get("name", "har"), _settings(config.method))


def method_table(method: Method) -> dict[str, Any]:
    """Return the `[method]` table that names `method` with all of its settings."""
    names = {cls: name for name, cls in losses.discover().items()}
    table = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
    return {"name": method.card.name} | {k: names.get(type(v), v) for k, v in table.items()}


def compared_methods(config: Config) -> dict[str, Method]:
    """Return the methods of a comparison by name. A setting in `[method]` goes to every method that has it."""
    if not config.methods:
        raise UserError("methods is empty: name at least one, for example --methods erm,har")
    settings = _settings(config.method)
    fields = {name: {f.name for f in dataclasses.fields(find_preset(name)[0])} for name in config.methods}
    for key in settings:
        if not any(key in known for known in fields.values()):
            raise unknown(f"setting of {', '.join(config.methods)}", key, sorted(set().union(*fields.values())))
    return {
        name: make_method(name, {k: v for k, v in settings.items() if k in fields[name]}) for name in config.methods
    }


def build(cls: type[Any], data: Mapping[str, Any], where: str) -> Any:
    """Return the dataclass `cls` made of `data`; `where` is the dotted place of `data` in the configuration."""
    hints = get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls) if f.init]
    arguments = {}
    for key, value in data.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            raise unknown("setting", place, [f"{where}.{k}" if where else k for k in known])
        arguments[key] = convert(hints[key], value, place)
    return cls(**arguments)


def convert(hint: Any, value: Any, place: str) -> Any:
    """Return `value` as the type `hint`, or raise UserError saying what `place` takes."""
    origin, inner = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return build(hint, value, place)
    if origin in (Union, types.UnionType):
        if value is None or (isinstance(value, str) and value == "none" and str not in inner):
            return None
        return convert(next(t for t in inner if t is not type(None)), value, place)
    if hint is PerExampleLoss and isinstance(value, str):
        if value not in losses.discover():
            raise unknown("loss", value, losses.discover())
        return losses.discover()[value]()
    if origin is Literal:
        return value  # the dataclass itself checks its choices, and suggests
    if origin is tuple:
        values = value.split(",") if isinstance(value, str) else value
        if isinstance(values, Sequence):
            return tuple(convert(inner[0], v.strip() if isinstance(v, str) else v, place) for v in values)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    accepted = origin or hint
    if (
        isinstance(accepted, type)
        and isinstance(value, accepted)
        and not (hint in (int, float) and isinstance(value, bool))
    ):
        return value
    name = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}.get(hint, str(hint))
    raise UserError(f"{place}={value!r}: must be {name}")


def _settings(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "name"}


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise UserError(f"--set {key}: {table!r} is a value, not a table")
    data[last] = value


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # bare words need no quotes


def _plain(value: Any) -> Any:
    """What TOML can hold: no None (an absent key is the default), tuples as arrays."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value
