"""The groups that a page lists where there are a great many: those that there is something to say of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from skedastic.report.content import GroupRow

MOST_LISTED = 300  # groups; of more a page lists some
OF_EACH = 60  # of these: the most regularized, the noisiest, the worst predicted, the largest


def listed(groups: Sequence[GroupRow], *, percent: bool) -> list[GroupRow]:
    """Return the groups that are listed, in their order: all, or where there are more than 300 some of them.

    These are the focus groups, up to 60, and 60 each with the largest strength, the most disagreement or deviation, the
    worst score, and the most training rows.

    Parameters
    ----------
    groups : sequence of GroupRow
        All groups.
    percent : bool
        Whether scores are accuracies, of which the lowest is the worst; of errors it is the highest.
    """
    if len(groups) <= MOST_LISTED:
        return list(groups)
    sign = -1.0 if percent else 1.0
    places = range(len(groups))
    chosen = set([g for g in places if groups[g].focus][:OF_EACH])
    keys: tuple[Callable[[GroupRow], float | None], ...] = (
        lambda group: group.strength,
        lambda group: group.noise.mean if group.noise else None,
        lambda group: max((sign * score.mean for score in group.score.values()), default=None),
        lambda group: float(group.train),
    )
    for key in keys:
        values = {g: value for g in places if (value := key(groups[g])) is not None and math.isfinite(value)}
        chosen.update(sorted(values, key=lambda g: (-values[g], -groups[g].test))[:OF_EACH])
    return [groups[g] for g in sorted(chosen)]
