"""`skedastic doctor`: whether runs are whole and can be gone on with, and what is wrong or slow about the machine."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skedastic.cli import console
from skedastic.cli.options import options
from skedastic.cli.trust import FILES
from skedastic.errors import UserError
from skedastic.runs.folder import unfinished
from skedastic.runs.ways import way_on

if TYPE_CHECKING:
    from skedastic.runs.integrity import Examined
    from skedastic.runtime.machine import Machine
    from skedastic.runtime.packages import Package

DAMAGED = 1  # the exit status where something is damaged
MARKS = {"sound": "", "note": "note: ", "damaged": "damaged: "}


@click.command()
@click.argument("folder", metavar="[RUN|.]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print all that was found as JSON.")
@options(FILES)
def doctor(folder: str | None, as_json: bool) -> None:
    """Check the run RUN, whole or interrupted, or the machine; changes nothing, and runs no code of a run.

    Of a run: whether each file is there and as it was written, how equal a repeat will be here, and where a resume
    goes on. Of a folder such as `.`: each run in it, or in its folder `runs`, and the machine. Alone: the machine:
    versions, cores, memory, devices, and what is slow. Exit status 1 where something is damaged, or a version is none
    of those that are asked for.
    """
    path = None if folder is None else Path(folder)
    if path is not None and not (path.is_dir() or unfinished(path).is_dir()):
        raise UserError("there is no such run or folder; name one", setting="RUN", value=folder)
    from skedastic.runs.integrity import examined, run_at, runs_in

    run = None if path is None else run_at(path)
    runs = [run] if run is not None else [] if path is None else runs_in(path)
    found = [each for one in runs for each in examined(one)]
    machine, packages = _machine() if run is None else (None, [])
    is_sound = all(each.is_sound for each in found) and all(package.fits for package in _needed(packages))
    if as_json:
        _say_json(found, machine, packages, is_sound)
    else:
        for each in found:
            _say_run(each)
        if path is not None and not found:
            console.say(f"No run is in {folder!r}.")
        if machine is not None:
            _say_machine(machine, packages)
    if not is_sound:
        sys.exit(DAMAGED)


def _machine() -> tuple[Machine, list[Package]]:
    from skedastic.models.kept_features import folder
    from skedastic.runtime.machine import machine
    from skedastic.runtime.packages import packages

    folders = {"this folder": Path.cwd(), "temporary files": Path(tempfile.gettempdir()), "features": folder()}
    return machine(folders), packages()


def _needed(packages: list[Package]) -> list[Package]:
    """Return the packages that must fit: those without which nothing runs, and what is there of the extras."""
    return [package for package in packages if not package.extra or package.installed is not None]


def _resume(run: Examined) -> str:
    """Return the command that goes on with a run; "" where there is none.

    It names no code that the run names: the command itself then says what would be run, and stops.
    """
    return way_on(run.verb, run.folder) if run.verb else ""


def _say_run(run: Examined) -> None:
    """Print what is known of a run: what is wrong or good to know, and of the rest how much is sound."""
    sound = [finding for finding in run.findings if finding.kind == "sound"]
    damaged = sum(finding.kind == "damaged" for finding in run.findings)
    console.say(f"{run.folder}: {run.what}, {f'{damaged} damaged' if damaged else 'sound'}")
    told = ("resume", "versions", "the network", "model.safetensors")
    for finding in run.findings:
        if finding.kind != "sound" or finding.place in told:
            console.say(f"  {MARKS[finding.kind]}{finding.place}: {finding.said}")
    console.say(f"  {len(sound)} parts are as they should be")
    if way := _resume(run):
        console.say(f"  go on with: {way}")


def _say_machine(machine: Machine, packages: list[Package]) -> None:
    """Print what is known of the machine, its packages, and what is slow."""
    from skedastic.runtime.machine import TIMES, in_gigabytes

    limits = "" if machine.quota is None else f", {machine.quota:g} by the container's limit"
    memory = f"{in_gigabytes(machine.memory)}, {in_gigabytes(machine.free)} free"
    one, every = (f"{rate / 1e9:.0f} GFLOP/s" for rate in machine.rates)
    of_all = f", {every} on {machine.threads}" if machine.threads > 1 else ""
    facts = {
        "system": machine.system,
        "python": f"{machine.python}, torch {machine.torch}",
        "cores": f"{machine.usable} of {machine.cores} usable{limits}",
        "memory": memory + (f", {in_gigabytes(machine.limit)} by the container's limit" if machine.limit else ""),
        "devices": "; ".join(machine.devices) or "none but the CPU",
        "torch on the CPU": f"{machine.threads} threads, {machine.instructions}; with "
        + ", ".join(name for name, has in machine.built_with.items() if has),
        "threads set": ", ".join(f"{name}={value}" for name, value in machine.variables.items()) or "by no variable",
        "product of matrices": f"{one} on one thread{of_all}; float32, the best of {TIMES}",
        **{f"free for {name}": in_gigabytes(size) for name, size in machine.disks.items()},
    }
    for name, said in facts.items():
        console.say(f"{name}: {said}")
    for extra, parts in groupby(packages, lambda package: package.extra):
        console.say(f"packages{f' of extra {extra!r}' if extra else ''}: {_listed(list(parts))}")
    for package in _needed(packages):
        if not package.fits:
            console.say(
                f"damaged: {package.name} {package.installed or 'is missing'}, and {package.asked} is asked for"
            )
    for said in machine.slow():
        console.say(f"slow: {said}")


def _listed(packages: list[Package]) -> str:
    missing = [package.name for package in packages if package.installed is None]
    there = [f"{package.name} {package.installed}" for package in packages if package.installed is not None]
    return "; ".join(
        part for part in (", ".join(there), f"not installed: {', '.join(missing)}" if missing else "") if part
    )


def _say_json(found: list[Examined], machine: Machine | None, packages: list[Package], is_sound: bool) -> None:
    runs = [
        {
            "folder": str(run.folder),
            "what": run.what,
            "sound": run.is_sound,
            "resume": _resume(run) or None,
            "written_by": run.written_by,
            "findings": [asdict(finding) for finding in run.findings],
        }
        for run in found
    ]
    of_machine: dict[str, Any] | None = None
    if machine is not None:
        own = [asdict(package) | {"fits": package.fits} for package in packages]
        of_machine = {**asdict(machine), "packages": own, "slow": machine.slow()}
    console.say_json({"sound": is_sound, "runs": runs, "machine": of_machine})
