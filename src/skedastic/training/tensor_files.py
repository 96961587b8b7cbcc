"""Files of tensors with a checksum: one flipped bit is noticed. They are safetensors; nothing pickled is ever read.

The checksum is CRC-32, of the texts and of the tensors by name, type, shape and bytes, in the file's own metadata.
`benchmarks/checkpoints.py` prints its share of the time of writing. Files without one are read as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from skedastic.runtime.durable import is_part

CHECKSUM = "crc32"  # the name of the text that holds both


class Damaged(Exception):
    """A file of tensors can't be read, or is not as it was written; the text says why."""


def write_tensors(tensors: Mapping[str, Tensor], path: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write tensors and texts into a file, with their checksum.

    Parameters
    ----------
    tensors : mapping of Tensor
        By name, on any device; they may share memory.
    path : Path
        The file.
    texts : mapping of str, optional
        By name.

    Raises
    ------
    OSError
        The file can't be written.
    """
    own = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    texts = dict(texts or {})
    save_tensors(own, path, {**texts, CHECKSUM: f"{_of_texts(texts)} {checksum(own)}"})


def save_tensors(tensors: dict[str, Tensor], path: Path, texts: dict[str, str]) -> None:
    """Write tensors on the CPU and texts as they are. Raises OSError where the file can't be written."""
    try:
        save_file(tensors, path, metadata=texts)
    except SafetensorError as error:  # of a full disk too
        raise OSError(str(error)) from None


def remove_parts(folder: Path) -> None:
    """Remove what processes that were killed amid writing have left in a folder; no other process may write there."""
    for path in filter(is_part, folder.iterdir()):
        path.unlink(missing_ok=True)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors, on the CPU, and the texts of a file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    Damaged
        The file can't be read, or its checksum is another.
    FileNotFoundError
        It is not there.
    """
    texts, tensors, written = _read(path, whole=True)
    if written and written != checksum(tensors):
        raise Damaged("its tensors are not as they were written: the checksum differs")
    return tensors, texts


def read_texts(path: Path) -> dict[str, str]:
    """Return the texts of a file; its tensors are not read. Parameters and errors are those of `read_tensors`."""
    return _read(path, whole=False)[0]


def has_checksum(path: Path) -> bool:
    """Return whether a file of tensors has a checksum; older ones have none. Errors are those of `read_tensors`."""
    return bool(_read(path, whole=False)[2])


def _read(path: Path, *, whole: bool) -> tuple[dict[str, str], dict[str, Tensor], str]:
    """Return the texts, the tensors where they are asked for, and the checksum of these, empty where there is none."""
    try:
        with safe_open(path, framework="pt") as file:
            texts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()} if whole else {}  # noqa: SIM118
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError) as error:
        if not path.exists():  # it was renamed between two looks at it, the second of which is torch's
            raise FileNotFoundError(str(path)) from None
        raise Damaged(str(error)) from None
    of_texts, _, of_tensors = texts.pop(CHECKSUM, "").partition(" ")
    if of_texts and of_texts != _of_texts(texts):
        raise Damaged("its facts are not as they were written: the checksum differs")
    return texts, tensors, of_tensors


def _of_texts(texts: Mapping[str, str]) -> str:
    found = 0
    for name, text in sorted(texts.items()):
        found = zlib.crc32(f"{name}\0{text}\0".encode(), found)
    return f"{found:08x}"


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return the CRC-32 of tensors on the CPU, by name, type, shape and bytes, in hexadecimal digits.

    Parameters
    ----------
    tensors : mapping of Tensor
        By name; the order does not matter.
    """
    found = 0
    for name, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode(), found)
        if tensor.numel():
            found = zlib.crc32(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"
