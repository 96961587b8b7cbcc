"""The features of a body that is not trained, computed once for each row, and kept in memory and on disk.

A frozen body in evaluation mode is a function of its weights and of a row, so the features are the same in every epoch,
method, trial and run. They are looked up by the row's content, wherever it comes from, and the body runs on the others
alone. Only the rows of the data are kept: in training rows may be moved or mixed, and rows that are predicted later may
be without end.

On disk a body has a folder, named by a hash of its weights, its settings and what it is run with, in the folder
`features` of $SKEDASTIC_CACHE, by default of $XDG_CACHE_HOME/skedastic or ~/.cache/skedastic. A file holds the features
of one batch, and its name is the hash of its bytes. It is written under another name first, so several processes can
share a folder. All files together have at most $SKEDASTIC_CACHE_GB, by default 2, but for those that another user alone
can remove; the oldest make room for a new one. Files can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import safetensors.torch
import torch
from torch import Tensor, nn

from skedastic.errors import UserError
from skedastic.runtime.durable import replacing

FORM = 2  # raised where the same body and row have other features than before
LEAST = 32  # rows of a file; fewer cost no time
ENDING = ".safetensors"
NAME = "[0-9a-f]" * 32  # of a file, before its ending
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32}  # by bytes
GIGABYTES = 2.0  # of all files
Key = tuple[int, int]


class KeptFeatures:
    """The features [d] of rows that a body has seen, by a hash of their content.

    Parameters
    ----------
    folder : Path or None
        Where they are on disk; those that are there are read. None keeps them in memory alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.features: dict[Key, Tensor] = {}
        for file in () if folder is None else sorted(folder.glob(f"*{ENDING}")):
            self._read(file)

    def __deepcopy__(self, memo: object) -> KeptFeatures:
        """Return itself: copies of a network look up what is kept once."""
        return self

    def look_up(self, keys: list[Key]) -> list[Tensor | None]:
        """Return the features of each key, on the CPU; None where there are none."""
        return [self.features.get(key) for key in keys]

    def keep(self, keys: list[Key], features: Tensor) -> None:
        """Keep the features [n, d] of n keys, on disk too where there are at least 32."""
        features = features.cpu()
        self.features.update(zip(keys, features, strict=True))
        if self.folder is None or len(keys) < LEAST:
            return
        content, most = safetensors.torch.save({"keys": torch.tensor(keys), "features": features.contiguous()}), _most()
        if len(content) > most:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(content, self.folder / f"{_digest(content)}{ENDING}")
            _remove_oldest(self.folder.parent, most)
        except OSError as error:
            warnings.warn(f"features of rows can't be kept in {self.folder.parent} ({error.strerror})", stacklevel=2)
            self.folder = None

    def _read(self, file: Path) -> None:
        try:
            content = file.read_bytes()
        except OSError:  # deleted meanwhile
            return
        if _digest(content) != file.stem:
            warnings.warn(f"{file} is damaged; the features in it are computed again", stacklevel=2)
            with suppress(OSError):  # another user's
                file.unlink()
            return
        tensors = safetensors.torch.load(content)
        keys = ((first, second) for first, second in tensors["keys"].tolist())
        self.features.update(zip(keys, tensors["features"], strict=True))


class Frozen:
    """A body that is not trained, as the function of a batch that looks its features up.

    Parameters
    ----------
    body : nn.Module
        The body, in evaluation mode.
    features : callable
        From a batch [B, ...] to its features [B, d]; it runs the body.
    settings : str
        All that the features depend on beside the weights, the batch, the device and the packages.

    Attributes
    ----------
    keep : bool
        Whether the features of new rows are kept for the next time; not by default.
    """

    def __init__(self, body: nn.Module, features: Callable[[Tensor], Tensor], settings: str) -> None:
        self.body, self.features, self.settings, self.keep = body, features, settings, False
        self._state: tuple[str, list[int]] | None = None
        self._kept: KeptFeatures | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the features of x [B, ...], [B, d]."""
        differentiated = x.requires_grad or any(p.requires_grad for p in self.body.parameters())
        if differentiated or torch.compiler.is_compiling():
            return self.features(x)
        kept, keys = self._current(x.device), keys_of(x)
        found = kept.look_up(keys)
        new = [i for i, features in enumerate(found) if features is None]
        if new:
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(x.device.type, enabled=False):
                computed = self.features(x[torch.tensor(new, device=x.device)]).detach().cpu()
            for i, features in zip(new, computed, strict=True):
                found[i] = features
            if self.keep:
                kept.keep([keys[i] for i in new], computed)
        return torch.stack([features for features in found if features is not None]).to(x.device)

    def _current(self, device: torch.device) -> KeptFeatures:
        """Return what is kept of the body with its present weights, as it computes on a device."""
        versions = [0 if t.is_inference() else t._version for t in chain(self.body.parameters(), self.body.buffers())]
        state = arithmetic(device), versions
        if self._kept is None or state != self._state:
            self._kept = _kept_of(fingerprint(self.body, f"{self.settings} {state[0]}"), folder())
            self._state = state
        return self._kept


def keys_of(x: Tensor) -> list[Key]:
    """Return 128 bits for each row of x [B, ...]: two sums of its bits as integers, with random weights, mod 2^64.

    Its type is in them, and its shape, but for a line of whole numbers, where zeros at the end change nothing, as after
    a text's end. Two given rows have the same sums by chance of 2^-66 at most.
    """
    rows = x.detach().flatten(1).contiguous()
    whole = not rows.is_floating_point()
    wide = rows.element_size() == 8  # in halves: the lower bits of a product know nothing of the upper ones
    bits = rows if whole and not wide else rows.view(torch.int32 if wide else _INTEGERS[rows.element_size()])
    weights = _weights(-(-bits.shape[1] // 1024) * 1024)[:, : bits.shape[1]].to(x.device)
    of_form = _of_form(x.dtype, () if whole and x.dim() == 2 else tuple(x.shape[1:])).to(x.device)
    sums = torch.stack([(bits.long() * weight).sum(1) for weight in weights], 1) ^ of_form
    return [(first, second) for first, second in sums.tolist()]


def fingerprint(body: nn.Module, settings: str) -> str:
    """Return a hash of a body's weights by name, its settings, the versions of its packages, and this file's form."""
    packages = sorted({"torch", *(type(module).__module__.partition(".")[0] for module in body.modules())})
    versions = [(name, str(getattr(sys.modules.get(name), "__version__", ""))) for name in packages]
    found = hashlib.blake2b(f"{FORM}|{versions}|{settings}".encode(), digest_size=16)
    for name, tensor in sorted(body.state_dict().items()):
        found.update(f"|{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def arithmetic(device: torch.device) -> str:
    """Return how a device computes: its type, and the precisions of matrix products and convolutions, such as TF32.

    One that was never set ("none") is that of float32 ("ieee"), by which torch names it once another was set and taken
    back: so processes that compute alike share their features.
    """
    gpu, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn
    if not hasattr(gpu, "fp32_precision"):  # before torch 2.9
        return f"{device.type} {torch.get_float32_matmul_precision()} {torch.backends.cudnn.allow_tf32}"
    parts: list[Any] = [gpu, torch.backends.cudnn.conv, cpu.matmul, cpu.conv]  # type: ignore[attr-defined]
    return " ".join([device.type, *(part.fp32_precision.replace("none", "ieee") for part in parts)])


def folder() -> Path:
    """Return the folder that features are kept in."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skedastic"
    return Path(os.environ.get("SKEDASTIC_CACHE") or usual) / "features"


@cache
def _kept_of(body: str, where: Path) -> KeptFeatures:
    return KeptFeatures(where / body)


@cache
def _weights(length: int) -> Tensor:
    """Return random weights, [2, length], of which the first are the same for every length."""
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    return torch.stack([torch.randint(-(2**63), 2**63 - 1, (length,), generator=g) for g in generators])


@cache
def _of_form(dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Return random bits, two whole numbers [2], of a row's type and shape."""
    digest = hashlib.blake2b(f"{dtype} {shape}".encode(), digest_size=16).digest()
    return torch.frombuffer(bytearray(digest), dtype=torch.int64)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _most() -> float:
    """Return the bytes that all files may have."""
    given = os.environ.get("SKEDASTIC_CACHE_GB") or GIGABYTES
    with suppress(ValueError):
        if (gigabytes := float(given)) >= 0:
            return gigabytes * 1e9
    rule = "must be a number of gigabytes, at least 0; 0 writes no features to disk"
    raise UserError(rule, setting="SKEDASTIC_CACHE_GB", value=given)


def _write(content: bytes, file: Path) -> None:
    """Write a file, whole or not at all; not at all where another process makes room meanwhile."""
    with suppress(FileNotFoundError), replacing(file, tag=f".{uuid4().hex}") as part:
        part.write_bytes(content)


def _remove_oldest(bodies: Path, most: float) -> None:
    """Remove the oldest files of all bodies until the others have at most so many bytes; pass over another user's."""
    files = list[tuple[int, int, Path]]()
    for file in bodies.glob(f"*/{NAME}{ENDING}*"):
        with suppress(OSError):  # removed meanwhile
            found = file.stat()
            files.append((found.st_mtime_ns, found.st_size, file))
    left = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if left <= most:
            return
        with suppress(OSError):
            file.unlink()
        left -= size
