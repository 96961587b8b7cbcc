"""Engines step optimizers; methods only give the objective. `PlainEngine` is bare torch on one device."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from skedastic.errors import UserError, first_line
from skedastic.methods.bases.step import Batch
from skedastic.training.finite import FiniteSteps


def find_device(name: str) -> torch.device:
    """Return a device by name.

    Parameters
    ----------
    name : str
        Such as "cpu" or "cuda:1"; "auto" takes an accelerator where there is one.

    Raises
    ------
    UserError
        There is no device of this name, or the machine lacks it.
    """
    if name == "auto":
        return (
            torch.accelerator.current_accelerator() or torch.device("cpu")
            if torch.accelerator.is_available()
            else torch.device("cpu")
        )
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" is a device, and can not do this
    except (RuntimeError, AssertionError) as error:
        rule = f"can't be used here ({first_line(error)}); try auto or cpu"
        raise UserError(rule, setting="train.device", value=name) from None
    return device


PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Within this context torch computes on so many threads of the CPU, NumPy on one; None leaves them as they are.

    Parameters
    ----------
    count : int or None
        At least 1.
    """
    before = torch.get_num_threads()
    if count is None:
        yield
        return
    if count != before:
        torch.set_num_threads(count)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        if count != before:
            torch.set_num_threads(before)


class PlainEngine:
    """One process, one device; full precision, or mixed ("bf16", or "fp16" with a loss scaler).

    Parameters
    ----------
    optimizers : mapping of torch.optim.Optimizer
        By parameter group.
    device : torch.device
        The device of state and batches.
    draw : callable, optional
        From the name of a stream to its next batch.
    precision : str
        "fp32", "bf16" or "fp16".
    examples : callable, optional
        From examples' names [m], or None for all, to batches of them.
    allowed : int
        How many steps that are not finite may be left out, as of `FiniteSteps`.
    accumulate : int
        Batches whose gradients make a step.
    clip : float or None
        Largest norm of a step's gradient.
    apart : collection of str
        The parameter groups of which neither is true: a method's own optimizer steps them when it asks for it.

    Attributes
    ----------
    finite : FiniteSteps
        It keeps steps whose loss or gradient is not finite from the weights.
    """

    def __init__(
        self,
        optimizers: Mapping[str, torch.optim.Optimizer],
        device: torch.device,
        draw: Callable[[str], Batch] | None = None,
        precision: str = "fp32",
        examples: Callable[[Tensor | None], Iterator[Batch]] | None = None,
        allowed: int = 0,
        accumulate: int = 1,
        clip: float | None = None,
        apart: Collection[str] = (),
    ) -> None:
        self.device = device
        self.optimizers = optimizers
        self._draw, self._examples = draw, examples
        self._dtype = PRECISIONS.get(precision)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.finite = FiniteSteps(device, optimizers, allowed)
        self._stepped = set[str]()  # the groups stepped since the loss scale was last updated
        self._accumulate, self._clip, self._apart = accumulate, clip, apart
        self._batches, self._waiting = 0, dict[str, None]()  # that have begun since the last step, and whom they are of

    def computing(self) -> AbstractContextManager[Any]:
        """Return the context in which a method's step runs, in the precision asked for."""
        return self._full() if self._dtype is None else torch.autocast(self.device.type, self._dtype)

    def _full(self) -> AbstractContextManager[Any]:
        """Return a context in full precision; none in full precision, since one costs a small step 1 %."""
        mixed = torch.is_autocast_enabled(self.device.type)
        return torch.autocast(self.device.type, enabled=False) if mixed else nullcontext()

    def update(self, name: str, loss: Tensor) -> None:
        """Backward `loss` and step the optimizer of parameter group `name`: `backward`, and then `step`."""
        if name in self._stepped:
            self.end_step()
        self.backward(loss)
        self.step(name)

    def backward(self, loss: Tensor, parameters: Sequence[Tensor] | None = None) -> None:
        """Accumulate the gradients of `loss`: of all parameters that it depends on, or of these alone."""
        self.finite.take_loss(loss)
        with self._full():
            loss = loss if self._accumulate == 1 else loss / self._accumulate
            torch.autograd.backward(self.scaler.scale(loss), inputs=parameters)

    def step(self, name: str) -> None:
        """Step the optimizer of parameter group `name` by the gradients accumulated, and clear them.

        Where these, or the loss that they are of, are not finite, the weights stay as they are. Where several batches
        make a step, the last of them takes it, at its end.
        """
        if self._accumulate > 1 and name not in self._apart:
            self._waiting[name] = None
        else:
            self._step_now(name)

    def end_batch(self, *, last: bool) -> None:
        """Take the step that waits for a batch of its own, or for the last of an epoch; update the loss scale."""
        self._batches += 1
        if self._waiting and (last or self._batches == self._accumulate):
            for name in self._waiting:
                if self._batches < self._accumulate:
                    gradients = [p.grad for p in self._parameters(name) if p.grad is not None]
                    torch._foreach_mul_(gradients, self._accumulate / self._batches)
                self._step_now(name)
            self._waiting.clear()
        if not self._waiting:
            self._batches = 0
        self.end_step()

    @property
    def is_between_steps(self) -> bool:
        """Whether no batch waits for others to make a step with."""
        return not self._waiting

    def _parameters(self, name: str) -> Iterator[Tensor]:
        return (p for group in self.optimizers[name].param_groups for p in group["params"])

    def _step_now(self, name: str) -> None:
        optimizer = self.optimizers[name]
        if self.finite.may_step(optimizer, scaled=self.scaler.is_enabled()):
            if self._clip is not None and name not in self._apart:
                self.scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(self._parameters(name), self._clip)
            self.scaler.step(optimizer)
            self._stepped.add(name)
        optimizer.zero_grad(set_to_none=True)

    def end_step(self) -> None:
        """Update the loss scale, once for all optimizers: their gradients in one step of a method have one scale."""
        if self._stepped and self.scaler.is_enabled():
            self.scaler.update()
        self._stepped.clear()

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool = False) -> list[Tensor]:
        """Return the gradients of `loss` by `parameters`, zeros where it does not depend on one; accumulate nothing."""
        with self._full():
            scaled = self.scaler.scale(loss)
            gradients = torch.autograd.grad(
                scaled, parameters, retain_graph=retain_graph, allow_unused=True, materialize_grads=True
            )
        scale = self.scaler.get_scale() if self.scaler.is_enabled() else 1.0
        return list(gradients) if scale == 1.0 else [g / scale for g in gradients]

    def rate(self, name: str) -> float:
        """Return the learning rate of parameter group `name` as it stands."""
        rate: float = self.optimizers[name].param_groups[0]["lr"]
        return rate

    def draw(self, stream: str) -> Batch:
        """Return the next batch of stream `stream`, starting it over at its end."""
        if self._draw is None:
            raise RuntimeError(f"this engine has no stream {stream!r}")
        return self._draw(stream)

    def examples(self, index: Tensor | None = None) -> Iterator[Batch]:
        """Return the training examples in batches, not augmented; all, or those named by `index` [m], in order."""
        if self._examples is None:
            raise RuntimeError("this engine has no examples")
        return self._examples(index)
