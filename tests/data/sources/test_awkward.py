"""Every row of the table of awkward files is as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from skedastic.data.sources.files import read_files
from skedastic.data.sources.headers import column_names
from skedastic.data.tables.values import as_text
from skedastic.errors import UserError
from tests.data.sources.awkward import AWKWARD
from tests.support.awkward import AwkwardFile

CASES = [pytest.param(row, ending, id=f"{row.what}-{ending}") for row in AWKWARD for ending in row.files]


@pytest.mark.parametrize(("row", "ending"), CASES)
def test_an_awkward_file_is_read_or_refused_as_the_table_says(row: AwkwardFile, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{ending}"
    path.write_bytes(row.files[ending])
    if not row.cells:
        with pytest.raises(UserError) as caught:
            read_files([path])
        error = caught.value
        assert error.setting in (f"{path}{row.where}", f"{path.name}{row.where}"), str(error)
        assert row.rule in str(error), str(error)
        assert "\n" not in str(error)
        return
    table = read_files([path])
    assert table.names == tuple(row.cells)
    assert table.notes == row.notes
    for name in table.names[:100]:
        assert _cells(table.read(name)) == row.cells[name], name
    assert column_names(path) == (None if ending == "arrow" else list(row.cells))


def _cells(column) -> list[str]:
    """Return the cells as text, with the space around them; "" where missing."""
    if column.dtype == object or str(column.dtype) in ("str", "string"):
        return ["" if missing else str(cell) for cell, missing in zip(column, column.isna(), strict=True)]
    return as_text(column).tolist()
