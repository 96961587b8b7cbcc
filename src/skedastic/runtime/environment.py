"""The versions and the hardware of a run."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import torch

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
        "instructions": torch.backends.cpu.get_cpu_capability(),
        **{name: version(name) for name in LIBRARIES},
    }
