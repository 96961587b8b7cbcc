"""Configuration: one frozen dataclass decides a run; `settings.reading` reads and writes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from skedastic.configurable import Configurable, setting
from skedastic.data.settings import ColumnSettings, TextSettings, clusters_asked
from skedastic.errors import UserError
from skedastic.settings.data_apart import DataApart, HoldOut, Nothing
from skedastic.settings.model_choice import ModelChoice, NamedModel
from skedastic.settings.wall_time import WallTime
from skedastic.training.config import Training, TrainingConfig

EstimateKind = Literal["cross-fit", "paper", "annotators"]
Estimator = Literal["model", "hgb", "logistic"]
Uncertainty = Literal["true-labels", "errors"]
GrossErrors = Literal["auto", "set-aside", "keep"]
QUARTER = 0.25
LEAST_EPOCHS = 15  # of an estimating model, where the training configuration has as many
SEEDS = "[0, 2147483647]"


@dataclass(frozen=True, kw_only=True)
class Estimation(Configurable):
    """How the noise of the groups is estimated.

    "cross-fit" holds every example out once, in one of `folds` folds, and shrinks the groups' rates of wrong labels
    toward each other (empirical Bayes). "paper" trains on one random half and counts all errors on the other
    (Algorithm 1). "annotators" takes the disagreement of annotators for the noise, and trains nothing. None is for
    methods that need no estimate. A quarter of 60 epochs of SGD leaves the ranking of the groups as it is
    (benchmarks/estimate_epochs.py).
    """

    section: ClassVar[str | None] = "estimate"

    kind: EstimateKind | None = setting(
        "cross-fit",
        "how noise is estimated: each example held out once, on one random half as in the paper, from annotators, or "
        "not at all",
    )
    by: Estimator | None = setting(
        None,
        "what makes the held-out predictions: networks of the model, or for classes in columns, and texts as numbers, "
        "classifiers of scikit-learn: hgb (HistGradientBoostingClassifier) or logistic (LogisticRegression); by "
        "default networks, and in narrow rows hgb where it predicts labels better",
    )
    folds: int = setting(2, "folds of cross-fit; every example is held out once", "[2, inf)")
    uncertainty: Uncertainty = setting(
        "true-labels",
        "how cross-fit tells how uncertain labels are: by the likely true labels that explain the given ones, or by "
        "all errors of the held-out predictions, as the paper does",
    )
    epochs: float | None = setting(
        None,
        "epochs of each estimating model, as a fraction of the training configuration's; by default all for paper and "
        "a quarter for cross-fit, there at least 15 where the training configuration has as many",
        "(0, 10]",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.of_networks:
            return
        if self.kind not in ("cross-fit", "paper"):
            rule = (
                f"nothing is predicted for the estimate with estimate.kind={self.kind or 'none'}; leave one of them out"
            )
            raise UserError(rule, setting="estimate.by", value=self.by)
        if self.epochs is not None:
            rule = f"epochs are those of networks, and estimate.by={self.by} trains none; leave it out"
            raise UserError(rule, setting="estimate.epochs", value=self.epochs)

    @property
    def of_networks(self) -> bool:
        """Whether networks of the model are trained for it."""
        return self.by in (None, "model")

    @property
    def counts_errors(self) -> bool:
        """Whether the error rate of held-out predictions is taken for the uncertainty of labels."""
        return self.kind == "paper" or self.uncertainty == "errors"

    def epochs_of(self, training: Training) -> int:
        """Return the epochs of an estimating model.

        Parameters
        ----------
        training : Training
            The training configuration, whose epochs are the whole.
        """
        if self.epochs is None and self.kind != "paper":
            return max(min(LEAST_EPOCHS, training.epochs), round(training.epochs * QUARTER))
        return max(1, round(training.epochs * (self.epochs or 1.0)))


@dataclass(frozen=True, kw_only=True)
class Config(ColumnSettings):
    """All settings of a run.

    A field that is a table, such as `train`, has settings of its own: `[train]` in a file, `--set train.lr=0.1` on the
    command line.
    """

    source: str | None = setting(None, "file, folder or built-in set to learn from; none where data is given in Python")
    labels: str | None = setting(None, "file of corrected labels, which take the place of the source's")
    pred_probs: str | None = setting(
        None,
        "file of your own out-of-sample class probabilities, which take the place of the estimate's predictions: a row "
        "for each row of the source, in its order, and a column for each class (.npy, .csv, .parquet)",
    )
    test: DataApart = setting(HoldOut(0.2), "test data: a share of the rows to hold out, a file, or none")
    reference: DataApart = setting(
        Nothing(),
        "trusted examples, which mw-net, l2rw and their kin learn from: a file, or a share of the training rows to set "
        "apart before anything is corrupted, as many of each class",
    )
    noise: str | None = setting(
        None,
        'noise to corrupt training labels with: "1<->8:0.4", "a->b:0.3", "a<->b<->c:0.4", "uniform:0.2", "pairs:0.2"; '
        "#3 is the class at position 3, from 0",
    )
    imbalance: str | None = setting(
        None, 'imbalance to make by removing training examples: "step:10:1,3,8", "longtail:100"'
    )
    gross_errors: GrossErrors = setting(
        "auto",
        "training rows whose target is a number that looks like a gross error, or wrong inside the range: set-aside "
        "trains without them, and keep trains on them; auto sets them aside where no method is named",
    )
    limit: int | None = setting(None, "training examples to use, drawn by seed; by default all", "[2, inf)")
    seed: int = setting(0, "seed of the split, the initial weights and the batches", SEEDS)
    budget: WallTime | None = setting(
        None,
        "wall time that a fit may take in all, such as 90s, 10m or 1.5h, in place of epochs: it trains for fewer where "
        "the default ones would take longer, and never for more, which would fit wrong labels",
    )
    checkpoint_every: float = setting(
        60.0,
        "least seconds between two checkpoints of a fit, within an epoch too; 0 is at the end of each epoch, inf at "
        "that of each stage",
        "[0, inf]",
    )
    method: Mapping[str, Any] = setting(
        meaning="method by its name, with its settings beside it; where nothing is said, auto chooses the way of "
        "training for classes in tables and texts, and for the rest it is har",
        factory=dict,
    )
    model: ModelChoice = setting(NamedModel(), "model by its name, with its options beside it")
    tokens: TextSettings = setting(meaning="how text becomes tokens or numbers", factory=TextSettings)
    train: TrainingConfig = setting(meaning="how every method is trained", factory=TrainingConfig)
    estimate: Estimation = setting(meaning="how the noise of the groups is estimated", factory=Estimation)
    methods: tuple[str, ...] = setting(("erm", "unif", "har"), "methods that a comparison compares, or all")
    yardstick: bool = setting(
        True,
        "whether boosted trees are a row of every comparison whose task and columns suit them, so that one sees where "
        "they win",
    )
    seeds: int = setting(
        5, "seeds of a comparison: how many splits, corruptions and initial weights there are", "[1, inf)"
    )
    first_seed: int = setting(0, "first seed of a comparison", SEEDS)
    focus: tuple[str, ...] = setting(
        (),
        "groups whose mean accuracy, or error, is the headline of a comparison; a name with a comma in double quotes",
    )
    notes: tuple[str, ...] = setting((), "notes to print in the report")

    @property
    def training(self) -> Training:
        """The settings of training, settled; those of a run are."""
        return self.train.settled()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train.is_settled:
            object.__setattr__(self, "train", self.train.settled())
        if self.budget is not None and self.train.epochs is not None:
            rule = f"it says how many epochs there are, and so does train.epochs={self.train.epochs}"
            raise UserError(f"{rule}; leave one of them out", setting="budget", value=self.budget.text)
        self._check_clusters()
        self._check_pred_probs()
        if not isinstance(self.method.get("name", ""), str):
            raise UserError("must be text, the name of a method", setting="method.name", value=self.method["name"])
        for name in ("methods", "focus"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise UserError("the same name stands twice; give each once", setting=name, value=",".join(given))
        if not self.methods:
            raise UserError("is empty; name at least one, for example --methods erm,har", setting="methods")

    @property
    def clusters(self) -> int | None:
        """The number of clusters of each class, where clusters are the groups; else None."""
        return clusters_asked(self.groups)

    def _check_clusters(self) -> None:
        if self.clusters is None:
            return
        if self.estimate.kind != "cross-fit":
            networks = "the networks that estimate the noise find the clusters, each on rows that were held out of it"
            rule = f"{networks}; take estimate.kind=cross-fit, not {self.estimate.kind or 'none'}"
            raise UserError(rule, setting="groups", value=self.groups)
        if not self.estimate.of_networks or self.pred_probs is not None:
            other = "pred_probs" if self.pred_probs is not None else f"estimate.by={self.estimate.by}"
            rule = (
                f"the networks that estimate the noise find the clusters, and {other} needs none; leave one of them out"
            )
            raise UserError(rule, setting="groups", value=self.groups)
        for name in ("bins", "focus"):
            if getattr(self, name):
                rule = "the groups are clusters, which are not known beforehand; leave it out"
                raise UserError(rule, setting=name, value=self.bins if name == "bins" else ",".join(self.focus))

    def _check_pred_probs(self) -> None:
        """Raise UserError for a setting that has no meaning beside the user's own probabilities."""
        if self.pred_probs is None:
            return
        if not self.pred_probs.strip():
            rule = "must be the name of a file with a row for each row of the source, and a column for each class"
            raise UserError(rule, setting="pred_probs", value=self.pred_probs)
        usual = Estimation()
        for name in ("kind", "by", "folds", "epochs"):
            if (value := getattr(self.estimate, name)) != getattr(usual, name):
                rule = "nothing is trained for the estimate, which takes the probabilities of pred_probs"
                shown = "none" if value is None else value
                raise UserError(f"{rule}; leave one of them out", setting=f"estimate.{name}", value=shown)
        if self.noise is not None:
            rule = "it changes labels, and the probabilities of pred_probs were made for those of the source"
            raise UserError(f"{rule}; leave one of them out", setting="noise", value=self.noise)

    @property
    def column_roles(self) -> dict[str, Any]:
        """The settings of the columns of a source: the fields of `ColumnSettings`. Clusters are in no column."""
        roles = {field.name: getattr(self, field.name) for field in dataclasses.fields(ColumnSettings)}
        return roles if self.clusters is None else roles | {"groups": None}
