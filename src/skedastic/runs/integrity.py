"""Whether a run or a comparison is whole, and where one that was interrupted would go on. Nothing is changed or run.

Files are read by those who read them elsewhere; there is no second way of checking.
"""

from __future__ import annotations

import re
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from torch import Tensor

from skedastic.data.tables.unpacked import Footer
from skedastic.errors import UserError, first_line
from skedastic.runs import done_seeds
from skedastic.runs.folder import (
    ABOUT,
    BESIDE,
    CHECKPOINTS,
    COMPARISON_FILES,
    EXPORTED,
    RUN_FILES,
    SEEDS,
    SOMETIMES,
    UNFINISHED,
    unfinished,
)
from skedastic.runs.load import load, load_summary
from skedastic.runs.summary import RunSummary
from skedastic.runtime.durable import is_part
from skedastic.runtime.environment import differences, environment, expectation
from skedastic.runtime.finding import Finding, Kind
from skedastic.runtime.locks import LOCK, holder
from skedastic.runtime.plain_files import check_regular, json_value
from skedastic.settings.config import Config
from skedastic.settings.layers import file_settings
from skedastic.settings.model_choice import NamedModel
from skedastic.training import checkpoints
from skedastic.training.checkpoints import SETTINGS, File
from skedastic.training.tensor_files import Damaged, has_checksum, read_tensors

READ = (Damaged, UserError, OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError)
OF_SEED = re.compile(r"\d+(\.\d+)?")  # the file of a seed, or of one of its methods, without its ending
NEEDS_PACKAGE = "pip install"  # stands in errors of what is not installed
EXPORTS = (*EXPORTED.values(), *(f"{name}{BESIDE}" for name in EXPORTED.values()))


@dataclass
class Examined:
    """What is known of a run or a comparison, whole or not.

    Parameters
    ----------
    folder : Path
        Its folder, as a user names it: without the ending of one that is not whole.
    what : str
        In words, such as "a run".
    findings : list of Finding
        What was found, of each file.
    verb : str
        The verb that goes on with it; empty where it is whole, or can't be gone on with.
    written_by : dict
        The versions and the hardware that wrote a whole run.
    """

    folder: Path
    what: str
    findings: list[Finding] = field(default_factory=list)
    verb: str = ""
    written_by: dict[str, str] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether nothing of it is damaged."""
        return all(finding.kind != "damaged" for finding in self.findings)

    def add(self, place: str, said: str, kind: Kind = "sound") -> None:
        """Add what was found of a place."""
        self.findings.append(Finding(place, said, kind))


def run_at(folder: Path) -> Path | None:
    """Return the run or the comparison that a folder is, without the ending of one that is not whole; None for others.

    Parameters
    ----------
    folder : Path
        The folder, or the name that one which is not whole will have.
    """
    folder = folder.resolve() if folder.name in ("", "..") else folder
    return _named(folder) if _is_run(folder) or unfinished(folder).is_dir() else None


def runs_in(folder: Path) -> list[Path]:
    """Return the runs and the comparisons in a folder, and in its folder `runs`, each once, as `run_at` does.

    Parameters
    ----------
    folder : Path
        The folder.
    """
    inside = [path for parent in (folder, folder / "runs") if parent.is_dir() for path in sorted(parent.iterdir())]
    return list(dict.fromkeys(_named(path) for path in inside if path.is_dir() and _is_run(path)))


def _named(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(UNFINISHED))


def _is_run(folder: Path) -> bool:
    """Return whether a folder holds something of a run or of a comparison."""
    if folder.name.endswith(UNFINISHED):
        return True
    names = {*RUN_FILES, *COMPARISON_FILES, CHECKPOINTS} - {"README.md", "report.html", "config.toml"}
    return any((folder / name).exists() for name in names)


def examined(folder: Path) -> list[Examined]:
    """Return what is known of a run: of the whole one, and of one that was interrupted, where they are there.

    Parameters
    ----------
    folder : Path
        Its folder, without the ending of one that is not whole.
    """
    found = []
    if folder.is_dir():
        is_comparison = any((folder / name).exists() for name in ("compare.json", "seeds.jsonl"))
        found.append(_comparison(folder) if is_comparison else _run(folder))
    if unfinished(folder).is_dir():
        found.append(_begun(folder))
    return found


def _run(folder: Path) -> Examined:
    """Return what is known of a whole run."""
    run = Examined(folder, "a run")
    _check_files(run, folder, RUN_FILES, (*SOMETIMES, *EXPORTS))
    _check_checkpoints(run, folder, "")
    if run.is_sound:
        _check_whole(run, folder)
    return run


def _comparison(folder: Path) -> Examined:
    """Return what is known of a whole comparison."""
    comparison = Examined(folder, "a comparison")
    _check_files(comparison, folder, COMPARISON_FILES, ())
    if comparison.is_sound:
        _check_file(comparison, "the whole", partial(_all_seeds, folder))
    return comparison


def _all_seeds(folder: Path) -> str:
    """Return how many seeds a comparison has. Raises ValueError where these are not as many as its settings say."""
    count = len((folder / "seeds.jsonl").read_text("utf-8").splitlines())
    if count != (asked := file_settings(folder / SETTINGS).get("seeds", Config.seeds)):
        raise ValueError(f"seeds.jsonl has {count} seeds, and its settings say {asked}")
    return f"{count} seeds"


def _check_files(examined: Examined, folder: Path, needed: tuple[str, ...], others: tuple[str, ...]) -> None:
    for name in needed:
        _check_file(examined, name, partial(_read, folder / name))
    for name in others:
        if (folder / name).exists():
            _check_file(examined, name, partial(_read, folder / name))


def _check_file(examined: Examined, name: str, words: Callable[[], str]) -> None:
    """Add what was found of a file, by a function that reads it and returns what it holds, in words."""
    try:
        examined.add(name, words())
    except FileNotFoundError:
        examined.add(name, "it is not there", "damaged")
    except READ as error:
        examined.add(name, first_line(error) or type(error).__name__, "damaged")


def _read(path: Path) -> str:
    """Read a file of a run; return in words what it holds."""
    check_regular(path)
    if path.suffix == ".safetensors":
        return _tensors(path)
    if path.suffix == ".parquet":
        Footer(path).check_all()
        rows = sum(batch.num_rows for batch in pq.ParquetFile(path).iter_batches())
        return f"{rows:,} rows"
    if path.suffix == ".toml":
        return f"{len(file_settings(path))} settings"
    if path.suffix == ".pt2":
        with zipfile.ZipFile(path) as packed:
            if (broken := packed.testzip()) is not None:
                raise ValueError(f"{broken} in it is not as it was written")
        return "its parts are as they were written"
    if path.suffix == ".onnx":
        return f"{path.stat().st_size:,} bytes; it has no checksum"
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        json_value(text, path.name)
    elif path.suffix == ".jsonl":
        return f"{len([json_value(line, path.name) for line in text.splitlines()]):,} rows"
    elif path.suffix == ".html" and not text.rstrip().endswith("</html>"):
        raise ValueError("it has no end")
    elif not text.strip():
        raise ValueError("it is empty")
    return "read"


def _tensors(path: Path) -> str:
    tensors, _ = read_tensors(path)
    if broken := [name for name, tensor in tensors.items() if not _is_finite(tensor)]:
        raise ValueError(f"{broken[0]} is not finite")
    checked = "as they were written" if has_checksum(path) else "without a checksum, of an older version"
    return f"{len(tensors)} tensors, finite, {checked}"


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _words_of(file: File) -> str:
    """Return what a checkpoint holds. Raises ValueError where it is damaged."""
    if file.damage:
        raise ValueError(file.damage)
    if file.failed:
        return f"the stage failed: {file.failed}"
    within = f", {file.batches} batches" if file.batches else ""
    return f"epoch {file.epochs} of {file.of}{within}"


def _check_whole(run: Examined, folder: Path) -> None:
    """Add whether the files of a run fit together, and how equal what is computed here is to be."""
    try:
        summary = load_summary(folder)
        model = summary.config.model
        if isinstance(model, NamedModel) and ":" not in model.name:
            load(folder)
            run.add("the network", f"{model.name}: its weights fit the schema and the settings")
        else:
            said = "it is made by code of others, which is not run here; whether its weights fit shows when it predicts"
            run.add("the network", f"{model.name}: {said}", "note")
    except READ as error:
        if NEEDS_PACKAGE in str(error):
            run.add("the network", f"it can't be made here: {first_line(error)}", "note")
        else:
            run.add("the whole", f"its files don't fit together: {first_line(error)}", "damaged")
        return
    run.written_by = dict(summary.environment)
    _compare_versions(run, summary)


def _compare_versions(run: Examined, summary: RunSummary) -> None:
    written = summary.environment
    here = environment(int(written["threads"]) if written.get("threads", "").isdigit() else None)
    different = differences(written, here)
    said = ", ".join(f"{name} {was} (here {now})" for name, was, now in different)
    by = f"written by {said}" if said else "written by the same versions and hardware as these"
    run.add("versions", f"{by}; {expectation(written, here)}", "note" if said else "sound")


def _begun(folder: Path) -> Examined:
    """Return what is known of a run or a comparison that is not whole."""
    kept = unfinished(folder)
    is_comparison = (kept / SEEDS).is_dir()
    begun = Examined(folder, f"{'a comparison' if is_comparison else 'a run'} that is not whole")
    if who := holder(kept):
        begun.add(LOCK, f"{who} is writing it now", "note")
    settings = _check_settings(begun, kept, is_comparison)
    said = "which is being written" if who else "which a process that was killed has left"
    for part in sorted(path for path in kept.rglob("*") if is_part(path)):
        begun.add(str(part.relative_to(kept)), f"a part of a file, {said}", "note")
    can_go_on = settings is not None
    if is_comparison:
        _check_seeds(begun, kept, settings or {})
    else:
        where, is_whole = _resumed(_check_checkpoints(begun, kept, ""))
        can_go_on = can_go_on and is_whole
        begun.add("resume", where, "sound" if is_whole else "damaged")
    begun.verb = ("compare" if is_comparison else "fit") * (can_go_on and not who)
    return begun


def _check_settings(begun: Examined, kept: Path, is_comparison: bool) -> Mapping[str, Any] | None:
    """Add whether the settings of a run that is not whole are; return them, None where they are lost."""
    lost = (done_seeds if is_comparison else checkpoints).damaged_settings(kept)
    if lost is not None:
        begun.add(SETTINGS, "it is damaged; a resume writes it again from what is kept", "damaged")
        return tomllib.loads(lost)
    try:
        settings = file_settings(kept / SETTINGS)
        if not settings:
            raise ValueError("it is empty, and nothing that is kept has it")
    except READ as error:
        begun.add(SETTINGS, f"{first_line(error)}; start again with --force", "damaged")
        return None
    begun.add(SETTINGS, f"{len(settings)} settings")
    return settings


def _check_checkpoints(begun: Examined, folder: Path, place: str) -> list[list[File]]:
    """Add what was found of each checkpoint; return them by stage."""
    stages = checkpoints.files_of(folder)
    for file in (file for files in stages for file in files):
        _check_file(begun, f"{place}{CHECKPOINTS}/{file.path.name}", partial(_words_of, file))
    return stages


def _resumed(stages: Sequence[Sequence[File]]) -> tuple[str, bool]:
    """Return in words where a resume goes on, and whether it can."""
    said = "it begins anew: nothing was kept yet"
    for files in stages:
        whole = next((file for file in files if not file.damage), None)
        if whole is None:
            names = " and ".join(file.path.name for file in files)
            return f"no checkpoint of stage {files[0].stage} is whole; delete {names}, and it is trained anew", False
        if not whole.has_ended:
            return f"it goes on in stage {whole.stage}, after {_words_of(whole)}", True
        said = f"it goes on after stage {whole.stage}, which has ended"
    return said, True


def _check_seeds(begun: Examined, kept: Path, settings: Mapping[str, Any]) -> None:
    """Add what was found of the seeds of a comparison that is not whole, and where a resume goes on."""
    folder, done = kept / SEEDS, list[str]()
    _check_file(begun, f"{SEEDS}/{ABOUT}.json", partial(_read, folder / f"{ABOUT}.json"))
    files = [path for path in folder.glob("*.json") if OF_SEED.fullmatch(path.stem)]
    for file in sorted(files, key=lambda path: [int(part) for part in path.stem.split(".")]):
        _check_file(begun, f"{SEEDS}/{file.name}", partial(_words_of_seed, file))
        is_whole_seed = file.stem.isdigit()  # else one of its methods
        done += [file.stem] * (is_whole_seed and begun.findings[-1].kind == "sound")
    begun.add(
        "resume",
        f"{len(done)} of {settings.get('seeds', Config.seeds)} seeds are done{': ' * bool(done)}{', '.join(done)}",
    )
    for path in sorted((path for path in folder.iterdir() if path.is_dir() and path.name.isdigit()), key=_number):
        where, is_whole = _resumed(_check_checkpoints(begun, path, f"{SEEDS}/{path.name}/"))
        begun.add(
            "resume", f"seed {path.name}: {where if is_whole else 'a training without a whole checkpoint begins anew'}"
        )


def _words_of_seed(file: Path) -> str:
    return f"done, with {', '.join(done_seeds.outcome_in(file).metrics)}"


def _number(path: Path) -> int:
    return int(path.stem)
