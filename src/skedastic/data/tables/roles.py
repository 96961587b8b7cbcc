"""The role of each column: by its cells, and as the user says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields

from skedastic.data.settings import ColumnSettings
from skedastic.data.tables.columns import ColumnKind
from skedastic.data.tables.table import Table
from skedastic.data.targets.annotators import annotator_columns
from skedastic.errors import UserError, suggestion, unknown

NOUNS: dict[ColumnKind, tuple[str, str]] = {
    "number": ("numeric", "numeric"),
    "category": ("categorical", "categorical"),
    "date": ("date", "dates"),
    "text": ("text", "texts"),
    "vector": ("list of numbers", "lists of numbers"),
}
MOST_SHOWN = 6  # names in a note
FIRST_ROWS = 10_000  # that are looked at before all are
ALMOST_ONE = 1 - 1e-9  # correlation of a feature that is the target


@dataclass(frozen=True, kw_only=True)
class Roles(ColumnSettings):
    """The roles of the columns of a source, as the user gives them, and the kinds that the user gives to features."""

    given: Mapping[str, ColumnKind] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for role in fields(self):
            said = getattr(self, role.name) if role.init else None
            if isinstance(said, (str, tuple)):  # names have no spaces around them
                bare = said.strip() if isinstance(said, str) else tuple(map(str.strip, said))
                object.__setattr__(self, role.name, bare)
        given: dict[str, ColumnKind] = {}
        kinds: dict[str, ColumnKind] = {"text": "text", "numeric": "number", "categorical": "category"}
        for setting, kind in kinds.items():
            for name in getattr(self, setting):
                own, other = NOUNS[kind][0], NOUNS[given.setdefault(name, kind)][0]
                if name in self.ignore:
                    other = "ignored"
                if other != own:
                    rule = f"column {name!r} can't be {own} and {other} at once; name it once"
                    raise UserError(rule, setting=setting, value=name, given=f"--{setting} {name}")
        object.__setattr__(self, "given", given)

    @property
    def no_features(self) -> frozenset[str]:
        """Columns that are no features: they tell the target, or which row is for what."""
        named = (self.target, self.truth, self.split, self.group_by, *annotator_columns(self.annotators))
        return frozenset(c for c in named if c is not None)

    @property
    def named(self) -> dict[str, str]:
        """Every column that is named, and its role."""
        roles = {"feature": tuple(self.given), "image": (self.image,) if self.image else ()}
        return {name: f"{role} column" for role, names in roles.items() for name in names}

    def check(self, table: Table) -> None:
        """Check that every named column is there and can have its role.

        Parameters
        ----------
        table : Table
            The table of the source.

        Raises
        ------
        UserError
            A column is not there, or can't have its role.
        """
        for name in self.ignore:
            if name not in table.all_names:
                raise unknown("column to ignore", name, table.all_names).at(table.file)
        for named, role in ((self.split, "split column"), (self.group_by, "column to group by")):
            if named is not None:
                table.check(named, role)
        for name, role in self.named.items():
            if name not in table.all_names:
                raise unknown(role, name, table.all_names).at(table.file)
            if name in self.no_features:
                rule = f"column {name!r} can't be a feature and have another role at once; name it once"
                raise UserError(rule, setting=f"{table.file}, {role}", value=name, given=table.file)


def check_columns(table: Table, kinds: Mapping[str, ColumnKind]) -> None:
    """Raise UserError, with the difference, where a table lacks a column that the model was trained on."""
    lacks = [n for n in kinds if n not in table.names]
    if not lacks:
        return
    beside = [n for n in table.names if n not in kinds]
    told = []
    for name in lacks[:6]:
        near = suggestion(name, beside).replace("; did you mean", ", is it")
        told.append(f"− {name} ({NOUNS[kinds[name]][0]}{near})")
    told += [f"− {len(lacks) - 6} more"] * (len(lacks) > 6)
    told += [f"+ {name}" for name in beside[:6]] + [f"+ {len(beside) - 6} more"] * (len(beside) > 6)
    rule = (
        f"its columns are not those that the model was trained on: {', '.join(told)}; rename or add those marked −, "
        "those marked + are not read"
    )
    raise UserError(rule, setting=table.file, value=", ".join(lacks[:6]), given=table.file)


def described(kinds: Collection[ColumnKind]) -> str:
    """Return the kinds of columns in words, such as "12 numeric, 3 categorical, 1 text"."""
    counts = {kind: sum(k == kind for k in kinds) for kind in NOUNS}
    return ", ".join(f"{n} {NOUNS[kind][n > 1]}" for kind, n in counts.items() if n)
