"""The result of a fit: a model that predicts, and everything that was found out about the data; saved and loaded."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from skedastic.core.strengths import GroupStats
from skedastic.data import Encoder, Schema
from skedastic.data.targets.regression import Scale
from skedastic.errors import UserError
from skedastic.evaluation.metric import ACCURACY, ERROR, Measure
from skedastic.methods.bases.method import Method
from skedastic.noise.clusters import Clusters
from skedastic.report.content import Suspect
from skedastic.runs.folder import CHECKPOINTS, CLUSTERS, written
from skedastic.settings.config import Config, to_toml
from skedastic.training.loop import Trained

if TYPE_CHECKING:
    pass


FORMAT = 3  # of a run folder


@dataclass(frozen=True, eq=False)
class Result:
    """A trained model with its figures.

    group_stats: noise and density of each group, None where nothing was estimated. strengths: [G] λτ_g that was
    enforced on each group, None for methods without. suspects: training examples, the most suspect label first; None
    where nothing was estimated. metrics: on the test set, None without one. history: one row an epoch.
    true_noise: [G] share of wrong labels where clean ones are known, or mean square of target less true target; for
    evaluation only. classes: none where the targets are real. density: [G] as in GroupStats. known: what other data must match.
    temperature: at which its probabilities say how often it is right. found: what the source holds, in words.
    clusters: the groups, where they were found in the features of the classes.
    """

    config: Config
    recipe: Method
    trained: Trained
    encoder: Encoder
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    integer_labels: bool
    train_count: list[int]
    class_count: list[int]
    density: list[float]
    group_stats: GroupStats | None
    strengths: Tensor | None
    suspects: pd.DataFrame | None
    metrics: dict[str, Any] | None
    predictions: pd.DataFrame
    seconds: float
    schema: Schema
    true_noise: list[float | None] | None = None
    temperature: float | None = None
    found: str = ""
    notes: tuple[str, ...] = ()
    shown_suspects: tuple[Suspect, ...] = field(default=(), repr=False)
    clusters: Clusters | None = field(default=None, repr=False)

    @property
    def method(self) -> Method:
        """The method that was asked for; `trained.method` is that of its last stage."""
        return self.recipe

    @property
    def net(self) -> nn.Module:
        """The trained network, in evaluation mode."""
        return self.trained.state.net.eval()

    @property
    def scale(self) -> Scale | None:
        """The units of real targets; None where there are classes."""
        return self.trained.scale

    @property
    def measure(self) -> Measure:
        """What its metrics say of a group: accuracy, or error."""
        return ACCURACY if self.scale is None else ERROR

    @property
    def history(self) -> list[dict[str, Any]]:
        """Loss, accuracy on the labels as given, and learning rate, by epoch."""
        return self.trained.history

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities [n, C], columns in the order of `classes`, for features like those of `fit`."""
        if self.scale is not None:
            raise UserError("predict_proba: this model predicts numbers, not classes; use predict")
        probabilities: np.ndarray = self.trained.predict(self.encoder.for_prediction(X)).numpy()
        return probabilities

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each of n examples, or the number in the target's units, [n]."""
        if self.scale is not None:
            numbers: np.ndarray = self.trained.predict(self.encoder.for_prediction(X)).numpy()
            return numbers
        predicted: np.ndarray = self.labels[self.predict_proba(X).argmax(1)]
        return predicted

    @cached_property
    def labels(self) -> np.ndarray:
        """The labels of the classes [C], whole numbers if those of `fit` were."""
        return np.array([int(c) for c in self.classes]) if self.integer_labels else np.array(self.classes)

    def save(self, folder: str | Path, *, force: bool = False, checkpoints: str | Path | None = None) -> None:
        """Write a run folder, all or nothing. Refuses a folder that holds something, unless `force` and it is a run.

        checkpoints: the folder that `fit` kept checkpoints in; those of the method's stages are put in too.
        """
        from skedastic.report.html import render
        from skedastic.runs.model_card import model_card
        from skedastic.runs.reports import fit_report

        tensors = self.trained.state.state_dict()
        with written(folder, force) as new:
            (new / "config.toml").write_text(to_toml(self.config), "utf-8")
            save_file(
                {k: v.cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()},
                new / "model.safetensors",
            )
            clusters = None if self.clusters is None else self.clusters.save(new / CLUSTERS)
            _write_json(new / "state.json", self._state() | {"clusters": clusters})
            _write_json(new / "group_stats.json", None if self.group_stats is None else self.group_stats.to_dict())
            _write_json(new / "metrics.json", self.metrics)
            (new / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.history), "utf-8")
            self.predictions.to_parquet(new / "predictions.parquet", index=False)
            suspects = pd.DataFrame() if self.suspects is None else self.suspects
            suspects.to_parquet(new / "suspects.parquet", index=False)
            (new / "report.html").write_text(render(fit_report(self, Path(folder))), "utf-8")
            (new / "README.md").write_text(model_card(self, Path(folder)), "utf-8")
            if checkpoints is not None:
                _copy_stages(Path(checkpoints), new)

    def _state(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "classes": list(self.classes),
            "groups": list(self.groups),
            "integer_labels": self.integer_labels,
            "scale": None if self.scale is None else asdict(self.scale),
            "stages": list(self.trained.stages),
            "train_count": self.train_count,
            "class_count": self.class_count,
            "density": self.density,
            "strengths": None if self.strengths is None else self.strengths.tolist(),
            "true_noise": self.true_noise,
            "schema": self.schema.to_json(),
            "temperature": self.temperature,
            "found": self.found,
            "notes": list(self.notes),
            "seconds": self.seconds,
            "training_seconds": self.trained.seconds,
            "encoder": self.encoder.to_json(),
            "own_model": self.config.model.get("name") == "own",
        }


def _copy_stages(kept: Path, new: Path) -> None:
    """Copy the last checkpoint of each stage of the method; those of the estimate have served."""
    (new / CHECKPOINTS).mkdir()
    for path in (kept / CHECKPOINTS).glob("[0-9]*-*.safetensors"):
        shutil.copy(path, new / CHECKPOINTS)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")
