"""The same forward again: the random numbers of the first, and a state that it does not move a second time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@contextmanager
def replay(net: nn.Module, random_state: RandomState) -> Iterator[None]:
    """Within this context a forward draws the same random numbers again, and the buffers of `net` are copies.

    So dropout has the same masks, and BatchNorm's running statistics move once a step however many forwards it takes.

    Parameters
    ----------
    net : nn.Module
        The network that runs.
    random_state : RandomState
        The state before the first forward.
    """
    with random_state.again(), buffers_kept(net):
        yield


@contextmanager
def buffers_kept(net: nn.Module) -> Iterator[None]:
    """Lend the network copies of its buffers. Writing back into the originals would break graphs that saved them.

    Parameters
    ----------
    net : nn.Module
        The network that runs.
    """
    kept = [(module, dict(module._buffers)) for module in net.modules() if module._buffers]
    for module, buffers in kept:
        module._buffers.update({name: None if b is None else b.clone() for name, b in buffers.items()})
    try:
        yield
    finally:
        for module, buffers in kept:
            module._buffers.update(buffers)


@dataclass(frozen=True)
class RandomState:
    """The state of the random generators that dropout draws from, on the CPU and on the network's device.

    Parameters
    ----------
    cpu : Tensor
        The state of torch's CPU generator.
    device : torch.device
        The network's device.
    on_device : Tensor or None
        The state of its generator; None on the CPU.
    """

    cpu: Tensor
    device: torch.device
    on_device: Tensor | None

    @classmethod
    def now(cls, net: nn.Module) -> RandomState:
        """Return the state as it is.

        Parameters
        ----------
        net : nn.Module
            The network whose device counts.
        """
        return cls._on(next((p.device for p in net.parameters()), torch.device("cpu")))

    @classmethod
    def _on(cls, device: torch.device) -> RandomState:
        on_device = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)
        return cls(torch.get_rng_state(), device, on_device)

    @property
    def moved(self) -> bool:
        """Whether random numbers were drawn since."""
        now = self._on(self.device)
        if not torch.equal(self.cpu, now.cpu):
            return True
        return (
            self.on_device is not None and now.on_device is not None and not torch.equal(self.on_device, now.on_device)
        )

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw the random numbers since this state again; afterwards the generators stand where they stood."""
        after = self._on(self.device)
        self.put()
        try:
            yield
        finally:
            after.put()

    def put(self) -> None:
        """Let the generators stand where they stood."""
        torch.set_rng_state(self.cpu)
        if self.on_device is not None:
            torch.get_device_module(self.device).set_rng_state(self.on_device, self.device)
