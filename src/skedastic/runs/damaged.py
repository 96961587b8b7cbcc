"""Files of a run that can't be read, or hold something else: one line names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skedastic.errors import UserError

UNREADABLE = (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError)  # of what a file holds


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Within this context, an error about what a file of a run holds is a UserError of one line that names the file.

    Parameters
    ----------
    file : str
        The name of the file in the folder of the run.
    """
    try:
        yield
    except UserError as error:
        raise (error if file in str(error) else error.at(file)) from None
    except FileNotFoundError:
        raise UserError("it is not there; restore it, or fit again", setting=file) from None
    except UNREADABLE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise UserError(f"it is damaged ({reason}); restore it, or fit again", setting=file) from None
