"""The packages that are installed, against the ranges of versions that are asked for."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

OURS, CORE = "skedastic", ""
NOT_FOR_USERS = ("dev",)  # extras


@dataclass(frozen=True)
class Package:
    """A package that is asked for.

    Parameters
    ----------
    name : str
        Its name.
    extra : str
        The extra that needs it; empty where all do.
    installed : str or None
        The version that is installed; None without one.
    asked : str
        The range of versions that are asked for; empty where any will do.
    """

    name: str
    extra: str
    installed: str | None
    asked: str

    @property
    def fits(self) -> bool:
        """Whether the version is one of those that are asked for."""
        return self.installed is not None and SpecifierSet(self.asked).contains(self.installed, prereleases=True)


def packages() -> list[Package]:
    """Return the packages that are asked for, Python first, by what the installed package says of itself."""
    try:
        about = metadata(OURS)
    except PackageNotFoundError:
        return []
    python = Package("python", CORE, platform.python_version(), "".join(about.get_all("Requires-Python") or ()))
    extras = [extra for extra in about.get_all("Provides-Extra") or () if extra not in NOT_FOR_USERS]
    required = [Requirement(line) for line in about.get_all("Requires-Dist") or ()]
    return [python, *(package for extra in (CORE, *extras) for package in _of_extra(extra, required))]


def _of_extra(extra: str, required: list[Requirement]) -> Iterator[Package]:
    """Yield the packages that an extra adds."""
    for each in required:
        if each.marker is None or each.marker.evaluate({"extra": CORE}):
            if extra == CORE:
                yield Package(each.name, extra, _installed(each.name), str(each.specifier))
        elif extra != CORE and each.marker.evaluate({"extra": extra}):
            yield Package(each.name, extra, _installed(each.name), str(each.specifier))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
