"""The result of a fit: the figures of the run, and the network that predicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from torch import Tensor, nn

from skedastic.data import Encoder
from skedastic.errors import UserError
from skedastic.methods.bases.wrapper import wrapped
from skedastic.noise.clusters import Clusters
from skedastic.report.html import render
from skedastic.report.listed import MOST_LISTED
from skedastic.runs.calibration import Calibrate, calibration
from skedastic.runs.folder import CHECKPOINTS, FORMAT, GROUP_COLUMNS, GROUPS, WITH_COLUMNS, written
from skedastic.runs.groups_table import groups_table
from skedastic.runs.model_card import model_card
from skedastic.runs.own_index import like_input
from skedastic.runs.reports import fit_report
from skedastic.runs.saved_network import copy_checkpoints, write_network
from skedastic.runs.saved_summary import facts, write_json, write_summary
from skedastic.runs.sentences import fit_outcome
from skedastic.runs.summary import RunSummary
from skedastic.runs.true_classes import Labels, true_classes
from skedastic.training.loop import Trained


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result(RunSummary):
    """A trained model with its figures.

    Parameters
    ----------
    trained : Trained
        The network; `trained.method` is the method of its last stage.
    encoder : Encoder
        The way from features to the network's input.
    clusters : Clusters or None
        The groups, where these are clusters of features.
    checkpoints : Path or None
        Folder that keeps the checkpoints of a run that was loaded; `save` copies them.
    **figures
        The fields of `RunSummary`.
    """

    trained: Trained
    encoder: Encoder
    clusters: Clusters | None = None
    checkpoints: Path | None = None

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}. {fit_outcome(self)}>"

    @classmethod
    def of(
        cls,
        summary: RunSummary,
        trained: Trained,
        encoder: Encoder,
        clusters: Clusters | None,
        checkpoints: Path | None = None,
    ) -> Result:
        """Return the result that has the figures of `summary`; the other parameters are the fields."""
        figures = {f.name: getattr(summary, f.name) for f in fields(RunSummary)}
        return cls(**figures, trained=trained, encoder=encoder, clusters=clusters, checkpoints=checkpoints)

    @property
    def net(self) -> nn.Module:
        """The trained network, in evaluation mode; where trees predict beside it, with them."""
        return self.trained.method.net(self.trained.state).eval()

    def calibration(
        self, labels: Labels = "given", *, calibrated: bool = False, say: Callable[[str], None] | None = None
    ) -> Calibrate:
        """Return the function that probabilities [n, C] go through before they are used.

        Parameters
        ----------
        labels : str, optional
            "given": the network's own, of the labels as the training rows have them where it was trained plainly.
            "true": of the true classes behind them, by the estimate of how labels go wrong. "auto": of the true classes
            where the network was trained plainly, the estimate explains held-out labels better by two standard errors,
            and every class keeps its predictions.
        calibrated : bool, optional
            Whether probabilities are at the run's temperature first.
        say : callable, optional
            Is told what auto chose and why, or what speaks against the true classes that were asked for; by default a
            warning is given.

        Raises
        ------
        UserError
            There is no temperature; or the true classes are asked for, and nothing tells how labels go wrong.
        """
        of = "neither" if self._refitted else self.trained.method.probabilities_of
        return true_classes(self, of, labels, calibration(self, calibrated), say or _warn)

    def predict_proba(self, X: Any, *, labels: Labels = "given") -> np.ndarray | pd.DataFrame:
        """Return the probability of each class.

        Parameters
        ----------
        X : array, frame, tensor or list
            Features of n examples, like those of `fit`.
        labels : str, optional
            "given", "true" or "auto", as in `calibration`.

        Returns
        -------
        ndarray, or DataFrame with the index of a frame of pandas
            Probabilities, [n, C] in [0, 1]; columns in the order of `classes`.

        Raises
        ------
        UserError
            The model predicts numbers, the features are not like those of `fit`, or nothing is known of the true
            classes.
        """
        if not self.target.has_probabilities:
            raise UserError("this model predicts numbers, not classes; use predict", setting="predict_proba")
        probabilities: np.ndarray = self._predicted(X, labels).numpy()
        given: np.ndarray | pd.DataFrame = like_input(probabilities, X, self.classes)
        return given

    def predict(self, X: Any, *, labels: Labels = "given") -> np.ndarray | pd.Series:
        """Return the most probable label of each example, or for regression a number in the target's units.

        Parameters
        ----------
        X : array, frame, tensor or list
            Features of n examples, like those of `fit`.
        labels : str, optional
            "given", "true" or "auto", as in `calibration`.

        Returns
        -------
        ndarray, or Series with the index of a frame of pandas
            Labels or numbers, [n].

        Raises
        ------
        UserError
            The features are not like those of `fit`, or nothing is known of the true classes.
        """
        predicted = self._predicted(X, labels)
        given: np.ndarray | pd.Series = like_input(self.target.values(self.target.best(predicted)), X)
        return given

    @property
    def _refitted(self) -> bool:
        """Whether the last stage of the method, or of what it wraps, changed a network that was there."""
        return any(method.refits for method in wrapped(self.method))

    def _predicted(self, X: Any, labels: Labels) -> Tensor:
        return self.calibration(labels)(self.trained.predict(self.encoder.for_prediction(X)))

    def save(self, folder: str | Path, *, force: bool = False, checkpoints: str | Path | None = None) -> None:
        """Write a run folder, all or nothing.

        Parameters
        ----------
        folder : str or Path
            The folder to write. One that holds something is refused.
        force : bool, optional
            Whether to replace the folder where it is a run.
        checkpoints : str or Path, optional
            The folder that `fit` kept checkpoints in: those of the method's stages become part of the run. By default
            a run that was loaded keeps its own.

        Raises
        ------
        UserError
            The folder can't be written, or the checkpoints are no longer there.
        """
        kept = self._own_checkpoints() if checkpoints is None else Path(checkpoints)
        with written(folder, force) as new:
            summary = write_summary(self, new)
            network = write_network(self.trained, self.encoder, self.clusters, new)
            form = WITH_COLUMNS if (new / GROUP_COLUMNS).exists() else FORMAT
            state = {"format": form, **facts(self), "summary": summary, "network": network}
            write_json(new / "state.json", state)
            report = fit_report(self, Path(folder))
            (new / "report.html").write_text(render(report), "utf-8")
            if len(report.groups) > MOST_LISTED:
                pq.write_table(groups_table(report.groups), new / GROUPS)
            (new / "README.md").write_text(model_card(self, Path(folder)), "utf-8")
            if kept is not None:
                copy_checkpoints(kept, new)

    def _own_checkpoints(self) -> Path | None:
        if self.checkpoints is not None and not (self.checkpoints / CHECKPOINTS).is_dir():
            rule = "the run's checkpoints are no longer there; say with checkpoints= where they are"
            raise UserError(rule, setting="checkpoints", value=str(self.checkpoints))
        return self.checkpoints


def _warn(note: str) -> None:
    warnings.warn(note, stacklevel=4)
