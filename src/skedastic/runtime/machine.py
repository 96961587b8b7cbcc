"""The machine that computes: cores, memory, devices and libraries, and what is slow about them, by facts alone."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from skedastic.runtime.limits import OF_CONTAINER

OF_CORES, THROTTLING = Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu.stat")
DRIVER = Path("/proc/driver/nvidia/version")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # variables of the environment
SIDE, TIMES = 768, 20  # of the matrices whose product is measured, and how often it is
LITTLE = 1e9  # bytes of memory or of a disk that are little


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is known of the machine, as plain values. Sizes are bytes.

    Parameters
    ----------
    system, python, torch : str
        Their names and versions.
    cores, usable : int
        Logical cores, and those that this process may use.
    quota : float or None
        Cores that the container may use; None where it has no limit.
    throttled : int
        Periods in which the container had to wait for its cores, since it began.
    memory, free, swapped : int
        Memory, what of it is free, and what of all processes is in swap.
    limit : int or None
        Memory that the container may use; None where it has no limit.
    devices : tuple of str
        Accelerators that torch finds, with their memory.
    driver : bool
        Whether the system has the driver of an NVIDIA GPU.
    built_with : mapping of str to bool
        Libraries that torch can be built with.
    instructions : str
        Those of the CPU that torch uses.
    threads : int
        Threads that torch computes with.
    variables : mapping of str to str
        Variables of the environment that set threads.
    disks : mapping of str to int
        What is free on the disk of each folder.
    rates : tuple of float
        Operations a second of a product of matrices of float32, on one thread and on all of torch's.
    """

    system: str
    python: str
    torch: str
    cores: int
    usable: int
    quota: float | None
    throttled: int
    memory: int
    free: int
    swapped: int
    limit: int | None
    devices: tuple[str, ...]
    driver: bool
    built_with: Mapping[str, bool]
    instructions: str
    threads: int
    variables: Mapping[str, str]
    disks: Mapping[str, int]
    rates: tuple[float, float]

    def slow(self) -> list[str]:
        """Return what makes this machine slower than it could be, and the way out: a sentence each, from its facts."""
        return list(self._slow())

    def _slow(self) -> Iterator[str]:
        room = min(self.usable, self.quota or self.usable)
        for name, value in self.variables.items():
            if not value.isdigit() or int(value) == room:
                continue
            if int(value) > room:
                yield f"{name}={value} is more threads than the {room:g} cores that may be used; unset it"
            elif value == str(self.threads):
                yield f"{name}={value} keeps large networks from the other of the {room:g} cores"
        if self.threads > room and not self.variables:
            way = f"set OMP_NUM_THREADS={int(room) or 1}"
            yield f"torch has {self.threads} threads, and {room:g} cores may be used; {way}"
        one, every = self.rates
        if self.threads > 1 and every < one:
            share = f"{every / one:.2f} of the rate of one"
            yield f"{self.threads} threads multiply matrices at {share}: others use the cores; set train.threads=1"
        if self.usable < self.cores:
            yield f"this process may use {self.usable} of the {self.cores} cores, by its affinity"
        if self.throttled:
            periods = f"{self.throttled:,} periods"
            yield f"the container had to wait for its cores in {periods}; give it more cores, or fewer threads"
        if self.swapped > LITTLE / 10:
            yield f"{in_gigabytes(self.swapped)} are in swap: processes have needed more memory than there is"
        if min(self.free, self.limit or self.free) < LITTLE:
            yield f"{in_gigabytes(min(self.free, self.limit or self.free))} of memory are free"
        if self.driver and not self.devices:
            yield "the driver of an NVIDIA GPU is here, and torch finds none; install a torch that is built with CUDA"
        for name, has in self.built_with.items():
            if not has:
                yield f"torch was built without {name}"
        for folder, free in self.disks.items():
            if free < LITTLE:
                yield f"{in_gigabytes(free)} are free on the disk of {folder}"


def machine(folders: Mapping[str, Path]) -> Machine:
    """Return what is known of this machine; a product of matrices is measured, which takes a fraction of a second.

    Parameters
    ----------
    folders : mapping of str to Path
        The folders whose disks are looked at, by what they are for; they need not be there.
    """
    memory, cores = psutil.virtual_memory(), os.cpu_count() or 1
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        torch=torch.__version__,
        cores=cores,
        usable=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores,
        quota=_quota(),
        throttled=_throttled(),
        memory=memory.total,
        free=memory.available,
        swapped=psutil.swap_memory().used,
        limit=_number(OF_CONTAINER),
        devices=tuple(_devices()),
        driver=DRIVER.exists(),
        built_with=_built_with(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        variables={name: os.environ[name] for name in THREADS if name in os.environ},
        disks={f"{name} ({folder})": _free(folder) for name, folder in folders.items()},
        rates=_rates(torch.get_num_threads()),
    )


def in_gigabytes(size: float) -> str:
    """Return a size in words."""
    return f"{size / 1e9:.1f} GB"


def _quota() -> float | None:
    """Return the cores that the container may use; None without a limit."""
    with suppress(OSError, ValueError):
        most, period = OF_CORES.read_text("utf-8").split()
        return int(most) / int(period)
    return None


def _throttled() -> int:
    with suppress(OSError, ValueError):
        found = dict(line.split() for line in THROTTLING.read_text("utf-8").splitlines())
        return int(found.get("nr_throttled", 0))
    return 0


def _number(file: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(file.read_text("utf-8"))
    return None


def _devices() -> Iterator[str]:
    """Yield the accelerators, with the memory of those that tell it."""
    if not torch.accelerator.is_available():
        return
    kind = torch.accelerator.current_accelerator()
    assert kind is not None
    module = torch.get_device_module(kind)
    for i in range(torch.accelerator.device_count()):
        name = module.get_device_name(i) if hasattr(module, "get_device_name") else ""
        size = ""
        with suppress(AttributeError, RuntimeError, NotImplementedError):
            free, whole = module.mem_get_info(i)
            size = f", {in_gigabytes(free)} of {in_gigabytes(whole)} free"
        yield f"{kind.type}:{i} {name}".strip() + size


def _built_with() -> dict[str, bool]:
    """Return the libraries that torch can be built with on a CPU of this kind."""
    kinds: dict[str, Any] = {"OpenMP": torch.backends.openmp, "oneDNN": torch.backends.mkldnn}
    if platform.machine() in ("x86_64", "AMD64"):
        kinds["MKL"] = torch.backends.mkl
    return {name: bool(kind.is_available()) for name, kind in kinds.items()}


def _free(folder: Path) -> int:
    """Return what is free on the disk of a folder, or of the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _rates(threads: int) -> tuple[float, float]:
    """Return the operations a second of a product of matrices, on one thread and on so many."""
    one = _rate(1)
    return one, one if threads == 1 else _rate(threads)


def _rate(threads: int) -> float:
    """Return the operations a second of a product of matrices on so many threads, the best of some."""
    before = torch.get_num_threads()
    a = torch.ones(SIDE, SIDE)
    torch.set_num_threads(threads)
    try:
        a @ a
        seconds = []
        for _ in range(TIMES):
            began = time.perf_counter()
            a @ a
            seconds.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    return 2 * SIDE**3 / min(seconds)
