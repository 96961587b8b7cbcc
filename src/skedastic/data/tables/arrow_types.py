"""One Arrow type for a column that several files hold."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from skedastic.errors import UserError

DIGITS_OF_UINT64 = 20


def common_schema(schemas: Sequence[pa.Schema], files: Sequence[str]) -> pa.Schema:
    """Return the schema that holds the cells of all files, whose columns have the same names in the same order.

    Text stays text, however it is kept; integers stay exact.

    Parameters
    ----------
    schemas : sequence of pyarrow.Schema
        The schema of each file.
    files : sequence of str
        Their names, for errors.

    Raises
    ------
    UserError
        A column holds one kind of cells in one file and another in the next.
    """
    if len(schemas) == 1:
        return schemas[0].remove_metadata()
    return pa.schema(
        [(name, _common(name, [s.types[i] for s in schemas], files)) for i, name in enumerate(schemas[0].names)]
    )


def _common(name: str, types: Sequence[pa.DataType], files: Sequence[str]) -> pa.DataType:
    whole = pa.null()
    for kind, file in zip(types, files, strict=True):
        both = unified(whole, _plain(kind))
        if both is None:
            place = f"{file}, column {name!r}"
            rule = f"it holds {kind} here, and {whole} in the files before; save all files with one type"
            raise UserError(rule, setting=place, value=str(kind), given=place)
        whole = both
    return whole


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of the cells themselves: text however it is kept, a category as its values."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.string() if pa.types.is_large_string(kind) or kind == pa.string_view() else kind


def unified(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """Return the type that holds values of both; None where there is none."""
    if pa.types.is_integer(first) and pa.types.is_integer(second) and pa.uint64() in (first, second):
        signed = pa.types.is_signed_integer(first) or pa.types.is_signed_integer(second)
        return pa.decimal128(DIGITS_OF_UINT64) if signed else pa.uint64()
    try:
        schemas = [pa.schema([("x", kind)]) for kind in (first, second)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None
