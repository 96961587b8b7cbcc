"""The examples whose regression targets are most likely wrong: the largest residuals, by the noise of their group.

An issue is a held-out residual that normal noise of the group's variance would hardly give, by the procedure of
Benjamini and Hochberg, "Controlling the False Discovery Rate", 1995, at 5 %. Noise with heavy tails gives more issues:
they are worth a check, and need not be wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import erfc

from skedastic.errors import UserError

NAME = "find_label_issues_regression"  # in errors
FALSE_SHARE = 0.05  # of those called an issue, were the noise normal


def find_label_issues_regression(
    held_out: ArrayLike, targets: ArrayLike, index: ArrayLike, variance: ArrayLike
) -> pd.DataFrame:
    """Return the held-out examples, the most suspect first.

    Columns: `rank` from 1; `index`; `given`, the target; `suggested`, the prediction; `score`, in [0, 1], the chance
    that normal noise is as far off; `is_issue`; `residual`, in deviations of the group's noise.

    Parameters
    ----------
    held_out : ArrayLike
        Predictions by a model that was not trained on the example, [n], in the target's units. NaN is an example that
        was never held out, and is left out here.
    targets : ArrayLike
        The targets as given, [n], in their units.
    index : ArrayLike
        The stable number of each example, [n].
    variance : ArrayLike
        The variance of the noise of each example's group, [n] ≥ 0, in squared units.

    Raises
    ------
    UserError
        Shapes do not fit together, or a variance is negative.
    """
    p, y, v = (np.asarray(a, dtype=np.float64) for a in (held_out, targets, variance))
    number = np.asarray(index)
    if y.ndim != 1 or not p.shape == y.shape == v.shape == number.shape:
        shapes = ", ".join(str(list(a.shape)) for a in (p, y, number, v))
        rule = "held_out, targets, index and variance must all be [n]"
        raise UserError(rule, setting=NAME, value=shapes, given=f"{NAME}: got shapes {shapes}")
    if not (v >= 0).all():
        place = int((~(v >= 0)).argmax())
        raise UserError("must be at least 0", setting=f"{NAME}: variance[{place}]", value=float(v[place]))
    seen = ~np.isnan(p)
    p, y, v, number = p[seen], y[seen], v[seen], number[seen]
    off = y - p
    residual = np.divide(off, np.sqrt(v), out=np.zeros_like(off), where=v > 0)
    chance = erfc(np.abs(residual) / 2**0.5)
    order = np.lexsort((number, -np.abs(residual)))
    rank = np.arange(1, len(y) + 1)
    below = np.flatnonzero(chance[order] <= FALSE_SHARE * rank / max(len(y), 1))
    issues = below[-1] + 1 if len(below) else 0
    columns: dict[str, Any] = {"index": number, "given": y, "suggested": p, "score": chance}
    table = {"rank": rank} | {name: values[order] for name, values in columns.items()}
    return pd.DataFrame(table | {"is_issue": rank <= issues, "residual": residual[order]})
