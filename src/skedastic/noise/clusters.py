"""Groups that the data makes: the clusters of each class, in the held-out features of a network.

`--groups cluster:K`. A class is often several things, and a model can be bad at one of them behind a good average. As
in GEORGE (Sohoni et al., "No Subclass Left Behind", NeurIPS 2020), the examples of each class are clustered by the
features that a plainly trained network's last layer reads. Here each class has K clusters, by k-means of the features'
directions (their length tells how sure the network is, not which class it is sure of). The features of a row are those
of an estimating network that was not trained on it, so that a memorized label is not a cluster of its own. The
networks' clusters are matched on the first network's held-out rows, and the first network tells the clusters of other
rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from skedastic.core.heads import run_with_features
from skedastic.data import Dataset, Grouping
from skedastic.data.dataset import Features
from skedastic.data.settings import CLUSTER
from skedastic.errors import UserError
from skedastic.training.loop import Trained
from skedastic.training.tensor_files import write_tensors

ROWS = 2  # of a class in each fold, for a cluster
MOST_FITTED = 20_000  # rows of a class that the means are found with
STARTS = 10
NET = "net."  # before the names of the network's tensors, where they are saved
LOW = 0.5  # agreement of the estimating networks, below which a note says so


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of each class; numbers are clustered as if of one class.

    Parameters
    ----------
    trained : Trained
        The network whose features are clustered.
    means : Tensor
        The mean of each cluster, [G, d], of features of length 1.
    of_class : Tensor
        The class of each cluster, [G].
    names : tuple of str
        The names of the G clusters; "class/1" is the largest of a class.
    agreement : float
        The share, in [0, 1], of held-out rows that another estimating network puts into the same cluster.
    """

    trained: Trained
    means: Tensor
    of_class: Tensor
    names: tuple[str, ...]
    agreement: float

    def of(self, x: Features, y: Tensor) -> Tensor:
        """Return the cluster [n] of each example, among those of its class.

        Parameters
        ----------
        x : Features
            The features, as `Dataset.x`, n examples.
        y : Tensor
            The label of each, [n]; where targets are numbers, any numbers.
        """
        target = self.trained.target
        return _nearest(_directions(self.trained, x, target.outputs), target.strata(y), self.means, self.of_class)

    def regrouped(self, dataset: Dataset) -> Dataset:
        """Return a data set whose groups are these clusters, by its labels.

        Parameters
        ----------
        dataset : Dataset
            Examples of the same kind as the training set.
        """
        return replace(dataset, group=self.of(dataset.x, dataset.y), grouping=Grouping(self.names))

    @property
    def note(self) -> str:
        """A note for the user."""
        sure = "" if self.agreement >= LOW else ", so another estimate would find others: take fewer, or train longer"
        return (
            f"the groups are {len(self.names)} clusters of held-out features; the estimating networks agree on at "
            f"least {int(self.agreement * 10) / 10:.0%} of the rows{sure}"
        )

    def save(self, path: Path) -> dict[str, Any]:
        """Write the tensors; return the rest as plain JSON values.

        Parameters
        ----------
        path : Path
            The safetensors file.
        """
        net = {f"{NET}{name}": tensor for name, tensor in self.trained.state.state_dict().items()}
        write_tensors(net | {"means": self.means, "of_class": self.of_class}, path)
        return {"names": list(self.names), "agreement": self.agreement, "stages": list(self.trained.stages)}


def find_clusters(
    dataset: Dataset, fold: Tensor, networks: Sequence[Trained], number: int, seed: int
) -> tuple[Clusters, Tensor]:
    """Return the clusters of a training set, and the cluster of each example [n].

    Parameters
    ----------
    dataset : Dataset
        The n training examples.
    fold : Tensor
        The network that each example was held out from, [n].
    networks : sequence of Trained
        The estimating networks.
    number : int
        The number of clusters of each class, at least 2.
    seed : int
        Of k-means.

    Raises
    ------
    UserError
        A class has too few rows, or too few kinds of them, for as many clusters.
    """
    classes = dataset.classes or ("",)
    outputs, y = dataset.target.outputs, dataset.strata
    counts = torch.stack([torch.bincount(y[fold == k], minlength=outputs) for k in range(len(networks))])
    _check_rows(counts.sum(0), counts.amin(0), len(networks), classes, number)  # folds of whole units are uneven
    of_class = torch.arange(len(classes)).repeat_interleave(number)
    group = torch.full_like(y, -1)
    first, agreed, compared = Tensor(), 0, 0
    for k, network in enumerate(networks):
        own = (fold == k).nonzero().flatten()
        features = _directions(network, dataset.subset(own).x, outputs)
        means = torch.cat([_means(features[y[own] == c], number, seed, name) for c, name in enumerate(classes)])
        group[own] = _nearest(features, y[own], means, of_class)
        if k == 0:
            first = means
            continue
        shared = (fold == 0).nonzero().flatten()
        theirs = _nearest(_directions(network, dataset.subset(shared).x, outputs), y[shared], means, of_class)
        match, same = _matched(group[shared], theirs, number, len(of_class))
        group[own] = match[group[own]]
        agreed, compared = agreed + same, compared + len(shared)
    order = _by_size(group, number, len(of_class))
    position = torch.empty_like(order)
    position[order] = torch.arange(len(order))
    names = tuple(f"{classes[i // number] or 'cluster'}/{i % number + 1}" for i in range(len(of_class)))
    return Clusters(networks[0], first[order], of_class, names, agreed / max(compared, 1)), position[group]


def check_clusters(number: int | None, dataset: Dataset, folds: int, make_net: Callable[[], nn.Module]) -> None:
    """Check, before anything is trained, that clusters can be made.

    Parameters
    ----------
    number : int or None
        The number of clusters of each class; None where the groups are no clusters.
    dataset : Dataset
        The training set.
    folds : int
        The number of folds of the estimate.
    make_net : callable
        Makes the network.

    Raises
    ------
    UserError
        A class has too few rows, or the network has no last layer whose input tells rows apart.
    """
    if number is None:
        return
    count = torch.bincount(dataset.strata)
    _check_rows(count, count // folds, folds, dataset.classes or ("",), number)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        two = dataset.subset(torch.arange(2)).x[torch.arange(2)]
        run_with_features(make_net().eval(), dataset.target.outputs, two)


def _check_rows(count: Tensor, in_fold: Tensor, folds: int, classes: Sequence[str], number: int) -> None:
    """Refuse a class that has too few rows.

    count: the rows of each class, [C]; in_fold: those in the fold that has least, [C].
    """
    least = int(in_fold.argmin())
    if in_fold[least] < ROWS * number:
        of = f"class {classes[least]!r} has" if classes[least] else "there are"
        rule = (
            f"{of} {int(count[least])} training rows, and {number} clusters found with {folds} folds need "
            f"{ROWS * number * folds}; take fewer clusters, or more rows"
        )
        raise UserError(rule, setting="groups", value=f"{CLUSTER}{number}")


def _directions(network: Trained, x: Features, outputs: int) -> Tensor:
    """Return the features [n, d] of length 1; 0 where there are none."""
    return F.normalize(network.features(x, outputs))


def _means(features: Tensor, number: int, seed: int, name: str) -> Tensor:
    """Return the means [number, d] of the clusters of features [n, d]."""
    from sklearn.cluster import KMeans  # takes a second to import
    from sklearn.exceptions import ConvergenceWarning

    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(features))[:MOST_FITTED]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            clusters = KMeans(number, n_init=STARTS, random_state=seed).fit(features[rows].double().numpy())
        except ConvergenceWarning:
            of = f" in class {name!r}" if name else ""
            rule = (
                f"the network tells fewer than {number} kinds of rows apart{of}; take fewer clusters, or train longer"
            )
            raise UserError(rule, setting="groups", value=f"{CLUSTER}{number}") from None
    return torch.from_numpy(clusters.cluster_centers_).float()


def _nearest(features: Tensor, y: Tensor, means: Tensor, of_class: Tensor) -> Tensor:
    """Return the nearest of the means [G, d] for each row of features [n, d], of those of its class y [n]."""
    nearest = []
    for rows in torch.split(torch.arange(len(features)), 65_536):
        distance = torch.cdist(features[rows], means, compute_mode="donot_use_mm_for_euclid_dist")
        nearest.append(distance.masked_fill(of_class != y[rows, None], float("inf")).argmin(1))
    return torch.cat(nearest) if nearest else torch.zeros(0, dtype=torch.int64)


def _matched(ours: Tensor, theirs: Tensor, number: int, total: int) -> tuple[Tensor, int]:
    """Return our cluster for each of theirs [total], such that most rows agree, and the number of rows that do."""
    from scipy.optimize import linear_sum_assignment

    both: NDArray[np.int64] = np.zeros((total, total), dtype=np.int64)
    np.add.at(both, (theirs.numpy(), ours.numpy()), 1)
    match, same = np.arange(total), 0
    for start in range(0, total, number):
        part = both[start : start + number, start : start + number]
        rows, columns = linear_sum_assignment(part, maximize=True)
        match[start + rows] = start + columns
        same += int(part[rows, columns].sum())
    return torch.from_numpy(match), same


def _by_size(group: Tensor, number: int, total: int) -> Tensor:
    """Return the clusters [total] in their order: class by class, the largest first."""
    count = torch.bincount(group, minlength=total).view(-1, number)
    start = torch.arange(0, total, number)[:, None]
    return (count.argsort(dim=1, descending=True, stable=True) + start).flatten()
