"""What the figures of a run were computed with."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import torch

from skedastic.version import __version__

if TYPE_CHECKING:
    pass


def environment() -> dict[str, str]:
    """Return what the figures were computed with."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return {
        "skedastic": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": "cpu" if device is None else f"{device.type} ({torch.get_device_module(device).get_device_name()})",
        "cores": str(os.cpu_count()),
    }
