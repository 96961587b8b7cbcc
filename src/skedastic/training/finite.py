"""Steps whose loss or gradient is not finite: kept from the weights on the device itself, so that no step waits.

One flag on the device says so. On the CPU the engine reads it before it steps an optimizer. On a GPU a fused optimizer
reads it in its kernel, and the flag is copied to the CPU behind each step, to be looked at once it is there. A flag
that stops training stays up, so that the steps until then change no weight either.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer


class BadStep(NamedTuple):
    """A step that was kept from the weights.

    Parameters
    ----------
    step : int
        Its number in the stage, from 1.
    rows : list of int
        The names of its examples whose own loss is not finite, in order; none where only the gradient is not.
    """

    step: int
    rows: list[int]


class _Waiting(NamedTuple):
    """A step that the CPU has not looked at: its examples' names and losses [B], and its flag, there after `copied`."""

    step: int
    names: Tensor
    losses: Tensor | None
    flag: Tensor
    copied: torch.Event | None


class FiniteSteps:
    """Keeps steps that are not finite from the weights, and counts them.

    Parameters
    ----------
    device : torch.device
        The device of the gradients.
    optimizers : mapping of Optimizer
        Those that are stepped, before their first step.
    allowed : int
        How many steps may be left out before training stops; never fewer than were left out before an interruption.

    Attributes
    ----------
    bad : list of BadStep
        The steps that the CPU knows of.
    """

    def __init__(self, device: torch.device, optimizers: Mapping[str, Optimizer], allowed: int = 0) -> None:
        self.allowed, self.bad = allowed, list[BadStep]()
        self._flag = torch.zeros((), device=device)  # 1: no weight is changed
        self._one, self._count = torch.ones_like(self._flag), torch.zeros_like(self._flag)
        self._on_cpu = device.type == "cpu"
        self._read = self._flag.numpy() if self._on_cpu else None
        self._losses, self._waiting = list[Tensor](), deque[_Waiting]()
        for optimizer in optimizers.values():
            if allowed or _is_fused(optimizer):
                _with_momentum(optimizer)
            if not self._on_cpu and _is_fused(optimizer):
                optimizer.found_inf = self._flag  # type: ignore[attr-defined]  # as torch's loss scaler does

    def take_loss(self, loss: Tensor) -> None:
        """Take a loss, a scalar, that is about to be differentiated."""
        self._losses.append(loss.detach())

    def may_step(self, optimizer: Optimizer, *, scaled: bool) -> bool:
        """Return whether to step an optimizer by the gradients that its parameters have.

        Parameters
        ----------
        optimizer : Optimizer
            The optimizer. A fused one on a GPU is always to be stepped, and does nothing where the flag is up.
        scaled : bool
            Whether a loss scaler looks after gradients that are not finite.
        """
        by_type = defaultdict[torch.dtype, list[Tensor]](list)
        for tensor in (*([] if scaled else _gradients(optimizer)), *self._losses):
            by_type[tensor.dtype].append(tensor)
        self._losses.clear()
        for tensors in by_type.values():
            torch._amp_foreach_non_finite_check_and_unscale_(tensors, self._flag, self._one)
        if self._read is not None:
            return not self._read
        return _is_fused(optimizer) or not self._flag.item()  # which waits, for optimizers that can't read the flag

    def refuse(self) -> None:
        """Put the flag up: the step failed before its gradient."""
        self._flag.fill_(1.0)
        self._losses.clear()

    def end_step(self, step: int, names: Tensor, losses: Tensor | None) -> Tensor | None:
        """Count a step, and look at those that the CPU knows of by now.

        Parameters
        ----------
        step : int
            Its number in the stage, from 1.
        names : Tensor
            The names of its examples, [B].
        losses : Tensor or None
            Their own losses, [B], where it has some.

        Returns
        -------
        Tensor or None
            1 where the step was left out, else 0, a scalar; None where such a step stops the training.
        """
        if self._read is not None and not self.allowed and not self._read:
            return None
        flag = self._flag
        if self.allowed:
            flag = self._flag.clone()
            self._count += flag
            self._flag.copy_(self._count > self.allowed)
        self._waiting.append(_Waiting(step, names, losses, *self._copied(flag)))
        self.look()
        return flag if self.allowed else None

    def look(self, *, wait: bool = False) -> None:
        """Take over the steps whose flags the CPU has; with `wait`, of all."""
        while self._waiting and not self.exceeded:
            first = self._waiting[0]
            if first.copied is not None and not first.copied.query():
                if not wait:
                    return
                first.copied.synchronize()
            self._waiting.popleft()
            if first.flag.numpy():
                self.bad.append(BadStep(first.step, _not_finite(first.names, first.losses)))

    @property
    def exceeded(self) -> bool:
        """Whether more steps than allowed are known to be not finite."""
        return len(self.bad) > self.allowed

    def go_on(self, bad: Iterable[BadStep]) -> None:
        """Take over the steps that were left out before an interruption; so many are allowed, whatever the bound is."""
        self.bad = list(bad)
        self.allowed = max(self.allowed, len(self.bad))
        self._count.fill_(float(len(self.bad)))

    def _copied(self, flag: Tensor) -> tuple[Tensor, torch.Event | None]:
        """Return a copy of a flag on the CPU, and the event after which it is there."""
        if self._on_cpu:
            return flag, None
        copy = torch.empty((), pin_memory=flag.device.type == "cuda").copy_(flag, non_blocking=True)
        event = torch.Event(flag.device.type)
        event.record()
        return copy, event


def kept_buffers(state: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Return the buffers of a state, each with a copy."""
    return [(buffer, buffer.clone()) for buffer in state.buffers()]


def put_back(kept: Iterable[tuple[Tensor, Tensor]], flag: Tensor) -> None:
    """Give buffers their copies' values where a flag, a scalar, is up."""
    for buffer, old in kept:
        buffer.copy_(torch.where(flag > 0, old, buffer))


def _not_finite(names: Tensor, losses: Tensor | None) -> list[int]:
    if losses is None or losses.shape != names.shape:
        return []
    return sorted(names.cpu()[~losses.isfinite().cpu()].tolist())


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _is_fused(optimizer: Optimizer) -> bool:
    return bool(optimizer.defaults.get("fused"))


def _with_momentum(optimizer: Optimizer) -> None:
    """Give SGD its momentum, of zeros: torch's fused one has garbage for it where its first step is left out.

    Where a parameter has its first gradient in a later step than others, it has none, and fails.
    """
    if isinstance(optimizer, SGD) and optimizer.defaults["momentum"]:
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def to_plain(bad: Iterable[BadStep]) -> list[Any]:
    """Return steps as plain values; `BadStep(*values)` gives each back."""
    return [list(step) for step in bad]
