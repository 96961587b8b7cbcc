"""The network of a run as a file that others can run, checked on rows of a source."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from skedastic.core.in_units import InUnits
from skedastic.data import Numbers
from skedastic.data.encoders.described import has_words
from skedastic.data.sources.unlabelled import open_unlabelled
from skedastic.errors import UserError, check_choice
from skedastic.runs.described import network_in_words
from skedastic.runs.folder import BESIDE, check_new_file, written_file
from skedastic.runs.network_file import FORMATS, export_network
from skedastic.runs.predict import encoded
from skedastic.runs.result import Result
from skedastic.runtime.escaping import in_json

CHECKED = 512  # rows that an exported network is checked on


def export_run(result: Result, form: str, out: str | Path, rows: str | None = None, force: bool = False) -> str:
    """Write the network of a run as a file that others can run; numbers come out in the target's units.

    A description of its input and output is in the file, and in another beside it, of its name and ".json".

    Parameters
    ----------
    result : Result
    form : str
        "onnx", "torch-export" or "safetensors".
    out : str or Path
        The file to write; that of its description is replaced with it.
    rows : str, optional
        A source to check the file on; by default the run's own.
    force : bool, optional
        Whether to replace the file.

    Returns
    -------
    str
        A sentence with the file, its format, and its difference from the network.

    Raises
    ------
    UserError
        There are no rows, a file is there, the network can't be written so, or an output of the file differs by more
        than 1e-4.
    """
    check_choice("--format", form, FORMATS)
    source = rows or result.config.source
    if not source:
        rule = "the run's data was given in Python; name a source with rows to check the file on"
        raise UserError(rule, setting="--rows")
    x = encoded(result, next(open_unlabelled(source, result.schema, result.roles).parts()))
    assert isinstance(x, Tensor)
    net, target, gives = result.net, result.target, ""
    if isinstance(target, Numbers):
        net = InUnits(net, target.scale.mean, target.scale.deviation)
        gives = ", in the units of the target"
    out, about = Path(out), in_json(json.dumps(network_in_words(result), ensure_ascii=False))
    beside = out.with_name(f"{out.name}{BESIDE}")
    check_new_file(beside, force)
    parity = export_network(net, x[:CHECKED], out, form, force=force, about=about)
    with written_file(beside, force) as whole:
        whole.write_text(f"{about}\n", "utf-8")
    words = "; the numbers of its texts are by the run's encoder alone, which is in no export" * has_words(
        result.encoder
    )
    equal = f"equal to the network on {parity.rows:,} rows but for {parity.difference:.2g}"
    return f"{out}: {form}{gives}, {equal}. What it reads and gives: {beside}{words}"
