"""The figures of a run as files of its folder, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from skedastic.core.choice import Trial
from skedastic.core.learning_curve import Rise
from skedastic.core.strengths import GroupStats
from skedastic.core.transitions import Transitions
from skedastic.data import Schema
from skedastic.data.tables.unpacked import Footer
from skedastic.data.targets.grouping import grouping_from_json
from skedastic.data.targets.target import target_from_json
from skedastic.errors import UserError
from skedastic.evaluation.metrics import metrics_from_dict
from skedastic.methods.bases.method import Method
from skedastic.noise.findings import Findings
from skedastic.report.content import LabelIssue
from skedastic.runs.damaged import reading
from skedastic.runs.folder import STATE
from skedastic.runs.group_columns import GroupColumns, with_columns
from skedastic.runs.own_index import own_index, storable
from skedastic.runs.summary import TEST, RunSummary
from skedastic.runtime.plain_files import json_value
from skedastic.settings.config import Config
from skedastic.settings.methods import make_method, the_method
from skedastic.settings.reading import read, to_toml

ROWS = 100_000  # of a row group of Parquet


def write_summary(summary: RunSummary, folder: Path) -> dict[str, Any]:
    """Write the figures of a run into its folder.

    Parameters
    ----------
    summary : RunSummary
    folder : Path
        An empty folder.

    Returns
    -------
    dict
        Plain values for `state.json`, which `read_summary` needs beside the files.
    """
    (folder / "config.toml").write_text(to_toml(summary.config), "utf-8")
    stats, findings, issues = summary.group_stats, summary.findings, summary.label_issues
    columns = GroupColumns(len(summary.groups))
    found = None if findings is None else findings.to_dict()
    write_json(folder / "group_stats.json", columns.without(found, "group_stats"))
    metrics = None if summary.metrics is None else summary.metrics.to_dict() | _skipped(summary)
    write_json(folder / "metrics.json", columns.without(metrics, "metrics"))
    write_lines(folder / "history.jsonl", summary.history)
    _write_frame(folder / "predictions.parquet", summary.predictions)
    _write_frame(folder / "suspects.parquet", pd.DataFrame() if issues is None else issues)
    write_lines(folder / "suspects_shown.jsonl", [asdict(issue) for issue in summary.shown_issues])
    state = {
        "kind": summary.kind,
        "schema": summary.schema.to_json(),
        "source_summary": summary.source_summary,
        "target": summary.target.to_json(),
        "grouping": summary.grouping.to_json(),
        "train_count": summary.train_count,
        "class_count": summary.class_count,
        "density": summary.density,
        "group_stats": None if stats is None else stats.to_dict(),
        "transitions": None if summary.transitions is None else summary.transitions.to_dict(),
        "true_noise": summary.true_noise,
        "strengths": None if summary.strengths is None else summary.strengths.tolist(),
        "temperature": summary.temperature,
        "temperature_by": summary.temperature_by,
        "seconds": summary.seconds,
        "trials": [trial.to_dict() for trial in summary.trials],
        "rises": [rise.to_dict() for rise in summary.rises],
        "notes": list(summary.notes),
        "environment": dict(summary.environment),
        "own_test_rows": summary.own_test_rows,
    }
    apart: dict[str, Any] = columns.without(state, "state")
    columns.write(folder)
    return apart


def _skipped(summary: RunSummary) -> dict[str, int]:
    """Return how many steps of the training were left out, as not finite; nothing where these stop it."""
    counts = [row["skipped"] for row in summary.history if "skipped" in row]
    return {"skipped_steps": int(sum(counts))} if counts else {}


def facts(summary: RunSummary) -> dict[str, Any]:
    """Return the facts of the data that stand at the top of `state.json`.

    Scripts that check what was read look there, under these names. Loading a run reads none of them.
    """
    return {
        "classes": list(summary.classes),
        "found": summary.source_summary,
        "known": {"kinds": summary.schema.to_json()["kinds"]},
        "remarks": list(summary.notes),
    }


def read_summary(folder: Path, state: dict[str, Any]) -> RunSummary:
    """Return the figures that `write_summary` wrote.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    state : dict
        The values that `write_summary` returned.

    Raises
    ------
    UserError
        A file is damaged, or is not there; it is named.
    """
    config, method = _config(folder)
    with reading(STATE):
        own = state.get("group_stats")
        transitions = state.get("transitions")  # older runs have none
        stats = None if own is None else GroupStats.from_dict(own)
    with reading("group_stats.json"):
        found = with_columns(_read_json(folder / "group_stats.json"), folder)
        if found is not None and stats is None:  # older runs have one file of both
            stats = GroupStats.from_dict(found)
        findings = None if found is None else Findings.from_dict(found, found if own is None else own)
    with reading("metrics.json"):
        figures = with_columns(_read_json(folder / "metrics.json"), folder)
        metrics = None if figures is None else metrics_from_dict(figures)
    with reading("suspects_shown.jsonl"):
        shown = tuple(LabelIssue(**issue) for issue in _read_lines(folder / "suspects_shown.jsonl"))
    history = _read_lines(folder / "history.jsonl")
    predictions, issues = (_read_frame(folder / f"{name}.parquet") for name in ("predictions", "suspects"))
    with reading(STATE):
        return RunSummary(
            config=config,
            method=method,
            kind=state["kind"],
            schema=Schema.from_json(state["schema"]),
            source_summary=state["source_summary"],
            target=target_from_json(state["target"]),
            grouping=grouping_from_json(state["grouping"]),
            train_count=state["train_count"],
            class_count=state["class_count"],
            density=state["density"],
            true_noise=state["true_noise"],
            group_stats=stats,
            transitions=None if transitions is None else Transitions.from_dict(transitions),
            findings=findings,
            strengths=None if state["strengths"] is None else torch.tensor(state["strengths"]),
            label_issues=None if findings is None else issues,
            shown_issues=shown,
            metrics=metrics,
            predictions=predictions,
            temperature=state["temperature"],
            temperature_by=state.get("temperature_by", TEST),  # of older runs
            history=history,
            seconds=state["seconds"],
            trials=tuple(map(Trial.from_dict, state.get("trials", ()))),
            rises=tuple(map(Rise.from_dict, state.get("rises", ()))),
            notes=tuple(state["notes"]),
            environment=state["environment"],
            own_test_rows=state.get("own_test_rows", False),  # older runs don't say
        )


def _config(folder: Path) -> tuple[Config, Method]:
    """Return the settings of a run, and its method."""
    path = folder / "config.toml"
    with reading(path.name):
        if not path.read_bytes().strip():
            raise UserError("it is empty; restore it, or fit again", setting=path.name)
        try:
            config = read(path, {})
        except UserError as error:
            raise error.of(path.name) if error.setting == str(path) else error.at(path.name) from None
        return config, the_method(config) or make_method("har", {})


def write_json(path: Path, value: Any) -> None:
    """Write plain values as a file of JSON; no number may be NaN or infinite."""
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")


def _read_json(path: Path) -> Any:
    return json_value(path.read_text("utf-8"), path.name)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write plain values as JSON, an object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as Parquet with checksums, some rows at a time, with its index where that is the user's own."""
    own = own_index(frame) is not None
    frame = storable(frame) if own else frame
    schema = pa.Schema.from_pandas(frame, preserve_index=own)
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for start in range(0, max(1, len(frame)), ROWS):
            part = frame.iloc[start : start + ROWS]
            writer.write_table(pa.Table.from_pandas(part, schema, preserve_index=own))


def _read_frame(path: Path) -> pd.DataFrame:
    with reading(path.name):
        Footer(path).check_all()
        return pd.read_parquet(path, page_checksum_verification=True)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    with reading(path.name):
        return [json_value(line, path.name) for line in path.read_text("utf-8").splitlines()]
