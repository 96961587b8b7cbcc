"""Every method, on small data of its own kind, beats plain training by a margin that ten seeds support.

A name without a row here fails: a method that was never seen to help is not one to offer. A row has the data, the
measure and the margin (of the lower end of the paired 95 % interval); the settings are the method's own, but where the
row says so.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from skedastic.evaluation.metrics import AnyMetrics, ClassificationMetrics
from skedastic.methods.presets import presets
from skedastic.settings.methods import make_method
from tests.support.worlds import TRAINING, Blobs, Noisy, Occluded, gain, rare


def accuracy(metrics: AnyMetrics) -> float:
    """Return the accuracy on the test set, which has as many of each class."""
    return metrics.value


def calibration(metrics: ClassificationMetrics) -> float:
    """Return how well probabilities are calibrated: minus the expected calibration error."""
    return -metrics.ece


def nearness(metrics: AnyMetrics) -> float:
    """Return how near predicted numbers are: minus the root mean squared error."""
    return -metrics.value


def of_the_corrupted(metrics: AnyMetrics) -> float:
    """Return the mean accuracy of the first two classes."""
    return metrics.mean_of_groups([*metrics.groups][:2])


@dataclass(frozen=True)
class Trouble:
    """The data, the measure, and the training configuration."""

    world: Any
    measure: Any = accuracy
    training: Any = TRAINING


QUICK = replace(TRAINING, epochs=12, batch_size=128)
# plain training memorizes the wrong labels
NOISY = Trouble(Blobs(noise="uniform:0.4", trusted=20), training=replace(TRAINING, batch_size=128))
FLIPPED = Trouble(Blobs(noise="c0->c1:0.45,c2->c3:0.45", n=4000, apart=2.5), training=QUICK)
TAIL = Trouble(Blobs(imbalance="longtail:50", n=4000, classes=8), rare(4), QUICK)
TAIL_ADAM = replace(TAIL, training=replace(QUICK, optimizer="adamw", lr=0.003))
NOISY_AND_RARE = Trouble(
    Blobs(noise="c0<->c1:0.4", imbalance="step:4:c0,c1", n=1200),
    of_the_corrupted,
    replace(TRAINING, epochs=30, batch_size=128),
)
OVERLAPPING = Trouble(
    Blobs(apart=2.0), calibration
)  # few examples of classes that can't be told apart: plain training is too sure
HASTY = Trouble(Blobs(n=4000, apart=2.0, classes=8), training=replace(TRAINING, epochs=2, batch_size=128, lr=0.01))
NUMBERS = Trouble(Noisy(), nearness, replace(TRAINING, batch_size=128))
HIDDEN = Trouble(Occluded(plain=0.5, faint=0.3, square=9, n=200))

ROWS: dict[str, tuple[Trouble, float] | tuple[Trouble, float, str] | tuple[Trouble, float, str, str]] = {
    # name: the trouble, the margin, with which settings, and what it is compared with if not plain training
    "erm": (NOISY, -1e-9),
    # losses
    "label-smoothing": (OVERLAPPING, 0.05),
    "focal": (OVERLAPPING, 0.02),
    "poly1": (HASTY, 0.002),
    "gce": (NOISY, 0.1),
    "sce": (NOISY, 0.08),
    "tce": (NOISY, 0.2),
    "dmi": (NOISY, 0.08),
    "ldam": (TAIL, 0.05),
    "logit-adjusted": (TAIL, 0.15),
    "balanced-softmax": (TAIL, 0.15),
    # class weights and samplers
    "cb-ce": (TAIL, 0.15),
    "cb-focal": (TAIL, 0.12),
    "ldam-drw": (TAIL, 0.05),
    "cb-ldam": (TAIL, 0.05),
    "resampling": (TAIL, 0.1),
    # instance weights
    "absgd": (TAIL, 0.02),
    "absgd-focal": (TAIL, 0.01),
    "absgd-cb-ce": (TAIL, 0.001),
    "absgd-cb-focal": (TAIL, 0.01),
    "absgd-cb-ldam": (TAIL, 0.05),
    "absgd-ce": (NOISY, 0.01),
    "absgd-sce": (NOISY, 0.1),
    "absgd-tce": (NOISY, 0.15),
    "absgd-two-stage": (TAIL, 0.0, "absgd-two-stage(begins=0.2)"),
    "abadam": (TAIL_ADAM, 0.02),
    "abadam-uncorrected": (TAIL_ADAM, 0.02),
    "recover": (TAIL, 0.02),
    "cvar": (TAIL, 0.03),
    "group-dro": (TAIL, 0.1),
    "tilted": (TAIL, 0.005),
    "eg": (NOISY, 0.1),
    "eg-sce": (NOISY, 0.2),
    # two stages
    "two-stage": (TAIL, 0.05),
    "crt": (TAIL, 0.05),
    "joint": (TAIL, 0.1),
    "lws": (TAIL, 0.0),
    "tau-norm": (TAIL, 0.03),
    "ncm": (TAIL, 0.1),
    # regularization
    "unif": (NOISY_AND_RARE, 0.06, "unif(strength=1)"),
    "har": (NOISY_AND_RARE, 0.06, "har(strength=1)"),
    "har-unit": (NOISY_AND_RARE, 0.06, "har-unit(strength=1)"),
    "har-auto": (NOISY_AND_RARE, 0.05),
    "har-drw": (NOISY_AND_RARE, 0.015),
    "auto": (NOISY_AND_RARE, 0.005),
    "har-code": (NOISY_AND_RARE, 0.06, "har-code(strength=40)"),
    "unif-code": (NOISY_AND_RARE, 0.06, "unif-code(strength=40)"),
    "har-random": (NOISY_AND_RARE, 0.02, "har(strength=1)", "har-random(strength=1)"),  # an ablation is to lose
    "har-inverse": (NOISY_AND_RARE, 0.02, "har(strength=1)", "har-inverse(strength=1)"),
    "trees": (TAIL, 0.02, "trees(tau=1)"),
    "linear": (TAIL, 0.02, "linear(tau=1)"),
    # noise cleaning
    "co-teaching": (NOISY, 0.15),
    "incv": (NOISY, 0.15),
    "elr": (NOISY, 0.15),
    "elr-plus": (NOISY, 0.15),
    "small-loss": (NOISY, 0.08),
    "decoupling": (NOISY, 0.12),
    "forward-correction": (FLIPPED, 0.08),
    # reweighting by learning
    "mentornet": (NOISY, 0.1),
    "l2rw": (NOISY, 0.15),
    "mw-net": (NOISY, 0.1),
    "meta-cb": (TAIL, 0.12, "meta-cb(class_weights=effective-number)"),
    # long tail
    "bbn": (TAIL, 0.08),
    "oltr": (TAIL, 0.02),
    "range-loss": (TAIL, 0.02),
    # around another method
    "sam": (NOISY, 0.15, "sam(rho=0.5)"),
    "asam": (NOISY, 0.12, "asam(rho=2)"),
    "amp": (NOISY, 0.12),
    "vat": (NOISY, 0.08),
    "mixup": (NOISY, 0.04),
    "post-hoc": (TAIL, 0.15),
    "ensemble": (NOISY, 0.02),
    "blend": (NUMBERS, 0.15),
    "stack": (NUMBERS, 0.15),
    "cutout": (HIDDEN, 0.01, "cutout(length=0.75)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(presets()))
def test_it_beats_plain_training(name) -> None:
    assert name in ROWS, f"show what {name} is good for: add a row"
    row = ROWS[name]
    trouble, margin = row[0], row[1]
    method = row[2] if len(row) > 2 else name
    against = row[3] if len(row) > 3 else "erm"
    interval = gain(
        make_method(method, {}),
        trouble.world,
        measure=trouble.measure,
        training=trouble.training,
        against=make_method(against, {}),
    )
    print(f"{name}: {interval['mean']:+.3f} ({interval['low']:+.3f} to {interval['high']:+.3f})")  # `-rP` shows it
    assert interval["low"] > margin, interval


def test_every_row_is_of_a_method() -> None:
    assert set(ROWS) <= set(presets())
