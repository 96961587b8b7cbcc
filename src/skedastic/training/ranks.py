"""The processes that train one network together, each on a device of its own, and what they agree on.

Every process runs the whole program on the same data with the same seed, so that each knows by itself what comes next.
They must never take different ways. What only one can know, such as the time, a signal or what is on the disk, the
first tells to all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from skedastic.core.spread import Spread, managed
from skedastic.errors import UserError, first_line
from skedastic.methods.bases.step import State
from skedastic.runtime.launch import count, is_first
from skedastic.training.meeting import met

PATIENCE = timedelta(days=7)  # to wait for another process, such as one that trains a fold; one that ends is noticed
LOST = re.compile("gloo|NCCL|ncclSystemError|Connection (closed|reset)|TCPStore")  # what torch says of a lost process
_JOINED: list[Spread] = []


def joined() -> Spread | None:
    """Return the processes that train together; None where this one is alone."""
    return _JOINED[-1] if _JOINED else None


def is_leading() -> bool:
    """Return whether this process does what one is enough for: it is alone, or the first of several."""
    return joined() is None or is_first()


@contextmanager
def together() -> Iterator[Spread | None]:
    """Within this context, this process trains together with the others that torchrun started; alone where none are.

    Raises
    ------
    UserError
        The others can't be reached.
    """
    if count() == 1:
        yield None
        return
    begun = not dist.is_initialized()
    if begun:
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        try:
            store = met(PATIENCE)
            own: dict[str, Any] = {}
            if store is not None:
                own = {"store": store, "rank": int(os.environ["RANK"]), "world_size": count()}
            dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE, **own)
        except (RuntimeError, ValueError) as error:
            rule = f"the processes can't reach each other ({first_line(error)}); start them by torchrun"
            raise UserError(rule, setting="devices", value=count()) from None
    _JOINED.append(Spread())
    try:
        with managed():
            yield _JOINED[-1]
        dist.barrier()  # else the first to end would take the others' connections with it
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        rule = "one of the processes that train together has ended, and this one can't go on without it"
        raise UserError(rule, setting="devices", value=count(), given=f"{count()} processes") from None
    else:
        if begun:
            dist.destroy_process_group()  # which waits for the others, and so not after an error
    finally:
        _JOINED.pop()


@contextmanager
def apart() -> Iterator[None]:
    """Within this context, each process does what it does by itself."""
    before, _JOINED[:] = list(_JOINED), []
    try:
        yield
    finally:
        _JOINED[:] = before


def told_by_all(value: Any) -> list[Any]:
    """Return the values of all processes, in their order; that of this one where it is alone.

    Parameters
    ----------
    value : Any
        In JSON's types.
    """
    spread = joined()
    if spread is None:
        return [value]
    own = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    lengths = spread.collected(torch.tensor([len(own)]), [1] * spread.ranks).tolist()
    texts = torch.split(spread.collected(own, lengths), lengths)
    return [json.loads(text.numpy().tobytes()) for text in texts]


def agreed(value: Any) -> Any:
    """Return the first process's value, in all of them; as it is where one trains alone.

    Parameters
    ----------
    value : Any
        In JSON's types.
    """
    return told_by_all(value)[0]


@contextmanager
def spread_over(state: State) -> Iterator[None]:
    """Within this context, the networks of a state run on this process's rows of every batch.

    Parameters
    ----------
    state : State
        The state that is trained.
    """
    spread = joined()
    if spread is None:
        yield
        return
    with spread.over(state.of_examples()):
        yield


def same_in_all(value: Any) -> bool:
    """Return whether all processes have the same value.

    Parameters
    ----------
    value : Any
        In JSON's types.
    """
    first, *others = told_by_all(value)
    return all(other == first for other in others)


def check_alike(state: State) -> None:
    """Raise UserError where the networks of a state are no longer the same in all processes, to the bit.

    Parameters
    ----------
    state : State
        The state that is trained, between two steps.
    """
    if joined() is None:
        return
    tensors = [t for net in state.of_examples() for t in net.state_dict().values() if t.is_floating_point()]
    sums = [t.detach().double().sum() for t in tensors] or [torch.zeros(())]
    if not same_in_all(torch.stack([s.cpu() for s in sums]).nan_to_num().tolist()):
        rule = (
            "the processes no longer have the same network: it takes a path at random, or changes buffers by its own "
            "rows; train it on one device"
        )
        raise UserError(rule, setting="devices", value=count())


def agreed_tensor(tensor: Tensor, source: int = 0) -> Tensor:
    """Return the first process's tensor, in all of them; as it is where one trains alone.

    Parameters
    ----------
    tensor : Tensor
        Of one shape and type in all of them.
    source : int
        The process whose tensor it is, where it is not the first.
    """
    if joined() is None:
        return tensor
    told = tensor.contiguous().clone()
    dist.broadcast(told.reshape(-1).view(torch.uint8), source)  # bytes: gloo does not know every type
    return told


class Signs:
    """What each process tells the others with every step: one number of each kind, of which all learn the largest.

    They come a step later, so that no step waits for them. Where a process is alone, they come at once.
    """

    def __init__(self) -> None:
        self._spread = joined()
        self._waiting: tuple[Tensor, dist.Work | None] | None = None

    def exchange(self, *own: bool, wait: bool = False) -> tuple[bool, ...]:
        """Tell own signs, and return those of all, of the step before.

        Parameters
        ----------
        *own : bool
            A sign of each kind, as many each time.
        wait : bool
            Whether to wait for those of this step too.
        """
        if self._spread is None:
            return own
        signs = self._arrived(len(own))
        told = torch.tensor(own, dtype=torch.uint8)
        self._waiting = told, dist.all_reduce(told, dist.ReduceOp.MAX, self._spread.group, async_op=True)
        if not wait:
            return signs
        return tuple(map(max, signs, self._arrived(len(own))))

    def _arrived(self, kinds: int) -> tuple[bool, ...]:
        """Return the signs that were told last."""
        if self._waiting is None:
            return (False,) * kinds
        (told, work), self._waiting = self._waiting, None
        if work is not None:
            work.wait()
        return tuple(bool(sign) for sign in told.tolist())
