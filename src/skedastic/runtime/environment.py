"""The versions and the hardware of a run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version

import torch

from skedastic.runtime.launch import count
from skedastic.version import __version__

LIBRARIES = ("numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "safetensors")  # beside torch


def environment(threads: int | None) -> dict[str, str]:
    """Return the versions, the hardware and the threads that figures are computed with.

    Parameters
    ----------
    threads : int or None
        Threads of the CPU that trained; None where torch has its own number.
    """
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return {
        "skedastic": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": "cpu" if device is None else f"{device.type} ({torch.get_device_module(device).get_device_name()})",
        "cores": str(os.cpu_count()),
        "threads": str(threads or torch.get_num_threads()),
        **({"processes": str(count())} if count() > 1 else {}),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        **{name: version(name) for name in LIBRARIES},
    }


def differences(written: Mapping[str, str], here: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return what differs between two environments: its name, and what each has; cores alone change nothing.

    Parameters
    ----------
    written, here : mapping of str to str
        As of `environment`; what only one of them has is left out.
    """
    written, here = ({"processes": "1", **each} for each in (written, here))
    names = [name for name in written if name in here and name != "cores"]
    return [(name, written[name], here[name]) for name in names if written[name] != here[name]]


def expectation(written: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return in words how equal a repeated run will be; docs/guide/divergence.md has the table.

    Parameters
    ----------
    written, here : mapping of str to str
        The environment of the run, and the one in which it would be repeated.
    """
    different = {name for name, *_ in differences(written, here)}
    if {written.get("device", "cpu"), here["device"]} != {"cpu"}:
        return "a repeat differs in the last digits, since a GPU adds in no fixed order"
    if different & {"torch", "numpy"}:
        return "a repeat differs in the last digits, and the split and the batches may be others"
    if different - {"skedastic", "python"}:
        return "a repeat differs in the last digits"
    if "skedastic" in different:
        return "a repeat is equal to the bit where no change of this version says otherwise"
    return "a repeat with the same data is equal to the bit"
