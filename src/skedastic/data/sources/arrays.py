"""Arrays in any form, as a tensor of finite numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skedastic.data.tables.numbers import as_numbers
from skedastic.errors import UserError


def as_tensor(values: Any, name: str) -> Tensor:
    """Return an array, tensor or nested list of numbers as a tensor on the CPU.

    Integers and booleans keep their type, other numbers are float32 or float64 as given.
    Raises UserError, naming the place, for text that is no number, for NaN, and for what float32 can't hold.
    """
    if isinstance(values, Tensor):
        return _finite(values.detach().cpu(), name)
    try:
        array = np.asarray(values)
    except ValueError:
        rule = "its rows differ in length; give all rows the same length"
        raise UserError(rule, setting=name, given=f"{name} is ragged") from None
    if array.dtype.kind in "OUS":
        numbers, unparsable = as_numbers(pd.Series(array.ravel(), dtype=object))
        if unparsable.any():
            place = int(unparsable.argmax())
            cell = str(array.ravel()[place])
            given = f"{_cell(name, array.shape, place)} is {cell!r}"
            rule = "it must be a number; encode or remove that column"
            raise UserError(rule, setting=_entry(name, array.shape, place), value=cell, given=given)
        array = numbers.reshape(array.shape)
    if array.dtype.kind not in "fiub":
        given = f"{name} holds {array.dtype}"
        raise UserError("it must hold numbers", setting=name, value=str(array.dtype), given=given)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:  # torch does little with these
        array = array.astype(np.int64)
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    return _finite(torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))), name)


def wrong_shape(name: str, shape: Sequence[int], rule: str) -> UserError:
    """Return the error about the shape of an array; its value is the shape."""
    return UserError(rule, setting=name, value=list(shape), given=f"{name} has shape {list(shape)}")


def _finite(values: Tensor, name: str) -> Tensor:
    if values.is_complex():
        given = f"{name} holds complex numbers"
        raise UserError("it must hold real ones", setting=name, value=str(values.dtype), given=given)
    if not values.is_floating_point():
        return values
    values = values if values.dtype == torch.float64 else values.float()
    wrong = ~torch.isfinite(values.float())  # as the network would read them
    if wrong.any():
        place = int(wrong.flatten().int().argmax())
        more = f", as {int(wrong.sum()) - 1} other values are" if wrong.sum() > 1 else ""
        shape, value = tuple(values.shape), float(values.flatten()[place])
        given = f"{_cell(name, shape, place)} is {value}{more}"
        rule = "impute or remove such values first"
        if len(shape) == 2 and np.isnan(value):
            rule += f", or give {name} as a frame of pandas, whose holes are filled"
        raise UserError(rule, setting=_entry(name, shape, place), value=value, given=given)
    return values


def _entry(name: str, shape: tuple[int, ...], place: int) -> str:
    """Return the name of an entry of an array, such as "X[2, 1]"."""
    indices = np.unravel_index(place, shape) if shape else ()
    return f"{name}[{', '.join(str(int(i)) for i in indices)}]"


def _cell(name: str, shape: tuple[int, ...], place: int) -> str:
    """Return the name of an entry, and of a table's its row and column."""
    if len(shape) != 2:
        return _entry(name, shape, place)
    row, column = np.unravel_index(place, shape)
    return f"{_entry(name, shape, place)} (row {row}, column {column})"
