"""Where the processes of one training meet: the store by which they find each other.

torchrun keeps one store for all attempts. What the processes of an attempt wrote stays when they die, and those of the
next one would look for the dead. So the first process opens a store of its own, and writes its place into torchrun's;
the others look there until a store answers.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import timedelta

from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from skedastic.errors import UserError
from skedastic.runtime.launch import count, is_first

PLACE = "skedastic/meeting"
ATTEMPT = timedelta(seconds=5)  # to reach a store that may be of the dead


def met(patience: timedelta) -> Store | None:
    """Return the store of this attempt; None where torchrun has not started the processes, and torch's own will do.

    Parameters
    ----------
    patience : timedelta
        How long to look for it.

    Raises
    ------
    UserError
        None answered in that time.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    known = TCPStore(host, port, count(), is_master=False, timeout=patience, wait_for_workers=False)
    if is_first():
        own = TCPStore(_own_address(host, port), 0, count(), True, patience, wait_for_workers=False)
        known.set(PLACE, f"{own.host} {own.port}")
        return own
    until = time.monotonic() + patience.total_seconds()
    while time.monotonic() < until:
        there, at = known.get(PLACE).decode().split()
        try:
            return TCPStore(there, int(at), count(), False, ATTEMPT, wait_for_workers=False)
        except (RuntimeError, ValueError):
            time.sleep(0.2)
    raise UserError("the first process can't be reached", setting="devices", value=count())


def _own_address(host: str, port: int) -> str:
    """Return the address of this machine in the network by which it reaches another."""
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)  # nothing is sent
            own = str(probe.getsockname()[0])
            return host if own.startswith("127.") else own  # the other machine is this one, which all know as host
    return host
