"""Settings of the data: the role of each column, and how text is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from skedastic.configurable import Configurable, setting
from skedastic.errors import UserError

Augment = Literal["auto", "none", "crop", "crop-flip"]
Decimal = Literal["auto", "point", "comma"]
TaskName = Literal["auto", "classification", "regression"]
CLUSTER = "cluster:"
FEWEST_CLUSTERS, MOST_CLUSTERS = 2, 1000


@dataclass(frozen=True, kw_only=True)
class ColumnSettings(Configurable):
    """The roles of the columns of a source, as the user gives them."""

    section: ClassVar[str | None] = ""

    target: str | None = setting(None, "column with the labels, or numbers")
    task: TaskName = setting("auto", "what is learned; auto is regression where the target holds measurements")
    groups: str | None = setting(
        None,
        "what the groups are: a column, or several by comma, quantiles:COLUMN:N, superclass:FILE or cluster:K; by "
        "default each label, or bins of numbers",
    )
    bins: int | None = setting(
        None,
        "bins of a target of numbers that are the groups, each with an equal share of the rows; by default 10",
        "[1, inf)",
    )
    ignore: tuple[str, ...] = setting((), "columns to leave out")
    text: tuple[str, ...] = setting((), "columns to read as text, whatever they look like")
    numeric: tuple[str, ...] = setting((), "columns to read as numbers, whatever they look like")
    categorical: tuple[str, ...] = setting((), "columns to read as categories, whatever they look like")
    decimal: Decimal = setting(
        "auto", "decimal sign of numbers that are text, such as 1.012,50: point or comma; auto is as the cells tell"
    )
    image: str | None = setting(None, "column of images, or of paths to images")
    image_size: int | None = setting(
        None,
        "pixels of each side that images are resized to; by default they stay as they are where they are of one size",
        "[4, inf)",
    )
    annotators: tuple[str, ...] = setting(
        (),
        "columns of one person's labels each, or one of lists (and workers:COLUMN), or counts:COLUMN, or answers:FILE "
        "with a row for each answer; they make the target where none is named",
    )
    split: str | None = setting(None, "column that names each row train, test or validation")
    group_by: str | None = setting(None, "column whose equal cells stay together in every split")
    truth: str | None = setting(None, "column with clean labels, for evaluation only and never for training")


@dataclass(frozen=True, kw_only=True)
class TextSettings(Configurable):
    """How text becomes tokens, or where the model reads numbers, numbers."""

    section: ClassVar[str | None] = "tokens"
    of_tokens: ClassVar[tuple[str, ...]] = ("vocabulary", "length")
    of_numbers: ClassVar[tuple[str, ...]] = ("terms", "numbers")

    vocabulary: int = setting(
        10_000, "most tokens of a tokenizer that is trained here; 256 of them are the bytes", "[300, inf)"
    )
    length: int | None = setting(
        None,
        "most tokens of a text, whose rest is cut off; by default as many as nine in ten training texts need, at most "
        "256",
        "[1, 100000]",
    )
    lowercase: bool = setting(True, "whether upper case makes no difference")
    terms: int = setting(
        30_000,
        "where the model reads numbers, the most words and pairs of words that texts are read by, and the most pieces "
        "of words",
        "[1, inf)",
    )
    numbers: int = setting(256, "where the model reads numbers, how many stand for a text", "[1, 10000]")


def clusters_asked(groups: str | None) -> int | None:
    """Return K of "cluster:K"; None where the groups are something else.

    Parameters
    ----------
    groups : str or None
        The specification of the groups, as `--groups` takes it.

    Raises
    ------
    UserError
        K is not from 2 to 1000.
    """
    if groups is None or not groups.startswith(CLUSTER):
        return None
    number = groups.removeprefix(CLUSTER)
    if not number.isdecimal() or not FEWEST_CLUSTERS <= int(number) <= MOST_CLUSTERS:
        rule = f"write how many clusters each class is put into, from {FEWEST_CLUSTERS} to {MOST_CLUSTERS}: {CLUSTER}4"
        raise UserError(rule, setting="groups", value=groups)
    return int(number)
