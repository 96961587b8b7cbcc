"""The result of a fit: a model that predicts, and everything that was found out about the data; saved and loaded."""

from __future__ import annotations

import base64
import io
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

from skedastic import models
from skedastic.calibration import fit_temperature
from skedastic.clusters import Clusters
from skedastic.config import Config, to_toml
from skedastic.core.strengths import GroupStats
from skedastic.data import Encoder, Known
from skedastic.data.targets import Scale
from skedastic.errors import UserError
from skedastic.estimate import Estimate
from skedastic.folder import CHECKPOINTS, CLUSTERS, written
from skedastic.measure import ACCURACY, ERROR, Measure, to_digits
from skedastic.methods.base import GROUP_STATS, Method, Task
from skedastic.report.content import Suspect
from skedastic.training.loop import Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skedastic.data import Dataset
    from skedastic.preparation import Data

SHOWN_SUSPECTS = 24
EXACT = 64  # pixels of the longer side of a suspect image up to which it is shown as it is
REDUCED = 160  # pixels that this side has at most, where an image is reduced


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
    known: Known
    true_noise: list[float | None] | None = None
    temperature: float | None = None
    found: str = ""
    remarks: tuple[str, ...] = ()
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
        from skedastic.report.build import fit_report
        from skedastic.report.card import model_card
        from skedastic.report.html import render

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
            "known": self.known.to_json(),
            "temperature": self.temperature,
            "found": self.found,
            "remarks": list(self.remarks),
            "seconds": self.seconds,
            "training_seconds": self.trained.seconds,
            "encoder": self.encoder.to_json(),
            "own_model": self.config.model.get("name") == "own",
        }


def make_result(
    config: Config,
    data: Data,
    method: Method,
    task: Task,
    trained: Trained,
    estimated: Estimate | None,
    metrics: dict[str, Any] | None,
    predicted: Tensor | None,
) -> Result:
    """Gather the result of a fit from what each part of the pipeline gave."""
    suspects = None if estimated is None else estimated.suspects
    return Result(
        config=config,
        recipe=method,
        trained=trained,
        encoder=data.encoder,
        classes=data.train.classes,
        groups=data.train.groups,
        integer_labels=data.source.integer_labels,
        train_count=data.train.group_counts().tolist(),
        class_count=task.class_count.long().tolist(),
        density=data.train.density().tolist(),
        group_stats=None if estimated is None else estimated.stats,
        strengths=trained.method.enforced(trained.state, task),
        suspects=suspects,
        metrics=metrics,
        predictions=_predictions(data.test, predicted),
        seconds=trained.seconds + (estimated.seconds if estimated and GROUP_STATS in method.needs else 0.0),
        known=data.source.known,
        true_noise=true_noise(data),
        temperature=_temperature(data, predicted),
        found=data.source.found,
        remarks=(*data.source.remarks, *data.remarks, *trained.remarks),
        shown_suspects=() if suspects is None else tuple(_shown(data, suspects)),
        clusters=data.clusters,
    )


def make_network(config: Config, encoder: Encoder, classes: Sequence[str]) -> Callable[[], nn.Module]:
    """Return the function that makes a fresh network of the configured model for what `encoder` gives.

    It has an output for each of the classes, and one where there are none: the targets are real.
    """
    options = {key: value for key, value in config.model.items() if key != "name"}
    return models.factory(str(config.model.get("name", "auto")), encoder.inputs, len(classes) or 1, options)


def _temperature(data: Data, predicted: Tensor | None) -> float | None:
    """Return the temperature of test rows at their labels as given: clean ones are for evaluation only."""
    if predicted is None or data.test_labels is None or data.train.scale is not None:
        return None
    return fit_temperature(predicted, data.test_labels)


def _predictions(test: Dataset | None, predicted: Tensor | None) -> pd.DataFrame:
    if test is None or predicted is None:
        return pd.DataFrame(columns=["index", "label", "predicted", "group"])
    group = _named(test.group, test.groups)
    if test.scale is not None:
        numbers = {"index": test.index, "label": test.y, "predicted": predicted}
        return pd.DataFrame({k: v.numpy() for k, v in numbers.items()} | {"group": group})
    columns = {
        "index": test.index.numpy(),
        "label": _named(test.y, test.classes),
        "predicted": _named(predicted.argmax(1), test.classes),
        "group": group,
    }
    shares = {f"p_{c}": predicted[:, i].numpy() for i, c in enumerate(test.classes)}
    return pd.DataFrame(columns | shares)


def _named(ids: Tensor, names: Sequence[str]) -> pd.Categorical[Any]:
    return pd.Categorical.from_codes(ids.numpy(), pd.Index(names))


def true_noise(data: Data) -> list[float | None] | None:
    """Return the share of wrong labels of each group, or the mean squared error of real targets, [G].

    None where no clean labels are known.
    """
    if data.truth is None:
        return None
    clean = data.truth.of(data.train.index)
    wrong = (clean != data.train.y).float() if data.train.scale is None else (clean - data.train.y) ** 2
    return [
        float(wrong[data.train.group == g].mean()) if (data.train.group == g).any() else None
        for g in range(len(data.train.groups))
    ]


def wrong_labels(data: Data) -> Tensor | None:
    """Return whether the label of each row of the source is wrong, of rows to train on; None where nothing is known, or targets are real."""
    if data.truth is None or data.train.scale is not None:
        return None
    index = data.train.index
    wrong = torch.zeros(int(index.max()) + 1, dtype=torch.bool)
    wrong[index] = data.truth.of(index) != data.train.y
    return wrong


def _shown(data: Data, suspects: pd.DataFrame) -> list[Suspect]:
    rows = suspects.head(SHOWN_SUSPECTS)
    clean = None if data.truth is None else data.truth.of(torch.tensor(rows["index"].to_numpy()))
    shown = []
    for i, row in enumerate(rows.to_dict("records")):
        image = data.source.image(row["index"])
        shown.append(
            Suspect(
                index=int(row["index"]),
                given=_written(row["given"]),
                suggested=_written(row["suggested"]),
                score=float(row["score"]),
                truth=None if clean is None else _true(data, clean[i]),
                image=None if image is None else _data_uri(image),
                row={} if image is not None else data.source.describe(row["index"]),
            )
        )
    return shown


def _written(answer: str | float) -> str:
    return answer if isinstance(answer, str) else to_digits(answer, 4)


def _true(data: Data, clean: Tensor) -> str:
    return data.train.classes[int(clean)] if data.train.classes else to_digits(float(clean), 4)


def _data_uri(image: Any) -> str:
    """Return an image that a page can hold: a PNG; of a large one a small JPEG, since 24 large PNGs are megabytes."""
    buffer, kind = io.BytesIO(), "png" if max(image.size) <= EXACT else "jpeg"
    image.thumbnail((REDUCED, REDUCED))
    image.save(buffer, kind)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def _copy_stages(kept: Path, new: Path) -> None:
    """Copy the last checkpoint of each stage of the method; those of the estimate have served."""
    (new / CHECKPOINTS).mkdir()
    for path in (kept / CHECKPOINTS).glob("[0-9]*-*.safetensors"):
        shutil.copy(path, new / CHECKPOINTS)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")
