"""What the true class of each example is likely to be, from held-out predictions, labels and how labels go wrong.

A model of three parts explains the given label y_i by the held-out probabilities p_i of its fold f. T[z, y] is the
chance that an example of class z is labelled y, and of no class more often another label than its own. A network that
learned from such labels predicts p = q T, the chances of the given labels, so that q, those of the true class, are

    u_i = p_i T⁻¹                               bent to be above 0
    q_i = softmax(a_f log u_i + b_f)
    P(y_i) = Σ_z q_i(z) T[z, y_i]

The sharpness a_f and the biases b_f put right that a network is too sure, or not sure enough, and takes a noisy class
for a rare one. a, b and T are those of the largest posterior density (L-BFGS). The weak priors: log a_f ~ N(0, 1/2²),
b_f ~ N(0, 1), and a Dirichlet on each row of T, with 2 on the diagonal and 0.1 spread over the rest: no noise, unless
the labels say so. Probabilities that are right to the last digit can be explained by noise and by classes that overlap
alike; so a fiftieth of the entropy of q is a cost, and features are taken to tell the class where they can.

The density has several maxima: that labels of one class go wrong, or that the other class is hard, explains them about
as well. Labels to check are ranked by π averaged over maxima from three starts, each with weight exp(−Δ/5), Δ by how
many nats its density is lower. Both quantities are of the highest maximum from the first two.

The posterior π_i(z) ∝ q_i(z) T[z, y_i] has both quantities of each example: 1 − π_i(y_i), the chance that its label is
wrong, and Σ_z π_i(z) (1 − max_j T[z, j]), how uncertain labels are where it lies. The first is of the label, the second
of the place. They agree where classes are exchanged alike, and part where labels go wrong one way.

Of more than 100 classes T is not fitted: each step takes C³ operations. `many_classes` has the posterior then. Either
way π is of each row alone. It is made for blocks of rows and not kept: what is kept is [n].

Ours. T is the transition matrix of Patrini et al., "Making Deep Neural Networks Robust to Label Noise", CVPR 2017; it
is fitted to all labels here, not read off the surest example of each class. What no such model can tell is noise that
follows from the features: a network learns it and agrees with it. Against the truth: benchmarks/noise_estimate.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from torch import Tensor

from skedastic.core.choice import Gain, gives_up_a_class
from skedastic.core.transitions import Transitions, of_true_classes
from skedastic.noise.blocks import blocks
from skedastic.noise.confident_joint import confident_joint
from skedastic.noise.label_density import NEVER, TINY, Floats, Integers, LabelDensity, as_tensor
from skedastic.noise.many_classes import likely_classes

STARTS = (0.3, 0.05)  # of the labels of each class are wrong at the outset; the better end of the two is taken
FEW_LABELS = 0.01  # beside the counts of the confident joint, the third start
ABOUT_AS_HIGH = 5.0  # nats, by which a maximum of e times the weight of another is higher; chosen among 1, 3, 5, 10, 20
STEPS = 200
SETTLED = 1e-7  # of the loss, by which a step must lower it
MOST_CLASSES = 100  # of which T is fitted
MANY_CLASSES, FIRST_STEPS = 30, 30  # above so many classes one start is left after so many steps: steps are slow
MOST_CELLS = 200_000  # rows × classes that a, b and T are fitted to, but 2,000 rows; the posterior is of all rows
LEAST_ROWS = 2_000
LEAST_UNITS = 20  # that tell a gain in likelihood
LIKE_ALL = 2.0  # examples of a group that are as wrong as all are
GROUP_STEPS = 30


class TellsTrueClasses(Protocol):
    """What tells the true classes of examples from their predictions and labels."""

    def posterior(self, probabilities: NDArray[Any], y: Integers, fold: Integers) -> Floats:
        """Return π of examples, [m, C]; arguments as in `true_labels`."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class TrueLabels:
    """The likely true classes of n examples of C classes, held out in K folds.

    Parameters
    ----------
    transitions : ndarray or None
        T, the chance of each given class for a true one, [true, given]; rows sum to 1. None of more than 100 classes.
    sharpness, bias : ndarray or None
        a, [K] > 0, and b, [K, C]; None where T is.
    by : TellsTrueClasses
        Tells π, the chance of each true class with the label given, averaged over maxima of the density.
    right : ndarray
        The chance of the label by π, π_i(y_i), [n].
    suggested : ndarray
        The most likely class but the label, [n] int32.
    wrong, uncertain : ndarray
        The chance that the label is wrong, and how uncertain labels are at the example, [n] in [0, 1].
    wrong_apart, uncertain_apart : ndarray
        The same by a, b and T of the example's own fold alone, [n]: how far folds differ tells the model's error.
    """

    transitions: Floats | None
    sharpness: Floats | None
    bias: Floats | None
    by: TellsTrueClasses
    right: Floats
    suggested: NDArray[np.int32]
    wrong: Floats
    uncertain: Floats
    wrong_apart: Floats
    uncertain_apart: Floats

    def of(self, kept: NDArray[np.bool_]) -> TrueLabels:
        """Return the same of some of the examples.

        Parameters
        ----------
        kept : ndarray
            Whether an example is one of them, [n] bool.
        """
        columns = ("right", "suggested", "wrong", "uncertain", "wrong_apart", "uncertain_apart")
        return replace(self, **{name: getattr(self, name)[kept] for name in columns})


def true_labels(probabilities: NDArray[Any], y: Integers, fold: Integers) -> TrueLabels:
    """Return the likely true classes of examples by their held-out predictions and labels.

    Parameters
    ----------
    probabilities : ndarray
        Class probabilities of each example by a model that was not trained on it, [n, C], all finite.
    y : ndarray
        The given labels, [n] in 0..C-1.
    fold : ndarray
        The model that each prediction is of, [n] in 0..K-1.
    """
    if probabilities.shape[1] > MOST_CLASSES:
        return _of_many_classes(probabilities, y, fold)
    maxima = _maxima(probabilities, y, fold, beside=True)
    whole, averaged = maxima[0].fit, _Averaged.over(maxima)
    wrong, uncertain = _both(whole, probabilities, y, fold)
    right, suggested = _right(averaged, probabilities, y, fold)
    wrong_apart, uncertain_apart = wrong.copy(), uncertain.copy()
    for k in np.unique(fold) if len(np.unique(fold)) > 1 else ():
        rows = np.flatnonzero(fold == k)
        p, given, alone = probabilities[rows], y[rows], np.zeros(len(rows), dtype=np.int64)
        wrong_apart[rows], uncertain_apart[rows] = _both(_fit(p, given, alone), p, given, alone)
    return TrueLabels(
        transitions=whole.transitions,
        sharpness=whole.sharpness,
        bias=whole.bias,
        by=averaged,
        right=right,
        suggested=suggested,
        wrong=wrong,
        uncertain=uncertain,
        wrong_apart=wrong_apart,
        uncertain_apart=uncertain_apart,
    )


def _of_many_classes(probabilities: NDArray[Any], y: Integers, fold: Integers) -> TrueLabels:
    """Return the likely true classes without T; arguments as in `true_labels`."""
    found = likely_classes(probabilities, y, fold)
    right, suggested = _right(found.by, probabilities, y, fold)
    return TrueLabels(
        transitions=None,
        sharpness=None,
        bias=None,
        by=found.by,
        right=right,
        suggested=suggested,
        wrong=found.wrong,
        uncertain=found.uncertain,
        wrong_apart=found.wrong_apart,
        uncertain_apart=found.uncertain_apart,
    )


def how_labels_go_wrong(
    probabilities: NDArray[Any], y: Integers, fold: Integers, unit: Integers | None, truth: TrueLabels
) -> Transitions | None:
    """Return T with what speaks for it: how much better it explains labels that it was not fitted to.

    None where there is no T.

    Units are halved. The labels of each half have their likelihood by the a, b and T of the other half, and by an a and
    b of the other half without T. Of fewer than 20 units no gain is told.

    Parameters
    ----------
    probabilities, y, fold
        As in `true_labels`.
    unit : ndarray or None
        The unit of each example, [n] int64: its examples are alike, and the standard error is that of units. None
        where each example is one.
    truth : TrueLabels
        What `true_labels` returned.
    """
    if truth.transitions is None or truth.bias is None:
        return None
    units = len(y) if unit is None else int((of := np.unique(unit, return_inverse=True)[1]).max(initial=-1)) + 1
    half = (np.random.default_rng(0).permutation(units) % 2).astype(np.int8)
    half = half if unit is None else half[of]
    absent, folds = np.bincount(y, minlength=len(truth.transitions)) == 0, len(truth.bias)
    gains: Floats = np.zeros(len(y))
    for k in (0, 1):
        rows, others = half == k, half != k
        for sign, noisy in ((1, True), (-1, False)):
            rest = probabilities[others], y[others], fold[others]
            found = _fit(*rest, absent=absent, folds=folds, noisy=noisy, part=4)
            for part in blocks(len(tried := np.flatnonzero(rows)), probabilities.shape[1]):
                some = tried[part]
                gains[some] += sign * found.likelihood(probabilities[some], y[some], fold[some])
    mean = gains.sum() / max(len(gains), 1)
    spread = ((gains - mean if unit is None else np.bincount(of, gains - mean)) ** 2).sum()
    spread *= units / max(units - 1, 1)
    gain = Gain(float(mean), float(np.sqrt(spread)) / max(len(gains), 1))
    if units < LEAST_UNITS:
        gain = Gain(0.0, 0.0)
    t = torch.from_numpy(truth.transitions)
    predicted, other = (torch.empty(len(y), dtype=torch.int32) for _ in range(2))
    for rows in blocks(len(y), len(t)):
        p = as_tensor(probabilities[rows])
        predicted[rows], other[rows] = of_true_classes(p, t).argmax(1), p.argmax(1)
    return Transitions(matrix=t, gain=gain, gives_up=gives_up_a_class(predicted, other, torch.from_numpy(y)))


def wrong_in_groups(wrong: Floats, group: Integers, groups: int) -> Floats:
    """Return the chance that a label is wrong where groups differ in how often it is, [n] in [0, 1].

    T is the same in all groups, and so is the chance w of a wrong label before it is seen. Here each group has its own,
    w_g: the odds of an example become those by T times w_g / (1 − w_g) over w / (1 − w), and w_g is their mean again.

    Parameters
    ----------
    wrong : ndarray
        The chance by T, [n] in [0, 1].
    group : ndarray
        The group of each example, [n] in 0..G-1.
    groups : int
        G.
    """
    count = np.bincount(group, minlength=groups)
    common = (wrong.sum() + 0.5) / (len(wrong) + 1)
    scores: Floats = logit(wrong.clip(TINY, 1 - TINY)) - logit(common)
    found = wrong
    for _ in range(GROUP_STEPS):
        shares = (np.bincount(group, found, minlength=groups) + LIKE_ALL * common) / (count + LIKE_ALL)
        found = np.asarray(expit(scores + logit(shares)[group]), dtype=np.float64)
    return found


def _both(by: _Fit, probabilities: NDArray[Any], y: Integers, fold: Integers) -> tuple[Floats, Floats]:
    """Return 1 − π_i(y_i) and Σ_z π_i(z) (1 − max_j T[z, j]), each [n]."""
    wrong, uncertain = np.empty(len(y)), np.empty(len(y))
    for rows in blocks(*probabilities.shape):
        posterior = by.posterior(probabilities[rows], y[rows], fold[rows])
        wrong[rows] = (1 - posterior[np.arange(len(posterior)), y[rows]]).clip(0, 1)
        uncertain[rows] = (posterior @ (1 - by.transitions.max(1))).clip(0, 1)
    return wrong, uncertain


def _right(
    by: TellsTrueClasses, probabilities: NDArray[Any], y: Integers, fold: Integers
) -> tuple[Floats, NDArray[np.int32]]:
    """Return π_i(y_i), and the most likely class but the label, each [n]."""
    right, suggested = np.empty(len(y)), np.empty(len(y), dtype=np.int32)
    for rows in blocks(*probabilities.shape):
        posterior, own = by.posterior(probabilities[rows], y[rows], fold[rows]), np.arange(rows.stop - rows.start)
        right[rows] = posterior[own, y[rows]]
        posterior[own, y[rows]] = -1  # below every probability
        suggested[rows] = posterior.argmax(1)
    return right, suggested


def largest_shares(
    by: TellsTrueClasses, probabilities: NDArray[Any], y: Integers, fold: Integers, group: Integers, groups: int
) -> Floats:
    """Return the largest share of each group's labels that are taken for wrong and one class's, [G] in [0, 1].

    Groups come one after the other, so that sums by class are kept of those of one block of rows alone.

    Parameters
    ----------
    by : TellsTrueClasses
        Tells the true classes.
    probabilities, y, fold, group : ndarray
        As in `true_labels`, and the group of each example, [n] in 0..G-1.
    groups : int
        G.
    """
    order = np.argsort(group, kind="stable")
    found, sums, last = np.zeros(groups), np.zeros(probabilities.shape[1]), -1
    for part in blocks(*probabilities.shape):
        rows = order[part]
        posterior = by.posterior(probabilities[rows], y[rows], fold[rows])
        posterior[np.arange(len(rows)), y[rows]] = 0
        own = group[rows]
        first = np.flatnonzero(np.diff(own, prepend=-1))
        of_groups = np.add.reduceat(posterior, first, axis=0)
        if own[0] == last:
            of_groups[0] += sums
        found[own[first]] = of_groups.max(1)
        sums, last = of_groups[-1], own[-1]
    found /= np.bincount(group, minlength=groups).clip(1)
    return found


class _Fit(NamedTuple):
    """a [K], b [K, C] and T [C, C]; the classes that no label names are never the true ones."""

    sharpness: Floats
    bias: Floats
    transitions: Floats
    absent: NDArray[np.bool_]

    def posterior(self, probabilities: NDArray[Any], y: Integers, fold: Integers) -> Floats:
        """Return π [n, C]."""
        posterior: Floats = self._joint(probabilities, y, fold).softmax(1).numpy()
        return posterior

    def likelihood(self, probabilities: NDArray[Any], y: Integers, fold: Integers) -> Floats:
        """Return log P(y_i), [n]."""
        likelihood: Floats = self._joint(probabilities, y, fold).logsumexp(1).numpy()
        return likelihood

    def _joint(self, probabilities: NDArray[Any], y: Integers, fold: Integers) -> Tensor:
        """Return log q_i(z) T[z, y_i], [n, C]."""
        parts = (torch.from_numpy(part) for part in (self.sharpness, self.bias, self.transitions, self.absent))
        a, b, t, absent = parts
        log_q = _before(as_tensor(probabilities), t, a, b, torch.from_numpy(fold), absent)
        return log_q + t.T[torch.from_numpy(y)].log()


class _Maximum(NamedTuple):
    """A maximum of the density: its negative logarithm, in nats, and what it is of."""

    loss: float
    fit: _Fit


class _Averaged(NamedTuple):
    """Maxima, and the weight of each, [M]."""

    fits: Sequence[_Fit]
    weight: Floats

    @classmethod
    def over(cls, maxima: Sequence[_Maximum]) -> _Averaged:
        """Return maxima with the weights by how high they are."""
        loss = np.array([maximum.loss for maximum in maxima])
        weight = np.exp((loss.min() - loss) / ABOUT_AS_HIGH)
        return cls([maximum.fit for maximum in maxima], weight / weight.sum())

    def posterior(self, probabilities: NDArray[Any], y: Integers, fold: Integers) -> Floats:
        """Return π averaged over the maxima, [m, C]."""
        mean: Floats = self.weight[0] * self.fits[0].posterior(probabilities, y, fold)
        for share, fit in zip(self.weight[1:], self.fits[1:], strict=True):
            mean += share * fit.posterior(probabilities, y, fold)
        return mean


def _fit(probabilities: NDArray[Any], y: Integers, fold: Integers, **how: Any) -> _Fit:
    """Return a, b and T of the largest posterior density; arguments as in `_maxima`."""
    return _maxima(probabilities, y, fold, **how)[0].fit


def _maxima(
    probabilities: NDArray[Any],
    y: Integers,
    fold: Integers,
    *,
    absent: NDArray[np.bool_] | None = None,
    folds: int | None = None,
    noisy: bool = True,
    part: int = 1,
    beside: bool = False,
) -> list[_Maximum]:
    """Return the maxima of the posterior density that the starts lead to, the highest first.

    Parameters
    ----------
    absent, folds : optional
        The classes that no label names, [C] bool, and K, where these rows are some of more.
    noisy : bool, optional
        Whether labels may go wrong; else T is the identity, and the entropy of q costs nothing.
    part : int, optional
        Of the rows that are fitted to at most, one in so many.
    beside : bool, optional
        Whether the start of the confident joint is taken too; its maximum comes last. Of many classes none is: each
        step is slow.
    """
    classes = probabilities.shape[1]
    folds = int(fold.max(initial=0)) + 1 if folds is None else folds
    absent = np.bincount(y, minlength=classes) == 0 if absent is None else absent
    most = max(MOST_CELLS // part // classes, LEAST_ROWS)
    if len(y) > most:
        drawn = np.random.default_rng(0).choice(len(y), most, replace=False)
        probabilities, y, fold = probabilities[drawn], y[drawn], fold[drawn]
    density = LabelDensity(probabilities, y, fold, folds, absent, noisy=noisy)
    lean = _lean(probabilities, y, fold, folds, classes)
    starts = [_start(lean, _alike(classes, share)) for share in (STARTS if noisy else STARTS[:1])]
    if classes > MANY_CLASSES:
        starts = [_ends(density, starts, FIRST_STEPS)[0].x]
    ends = _ends(density, starts, STEPS)
    if beside and classes <= MANY_CLASSES:
        ends += _ends(density, [_start(lean, _confident(probabilities, y, fold))], STEPS)
    found = []
    for end in ends:
        parts = density.parts(end.x)
        fit = _Fit(parts.log_a.exp().numpy(), parts.b.numpy(), parts.log_t.exp().numpy(), absent)
        found.append(_Maximum(density.n * float(end.fun), fit))
    return found


def _ends(density: LabelDensity, starts: Sequence[Floats], steps: int) -> list[Any]:
    """Return what so many steps lead to from each start, with the values `x` and the loss `fun`, the lowest first."""
    limits: Any = {"maxiter": steps, "maxfun": 2 * steps, "ftol": SETTLED}
    found = [minimize(density.loss, start, jac=True, method="L-BFGS-B", options=limits) for start in starts]
    return sorted(found, key=lambda end: float(end.fun))


def _confident(probabilities: NDArray[Any], y: Integers, fold: Integers) -> Floats:
    """Return the T [C, C] of the confident joint."""
    classes = probabilities.shape[1]
    joint = confident_joint(probabilities, y, fold) + FEW_LABELS * (np.eye(classes) + 1 / classes)
    shares: Floats = joint / joint.sum(1, keepdims=True)
    return shares


def _alike(classes: int, share: float) -> Floats:
    """Return the T [C, C] of which a share of the labels of each class is wrong, and those alike."""
    others = share / max(classes - 1, 1)
    return np.eye(classes) * (1 - share - others) + others


def _start(bias: Floats, transitions: Floats) -> Floats:
    """Return a = 1, b and T as the values that are fitted."""
    below = np.log(np.diag(transitions)[:, None].clip(TINY)) - np.log(transitions.clip(TINY))
    start: Floats = np.concatenate([np.zeros(len(bias)), bias.ravel(), np.log(np.expm1(below.clip(TINY))).ravel()])
    return start


def _lean(probabilities: NDArray[Any], y: Integers, fold: Integers, folds: int, classes: int) -> Floats:
    """Return the biases [K, C] with which the mean probabilities of a fold would be about the shares of its labels."""
    rows = [np.flatnonzero(fold == k) for k in range(folds)]
    labelled = np.stack([np.bincount(y[r], minlength=classes) + 1.0 for r in rows])
    predicted = np.stack([probabilities[r].sum(0) + 1.0 for r in rows])
    lean: Floats = np.log(labelled / predicted)
    return lean


def _before(p: Tensor, t: Tensor, a: Tensor, b: Tensor, fold: Tensor, absent: Tensor) -> Tensor:
    """Return log q [n, C], the chance of each true class before the label is seen."""
    scores: Tensor = a[fold, None] * of_true_classes(p, t).log() + b[fold]
    return scores.masked_fill(absent, NEVER).log_softmax(1)
