"""The versions and the hardware of a run."""

from __future__ import annotations

import os
import platform

import torch

from skedastic.version import __version__


def environment() -> dict[str, str]:
    """Return the versions and the hardware that figures are computed with."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return {
        "skedastic": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": "cpu" if device is None else f"{device.type} ({torch.get_device_module(device).get_device_name()})",
        "cores": str(os.cpu_count()),
    }
