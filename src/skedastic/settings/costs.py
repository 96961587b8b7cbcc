"""A file of costs: what it costs to predict one class where another is true."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from skedastic.data.tables.values import canonical
from skedastic.errors import UserError, first_line
from skedastic.runtime.plain_files import check_regular

COST_FILE = "cost:"  # before the name of a file, as a criterion
FORM = "the first line names the predicted classes, and each other one begins with a true class"
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # the first of them that the first line has
DECIMAL_COMMA = re.compile(r"[0-9]+,([0-9]{1,2}|[0-9]{4,})")  # with three digits it may be a thousand


def costs_of_file(file: str, place: str) -> dict[str, dict[str, float]]:
    """Return the costs by true and by predicted class; an empty cell says nothing.

    Parameters
    ----------
    file : str
        A CSV file with a line for each true class and a column for each predicted one, separated by commas, semicolons
        or tabs. Where they are no commas, a number may have a decimal comma.
    place : str
        The setting that names it, for errors.

    Raises
    ------
    UserError
        It can't be read, or is no such table.
    """
    try:
        check_regular(Path(file))
        text = Path(file).read_text(encoding="utf-8-sig")
        between = _separator(text)
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=between) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or first_line(error)
        rule = f"can't read the costs: {why}; name a CSV file of them, cost:FILE, in which {FORM}"
        raise UserError(rule, setting=place, value=file) from None
    predicted = [canonical(cell.strip()) for cell in rows[0][1:]] if rows else []
    if not predicted or len(rows) < 2 or len(set(predicted)) < len(predicted):
        rule = f"it is no table of costs, read as separated by {SEPARATORS[between]}; {FORM}, each once"
        raise UserError(rule, setting=place, value=file)
    costs = dict[str, dict[str, float]]()
    for line, (true, *cells) in enumerate(rows[1:], 2):
        true = canonical(true.strip())
        if len(cells) != len(predicted) or true in costs:
            wrong = f"class {true!r} stands twice" if true in costs else f"it has {len(cells)} costs"
            rule = f"line {line}: {wrong}, where there are {len(predicted)} classes; "
            rule += f"read as separated by {SEPARATORS[between]}; {FORM}"
            raise UserError(rule, setting=place, value=file)
        given = [(name, cell) for name, cell in zip(predicted, cells, strict=True) if cell.strip()]
        costs[true] = {name: _number(cell.strip(), line, between, file, place) for name, cell in given}
    return costs


def _separator(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return next((separator for separator in SEPARATORS if separator in first), ",")


def _number(cell: str, line: int, between: str, file: str, place: str) -> float:
    try:
        return float(cell.replace(",", ".") if between != "," and DECIMAL_COMMA.fullmatch(cell) else cell)
    except ValueError:
        rule = f"line {line}: {cell!r} is no number; a cost is 0 or more"
        raise UserError(rule, setting=place, value=file) from None
