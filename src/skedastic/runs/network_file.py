"""A trained network as a file that others can run, checked on real rows before it is there.

    torch-export   a .pt2 file: `torch.export.load(FILE).module()(x)`, without this package
    onnx           a .onnx file with one input `x` and one output `output`: onnxruntime and many others
    safetensors    the weights alone, by the names of the network's parameters

x is the output of the run's encoder: numbers, ids and tokens, or pixels. The number of rows is free.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from skedastic.errors import UserError, check_choice
from skedastic.runs.folder import written_file
from skedastic.training.tensor_files import save_tensors

Format = Literal["torch-export", "onnx", "safetensors"]
FORMATS: tuple[str, ...] = get_args(Format)
NEEDS_EXTRA = "this needs the packages onnx, onnxscript and onnxruntime; pip install 'skedastic[onnx]'"
OPSET = 20
ABOUT = "skedastic"  # of the text in a file
ENDINGS = {"torch-export": ".pt2", "onnx": ".onnx", "safetensors": ".safetensors"}
Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Parity:
    """How near a file is to its network.

    Parameters
    ----------
    rows : int
        The rows that both were run on.
    difference : float
        The largest difference of an output, relative where outputs are above 1.
    """

    rows: int
    difference: float


def export_network(
    net: nn.Module,
    x: Tensor,
    path: Path,
    form: str,
    *,
    tolerance: float = 1e-4,
    force: bool = False,
    about: str = "",
) -> Parity:
    """Write a network as a file that others can run. The network is left as it is.

    The file is run on all rows at once and on one alone; it is there only if every output is near the network's.

    Parameters
    ----------
    net : Module
        The network.
    x : Tensor
        Inputs to check the file on, [n, ...].
    path : Path
        The file to write.
    form : str
        "torch-export", "onnx" or "safetensors".
    tolerance : float, optional
        The largest difference of an output that is allowed, relative where outputs are above 1.
    force : bool, optional
        Whether to replace a file that is there.
    about : str, optional
        A text that goes into the file under the name "skedastic".

    Returns
    -------
    Parity
        How near the file is to the network.

    Raises
    ------
    UserError
        The format is unknown, there are no rows, the file is there, a package is missing, the network can't be
        written so, or an output differs by more than `tolerance`.
    """
    check_choice("--format", form, FORMATS)
    if len(x) == 0:
        raise UserError("there are no rows to check the file on; name a source with some", setting="--rows")
    still = copy.deepcopy(net).to("cpu").eval()
    with written_file(path, force) as whole, _quiet():
        temporary = whole.with_name(f"net{ENDINGS[form]}")  # torch goes by the ending
        run = {"torch-export": _torch_export, "onnx": _onnx, "safetensors": _safetensors}[form](
            still, x, temporary, about
        )
        parity = _parity(still, run, x)
        if not parity.difference <= tolerance:
            by = f"by {parity.difference:.2g} from the network's, and {tolerance:g} is allowed"
            rule = f"an output differs {by}; nothing was written: take another format"
            raise UserError(rule, setting="--format", value=form)
        temporary.rename(whole)
    return parity


def _torch_export(net: nn.Module, x: Tensor, path: Path, about: str) -> Run:
    try:
        program = torch.export.export(net, (_two(x),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, path, extra_files={ABOUT: about})
    except Exception as error:  # the exporter raises of all kinds
        raise _not_exported("torch-export", error) from None
    module: Run = torch.export.load(path).module()
    return module


def _onnx(net: nn.Module, x: Tensor, path: Path, about: str) -> Run:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  # torch asks for it
    except ImportError:
        raise UserError(NEEDS_EXTRA, setting="--format", value="onnx") from None
    try:
        program: Any = torch.onnx.export(
            net,
            (_two(x),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            input_names=["x"],
            output_names=["output"],
            opset_version=OPSET,
            verbose=False,
        )
        program.model.metadata_props[ABOUT] = about
        program.save(path, external_data=False)
        onnx.checker.check_model(str(path))
    except Exception as error:  # as above
        raise _not_exported("onnx", error) from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda rows: torch.from_numpy(session.run(None, {"x": rows.numpy()})[0])


def _safetensors(net: nn.Module, x: Tensor, path: Path, about: str) -> Run:
    tensors = {k: v.clone(memory_format=torch.contiguous_format) for k, v in net.state_dict().items()}
    save_tensors(tensors, path, {ABOUT: about})
    again = copy.deepcopy(net)
    for parameter in again.parameters():
        torch.nn.init.zeros_(parameter)
    again.load_state_dict(load_file(path))
    return again


def _parity(net: nn.Module, run: Run, x: Tensor) -> Parity:
    worst = 0.0
    with torch.inference_mode():
        for rows in (x, x[:1]):
            wanted, got = net(rows).double(), run(rows).double()
            if wanted.shape != got.shape:
                return Parity(len(x), float("inf"))
            same = torch.isclose(wanted, got, rtol=0, atol=0, equal_nan=True)
            difference = torch.where(same, 0.0, (wanted - got).abs() / wanted.abs().clamp_min(1))
            worst = max(worst, float(difference.nan_to_num(nan=float("inf")).max()))
    return Parity(len(x), worst)


def _two(x: Tensor) -> Tensor:
    """Return two rows, since the exporter takes a dimension of one for fixed."""
    return x[:2] if len(x) > 1 else torch.cat([x, x])


def _not_exported(form: str, error: Exception) -> UserError:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    rule = f"the network can't be written so ({reason[:200]}); take --format safetensors"
    return UserError(rule, setting="--format", value=form)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters from talking."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
