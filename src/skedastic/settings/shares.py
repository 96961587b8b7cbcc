"""Shares of classes that a user gives: together they are 1, but for rounding."""

from __future__ import annotations

from collections.abc import Mapping

from skedastic.errors import UserError

LEAST_SUM, MOST_SUM = 0.99, 1.01


def check_shares(shares: Mapping[str, float], whole: bool, place: str, value: object = None) -> None:
    """Check the sum of shares.

    Parameters
    ----------
    shares : mapping of str to float
        By class.
    whole : bool
        Whether every class has one; otherwise they may sum to less than 1.
    place : str
        The setting, for errors.
    value : object, optional
        As the user wrote them, where that is another value.

    Raises
    ------
    UserError
        They sum to more than 1.01, or all of them to less than 0.99.
    """
    total = sum(shares.values())
    if total > MOST_SUM or (whole and total < LEAST_SUM):
        rule = f"the shares sum to {total:.4g}, and shares of classes sum to 1, as in spam=0.1,ham=0.9; "
        rule += f"correct them, or divide each by {total:.4g}"
        raise UserError(rule, setting=place, value=dict(shares) if value is None else value)
