"""The result of a comparison: its figures, and the folder that they are written to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skedastic.report.html import render
from skedastic.runs.comparison_summary import ComparisonSummary
from skedastic.runs.folder import written
from skedastic.runs.reports import comparison_report
from skedastic.runs.saved_summary import write_json, write_lines
from skedastic.runs.seeds import SeedOutcome
from skedastic.settings.reading import to_toml


@dataclass(frozen=True, eq=False)
class Comparison(ComparisonSummary):
    """The result of `compare`: a `ComparisonSummary` that can be saved.

    Parameters
    ----------
    **figures
        The fields of `ComparisonSummary`.
    """

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write `config.toml`, `compare.json`, `seeds.jsonl` and `report.html`, all or nothing.

        Parameters
        ----------
        folder : str or Path
            The folder to write. One that holds something is refused.
        force : bool, optional
            Whether to replace the folder where skedastic wrote it.

        Raises
        ------
        UserError
            The folder can't be written.
        """
        with written(folder, force) as new:
            (new / "config.toml").write_text(to_toml(self.config), "utf-8")
            write_json(new / "compare.json", self.to_dict())
            write_lines(new / "seeds.jsonl", [_figures(outcome) for outcome in self.outcomes])
            (new / "report.html").write_text(render(comparison_report(self)), "utf-8")


def _figures(outcome: SeedOutcome) -> dict[str, Any]:
    """Return the line of a seed in `seeds.jsonl`."""
    return {
        "seed": outcome.seed,
        "metrics": {name: metrics.to_dict() for name, metrics in outcome.metrics.items()},
        "group_stats": outcome.findings,
        "strengths": outcome.strengths,
        "trials": {name: [trial.to_dict() for trial in trials] for name, trials in outcome.trials.items()},
        "predictors": outcome.predictors,
        "seconds": outcome.seconds,
        "failed": outcome.failed,
    }
