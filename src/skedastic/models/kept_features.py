"""The features of a body that is not trained, computed once for each row, and kept in memory and on disk.

A frozen body in evaluation mode is a function of its weights and of a row, so the features are the same in every epoch,
method, trial and run. They are looked up by the row's content, wherever it comes from, and the body runs on the others
alone. What was computed in evaluation mode is kept. In training mode rows may be moved or mixed, and are new each time.

On disk a body has a folder, named by a hash of its weights and its settings, in the folder `features` of
$SKEDASTIC_CACHE, by default of $XDG_CACHE_HOME/skedastic or ~/.cache/skedastic. A file holds the features of one batch,
and its name is the hash of its bytes. It is written under another name first, so several processes can share a folder.
It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from itertools import chain
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

FORM = 1  # raised where the same body and row have other features than before
LEAST = 32  # rows of a file; fewer cost no time
ENDING = ".safetensors"
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
        content = safetensors.torch.save({"keys": torch.tensor(keys), "features": features.contiguous()})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(content)
            os.replace(file.name, self.folder / f"{_digest(content)}{ENDING}")
        except OSError as error:
            warnings.warn(f"features of rows can't be kept in {self.folder} ({error.strerror})", stacklevel=2)
            self.folder = None

    def _read(self, file: Path) -> None:
        try:
            content = file.read_bytes()
        except OSError:  # deleted meanwhile
            return
        if _digest(content) != file.stem:
            warnings.warn(f"{file} is damaged; the features in it are computed again", stacklevel=2)
            file.unlink(missing_ok=True)
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
        All that the features depend on beside the weights and the batch.
    """

    def __init__(self, body: nn.Module, features: Callable[[Tensor], Tensor], settings: str) -> None:
        self.body, self.features, self.settings = body, features, settings
        self._versions: list[int] = []
        self._kept: KeptFeatures | None = None

    def __call__(self, x: Tensor, *, keep: bool) -> Tensor:
        """Return the features of x [B, ...], [B, d]; those of new rows are kept, if wanted, for the next time."""
        differentiated = x.requires_grad or any(p.requires_grad for p in self.body.parameters())
        if differentiated or torch.compiler.is_compiling():
            return self.features(x)
        kept, keys = self._current(), keys_of(x)
        found = kept.look_up(keys)
        new = [i for i, features in enumerate(found) if features is None]
        if new:
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(x.device.type, enabled=False):
                computed = self.features(x[torch.tensor(new, device=x.device)]).detach().cpu()
            for i, features in zip(new, computed, strict=True):
                found[i] = features
            if keep:
                kept.keep([keys[i] for i in new], computed)
        return torch.stack([features for features in found if features is not None]).to(x.device)

    def _current(self) -> KeptFeatures:
        """Return what is kept of the body with its present weights."""
        versions = [0 if t.is_inference() else t._version for t in chain(self.body.parameters(), self.body.buffers())]
        if self._kept is None or versions != self._versions:
            self._kept, self._versions = _kept_of(fingerprint(self.body, self.settings), folder()), versions
        return self._kept


def keys_of(x: Tensor) -> list[Key]:
    """Return 128 bits for each row of x [B, ...]: two sums of its bits as integers, with random weights, mod 2^64.

    Zeros at the end of whole numbers, as after a text's end, change nothing. Two given rows of single precision have
    the same sums by chance of 2^-66 at most.
    """
    rows = x.detach().flatten(1)
    bits = rows.view(getattr(torch, f"int{8 * rows.element_size()}")) if rows.is_floating_point() else rows
    weights = _weights(-(-bits.shape[1] // 1024) * 1024)[:, : bits.shape[1]].to(x.device)
    sums = torch.stack([(bits.long() * weight).sum(1) for weight in weights], 1)
    return [(first, second) for first, second in sums.tolist()]


def fingerprint(body: nn.Module, settings: str) -> str:
    """Return a hash of a body's weights by name, of its settings, and of the form of this file."""
    found = hashlib.blake2b(f"{FORM}|{settings}".encode(), digest_size=16)
    for name, tensor in sorted(body.state_dict().items()):
        found.update(f"|{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


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


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
