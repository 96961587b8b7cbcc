"""Errors of models that can't be used."""

from __future__ import annotations

from skedastic.errors import UserError


def refused(name: str, rule: str, so: str = "") -> UserError:
    """Return the error that says why a model can't be used.

    Parameters
    ----------
    name : str
        The model's name, as it was given.
    rule : str
        The reason, and the way out.
    so : str
        Its inability, such as "can't be loaded"; by default any use of it.
    """
    return UserError(rule, setting="model", value=name, given=f"model {name}{so and ' '}{so}")


def check_image(name: str, shape: tuple[int, ...]) -> None:
    """Refuse an input that is no image of at least 4 × 4 pixels.

    Parameters
    ----------
    name : str
        The model's name.
    shape : tuple of int
        The shape of one example.

    Raises
    ------
    UserError
        It is none.
    """
    if len(shape) != 3 or min(shape[1:]) < 4:
        rule = f"it takes images [channels, height, width] of at least 4 × 4, not {list(shape)}; try --model mlp"
        raise refused(name, rule)
