"""What an exported network reads and gives, as plain values that go with its file."""

from __future__ import annotations

from typing import Any

from skedastic.data import Classes
from skedastic.data.encoders.described import described
from skedastic.runs.result import Result
from skedastic.settings.methods import OPTIMIZE
from skedastic.version import __version__

PROBABILITIES = "softmax(output) over the classes; what the training makes up for, such as a prior, is in the output"
CALIBRATED = "softmax(output / temperature)"


def network_in_words(result: Result) -> dict[str, Any]:
    """Return a description of the network of a run, in JSON values: its inputs `x`, its `output`, and its training.

    Parameters
    ----------
    result : Result
        The run.
    """
    method = result.config.method
    trained = {"method": result.name, **({"optimize": method[OPTIMIZE]} if OPTIMIZE in method else {})}
    return {"skedastic": __version__, "x": described(result.encoder), "output": _output(result), "training": trained}


def _output(result: Result) -> dict[str, Any]:
    target = result.target
    if not isinstance(target, Classes):
        return {"column": target.column, "kind": "number", "units": "those of the column"}
    return {
        "column": target.column,
        "kind": "logits",
        "classes": list(target.classes),
        "probabilities": PROBABILITIES,
        **({} if result.temperature is None else {"temperature": result.temperature, "calibrated": CALIBRATED}),
    }
