"""λ of methods that tilt losses by exp(ℓ/λ): a number, or a schedule of them."""

from __future__ import annotations

from collections.abc import Sequence

from skedastic.core.epochs import FIRST_DROP, When
from skedastic.core.tilted import check_scale
from skedastic.errors import UserError
from skedastic.methods.bases.step import Clock

Schedule = tuple[tuple[When, float], ...]
INFINITE = float("inf")
SCALE = (
    "λ, in units of the loss: above 0 for imbalance, below 0 for label noise, not 0; inf is plain training; or a "
    "schedule [[from, λ], …], from being a fraction of the epochs below 1, else an epoch, or first-drop of the "
    "learning rate, and the first 0"
)


def lam_at(lam: float | Schedule, clock: Clock) -> float:
    """Return λ in an epoch.

    Parameters
    ----------
    lam : float or tuple
        λ, or pairs of the time that it begins at and λ, as `check_lam` takes them.
    clock : Clock
        Where training stands.
    """
    return [value for at, value in _pairs(lam) if clock.begun(at)][-1]


def check_lam(lam: float | Schedule, setting: str) -> None:
    """Refuse what is no λ and no schedule of it.

    Parameters
    ----------
    lam : float or tuple
        λ, or a schedule.
    setting : str
        Where it was given, such as "absgd.lam".

    Raises
    ------
    UserError
        A λ is 0 or NaN, a time is no time, or the times do not begin at 0 and rise.
    """
    schedule = _pairs(lam)
    for at, value in schedule:
        check_scale(value, setting)
        if at != FIRST_DROP and not 0 <= at < INFINITE:
            rule = "a time must be a fraction of the epochs in [0, 1), an epoch, or first-drop"
            raise UserError(rule, setting=setting, value=[at, value])
    times = [at for at, _ in schedule if at != FIRST_DROP]
    rising = times == sorted(set(times), key=lambda at: (at >= 1, at)) and len(schedule) <= len(times) + 1
    if not schedule or schedule[0][0] != 0 or not rising:
        rule = "the times of a schedule [[from, λ], …] must begin at 0 and rise"
        raise UserError(rule, setting=setting, value=[list(pair) for pair in schedule])


def _pairs(lam: float | Schedule) -> Sequence[tuple[When, float]]:
    return lam if isinstance(lam, tuple) else ((0.0, lam),)
