"""From a run's JSON back to the encoder that was fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from skedastic.data.encoders.encoder import Encoder
from skedastic.data.encoders.images import ImageEncoder
from skedastic.data.encoders.rows import RowEncoder
from skedastic.errors import UserError

Arrays = Mapping[str, NDArray[Any]]
RESTORE: Mapping[str, Callable[..., Encoder]] = {"rows": RowEncoder.restore, "images": ImageEncoder.restore}


def restored(state: Mapping[str, Any], arrays: Arrays) -> Encoder:
    """Return the encoder that `Encoder.to_json` and `arrays` described. Raises UserError where they describe none."""
    fitted = {name: value for name, value in state.items() if name != "encoder"}
    if arrays:
        fitted["arrays"] = arrays
    try:
        return RESTORE[state["encoder"]](**fitted)
    except UserError:
        raise
    except Exception as error:  # of damaged JSON anything may come
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"it is damaged ({reason}); fit the model again", setting="the saved encoder") from None
