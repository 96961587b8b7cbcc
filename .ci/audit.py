"""Ask the advisory service about the locked versions: `python .ci/audit.py requirements.lock`.

pip-audit is installed into .audit. Exit status 1 where a version has a known hole. Where nothing can be asked, as on a
machine without the network, one line says so, and the status is 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

AUDIT = "pip-audit==2.10.1"
FOLDER = Path(__file__).parent.parent / ".audit"
PATIENCE = 300  # seconds for each step


def main(arguments: Sequence[str]) -> int:
    """Audit a file of locked versions; return the exit status."""
    try:
        status, lines = verdict(_report(arguments[0]))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", None) or str(error)
        status, lines = 0, [_not_asked((said.strip().splitlines() or [type(error).__name__])[-1])]
    print("\n".join(f"audit: {line}" for line in lines))
    return status


def verdict(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit status, and what to say, of a report of pip-audit."""
    packages = report["dependencies"]
    asked = [package for package in packages if "skip_reason" not in package]
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, {_way_out(hole)}"
        for package in asked
        for hole in package["vulns"]
    ]
    if holes:
        return 1, holes
    if not asked:
        return 0, [_not_asked("it knows none of the packages")]
    skipped = len(packages) - len(asked)
    return 0, [f"{len(asked)} versions, no known hole{f'; {skipped} more are not known' if skipped else ''}"]


def _way_out(hole: dict[str, Any]) -> str:
    return f"mended in {' or '.join(hole['fix_versions'])}" if hole["fix_versions"] else "not mended yet"


def _not_asked(reason: str) -> str:
    return f"the advisory service can't be asked, and nothing was checked ({reason[:200]})"


def _report(lock: str) -> dict[str, Any]:
    """Return the report of pip-audit on a file of locked versions."""
    python = FOLDER / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        venv.create(FOLDER, with_pip=True)
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", AUDIT])
    audit = [str(python), "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "-f", "json"]
    found = _run([*audit, "-r", lock], fails=(0, 1))  # 1: holes were found
    report: dict[str, Any] = json.loads(found)
    return report


def _run(command: Sequence[str], fails: Sequence[int] = (0,)) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode not in fails:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
