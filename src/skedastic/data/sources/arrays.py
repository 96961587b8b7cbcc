"""Arrays in any form, as a tensor of finite numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skedastic.data.tables.columns import as_numbers
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
        raise UserError(f"{name} is ragged: its rows differ in length; give all rows the same length") from None
    if array.dtype.kind in "OUS":
        numbers, unparsable = as_numbers(pd.Series(array.ravel(), dtype=object))
        if unparsable.any():
            place = int(unparsable.argmax())
            cell = f"{_cell(name, array.shape, place)} is {str(array.ravel()[place])!r}"
            raise UserError(f"{cell}, which is not a number; encode or remove that column")
        array = numbers.reshape(array.shape)
    if array.dtype.kind not in "fiub":
        raise UserError(f"{name} holds {array.dtype}; it must hold numbers")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:  # torch does little with these
        array = array.astype(np.int64)
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    return _finite(torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))), name)


def _finite(values: Tensor, name: str) -> Tensor:
    if values.is_complex():
        raise UserError(f"{name} holds complex numbers; it must hold real ones")
    if not values.is_floating_point():
        return values
    values = values if values.dtype == torch.float64 else values.float()
    wrong = ~torch.isfinite(values.float())  # what the network would read
    if wrong.any():
        place = int(wrong.flatten().int().argmax())
        more = f", as {int(wrong.sum()) - 1} other values are" if wrong.sum() > 1 else ""
        raise UserError(
            f"{_cell(name, tuple(values.shape), place)} is {float(values.flatten()[place])}{more}; "
            "impute or remove such values first"
        )
    return values


def _cell(name: str, shape: tuple[int, ...], place: int) -> str:
    where = ", ".join(str(int(i)) for i in np.unravel_index(place, shape)) if shape else ""
    if len(shape) == 2:
        row, column = np.unravel_index(place, shape)
        return f"{name}[{row}, {column}] (row {row}, column {column})"
    return f"{name}[{where}]"
