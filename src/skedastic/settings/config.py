"""Configuration: one frozen dataclass, read from TOML, `--set key=value` and the command line, and written back whole."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import tomli_w

from skedastic.data.encoders.text import TextSettings
from skedastic.data.tables.roles import Roles
from skedastic.data.targets.groups import clusters_asked
from skedastic.data.targets.reading import TaskName
from skedastic.errors import UserError, suggestion, unknown
from skedastic.methods.bases.method import Method
from skedastic.methods.presets import find_preset
from skedastic.settings import presets as experiments
from skedastic.settings.convert import build, build_method, name_and_settings, parse
from skedastic.settings.registry import family_of
from skedastic.training.config import TrainingConfig

EstimateKind = Literal["cross-fit", "paper", "annotators", "none"]
Counted = Literal["confident", "all"]
QUARTER = 0.25
LEAST_EPOCHS = 5  # of an estimating model, where the training configuration has as many


@dataclass(frozen=True, kw_only=True)
class Estimation:
    """How the noise of the groups is estimated.

    kind: "cross-fit" holds every example out once, in one of `folds` folds, and shrinks the groups' error rates toward
    each other (empirical Bayes); "paper" trains on one random half and counts all errors on the other (Algorithm 1);
    "annotators" takes the disagreement of annotators for it, and trains nothing; "none" is for methods that need no estimate. folds: ≥ 2. counted: of the predictions of "cross-fit", the
    "confident" ones (Northcutt et al. 2021), or "all", as the paper has it. epochs: of each estimating model, as a
    fraction of the training configuration's, > 0; by default all for "paper" and a quarter for "cross-fit", which leaves the ranking
    of the groups as it is (benchmarks/estimate_budget.py), but never fewer than 5 where the training configuration has as many.
    """

    kind: EstimateKind = "cross-fit"
    folds: int = 2
    counted: Counted = "confident"
    epochs: float | None = None

    def __post_init__(self) -> None:
        for name, choices in (("kind", EstimateKind), ("counted", Counted)):
            value, known = getattr(self, name), get_args(choices)
            if value not in known:
                raise UserError(
                    f"estimate.{name}={value!r}: must be one of {', '.join(known)}{suggestion(str(value), known)}"
                )
        if self.folds < 2:
            raise UserError(
                f"estimate.folds={self.folds}: folds must be at least 2, since every example is held out once"
            )
        if self.epochs is not None and not 0 < self.epochs <= 10:
            raise UserError(
                f"estimate.epochs={self.epochs}: a fraction of the training configuration's epochs, in (0, 10]"
            )

    def epochs_of(self, training: TrainingConfig) -> int:
        """Return the epochs of an estimating model."""
        fraction = self.epochs or (1.0 if self.kind == "paper" else QUARTER)
        return max(min(LEAST_EPOCHS, training.epochs), round(training.epochs * fraction))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides a run. `[method]` and `[model]` hold a name and the settings of what it names.

    task: "classification", "regression", or "auto": regression where the target holds measurements. bins: of real targets
    where no column holds the groups, ≥ 1; by default 10, each with an equal share of the rows. text, numeric, categorical, image:
    columns that are to be taken as such, whatever they look like. image_size: pixels of each side that images are resized to,
    ≥ 4; by default they stay as they are where they are of one size. tokens: how text is read. annotators: columns of several people's answers. split: a column that names the rows to train and to test on, instead of a share.
    group_by: a column whose equal cells stay on one side of every split.
    labels: a file of corrected labels, which take the place of the source's (`skedastic suspects`).
    test: a share in (0, 1) to hold out, another source, or "none". reference: trusted examples for the methods that learn
    from some: a share in (0, 1) of the training rows to hold out for it, as many of each class, before anything is corrupted;
    or another source; or None. checkpoint_every: least seconds between two
    checkpoints of a fit, at the end of an epoch; ≥ 0, inf for the end of each stage only. Raises UserError on values
    that can't be.
    """

    source: str = ""
    target: str | None = None
    task: TaskName = "auto"
    groups: str | None = None
    bins: int | None = None
    ignore: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    image: str | None = None
    image_size: int | None = None
    annotators: tuple[str, ...] = ()
    split: str | None = None
    group_by: str | None = None
    truth: str | None = None
    labels: str | None = None
    test: str = "0.2"
    reference: str | None = None
    noise: str | None = None
    imbalance: str | None = None
    limit: int | None = None
    seed: int = 0
    checkpoint_every: float = 60.0
    method: Mapping[str, Any] = field(default_factory=lambda: {"name": "har"})
    model: Mapping[str, Any] = field(default_factory=lambda: {"name": "auto"})
    tokens: TextSettings = field(default_factory=TextSettings)
    train: TrainingConfig = field(default_factory=TrainingConfig)
    estimate: Estimation = field(default_factory=Estimation)
    methods: tuple[str, ...] = ("erm", "unif", "har")
    seeds: int = 5
    first_seed: int = 0
    focus: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_clusters()
        for name in ("method", "model"):
            if not isinstance(getattr(self, name).get("name", ""), str):
                raise UserError(f"{name}.name={getattr(self, name)['name']!r}: must be text, the name of a {name}")
        for name in ("methods", "focus"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise UserError(f"{name}={','.join(getattr(self, name))}: the same name stands twice; give each once")
        if not self.methods:
            raise UserError("methods is empty: name at least one, for example --methods erm,har")
        if self.task not in get_args(TaskName):
            raise UserError(
                f"task={self.task!r}: must be one of {', '.join(get_args(TaskName))}"
                f"{suggestion(str(self.task), get_args(TaskName))}"
            )
        if self.bins is not None and self.bins < 1:
            raise UserError(f"bins={self.bins}: must be at least 1 bin of the target")
        if self.image_size is not None and self.image_size < 4:
            raise UserError(f"image_size={self.image_size}: must be at least 4 pixels")
        if self.limit is not None and self.limit < 2:
            raise UserError(f"limit={self.limit}: must be at least 2 training examples")
        if not self.checkpoint_every >= 0:
            raise UserError(f"checkpoint_every={self.checkpoint_every}: must be at least 0 seconds; inf is never")
        if self.seeds < 1:
            raise UserError(f"seeds={self.seeds}: must be at least 1")
        for name in ("seed", "first_seed"):
            if not 0 <= getattr(self, name) < 2**31:
                raise UserError(f"{name}={getattr(self, name)}: must be a whole number from 0 to 2147483647")
        if self.test_fraction is not None and not 0 < self.test_fraction < 1:
            raise UserError(
                f"test={self.test}: a fraction to hold out must be in (0, 1), such as 0.2; or name a file, or none"
            )

        if self.reference_fraction is not None and not 0 < self.reference_fraction < 1:
            raise UserError(
                f"reference={self.reference}: a fraction of the training rows must be in (0, 1), such as 0.05; or name a file"
            )

    @property
    def clusters(self) -> int | None:
        """How many clusters each class is put into, where these are the groups."""
        return clusters_asked(self.groups)

    def _check_clusters(self) -> None:
        if self.clusters is None:
            return
        if self.estimate.kind != "cross-fit":
            raise UserError(
                f"groups={self.groups}: clusters are found by the networks that estimate the noise, each on rows that it was not trained "
                f"on; take estimate.kind=cross-fit, not {self.estimate.kind}"
            )
        for name in ("bins", "focus"):
            if getattr(self, name):
                raise UserError(f"{name}: the groups are clusters, which are not known beforehand; leave it out")

    @property
    def column_roles(self) -> dict[str, Any]:
        """What it says of the columns of a source, as the fields of `Roles`; clusters are in no column."""
        roles = {f.name: getattr(self, f.name) for f in dataclasses.fields(Roles) if f.init}
        return roles if self.clusters is None else roles | {"groups": None}

    @property
    def test_fraction(self) -> float | None:
        """The share of the source held out for testing; None where `test` names another source, or is "none"."""
        return _number(self.test)

    @property
    def reference_fraction(self) -> float | None:
        """The share of the training rows held out as a reference; None where there is none, or it is another source."""
        return _number(self.reference)


def read(
    path: str | Path | None, overrides: Mapping[str, Any], sets: Sequence[str] = (), preset: str | None = None
) -> Config:
    """Return the configuration of a preset of `experiments`, with a TOML file, `overrides` and `--set key=value` on top.

    Each may be left out; an override that is None is not given. Raises UserError where one can't be read.
    """
    data: dict[str, Any] = {} if preset is None else dict(experiments.settings(preset))
    if path is not None:
        try:
            data |= tomllib.loads(Path(path).read_text("utf-8"))
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
        _put(data, key.strip(), parse(text.strip()))
    return build_config(data)


def to_toml(config: Config) -> str:
    """Return the whole configuration as TOML; `read` gives the same configuration back."""
    return tomli_w.dumps(_plain(dataclasses.asdict(config)))


def make_method(name: str, settings: Mapping[str, Any]) -> Method:
    """Return the method of a preset's name, such as "gce" or "absgd(lam=5)", with `settings` on top of the preset's own."""
    return build_method(name, settings, "method")


def the_method(config: Config) -> Method:
    """Return the method that the configuration names."""
    return make_method(config.method.get("name", "har"), _settings(config.method))


def method_table(method: Method, name: str | None = None) -> dict[str, Any]:
    """Return the `[method]` table of `method` with all of its settings, under the name of its card or a preset."""
    table = settings_table({f.name: getattr(method, f.name) for f in dataclasses.fields(method)})
    return {"name": name_and_settings(name, "method")[0] if name else method.card.name} | table


def settings_table(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they stand in a configuration: losses, samplers and methods by name, with theirs."""
    return {name: "none" if value is None else _named(value) for name, value in settings.items()}


def compared_methods(config: Config) -> dict[str, Method]:
    """Return the methods of a comparison by name. A setting in `[method]` goes to every method that has it.

    What a preset's name stands for is not overridden: har-auto keeps its own strength.
    """
    settings = _settings(config.method)
    fields, own = {}, {}
    for name in config.methods:
        base, given = name_and_settings(name, "methods")
        preset = find_preset(base)
        fields[name] = {f.name for f in dataclasses.fields(preset.cls)}
        own[name] = {*given, *preset.settings}
    for key in settings:
        if not any(key in known for known in fields.values()):
            raise unknown(f"setting of {', '.join(config.methods)}", key, sorted(set().union(*fields.values())))
    return {
        name: make_method(name, {k: v for k, v in settings.items() if k in fields[name] and k not in own[name]})
        for name in config.methods
    }


def build_config(data: Mapping[str, Any]) -> Config:
    """Return the configuration of plain data; raises UserError for an unknown key, and a value of the wrong type."""
    named = {key: {"name": data[key]} for key in ("method", "model") if isinstance(data.get(key), str)}
    config: Config = build(Config, {**data, **named}, "")
    return config


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _named(value: Any) -> Any:
    """What stands for a setting in a configuration: a name, or a table with its settings; a function's name."""
    family = family_of(type(value))
    if family is None:
        return getattr(value, "__qualname__", type(value).__name__) if callable(value) else value
    if isinstance(value, Method):
        return method_table(value)
    name = family.name_of(value)
    settings = {f.name: _named(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return {"name": name, **settings} if settings else name


def _settings(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "name"}


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise UserError(f"{key}: {table!r} is already a value, and must be a table; leave {table}=… out")
    data[last] = value


def _plain(value: Any) -> Any:
    """What TOML can hold: no None (an absent key is the default), tuples as arrays."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value
